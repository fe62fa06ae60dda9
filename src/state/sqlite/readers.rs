//! The threads that read. A connection each, which cannot write.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Error, connect};

const THREADS: usize = 4;

type Job = Box<dyn FnOnce(&Connection) + Send>;

pub struct Readers {
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Readers {
    pub fn start(file: &Path) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        let mut threads = Vec::new();
        for number in 0..THREADS {
            let connection = connect(file).map_err(io::Error::other)?;
            connection.pragma_update(None, "query_only", true).map_err(io::Error::other)?;
            let waiting = Arc::clone(&waiting);
            threads.push(thread::Builder::new().name(format!("state-reader-{number}")).spawn(move || {
                loop {
                    // Whoever waits holds the lock; the guard ends with the statement, before the work.
                    let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    match job {
                        Ok(job) => job(&connection),
                        Err(mpsc::RecvError) => break,
                    }
                }
            })?);
        }
        Ok(Self { jobs: Some(jobs), threads })
    }

    pub async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Who asked may have gone.
            let _ = reply.send(work(connection).map_err(|error| Error::Unavailable(error.to_string())));
        });
        let ended = || Error::Unavailable("the state is closed".to_owned());
        self.jobs.as_ref().ok_or_else(ended)?.send(job).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        drop(self.jobs.take());
        for thread in self.threads.drain(..) {
            // A panic in a read has been told to who asked.
            let _ = thread.join();
        }
    }
}
