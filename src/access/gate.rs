//! Who asks: from the bearer token of a request to the caller. An endpoint that takes `Allowed<UsersRead>` cannot be reached
//! without that permission, and has no other way to a caller.

pub mod cookie;
pub mod gateway;

use std::{
    marker::PhantomData,
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use axum::{
    extract::{FromRequestParts, MatchedPath},
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};

use self::gateway::Vouched;
use super::{
    Caller,
    people::Person,
    sessions::{Way, ours},
    tokens::Door,
};
use crate::{
    app::App,
    error::{Code, Error},
    identity::AuthUserId,
    state::journal::Origin,
    users::UserId,
};

/// What is known of a request before anybody asks who sent it. The frame puts it there.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub request_id: String,
    /// Of the client, as far as the proxies that we trust tell it.
    pub address: Option<IpAddr>,
    /// What a gateway in front vouches for.
    pub vouched: Option<Arc<Vouched>>,
    /// Filled by whoever begins an operation.
    pub operation: Arc<OnceLock<String>>,
    pub seen: Arc<Seen>,
}

/// What turns out on the way to an answer, for whoever tells of the request when it has ended.
#[derive(Debug, Default)]
pub struct Seen {
    /// The template that matched.
    pub route: OnceLock<MatchedPath>,
    /// `_id` of the user who asks.
    pub actor: OnceLock<UserId>,
}

impl Arrival {
    /// Of what is done for it: who does it, and by what he is known.
    pub fn origin(&self, actor: impl Into<String>, by: &str) -> Origin {
        Origin {
            actor: actor.into(),
            by: by.to_owned(),
            address: self.address.map(|address| address.to_string()),
            request_id: self.request_id.clone(),
            part_of: None,
        }
    }
}

/// A caller who may do what `D` demands.
pub struct Allowed<D> {
    pub caller: Caller,
    demand: PhantomData<D>,
}

/// A caller, if the request brought a token that holds; for open endpoints that tell some people more.
pub struct Perhaps(pub Option<Caller>);

/// What an endpoint asks of its caller.
pub trait Demand: Send + Sync + 'static {
    /// Nothing: whoever it is acts on what is his own.
    const PERMISSION: Option<&'static str>;
    /// Whether somebody whose password is only good for being changed gets here too.
    const CHANGES_PASSWORD: bool = false;
    /// Whether a browser's cookie opens it too, where cookies are in use.
    const COOKIE: bool = false;
}

macro_rules! demands {
    ($($(#[$what:meta])* $name:ident: $permission:expr;)*) => {$(
        $(#[$what])*
        pub struct $name;
        impl Demand for $name {
            const PERMISSION: Option<&'static str> = $permission;
        }
    )*};
}

demands! {
    UsersRead: Some("users:read");
    UsersWrite: Some("users:write");
    UsersDelete: Some("users:delete");
    GroupsRead: Some("groups:read");
    GroupsWrite: Some("groups:write");
    RolesRead: Some("roles:read");
    RolesWrite: Some("roles:write");
    OperationsWrite: Some("operations:write");
    EventsRead: Some("events:read");
    MetricsRead: Some("metrics:read");
    /// What is one's own. What else one sees is for the domain to say.
    Own: None;
}

/// One's own password.
pub struct OwnPassword;

impl Demand for OwnPassword {
    const PERMISSION: Option<&'static str> = None;
    const CHANGES_PASSWORD: bool = true;
    const COOKIE: bool = true;
}

/// The session in which one asks, to leave it; also whoever must change his password first may.
pub struct Leaving;

impl Demand for Leaving {
    const PERMISSION: Option<&'static str> = None;
    const CHANGES_PASSWORD: bool = true;
    const COOKIE: bool = true;
}

/// The session in which one asks, and who one is.
pub struct OwnSession;

impl Demand for OwnSession {
    const PERMISSION: Option<&'static str> = None;
    const COOKIE: bool = true;
}

impl<D: Demand> FromRequestParts<Arc<App>> for Allowed<D> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let caller = caller::<D>(app, parts).await?;
        if let Some(permission) = D::PERMISSION {
            caller.require(permission)?;
        }
        Ok(Self { caller, demand: PhantomData })
    }
}

