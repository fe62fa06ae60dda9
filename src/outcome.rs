//! What a saga learns of a call: done, not done, or unknown. Nothing else: no status, no transport error, no driver.
//! That is what lets the fault matrix be factored.

use crate::error::Error;

/// The result of one call to a system that is not ours.
pub type Outcome<T> = Result<T, Failure>;

/// Why a call is not known to be done.
#[derive(Debug, Clone)]
pub enum Failure {
    /// It was refused: nothing happened, and nothing will.
    NotDone(Reason),
    /// Nobody can tell yet: it may have happened, and it may still happen.
    Unknown(Reason),
}

/// What the caller is told in the end. Handed on, never looked at.
#[derive(Debug, Clone)]
pub struct Reason(Box<Error>);

impl Reason {
    /// The error that the reply is made of.
    pub fn into_error(self) -> Error {
        *self.0
    }

    /// For the log and the operation's record: a sentence without values of the user.
    pub fn sentence(&self) -> &str {
        self.0.message()
    }
}

impl From<Error> for Reason {
    fn from(error: Error) -> Self {
        Self(Box::new(error))
    }
}

impl Failure {
    pub fn not_done(error: Error) -> Self {
        Self::NotDone(error.into())
    }

    pub fn unknown(error: Error) -> Self {
        Self::Unknown(error.into())
    }

    pub fn sentence(&self) -> &str {
        match self {
            Self::NotDone(reason) | Self::Unknown(reason) => reason.sentence(),
        }
    }

    /// For reads: whatever kept us from the answer is what the caller is told.
    pub fn into_error(self) -> Error {
        match self {
            Self::NotDone(reason) | Self::Unknown(reason) => reason.into_error(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.into_error()
    }
}
