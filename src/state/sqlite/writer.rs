//! The one thread that writes. Takes all jobs that wait, does them in one transaction, commits, and only then answers.
//!
//! A failed commit, or a disk that did not take what it was told to keep, is never tried again: after a failed `fsync`
//! the kernel may call the next one a success without having written anything.

use std::{io, sync::mpsc, thread};

use rusqlite::{
    Connection, ErrorCode,
    ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC},
};
use tokio::sync::{oneshot, watch};

use super::Error;
use crate::{clock::Stopwatch, metrics::CommitTimes, state::Commits};

/// How commits are made. Anything but the default is for comparing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writing {
    pub synchronous: Synchronous,
    pub batch: Batch,
}

/// SQLite's `synchronous`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// Answered means on the disk.
    #[default]
    Full,
    /// Answered means written; a power cut may take it back.
    Off,
}

/// Which jobs share a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Batch {
    /// All that wait, at most 256.
    #[default]
    Waiting,
    /// Each has its own.
    Single,
}

const MOST_IN_A_BATCH: usize = 256;

/// Jobs until the log of changes is folded into the file. A job alone changes some four pages of 4 KiB, so the log stays
/// below about 16 MiB.
const JOBS_BETWEEN_CHECKPOINTS: usize = 1000;

pub struct Writer {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    fatal: watch::Receiver<Option<String>>,
    commits: Commits,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    pub fn start(connection: Connection, writing: Writing, times: CommitTimes) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel();
        let (sentence, fatal) = watch::channel(None);
        let commits = Commits::default();
        let counted = commits.clone();
        let thread = thread::Builder::new().name("state-writer".to_owned()).spawn(move || {
            // A panic in a job leaves the transaction's fate open, just as a failed commit does.
            let last = LastWord(sentence);
            match serve(&connection, &waiting, writing, &counted, &times) {
                Ok(()) => drop(connection),
                Err(why) => {
                    tracing::error!(%why, "a write of the state failed; nothing more is written");
                    last.0.send_replace(Some(why));
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), fatal, commits, thread: Some(thread) })
    }

    pub async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Waiting { work: Some(work), value: None, reply });
        if self.jobs.as_ref().is_none_or(|jobs| jobs.send(job).is_err()) {
            return Err(self.ended());
        }
        answer.await.unwrap_or_else(|_| Err(self.ended()))
    }

    pub fn fatal(&self) -> impl Future<Output = String> + Send + use<> {
        let mut fatal = self.fatal.clone();
        async move {
            if let Ok(sentence) = fatal.wait_for(Option::is_some).await.map(|sentence| sentence.clone()) {
                return sentence.unwrap_or_default();
            }
            // Closed in peace.
            std::future::pending().await
        }
    }

    pub fn commits(&self) -> Commits {
        self.commits.clone()
    }

    fn ended(&self) -> Error {
        let why = self.fatal.borrow().clone();
        Error::Fatal(why.unwrap_or_else(|| "the writer has ended".to_owned()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // The thread's panic has been told by its last word.
            let _ = thread.join();
        }
    }
}

struct LastWord(watch::Sender<Option<String>>);

impl Drop for LastWord {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.send_replace(Some("the writer panicked".to_owned()));
        }
    }
}

/// Until nobody can send any more (then the file is closed as clean as can be) or a sentence why nothing more may be
/// written. Jobs that are dropped unanswered hear the same.
fn serve(
    connection: &Connection,
    waiting: &mpsc::Receiver<Box<dyn Job>>,
    writing: Writing,
    commits: &Commits,
    times: &CommitTimes,
) -> Result<(), String> {
    let synchronous = match writing.synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Off => "OFF",
    };
    connection.pragma_update(None, "synchronous", synchronous).map_err(|error| error.to_string())?;
    let most = match writing.batch {
        Batch::Waiting => MOST_IN_A_BATCH,
        Batch::Single => 1,
    };
    let mut since_checkpoint = 0;
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(most - 1));
        since_checkpoint += batch.len();
        match transact(connection, &mut batch, commits, times) {
            Ok(verdicts) => {
                for (job, verdict) in batch.into_iter().zip(verdicts) {
                    job.answer(verdict);
                }
            }
            Err(Broken::TakenBack(why)) => {
                for job in batch {
                    job.answer(Err(Error::Unavailable(why.clone())));
                }
            }
            Err(Broken::Open(why)) => {
                for job in batch {
                    job.answer(Err(Error::Fatal(why.clone())));
                }
                return Err(why);
            }
        }
        if since_checkpoint >= JOBS_BETWEEN_CHECKPOINTS {
            since_checkpoint = 0;
            checkpoint(connection, "PASSIVE")?;
        }
    }
    checkpoint(connection, "TRUNCATE")
}

