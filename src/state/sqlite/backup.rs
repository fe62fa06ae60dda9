//! A whole copy of a state, also of one that somebody is writing; and putting one in the place of a state. Blocks.

pub mod contents;

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{OpenError, clear, connect, directory, migrations};

/// What is committed at one moment, in a file that is not there yet; it is there whole or not at all.
pub fn copy(state: &Path, to: &Path) -> Result<(), OpenError> {
    if to.exists() {
        return Err(OpenError::unusable(to, &"a file stands there already"));
    }
    let unusable = |error: &dyn std::fmt::Display| OpenError::unusable(to, error);
    let unborn = unborn(to);
    clear(&unborn).map_err(|error| unusable(&error))?;
    let written = write(state, &unborn).and_then(|()| {
        let kept = || {
            // SQLite writes such a copy without waiting for the disk.
            File::open(&unborn)?.sync_all()?;
            fs::rename(&unborn, to)?;
            File::open(directory(to))?.sync_all()
        };
        kept().map_err(|error: io::Error| unusable(&error))
    });
    if written.is_err() {
        // The reason has been told; a rest of it would be overwritten by the next copy.
        let _ = clear(&unborn);
    }
    written
}

fn write(state: &Path, to: &Path) -> Result<(), OpenError> {
    let text = to.to_str().ok_or_else(|| OpenError::unusable(to, &"its name is not UTF-8"))?;
    let from = open(state)?;
    let unusable = |error: &dyn std::fmt::Display| OpenError::unusable(to, error);
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    options.map_err(|error| unusable(&error))?;
    from.execute("VACUUM INTO ?1", [text]).map(drop).map_err(|error| of_the_state(state, &error))
}

/// A state of ours that is there.
fn open(state: &Path) -> Result<Connection, OpenError> {
    if !state.exists() {
        return Err(OpenError::unusable(state, &"there is no such file"));
    }
    let connection = connect(state).map_err(|error| OpenError::unusable(state, &error))?;
    migrations::is_ours(&connection, state)?;
    Ok(connection)
}

fn of_the_state(state: &Path, error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            OpenError::Damaged { path: state.display().to_string(), what: error.to_string() }
        }
        Some(_) | None => OpenError::unusable(state, error),
    }
}

/// What SQLite itself finds wrong with the file, page by page.
pub fn check(state: &Path) -> Result<(), OpenError> {
    let connection = open(state)?;
    let found = || -> rusqlite::Result<Vec<String>> {
        connection.prepare("PRAGMA integrity_check(5)")?.query_map([], |row| row.get(0))?.collect()
    };
    let found = found().map_err(|error| of_the_state(state, &error))?;
    if found == ["ok"] {
        return Ok(());
    }
    Err(OpenError::Damaged { path: state.display().to_string(), what: found.join("; ") })
}

/// Puts the copy in the place of the state, which nobody may have open; where the one that was there lies now. At every moment
/// one of the two stands there, so that no start takes the place for an empty one.
pub fn put(copy: &Path, state: &Path, aside: &Path) -> Result<Option<PathBuf>, OpenError> {
    let unusable = |error: &dyn std::fmt::Display| OpenError::unusable(state, error);
    let fresh = state.with_added_extension("restored");
    clear(&fresh).map_err(|error| unusable(&error))?;
    super::create_directory(directory(state)).map_err(|error| unusable(&error))?;
    self::copy(copy, &fresh)?;
    let kept = if state.exists() {
        // What it holds beyond its file goes into it, if it can still be read; else its log goes aside with it. A log that
        // stayed would be taken for one of the copy.
        if let Ok(old) = open(state) {
            let _ = old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
        let swap = || {
            fs::hard_link(state, aside)?;
            match fs::rename(beside(state, "-wal"), beside(aside, "-wal")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            // Only an index of the log.
            clear(&beside(state, "-shm"))
        };
        swap().map_err(|error| unusable(&error))?;
        Some(aside.to_owned())
    } else {
        None
    };
    let put = || {
        fs::rename(&fresh, state)?;
        File::open(directory(state))?.sync_all()
    };
    put().map_err(|error: io::Error| unusable(&error))?;
    Ok(kept)
}

/// With what SQLite keeps beside it. What is not there need not go.
pub fn take_away(state: &Path) -> Result<(), OpenError> {
    let mut files = ["", "-wal", "-shm"].into_iter().map(|ending| beside(state, ending));
    files.try_for_each(|file| clear(&file)).map_err(|error| OpenError::unusable(state, &error))
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", file.display()))
}

fn unborn(file: &Path) -> PathBuf {
    file.with_added_extension("new")
}
