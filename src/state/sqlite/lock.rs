//! The lock that keeps a second process away from a state. Knows nothing of what it protects.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use super::create_directory;
use crate::clock::Clock;

/// Held as long as this lives; the operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum NotLocked {
    /// Another process has it. What it wrote about itself; empty where it could not be read.
    #[error("in use by process {pid} since {since}; STATE_LOCK_WAIT says how long to wait for it")]
    Held { pid: String, since: String },
    #[error("{path} cannot be locked: {error}")]
    Unusable { path: String, error: io::Error },
}

impl Lock {
    /// Takes the lock of that directory, which is made where it is not there; waits so long for another process to end.
    pub async fn take(directory: &Path, wait: Duration, clock: &Clock) -> Result<Self, NotLocked> {
        const PAUSE: Duration = Duration::from_millis(100);
        let path = directory.join("lock");
        let unusable = |error| NotLocked::Unusable { path: path.display().to_string(), error };
        create_directory(directory).map_err(unusable)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(unusable)?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
                Err(TryLockError::WouldBlock) if waited >= wait => return Err(holder(&mut file)),
                Err(TryLockError::WouldBlock) => {
                    clock.pause(PAUSE).await;
                    waited += PAUSE;
                }
            }
        }
        sign(&mut file, clock).map_err(unusable)?;
        Ok(Self { _file: file })
    }
}

fn sign(file: &mut File, clock: &Clock) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}\n{}", std::process::id(), clock.now_text())
}

fn holder(file: &mut File) -> NotLocked {
    let mut text = String::new();
    // Who cannot be read is still somebody.
    let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
    let mut lines = text.lines().map(str::to_owned);
    NotLocked::Held { pid: lines.next().unwrap_or_default(), since: lines.next().unwrap_or_default() }
}
