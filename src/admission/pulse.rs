//! How long whoever is woken up waits until a thread of the runtime gets round to him. A thread beside the runtime wakes a
//! task of it again and again, which is what happens to a request whose bytes or whose answer has come: a timer of the
//! runtime would say nothing, since the task that it wakes goes before all others. Knows nobody who waits.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use tokio::sync::Notify;

use crate::clock::Stopwatch;

/// Between two beats.
const BEAT: Duration = Duration::from_millis(10);
/// After so many beats that nobody needed there are none until somebody does.
const UNNEEDED: u32 = 100;
/// Whoever waits longer waits too long.
const LATE: Duration = Duration::from_millis(20);
/// What has been late for so long is no pause of the whole machine.
const LATE_FOR: Duration = Duration::from_millis(60);

/// Cheap to copy; without any copy left it stops.
#[derive(Clone, Default)]
pub struct Pulse(Arc<Shared>);

#[derive(Default)]
struct Shared {
    beats: Mutex<Beats>,
    woken: Arc<Notify>,
    needed: AtomicBool,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

#[derive(Default)]
struct Beats {
    /// Since when the runtime has not come to the last one.
    unanswered: Option<Stopwatch>,
    /// Since when it has come to none in time.
    late_since: Option<Stopwatch>,
}

impl Pulse {
    /// Begins, in the runtime at hand.
    pub fn start(&self) -> std::io::Result<()> {
        let (woken, answering) = (Arc::clone(&self.0.woken), Arc::downgrade(&self.0));
        tokio::spawn(async move {
            loop {
                woken.notified().await;
                let Some(shared) = answering.upgrade() else { return };
                shared.beats().answer();
            }
        });
        let beating = Arc::downgrade(&self.0);
        let handle = thread::Builder::new().name("pulse".to_owned()).spawn(move || {
            let mut unneeded = 0;
            while let Some(shared) = beating.upgrade() {
                unneeded = if shared.needed.swap(false, Ordering::SeqCst) { 0 } else { unneeded + 1 };
                if unneeded < UNNEEDED {
                    shared.beats().send();
                    shared.woken.notify_one();
                    drop(shared);
                    thread::sleep(BEAT);
                    continue;
                }
                shared.asleep.store(true, Ordering::SeqCst);
                let needed = shared.needed.load(Ordering::SeqCst);
                drop(shared);
                if !needed {
                    thread::park();
                }
                unneeded = 0;
            }
        })?;
        // Nobody else sets it.
        let _ = self.0.thread.set(handle.thread().clone());
        Ok(())
    }

    /// Somebody is there who might wait.
    pub fn needed(&self) {
        if !self.0.needed.swap(true, Ordering::SeqCst) && self.0.asleep.swap(false, Ordering::SeqCst) {
            self.0.thread.get().inspect(|thread| thread.unpark());
        }
    }

    /// Whether whoever comes now would wait too long. To those who have been `warned` one late beat is enough.
    pub fn is_late(&self, warned: bool) -> bool {
        let patience = if warned { Duration::ZERO } else { LATE_FOR };
        self.0.beats().late_for().is_some_and(|late_for| late_for >= patience)
    }
}

impl Shared {
    fn beats(&self) -> MutexGuard<'_, Beats> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.woken.notify_one();
        self.thread.get().inspect(|thread| thread.unpark());
    }
}

impl Beats {
    fn send(&mut self) {
        self.unanswered.get_or_insert_with(Stopwatch::start);
    }

    fn answer(&mut self) {
        let Some(sent) = self.unanswered.take() else { return };
        self.late_since = (sent.elapsed() > LATE).then(|| self.late_since.unwrap_or(sent));
    }

    /// For how long every beat has been late.
    fn late_for(&self) -> Option<Duration> {
        let unanswered = self.unanswered.map(Stopwatch::elapsed).filter(|since| *since > LATE);
        self.late_since.map(Stopwatch::elapsed).max(unanswered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_beat_is_a_pause_and_late_beats_are_not() {
        let mut beats = Beats::default();
        assert_eq!(beats.late_for(), None);
        beats.send();
        assert_eq!(beats.late_for(), None, "it has only just been sent");
        thread::sleep(LATE + Duration::from_millis(1));
        let unanswered = beats.late_for().unwrap();
        assert!(unanswered > LATE);
        beats.answer();
        assert!(beats.late_for().unwrap() >= unanswered, "it has been late since it was sent");
        beats.send();
        beats.answer();
        assert_eq!(beats.late_for(), None, "one in time ends it");
    }

    #[test]
    fn a_runtime_that_is_kept_from_its_work_is_noticed_and_forgiven() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let pulse = Pulse::default();
            pulse.start().unwrap();
            // Until nobody has needed it for long, and once more after that.
            for _ in 0..2 {
                pulse.needed();
                while pulse.is_late(true) {
                    tokio::time::sleep(BEAT).await;
                }
                while !pulse.is_late(false) {
                    thread::sleep(LATE * 2);
                    tokio::task::yield_now().await;
                    pulse.needed();
                }
                tokio::time::sleep(BEAT * (UNNEEDED + 50)).await;
                assert!(!pulse.is_late(true));
                assert!(pulse.0.asleep.load(Ordering::SeqCst));
            }
        });
    }
}
