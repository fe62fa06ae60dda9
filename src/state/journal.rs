//! What the saga engine asks of the state: five calls, and the records that they carry. Knows nothing of steps.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Error, SessionStore,
    ledger::{Key, Ledger},
};

/// Where operations survive a crash.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// The operation, all its names and its key, or nothing.
    async fn begin(&self, new: New) -> Result<Begun, Error>;

    /// All records in one durable write. They may only be followed by an effect once this has answered `Written`.
    async fn append(&self, operation: &str, records: Vec<Record>) -> Result<Appended, Error>;

    /// Every unsettled operation that no living process holds, now ours. `alive`: those of our own that a task is at work
    /// on.
    async fn take_over(&self, alive: Vec<String>) -> Result<Vec<Unsettled>, Error>;

    async fn read(&self, operation: &str) -> Result<Option<Entry>, Error>;

    /// Newest first.
    async fn list(&self, query: ListQuery) -> Result<Vec<Entry>, Error>;

    /// How far the parts of that operation are, which the same request asked for.
    async fn parts(&self, operation: &str, request: &str) -> Result<Parts, Error>;

    /// How many are unsettled.
    async fn unsettled(&self) -> Result<u64, Error>;

    /// What is written beside it, in the same place and under the same chain.
    fn ledger(&self) -> Arc<dyn Ledger>;

    /// The same for sessions.
    fn sessions(&self) -> Arc<dyn SessionStore>;
}

/// Operations that are parts of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// They stand, or will.
    pub done: u64,
    /// Nobody can say yet which way they go, or they have not gone it to its end.
    pub open: u64,
}

#[derive(Debug, Clone)]
pub struct New {
    /// UUID v7.
    pub id: String,
    pub kind: String,
    pub origin: Origin,
    /// `_id` of the person.
    pub subject: Option<String>,
    /// All of them or none.
    pub names: Vec<String>,
    pub began_ms: i64,
    /// Of the request that asks for it.
    pub key: Option<Key>,
}

/// Who asked, as the log of operations tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub actor: String,
    /// How he was authenticated: `token`, `password`, `cli`, `system`.
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    pub request_id: String,
    /// The operation that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    Fresh,
    /// Somebody holds one of the names.
    Held,
    /// Something was asked under this key already: [`Ledger::recall`] tells what became of it.
    Repeat,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    Written,
    /// Another process took the operation over, or it has ended: not one more effect.
    TakenOver,
    /// A further name is held by somebody else; nothing was written.
    Held,
}

/// What happened to a step, as far as it is known. A step without a recorded outcome is `Unknown`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Happened {
    Done(Value),
    /// A call went unanswered before one was done: the earlier one may still land.
    Found(Value),
    NotDone,
    Unknown,
}

#[derive(Debug, Clone)]
pub enum Record {
    /// A step or promise is about to run.
    Intent {
        seq: u32,
        name: &'static str,
        body: Value,
    },
    Outcome {
        seq: u32,
        happened: Happened,
    },
    Hold {
        names: Vec<String>,
    },
    /// The point of no return: what is promised, in one write.
    Commit {
        promises: Vec<(u32, &'static str, Value)>,
    },
    /// What the request under its key will be answered once that is known for good.
    Answer {
        text: String,
    },
    /// From here on it is.
    Answered,
    /// What went wrong, though it is not put back.
    Remark {
        text: String,
    },
    /// Going back from here. The sentence of the error that turned it.
    RollBack {
        error: String,
    },
    /// An undo or a promise did not succeed this time.
    Failed {
        seq: u32,
        error: String,
        attention: bool,
    },
    /// Somebody should look at the operation as a whole.
    Attention {
        why: String,
    },
    /// An undo or a promise is finished.
    Settled {
        seq: u32,
    },
    /// The names stay held until then, since an unanswered call may still land.
    Quiet {
        until_ms: i64,
    },
    /// Done or undone: names released, bodies blanked.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Running,
    Committed,
    RollingBack,
    Done,
    Undone,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Committed => "committed",
            Self::RollingBack => "rolling-back",
            Self::Done => "done",
            Self::Undone => "undone",
        }
    }
}

/// An operation that somebody must finish.
#[derive(Debug, Clone)]
pub struct Unsettled {
    pub entry: Entry,
}

/// An operation as the log shows it, its steps with their bodies while they are kept.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: String,
    pub kind: String,
    pub state: State,
    pub origin: Origin,
    pub subject: Option<String>,
    pub began_ms: i64,
    pub settled_ms: Option<i64>,
    pub quiet_until_ms: i64,
    /// Somebody should look: why.
    pub attention: Option<String>,
    /// What turned it back.
    pub error: Option<String>,
    pub steps: Vec<StepEntry>,
}

#[derive(Debug, Clone)]
pub struct StepEntry {
    pub seq: u32,
    pub promise: bool,
    pub name: String,
    pub body: Value,
    pub happened: Happened,
    pub settled: bool,
    pub failures: u32,
    /// Of the last undo or promise that failed.
    pub error: Option<String>,
    pub began_ms: i64,
    pub ended_ms: Option<i64>,
}

#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// `needs-attention` too, which is a note and no state.
    pub state: Option<String>,
    pub kind: Option<String>,
    pub subject: Option<String>,
    pub request: Option<String>,
    /// Only the parts of this operation.
    pub part_of: Option<String>,
    /// Only those of this actor.
    pub actor: Option<String>,
    /// Older than this operation.
    pub after: Option<String>,
    pub limit: u32,
}
