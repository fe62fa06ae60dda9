//! What Keycloak says when it refuses. It has four forms: `errorMessage`, `errors[]`, `error` with `error_description`, and
//! nothing. Its words decide here and go no further: a reply or a log line of ours never carries them.

use serde::Deserialize;

use crate::{
    error::{self, Code, Error},
    remote,
};

#[derive(Debug, Default, Deserialize)]
pub struct Refusal {
    #[serde(default)]
    error: Option<String>,
    #[serde(default, rename = "errorMessage")]
    message: Option<String>,
}

impl Refusal {
    pub fn of(error: &remote::Error) -> Self {
        serde_json::from_slice(error.body()).unwrap_or_default()
    }

    /// Compares its `error`.
    pub fn is(&self, word: &str) -> bool {
        self.error.as_deref() == Some(word)
    }

    /// Of a 404: the thing asked for is what is missing.
    pub fn names_nobody(&self) -> bool {
        self.error.as_deref().is_some_and(|error| !error.starts_with("Realm"))
    }

    /// Of a 500: the mail server that the realm names did not take a mail, or it names none.
    pub fn mail(&self) -> bool {
        self.message.as_deref().is_some_and(|message| message.starts_with("Failed to send"))
    }

    /// Of a 400: the person cannot get a mail, whenever it is tried.
    pub fn nobody_to_mail(&self) -> bool {
        matches!(self.message.as_deref(), Some("User email missing" | "User is disabled"))
    }

    /// Of a 400: the realm's password policy.
    pub fn password(&self) -> Option<Error> {
        let rule = match self.error.as_deref()?.strip_prefix("invalidPassword")? {
            "MinLengthMessage" => "it is too short",
            "MaxLengthMessage" => "it is too long",
            "MinDigitsMessage" => "it has too few digits",
            "MinLowerCaseCharsMessage" => "it has too few small letters",
            "MinUpperCaseCharsMessage" => "it has too few capital letters",
            "MinSpecialCharsMessage" => "it has too few special characters",
            "NotUsernameMessage" | "NotContainsUsernameMessage" => "it is like the username",
            "NotEmailMessage" => "it is like the e-mail",
            "HistoryMessage" => "it was used before",
            "BlacklistedMessage" => "it is a common one",
            _ => "it does not satisfy the realm's policy",
        };
        Some(Error::new(Code::PasswordRefused, format!("The password was refused: {rule}")).field("password"))
    }

    /// Of a 409. `username`: the field that ours came from.
    pub fn name_taken(&self, username: &str, has_email: bool) -> Error {
        let text = self.message.as_deref().unwrap_or_default();
        let email = text.contains("email") && !text.contains("username");
        error::name_taken(if email && has_email { "email" } else { username })
    }
}