/// How a whole transaction can fail.
enum Broken {
    /// Nothing of it is there.
    TakenBack(String),
    /// Nobody can say.
    Open(String),
}

fn transact(
    connection: &Connection,
    batch: &mut [Box<dyn Job>],
    commits: &Commits,
    times: &CommitTimes,
) -> Result<Vec<Result<(), Error>>, Broken> {
    let run = |sql: &str| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    run("BEGIN IMMEDIATE").map_err(|error| broken(connection, &error))?;
    let mut verdicts = Vec::with_capacity(batch.len());
    for job in batch.iter_mut() {
        run("SAVEPOINT job").map_err(|error| broken(connection, &error))?;
        match job.run(connection) {
            Ok(()) => verdicts.push(Ok(())),
            Err(error) if spoils_the_batch(connection, &error) => return Err(broken(connection, &error)),
            Err(error) => {
                verdicts.push(Err(Error::Unavailable(error.to_string())));
                run("ROLLBACK TO job").map_err(|error| broken(connection, &error))?;
            }
        }
        run("RELEASE job").map_err(|error| broken(connection, &error))?;
    }
    commits.begins();
    let began = Stopwatch::start();
    let committed = run("COMMIT").map_err(|error| uncommitted(connection, &error));
    times.took(began.elapsed());
    if !matches!(committed, Err(Broken::Open(_))) {
        commits.ends();
    }
    committed.map(|_| verdicts)
}

/// Whatever a commit complains of may have come after the record that counts was written, and stays open. But for a full
/// disk: SQLite tells it of a write that was cut short, and the record that counts is the last write of a commit, its fsync
/// aside; what fails there has other names (<https://sqlite.org/walformat.html>, `sqlite3WalFrames`). Were the disk one
/// whose sectors tear, copies of that record would follow it: we never ask for that (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`).
fn uncommitted(connection: &Connection, error: &rusqlite::Error) -> Broken {
    if error.sqlite_error_code() == Some(ErrorCode::DiskFull) && connection.is_autocommit() {
        return Broken::TakenBack(error.to_string());
    }
    Broken::Open(error.to_string())
}

/// Some errors are not the job's but the disk's or the file's; SQLite may have taken the whole transaction back already.
fn spoils_the_batch(connection: &Connection, error: &rusqlite::Error) -> bool {
    let of_the_file = error.sqlite_error_code().is_some_and(|code| {
        [
            ErrorCode::DiskFull,
            ErrorCode::SystemIoFailure,
            ErrorCode::OutOfMemory,
            ErrorCode::DatabaseCorrupt,
            ErrorCode::NotADatabase,
            ErrorCode::ReadOnly,
        ]
        .contains(&code)
    });
    of_the_file || connection.is_autocommit()
}

/// Before the commit: taken back, unless the disk refused to keep something or the way back fails too.
fn broken(connection: &Connection, error: &rusqlite::Error) -> Broken {
    let sentence = error.to_string();
    if is_failed_fsync(error) {
        return Broken::Open(sentence);
    }
    if connection.is_autocommit() {
        return Broken::TakenBack(sentence);
    }
    match connection.execute_batch("ROLLBACK") {
        Ok(()) => Broken::TakenBack(sentence),
        Err(second) => Broken::Open(format!("{sentence}; {second}")),
    }
}

fn is_failed_fsync(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| [SQLITE_IOERR_FSYNC, SQLITE_IOERR_DIR_FSYNC].contains(&error.extended_code))
}

/// What is committed stays in the log where this does not succeed; only an I/O error must not be tried again.
fn checkpoint(connection: &Connection, mode: &str) -> Result<(), String> {
    match connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())) {
        Ok(()) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => Err(error.to_string()),
        Err(error) => {
            tracing::warn!(%error, "the log of changes could not be folded into the state; it grows until it can");
            Ok(())
        }
    }
}

/// Something to be done inside the transaction, and somebody who waits for it.
trait Job: Send {
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, verdict: Result<(), Error>);
}

struct Waiting<T, F> {
    work: Option<F>,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Job for Waiting<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if let Some(work) = self.work.take() {
            self.value = Some(work(connection)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, verdict: Result<(), Error>) {
        let answer = match (verdict, self.value) {
            (Ok(()), Some(value)) => Ok(value),
            (Ok(()), None) => Err(Error::Unavailable("the job was not run".to_owned())),
            (Err(error), _) => Err(error),
        };
        // Who asked may have gone; what was written stays written.
        let _ = self.reply.send(answer);
    }
}
