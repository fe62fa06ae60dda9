//! App: what every request can reach; how it is opened and stopped.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    access::{Caller, tokens::Tokens},
    clock::Clock,
    config::Config,
    groups::Groups,
    saga::{Answer, Asked, Limits, Sagas},
    state::{
        Journal,
        sqlite::{Sqlite, lock::Lock},
    },
    systems::Systems,
    users::UserId,
};

/// How often operations that nobody is at work on are looked for.
const TEND_EVERY: Duration = Duration::from_secs(10);

pub struct App {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub systems: Systems,
    pub journal: Arc<dyn Journal>,
    pub sagas: Arc<Sagas>,
    pub groups: Groups,
    pub tokens: Tokens,
    draining: AtomicBool,
}

impl App {
    /// What an operation is begun with.
    pub fn asked(
        &self,
        caller: &Caller,
        kind: &'static str,
        doing: &'static str,
        subject: Option<&UserId>,
        names: Vec<String>,
        answer: Answer,
    ) -> Asked {
        Asked {
            kind,
            doing,
            origin: caller.origin.clone(),
            subject: subject.map(UserId::to_string),
            names,
            begun: Arc::clone(&caller.operation),
            answer,
        }
    }

    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
