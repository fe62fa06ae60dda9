//! Who is let in. What comes while too much waits already is refused at the door, before any work was done for it, so that
//! those who were let in are answered as fast as ever and nothing is begun in vain.
//!
//! Too much is told by how long the first that waits has waited, since nobody behind him will wait less. That needs no guess
//! at how many at once this machine can bear: light requests pass in their hundreds, of heavy ones there are soon too many.
//! Each kind is told by what it will wait for itself: people who search keep nobody from logging in. Knows no route.

mod pulse;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use self::pulse::Pulse;
use crate::{
    clock::Stopwatch,
    error::{Code, Error},
    line::Backlog,
};

/// Who waits longer for a thread that reads than half a dozen usual lists take is one of too many.
const READ_PATIENCE: Duration = Duration::from_millis(25);
/// A password takes some 20 ms of a core, so these are many.
const LOGIN_PATIENCE: Duration = Duration::from_millis(500);
/// So few wait without being too many, however long each takes.
const FEW: usize = 8;

/// Whoever was refused is a warning for so long: from then on the first sign is enough.
const WARNED_FOR: Duration = Duration::from_secs(1);
/// That many are refused is told once in so long.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// By what they wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What is found at once.
    Read,
    /// Looks through a collection.
    Search,
    Change,
    /// Hashes a password.
    Login,
}

/// What waits inside, by what it waits for.
#[derive(Debug, Clone, Copy)]
pub struct Backlogs {
    pub reads: Backlog,
    pub queries: Backlog,
    /// Of our own identities.
    pub passwords: Option<Backlog>,
}

/// Cheap to copy.
#[derive(Clone)]
pub struct Admission(Arc<Door>);

struct Door {
    /// So many at once, where that was said; then nothing else counts.
    most: Option<usize>,
    inside: AtomicUsize,
    pulse: Pulse,
    refused: Mutex<Refused>,
}

#[derive(Default)]
struct Refused {
    last: Option<Stopwatch>,
    told: Option<Stopwatch>,
    /// Since it was told.
    since: u64,
}

/// Whoever holds it is inside.
pub struct Inside(Arc<Door>);

impl Admission {
    pub fn new(most: Option<usize>) -> Self {
        let inside = AtomicUsize::new(0);
        Self(Arc::new(Door { most, inside, pulse: Pulse::default(), refused: Mutex::default() }))
    }

    /// `overloaded` where too much waits already.
    pub fn admit(&self, kind: Kind, backlogs: impl FnOnce() -> Backlogs) -> Result<Inside, Error> {
        let before = self.0.inside.fetch_add(1, Ordering::SeqCst);
        let inside = Inside(self.0.clone());
        self.0.pulse.needed();
        let full = match self.0.most {
            Some(most) => before >= most,
            None => (before >= FEW && self.0.is_late()) || too_many(kind, backlogs()),
        };
        if full {
            self.0.refuses();
            return Err(Error::new(Code::Overloaded, "Too much is waiting here at the moment").retry_after(1));
        }
        Ok(inside)
    }

    /// How many are inside.
    pub fn inside(&self) -> usize {
        self.0.inside.load(Ordering::SeqCst)
    }

    /// Looks from now on whether whoever is to be woken up is woken in time.
    pub fn watch(&self) -> io::Result<()> {
        match self.0.most {
            Some(_) => Ok(()),
            None => self.0.pulse.start(),
        }
    }
}

impl Door {
    fn is_late(&self) -> bool {
        let warned = self.refused().last.is_some_and(|last| last.elapsed() < WARNED_FOR);
        self.pulse.is_late(warned)
    }

    fn refuses(&self) {
        let mut refused = self.refused();
        refused.last = Some(Stopwatch::start());
        refused.since += 1;
        if refused.told.is_none_or(|told| told.elapsed() > TELL_EVERY) {
            tracing::warn!(requests = refused.since, "too much is waiting: requests are refused");
            (refused.told, refused.since) = (refused.last, 0);
        }
    }

    fn refused(&self) -> MutexGuard<'_, Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

fn too_many(kind: Kind, backlogs: Backlogs) -> bool {
    let waits = |backlog: Backlog, patience| backlog.jobs > FEW && backlog.oldest > patience;
    match kind {
        Kind::Read | Kind::Change => waits(backlogs.reads, READ_PATIENCE),
        Kind::Search => waits(backlogs.queries, READ_PATIENCE),
        Kind::Login => backlogs.passwords.is_some_and(|passwords| waits(passwords, LOGIN_PATIENCE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Backlog = Backlog { jobs: 0, oldest: Duration::ZERO };
    const MUCH: Backlog = Backlog { jobs: 1000, oldest: Duration::from_secs(1) };
    const QUIET: Backlogs = Backlogs { reads: NOTHING, queries: NOTHING, passwords: Some(NOTHING) };
    const KINDS: [Kind; 4] = [Kind::Read, Kind::Search, Kind::Change, Kind::Login];

    fn refused(admission: &Admission, backlogs: Backlogs) -> Vec<Kind> {
        KINDS.into_iter().filter(|kind| admission.admit(*kind, || backlogs).is_err()).collect()
    }

    #[test]
    fn each_kind_is_refused_for_what_it_would_wait_for_itself() {
        let check = |backlogs: Backlogs, expected: &[Kind]| {
            assert_eq!(refused(&Admission::new(None), backlogs), expected, "{backlogs:?}");
        };
        check(QUIET, &[]);
        check(Backlogs { reads: MUCH, ..QUIET }, &[Kind::Read, Kind::Change]);
        check(Backlogs { queries: MUCH, ..QUIET }, &[Kind::Search]);
        check(Backlogs { passwords: Some(MUCH), ..QUIET }, &[Kind::Login]);
        check(Backlogs { passwords: None, ..QUIET }, &[]);
        // Many that wait for a moment, few that wait for long.
        let burst = Backlog { jobs: 1000, oldest: Duration::from_millis(20) };
        let heavy = Backlog { jobs: FEW, oldest: Duration::from_secs(5) };
        for bearable in [burst, heavy] {
            check(Backlogs { reads: bearable, queries: bearable, passwords: Some(bearable) }, &[]);
        }
    }

    #[test]
    fn where_a_number_is_given_only_that_counts() {
        let admission = Admission::new(Some(2));
        let admit = || admission.admit(Kind::Read, || Backlogs { reads: MUCH, ..QUIET });
        let (first, second) = (admit().unwrap(), admit().unwrap());
        let error = admit().err().unwrap();
        assert_eq!((error.code(), admission.inside()), (Code::Overloaded, 2));
        drop(first);
        let third = admit().unwrap();
        drop((second, third));
        assert_eq!(admission.inside(), 0);
    }

    #[tokio::test]
    async fn a_crowd_is_kept_small_while_the_runtime_is_late_and_few_are_always_let_in() {
        let admission = Admission::new(None);
        admission.watch().unwrap();
        let crowd: Vec<Inside> = (0..FEW).map(|_| admission.admit(Kind::Read, || QUIET).unwrap()).collect();
        while refused(&admission, QUIET).is_empty() {
            std::thread::sleep(Duration::from_millis(40));
            tokio::task::yield_now().await;
        }
        assert_eq!(refused(&admission, QUIET), KINDS);
        drop(crowd);
        assert_eq!(refused(&admission, QUIET), [], "whoever comes alone keeps nobody waiting");
        assert_eq!(admission.inside(), 0);
    }
}
