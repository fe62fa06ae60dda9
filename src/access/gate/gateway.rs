//! What an API gateway in front says of a request: who asks, and what of the users he may see. Whether it is the gateway that
//! says so is judged here, and only what it said goes on.

use std::{collections::HashMap, net::IpAddr};

use aws_lc_rs::constant_time;
use axum::http::{HeaderMap, HeaderName};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::Arrival;
use crate::{
    access::{Caller, Permissions, people},
    app::App,
    config::gateway::{Anonymous, Gateway, GatewayPermissions, UserIs},
    error::{Code, Error},
    query::{
        Fields, Filter,
        parse::{self, invalid_query},
    },
    users::UserId,
};

const SECRET: &str = "x-gateway-secret";
const ROWS: &str = "acl_rows";
const READ_COLUMNS: &str = "acl_read_columns";
const WRITE_COLUMNS: &str = "acl_write_columns";
/// Of a user whom it names.
const LONGEST: usize = 255;

/// What the gateway vouches for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vouched {
    /// Whether it speaks for somebody here, or only says what whoever asks may see.
    speaks: bool,
    /// Who asks.
    user: Option<String>,
    /// Through a back office.
    backoffice: bool,
    /// As it came: a filter, or a list of them.
    rows: Option<String>,
    read_columns: Option<Vec<String>>,
    write_columns: Option<Vec<String>>,
}

/// Takes what only a gateway may say out of the headers; what is left of it is what the gateway has said.
///
/// # Errors
/// `ambiguous-header` for one that stands twice, or under a name that some programs take for it.
pub fn vouched(gateway: &Gateway, peer: Option<IpAddr>, headers: &mut HeaderMap) -> Result<Option<Vouched>, Error> {
    let by_secret = gateway.secret.as_ref().is_some_and(|secret| {
        let given = headers.get(SECRET).map(|value| value.as_bytes()).unwrap_or_default();
        constant_time::verify_slices_are_equal(given, secret.expose_secret().as_bytes()).is_ok()
    });
    let peer = peer.map(|peer| peer.to_canonical());
    let by_address = peer.is_some_and(|peer| gateway.peers.iter().any(|network| network.contains(&peer)));
    let trusted = by_secret || by_address;
    let (user, backoffice) = (gateway.user_header.as_str(), gateway.backoffice_header.as_str());
    let ours = [user, backoffice, ROWS, READ_COLUMNS, WRITE_COLUMNS, SECRET];
    let meant = |name: &HeaderName| ours.into_iter().find(|ours| alike(ours, name.as_str()));
    let names: Vec<(HeaderName, &str)> = headers.keys().filter_map(|name| Some((name.clone(), meant(name)?))).collect();
    let mut said = HashMap::new();
    for (name, meant) in names {
        let stands_twice = headers.get_all(&name).iter().nth(1).is_some();
        let value = headers.remove(&name);
        if trusted && (name != meant || stands_twice) {
            let sentence = format!("The header {meant} stands twice, or under another name than its own");
            return Err(Error::new(Code::AmbiguousHeader, sentence));
        }
        said.extend(value.map(|value| (meant, value)));
    }
    if !trusted {
        return Ok(None);
    }
    let text = |name: &str| match said.get(name).map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Some(Err(_)) => Err(Error::new(Code::AmbiguousHeader, format!("The header {name} is no visible ASCII"))),
    };
    // Nothing would mean everything.
    let narrowing = |name: &str| match text(name)? {
        None if said.contains_key(name) => Err(invalid_query(format!("the header {name} is empty"))),
        text => Ok(text),
    };
    let columns = |text: String| text.split(',').map(|name| name.trim().to_owned()).collect();
    let user = text(user)?;
    if user.as_ref().is_some_and(|user| user.len() > LONGEST || !user.bytes().all(|byte| byte.is_ascii_graphic())) {
        let sentence = format!("The header {} names nobody", gateway.user_header);
        return Err(Error::new(Code::AmbiguousHeader, sentence));
    }
    Ok(Some(Vouched {
        speaks: true,
        user,
        backoffice: text(backoffice)?.is_some_and(|text| ["1", "true"].contains(&text.as_str())),
        rows: narrowing(ROWS)?,
        read_columns: narrowing(READ_COLUMNS)?.map(columns),
        write_columns: narrowing(WRITE_COLUMNS)?.map(columns),
    }))
}

