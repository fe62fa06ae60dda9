//! Many who do the same at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

/// What is counted while it is done.
#[derive(Clone, Default)]
pub struct Done(Arc<AtomicU64>);

impl Done {
    pub fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn yet(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How much is done a second by so many, each doing `work` again and again.
pub async fn rate<F, W>(size: usize, slot: Duration, work: F) -> f64
where
    F: Fn(Done) -> W + Clone + Send + 'static,
    W: Future<Output = ()> + Send,
{
    let (done, stop) = (Done::default(), Arc::new(AtomicBool::new(false)));
    let mut crowd = JoinSet::new();
    for _ in 0..size {
        let (work, done, stop) = (work.clone(), done.clone(), stop.clone());
        crowd.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                work(done.clone()).await;
            }
        });
    }
    // Until everybody is at it.
    tokio::time::sleep(slot / 5).await;
    let (began, before) = (Instant::now(), done.yet());
    tokio::time::sleep(slot).await;
    let (length, after) = (began.elapsed(), done.yet());
    stop.store(true, Ordering::Relaxed);
    crowd.join_all().await;
    (after - before) as f64 / length.as_secs_f64()
}

/// Until so many pieces of work are done, `size` at a time.
pub async fn all<F, W>(size: usize, pieces: usize, work: F)
where
    F: Fn() -> W + Clone + Send + 'static,
    W: Future<Output = ()> + Send,
{
    let begun = Arc::new(AtomicU64::new(0));
    let mut crowd = JoinSet::new();
    for _ in 0..size {
        let (work, begun) = (work.clone(), begun.clone());
        crowd.spawn(async move {
            while begun.fetch_add(1, Ordering::Relaxed) < pieces as u64 {
                work().await;
            }
        });
    }
    crowd.join_all().await;
}
