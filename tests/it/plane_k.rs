//! Plane K: every operation, killed at every journal write (before it, after it) and after every effect, forward, in every
//! undo, and in the recovery of that. A crash is a reply that never comes; everything is dropped and opened anew.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use tokio::sync::Notify;
use user_manager::state::{
    Error, Journal,
    journal::{Appended, Begun, Entry, ListQuery, New, Record, Unsettled},
};

use crate::{
    matrix::{
        Drivers, Operation, Snapshot, Template, World,
        faulty::{Fault, Then},
        judge,
    },
    plane_s::{Tally, clean, shards},
};

/// Fewer cells than this is a failure. More asks to raise it.
const FLOOR: usize = 1;

#[test]
fn every_operation_is_wholly_before_or_wholly_after_wherever_it_is_killed() {
    let tally = shards(|template, operation, drivers, tally| async move {
        sweep(&template, operation, drivers, &tally).await;
    });
    tally.account("K", FLOOR);
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

async fn sweep(template: &Template, operation: Operation, drivers: Drivers, tally: &Mutex<Tally>) {
    let (before, after) = clean(template, operation, drivers).await;
    // Forward, and with every call refused in turn, so that every undo is passed.
    let mut refused = 0;
    loop {
        let mut killed_at_all = false;
        for kind in End::KINDS {
            for nth in 1.. {
                if !lives(template, operation, drivers, refused, kind(nth), (&before, &after), tally).await {
                    break;
                }
                killed_at_all = true;
            }
        }
        refused += 1;
        if !killed_at_all || !calls(template, operation, drivers, refused).await {
            return;
        }
    }
}

/// Whether a run with that call refused reaches it.
async fn calls(template: &Template, operation: Operation, drivers: Drivers, nth: u32) -> bool {
    let world = World::new(template, operation, drivers).await;
    let life = world.live(|journal| journal).await;
    let _ = operation.ask(&life.app).await;
    life.app.sagas.idle().await;
    life.script.calls() >= nth
}

/// A first life that ends there, then a recovery that is left alone, and one that is killed too, at every place. Whether
/// the first end was reached.
async fn lives(
    template: &Template,
    operation: Operation,
    drivers: Drivers,
    refused: u32,
    end: End,
    worlds: (&Snapshot, &Snapshot),
    tally: &Mutex<Tally>,
) -> bool {
    if refused > 0 && end == End::AfterCall(refused) {
        // A refused call has no effect to die after.
        return true;
    }
    let name = format!("K/{operation:?}/{drivers:?}/refused {refused}/{end:?}");
    let world = World::new(template, operation, drivers).await;
    if !first_life(&world, operation, refused, end).await {
        return false;
    }
    last_life(&world).await;
    tally.lock().unwrap().count(&name, judge(&world, worlds.0, worlds.1, None));
    for kind in End::KINDS {
        for nth in 1.. {
            let world = World::new(template, operation, drivers).await;
            first_life(&world, operation, refused, end).await;
            if !recovery(&world, kind(nth)).await {
                break;
            }
            last_life(&world).await;
            let name = format!("{name}/then {:?}", kind(nth));
            tally.lock().unwrap().count(&name, judge(&world, worlds.0, worlds.1, None));
        }
    }
    true
}

async fn first_life(world: &World, operation: Operation, refused: u32, end: End) -> bool {
    let mortal = Mortal::new(end);
    let life = world.live(mortal.before()).await;
    if refused > 0 {
        life.script.plan(refused, Fault::Refused, Then::Well);
    }
    if let End::AfterCall(nth) = end {
        life.script.crash_at(nth);
    }
    tokio::select! {
        biased;
        () = mortal.died.notified() => true,
        () = life.script.crashed.notified() => true,
        () = async { let _ = operation.ask(&life.app).await; life.app.sagas.idle().await } => false,
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

async fn last_life(world: &World) {
    let life = world.live(|journal| journal).await;
    life.app.sagas.recover().await.unwrap();
    life.app.sagas.idle().await;
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

    async fn unsettled(&self) -> Result<u64, Error> {
        self.inner.unsettled().await
    }
}
