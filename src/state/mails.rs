//! Mails that are to be sent: who is to get one and when it is tried. Neither an address nor a text nor a link.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Error;

/// A mail that somebody is to get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Chosen by whoever asks for it, so that it is kept once however often he asks.
    pub id: String,
    pub identity: String,
    pub kind: Kind,
    /// The language that he has said, if any.
    pub locale: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// To somebody new.
    Welcome,
    /// To somebody who is to have another password.
    Reset,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Welcome, Self::Reset];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::Reset => "reset",
        }
    }
}

/// How many one identity may have since then.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub most: u32,
    pub since_ms: i64,
}

/// A mail whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub mail: Mail,
    pub created_ms: i64,
    /// How often it was tried.
    pub attempts: u32,
}

#[async_trait]
pub trait Mails: Send + Sync + 'static {
    /// Durable once this has answered. Whether it is kept: its person may have had his share.
    async fn put(&self, mail: Mail, limit: Limit, now_ms: i64) -> Result<bool, Error>;
    /// The longest waiting first, at most so many.
    async fn due(&self, by_ms: i64, most: u32) -> Result<Vec<Due>, Error>;
    /// When the next one is due.
    async fn next(&self) -> Result<Option<i64>, Error>;
    /// It is being tried, and again at that time unless [`Mails::end`] comes first.
    async fn try_again(&self, id: &str, at_ms: i64) -> Result<(), Error>;
    /// It is not tried any more; when it was sent, if it was.
    async fn end(&self, id: &str, sent_ms: Option<i64>) -> Result<(), Error>;
    /// Takes away those which are not tried any more and were asked for before that; whether there may be more.
    async fn forget(&self, created_before_ms: i64, most: u32) -> Result<bool, Error>;
}
