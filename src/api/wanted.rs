//! What a list or a count of documents, a read or a change of a user asks for: the parameters of the query language, each known, each of its form.
//! Knows no user; what a filter means is told by the query language.

use std::{marker::PhantomData, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{
    json,
    signature::{Part, Says, one_of, text, whole},
    target::{ID, invalid_parameter},
};
use crate::{
    app::App,
    documents,
    error::{Code, Error},
    query::{
        Fields, Filter, Kind, Projection, Query, Sort, State,
        parse::{self, invalid_query, shown},
    },
    store::Collection,
};

/// As at the CRUD service: so many at most, and so many where nothing is said.
const MOST: u32 = 200;
const PAGE: u32 = 25;
const MOST_SKIPPED: u64 = 1_000_000_000;
/// Keys of an order.
const MOST_KEYS: usize = 10;

pub const ENCODING: &str = "json-query-params-encoding";
/// With or without the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What may be asked.
pub trait Takes: Send + Sync + 'static {
    const PARAMETERS: &'static [&'static str];
    /// Whether `_id` can be filtered by like another field.
    const ID: bool;
    /// Of what.
    const OF: Collection = Collection::Users;
}

pub struct List;
pub struct Count;
pub struct One;
pub struct Changed;
pub struct GroupList;
pub struct GroupCount;
pub struct RoleList;
pub struct RoleCount;

impl Takes for List {
    const PARAMETERS: &'static [&'static str] = &["_q", "_st", "_p", "_rawp", "_s", "_l", "_sk"];
    const ID: bool = true;
}

impl Takes for Count {
    const PARAMETERS: &'static [&'static str] = &["_q", "_st"];
    const ID: bool = true;
}

impl Takes for One {
    const PARAMETERS: &'static [&'static str] = &["_q", "_st", "_p", "_rawp"];
    const ID: bool = false;
}

impl Takes for Changed {
    const PARAMETERS: &'static [&'static str] = &["_q", "_st"];
    const ID: bool = false;
}

impl Takes for GroupList {
    const PARAMETERS: &'static [&'static str] = List::PARAMETERS;
    const ID: bool = List::ID;
    const OF: Collection = Collection::Groups;
}

impl Takes for GroupCount {
    const PARAMETERS: &'static [&'static str] = Count::PARAMETERS;
    const ID: bool = Count::ID;
    const OF: Collection = Collection::Groups;
}

impl Takes for RoleList {
    const PARAMETERS: &'static [&'static str] = List::PARAMETERS;
    const ID: bool = List::ID;
    const OF: Collection = Collection::Roles;
}

impl Takes for RoleCount {
    const PARAMETERS: &'static [&'static str] = Count::PARAMETERS;
    const ID: bool = Count::ID;
    const OF: Collection = Collection::Roles;
}

/// What is asked: as we understand it, and as it is handed on to a store that understands it too.
pub struct Wanted<T> {
    pub query: Query,
    pub projection: Projection,
    pub parameters: Vec<(String, String)>,
    takes: PhantomData<T>,
}

impl<T: Takes> FromRequestParts<Arc<App>> for Wanted<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let query = parts.uri.query().unwrap_or_default();
        let parameters = decoded(form_urlencoded::parse(query.as_bytes()).into_owned().collect(), &parts.headers)?;
        match T::OF {
            Collection::Users => Self::read(parameters, &*fields_of_users(app).await?),
            Collection::Groups | Collection::Roles => Self::read(parameters, &documents::fields(T::OF)),
        }
    }
}

impl<T: Takes> Part for Wanted<T> {
    fn note(says: &mut Says) {
        for name in T::PARAMETERS {
            parameter(says, name);
        }
        if T::ID {
            says.in_query("_id", text().pattern(Some(ID)), "The `_id`");
        }
        says.fields("Any field, equal to its value; for an array, having it");
        says.in_header(
            ENCODING,
            one_of(["base64"]),
            "How the values of `_q` and `_rawp` are written, where not plainly",
        );
        says.codes(&[Code::InvalidQuery, Code::QueryTooCostly]);
    }
}

fn parameter(says: &mut Says, name: &str) {
    let (schema, told) = match name {
        "_q" => (text().content_media_type("application/json"), "A filter in the language of MongoDB: docs/queries.md"),
        "_st" => {
            (text().default(Some("PUBLIC".into())), "States with commas between: `PUBLIC`, `DRAFT`, `TRASH`, `DELETED`")
        }
        "_p" => (text(), "The fields to show, with commas between"),
        "_rawp" => (
            text().content_media_type("application/json"),
            "What to show or to leave out: `{\"name\": 1}` or `{\"name\": 0}`",
        ),
        "_s" => (text().default(Some("_id".into())), "The order: `name` or `-name`, several with commas between"),
        "_l" => (whole(1, Some(MOST as usize), Some(PAGE as usize)), "How many"),
        "_sk" => (whole(0, usize::try_from(MOST_SKIPPED).ok(), Some(0)), "How many are passed over"),
        _ => (text(), ""),
    };
    says.in_query(name, schema, told);
}

/// What a filter of users may name.
pub async fn fields_of_users(app: &App) -> Result<Arc<Fields>, Error> {
    match app.proxy {
        // A store that speaks the language knows its fields better than our groups do.
        Some(_) => Ok(Arc::new(Fields::any())),
        None => app.groups.fields().await,
    }
}

