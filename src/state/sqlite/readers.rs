//! The threads that read. A connection each, which cannot write.

use std::{cell::Cell, io, path::Path, sync::Arc, thread, time::Duration};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::{Error, connect};
use crate::{
    clock::Stopwatch,
    line::{Backlog, Line},
};

/// So many steps of SQLite are taken between two looks at the time.
const STEPS: i32 = 10_000;

thread_local! {
    /// Until when the query that this thread is at may take.
    static PATIENCE: Cell<Option<(Stopwatch, Duration)>> = const { Cell::new(None) };
}

type Job = Box<dyn FnOnce(&Connection) + Send>;

pub struct Readers {
    jobs: Arc<Line<Job>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Readers {
    pub fn start(file: &Path, name: &str, threads: usize) -> io::Result<Self> {
        let jobs = Arc::new(Line::<Job>::default());
        let mut started = Vec::new();
        for number in 0..threads {
            let mut connection = connect(file).map_err(io::Error::other)?;
            connection.progress_handler(STEPS, Some(out_of_patience)).map_err(io::Error::other)?;
            connection.pragma_update(None, "query_only", true).map_err(io::Error::other)?;
            let waiting = Arc::clone(&jobs);
            started.push(thread::Builder::new().name(format!("{name}-{number}")).spawn(move || {
                while let Some(job) = waiting.next() {
                    job(&connection);
                }
            })?);
        }
        Ok(Self { jobs, threads: started })
    }

    /// What waits for a thread at this moment.
    pub fn backlog(&self) -> Backlog {
        self.jobs.backlog()
    }

    pub async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.ask(move |connection| work(connection).map_err(|error| Error::Unavailable(error.to_string()))).await
    }

    /// As [`Readers::read`], but given up with `TooCostly` when so much time has passed, the wait for a thread included.
    pub async fn read_within<T, F>(&self, patience: Duration, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let began = Stopwatch::start();
        self.ask(move |connection| {
            if began.elapsed() > patience {
                return Err(Error::TooCostly);
            }
            PATIENCE.set(Some((began, patience)));
            let done = work(connection);
            PATIENCE.set(None);
            done.map_err(|error| match error.sqlite_error_code() {
                Some(ErrorCode::OperationInterrupted) => Error::TooCostly,
                Some(_) | None => Error::Unavailable(error.to_string()),
            })
        })
        .await
    }

    async fn ask<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Who asked may have gone.
            let _ = reply.send(work(connection));
        });
        let ended = || Error::Unavailable("the state is closed".to_owned());
        if !self.jobs.join(job) {
            return Err(ended());
        }
        answer.await.map_err(|_| ended())?
    }
}

/// Asked by SQLite from time to time; ends the query when it says so.
fn out_of_patience() -> bool {
    PATIENCE.get().is_some_and(|(began, patience)| began.elapsed() > patience)
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.jobs.close();
        for thread in self.threads.drain(..) {
            // A panic in a read has been told to who asked.
            let _ = thread.join();
        }
    }
}
