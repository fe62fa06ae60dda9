//! Plane K: every operation, killed at every journal write (before it, after it) and after every effect, forward, in every
//! undo, and in the recovery of that. A crash is a reply that never comes; everything is dropped and opened anew.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Notify;
use user_manager::{
    idempotency::Once,
    state::{
        Error, Journal, Ledger, SessionStore,
        journal::{Appended, Begun, Entry, ListQuery, New, Record, Unsettled},
    },
};

use crate::{
    matrix::{
        Drivers, Life, Operation, Seen, Snapshot, Template, World,
        faulty::{Fault, Then},
        is_true, judge,
    },
    plane_s::{Tally, clean, shards},
};

/// Fewer cells than this is a failure. More asks to raise it.
const FLOOR: usize = 91_000;

#[test]
fn every_operation_is_wholly_before_or_wholly_after_wherever_it_is_killed() {
    let tally = shards(|template, operation, drivers, tally| async move {
        sweep(&template, operation, drivers, &tally).await;
    });
    tally.account("K", FLOOR);
}

/// Some have moved by then and others not, so it is before or after for each of them, and the answer counts.
#[tokio::test]
async fn of_many_who_move_at_once_no_further_one_is_begun_after_a_kill_and_the_answer_is_true() {
    let template = Template::make().await;
    let operation = Operation::ThreeToDraft;
    let (mut ends, mut counts) = (0, BTreeSet::new());
    for drivers in Drivers::ALL {
        for kind in End::KINDS {
            for nth in 1.. {
                let world = World::new(&template, operation, drivers).await;
                if !first_life(&world, operation, Wrong::Nothing, kind(nth)).await {
                    break;
                }
                let told = format!("{drivers:?} {:?}", kind(nth));
                world.let_go().await;
                let began = world.began();
                let life = world.live(|journal| journal).await;
                life.app.sagas.recover().await.unwrap();
                life.app.sagas.idle().await;
                assert_eq!(world.began(), began, "{told}: something was begun after the kill");
                assert_eq!(world.look().leftovers(), Vec::<String>::new(), "{told}");
                let moved = world.snapshot().in_state("DRAFT");
                if began == 0 {
                    assert_eq!(moved, 0, "{told}");
                    continue;
                }
                let Once::Again(kept) = operation.ask_once(&life.app).await else {
                    panic!("{told}: it was carried out again")
                };
                let sentence = format!("{moved} of 3 users changed");
                let holds = if moved == 3 { kept.status == 200 } else { kept.body.contains(&sentence) };
                // Before those who are meant are written down nobody is.
                let interrupted = moved == 0 && began == 1 && kept.body.contains("\"interrupted\"");
                assert!(holds || interrupted, "{told}: {sentence}, and it is told {kept:?}");
                ends += 1;
                counts.insert(moved);
            }
        }
    }
    assert!(ends > 60 && counts == BTreeSet::from([0, 1, 2, 3]), "{ends} {counts:?}");
}

/// Where a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The nth journal write never happens.
    BeforeWrite(u32),
    /// It is durable, and nobody hears of it.
    AfterWrite(u32),
    /// The nth call is carried out, and nobody hears of it.
    AfterCall(u32),
}

impl End {
    const KINDS: [fn(u32) -> Self; 3] = [Self::BeforeWrite, Self::AfterWrite, Self::AfterCall];
}

/// What goes wrong before the end of the first life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// So that every undo is passed.
    Refused(u32),
    /// The first sending of a call that no fence closes: it lands at the very end of its time, whoever lives then.
    Late(u32),
}

/// One second before the window closes.
const AT_THE_LAST: Duration = Duration::from_secs(299);

async fn sweep(template: &Template, operation: Operation, drivers: Drivers, tally: &Mutex<Tally>) {
    let (before, after) = clean(template, operation, drivers).await;
    for wrong in wrongs(template, operation, drivers).await {
        for kind in End::KINDS {
            for nth in 1.. {
                if !lives(template, operation, drivers, wrong, kind(nth), (&before, &after), tally).await {
                    break;
                }
            }
        }
    }
}

/// Every call of a clean run, refused, and late where that matters.
async fn wrongs(template: &Template, operation: Operation, drivers: Drivers) -> Vec<Wrong> {
    let world = World::new(template, operation, drivers).await;
    let life = world.live(|journal| journal).await;
    let _ = operation.ask_once(&life.app).await;
    life.app.sagas.idle().await;
    let calls = 1..=life.script.calls();
    let mut wrongs = vec![Wrong::Nothing];
    wrongs.extend(calls.clone().map(Wrong::Refused));
    wrongs.extend(calls.filter(|&nth| life.script.is_unfenced(nth)).map(Wrong::Late));
    wrongs
}

/// A first life that ends there, then a recovery that is left alone, and one that is killed too, at every place. Whether
/// the first end was reached.
async fn lives(
    template: &Template,
    operation: Operation,
    drivers: Drivers,
    wrong: Wrong,
    end: End,
    worlds: (&Snapshot, &Snapshot),
    tally: &Mutex<Tally>,
) -> bool {
    if matches!((wrong, end), (Wrong::Refused(nth) | Wrong::Late(nth), End::AfterCall(last)) if nth == last) {
        // Such a call is not carried out now: there is nothing to die after.
        return true;
    }
    let name = format!("K/{operation:?}/{drivers:?}/{wrong:?}/{end:?}");
    let world = World::new(template, operation, drivers).await;
    if !first_life(&world, operation, wrong, end).await {
        return false;
    }
    world.let_go().await;
    for kind in End::KINDS {
        for nth in 1.. {
            let world = match world.copy() {
                Some(copy) => copy,
                None => {
                    let again = World::new(template, operation, drivers).await;
                    first_life(&again, operation, wrong, end).await;
                    again
                }
            };
            if !recovery(&world, kind(nth)).await {
                break;
            }
            let seen = last_life(&world, operation, worlds).await;
            let name = format!("{name}/then {:?}", kind(nth));
            tally.lock().unwrap().count(&name, seen);
        }
    }
    let seen = last_life(&world, operation, worlds).await;
    tally.lock().unwrap().count(&name, seen);
    true
}

