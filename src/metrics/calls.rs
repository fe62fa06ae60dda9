//! Calls to other systems: by system and by what came back.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

#[derive(Clone)]
pub struct Calls {
    ended: Family<Ended, Counter>,
    took: Family<System, Histogram, fn() -> Histogram>,
}

/// What came of a call, its repetitions included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    Status(u16),
    /// Nothing left.
    NotSent,
    NoAnswer,
    /// A success that cannot be read.
    Garbled,
}

const OUTCOMES: [&str; 8] = ["2xx", "4xx", "429", "5xx", "other", "not-sent", "no-answer", "garbled"];

impl Came {
    /// Its place among the outcomes.
    fn place(self) -> usize {
        match self {
            Self::Status(200..=299) => 0,
            Self::Status(429) => 2,
            Self::Status(400..=499) => 1,
            Self::Status(500..=599) => 3,
            Self::Status(_) => 4,
            Self::NotSent => 5,
            Self::NoAnswer => 6,
            Self::Garbled => 7,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    system: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct System {
    system: &'static str,
}

/// Where the calls to one system are counted. Cheap to copy.
#[derive(Clone)]
pub struct OfSystem(Arc<Handles>);

struct Handles {
    ended: [Counter; OUTCOMES.len()],
    took: Histogram,
}

impl Calls {
    pub(super) fn told_in(registry: &mut Registry) -> Self {
        let calls = Self::default();
        registry.register("calls", "Calls to other systems, and what came back", calls.ended.clone());
        let help = "Calls to other systems, their repetitions included";
        registry.register_with_unit("call_duration", help, Unit::Seconds, calls.took.clone());
        calls
    }

    pub fn of(&self, system: &'static str) -> OfSystem {
        let ended = OUTCOMES.map(|outcome| self.ended.get_or_create_owned(&Ended { system, outcome }));
        OfSystem(Arc::new(Handles { ended, took: self.took.get_or_create_owned(&System { system }) }))
    }
}

impl Default for Calls {
    fn default() -> Self {
        let took: fn() -> Histogram = super::seconds;
        Self { ended: Family::default(), took: Family::new_with_constructor(took) }
    }
}

impl OfSystem {
    pub fn ended(&self, came: Came, took: Duration) {
        if let Some(counter) = self.0.ended.get(came.place()) {
            counter.inc();
        }
        self.0.took.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_told_by_its_class() {
        let check = |came: Came, told: &str| assert_eq!(OUTCOMES[came.place()], told, "{came:?}");
        check(Came::Status(204), "2xx");
        check(Came::Status(302), "other");
        check(Came::Status(404), "4xx");
        check(Came::Status(429), "429");
        check(Came::Status(503), "5xx");
        check(Came::NotSent, "not-sent");
        check(Came::NoAnswer, "no-answer");
        check(Came::Garbled, "garbled");
    }
}
