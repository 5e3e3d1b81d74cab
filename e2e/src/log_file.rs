//! The log of a process: a file that an error can point to.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::wait::{NeverHappened, wait_for};

/// The log of a process.
#[derive(Clone, Debug)]
pub struct LogFile {
    path: PathBuf,
}

impl LogFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the process.
    pub(crate) fn name(&self) -> String {
        self.path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// All of it. A log that does not exist yet is empty.
    pub fn text(&self) -> String {
        std::fs::read(&self.path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Whether it holds these bytes anywhere.
    pub fn contains(&self, needle: &[u8]) -> bool {
        !needle.is_empty()
            && std::fs::read(&self.path).is_ok_and(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
    }

    /// The lines that hold this text.
    pub fn lines_with(&self, needle: &str) -> Vec<String> {
        self.text().lines().filter(|line| line.contains(needle)).map(str::to_owned).collect()
    }

    /// Waits until a line holds this text, and answers that line.
    pub async fn wait_for_line(&self, needle: &str, bound: Duration) -> Result<String, NeverHappened> {
        let what = format!("a line with {needle:?} in {}", self.path.display());
        wait_for(&what, bound, async || self.lines_with(needle).into_iter().next().ok_or("no such line")).await
    }

    /// Its last lines, for an error message.
    pub fn tail(&self) -> LogTail {
        LogTail { path: self.path.clone(), lines: last_lines(&self.path, 12) }
    }
}

/// The end of a log, as an error shows it.
#[derive(Clone, Debug)]
pub struct LogTail {
    path: PathBuf,
    lines: Vec<String>,
}

impl fmt::Display for LogTail {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return write!(out, "Its log {} is empty", self.path.display());
        }
        write!(out, "Read {}; it ends with:", self.path.display())?;
        self.lines.iter().try_for_each(|line| write!(out, "\n    {line}"))
    }
}

fn last_lines(path: &Path, count: usize) -> Vec<String> {
    const ENOUGH: u64 = 16 * 1024;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let start = file.metadata()?.len().saturating_sub(ENOUGH);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let skip = lines.len().saturating_sub(count);
    lines.into_iter().skip(skip).map(|line| line.chars().take(400).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_the_path_and_the_last_lines() {
        let directory = tempfile::tempdir().unwrap();
        let log = LogFile::new(&directory.path().join("etcd.log"));
        assert!(log.tail().to_string().ends_with("etcd.log is empty"));
        let text: Vec<String> = (0..100).map(|line| format!("line {line}")).collect();
        std::fs::write(log.path(), text.join("\n")).unwrap();
        let shown = log.tail().to_string();
        assert!(shown.contains("etcd.log; it ends with:") && shown.contains("line 99") && shown.contains("line 88"));
        assert!(!shown.contains("line 87"));
        assert!(log.contains(b"line 5\nline 6"));
        assert!(!log.contains(b"line 100") && !log.contains(b""));
    }
}
