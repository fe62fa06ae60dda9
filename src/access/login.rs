//! Name and password against a session. Knows no HTTP.

use secrecy::{ExposeSecret, SecretString};

use super::{
    gate::Arrival,
    people,
    sessions::{self, Opened, Way, ours},
};
use crate::{
    app::App,
    error::{self, Code, Error},
    identity::Login,
};

/// Tokens of ours, or the provider's own as they are.
///
/// # Errors
/// `login-refused`, one for all: wrong password, unknown name, blocked, expired, not PUBLIC, no user. What failed at the
/// provider or the store.
pub async fn log_in(
    app: &App,
    arrival: &Arrival,
    way: Way,
    name: &str,
    password: &SecretString,
) -> Result<Opened, Error> {
    let told = |error: Error| error.doing("logging in");
    match app.systems.identity.log_in(name, password).await.map_err(|failure| told(failure.into_error()))? {
        Login::Refused => Err(refused()),
        Login::Verified { id, at_ms } => {
            let person = people::find(app, &id).await.map_err(told)?.ok_or_else(refused)?;
            ours::open(app, arrival, way, id, at_ms, &person).await
        }
        Login::Token { access_token, expires_at_ms, refresh_token } => {
            // Verified although the provider has just made it: a token that we would not take is no use to anybody.
            let claims = app.tokens.verify(access_token.expose_secret()).await.map_err(|error| {
                let useless = matches!(error.code(), Code::TokenInvalid | Code::TokenExpired);
                if useless { error::internal("the provider's own token does not hold here") } else { told(error) }
            })?;
            let person = people::find(app, &claims.subject).await.map_err(told)?.ok_or_else(refused)?;
            app.journal.ledger().note(sessions::logged_in(arrival, &person)).await?;
            Ok(Opened { access_token, expires_ms: expires_at_ms, refresh_token })
        }
    }
}

fn refused() -> Error {
    Error::new(Code::LoginRefused, "Wrong username or password")
}
