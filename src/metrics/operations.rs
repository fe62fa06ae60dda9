//! Operations: by kind and by what became of them.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Clone)]
pub struct Operations {
    ended: Family<Ended, Counter>,
    undos: Family<Kind, Counter>,
    promises: Family<Kind, Counter>,
    kinds: &'static [&'static str],
}

/// What became of one, as far as this process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It stands.
    Done,
    /// All of it is put back, or nothing had happened.
    Undone,
    /// It was not begun: somebody else held a name, or the journal could not be written.
    Refused,
    /// It is left to recovery.
    Left,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Done, Self::Undone, Self::Refused, Self::Left];

    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Undone => "undone",
            Self::Refused => "refused",
            Self::Left => "left",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// Where operations of one kind are counted.
#[derive(Clone)]
pub struct OfKind {
    operations: Operations,
    kind: &'static str,
}

impl Operations {
    pub(super) fn told_in(registry: &mut Registry, kinds: &'static [&'static str]) -> Self {
        let operations =
            Self { ended: Family::default(), undos: Family::default(), promises: Family::default(), kinds };
        registry.register("operations", "Operations, and what became of them", operations.ended.clone());
        registry.register("undo_retries", "Undos that did not succeed and are tried again", operations.undos.clone());
        registry.register(
            "promise_retries",
            "Promises of what is done after the commit that did not succeed and are tried again",
            operations.promises.clone(),
        );
        // From the beginning, so that the first one is seen as a rise.
        for &kind in kinds {
            for outcome in Outcome::ALL {
                operations.ended.get_or_create_owned(&Ended { kind, outcome: outcome.as_str() });
            }
            operations.undos.get_or_create_owned(&Kind { kind });
            operations.promises.get_or_create_owned(&Kind { kind });
        }
        operations
    }

    /// A kind that is none of ours, which a journal of another version may have, is `other`.
    pub fn of(&self, kind: &str) -> OfKind {
        let kind = self.kinds.iter().copied().find(|known| *known == kind).unwrap_or("other");
        OfKind { operations: self.clone(), kind }
    }
}

impl OfKind {
    pub fn ended(&self, outcome: Outcome) {
        let ended = Ended { kind: self.kind, outcome: outcome.as_str() };
        self.operations.ended.get_or_create(&ended).inc();
    }

    pub fn undo_failed(&self) {
        self.operations.undos.get_or_create(&Kind { kind: self.kind }).inc();
    }

    pub fn promise_failed(&self) {
        self.operations.promises.get_or_create(&Kind { kind: self.kind }).inc();
    }
}