async fn first_life(world: &World, operation: Operation, wrong: Wrong, end: End) -> bool {
    let mortal = Mortal::new(end);
    let life = world.live(mortal.before()).await;
    match wrong {
        Wrong::Nothing => {}
        Wrong::Refused(nth) => life.script.plan(nth, Fault::Refused, Then::Well),
        Wrong::Late(nth) => life.script.plan(nth, Fault::LateAfter(AT_THE_LAST), Then::Well),
    }
    if let End::AfterCall(nth) = end {
        life.script.crash_at(nth);
    }
    tokio::select! {
        biased;
        () = mortal.died.notified() => true,
        () = life.script.crashed.notified() => true,
        () = async { let _ = operation.ask_once(&life.app).await; life.app.sagas.idle().await } => false,
    }
}

async fn recovery(world: &World, end: End) -> bool {
    let mortal = Mortal::new(end);
    let life = world.live(mortal.before()).await;
    if let End::AfterCall(nth) = end {
        life.script.crash_at(nth);
    }
    tokio::select! {
        biased;
        () = mortal.died.notified() => true,
        () = life.script.crashed.notified() => true,
        () = async { let _ = life.app.sagas.recover().await; life.app.sagas.idle().await } => false,
    }
}

async fn last_life(world: &World, operation: Operation, (before, after): (&Snapshot, &Snapshot)) -> Seen {
    let life = world.live(|journal| journal).await;
    life.app.sagas.recover().await.unwrap();
    life.app.sagas.idle().await;
    let open = world.hand.still_open();
    if open > 0 {
        return Seen::Broken(format!("settled while {open} calls could still land"));
    }
    match judge(world, before, after, None) {
        Seen::Broken(why) => Seen::Broken(why),
        seen @ (Seen::Before | Seen::After) if operation.is_our_own() => seen,
        seen @ (Seen::Before | Seen::After) => repeated(world, &life, operation, seen, (before, after)).await,
    }
}

/// Whoever sends the same once more under the same key is told what came of the first; where the first never began, it is
/// carried out now.
async fn repeated(
    world: &World,
    life: &Life,
    operation: Operation,
    seen: Seen,
    (before, after): (&Snapshot, &Snapshot),
) -> Seen {
    for _ in 0..2 {
        let began = world.began() > 0;
        let told = operation.ask_once(&life.app).await;
        life.app.sagas.idle().await;
        let now = world.snapshot();
        let holds = match &told {
            Once::Again(kept) if kept.status == 200 => now.is_whole(after),
            Once::Again(_) => now == *before,
            Once::Now(told) => !began && is_true(told, &now, before, after),
        };
        if !holds || world.began() > operation.operations() {
            let told = match told {
                Once::Again(kept) => format!("{kept:?}"),
                Once::Now(told) => format!("now {told:?}"),
            };
            return Seen::Broken(format!("it is {seen:?}, and whoever asks again is told {told}"));
        }
    }
    seen
}

/// A journal that dies at one of its writes: no reply ever comes.
struct Mortal {
    end: End,
    writes: AtomicU32,
    died: Notify,
}

impl Mortal {
    fn new(end: End) -> Arc<Self> {
        Arc::new(Self { end, writes: AtomicU32::new(0), died: Notify::new() })
    }

    fn before(self: &Arc<Self>) -> impl FnOnce(Arc<dyn Journal>) -> Arc<dyn Journal> {
        let mortal = self.clone();
        move |inner| Arc::new(MortalJournal { inner, mortal })
    }

    async fn write<T>(&self, write: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let nth = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        if self.end == End::BeforeWrite(nth) {
            self.died.notify_one();
            return std::future::pending().await;
        }
        let written = write.await;
        if self.end == End::AfterWrite(nth) {
            self.died.notify_one();
            return std::future::pending().await;
        }
        written
    }
}

struct MortalJournal {
    inner: Arc<dyn Journal>,
    mortal: Arc<Mortal>,
}

#[async_trait]
impl Journal for MortalJournal {
    async fn begin(&self, new: New) -> Result<Begun, Error> {
        self.mortal.write(self.inner.begin(new)).await
    }

    async fn append(&self, operation: &str, records: Vec<Record>) -> Result<Appended, Error> {
        self.mortal.write(self.inner.append(operation, records)).await
    }

    async fn take_over(&self, alive: Vec<String>) -> Result<Vec<Unsettled>, Error> {
        self.mortal.write(self.inner.take_over(alive)).await
    }

    async fn read(&self, operation: &str) -> Result<Option<Entry>, Error> {
        self.inner.read(operation).await
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<Entry>, Error> {
        self.inner.list(query).await
    }

    async fn parts(&self, operation: &str, request: &str) -> Result<user_manager::state::journal::Parts, Error> {
        self.inner.parts(operation, request).await
    }

    async fn unsettled(&self) -> Result<u64, Error> {
        self.inner.unsettled().await
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.inner.ledger()
    }

    fn sessions(&self) -> Arc<dyn SessionStore> {
        self.inner.sessions()
    }
}
