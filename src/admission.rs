//! Who is let in. What comes while too much waits already is refused at the door, before any work was done for it, so that
//! those who were let in are answered as fast as ever and nothing is begun in vain.
//!
//! Too much is told by how long the first that waits has waited, since nobody behind him will wait less. That needs no guess
//! at how many at once this machine can bear: light requests pass in their hundreds, of heavy ones there are soon too many.
//! Each kind is told by what it will wait for itself: people who search keep nobody from logging in. Knows no route.

mod pulse;

use std::{
    collections::BTreeMap,
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
/// A password takes some 20 ms of a core, so whoever is inside for so long has many before him.
const LOGIN_PATIENCE: Duration = Duration::from_millis(100);
/// So few wait without being too many, however long each takes.
const FEW: usize = 8;

/// Whoever is to be woken up is woken too late after that.
const LATE: Duration = Duration::from_millis(10);
/// What has been late for so long is no pause of the whole machine.
const LATE_FOR: Duration = Duration::from_millis(60);
/// More are never inside at once.
const NO_BOUND: usize = 1 << 20;

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
}

/// Cheap to copy.
#[derive(Clone)]
pub struct Admission(Arc<Door>);

struct Door {
    /// So many at once, where that was said; then nothing else counts.
    most: Option<usize>,
    inside: AtomicUsize,
    /// Those of them who keep the runtime busy: whoever logs in waits for his password to be hashed most of the time.
    busy: AtomicUsize,
    /// Since when each who logs in is inside, in the order in which they came.
    logins: Mutex<BTreeMap<u64, Stopwatch>>,
    pace: Mutex<Pace>,
    pulse: Pulse,
    refused: Mutex<Refused>,
}

/// How many may be inside, as the runtime bears them: by and by more while it is in time, fewer while it is late.
#[derive(Debug)]
struct Pace {
    bound: usize,
    late_since: Option<Stopwatch>,
}

#[derive(Default)]
struct Refused {
    told: Option<Stopwatch>,
    /// Since it was told.
    since: u64,
}

/// Whoever holds it is inside.
pub struct Inside {
    door: Arc<Door>,
    /// His number, where he logs in.
    login: Option<u64>,
}

impl Admission {
    pub fn new(most: Option<usize>) -> Self {
        Self(Arc::new(Door {
            most,
            inside: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            logins: Mutex::default(),
            pace: Mutex::new(Pace { bound: NO_BOUND, late_since: None }),
            pulse: Pulse::default(),
            refused: Mutex::default(),
        }))
    }

    /// `overloaded` where too much waits already.
    pub fn admit(&self, kind: Kind, backlogs: impl FnOnce() -> Backlogs) -> Result<Inside, Error> {
        self.0.pulse.needed();
        let before = self.0.inside.fetch_add(1, Ordering::SeqCst);
        let (inside, many) = match kind {
            Kind::Login => {
                let (number, many) = self.0.log_in();
                (Inside { door: self.0.clone(), login: Some(number) }, many)
            }
            Kind::Read | Kind::Search | Kind::Change => {
                let busy = self.0.busy.fetch_add(1, Ordering::SeqCst);
                (Inside { door: self.0.clone(), login: None }, busy >= self.0.pace().bound)
            }
        };
        let full = match self.0.most {
            Some(most) => before >= most,
            None => many || too_many(kind, backlogs()),
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
            None => {
                let door = Arc::downgrade(&self.0);
                self.0.pulse.start(move |waited| {
                    if let Some(door) = door.upgrade() {
                        door.beat(waited);
                    }
                })
            }
        }
    }
}

impl Door {
    fn beat(&self, waited: Duration) {
        let busy = self.busy.load(Ordering::SeqCst);
        self.pace().beat(waited, busy);
    }

    /// His number, and whether those before him have been inside for too long.
    fn log_in(&self) -> (u64, bool) {
        let mut logins = self.logins();
        let number = logins.last_key_value().map_or(0, |(last, _)| last + 1);
        let waits = logins.first_key_value().is_some_and(|(_, since)| since.elapsed() > LOGIN_PATIENCE);
        let many = logins.len() > FEW && waits;
        logins.insert(number, Stopwatch::start());
        (number, many)
    }

