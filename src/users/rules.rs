//! What must hold before anything is sent: validation, takeover, the last administrator, preconditions.

use super::User;

/// `If-Match` (RFC 9110 13.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Precondition {
    #[default]
    None,
    /// `*`
    Exists,
    /// Strong values without their quotes.
    AnyOf(Vec<String>),
}

impl Precondition {
    pub fn holds(&self, user: &User) -> bool {
        match self {
            Self::None | Self::Exists => true,
            Self::AnyOf(values) => values.contains(&user.revision.0),
        }
    }
}
