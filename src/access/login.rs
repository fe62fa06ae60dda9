//! Name and password against a token. Knows no HTTP.

use secrecy::{ExposeSecret, SecretString};

use super::{gate::Arrival, people, tokens::Issued};
use crate::{
    app::App,
    error::{self, Code, Error},
    identity::Login,
    state::{journal::Origin, ledger::NewEvent},
    users::UserId,
};

/// A token of ours, or the provider's own as it is.
///
/// # Errors
/// `login-refused`, one for all: wrong password, unknown name, blocked, expired, not PUBLIC, no user. What failed at the
/// provider or the store.
pub async fn log_in(app: &App, arrival: &Arrival, name: &str, password: &SecretString) -> Result<Issued, Error> {
    let told = |error: Error| error.doing("logging in");
    match app.systems.identity.log_in(name, password).await.map_err(|failure| told(failure.into_error()))? {
        Login::Refused => Err(refused()),
        Login::Verified { id, at_ms } => {
            let person = people::find(app, &id).await.map_err(told)?.ok_or_else(refused)?;
            let issued = app.tokens.issue(&id, at_ms, &person.user, &person.permissions)?;
            tell(app, arrival, person.user).await?;
            Ok(issued)
        }
        Login::Token { access_token, expires_at_ms } => {
            // Verified although the provider has just made it: a token that we would not take is no use to anybody.
            let claims = app.tokens.verify(access_token.expose_secret()).await.map_err(|error| {
                let useless = matches!(error.code(), Code::TokenInvalid | Code::TokenExpired);
                if useless { error::internal("the provider's own token does not hold here") } else { told(error) }
            })?;
            let person = people::find(app, &claims.subject).await.map_err(told)?.ok_or_else(refused)?;
            tell(app, arrival, person.user).await?;
            Ok(Issued { token: access_token, expires_ms: expires_at_ms })
        }
    }
}

/// Nobody gets a token of which no event tells.
async fn tell(app: &App, arrival: &Arrival, user: UserId) -> Result<(), Error> {
    let origin = Origin {
        actor: user.to_string(),
        by: "password".to_owned(),
        address: arrival.address.clone(),
        request_id: arrival.request_id.clone(),
        part_of: None,
    };
    let event = NewEvent { action: "log-in", outcome: "done", origin, subject: Some(user.into()) };
    Ok(app.journal.ledger().note(event).await?)
}

fn refused() -> Error {
    Error::new(Code::LoginRefused, "Wrong username or password")
}
