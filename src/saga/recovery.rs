//! Takes over what a dead process, or a task that lost the journal, left behind. Never runs an operation's body: before the
//! commit it goes back, after it only what stands in the commit record remains.

use std::sync::Arc;

use tracing::Instrument;

use super::{Alive, Engine, Sagas, settle::Settling};
use crate::{
    error,
    state::journal::{Entry, Record, State, Unsettled},
    trace::Trace,
};

impl Sagas {
    /// Starts a task for every operation that nobody is at work on. How many there were.
    pub async fn recover(&self) -> Result<usize, crate::state::Error> {
        let mut alive: Vec<String> = self.engine.alive().keys().cloned().collect();
        alive.extend(self.engine.set_aside().iter().cloned());
        let left = self.engine.journal.take_over(alive).await?;
        // Between our look at who is alive and the journal's somebody may have begun, or taken it over as we do. All are ours
        // before the first is looked at: one may wait for another.
        let entered =
            left.into_iter().filter_map(|Unsettled { entry }| Some((Alive::enter(&self.engine, &entry.id)?, entry)));
        let entered: Vec<(Alive, Entry)> = entered.collect();
        let count = entered.len();
        for (alive, entry) in entered {
            let engine = Arc::clone(&self.engine);
            let trace = Trace::fresh(&engine.systems.clock);
            let (id, kind) = (&entry.id, &entry.kind);
            let span = tracing::info_span!("operation", %id, %kind, recovered = true, trace = trace.id());
            let task = async move {
                let _alive = alive;
                settle(engine, &entry.id).await;
            };
            self.spawn(trace.carry(task).instrument(span));
        }
        Ok(count)
    }
}

/// Nobody else is at work on it from here on; how far whoever was has come stands in the journal now.
async fn settle(engine: Arc<Engine>, operation: &str) {
    let entry = match engine.journal.read(operation).await {
        Ok(Some(entry)) => entry,
        Ok(None) => return,
        Err(error) => {
            tracing::error!(%error, "an operation cannot be read now; it is looked for again");
            return;
        }
    };
    match Settling::found(Arc::clone(&engine), &entry) {
        Ok((settling, promised)) => match entry.state {
            State::Running if settling.is_made_of_others() => settling.cut_off_found().await,
            State::Running => {
                let answer = (engine.interrupted)(&entry.id, &entry.origin, Err(&error::interrupted()));
                settling.roll_back_found(Some(answer)).await;
            }
            State::RollingBack => settling.roll_back_found(None).await,
            State::Committed => settling.keep_found(promised).await,
            State::Done | State::Undone => {}
        },
        // Of an older or newer version than this program can read: left as it is, names held.
        Err(why) => set_aside(&engine, entry, why).await,
    }
}

/// Not tried again until somebody asks for it, or the program that can read it starts.
async fn set_aside(engine: &Engine, entry: Entry, why: String) {
    tracing::error!(%why, "an operation cannot be read; it stays as it is");
    if entry.attention.as_ref() != Some(&why)
        && let Err(error) = engine.journal.append(&entry.id, vec![Record::Attention { why }]).await
    {
        tracing::error!(%error, "that somebody should look at an operation cannot be written");
    }
    engine.set_aside().insert(entry.id);
}
