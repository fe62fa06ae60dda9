//! What else the machine did meanwhile.

use std::{fmt, fs};

/// Processor time in ticks since the machine was started.
#[derive(Clone, Copy)]
struct Ticks {
    all: u64,
    idle: u64,
    /// Taken by other guests of the same host.
    stolen: u64,
    /// Ours, and of our children that have ended.
    ours: u64,
}

pub struct Noise(Ticks);

impl Noise {
    pub fn begin() -> Self {
        Self(Ticks::now())
    }

    pub fn end(&self) -> Foreign {
        let (before, after) = (self.0, Ticks::now());
        let all = (after.all - before.all).max(1) as f64;
        let busy = all - (after.idle - before.idle) as f64;
        let stolen = (after.stolen - before.stolen) as f64;
        let ours = (after.ours - before.ours) as f64;
        Foreign { others: ((busy - stolen - ours) / all).max(0.0), stolen: stolen / all }
    }
}

/// As parts of what all processors could have done.
pub struct Foreign {
    pub others: f64,
    pub stolen: f64,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (others, stolen) = (100.0 * self.others, 100.0 * self.stolen);
        write!(f, "{cores} cores; other processes took {others:.0} % of them, other guests of the host {stolen:.1} %")
    }
}

impl Ticks {
    /// proc(5): `/proc/stat`, `/proc/self/stat`.
    fn now() -> Self {
        let numbers =
            |words: &str| words.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect::<Vec<u64>>();
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let machine = stat.lines().next().and_then(|line| line.strip_prefix("cpu")).map(numbers).unwrap_or_default();
        let own = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // After the name, which may hold spaces: from the state on, which is field 3.
        let own = own.rsplit_once(") ").map(|(_, rest)| numbers(rest)).unwrap_or_default();
        let of = |numbers: &[u64], at: std::ops::Range<usize>| numbers.get(at).map_or(0, |some| some.iter().sum());
        // user nice system idle iowait irq softirq steal; what guests of ours take is in `user` already.
        Self {
            all: of(&machine, 0..8),
            idle: of(&machine, 3..5),
            stolen: of(&machine, 7..8),
            // utime stime cutime cstime: fields 14 to 17.
            ours: of(&own, 11..15),
        }
    }
}
