//! Named points at which the process kills itself. Compiled in only under the feature `crash-points`, and even then idle
//! until armed from the command line.

/// Every name, in the order in which an operation passes them.
pub const POINTS: [&str; 9] = [
    "begun",
    "intent-written",
    "effect-done",
    "commit-written",
    "promise-kept",
    "rollback-written",
    "put-back",
    "quiet-written",
    "end-written",
];

#[cfg(not(feature = "crash-points"))]
pub fn point(_name: &'static str) {}

#[cfg(feature = "crash-points")]
pub use armed::{arm, point};

#[cfg(feature = "crash-points")]
mod armed {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    };

    static ARMED: OnceLock<(String, AtomicU32)> = OnceLock::new();

    /// The process will die by SIGKILL when it passes `name` for the `nth` time (from 1).
    pub fn arm(name: &str, nth: u32) {
        let _ = ARMED.set((name.to_owned(), AtomicU32::new(nth)));
    }

    pub fn point(name: &'static str) {
        let Some((armed, left)) = ARMED.get() else { return };
        if armed == name && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // SIGKILL, so that nothing is flushed, closed or told.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}
