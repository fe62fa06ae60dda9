//! What a state lies on: something that lasts, or something that is gone with the machine's memory or with a container.
//! Knows nothing of what is written there.

use std::{fmt, path::Path};

use rustix::fs::{FsWord, statfs};

use crate::config::Ephemeral;

/// What becomes of a state by where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    Fine,
    /// It may start; this should be told.
    Warned(String),
    /// It must not start, for this reason.
    Refused(String),
}

/// Looks at the file, or at the nearest directory above it that is there.
pub fn judge(state_file: &Path, wanted: Ephemeral) -> Judged {
    let there = state_file.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let lies = match statfs(there).map(|found| Passing::of(found.f_type)) {
        Ok(None) => return Judged::Fine,
        Ok(Some(passing)) => passing.to_string(),
        Err(error) => format!("where nobody can tell whether it lasts ({error})"),
    };
    let sentence = format!(
        "STATE_EPHEMERAL: the state {} lies {lies}; right would be: a volume mounted there, DATA_DIR or STATE on a disk, \
         or STATE_EPHEMERAL=accept",
        state_file.display()
    );
    match wanted {
        Ephemeral::Accept => Judged::Fine,
        Ephemeral::Warn => Judged::Warned(sentence),
        Ephemeral::Refuse => Judged::Refused(sentence),
    }
}

/// A file system that keeps nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passing {
    Memory,
    Layer,
}

impl Passing {
    /// By the magic numbers of statfs(2).
    fn of(magic: FsWord) -> Option<Self> {
        const TMPFS: FsWord = 0x0102_1994;
        const RAMFS: FsWord = 0x8584_58f6;
        const OVERLAYFS: FsWord = 0x794c_7630;
        match magic {
            TMPFS | RAMFS => Some(Self::Memory),
            OVERLAYFS => Some(Self::Layer),
            _ => None,
        }
    }
}

impl fmt::Display for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "in memory (tmpfs) and is gone at the next start of the machine or the container",
            Self::Layer => "on a container's own layer (overlayfs) and is gone with the container",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_last_is_known_by_its_file_system() {
        let check = |magic, expected| assert_eq!(Passing::of(magic), expected, "{magic:x}");
        check(0x0102_1994, Some(Passing::Memory));
        check(0x8584_58f6, Some(Passing::Memory));
        check(0x794c_7630, Some(Passing::Layer));
        // ext4, xfs, btrfs, NFS
        for lasts in [0xef53, 0x5846_5342, 0x9123_683e, 0x6969] {
            check(lasts, None);
        }
    }

    #[test]
    fn a_file_that_is_not_there_yet_lies_where_it_would_be_made() {
        for file in ["/dev/shm/not/there/user-manager.db", "/dev/shm"] {
            let judged = |wanted| judge(Path::new(file), wanted);
            assert_eq!(judged(Ephemeral::Accept), Judged::Fine);
            let Judged::Warned(told) = judged(Ephemeral::Warn) else { panic!("{file} lies in memory") };
            assert!(told.contains(file) && told.contains("in memory"), "{told}");
            assert_eq!(judged(Ephemeral::Refuse), Judged::Refused(told));
        }
        // Neither in memory nor a layer, on every machine.
        assert_eq!(judge(Path::new("/proc/not/there"), Ephemeral::Refuse), Judged::Fine);
    }

    #[test]
    fn a_name_without_a_directory_lies_where_we_are() {
        let judged = |file: &str| matches!(judge(Path::new(file), Ephemeral::Refuse), Judged::Fine);
        assert_eq!(judged("not-there.db"), judged("./not-there.db"));
    }
}
