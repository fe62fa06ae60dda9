//! What was looked up lately at a system far away, for a second at most, and forgotten at once by whoever changes it here.

use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

/// Anything is looked up at most once in so long.
pub const REMEMBERED_MS: i64 = 1_000;
const MOST: usize = 4096;

/// By name.
pub struct Lately<V> {
    found: Cache<String, (i64, V)>,
    /// So often was something forgotten.
    forgotten: AtomicU64,
}

/// Taken before something is looked up.
#[derive(Debug, Clone, Copy)]
pub struct Looking {
    at_ms: i64,
    forgotten: u64,
}

impl<V: Clone> Default for Lately<V> {
    fn default() -> Self {
        Self { found: Cache::new(MOST), forgotten: AtomicU64::new(0) }
    }
}

impl<V: Clone> Lately<V> {
    pub fn recent(&self, name: &str, now_ms: i64) -> Option<V> {
        let (at_ms, value) = self.found.get(name)?;
        (0..REMEMBERED_MS).contains(&(now_ms - at_ms)).then_some(value)
    }

    pub fn look(&self, now_ms: i64) -> Looking {
        Looking { at_ms: now_ms, forgotten: self.forgotten.load(Ordering::SeqCst) }
    }

    /// Unless something was forgotten while it was looked up: then it may be as it was before.
    pub fn remember(&self, name: &str, value: V, looking: Looking) {
        let overtaken = || looking.forgotten != self.forgotten.load(Ordering::SeqCst);
        if overtaken() {
            return;
        }
        self.found.insert(name.to_owned(), (looking.at_ms, value));
        if overtaken() {
            self.found.remove(name);
        }
    }

    /// What was known holds no more.
    pub fn forget(&self, name: &str) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.found.remove(name);
    }
}
