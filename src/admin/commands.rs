//! The commands, over an open app. Knows not from where they were asked.

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{Asked, Generated, Told, Whom, operator, password::generate};
use crate::{
    access::{ADMIN, Caller},
    app::App,
    config::Identity,
    error::Error,
    events,
    identity::{AuthUserId, embedded::Password},
    query::Filter,
    state::ledger::NewEvent,
    users::{self, User, UserId, create::Draft, passwords},
};

/// The group of those who look after the others; it comes with the program.
pub const ADMINISTRATORS: &str = "administrators";

const RESET: &str = "reset-password";

/// Why a command was not carried out: a sentence for the operator.
type Refusal = String;

/// `uid` is the operator's.
pub async fn carry_out(app: &App, uid: u32, asked: Asked) -> Told {
    let caller = Caller::inside(operator::actor(uid), "cli", app.clock.uuid().to_string());
    let done = match asked {
        Asked::Create { email, username, password } => create(app, &caller, email, username, password).await,
        Asked::CreateIdentity { email, username, password } => {
            create_identity(app, &caller, email, username, password).await
        }
        Asked::ResetPassword { user, password } => reset_password(app, &caller, &user, password).await,
        Asked::Grant { to, permissions } => grant(app, &caller, to, permissions).await,
        Asked::RotateKeys => rotate_keys(app, &caller).await,
    };
    match done {
        Ok((sentence, generated)) => {
            tracing::info!(uid, request = %caller.origin.request_id, "a command of an administrator was carried out");
            Told::Done { sentence, generated }
        }
        Err(sentence) => Told::Refused { sentence },
    }
}

/// A whole administrator or nothing; the generated password is told only once it is good for nothing but being changed.
async fn create(
    app: &App,
    caller: &Caller,
    email: Option<String>,
    username: Option<String>,
    given: Option<SecretString>,
) -> Result<(String, Option<Generated>), Refusal> {
    let name = username.clone().or_else(|| email.clone()).ok_or("an e-mail or a username is needed")?;
    if given.is_none() && app.own_identities.is_none() {
        return Err("over this identity provider a password must be given, or be set there; \
                    `admin grant --identity` makes an administrator of somebody whom it knows already"
            .to_owned());
    }
    let (password, generated) = given_or_made(given)?;
    let draft = Draft {
        fields: fields(username, email),
        password: Some(password.clone()),
        grant: vec![ADMIN.to_owned()],
        ..Draft::default()
    };
    let id = users::create(app, caller, draft).await.map_err(told)?;
    let sentence = format!("administrator {id} was made");
    if !generated {
        return Ok((sentence, None));
    }
    let user = user(app, &id).await?;
    if let (Some(own), Some(identity)) = (&app.own_identities, user.auth_user_id()) {
        own.require_password_change(&identity.to_owned()).await.map_err(|failure| told(failure.into_error()))?;
    }
    Ok((sentence, Some(Generated { name, password })))
}

/// `username`, `email` and the group.
pub fn fields(username: Option<String>, email: Option<String>) -> Map<String, Value> {
    let names = [("username", username), ("email", email), ("userGroup", Some(ADMINISTRATORS.to_owned()))];
    names.into_iter().filter_map(|(field, value)| Some((field.to_owned(), Value::from(value?)))).collect()
}

/// Nobody can log in with it before `POST /users/with-id` has made a user of it.
async fn create_identity(
    app: &App,
    caller: &Caller,
    email: Option<String>,
    username: Option<String>,
    given: Option<SecretString>,
) -> Result<(String, Option<Generated>), Refusal> {
    let Some(own) = &app.own_identities else {
        return Err("identities are made at the provider in use; its own tools make one".to_owned());
    };
    let name = username.clone().or_else(|| email.clone()).ok_or("an e-mail or a username is needed")?;
    let (password, generated) = given_or_made(given)?;
    let made = users::create_identity(app, caller, email, username, password.clone()).await;
    let identity = made.map_err(told)?;
    let sentence = format!("identity {identity} was made; POST /users/with-id makes a user of it");
    if !generated {
        return Ok((sentence, None));
    }
    own.require_password_change(&identity).await.map_err(|failure| told(failure.into_error()))?;
    Ok((sentence, Some(Generated { name, password })))
}

