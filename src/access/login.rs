//! Name and password against a session. Knows no HTTP.

use secrecy::SecretString;

use super::{
    gate::Arrival,
    people::{self, Person},
    sessions::{self, Opened, Way, ours},
    throttle::Whose,
};
use crate::{
    app::App,
    error::{Code, Error},
    identity::{AuthUserId, Login},
};

/// Tokens of ours, or the provider's own as they are.
///
/// # Errors
/// `login-refused`, one for all: wrong password, unknown name, blocked, expired, not PUBLIC, no user. `throttled`, before
/// anything is looked at. What failed at the provider or the store.
pub async fn log_in(
    app: &App,
    arrival: &Arrival,
    way: Way,
    name: &str,
    password: &SecretString,
) -> Result<Opened, Error> {
    let attempt = app.throttle.admit(Whose::Name(name), arrival.address).await?;
    let shown = match show(app, name, password).await {
        Ok(Some(shown)) => shown,
        Ok(None) => {
            attempt.failed().await?;
            return Err(Error::new(Code::LoginRefused, "Wrong username or password"));
        }
        Err(error) => {
            attempt.undecided();
            return Err(error.doing("logging in"));
        }
    };
    attempt.passed().await?;
    match shown {
        Shown::Ours { id, at_ms, person } => ours::open(app, arrival, way, id, at_ms, &person).await,
        Shown::Theirs { opened, person } => {
            app.journal.ledger().note(sessions::logged_in(arrival, &person)).await?;
            Ok(opened)
        }
    }
}

/// Somebody who has shown who he is, and may act.
enum Shown {
    Ours { id: AuthUserId, at_ms: i64, person: Person },
    Theirs { opened: Opened, person: Person },
}

/// Nothing for everything that is refused alike.
async fn show(app: &App, name: &str, password: &SecretString) -> Result<Option<Shown>, Error> {
    match app.systems.identity.log_in(name, password).await.map_err(|failure| failure.into_error())? {
        Login::Refused => Ok(None),
        Login::Verified { id, at_ms } => {
            let person = people::find(app, &id).await?;
            Ok(person.map(|person| Shown::Ours { id, at_ms, person }))
        }
        Login::Token { access_token, expires_at_ms, refresh_token } => {
            let claims = app.tokens.verify_given(&access_token).await?;
            let person = people::find(app, &claims.subject).await?;
            let opened = Opened { access_token, expires_ms: expires_at_ms, refresh_token };
            Ok(person.map(|person| Shown::Theirs { opened, person }))
        }
    }
}
