//! Takes over what a dead process, or a task that lost the journal, left behind. Never runs an operation's body: before the
//! commit it goes back, after it only what stands in the commit record remains.

use std::sync::Arc;

use tracing::Instrument;

use super::{Alive, Sagas, settle::Settling};
use crate::state::journal::{State, Unsettled};

impl Sagas {
    /// Starts a task for every operation that nobody is at work on. How many there were.
    pub async fn recover(&self) -> Result<usize, crate::state::Error> {
        let alive = self.engine.alive().keys().cloned().collect();
        let left = self.engine.journal.take_over(alive).await?;
        let count = left.len();
        for Unsettled { entry } in left {
            let engine = Arc::clone(&self.engine);
            let alive = Alive::enter(&engine, &entry.id);
            let span = tracing::info_span!("operation", id = %entry.id, kind = %entry.kind, recovered = true);
            let task = async move {
                let _alive = alive;
                match Settling::found(engine, &entry) {
                    Ok((settling, promised)) => match entry.state {
                        State::Running => settling.roll_back_found(true).await,
                        State::RollingBack => settling.roll_back_found(false).await,
                        State::Committed => settling.keep_found(promised).await,
                        State::Done | State::Undone => {}
                    },
                    // An older or newer journal than this program can read: left as it is, names held.
                    Err(error) => tracing::error!(%error, "an operation cannot be read; it stays as it is"),
                }
            };
            self.spawn(task.instrument(span));
        }
        Ok(count)
    }
}
