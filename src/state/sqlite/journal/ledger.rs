//! The ledger in SQLite: every write of it is a link of the journal's chain.

use std::sync::Arc;

use async_trait::async_trait;

use super::{SqliteJournal, events, keys, retention, told::Word};
use crate::state::{
    Error, Ledger,
    ledger::{Event, EventQuery, Key, NewEvent, Older, Remembered},
};

#[async_trait]
impl Ledger for SqliteJournal {
    async fn recall(&self, key: &Key) -> Result<Option<Remembered>, Error> {
        let key = key.clone();
        self.state.read(move |db| keys::standing(db, &key)).await
    }

    async fn keep(&self, key: Key, answer: String) -> Result<Option<Remembered>, Error> {
        let (chain, fence, now_ms) = (Arc::clone(&self.chain), self.fence, self.clock.now_ms());
        self.state
            .write(move |db| {
                if let Some(standing) = keys::standing(db, &key)? {
                    return Ok(Some(standing));
                }
                if let Some(gone) = keys::make_room(db, &key.slot)? {
                    chain.link(db, fence, now_ms, &key.slot, &[Word::Dropped(vec![gone])])?;
                }
                let word = keys::keep(db, &chain, &key, &answer, now_ms)?;
                chain.link(db, fence, now_ms, &key.slot, &[word])?;
                Ok(None)
            })
            .await
    }

    async fn note(&self, event: NewEvent) -> Result<(), Error> {
        self.state.write(self.telling(event)).await
    }

    async fn events(&self, query: EventQuery) -> Result<Vec<Event>, Error> {
        self.state.read(move |db| events::list(db, &query)).await
    }

    async fn forget(&self, older: Older) -> Result<bool, Error> {
        let (chain, fence, now_ms) = (Arc::clone(&self.chain), self.fence, self.clock.now_ms());
        self.state
            .write(move |db| {
                let (gone, more) = retention::take(db, older)?;
                if !gone.is_empty() {
                    chain.link(db, fence, now_ms, retention::NAME, &[Word::Dropped(gone)])?;
                }
                Ok(more)
            })
            .await
    }
}
