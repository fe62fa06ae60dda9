//! Sessions: who has logged in, by which door, and which refresh token of his counts. Knows digests of tokens, never a token,
//! and not whether the person may still act.

use async_trait::async_trait;

use super::{Error, ledger::NewEvent};

/// SHA-256 of a refresh token.
pub type Digest = [u8; 32];

#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Both or neither.
    async fn open(&self, session: Session, current: Digest, event: NewEvent) -> Result<(), Error>;

    async fn get(&self, id: &str) -> Result<Option<Session>, Error>;

    /// The session of a token that counts, or counted so lately that it is answered as it was. Turns nothing.
    async fn shows(&self, shown: Turn) -> Result<Option<Session>, Error>;

    /// Puts the successor in the place of the token that is shown. Of many who show the same one, one turns it and the others
    /// find it turned.
    async fn turn(&self, shown: Turn) -> Result<Turned, Error>;

    /// Those of an identity that can still be refreshed at that time, the oldest first.
    async fn of(&self, identity: &str, now_ms: i64) -> Result<Vec<Session>, Error>;

    /// Takes them away. The ids of those that were there; the event is told where there was one.
    async fn end(&self, which: Which, event: NewEvent) -> Result<Vec<String>, Error>;

    /// Sessions that are not ours: what is of them is refused until that time. The event is told where one was not refused yet.
    async fn refuse(&self, ids: Vec<String>, until_ms: i64, event: NewEvent) -> Result<(), Error>;

    async fn refused(&self, id: &str) -> Result<bool, Error>;

    /// Takes away sessions that lapsed, and refusals that ended, before that time; whether there may be more.
    async fn forget(&self, lapsed_before_ms: i64, most: u32) -> Result<bool, Error>;
}

/// What is known of a session. Times in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// UUID v7: `sid` of its access tokens.
    pub id: String,
    /// `authUserId`
    pub identity: String,
    /// By which kind of request it was opened; no other refreshes it.
    pub door: String,
    /// From where.
    pub address: Option<String>,
    pub began_ms: i64,
    /// However often it is refreshed.
    pub ends_ms: i64,
    /// How often it was refreshed.
    pub turn: u32,
    /// When it was refreshed last, else its beginning.
    pub turned_ms: i64,
    /// From when on it can be refreshed no more.
    pub lapses_ms: i64,
}

/// A refresh token that is shown, known to be one of ours.
#[derive(Debug, Clone)]
pub struct Turn {
    pub session: String,
    pub door: String,
    pub turn: u32,
    pub shown: Digest,
    pub successor: Digest,
    pub now_ms: i64,
    /// So long the session can be refreshed after a turn.
    pub idle_ms: i64,
    /// So long the one before is answered as it was, reckoned from when it was turned.
    pub grace_ms: i64,
    /// And not before this process had begun: whoever waited for it is no thief.
    pub started_ms: i64,
}

impl Turn {
    /// When it is shown to that session: a clock that went back ends nothing.
    pub fn at_ms(&self, session: &Session) -> i64 {
        self.now_ms.max(session.turned_ms)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turned {
    /// As it is now. For every use of one token within the grace it is the same.
    Done(Session),
    /// One that was replaced earlier: somebody has a copy.
    Reused,
    /// Ended, lapsed, of another door, or never there.
    Refused,
}

/// Which sessions end.
#[derive(Debug, Clone)]
pub enum Which {
    All { identity: String },
    One { identity: String, id: String },
}
