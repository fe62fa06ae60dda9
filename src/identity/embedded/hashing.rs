//! Where passwords are hashed: a few threads, a bounded queue before them, then `busy`. Knows no accounts.
//!
//! Hashing is made to be slow and large. Without a bound, 64 people who log in at once take 1.2 GiB and every core.

use std::{io, sync::Arc, thread, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    phc::{Memory, Phc},
    stored::Stored,
};
use crate::{
    error::{self, Code, Error},
    line::{Line, Next},
    outcome::{Failure, Outcome},
};

/// A thread without work gives its memory back after this.
const KEEP_MEMORY: Duration = Duration::from_secs(5);

pub struct Hashing {
    places: Arc<Semaphore>,
    /// How many places there are.
    most: usize,
    line: Arc<Line<Job>>,
    #[cfg(test)]
    computed: Arc<std::sync::atomic::AtomicUsize>,
}

/// The right to hash once.
pub struct Place {
    held: OwnedSemaphorePermit,
    line: Arc<Line<Job>>,
}

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// What a stored hash says of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    Wrong,
    Right {
        /// The hash that is to stand instead: the one that stood there is of another kind, or cost less.
        anew: Option<String>,
    },
}

impl Hashing {
    pub fn start(threads: usize, waiting: usize) -> io::Result<Self> {
        let line = Arc::new(Line::default());
        #[cfg(test)]
        let computed = Arc::<std::sync::atomic::AtomicUsize>::default();
        for number in 0..threads {
            let line = Arc::clone(&line);
            let mut memory = Memory::default();
            #[cfg(test)]
            memory.computed.clone_from(&computed);
            thread::Builder::new().name(format!("password-{number}")).spawn(move || work(&line, &mut memory))?;
        }
        let most = threads + waiting;
        Ok(Self {
            places: Arc::new(Semaphore::new(most)),
            most,
            line,
            #[cfg(test)]
            computed,
        })
    }

    /// How many hashes were computed until now.
    #[cfg(test)]
    pub fn computed(&self) -> usize {
        self.computed.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// How many are computed at this moment, and how many wait.
    pub fn load(&self) -> (usize, usize) {
        let waiting = self.line.backlog().jobs;
        let taken = self.most.saturating_sub(self.places.available_permits());
        (taken.saturating_sub(waiting), waiting)
    }

    /// `NotDone` with `busy` when too many wait.
    pub fn admit(&self) -> Outcome<Place> {
        let held = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let busy = Error::new(Code::Busy, "Too many passwords are being checked at the moment");
            Failure::not_done(busy.retry_after(1))
        })?;
        Ok(Place { held, line: Arc::clone(&self.line) })
    }
}

impl Drop for Hashing {
    fn drop(&mut self) {
        self.line.close();
    }
}

impl Place {
    /// A PHC string.
    pub async fn hash(self, password: &SecretString) -> Outcome<String> {
        let password = password.clone();
        self.run(move |memory| Ok(Phc::hash(bytes(&password), memory)?.to_string())).await
    }

    /// Whether that stored hash was made of the password. Without one: no, and it takes as long as one of ours.
    pub async fn verify(self, password: &SecretString, hash: Option<String>) -> Outcome<Verified> {
        let password = password.clone();
        self.run(move |memory| {
            if !verify(&password, hash.as_deref(), memory)? {
                return Ok(Verified::Wrong);
            }
            let outdated =
                hash.as_deref().and_then(Stored::parse).is_some_and(|stored| stored.is_outdated(bytes(&password)));
            let anew = if outdated { Some(Phc::hash(bytes(&password), memory)?.to_string()) } else { None };
            Ok(Verified::Right { anew })
        })
        .await
    }

    /// The PHC string of the new password, where the current one is right.
    pub async fn exchange(
        self,
        current: &SecretString,
        hash: Option<String>,
        new: &SecretString,
    ) -> Outcome<Option<String>> {
        let (current, new) = (current.clone(), new.clone());
        self.run(move |memory| {
            if !verify(&current, hash.as_deref(), memory)? {
                return Ok(None);
            }
            Ok(Some(Phc::hash(bytes(&new), memory)?.to_string()))
        })
        .await
    }

    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(&mut Memory) -> Result<T, String> + Send + 'static,
    ) -> Outcome<T> {
        let (reply, answer) = oneshot::channel();
        let held = self.held;
        let job: Job = Box::new(move |memory| {
            // Who asked may have hung up while he waited.
            let told = (!reply.is_closed()).then(|| work(memory));
            // Whoever has his answer takes up no place any more.
            drop(held);
            if let Some(told) = told {
                let _ = reply.send(told);
            }
        });
        self.line.join(job);
        let told = answer.await.unwrap_or_else(|_| Err("a thread that hashes has ended".to_owned()));
        told.map_err(|what| Failure::not_done(error::internal(what)))
    }
}

fn verify(password: &SecretString, hash: Option<&str>, memory: &mut Memory) -> Result<bool, String> {
    let stored = hash.and_then(Stored::parse);
    if stored.is_none() && hash.is_some() {
        tracing::error!("a stored password is no hash that we know; nobody logs in with it");
    }
    match stored {
        Some(stored) => stored.verify(bytes(password), memory),
        None => Phc::dummy().verify(bytes(password), memory).map(|_| false),
    }
}

fn bytes(password: &SecretString) -> &[u8] {
    password.expose_secret().as_bytes()
}

/// Works until there is nothing more to come. While there is nothing for long, the memory is given back.
fn work(line: &Line<Job>, memory: &mut Memory) {
    loop {
        let next = match memory.is_released() {
            true => line.next().map_or(Next::Closed, Next::Job),
            false => line.next_within(KEEP_MEMORY),
        };
        match next {
            Next::Job(job) => job(memory),
            Next::Nothing => memory.release(),
            Next::Closed => return,
        }
    }
}
