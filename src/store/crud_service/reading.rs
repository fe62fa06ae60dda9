//! Reads that a caller asks for in the service's own language, whose answers are handed on unread.

use reqwest::Method;

use super::{CrudService, fits, not_found, pages::no_fence};
use crate::{error::Error, query::Filter, remote::Passed, users::UserId};

/// What is read.
#[derive(Debug, Clone, Copy)]
pub enum Reading<'a> {
    List,
    Count,
    One(&'a UserId),
}

/// Handed on: they speak of what the caller has asked for.
const THROUGH: [u16; 2] = [200, 400];

impl CrudService {
    /// `None`: there is nobody like that. A row filter and the columns that may be seen
    /// go along as the service has it for them, and nobody sees a fence.
    pub async fn pass(
        &self,
        what: Reading<'_>,
        parameters: &[(String, String)],
        rows: &Filter,
        columns: Option<&[String]>,
    ) -> Result<Option<Passed>, Error> {
        let call = match what {
            Reading::List => self.call(Method::GET, "", &[]),
            Reading::Count => self.call(Method::GET, "count", &[]),
            Reading::One(id) => self.call(Method::GET, ":id", &[id.as_str()]),
        };
        let rows = ascii(&Filter::all([rows.clone(), no_fence(self.of)]).print().to_string());
        let call = parameters.iter().fold(call, |call, (name, value)| call.query(name, value));
        let call = call.header("acl_rows", &rows);
        let call = match columns {
            Some(columns) => call.header("acl_read_columns", &columns.join(",")),
            None => call,
        };
        fits(&call)?;
        match self.remote.pass(call, &THROUGH).await {
            Ok(passed) => Ok(Some(passed)),
            Err(error) if not_found(&error) && matches!(what, Reading::One(_)) => Ok(None),
            Err(error) => Err(error.failure().into()),
        }
    }
}

/// JSON in a header: what is no ASCII, as JSON escapes it.
fn ascii(json: &str) -> String {
    let mut ascii = String::new();
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_filter_survives_its_way_through_a_header() {
        for text in ["{\"a\":\"b c\"}", "{\"a\":\"\u{e9}\u{1f600}\u{7f}\"}"] {
            let sent = ascii(text);
            assert!(sent.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{sent}");
            let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(read(&sent), read(text));
        }
    }
}
