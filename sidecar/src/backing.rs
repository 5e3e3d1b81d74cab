//! What the volume is made of: values are written into memory only.

use std::path::{Path, PathBuf};

use rustix::fs::statfs;

/// `TMPFS_MAGIC` of `linux/magic.h`.
const TMPFS: u64 = 0x0102_1994;

/// The volume is no place for values.
#[derive(Debug, thiserror::Error)]
pub enum BackingError {
    /// It is on a disk, or might be.
    #[error(
        "{} is not in memory (tmpfs), and values are written nowhere else: the volume must be an emptyDir with medium Memory",
        .0.display()
    )]
    NotMemory(PathBuf),
    /// It cannot be looked at.
    #[error("cannot tell what {} is made of", mount.display())]
    Look {
        /// The volume.
        mount: PathBuf,
        /// Why.
        source: rustix::io::Errno,
    },
}

/// Whether the volume is in memory; gives what a person should know of it all the same.
pub fn examine(mount: &Path) -> Result<Option<String>, BackingError> {
    let found = statfs(mount).map_err(|source| BackingError::Look { mount: mount.to_owned(), source })?;
    if u64::try_from(found.f_type) != Ok(TMPFS) {
        return Err(BackingError::NotMemory(mount.to_owned()));
    }
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    // A mount point is named without links in it.
    let mount = mount.canonicalize().unwrap_or_else(|_| mount.to_owned());
    let may_swap = has_swap(&read("/proc/swaps")) && !is_without_swap(&read("/proc/self/mountinfo"), &mount);
    Ok(may_swap.then(|| {
        "the node has swap, and the files may be swapped to its disk: use a kernel of 6.3 or newer, encrypted swap, or none"
            .to_owned()
    }))
}

/// Reads `/proc/swaps`: a heading, and a line for each.
fn has_swap(swaps: &str) -> bool {
    swaps.lines().skip(1).any(|line| !line.trim().is_empty())
}

/// Reads `/proc/self/mountinfo`: whether the mount that holds `path` has the option `noswap`.
fn is_without_swap(mountinfo: &str, path: &Path) -> bool {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (own, of_file_system) = line.split_once(" - ")?;
        let point = own.split(' ').nth(4)?;
        path.starts_with(point).then(|| (point.len(), of_file_system.split(' ').nth(2).unwrap_or_default()))
    });
    // Of two at one place, the later one is seen.
    let holder = mounts.max_by_key(|(length, _)| *length);
    holder.is_some_and(|(_, options)| options.split(',').any(|option| option == "noswap"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_into_memory_only() {
        assert!(examine(Path::new("/dev/shm")).is_ok());
        let error = examine(Path::new("/proc")).unwrap_err().to_string();
        assert!(error.starts_with("/proc is not in memory (tmpfs), and values are written nowhere else"), "{error}");
        assert!(matches!(examine(Path::new("/nowhere")), Err(BackingError::Look { .. })));
    }

    #[test]
    fn swap_and_what_keeps_it_away_are_seen() {
        let heading = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert!(!has_swap(heading) && !has_swap(""));
        assert!(has_swap(&format!("{heading}/dev/sda2 partition 1 0 -2\n")));
        let mounts = "22 1 8:1 / / rw - ext4 /dev/a rw\n\
                      30 22 0:40 / /run/secrets/sikkerkey rw,relatime - tmpfs tmpfs rw,size=4096k,noswap\n\
                      31 22 0:41 / /run/secrets rw shared:3 - tmpfs tmpfs rw\n";
        assert!(is_without_swap(mounts, Path::new("/run/secrets/sikkerkey")));
        assert!(!is_without_swap(mounts, Path::new("/run/secrets/other")));
        assert!(!is_without_swap("", Path::new("/run/secrets/sikkerkey")));
    }
}
