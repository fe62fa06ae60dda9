//! The figures, measured in one run and printed as the table that stands in `benches/README.md`.
//!
//! Every figure is a ratio of things that were measured in turns, so that a machine which is busy with something else slows
//! both sides alike. What it was busy with is measured too.

#![expect(clippy::disallowed_methods, reason = "a bench has a stopwatch and is a caller of the program")]

mod creates;
mod crowd;
mod disk;
mod hours;
mod journal;
mod lists;
mod many;
mod mortal;
mod noise;
mod over_twins;
mod overload;
mod program;
mod refused;
mod restart;
mod schemas;
mod sessions;
mod table;

/// Other systems, as the tests have them.
#[path = "../../tests/it"]
#[expect(dead_code, reason = "a bench has no use for most faults")]
mod it {
    pub mod twins;
}

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use noise::Noise;
use table::Table;

/// How much of everything.
#[derive(Clone, Copy)]
pub struct Size {
    rounds: usize,
    /// How long each thing is done for in a round.
    slot: Duration,
    clients: usize,
    /// Requests one after the other in a round.
    requests: usize,
    killed: usize,
}

const FULL: Size = Size { rounds: 7, slot: Duration::from_millis(1500), clients: 64, requests: 100, killed: 1000 };
const QUICK: Size = Size { rounds: 3, slot: Duration::from_millis(300), clients: 64, requests: 10, killed: 40 };

/// A part of the figures: by its name it is run alone.
type Part = (&'static str, fn(&Path, Size, &mut Table));

const PARTS: &[Part] = &[
    ("state", creates::measure),
    ("twins", over_twins::measure),
    ("restart", restart::measure),
    ("lists", lists::measure),
    ("many", many::measure),
    ("program", program::measure),
    ("schemas", schemas::measure),
    ("sessions", sessions::measure),
    ("refused", refused::measure),
    ("overload", overload::measure),
];

/// What takes hours, so that it must be asked for by name.
const LONG_PARTS: &[Part] = &[("killed", hours::killed), ("kept", hours::kept)];

fn main() -> io::Result<()> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let size = if asked.iter().any(|word| word == "--quick") { QUICK } else { FULL };
    let place = asked.iter().find_map(|word| word.strip_prefix("--in="));
    let named: Vec<&String> = asked.iter().filter(|word| !word.starts_with('-')).collect();

    let directory = place.map_or_else(default_place, PathBuf::from);
    std::fs::create_dir_all(&directory)?;
    let (began, noise) = (Instant::now(), Noise::begin());
    let mut table = Table::default();
    let all = PARTS.iter().map(|part| (part, named.is_empty())).chain(LONG_PARTS.iter().map(|part| (part, false)));
    for ((name, measure), unasked) in all {
        if unasked || named.iter().any(|wanted| wanted == name) {
            say(&format!("{name} …"));
            measure(&directory, size, &mut table);
        }
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{table}")?;
    writeln!(out, "{}; {:.0} s in all.", noise.end(), began.elapsed().as_secs_f64())
}

/// On the disk that the program is built on: a file system in memory would make a lie of every durable write.
fn default_place() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("figures")
}

/// Of its own for every life, as a process has it.
fn runtime() -> Runtime {
    Runtime::new().expect("threads can be started")
}

/// How far we are: beside the table.
fn say(what: &str) {
    let _ = writeln!(io::stderr(), "{what}");
}