/// Without the encoding that a header may announce.
fn decoded(mut parameters: Vec<(String, String)>, headers: &HeaderMap) -> Result<Vec<(String, String)>, Error> {
    if headers.get(ENCODING).is_some_and(|encoding| encoding == "base64") {
        for (name, value) in parameters.iter_mut().filter(|(name, _)| ["_q", "_rawp"].contains(&name.as_str())) {
            let bytes = BASE64.decode(value.as_bytes()).ok();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            *value = text.ok_or_else(|| invalid_query(format!("{name} is not base64 of a text")))?;
        }
    }
    Ok(parameters)
}

impl<T: Takes> Wanted<T> {
    fn read(mut parameters: Vec<(String, String)>, fields: &Fields) -> Result<Self, Error> {
        let mut query = Query::everybody().in_states(&[State::Public]).limit(PAGE);
        let mut projection = None;
        let mut filters = Vec::new();
        let mut plain: Vec<(&str, Vec<&str>)> = Vec::new();
        for (at, (name, value)) in parameters.iter().enumerate() {
            let twice = parameters[..at].iter().any(|(other, _)| other == name);
            if value.contains('\0') {
                return Err(invalid_query(format!("{} has a NUL character", shown(name))));
            }
            match name.as_str() {
                "_id" if T::ID => add(&mut plain, name, value),
                _ if !name.starts_with('_') => add(&mut plain, name, value),
                name if !T::PARAMETERS.contains(&name) => return Err(invalid_parameter(name, "is not known here")),
                // The keys of an order may come one by one.
                name if twice && name != "_s" => return Err(invalid_parameter(name, "stands twice")),
                "_q" => filters.push(parse::filter(&object(name, value)?, fields)?),
                "_st" => query.states = states(value)?,
                "_s" => query.sort.extend(sort(value, fields)?),
                "_l" => query.limit = Some(limit(value)?),
                "_sk" => query.skip = skip(value)?,
                "_p" if projection.is_none() => projection = Some(Projection::of_names(value)?),
                "_rawp" if projection.is_none() => projection = Some(Projection::of_object(&object(name, value)?)?),
                _ => return Err(invalid_parameter(name, "does not go with _p or _rawp")),
            }
        }
        if query.sort.len() > MOST_KEYS {
            return Err(invalid_query(format!("_s has more than {MOST_KEYS} names")));
        }
        for (name, values) in plain {
            filters.push(parse::parameter(name, &values, fields)?);
        }
        query.filter = Filter::all(filters);
        say(&mut parameters, "_st", || "PUBLIC".to_owned());
        if T::PARAMETERS.contains(&"_l") {
            say(&mut parameters, "_l", || PAGE.to_string());
            say(&mut parameters, "_s", || "_id".to_owned());
        }
        Ok(Self { query, projection: projection.unwrap_or_default(), parameters, takes: PhantomData })
    }
}

fn add<'p>(plain: &mut Vec<(&'p str, Vec<&'p str>)>, name: &'p str, value: &'p str) {
    match plain.iter_mut().find(|(known, _)| *known == name) {
        Some((_, values)) => values.push(value),
        None => plain.push((name, vec![value])),
    }
}

/// What holds where nothing is said is said to whoever reads it next.
fn say(parameters: &mut Vec<(String, String)>, name: &str, value: impl FnOnce() -> String) {
    if !parameters.iter().any(|(known, _)| known == name) {
        parameters.push((name.to_owned(), value()));
    }
}

fn object(name: &str, text: &str) -> Result<Map<String, Value>, Error> {
    json::object(text.as_bytes())
        .map_err(|error| invalid_query(format!("{name}: {}", error.message().replace("The body", "it"))))
}

fn states(list: &str) -> Result<Vec<State>, Error> {
    let states = list.split(',').map(State::parse).collect::<Option<Vec<_>>>();
    states.ok_or_else(|| invalid_parameter("_st", "is a list of PUBLIC, DRAFT, TRASH, DELETED"))
}

fn sort(list: &str, fields: &Fields) -> Result<Vec<Sort>, Error> {
    let key = |name: &str| {
        let (path, down) = name.strip_prefix('-').map_or((name, false), |path| (path, true));
        let kind = fields.kind(path).filter(|_| parse::path_is_sound(path));
        let kind = kind.ok_or_else(|| invalid_query(format!("_s: {} is no field", shown(path))))?;
        Ok(Sort { path: path.to_owned(), down, dated: *kind == Kind::Date })
    };
    list.split(',').map(key).collect()
}

fn limit(text: &str) -> Result<u32, Error> {
    let limit = number(text).and_then(|limit| u32::try_from(limit).ok()).filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| invalid_parameter("_l", &format!("is a number from 1 to {MOST}")))
}

fn skip(text: &str) -> Result<u64, Error> {
    let skip = number(text).filter(|skip| *skip <= MOST_SKIPPED);
    skip.ok_or_else(|| invalid_parameter("_sk", &format!("is a number from 0 to {MOST_SKIPPED}")))
}

/// Digits only: no sign, no blanks.
pub fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
