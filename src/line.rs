//! Jobs that wait for a thread, first come first served, and how long the first of them has waited. Knows no job.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::clock::Stopwatch;

pub struct Line<J> {
    waiting: Mutex<Waiting<J>>,
    ready: Condvar,
}

struct Waiting<J> {
    jobs: VecDeque<(Stopwatch, J)>,
    closed: bool,
}

/// What a thread that asks for work is told.
pub enum Next<J> {
    Job(J),
    /// Nothing came in so long a time.
    Nothing,
    /// Nothing is there, and nothing will come.
    Closed,
}

/// What waits at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    pub jobs: usize,
    /// How long the first has waited.
    pub oldest: Duration,
}

impl<J> Default for Line<J> {
    fn default() -> Self {
        let waiting = Waiting { jobs: VecDeque::new(), closed: false };
        Self { waiting: Mutex::new(waiting), ready: Condvar::new() }
    }
}

impl<J> Line<J> {
    /// Whether it will be served: not when the line is closed.
    pub fn join(&self, job: J) -> bool {
        let mut waiting = self.lock();
        if waiting.closed {
            return false;
        }
        waiting.jobs.push_back((Stopwatch::start(), job));
        drop(waiting);
        self.ready.notify_one();
        true
    }

    /// The next job, as soon as there is one; nothing when there will be none.
    pub fn next(&self) -> Option<J> {
        let mut waiting = self.lock();
        loop {
            if let Some((_, job)) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.ready.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The same, but that it waits for a job so long only.
    pub fn next_within(&self, length: Duration) -> Next<J> {
        let idle = |waiting: &mut Waiting<J>| waiting.jobs.is_empty() && !waiting.closed;
        let waited = self.ready.wait_timeout_while(self.lock(), length, idle);
        let (mut waiting, time) = waited.unwrap_or_else(PoisonError::into_inner);
        match waiting.jobs.pop_front() {
            Some((_, job)) => Next::Job(job),
            None if time.timed_out() => Next::Nothing,
            None => Next::Closed,
        }
    }

    /// What waits is still served; nobody joins any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    pub fn backlog(&self) -> Backlog {
        let waiting = self.lock();
        let oldest = waiting.jobs.front().map_or(Duration::ZERO, |(since, _)| since.elapsed());
        Backlog { jobs: waiting.jobs.len(), oldest }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<J>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_come_first_served_until_it_is_closed_and_empty() {
        let line = Line::default();
        assert_eq!(line.backlog(), Backlog { jobs: 0, oldest: Duration::ZERO });
        assert!(matches!(line.next_within(Duration::ZERO), Next::Nothing));
        assert!(line.join(1) && line.join(2) && line.join(3));
        std::thread::sleep(Duration::from_millis(2));
        let backlog = line.backlog();
        assert_eq!(backlog.jobs, 3);
        assert!(backlog.oldest >= Duration::from_millis(2));
        assert_eq!(line.next(), Some(1));
        line.close();
        assert!(!line.join(4));
        assert_eq!(line.next(), Some(2));
        assert!(matches!(line.next_within(Duration::ZERO), Next::Job(3)));
        assert!(matches!(line.next_within(Duration::from_secs(60)), Next::Closed));
        assert_eq!(line.next(), None);
    }

    #[test]
    fn a_thread_that_waits_wakes_up_for_a_job_and_for_the_end() {
        let line = Line::default();
        std::thread::scope(|scope| {
            let served = scope.spawn(|| std::iter::from_fn(|| line.next()).collect::<Vec<_>>());
            line.join(1);
            line.join(2);
            line.close();
            assert_eq!(served.join().unwrap(), [1, 2]);
        });
    }
}
