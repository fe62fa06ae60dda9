//! `/userinfo`: what the identity provider tells of the caller, and beside it his user. Knows no HTTP.

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{Caller, tokens::Door};
use crate::{
    app::App,
    config::Userinfo,
    error::{Code, Error},
    users::{State, User},
};

/// `token` is the one that he brought, for a provider that wants to see it.
///
/// # Errors
/// `not-logged` for somebody without an identity. `token-revoked` where the provider takes the token no more.
pub async fn tell(app: &App, caller: &Caller, token: Option<&SecretString>) -> Result<Map<String, Value>, Error> {
    let told = |error: Error| error.doing("reading userinfo");
    let Userinfo { user_id_claim, properties } = &app.config.userinfo;
    let identity = caller.identity.as_ref().ok_or_else(not_logged)?;
    // The token of another issuer says nothing to the provider, and must not be shown to him; nor must one of a gateway's.
    let foreign = matches!(caller.session, Some((Door::Foreign(_), _))) || caller.origin.by == "gateway";
    let token = token.filter(|_| !foreign);
    let claims = app.systems.identity.claims(identity, token).await.map_err(|failure| told(failure.into_error()))?;
    let claims = claims.or_else(|| foreign.then(|| Map::from_iter([(user_id_claim.clone(), identity.clone().into())])));
    let claims = claims.ok_or_else(|| Error::new(Code::TokenRevoked, "The token is no longer good"))?;
    let named = claims.get(user_id_claim).and_then(Value::as_str).ok_or_else(not_logged)?;
    let found = app.systems.store.find(&[("authUserId", named)]).await;
    let found = found.map_err(|failure| told(failure.into_error()))?;
    // A claim that somebody may write himself must not show him another person.
    let own = |user: &User| user.state == State::Public && caller.user.as_ref().is_none_or(|own| *own == user.id);
    let user = found.into_iter().find(own).ok_or_else(not_logged)?;

    let mut shown = of_the_user(&user, properties.as_deref());
    caller.cut(&mut shown);
    if properties.as_ref().is_some_and(|names| names.iter().any(|name| name == PERMISSIONS)) {
        // Without a catalogue nobody can say what a role gives.
        shown.remove(PERMISSIONS);
        if app.systems.roles.store().is_some() {
            shown.insert(PERMISSIONS.to_owned(), caller.permissions.0.clone().into());
        }
    }
    // What the provider says is always told as it says it.
    shown.extend(claims);
    Ok(shown)
}

const PERMISSIONS: &str = "permissions";

/// Nothing given: all of them.
fn of_the_user(user: &User, properties: Option<&[String]>) -> Map<String, Value> {
    let mut fields = user.document.clone();
    if let Some(names) = properties {
        fields.retain(|field, _| names.iter().any(|name| name == field));
    }
    fields
}

fn not_logged() -> Error {
    Error::new(Code::NotLogged, "Missing authUserId, user not logged")
}