/// Some programs do not tell `_` from `-`.
fn alike(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(|(one, other)| plain(one) == plain(other))
}

impl Vouched {
    /// The same where it speaks for nobody.
    pub fn silent(&self) -> Self {
        Self { speaks: false, ..self.clone() }
    }

    pub fn speaks(&self) -> bool {
        self.speaks
    }

    /// Whoever asks, with what the gateway says that he may see.
    ///
    /// # Errors
    /// `token-required` where it names nobody and nobody is not let in; `token-revoked` for a person who may not act.
    pub async fn caller(&self, app: &App, gateway: &Gateway, arrival: &Arrival) -> Result<Caller, Error> {
        let nobody = Caller {
            unasked: gateway.permissions == GatewayPermissions::None,
            ..Caller::nobody(arrival.origin("public", "gateway"), arrival.operation.clone())
        };
        let mut caller = match &self.user {
            Some(user) => named(app, gateway, user, nobody).await?,
            None if gateway.anonymous == Anonymous::Public => nobody,
            None => {
                let sentence = format!("The header {} or a bearer token is required", gateway.user_header);
                return Err(Error::new(Code::TokenRequired, sentence));
            }
        };
        if let Some(user) = &caller.user {
            arrival.seen.actor.get_or_init(|| user.clone());
        }
        self.narrow(&mut caller)?;
        Ok(caller)
    }

    /// What holds for whoever asks through the gateway, also with a token of his own.
    pub fn narrow(&self, caller: &mut Caller) -> Result<(), Error> {
        caller.backoffice = self.backoffice;
        caller.rows = Filter::all([caller.rows.clone(), self.rows.as_deref().map_or(Ok(Filter::Everything), rows)?]);
        caller.read_columns.clone_from(&self.read_columns);
        caller.write_columns.clone_from(&self.write_columns);
        Ok(())
    }
}

/// Whoever goes by that name, with what he may.
async fn named(app: &App, gateway: &Gateway, name: &str, nobody: Caller) -> Result<Caller, Error> {
    let (person, identity) = match (gateway.user_is, UserId::parse(name)) {
        (UserIs::AuthUserId, _) => (app.people.recent(app, name).await?, Some(name.to_owned())),
        (UserIs::Id, Some(id)) => match people::find_user(app, &id).await? {
            Some((person, identity)) => (Some(person), identity),
            None => (None, None),
        },
        (UserIs::Id, None) => (None, None),
    };
    let (user, permissions) = match person {
        Some(person) => (Some(person.user), person.permissions),
        // Whom it lets in although we do not is its own affair; but he is who he is.
        None if nobody.unasked => {
            let user = match gateway.user_is {
                UserIs::AuthUserId => people::whose(app, name).await?,
                UserIs::Id => UserId::parse(name),
            };
            (user, Permissions::default())
        }
        None => return Err(Error::new(Code::TokenRevoked, "Whom the gateway names may not act")),
    };
    let mut caller = Caller { user, identity, permissions, ..nobody };
    caller.origin.actor = caller.user.as_ref().map_or(name, UserId::as_str).to_owned();
    Ok(caller)
}

/// A filter, or a list of filters of which all must hold.
fn rows(text: &str) -> Result<Filter, Error> {
    let unreadable = || invalid_query(format!("the header {ROWS} is no filter and no list of filters"));
    let filter = |value: &Value| match value {
        Value::Object(filter) => parse::filter(filter, &Fields::any()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err(unreadable()),
    };
    let given: Value = serde_json::from_str(text).map_err(|_| unreadable())?;
    match given.as_array() {
        Some(all) => Ok(Filter::all(all.iter().map(filter).collect::<Result<Vec<_>, _>>()?)),
        None => filter(&given),
    }
}
