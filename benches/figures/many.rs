//! Many people change their state by one request, and as many by a request each.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use user_manager::{
    access::Caller,
    app::App,
    query::{Filter, Query},
    users::{self, State, UserId, change_states::Move},
};

use crate::{
    Size, creates, crowd, runtime, say,
    table::{Rounds, Table, mib, per_second, ratio},
};

/// As many persons of a batch are changed at once.
const AT_ONCE: usize = 8;

pub fn measure(directory: &Path, size: Size, table: &mut Table) {
    let place = tempfile::tempdir_in(directory).unwrap();
    let many = size.killed * 10;
    let [mut together, mut singly, mut share, mut memory] = [(); 4].map(|()| Rounds::default());
    runtime().block_on(async {
        let app = creates::open(place.path()).await;
        let making = Arc::clone(&app);
        crowd::all(size.clients, many, move || creates::make(Arc::clone(&making))).await;
        let everybody = app.systems.store.list(&Query::everybody().in_states(&[State::Public])).await.unwrap();
        let ids: Arc<Vec<UserId>> = Arc::new(everybody.into_iter().map(|user| user.id).collect());
        for _ in 0..size.rounds.min(3) {
            let before = resident();
            let highest = Highest::watch();
            let began = Instant::now();
            let moves = vec![Move { filter: Filter::equals("userGroup", "users"), to: State::Draft }];
            let came = users::change_states(&app, &caller(), moves, Some(many as u64)).await.unwrap();
            assert_eq!(came.told().unwrap(), many as u64);
            let at_once = many as f64 / began.elapsed().as_secs_f64();
            let more = highest.end() - before;
            let began = Instant::now();
            back(&app, &ids).await;
            let one_by_one = many as f64 / began.elapsed().as_secs_f64();
            say(&format!("  {at_once:.0} by one request, {one_by_one:.0} by a request each, {more:.1} MiB more"));
            together.push(at_once);
            singly.push(one_by_one);
            share.push(at_once / one_by_one);
            memory.push(more);
        }
    });
    table.stated(
        &format!("state of {many} people changed by one request, {AT_ONCE} at once"),
        together.told(per_second),
    );
    table.stated(&format!("the same by a request each, {AT_ONCE} clients"), singly.told(per_second));
    table.stated("one request for all against one for each", share.told(ratio));
    table.stated("memory that the one request takes at most", memory.told(mib));
}

fn caller() -> Caller {
    Caller::inside("bench", "system", uuid::Uuid::now_v7().to_string())
}

async fn back(app: &Arc<App>, ids: &Arc<Vec<UserId>>) {
    let (app, ids, next) = (Arc::clone(app), Arc::clone(ids), Arc::new(AtomicUsize::new(0)));
    let many = ids.len();
    crowd::all(AT_ONCE, many, move || {
        let (app, ids, next) = (Arc::clone(&app), Arc::clone(&ids), Arc::clone(&next));
        async move {
            let id = &ids[next.fetch_add(1, Ordering::Relaxed)];
            users::change_state(&app, &caller(), id, State::Public).await.unwrap();
        }
    })
    .await;
}

/// Of this process, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// The most that is resident while it is watched.
struct Highest {
    stop: Arc<AtomicBool>,
    watcher: thread::JoinHandle<f64>,
}

impl Highest {
    fn watch() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let watcher = thread::spawn(move || {
            let mut most = resident();
            while !stopped.load(Ordering::Relaxed) {
                most = most.max(resident());
                thread::sleep(Duration::from_millis(20));
            }
            most
        });
        Self { stop, watcher }
    }

    fn end(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.watcher.join().unwrap()
    }
}