impl FromRequestParts<Arc<App>> for Perhaps {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        Ok(Self(caller::<Own>(app, parts).await.ok()))
    }
}

/// Whoever brings a token or a cookie of ours, whatever he may.
pub async fn by_token(app: &App, parts: &Parts) -> Result<Caller, Error> {
    caller::<Leaving>(app, parts).await
}

async fn caller<D: Demand>(app: &App, parts: &Parts) -> Result<Caller, Error> {
    let arrival = parts.extensions.get::<Arrival>();
    let arrival = arrival.ok_or_else(|| crate::error::internal("a request did not come through the frame"))?;
    // A token beside it counts alone.
    if D::COOKIE
        && !parts.headers.contains_key(AUTHORIZATION)
        && let Some(cookie) = cookie::read(app, &parts.headers)
    {
        cookie::same_origin(app, &parts.method, &parts.headers)?;
        let (session, person) = ours::seen(app, Way::Cookie, &cookie).await?.ok_or_else(revoked)?;
        good_for::<D>(app, &session.identity, session.began_ms).await?;
        let session = (session.identity, Some((Door::Ours, session.id)));
        return known(arrival, "cookie", session, person);
    }
    let gateway = app.config.gateway.as_ref();
    let speaks = gateway.zip(arrival.vouched.as_ref().filter(|vouched| vouched.speaks()));
    let claims = match (speaks, bearer(&parts.headers)) {
        (None, token) => app.tokens.verify(token?).await?,
        (Some((gateway, vouched)), Err(_)) => return vouched.caller(app, gateway, arrival).await,
        // A token that is none of ours is the gateway's affair.
        (Some((gateway, vouched)), Ok(token)) => match app.tokens.verify(token).await {
            Ok(claims) => claims,
            Err(error) if error.code() == Code::TokenInvalid => return vouched.caller(app, gateway, arrival).await,
            Err(error) => return Err(error),
        },
    };
    if claims.door != Door::Provider {
        good_for::<D>(app, &claims.subject, claims.issued_ms).await?;
    }
    if !app.sessions.stands(app, &claims).await? {
        return Err(revoked());
    }
    let mut person = app.people.recent(app, &claims.subject).await?.ok_or_else(revoked)?;
    if let Some(permissions) = &claims.permissions {
        person.permissions = permissions.clone();
    }
    let session = claims.session.clone().map(|id| (claims.door, id));
    known(arrival, "token", (claims.subject.clone(), session), person)
}

/// Whether an identity of ours may act here, that has shown at that time who it is.
async fn good_for<D: Demand>(app: &App, identity: &AuthUserId, shown_ms: i64) -> Result<(), Error> {
    let standing = app.systems.identity.standing(identity).await?.ok_or_else(revoked)?;
    if !standing.enabled || shown_ms < standing.not_before_ms {
        return Err(revoked());
    }
    if standing.must_change_password && !D::CHANGES_PASSWORD {
        let sentence = "This password is only good for changing it: POST /users/me/change-password";
        return Err(Error::new(Code::PasswordChangeRequired, sentence));
    }
    Ok(())
}

/// Somebody who has shown who he is; a gateway in front says what of the users he may see.
fn known(
    arrival: &Arrival,
    by: &str,
    (identity, session): (AuthUserId, Option<(Door, String)>),
    person: Person,
) -> Result<Caller, Error> {
    arrival.seen.actor.get_or_init(|| person.user.clone());
    let origin = arrival.origin(person.user.as_str(), by);
    let mut caller = Caller {
        user: Some(person.user),
        identity: Some(identity),
        session,
        permissions: person.permissions,
        ..Caller::nobody(origin, arrival.operation.clone())
    };
    if let Some(vouched) = &arrival.vouched {
        vouched.narrow(&mut caller)?;
    }
    Ok(caller)
}

/// RFC 6750 2.1; the name of the scheme in any case (RFC 9110 11.1).
pub fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let required = || Error::new(Code::TokenRequired, "A bearer token is required");
    let value = headers.get(AUTHORIZATION).ok_or_else(required)?;
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(required)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim_start_matches(' ')) } else { Err(required()) }
}

fn revoked() -> Error {
    Error::new(Code::TokenRevoked, "The token is no longer good")
}
