//! `ETag`, `If-Match`, `If-None-Match` (RFC 9110 8.8.3, 13.1). A tag is the document's `updatedAt` in quotes, strong.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{ETAG, IF_MATCH, IF_NONE_MATCH},
        request::Parts,
    },
    response::{IntoResponse, Response},
};

use super::{
    frame::json,
    signature::{Part, Says, text},
};
use crate::{
    error::Code,
    users::{User, rules::Precondition},
};

/// What a change is bound to.
pub struct IfMatch(pub Precondition);

/// What the asker has already.
pub struct IfNoneMatch(Tags);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(match tags(&parts.headers, IF_MATCH) {
            None => Precondition::None,
            Some(Tags::Any) => Precondition::Exists,
            // The comparison is strong: a weak tag never holds.
            Some(Tags::These(tags)) => {
                Precondition::AnyOf(tags.into_iter().filter(|tag| !tag.weak).map(|tag| tag.value).collect())
            }
        }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(tags(&parts.headers, IF_NONE_MATCH).unwrap_or(Tags::These(Vec::new()))))
    }
}

impl Part for IfMatch {
    fn note(says: &mut Says) {
        let told = "Changes only what bears one of these tags (RFC 9110 13.1.1); `*`: whatever is there";
        says.in_header("If-Match", text(), told);
        says.codes(&[Code::ChangedMeanwhile]);
        (says.tagged, says.operation) = (true, true);
    }
}

impl Part for IfNoneMatch {
    fn note(says: &mut Says) {
        says.in_header("If-None-Match", text(), "Tags that the asker has already (RFC 9110 13.1.2)");
        (says.tagged, says.unchanged) = (true, true);
    }
}

impl IfNoneMatch {
    /// The user, or only that he is still as the asker has him.
    pub fn answer(&self, user: &User) -> Response {
        let same = match &self.0 {
            Tags::Any => true,
            Tags::These(tags) => tags.iter().any(|tag| tag.value == user.revision.0),
        };
        if same { tagged(StatusCode::NOT_MODIFIED.into_response(), user) } else { tagged(json(&user.document), user) }
    }
}

/// The user with his tag.
pub fn tagged_user(user: &User) -> Response {
    tagged(json(&user.document), user)
}

fn tagged(mut response: Response, user: &User) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", user.revision.0)) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

#[derive(Debug, PartialEq)]
enum Tags {
    /// `*`
    Any,
    These(Vec<Tag>),
}

#[derive(Debug, PartialEq)]
struct Tag {
    weak: bool,
    value: String,
}

/// All of them, over all lines of that header; nothing where there is none. What is no tag is left out, so that a condition
/// which nobody can read does not hold.
fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Tags> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    let mut tags = Vec::new();
    for line in lines {
        let mut rest = line.to_str().unwrap_or_default();
        if rest.trim() == "*" {
            return Some(Tags::Any);
        }
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let weak = rest.starts_with("W/");
            let Some(opened) = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"') else { break };
            let Some((value, after)) = opened.split_once('"') else { break };
            tags.push(Tag { weak, value: value.to_owned() });
            rest = after;
        }
    }
    Some(Tags::These(tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_the_rfc_writes_them() {
        let read = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (IF_MATCH, HeaderValue::from_static(line)));
            tags(&HeaderMap::from_iter(lines), IF_MATCH)
        };
        let strong = |value: &str| Tag { weak: false, value: value.to_owned() };
        let weak = |value: &str| Tag { weak: true, value: value.to_owned() };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["*"]), Some(Tags::Any));
        assert_eq!(read(&["\"a\""]), Some(Tags::These(vec![strong("a")])));
        assert_eq!(read(&["\"a,b\" , W/\"c\",\"\""]), Some(Tags::These(vec![strong("a,b"), weak("c"), strong("")])));
        for unreadable in ["", "a", "\"a", "w/\"a\"", "a, \"b\""] {
            assert_eq!(read(&[unreadable]), Some(Tags::These(Vec::new())), "{unreadable}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(IF_MATCH, HeaderValue::from_static("\"a\""));
        headers.append(IF_MATCH, HeaderValue::from_static("\"b\""));
        let Some(Tags::These(found)) = tags(&headers, IF_MATCH) else { panic!("no list") };
        assert_eq!(found.len(), 2);
    }
}