/// And whether it was made.
fn given_or_made(given: Option<SecretString>) -> Result<(SecretString, bool), Refusal> {
    match given {
        Some(given) => Ok((given, false)),
        None => Ok((generate().map_err(told)?, true)),
    }
}

async fn reset_password(
    app: &App,
    caller: &Caller,
    id: &str,
    given: Option<SecretString>,
) -> Result<(String, Option<Generated>), Refusal> {
    let Some(own) = &app.own_identities else {
        return Err(match &app.config.identity {
            Identity::Keycloak(_) => "passwords are Keycloak's; set it there".to_owned(),
            Identity::Embedded { .. } => "the identities are not open".to_owned(),
        });
    };
    let id = UserId::parse(id).ok_or("this is not the _id of a user")?;
    let user = user(app, &id).await?;
    let identity: AuthUserId = user.auth_user_id().ok_or("this user has no identity")?.to_owned();
    let (password, generated) = given_or_made(given)?;
    let policy = passwords::policy(app, &user.document).await.map_err(told)?;
    passwords::check(&password, policy).map_err(told)?;
    // Told before and after: no password is set of which no event tells.
    events::tell(app, &caller.origin, RESET, "begun", &id).await.map_err(told)?;
    let set = own.set_password(&identity, &password, Password::MustChange).await;
    if !set.map_err(|failure| told(failure.into_error()))? {
        return Err("the identity of this user is gone".to_owned());
    }
    events::tell(app, &caller.origin, RESET, "done", &id).await.map_err(told)?;
    let name = user.text("username").or_else(|| user.text("email")).unwrap_or_default().to_owned();
    let sentence = format!("the password of {id} was set; it is good only for changing it");
    Ok((sentence, generated.then_some(Generated { name, password })))
}

async fn grant(
    app: &App,
    caller: &Caller,
    to: Whom,
    permissions: Vec<String>,
) -> Result<(String, Option<Generated>), Refusal> {
    let good = |permission: &String| {
        (1..=100).contains(&permission.len())
            && permission.bytes().all(|b| b.is_ascii_alphanumeric() || b":._*-".contains(&b))
    };
    if let Some(bad) = permissions.iter().find(|permission| !good(permission)) {
        return Err(format!("{bad:?} is no permission; one looks like users:read"));
    }
    let id = match to {
        Whom::User(id) => user(app, &UserId::parse(&id).ok_or("this is not the _id of a user")?).await?.id,
        Whom::Identity(identity) => of_identity(app, caller, identity).await.map_err(told)?,
    };
    let fresh = users::grant(app, caller, &id, permissions).await.map_err(told)?;
    let sentence = match fresh.as_slice() {
        [] => format!("{id} had all of this already"),
        fresh => format!("{id} was granted {}", fresh.join(", ")),
    };
    Ok((sentence, None))
}

async fn rotate_keys(app: &App, caller: &Caller) -> Result<(String, Option<Generated>), Refusal> {
    if !app.tokens.are_ours() {
        return Err("tokens are the identity provider's; rotate its keys there".to_owned());
    }
    app.rotate_keys().await.map_err(told)?;
    let event = NewEvent { action: "rotate-keys", outcome: "done", origin: caller.origin.clone(), subject: None };
    app.journal.ledger().note(event).await.map_err(|error| told(error.into()))?;
    Ok(("another key signs tokens from now on; those that are out hold until they end".to_owned(), None))
}

/// The user of that identity; made where there is none, as an administrator.
pub async fn of_identity(app: &App, caller: &Caller, identity: AuthUserId) -> Result<UserId, Error> {
    if let Some(user) = app.systems.store.find(&[("authUserId", &identity)]).await?.into_iter().next() {
        return Ok(user.id);
    }
    let draft = Draft { fields: fields(None, None), ..Draft::default() };
    users::adopt(app, caller, identity, draft).await
}

async fn user(app: &App, id: &UserId) -> Result<User, Refusal> {
    let found = app.systems.store.get(id, &Filter::Everything).await;
    found.map_err(|failure| told(failure.into_error()))?.ok_or_else(|| format!("there is no user {id}"))
}

fn told(error: Error) -> Refusal {
    let findings = error.findings.iter().map(|finding| format!("; {}: {}", finding.pointer, finding.message));
    format!("{}{}", error.message(), findings.collect::<String>())
}
