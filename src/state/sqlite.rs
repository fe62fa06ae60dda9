//! The state in one SQLite file: how it is opened, who writes, who reads. Knows the tables only by way of its parts
//! below; must not know what is kept in them or why.
//!
//! One thread writes (`writer`): whatever waits shares one commit. A few threads read. So the file is never busy and
//! no call of the async runtime blocks on it.

pub mod backup;
mod documents;
mod failures;
mod grants;
pub mod journal;
mod keys;
pub mod lock;
mod mails;
mod migrations;
mod readers;
mod revocations;
mod standing;
mod timers;
mod writer;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use rusqlite::{Connection, OpenFlags, params};

use self::{readers::Readers, writer::Writer};
use super::Error;
use crate::{clock::Clock, line::Backlog, metrics::CommitTimes};

pub use self::writer::{Batch, Synchronous, Writing};

/// How a state is opened. Anything but the default is for comparing and for tests.
#[derive(Debug, Clone)]
pub struct Opening {
    pub writing: Writing,
    /// Threads that read what is found at once.
    pub readers: usize,
    /// Threads that look through whole collections.
    pub queries: usize,
    /// Where it is told how long commits take.
    pub commits: CommitTimes,
}

impl Default for Opening {
    fn default() -> Self {
        Self { writing: Writing::default(), readers: 4, queries: 2, commits: CommitTimes::default() }
    }
}

/// The open state. The last one to let go of it waits until the file is closed, so that it can be opened anew at once.
pub struct Sqlite {
    clock: Clock,
    // Before the writer, which folds the log of changes into the file when nobody reads it any more.
    readers: Readers,
    /// For what may take its time, so that it keeps nobody else waiting.
    queries: Readers,
    writer: Writer,
}

/// Why a file cannot serve as our state. Each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} cannot be used: {error}")]
    Unusable { path: String, error: String },
    #[error("{0} is not a state of this program")]
    NotOurs(String),
    #[error("{path} was written by a newer version of this program (schema {found}; this one knows {known})")]
    Newer { path: String, found: i64, known: i64 },
    #[error("{path} is damaged: {what}")]
    Damaged { path: String, what: String },
}

impl OpenError {
    fn unusable(file: &Path, error: &dyn std::fmt::Display) -> Self {
        Self::Unusable { path: file.display().to_string(), error: error.to_string() }
    }
}

impl Sqlite {
    /// Opens the state, makes it where there is none, and brings an older one up to date. Blocks: milliseconds on an
    /// existing state.
    pub fn open(file: &Path, clock: Clock) -> Result<Arc<Self>, OpenError> {
        Self::open_as(file, clock, Opening::default())
    }

    /// The same in another way.
    pub fn open_as(file: &Path, clock: Clock, opening: Opening) -> Result<Arc<Self>, OpenError> {
        let unusable = |error: &dyn std::fmt::Display| OpenError::unusable(file, error);
        create(file)?;
        let mut connection = connect(file).map_err(|error| unusable(&error))?;
        migrations::bring_up_to_date(&mut connection, file)?;
        // The log of changes is there by now, but SQLite overlooks it when its name is not made durable.
        File::open(directory(file)).and_then(|directory| directory.sync_all()).map_err(|error| unusable(&error))?;
        let readers = Readers::start(file, "state-reader", opening.readers).map_err(|error| unusable(&error))?;
        let queries = Readers::start(file, "state-query", opening.queries).map_err(|error| unusable(&error))?;
        let writer = Writer::start(connection, opening.writing, opening.commits).map_err(|error| unusable(&error))?;
        Ok(Arc::new(Self { clock, readers, queries, writer }))
    }

    /// Ends with a sentence when a commit has failed and nobody can say what is on the disk: the process must end, the
    /// next start looks. Never ends otherwise.
    pub fn fatal(&self) -> impl Future<Output = String> + Send + use<> {
        self.writer.fatal()
    }

    /// What waits to read what is found at once.
    pub fn reads_waiting(&self) -> Backlog {
        self.readers.backlog()
    }

    /// What waits to look through whole collections.
    pub fn queries_waiting(&self) -> Backlog {
        self.queries.backlog()
    }

    /// Runs `work` in a transaction and answers once it is durable. Its error takes back what it did, and nothing that
    /// others did.
    async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.writer.write(work).await
    }

    /// Takes away rows that have had their time; whether there may be more. The statement gets that time as its first parameter,
    /// and how many rows go at most as its second.
    async fn take_away(&self, sql: &'static str, by_ms: i64, most: u32) -> Result<bool, Error> {
        let gone = self.write(move |db| db.prepare_cached(sql)?.execute(params![by_ms, most])).await?;
        Ok(gone >= usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Runs `work` on what is committed. It cannot write.
    async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.readers.read(work).await
    }
}

/// Makes the directory 0700 where it is not there yet.
pub fn create_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// A state with nothing in it, 0600, in a directory that is durable; SQLite gives its other files the same mode.
///
/// It is made under another name and gets its own when it is whole. So a file that is there and empty has lost what was in
/// it, and is not taken for the place of a first start.
fn create(file: &Path) -> Result<(), OpenError> {
    if file.exists() {
        return Ok(());
    }
    let unusable = |error: &dyn std::fmt::Display| OpenError::unusable(file, error);
    let directory = directory(file);
    create_directory(directory).map_err(|error| unusable(&error))?;
    let unborn = file.with_added_extension("new");
    clear(&unborn).map_err(|error| unusable(&error))?;
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unborn);
    options.map_err(|error| unusable(&error))?;
    let mut connection = connect(&unborn).map_err(|error| unusable(&error))?;
    migrations::make(&mut connection).map_err(|error| unusable(&error))?;
    connection.close().map_err(|(_, error)| unusable(&error))?;
    let durable = || {
        File::open(&unborn)?.sync_all()?;
        fs::rename(&unborn, file)?;
        File::open(directory)?.sync_all()
    };
    durable().map_err(|error: io::Error| unusable(&error))
}

/// What is not there need not go.
fn clear(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn directory(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(128);
    // The writer does it itself, where it can see whether the disk took it.
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

#[cfg(test)]
mod tests;
