//! The real time, which a test may move forward: pauses end earlier by that, patience does not. So a window of minutes
//! costs nothing, and no call that is under way is given up for it.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use user_manager::clock::{Clock, Time};

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone)]
pub struct Moved(Arc<Inside>);

struct Inside {
    real: Clock,
    ahead_ms: AtomicI64,
    moved: Notify,
    /// When the pauses end that somebody waits for now.
    ends_ms: Mutex<Vec<i64>>,
}

impl Default for Moved {
    fn default() -> Self {
        Self(Arc::new(Inside {
            real: Clock::system(),
            ahead_ms: AtomicI64::new(0),
            moved: Notify::new(),
            ends_ms: Mutex::default(),
        }))
    }
}

impl Moved {
    pub fn clock(&self) -> Clock {
        Clock::new(self.clone())
    }

    /// So much time passes at once.
    pub fn passes(&self, length: Duration) {
        self.0.ahead_ms.fetch_add(i64::try_from(length.as_millis()).unwrap(), Ordering::SeqCst);
        self.0.moved.notify_waiters();
    }

    /// The pause that would end next ends now.
    pub fn end_next_pause(&self) {
        let next = self.0.ends_ms.lock().unwrap().iter().min().copied();
        let left = next.map_or(0, |end| end - self.now_ms());
        self.passes(Duration::from_millis(u64::try_from(left).unwrap_or(0)));
    }
}

impl Time for Moved {
    fn now_ms(&self) -> i64 {
        self.0.real.now_ms() + self.0.ahead_ms.load(Ordering::SeqCst)
    }

    fn pause(&self, length: Duration) -> Wait {
        let end = self.now_ms().saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
        let waiting = Waiting::until(end, self.clone());
        Box::pin(async move {
            let inside = &waiting.of.0;
            loop {
                let moved = inside.moved.notified();
                tokio::pin!(moved);
                moved.as_mut().enable();
                let Ok(left @ 1..) = u64::try_from(end - waiting.of.now_ms()) else { return };
                tokio::select! {
                    () = moved => {}
                    () = inside.real.pause(Duration::from_millis(left)) => {}
                }
            }
        })
    }

    fn deadline(&self, length: Duration) -> Wait {
        let real = self.0.real.clone();
        Box::pin(async move { real.deadline(length).await })
    }
}

/// A pause, known for as long as somebody waits for its end.
struct Waiting {
    end: i64,
    of: Moved,
}

impl Waiting {
    fn until(end: i64, of: Moved) -> Self {
        of.0.ends_ms.lock().unwrap().push(end);
        Self { end, of }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut ends = self.of.0.ends_ms.lock().unwrap();
        if let Some(at) = ends.iter().position(|end| *end == self.end) {
            ends.swap_remove(at);
        }
    }
}
