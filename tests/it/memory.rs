//! Where tests put files.

use std::path::PathBuf;

/// Where files cost no disk, if there is such a place: what is durable is not the question here.
pub fn memory() -> PathBuf {
    let shared = PathBuf::from("/dev/shm");
    if shared.is_dir() { shared } else { std::env::temp_dir() }
}
