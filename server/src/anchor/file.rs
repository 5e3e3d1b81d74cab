//! An anchor that is a file.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::AnchorError;

/// How much of the end is looked at when the server starts: hundreds of lines.
const TAIL: u64 = 256 * 1024;

/// A file to which lines are appended and nothing else is done, so that it may be append-only for the file system too.
#[derive(Clone, Debug)]
pub struct FileAnchor {
    path: PathBuf,
}

impl FileAnchor {
    /// The file may not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last lines; none when there is no file.
    pub fn tail(&self) -> Result<Vec<String>, AnchorError> {
        let failed = |error| AnchorError::File("read", self.path.clone(), error);
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let (_, text) = tail(&mut file).map_err(failed)?;
        Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// Appends a line, if it is not there already, and returns when it is on the disk.
    pub(super) async fn append(&self, line: &str) -> Result<(), AnchorError> {
        let (path, line) = (self.path.clone(), line.to_owned());
        let failed = |error| AnchorError::File("append to", self.path.clone(), error);
        let appended = tokio::task::spawn_blocking(move || append(&path, &line)).await;
        appended.map_err(|error| failed(std::io::Error::other(error)))?.map_err(failed)
    }
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let (is_ended, text) = tail(&mut file)?;
    if !is_ended || text.lines().all(|it| it != line) {
        // After a line that a full disk tore off, a new one begins.
        let line = if is_ended { format!("{line}\n") } else { format!("\n{line}\n") };
        file.write_all(line.as_bytes())?;
    }
    file.sync_all()?;
    // The name of a new file is on the disk only when its directory is.
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// Whether the last line is ended, and the last lines; the first of them may be cut off.
fn tail(file: &mut File) -> std::io::Result<(bool, String)> {
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let whole = if begin == 0 { text.as_str() } else { text.split_once('\n').map_or("", |(_, rest)| rest) };
    Ok((bytes.is_empty() || bytes.last() == Some(&b'\n'), whole.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[tokio::test]
    async fn lines_are_appended_once_for_the_owner_alone_and_after_a_torn_one_a_new_one_begins() {
        let directory = tempfile::tempdir().unwrap();
        let anchor = FileAnchor::new(directory.path().join("anchor"));
        assert!(anchor.tail().unwrap().is_empty());
        for line in ["one", "two", "two"] {
            anchor.append(line).await.unwrap();
        }
        let mut file = OpenOptions::new().append(true).open(anchor.path()).unwrap();
        file.write_all(b"thr").unwrap();
        anchor.append("three").await.unwrap();
        assert_eq!(std::fs::read_to_string(anchor.path()).unwrap(), "one\ntwo\nthr\nthree\n");
        assert_eq!(std::fs::metadata(anchor.path()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(anchor.tail().unwrap(), ["one", "two", "thr", "three"]);
    }

    #[tokio::test]
    async fn of_a_long_file_only_whole_lines_of_its_end_are_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let anchor = FileAnchor::new(directory.path().join("anchor"));
        let lines: Vec<_> = (0..50_000).map(|n| format!("line {n}")).collect();
        std::fs::write(anchor.path(), lines.join("\n") + "\n").unwrap();
        let tail = anchor.tail().unwrap();
        assert_eq!(tail.last().unwrap(), "line 49999");
        assert!(tail.len() < 50_000 && tail.iter().all(|it| it.starts_with("line ")), "{:?}", tail.first());
    }
}
