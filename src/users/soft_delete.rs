//! Moving a person to DELETED: he stays in the store, his identity does not, or only blocked.

use super::{
    State, User, UserId, rules,
    rules::Precondition,
    steps::{BuryUser, ChangeIdentity, DeleteIdentity, MoveUser, UnlinkUser},
};
use crate::{
    access::{ADMIN, Caller, Permissions},
    app::App,
    error::Error,
    operations,
    saga::{Answer, Saga},
    systems::Systems,
};

/// The user stands DELETED, or as before. Once he stands in TRASH with his identity blocked there is no way back: what is
/// left is promised and goes on by itself, and asking again goes on at once. Done when he is DELETED already.
///
/// With `AUTH_HARD_DELETE` his identity is deleted, the link to it taken away, and his names are free; without it the
/// identity stays, blocked, and keeps them. Never validates.
pub async fn soft_delete(app: &App, caller: &Caller, id: &UserId, only_if: Precondition) -> Result<(), Error> {
    // The service that we replace says so of the read, and otherwise of the rest.
    bury(app, caller, id, only_if, ["deleting user", "soft deleting user"]).await
}

/// As [`soft_delete`]; for the sentences of failed calls, of the first read and of the rest.
pub(super) async fn bury(
    app: &App,
    caller: &Caller,
    id: &UserId,
    only_if: Precondition,
    [reading, doing]: [&'static str; 2],
) -> Result<(), Error> {
    operations::resume(app, id).await?;
    let user = rules::found(app.systems.view(), id, &caller.rows).await.map_err(|error| error.doing(reading))?;
    let held = check(&app.systems, caller, &user, &only_if).await?;
    if user.state == State::Deleted {
        return Ok(());
    }

    let names = rules::names_to_remove(&user, &held);
    let asked = app.asked(caller, "soft-delete-user", doing, Some(id), names.clone(), Answer::AfterPromises);
    let (id, by, caller) = (id.clone(), caller.origin.actor.clone(), caller.clone());
    let (systems, hard, people) = (app.systems.clone(), app.config.auth_hard_delete, app.tokens.people.clone());

    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            // Read again, now that nobody else may touch him.
            let user = rules::found(saga.view(), &id, &caller.rows).await?;
            let held = check(&systems, &caller, &user, &only_if).await?;
            if user.state == State::Deleted {
                return Ok(());
            }
            rules::hold_further(saga, &names, rules::names_to_remove(&user, &held)).await?;
            let identity = user.auth_user_id().map(str::to_owned);
            let account = match &identity {
                Some(identity) => saga.view().account(identity).await?,
                None => None,
            };

            if user.state != State::Trash {
                let (at, from, to) = (user.revision, user.state, State::Trash);
                saga.step(MoveUser { id: id.clone(), at, from, to, by: by.clone() }).await?;
            }
            if let Some(identity) = identity {
                people.forget(&identity);
                if let Some(from) = account.filter(|account| account.enabled) {
                    saga.step(ChangeIdentity::enabling(identity.clone(), from, false, saga.operation())).await?;
                }
                if hard {
                    saga.on_commit(DeleteIdentity { id: identity.clone() })?;
                    saga.on_commit(UnlinkUser { id: id.clone(), identity, by: by.clone() })?;
                }
            }
            saga.on_commit(BuryUser { id, by })
        })
        .await
}

async fn check(systems: &Systems, caller: &Caller, user: &User, only_if: &Precondition) -> Result<Permissions, Error> {
    only_if.require(user)?;
    let held = rules::not_above(systems, caller, user).await?;
    if held.holds(ADMIN) && user.state != State::Deleted {
        rules::not_last_admin(systems, rules::Without::Person(&user.id)).await?;
    }
    Ok(held)
}
