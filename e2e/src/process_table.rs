//! The processes of this machine, as `/proc` shows them.

use std::collections::HashMap;
use std::fs;

use rustix::process::Pid;

/// One process.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) pid: Pid,
    parent: i32,
    zombie: bool,
}

impl Entry {
    /// Its program and arguments, separated by spaces.
    pub(crate) fn command_line(&self) -> String {
        let raw = fs::read(format!("/proc/{}/cmdline", self.pid.as_raw_nonzero())).unwrap_or_default();
        String::from_utf8_lossy(&raw).replace('\0', " ").trim_end().to_owned()
    }
}

/// All processes that are alive.
pub(crate) fn processes() -> Vec<Entry> {
    let Ok(directory) = fs::read_dir("/proc") else { return Vec::new() };
    directory
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| parse(Pid::from_raw(pid)?, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .filter(|entry| !entry.zombie)
        .collect()
}

/// All children of a process, their children, and so on.
pub(crate) fn descendants(root: Pid) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<Pid>> = HashMap::new();
    for entry in processes() {
        children.entry(entry.parent).or_default().push(entry.pid);
    }
    let mut found = children.remove(&root.as_raw_nonzero().get()).unwrap_or_default();
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children.remove(&pid.as_raw_nonzero().get()).unwrap_or_default());
        next += 1;
    }
    found
}

/// Reads `/proc/PID/stat`: `PID (NAME) STATE PARENT …`, where the name may hold blanks and brackets.
fn parse(pid: Pid, stat: &str) -> Option<Entry> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Entry { pid, parent, zombie: matches!(state, "Z" | "X") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse_the_parser() {
        let entry = parse(Pid::from_raw(7).unwrap(), "7 (a ) b (c)) S 3 7 7 0").unwrap();
        assert_eq!((entry.parent, entry.zombie), (3, false));
        assert!(parse(Pid::from_raw(7).unwrap(), "7 (gone) Z 3 7 7 0").unwrap().zombie);
        assert!(parse(Pid::from_raw(7).unwrap(), "nonsense").is_none());
    }

    #[test]
    fn this_process_is_among_its_parents_descendants() {
        let parent = rustix::process::getppid().unwrap();
        assert!(descendants(parent).contains(&rustix::process::getpid()));
    }
}
