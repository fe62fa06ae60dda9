//! A clock in the test's hand: pauses pass at once, deadlines come when pauses have carried time so far, and what is
//! under way lands when its moment has come.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::Notify;
use user_manager::clock::{Clock, Time};

type Effect = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where every world begins: a time in 2026.
const BEGINNING_MS: i64 = 1_795_000_000_000;

/// After what a call that went unanswered can land no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    ByAFence,
    ByTime,
}

#[derive(Clone, Default)]
pub struct Hand(Arc<State>);

struct State {
    now_ms: Mutex<i64>,
    moved: Notify,
    /// What lands at a time.
    under_way: Mutex<Vec<(i64, Closed, Effect)>>,
}

impl Default for State {
    fn default() -> Self {
        Self { now_ms: Mutex::new(BEGINNING_MS), moved: Notify::new(), under_way: Mutex::default() }
    }
}

impl Hand {
    pub fn clock(&self) -> Clock {
        Clock::new(self.clone())
    }

    pub fn now_ms(&self) -> i64 {
        *self.0.now_ms.lock().unwrap()
    }

    /// Lands when time comes there.
    pub fn lands_at(&self, at_ms: i64, closed: Closed, effect: Effect) {
        self.0.under_way.lock().unwrap().push((at_ms, closed, effect));
    }

    /// How much is under way that nothing but time can close: as long as there is any, its names must be held.
    pub fn still_open(&self) -> usize {
        self.0.under_way.lock().unwrap().iter().filter(|(_, closed, _)| *closed == Closed::ByTime).count()
    }

    /// Another clock that shows the same; nothing where something is under way.
    pub fn copy(&self) -> Option<Self> {
        let state = State { now_ms: Mutex::new(self.now_ms()), ..State::default() };
        self.0.under_way.lock().unwrap().is_empty().then(|| Self(Arc::new(state)))
    }

    /// What has not landed by now never will: the cell is over.
    pub fn forget(&self) {
        let effects = std::mem::take(&mut *self.0.under_way.lock().unwrap());
        drop(effects);
    }

    pub async fn advance(&self, length: Duration) {
        let until = self.now_ms() + i64::try_from(length.as_millis()).unwrap();
        loop {
            let due = {
                let mut under_way = self.0.under_way.lock().unwrap();
                let next =
                    (0..under_way.len()).filter(|&at| under_way[at].0 <= until).min_by_key(|&at| under_way[at].0);
                next.map(|at| under_way.remove(at))
            };
            let Some((at_ms, _, effect)) = due else { break };
            self.reach(at_ms);
            effect.await;
        }
        self.reach(until);
        // Others get their turn at the new time before anybody pauses again.
        tokio::task::yield_now().await;
    }

    fn reach(&self, ms: i64) {
        let mut now = self.0.now_ms.lock().unwrap();
        *now = (*now).max(ms);
        drop(now);
        self.0.moved.notify_waiters();
    }
}

impl Time for Hand {
    fn now_ms(&self) -> i64 {
        Hand::now_ms(self)
    }

    fn pause(&self, length: Duration) -> Effect {
        let hand = self.clone();
        Box::pin(async move { hand.advance(length).await })
    }

    fn deadline(&self, length: Duration) -> Effect {
        let hand = self.clone();
        let until = hand.now_ms().saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
        Box::pin(async move {
            loop {
                let moved = hand.0.moved.notified();
                tokio::pin!(moved);
                moved.as_mut().enable();
                if hand.now_ms() >= until {
                    return;
                }
                moved.await;
            }
        })
    }
}
