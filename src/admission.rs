//! Who is let in. What comes while too much waits already is refused at the door, before any work was done for it, so that
//! those who were let in are answered as fast as ever and nothing is begun in vain.
//!
//! Too much is told by how long the first that waits has waited, since nobody behind him will wait less. That needs no guess
//! at how many at once this machine can bear: light requests pass in their hundreds, of heavy ones there are soon too many.
//! Each kind is told by what it will wait for itself: people who search keep nobody from logging in. Knows no route.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    clock::{self, Stopwatch},
    error::{Code, Error},
    line::Backlog,
};

/// Who waits longer for a thread that reads than half a dozen usual lists take is one of too many.
const READ_PATIENCE: Duration = Duration::from_millis(25);
/// A password takes some 20 ms of a core, so these are many.
const LOGIN_PATIENCE: Duration = Duration::from_millis(500);
/// So few wait without being too many, however long each takes.
const FEW: usize = 8;

/// How often it is looked whether requests are served in time.
const BEAT: Duration = Duration::from_millis(20);
/// A beat that comes later than that is late; a pause of the whole machine is one late beat.
const LATE: Duration = Duration::from_millis(25);
/// Beats that have been late for so long are no pause.
const LATE_FOR: Duration = Duration::from_millis(100);

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
    came: Notify,
    late_since: Mutex<Option<Stopwatch>>,
    /// When it was told last that somebody was refused, and how many have been since.
    refused: Mutex<(Option<Stopwatch>, u64)>,
}

/// Whoever holds it is inside.
pub struct Inside(Arc<Door>);

impl Admission {
    pub fn new(most: Option<usize>) -> Self {
        let (inside, came) = (AtomicUsize::new(0), Notify::new());
        Self(Arc::new(Door { most, inside, came, late_since: Mutex::default(), refused: Mutex::default() }))
    }

    /// `overloaded` where too much waits already.
    pub fn admit(&self, kind: Kind, backlogs: impl FnOnce() -> Backlogs) -> Result<Inside, Error> {
        let before = self.0.inside.fetch_add(1, Ordering::SeqCst);
        let inside = Inside(self.0.clone());
        if before == 0 {
            self.0.came.notify_one();
        }
        let full = match self.0.most {
            Some(most) => before >= most,
            None => (before >= FEW && self.late()) || too_many(kind, backlogs()),
        };
        if full {
            self.0.tell_of_refusal();
            return Err(Error::new(Code::Overloaded, "Too much is waiting here at the moment").retry_after(1));
        }
        Ok(inside)
    }

    /// How many are inside.
    pub fn inside(&self) -> usize {
        self.0.inside.load(Ordering::SeqCst)
    }

    /// Looks, as long as somebody is inside, whether whoever is to be woken up is woken in time.
    pub fn watch(&self) {
        if self.0.most.is_some() {
            return;
        }
        let door = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            while let Some(door) = door.upgrade() {
                if door.inside.load(Ordering::SeqCst) == 0 {
                    *door.late_since() = None;
                    door.came.notified().await;
                }
                door.beat(clock::lateness(BEAT).await);
            }
        });
    }

    fn late(&self) -> bool {
        self.0.late_since().is_some_and(|since| since.elapsed() > LATE_FOR)
    }
}

impl Door {
    fn beat(&self, lateness: Duration) {
        let mut late_since = self.late_since();
        *late_since = (lateness > LATE).then(|| late_since.unwrap_or_else(Stopwatch::start));
    }

    fn tell_of_refusal(&self) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.1 += 1;
        if refused.0.is_none_or(|told| told.elapsed() > TELL_EVERY) {
            tracing::warn!(requests = refused.1, "too much is waiting: requests are refused");
            *refused = (Some(Stopwatch::start()), 0);
        }
    }

    fn late_since(&self) -> MutexGuard<'_, Option<Stopwatch>> {
        self.late_since.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// So many are inside that one more may be one too many.
    fn crowd(admission: &Admission) -> Vec<Inside> {
        (0..FEW).map(|_| admission.admit(Kind::Read, || QUIET).unwrap()).collect()
    }

    #[tokio::test]
    async fn beats_that_stay_late_close_the_door_to_a_crowd_and_one_in_time_opens_it() {
        let admission = Admission::new(None);
        let door = &admission.0;
        let crowd = crowd(&admission);
        door.beat(LATE * 2);
        assert_eq!(refused(&admission, QUIET), [], "one late beat is a pause");
        tokio::time::sleep(LATE_FOR + Duration::from_millis(1)).await;
        door.beat(LATE * 2);
        assert_eq!(refused(&admission, QUIET), KINDS);
        drop(crowd);
        assert_eq!(refused(&admission, QUIET), [], "whoever comes alone keeps nobody waiting");
        let _crowd = self::crowd(&admission);
        assert_eq!(refused(&admission, QUIET), KINDS);
        door.beat(LATE);
        assert_eq!(refused(&admission, QUIET), []);
    }

    #[test]
    fn a_runtime_that_is_kept_from_its_work_is_noticed_and_forgiven() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let admission = Admission::new(None);
            admission.watch();
            let first = crowd(&admission);
            let mut noticed = false;
            for _ in 0..100 {
                std::thread::sleep(LATE + BEAT * 2);
                tokio::task::yield_now().await;
                noticed |= !refused(&admission, QUIET).is_empty();
            }
            assert!(noticed);
            // Nobody is left who could be late; a crowd that comes much later finds the door open.
            drop(first);
            tokio::time::sleep(BEAT * 3).await;
            assert!(admission.0.late_since().is_none());
            let second = crowd(&admission);
            assert_eq!(refused(&admission, QUIET), []);
            drop(second);
        });
    }
}
