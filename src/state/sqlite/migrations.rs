//! The tables, in the order in which versions brought them. Forward only: what stands here is never changed, a new
//! version adds a file.

use std::{path::Path, sync::OnceLock};

use rusqlite::Connection;

use super::OpenError;

/// The nth brings a state to `user_version` n.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_state.sql"),
    include_str!("migrations/0002_journal.sql"),
    include_str!("migrations/0003_timers.sql"),
    include_str!("migrations/0004_ledger.sql"),
    include_str!("migrations/0005_sessions.sql"),
    include_str!("migrations/0006_mails.sql"),
    include_str!("migrations/0007_failures.sql"),
    include_str!("migrations/0008_revocations.sql"),
];

/// `usrm`, in the header of the file: ours and nobody else's.
const APPLICATION_ID: i64 = 0x7573_726d;

/// Makes the tables of a state that is about to be.
pub fn make(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    migrate(connection, 0)
}

/// Adds what an older state lacks, and refuses what is not ours, newer than we are, or not as its version says.
pub fn bring_up_to_date(connection: &mut Connection, file: &Path) -> Result<(), OpenError> {
    let path = file.display().to_string();
    let refused = |error| refused(file, &error);
    let Stamp { application, found } = stamp(connection).map_err(refused)?;
    let tables = schema(connection).map_err(refused)?;
    let damaged = |what: &str| OpenError::Damaged { path: path.clone(), what: what.to_owned() };
    if application == 0 && found == 0 && tables.is_empty() {
        return Err(damaged("it is empty"));
    }
    is_ours(connection, file)?;
    let as_expected = if found == known() {
        tables == *latest().map_err(refused)?
    } else {
        tables == expected(found).map_err(refused)?
    };
    if !as_expected {
        return Err(damaged("its tables are not those that its version has"));
    }

    // Before the first commit: the mode stands in the file's header.
    connection.pragma_update(None, "journal_mode", "wal").map_err(refused)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(refused)?;
    migrate(connection, found).map_err(refused)
}

/// A state of this version or an earlier one.
pub fn is_ours(connection: &Connection, file: &Path) -> Result<(), OpenError> {
    let Stamp { application, found } = stamp(connection).map_err(|error| refused(file, &error))?;
    let path = file.display().to_string();
    if application != APPLICATION_ID {
        return Err(OpenError::NotOurs(path));
    }
    if found > known() {
        return Err(OpenError::Newer { path, found, known: known() });
    }
    Ok(())
}

/// What the header of the file says.
struct Stamp {
    application: i64,
    /// Version.
    found: i64,
}

fn stamp(connection: &Connection) -> rusqlite::Result<Stamp> {
    let number = |pragma: &str| connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0));
    Ok(Stamp { application: number("application_id")?, found: number("user_version")? })
}

fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

fn refused(file: &Path, error: &rusqlite::Error) -> OpenError {
    let path = file.display().to_string();
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => OpenError::NotOurs(path),
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
            // Of a table that cannot be read SQLite quotes all the lines.
            let what = error.to_string().lines().next().unwrap_or_default().to_owned();
            OpenError::Damaged { path, what }
        }
        _ => OpenError::Unusable { path, error: error.to_string() },
    }
}

fn migrate(connection: &mut Connection, from: i64) -> rusqlite::Result<()> {
    for (version, sql) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > from) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The tables of the version that this program writes, made once.
fn latest() -> rusqlite::Result<&'static Vec<String>> {
    static LATEST: OnceLock<Vec<String>> = OnceLock::new();
    if let Some(latest) = LATEST.get() {
        return Ok(latest);
    }
    let latest = expected(known())?;
    Ok(LATEST.get_or_init(|| latest))
}

/// The tables of that version, made in memory.
fn expected(version: i64) -> rusqlite::Result<Vec<String>> {
    let connection = Connection::open_in_memory()?;
    for (_, sql) in (1_i64..).zip(MIGRATIONS).filter(|(number, _)| *number <= version) {
        connection.execute_batch(sql)?;
    }
    schema(&connection)
}

fn schema(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare("SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}
