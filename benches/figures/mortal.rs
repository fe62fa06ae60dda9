//! A journal under which operations die: at a chosen write the answer never comes, as when the process is killed just
//! before or just after it.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use tokio::sync::watch;
use user_manager::state::{
    Error, Journal, Ledger, SessionStore,
    journal::{Appended, Begun, Entry, ListQuery, New, Record, Unsettled},
};

/// Around a write.
#[derive(Debug, Clone, Copy)]
pub enum Death {
    /// It is not there.
    Before(usize),
    /// It is there, and nobody heard of it.
    After(usize),
}

use Death::{After, Before};

/// Where an operation of that kind can die and be unsettled: its first write is 0. Every place has its own state of the world.
fn deaths(kind: &str) -> &'static [Death] {
    match kind {
        // begin, three steps, commit and end.
        "create-user" => &[After(0), After(1), Before(2), After(2), Before(3), After(3), Before(4)],
        // begin, two steps, commit and end.
        "update-user" => &[After(0), After(1), Before(2), After(2), Before(3)],
        // begin, two steps, commit, end when the promises are kept.
        "delete-user" => &[After(0), After(1), Before(2), After(2), Before(3), After(3), Before(4)],
        other => panic!("nobody said where {other} dies"),
    }
}

pub struct Mortal {
    inner: Arc<dyn Journal>,
    alive: Mutex<HashMap<String, (Death, usize)>>,
    /// How many of a kind have begun, once they are mortal.
    begun: Mutex<Option<HashMap<String, usize>>>,
    dead: watch::Sender<usize>,
}

impl Mortal {
    pub fn new(inner: Arc<dyn Journal>) -> Self {
        Self { inner, alive: Mutex::default(), begun: Mutex::default(), dead: watch::Sender::new(0) }
    }

    /// Whatever begins from now on dies. How many have.
    pub fn kill(&self) -> watch::Receiver<usize> {
        self.begun.lock().unwrap().get_or_insert_default();
        self.dead.subscribe()
    }

    /// Which write of the operation comes now, if it dies there.
    fn dies(&self, operation: &str) -> Option<Death> {
        let mut alive = self.alive.lock().unwrap();
        let (death, writes) = alive.get_mut(operation)?;
        let now = *writes;
        *writes += 1;
        match *death {
            Before(at) | After(at) if at == now => Some(*death),
            Before(_) | After(_) => None,
        }
    }

    async fn around<T>(&self, operation: &str, write: impl Future<Output = T>) -> T {
        match self.dies(operation) {
            None => return write.await,
            Some(Before(_)) => {}
            Some(After(_)) => drop(write.await),
        }
        self.dead.send_modify(|dead| *dead += 1);
        pending().await
    }
}

#[async_trait]
impl Journal for Mortal {
    async fn begin(&self, new: New) -> Result<Begun, Error> {
        let id = new.id.clone();
        if let Some(begun) = self.begun.lock().unwrap().as_mut() {
            let number = begun.entry(new.kind.clone()).or_default();
            let deaths = deaths(&new.kind);
            self.alive.lock().unwrap().insert(id.clone(), (deaths[*number % deaths.len()], 0));
            *number += 1;
        }
        self.around(&id, self.inner.begin(new)).await
    }

    async fn append(&self, operation: &str, records: Vec<Record>) -> Result<Appended, Error> {
        self.around(operation, self.inner.append(operation, records)).await
    }

    async fn take_over(&self, alive: Vec<String>) -> Result<Vec<Unsettled>, Error> {
        self.inner.take_over(alive).await
    }

    async fn read(&self, operation: &str) -> Result<Option<Entry>, Error> {
        self.inner.read(operation).await
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<Entry>, Error> {
        self.inner.list(query).await
    }

    async fn parts(&self, operation: &str, request: &str) -> Result<user_manager::state::journal::Parts, Error> {
        self.inner.parts(operation, request).await
    }

    async fn unsettled(&self) -> Result<u64, Error> {
        self.inner.unsettled().await
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.inner.ledger()
    }

    fn sessions(&self) -> Arc<dyn SessionStore> {
        self.inner.sessions()
    }
}
