//! How long whoever is woken up waits until a thread of the runtime gets round to him. A thread beside the runtime wakes a
//! task of it again and again, which is what happens to a request whose bytes or whose answer has come: a timer of the
//! runtime would say nothing, since the task that it wakes goes before all others. Knows nobody who waits.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use tokio::sync::Notify;

use crate::clock::{self, Stopwatch};

/// Between two beats.
const BEAT: Duration = Duration::from_millis(10);
/// After so many beats that nobody needed there are none until somebody does.
const UNNEEDED: u32 = 100;

/// Cheap to copy; without any copy left it stops.
#[derive(Clone, Default)]
pub struct Pulse(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The last beat, until the runtime comes to it.
    sent: Mutex<Option<Stopwatch>>,
    woken: Arc<Notify>,
    needed: AtomicBool,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Pulse {
    /// Begins, in the runtime at hand. Of each beat is told how long it waited.
    pub fn start(&self, tell: impl Fn(Duration) + Send + 'static) -> io::Result<()> {
        let (woken, answering) = (Arc::clone(&self.0.woken), Arc::downgrade(&self.0));
        tokio::spawn(async move {
            loop {
                woken.notified().await;
                let Some(shared) = answering.upgrade() else { return };
                let sent = shared.sent().take();
                if let Some(sent) = sent {
                    tell(sent.elapsed());
                }
            }
        });
        let beating = Arc::downgrade(&self.0);
        let handle = thread::Builder::new().name("pulse".to_owned()).spawn(move || {
            let mut unneeded = 0;
            while let Some(shared) = beating.upgrade() {
                unneeded = if shared.needed.swap(false, Ordering::SeqCst) { 0 } else { unneeded + 1 };
                if unneeded < UNNEEDED {
                    shared.sent().get_or_insert_with(Stopwatch::start);
                    shared.woken.notify_one();
                    drop(shared);
                    clock::rest(BEAT);
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
}

impl Shared {
    fn sent(&self) -> MutexGuard<'_, Option<Stopwatch>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.woken.notify_one();
        self.thread.get().inspect(|thread| thread.unpark());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_runtime_that_is_kept_from_its_work_is_late_and_then_in_time_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (pulse, told) = (Pulse::default(), Arc::new(Mutex::new(Vec::new())));
            let telling = Arc::clone(&told);
            pulse.start(move |waited| telling.lock().unwrap().push(waited)).unwrap();
            let last = || told.lock().unwrap().last().copied().unwrap_or_default();
            // Until nobody has needed it for long, and once more after that.
            for _ in 0..2 {
                while last() < BEAT * 3 {
                    pulse.needed();
                    Clock::system().pause(BEAT).await;
                    clock::rest(BEAT * 8);
                    tokio::task::yield_now().await;
                }
                while !pulse.0.asleep.load(Ordering::SeqCst) {
                    Clock::system().pause(BEAT).await;
                }
                assert!(last() < BEAT * 3, "{:?}", last());
                let beats = told.lock().unwrap().len();
                Clock::system().pause(BEAT * 5).await;
                assert_eq!(told.lock().unwrap().len(), beats, "it beats for nobody");
            }
            drop(pulse);
            while Arc::strong_count(&told) > 1 {
                Clock::system().pause(BEAT).await;
            }
        });
    }
}
