//! What was looked up lately, for a second at most. What lies at a system far away is forgotten at once by whoever changes it
//! here; what lies in our own state holds until anything is written there.

use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use tokio::sync::Mutex;

use crate::{clock::Clock, state::Commits};

/// Anything is looked up at most once in so long.
const REMEMBERED_MS: i64 = 1_000;
const MOST: usize = 4096;

/// By name.
pub struct Lately<V> {
    found: Cache<String, (Looking, V)>,
    /// So often was something forgotten.
    forgotten: AtomicU64,
    /// Of our own state, where it lies there.
    commits: Option<Commits>,
}

/// Taken before something is looked up.
#[derive(Debug, Clone, Copy)]
pub struct Looking {
    at_ms: i64,
    forgotten: u64,
    /// What was committed by then, where that can be told.
    commits: Option<u64>,
}

impl<V: Clone> Default for Lately<V> {
    fn default() -> Self {
        Self::new(None)
    }
}

impl<V: Clone> Lately<V> {
    /// Of what lies in the state that has these commits, or of what is far away.
    pub fn new(commits: Option<Commits>) -> Self {
        Self { found: Cache::new(MOST), forgotten: AtomicU64::new(0), commits }
    }

    /// As it was found lately, else as `find` finds it now.
    pub async fn recent_or<E>(
        &self,
        name: &str,
        now_ms: i64,
        find: impl AsyncFnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        if let Some(known) = self.recent(name, now_ms) {
            return Ok(known);
        }
        let looking = self.look(now_ms);
        let found = find().await?;
        self.remember(name, found.clone(), looking);
        Ok(found)
    }

    pub fn recent(&self, name: &str, now_ms: i64) -> Option<V> {
        let (looking, value) = self.found.get(name)?;
        (young(looking.at_ms, now_ms) && looking.commits == self.committed()).then_some(value)
    }

    pub fn look(&self, now_ms: i64) -> Looking {
        Looking { at_ms: now_ms, forgotten: self.forgotten.load(Ordering::SeqCst), commits: self.committed() }
    }

    /// Unless something was forgotten while it was looked up: then it may be as it was before.
    pub fn remember(&self, name: &str, value: V, looking: Looking) {
        let overtaken = || looking.forgotten != self.forgotten.load(Ordering::SeqCst);
        if overtaken() || looking.commits.is_none() {
            return;
        }
        self.found.insert(name.to_owned(), (looking, value));
        if overtaken() {
            self.found.remove(name);
        }
    }

    /// What was known holds no more.
    pub fn forget(&self, name: &str) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.found.remove(name);
    }

    /// Always the same where nobody counts.
    fn committed(&self) -> Option<u64> {
        self.commits.as_ref().map_or(Some(0), Commits::so_far)
    }
}

/// One thing, which is read at most once a second however many ask: the others wait for whoever reads it.
pub struct OnceASecond<V>(Mutex<Option<(i64, V)>>);

impl<V> Default for OnceASecond<V> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<V: Clone> OnceASecond<V> {
    /// As it was read lately, else as `read` reads it now.
    pub async fn recent_or(&self, clock: &Clock, read: impl AsyncFnOnce() -> V) -> V {
        let mut last = self.0.lock().await;
        // Not before: whoever waited takes what was read meanwhile.
        let now_ms = clock.now_ms();
        match &*last {
            Some((at_ms, value)) if young(*at_ms, now_ms) => value.clone(),
            Some(_) | None => {
                let value = read().await;
                *last = Some((now_ms, value.clone()));
                value
            }
        }
    }
}

/// Not from later on either: the clock may have gone back.
fn young(at_ms: i64, now_ms: i64) -> bool {
    (0..REMEMBERED_MS).contains(&(now_ms - at_ms))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::state::{Collection, Documents, Replace, sqlite::Sqlite};

    /// One counts upwards in the state while others read through what is remembered, without any time passing.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn what_is_remembered_of_the_state_is_never_older_than_what_was_written() {
        const TURNS: u64 = 300;
        let directory = tempfile::tempdir().unwrap();
        let state = Sqlite::open(&directory.path().join("state.db"), Clock::system()).unwrap();
        let unique = Vec::new();
        let things = Collection { name: "things", unique, indexed: Vec::new(), released: None };
        let things = state.define(things).await.unwrap();
        let body = |n: u64| serde_json::json!({ "n": n }).as_object().unwrap().clone();
        state.insert(&things, "one", body(0)).await.unwrap();
        let lately = Arc::new(Lately::new(state.commits()));
        let written = Arc::new(AtomicU64::new(0));

        let mut readers = Vec::new();
        for _ in 0..3 {
            let (state, things) = (state.clone(), things.clone());
            let (lately, written) = (lately.clone(), written.clone());
            readers.push(tokio::spawn(async move {
                let (mut remembered, mut looked_up) = (0_u64, 0_u64);
                loop {
                    let before = written.load(Ordering::SeqCst);
                    let mut asked = false;
                    let look = async || {
                        asked = true;
                        let document = state.get(&things, "one").await?;
                        Ok::<_, crate::state::Error>(document.and_then(|found| found.body["n"].as_u64()).unwrap())
                    };
                    let n = lately.recent_or("one", 0, look).await.unwrap();
                    assert!(n >= before, "{n}, and {before} was written before it was asked for");
                    *if asked { &mut looked_up } else { &mut remembered } += 1;
                    if n == TURNS {
                        return (remembered, looked_up);
                    }
                    tokio::task::yield_now().await;
                }
            }));
        }
        for n in 1..=TURNS {
            let at = state.get(&things, "one").await.unwrap().unwrap().updated_ms;
            assert!(matches!(state.replace(&things, "one", at, body(n)).await.unwrap(), Replace::Stored(_)));
            written.store(n, Ordering::SeqCst);
        }
        for reader in readers {
            let (remembered, looked_up) = reader.await.unwrap();
            assert!(remembered > 0 && looked_up > 0, "{remembered} remembered, {looked_up} looked up");
        }
    }

    #[tokio::test]
    async fn many_who_ask_at_once_share_one_reading() {
        let (clock, once, readings) = (Clock::system(), OnceASecond::default(), AtomicU64::new(0));
        let read = async || {
            tokio::task::yield_now().await;
            readings.fetch_add(1, Ordering::SeqCst)
        };
        let ask = || once.recent_or(&clock, read);
        assert_eq!(tokio::join!(ask(), ask(), ask()), (0, 0, 0));
    }
}