    fn logins(&self) -> MutexGuard<'_, BTreeMap<u64, Stopwatch>> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuses(&self) {
        let mut refused = self.refused();
        refused.since += 1;
        if refused.told.is_none_or(|told| told.elapsed() > TELL_EVERY) {
            tracing::warn!(requests = refused.since, "too much is waiting: requests are refused");
            *refused = Refused { told: Some(Stopwatch::start()), since: 0 };
        }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    /// Whoever was woken waited so long, and so many were busy.
    fn beat(&mut self, waited: Duration, busy: usize) {
        if waited <= LATE {
            self.late_since = None;
            self.bound = (self.bound + 1 + self.bound / 64).min(NO_BOUND);
            return;
        }
        let late_since = *self.late_since.get_or_insert_with(Stopwatch::start);
        if self.bound < NO_BOUND || late_since.elapsed() > LATE_FOR {
            self.bound = (self.bound.min(busy) * 3 / 4).max(FEW);
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.door.inside.fetch_sub(1, Ordering::SeqCst);
        match self.login {
            Some(number) => drop(self.door.logins().remove(&number)),
            None => drop(self.door.busy.fetch_sub(1, Ordering::SeqCst)),
        }
    }
}

fn too_many(kind: Kind, backlogs: Backlogs) -> bool {
    let waits = |backlog: Backlog| backlog.jobs > FEW && backlog.oldest > READ_PATIENCE;
    match kind {
        Kind::Read | Kind::Change => waits(backlogs.reads),
        Kind::Search => waits(backlogs.queries),
        Kind::Login => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Backlog = Backlog { jobs: 0, oldest: Duration::ZERO };
    const MUCH: Backlog = Backlog { jobs: 1000, oldest: Duration::from_secs(1) };
    const QUIET: Backlogs = Backlogs { reads: NOTHING, queries: NOTHING };
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
        // Many that wait for a moment, few that wait for long.
        let burst = Backlog { jobs: 1000, oldest: Duration::from_millis(20) };
        let heavy = Backlog { jobs: FEW, oldest: Duration::from_secs(5) };
        for bearable in [burst, heavy] {
            check(Backlogs { reads: bearable, queries: bearable }, &[]);
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

    #[test]
    fn fewer_may_be_inside_while_the_runtime_is_late_and_more_again_while_it_is_in_time() {
        let mut pace = Pace { bound: NO_BOUND, late_since: None };
        pace.beat(LATE * 2, 1000);
        pace.beat(LATE, 1000);
        assert_eq!(pace.bound, NO_BOUND, "one late beat is a pause");
        pace.beat(LATE * 2, 1000);
        std::thread::sleep(LATE_FOR + Duration::from_millis(1));
        pace.beat(LATE * 2, 1000);
        assert_eq!(pace.bound, 750, "of those who are there");
        for _ in 0..100 {
            pace.beat(LATE * 2, 1000);
        }
        assert_eq!(pace.bound, FEW, "few are always let in");
        let mut beats = 0;
        while pace.bound < NO_BOUND {
            pace.beat(LATE, 0);
            beats += 1;
        }
        assert!((500..1000).contains(&beats), "{beats}");
    }

    #[test]
    fn a_bound_is_for_those_who_keep_the_runtime_busy() {
        let admission = Admission::new(None);
        admission.0.pace().bound = FEW;
        let crowd: Vec<Inside> = (0..FEW).map(|_| admission.admit(Kind::Read, || QUIET).unwrap()).collect();
        assert_eq!(refused(&admission, QUIET), [Kind::Read, Kind::Search, Kind::Change]);
        drop(crowd);
        let logins: Vec<Inside> = (0..100).map(|_| admission.admit(Kind::Login, || QUIET).unwrap()).collect();
        assert_eq!(refused(&admission, QUIET), []);
        assert_eq!(admission.inside(), 100);
        std::thread::sleep(LOGIN_PATIENCE + Duration::from_millis(1));
        assert_eq!(refused(&admission, QUIET), [Kind::Login], "the first of many has been inside for long");
        drop(logins);
        assert_eq!((admission.inside(), refused(&admission, QUIET)), (0, vec![]));
    }
}
