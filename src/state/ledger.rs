//! What lasts beside operations: what was answered under an idempotency key, events, and that both go when their time is
//! over. Knows nothing of how a key is made a code, or of what an answer says.

use async_trait::async_trait;

use super::{Error, journal::Origin};

#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// What became of an earlier request under this key; nothing where there was none, or its time is over.
    async fn recall(&self, key: &Key) -> Result<Option<Remembered>, Error>;

    /// Keeps the answer to a request that began no operation. What stands there already, where another was first.
    async fn keep(&self, key: Key, answer: String) -> Result<Option<Remembered>, Error>;

    /// Something that is no operation's outcome. Durable once this has answered.
    async fn note(&self, event: NewEvent) -> Result<(), Error>;

    /// In the order of commits, oldest first.
    async fn events(&self, query: EventQuery) -> Result<Vec<Event>, Error>;

    /// Takes away what is older than this, in one write; whether there may be more. What is unsettled stays.
    async fn forget(&self, older: Older) -> Result<bool, Error>;
}

/// A request that is to be carried out once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Stands for the caller and his key.
    pub slot: String,
    /// Stands for what he asks.
    pub request: String,
    /// What was answered before this is as if it had never been asked.
    pub forgotten_before_ms: i64,
}

/// A request under a key, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Stands for what was asked.
    pub request: String,
    pub operation: Option<String>,
    /// Nothing as long as it is not known for good.
    pub answer: Option<String>,
}

/// Something that happened, and is no operation's outcome.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// `log-in`
    pub action: &'static str,
    pub outcome: &'static str,
    pub origin: Origin,
    pub subject: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// UUID v7; grows with every commit.
    pub id: String,
    pub at_ms: i64,
    /// The kind of an operation, or what was done to a single system.
    pub action: String,
    /// `done`, `undone`
    pub outcome: String,
    pub origin: Origin,
    pub subject: Option<String>,
    pub operation: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Younger than this event.
    pub after: Option<String>,
    pub actor: Option<String>,
    pub subject: Option<String>,
    pub action: Option<String>,
    pub limit: u32,
}

/// What has had its time.
#[derive(Debug, Clone, Copy)]
pub struct Older {
    /// Operations settled, events and writes of the chain before this.
    pub settled_before_ms: i64,
    /// Answers given before this.
    pub answered_before_ms: i64,
    /// So many of each at a time, so that nobody waits long behind it.
    pub most: u32,
}
