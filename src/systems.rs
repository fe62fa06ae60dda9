//! The systems that an operation touches, and nothing else: what a step gets to see of the world.

use std::sync::Arc;

use crate::{clock::Clock, identity::Identity, state::Grants, store::Store};

#[derive(Clone)]
pub struct Systems {
    pub store: Arc<dyn Store>,
    pub identity: Arc<dyn Identity>,
    pub grants: Arc<dyn Grants>,
    pub clock: Clock,
}
