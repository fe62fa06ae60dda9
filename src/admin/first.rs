//! The first administrator: made at a start at which nobody may do everything. Asked again at every start until there is
//! one, so each of its steps may have been done before.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{
    SYSTEM,
    commands::{ADMINISTRATORS, fields, of_identity},
    password::{FIRST, generate, hand_over},
};
use crate::{
    access::{ADMIN, Caller},
    app::App,
    error::{self, Code, Error},
    identity::embedded::{Embedded, Password},
    query::Filter,
    users::{self, User, UserId, create::Draft, passwords},
};

/// His username over the embedded provider.
const NAME: &str = "admin";
/// Between attempts, while a system that he needs is away.
const AGAIN: Duration = Duration::from_secs(10);

/// What of the settings cannot work. The sentence begins with the variable.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoAdministrator(String);

enum Trouble {
    Setting(String),
    /// No attempt can help; somebody must act.
    Taken,
    NotNow(Error),
}

/// Sees to it that there is one. When that cannot be now, it is tried again for as long as the app lives.
pub async fn first_administrator(app: &Arc<App>) -> Result<(), NoAdministrator> {
    match attempt(app).await {
        Ok(()) => Ok(()),
        Err(Trouble::Setting(sentence)) => Err(NoAdministrator(sentence)),
        Err(Trouble::Taken) => {
            tracing::warn!(
                "there is no administrator, and somebody else has his name: \
                 `user-manager admin grant --user ID --permission {ADMIN}` makes one"
            );
            Ok(())
        }
        Err(Trouble::NotNow(error)) => {
            tracing::warn!(reason = error.message(), "the first administrator cannot be made yet");
            again(app);
            Ok(())
        }
    }
}

fn again(app: &Arc<App>) {
    let (weak, clock) = (Arc::downgrade(app), app.clock.clone());
    tokio::spawn(async move {
        loop {
            clock.pause(AGAIN).await;
            let Some(app) = weak.upgrade().filter(|app| !app.draining()) else { return };
            match attempt(&app).await {
                Ok(()) => return,
                Err(Trouble::NotNow(error)) => {
                    tracing::warn!(reason = error.message(), "the first administrator cannot be made yet");
                }
                Err(Trouble::Setting(sentence)) => {
                    tracing::error!("the first administrator cannot be made: {sentence}");
                    return;
                }
                Err(Trouble::Taken) => {
                    tracing::error!("the first administrator cannot be made: somebody else has his name");
                    return;
                }
            }
        }
    });
}

async fn attempt(app: &App) -> Result<(), Trouble> {
    if !app.systems.grants.holders(ADMIN).await.map_err(|error| Trouble::NotNow(error.into()))?.is_empty() {
        return Ok(());
    }
    let caller = Caller::inside(SYSTEM, "system", app.clock.uuid().to_string());
    match &app.own_identities {
        Some(own) => with_own_identity(app, &caller, own).await,
        None => with_identity_elsewhere(app, &caller).await,
    }
}

/// The permission comes last: a start that is cut off before it finds the user that it made and goes on with him.
async fn with_own_identity(app: &App, caller: &Caller, own: &Embedded) -> Result<(), Trouble> {
    if let Some(given) = &app.config.admin_password {
        let policy = passwords::policy(app, &fields(None, None)).await.map_err(trouble)?;
        passwords::check(given, policy).map_err(trouble)?;
    }
    let user = match begun(app).await? {
        Some(user) => user,
        None => {
            let fields = fields(Some(NAME.to_owned()), app.config.admin_email.clone());
            let id = users::create(app, caller, Draft { fields, ..Draft::default() }).await.map_err(trouble)?;
            let made = app.systems.store.get(&id, &Filter::Everything).await;
            made.map_err(|failure| trouble(failure.into_error()))?.ok_or_else(gone)?
        }
    };
    let identity = user.auth_user_id().ok_or_else(gone)?.to_owned();
    let (password, good) = match &app.config.admin_password {
        Some(given) => (given.clone(), Password::Lasting),
        None => (generate().map_err(trouble)?, Password::MustChange),
    };
    let set = own.set_password(&identity, &password, good).await;
    if !set.map_err(|failure| trouble(failure.into_error()))? {
        return Err(gone());
    }
    if good == Password::MustChange {
        tell(app, &password)?;
    }
    grant(app, caller, &user.id).await
}

/// The user that an earlier start made and could not finish: ours, and without any permission.
async fn begun(app: &App) -> Result<Option<User>, Trouble> {
    let found = app.systems.store.find(&[("username", NAME)]).await;
    let found = found.map_err(|failure| trouble(failure.into_error()))?.into_iter().next();
    let Some(user) = found else { return Ok(None) };
    let held = app.systems.grants.of(user.id.as_str()).await.map_err(|error| Trouble::NotNow(error.into()))?;
    let ours = user.group() == ADMINISTRATORS && user.text("creatorId") == Some(SYSTEM) && held.is_empty();
    if ours { Ok(Some(user)) } else { Err(Trouble::Taken) }
}

fn tell(app: &App, password: &SecretString) -> Result<(), Trouble> {
    let written = hand_over(&app.config.data_dir.join(FIRST), NAME, password);
    match written.map_err(|error| trouble(error::internal(format!("the first password cannot be told: {error}"))))? {
        Some(path) => {
            tracing::warn!(path = %path.display(), "the first administrator's name and password are in a file")
        }
        None => tracing::info!("the first administrator was made"),
    }
    Ok(())
}

/// Whoever has that e-mail at the provider; somebody new where nobody has it and a password is given.
async fn with_identity_elsewhere(app: &App, caller: &Caller) -> Result<(), Trouble> {
    let Some(email) = &app.config.admin_email else {
        tracing::info!("there is no administrator yet: ADMIN_EMAIL or `user-manager admin grant` makes one");
        return Ok(());
    };
    let identity = app.systems.identity.find_by_email(email).await;
    if let Some(identity) = identity.map_err(|failure| trouble(failure.into_error()))? {
        let id = of_identity(app, caller, identity).await.map_err(trouble)?;
        return grant(app, caller, &id).await;
    }
    let Some(password) = &app.config.admin_password else {
        let sentence = "ADMIN_PASSWORD: it is not set, and nobody has ADMIN_EMAIL at the identity provider; \
                        right would be: a password, or the e-mail of somebody who is there";
        return Err(Trouble::Setting(sentence.to_owned()));
    };
    let draft = Draft {
        fields: fields(None, Some(email.clone())),
        password: Some(password.clone()),
        grant: vec![ADMIN.to_owned()],
        ..Draft::default()
    };
    users::create(app, caller, draft).await.map_err(trouble)?;
    tracing::info!("the first administrator was made");
    Ok(())
}

async fn grant(app: &App, caller: &Caller, user: &UserId) -> Result<(), Trouble> {
    users::grant(app, caller, user, vec![ADMIN.to_owned()]).await.map_err(Trouble::NotNow)?;
    Ok(())
}

fn gone() -> Trouble {
    Trouble::NotNow(error::user_not_found())
}

fn trouble(error: Error) -> Trouble {
    let setting = |name: &str| Trouble::Setting(format!("{name}: {}; right would be: another", error.message()));
    let is = |codes: &[Code]| codes.contains(&error.code());
    if is(&[Code::PasswordRefused]) {
        setting("ADMIN_PASSWORD")
    } else if is(&[Code::ValidationFailed]) {
        setting("ADMIN_EMAIL")
    } else if is(&[Code::NameTaken, Code::IdentityLinked]) {
        Trouble::Taken
    } else {
        Trouble::NotNow(error)
    }
}
