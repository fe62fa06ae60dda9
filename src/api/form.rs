//! Bodies as `application/x-www-form-urlencoded`, and errors as RFC 6749 5.2 has them.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header::CONTENT_TYPE};
use secrecy::SecretString;
use url::form_urlencoded;

use crate::error::{Code, Error};

/// The fields of a form.
pub struct Form(BTreeMap<String, String>);

/// Whether the body says that it is one.
pub fn is_form(headers: &HeaderMap) -> bool {
    let stated = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = stated.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

impl Form {
    /// # Errors
    /// `invalid-value` for a field that stands twice (RFC 6749 3.2) or is no text.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let refused = |what: &str| Err(Error::new(Code::InvalidValue, format!("A field of the form {what}")));
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            // What is no UTF-8 has become this character.
            if name.contains('\u{fffd}') || value.contains(['\u{fffd}', '\0']) {
                return refused("is not UTF-8");
            }
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return refused("stands twice");
            }
        }
        Ok(Self(fields))
    }

    /// # Errors
    /// `validation-failed` when it is missing or empty.
    pub fn text(&mut self, name: &str) -> Result<String, Error> {
        let value = self.0.remove(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| Error::new(Code::ValidationFailed, format!("{name} is missing")))
    }

    /// As [`Form::text`], for what must never be seen again.
    pub fn secret(&mut self, name: &str) -> Result<SecretString, Error> {
        self.text(name).map(SecretString::from)
    }
}
