//! Who tries under a code at this moment. The others queue, in the order in which they came. Knows no law and no time.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::sync::Notify;

use crate::state::failures::Code;

/// Of every code under which somebody tries or waits.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<HashMap<Code, Weak<Turn>>>>);

/// Of one code.
pub struct Turn {
    /// Held by whoever tries next.
    pub queue: tokio::sync::Mutex<()>,
    /// Somebody has left.
    pub left: Notify,
    under_way: AtomicU32,
    code: Code,
    all: Turns,
}

/// Of somebody who tries. Dropped when it is known what came of it.
pub struct Place(Arc<Turn>);

impl Turns {
    pub fn of(&self, code: Code) -> Arc<Turn> {
        let mut turns = self.lock();
        if let Some(turn) = turns.get(&code).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turn {
            queue: tokio::sync::Mutex::default(),
            left: Notify::new(),
            under_way: AtomicU32::new(0),
            code,
            all: self.clone(),
        });
        turns.insert(code, Arc::downgrade(&turn));
        turn
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Code, Weak<Turn>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    pub fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::SeqCst)
    }

    pub fn place(self: &Arc<Self>) -> Place {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        Place(Arc::clone(self))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        self.0.left.notify_one();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.all.lock();
        // Another one may have come in its place.
        if turns.get(&self.code).is_some_and(|turn| turn.strong_count() == 0) {
            turns.remove(&self.code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_under_which_nobody_tries_any_more_takes_no_room() {
        let turns = Turns::default();
        let (one, other) = (turns.of([1; 32]), turns.of([2; 32]));
        let places = [one.place(), one.place(), other.place()];
        assert!(Arc::ptr_eq(&one, &turns.of([1; 32])));
        assert_eq!((one.under_way(), other.under_way(), turns.lock().len()), (2, 1, 2));
        drop((one, other));
        assert_eq!(turns.lock().len(), 2);
        drop(places);
        assert!(turns.is_empty());
    }
}
