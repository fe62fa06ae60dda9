//! App: what every request can reach; how it is opened and stopped.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    access::tokens::Tokens, clock::Clock, config::Config, groups::Groups, saga::Sagas, state::Journal, systems::Systems,
};

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
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
