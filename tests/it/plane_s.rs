//! Plane S: every operation, every call it makes (found by counting), every outcome with every truth and moment, and a
//! second fault in every place where a second call can stand.

use std::{
    io::Write,
    panic::AssertUnwindSafe,
    sync::{
        Mutex, Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use user_manager::error::{self, Error};

use crate::matrix::{
    Drivers, Operation, Seen, Snapshot, Template, World,
    faulty::{Fault, PLANTED, Script, Then},
    is_true, judge, wanted, wanted_all,
};

/// Fewer cells than this is a failure: something is no longer looked at. More asks to raise it.
const FLOOR: usize = 99_800;

/// Longer than `ATTENTION_AFTER`.
const AWAY: Duration = Duration::from_secs(16 * 60);

/// Later than anything that is under way.
const LONGEST_LATE: Duration = Duration::from_secs(10 * 60);

/// What a second fault may be.
const SECOND: [Fault; 4] = [Fault::Refused, Fault::LostDone, Fault::LostNot, Fault::LateBefore(2)];

#[test]
fn every_operation_is_wholly_before_or_wholly_after_whatever_answers() {
    let tally = shards(|template, operation, drivers, tally| async move {
        sweep(&template, operation, drivers, &tally).await;
    });
    tally.account("S", FLOOR);
}

async fn sweep(template: &Template, operation: Operation, drivers: Drivers, tally: &Mutex<Tally>) {
    let (before, after) = clean(template, operation, drivers).await;
    let faults = match drivers {
        Drivers::Embedded => Fault::FENCED,
        Drivers::Unfenced => Fault::UNFENCED,
    };
    for nth in 1.. {
        let mut reached = false;
        for fault in faults {
            let mut thens = vec![Then::Well, Then::SameAgain, Then::Away(AWAY)];
            let mut second = 0;
            while let Some(then) = thens.pop() {
                let name = format!("S/{operation:?}/{drivers:?}/{nth}/{fault:?}/{then:?}");
                let (calls, seen) = cell(template, operation, drivers, &before, &after, |script| {
                    script.plan(nth, fault, then);
                })
                .await;
                if calls < nth {
                    continue;
                }
                reached = true;
                tally.lock().unwrap().count(&name, seen);
                let next_is_there = match then {
                    Then::Second(later, _) => calls >= nth + later,
                    Then::Well | Then::SameAgain | Then::Away(_) => true,
                };
                // The seconds come one call after the other, until there is no such call.
                if thens.is_empty() && next_is_there && second < 12 {
                    second += 1;
                    thens.extend(SECOND.map(|fault| Then::Second(second, fault)));
                }
            }
        }
        if !reached {
            return;
        }
    }
}

/// One cell: what it made of the world.
async fn cell(
    template: &Template,
    operation: Operation,
    drivers: Drivers,
    before: &Snapshot,
    after: &Snapshot,
    plan: impl FnOnce(&Script),
) -> (u32, Seen) {
    let world = World::new(template, operation, drivers).await;
    let life = world.live(|journal| journal).await;
    plan(&life.script);
    // A panic outside the operation's own task is the caller's to see, as a defect of ours.
    let told = AssertUnwindSafe(operation.ask(&life.app)).catch_unwind().await;
    let told = told.unwrap_or_else(|_| Err(error::internal("a panic")));
    let told_at = world.snapshot();
    life.app.sagas.idle().await;
    // What a task left when it panicked on its way back is looked for from time to time.
    life.app.sagas.recover().await.unwrap();
    life.app.sagas.idle().await;
    // Where no fence is final the answer does not wait for what may land yet: that is put back at the second look.
    let may_differ = drivers == Drivers::Unfenced && life.script.lets_land();
    if !may_differ && !is_true(&told, &told_at, before, after) {
        return (life.script.calls(), Seen::Broken(format!("told {told:?} before it was so")));
    }
    let open = world.hand.still_open();
    if open > 0 {
        return (life.script.calls(), Seen::Broken(format!("settled while {open} calls could still land")));
    }
    // Whatever fences were to keep from landing is let loose now.
    life.script.land_all().await;
    world.hand.advance(LONGEST_LATE).await;
    (life.script.calls(), judge(&world, before, after, Some(&told)))
}

/// The two worlds that there may be: as it was, and as a run without faults leaves it.
pub async fn clean(template: &Template, operation: Operation, drivers: Drivers) -> (Snapshot, Snapshot) {
    let world = World::new(template, operation, drivers).await;
    let life = world.live(|journal| journal).await;
    let before = world.snapshot();
    let told: Result<(), Error> = operation.ask(&life.app).await;
    life.app.sagas.idle().await;
    let after = world.snapshot();
    let refused = operation.is_refused();
    assert_eq!(told.is_err(), refused, "{operation:?} over {drivers:?}: {told:?}");
    let same = refused || operation == Operation::PatchSame;
    assert_eq!(
        before.is_whole(&after),
        same,
        "{operation:?} over {drivers:?} must change the world, where it is asked to"
    );
    (before, after)
}

pub struct Tally {
    pub cells: usize,
    pub before: usize,
    pub after: usize,
    pub broken: Vec<String>,
    began: std::time::Instant,
}

impl Tally {
    #[expect(clippy::disallowed_methods, reason = "how long a plane took is told, never judged")]
    fn new() -> Self {
        Self { cells: 0, before: 0, after: 0, broken: Vec::new(), began: std::time::Instant::now() }
    }

    /// Prints the account and fails where a cell is broken or there are too few.
    pub fn account(&self, plane: &str, floor: usize) {
        let Self { cells, before, after, broken, began } = self;
        let (count, seconds) = (broken.len(), began.elapsed().as_secs());
        let mut out = format!(
            "plane {plane}: cells {cells}, before {before}, after {after}, broken {count}, skipped 0, seconds {seconds}\n"
        );
        for line in broken.iter().take(40) {
            out.push_str(line);
            out.push('\n');
        }
        std::io::stdout().write_all(out.as_bytes()).unwrap();
        assert!(broken.is_empty(), "{count} cells of plane {plane} are broken");
        assert!(*cells >= floor || !wanted_all(), "{cells} cells were found, {floor} were known");
    }

    pub fn count(&mut self, name: &str, seen: Seen) {
        self.cells += 1;
        match seen {
            Seen::Before => self.before += 1,
            Seen::After => self.after += 1,
            Seen::Broken(why) => self.broken.push(format!("{name}: {why}")),
        }
    }
}

/// The planes plant panics by the thousand; only others are worth a report.
fn quiet_about_planted_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload_as_str() != Some(PLANTED) {
                report(panic);
            }
        }));
    });
}

/// Every operation over every set of drivers, spread over the cores.
pub fn shards<F, Fut>(sweep: F) -> Tally
where
    F: Fn(std::sync::Arc<Template>, Operation, Drivers, std::sync::Arc<Mutex<Tally>>) -> Fut + Sync,
    Fut: Future<Output = ()>,
{
    quiet_about_planted_panics();
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let template = std::sync::Arc::new(runtime().block_on(Template::make()));
    let work: Vec<(Operation, Drivers)> = Operation::ALL
        .into_iter()
        .flat_map(|operation| Drivers::ALL.map(|drivers| (operation, drivers)))
        .filter(|(operation, drivers)| wanted(&format!("{operation:?}/{drivers:?}")))
        .collect();
    let next = AtomicUsize::new(0);
    let tally = std::sync::Arc::new(Mutex::new(Tally::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let runtime = runtime();
                while let Some((operation, drivers)) = work.get(next.fetch_add(1, Ordering::SeqCst)) {
                    runtime.block_on(sweep(template.clone(), *operation, *drivers, tally.clone()));
                }
            });
        }
    });
    std::sync::Arc::into_inner(tally).unwrap().into_inner().unwrap()
}
