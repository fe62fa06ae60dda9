//! Plane D: every method of a driver, under every fault, with every truth and moment that the fault admits. What the
//! stores' and the providers' halves share: the dimensions of a cell, and the account of a run.

use std::{io::Write, time::Duration};

use futures_util::{
    StreamExt,
    future::{FutureExt, LocalBoxFuture},
    stream,
};
use user_manager::{clock::Clock, config::Calls, outcome::Outcome};

use crate::twins::fault::{Effect, Fault, Lands, Lasts, Row, rows};

/// When a late effect comes, as seen from whoever tries to find out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Moment {
    BeforeProbe,
    BeforeFence,
    AfterFence,
}

/// One fault as it is played to one call of a method.
#[derive(Debug, Clone, Copy)]
pub struct Play {
    pub nth: u64,
    pub row: Row,
    pub lasts: Lasts,
    /// Of a late effect; others have only one.
    pub moment: Moment,
}

impl Play {
    /// Everything that can happen to a method whose clean run makes so many calls.
    pub fn all(calls: u64) -> Vec<Self> {
        let mut plays = Vec::new();
        for nth in 1..=calls {
            for row in rows(&[Lands::WhenTold]) {
                let late = matches!(row.fault.effect(), Effect::Late(_));
                let moments: &[_] = if late {
                    &[Moment::BeforeProbe, Moment::BeforeFence, Moment::AfterFence]
                } else {
                    &[Moment::AfterFence]
                };
                for &moment in moments {
                    for lasts in [Lasts::Once, Lasts::On, Lasts::ThenRefused] {
                        // A door that is shut stays shut until it is mended.
                        if row.fault != Fault::Refused || lasts == Lasts::On {
                            plays.push(Self { nth, row, lasts, moment });
                        }
                    }
                }
            }
        }
        plays
    }

    pub fn name(&self) -> String {
        let Self { nth, row, lasts, moment } = self;
        format!("{nth}/{} {}/{lasts:?}/{moment:?}", row.number, row.name)
    }

    /// Short only where somebody really waits it out, so that a busy machine makes no other fault of it.
    pub fn calls(&self) -> Calls {
        let told_again = matches!(self.row.fault, Fault::Status { status: 429, wait: Some(0), .. });
        let ms = if self.row.fault.hangs() {
            500
        } else if told_again && self.lasts == Lasts::On {
            400
        } else {
            30_000
        };
        patience(ms)
    }
}

/// Whether the token of Keycloak's service account is still believed when a method begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token {
    Good,
    Dropped,
}

/// One fault in one method. It can be played as often as one likes.
pub struct Cell {
    name: String,
    play: Box<dyn Fn() -> LocalBoxFuture<'static, Result<Told, String>>>,
}

impl Cell {
    /// All of a method whose clean run makes so many calls.
    pub fn all<F>(method: &str, calls: u64, play: impl Fn(Play) -> F + Copy + 'static) -> impl Iterator<Item = Self>
    where
        F: Future<Output = Result<Told, String>> + 'static,
    {
        Play::all(calls).into_iter().map(move |one| Self {
            name: format!("{method}/{}", one.name()),
            play: Box::new(move || play(one).boxed_local()),
        })
    }
}

pub fn patience(ms: u64) -> Calls {
    Calls { ca_file: None, connect_timeout: Duration::from_secs(10), call_timeout: Duration::from_millis(ms) }
}

/// What a method reported, without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Done,
    NotDone,
    Unknown,
}

pub fn told<T>(outcome: &Outcome<T>) -> Told {
    match outcome {
        Ok(_) => Told::Done,
        Err(user_manager::outcome::Failure::NotDone(_)) => Told::NotDone,
        Err(user_manager::outcome::Failure::Unknown(_)) => Told::Unknown,
    }
}

/// Runs the cells, several at once, prints the account and fails where one is broken or there are too few.
///
/// Sockets are real: where a kept connection closes in the very instant of sending, a call is rightly told as unknown that
/// is refused at any other moment. So a cell that looks broken is played again, alone, and is broken when it is so again.
pub async fn account(plane: &str, floor: usize, cells: Vec<Cell>) {
    let clock = Clock::system();
    let began = clock.now_ms();
    let played = stream::iter(cells).map(|cell| async move {
        let result = (cell.play)().await;
        (cell, result)
    });
    let mut results = Vec::new();
    let mut again = Vec::new();
    for (cell, result) in played.buffer_unordered(32).collect::<Vec<_>>().await {
        if result.is_ok() { results.push((cell.name, result)) } else { again.push(cell) }
    }
    let replayed = again.len();
    for cell in again {
        let result = (cell.play)().await;
        results.push((cell.name, result));
    }
    let count = |told| results.iter().filter(|(_, result)| *result == Ok(told)).count();
    let broken: Vec<_> =
        results.iter().filter_map(|(name, result)| Some(format!("{name}: {}", result.as_ref().err()?))).collect();
    let line = format!(
        "plane {plane}: cells {}, done {}, not done {}, unknown {}, broken {}, skipped 0, replayed {replayed}, seconds {:.1}\n",
        results.len(),
        count(Told::Done),
        count(Told::NotDone),
        count(Told::Unknown),
        broken.len(),
        (clock.now_ms() - began) as f64 / 1000.0
    );
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    assert!(broken.is_empty(), "{}\n{}", line, broken.join("\n"));
    assert!(results.len() >= floor, "only {} cells, {floor} were there before", results.len());
}
