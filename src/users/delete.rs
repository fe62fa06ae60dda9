//! Removing a person on both sides.

use super::{
    State, User, UserId, rules,
    rules::{Precondition, Without},
    steps::{ChangeIdentity, DeleteIdentity, DeleteUser, DropGrants, DropTimer, MoveUser},
};
use crate::{
    access::{ADMIN, Caller, Permissions},
    app::App,
    error::Error,
    operations,
    saga::{Answer, Saga},
    systems::Systems,
};

/// Either the person is gone on both sides, or he stands as before. Once TRASH and block have both succeeded there is no
/// way back: an identity's deletion loses the password for ever, so the deletions are promised and retried until done.
///
/// With `AUTH_HARD_DELETE=false` the identity stays, blocked, and keeps its names.
pub async fn delete(app: &App, caller: &Caller, id: &UserId, only_if: Precondition) -> Result<(), Error> {
    operations::resume(app, id).await?;
    let user =
        rules::visible(app.systems.view(), id, &caller.rows).await.map_err(|error| error.doing("deleting user"))?;
    let held = check(&app.systems, caller, &user, &only_if).await?;

    let names = rules::names_to_remove(&user, &held);
    let asked = caller.asks("delete-user", "deleting user", Some(id), names.clone(), Answer::AfterPromises);
    let (id, by, caller) = (id.clone(), caller.origin.actor.clone(), caller.clone());
    let (systems, hard, people) = (app.systems.clone(), app.config.auth_hard_delete, app.people.clone());

    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            // Read again, now that nobody else may touch him.
            let user = rules::visible(saga.view(), &id, &caller.rows).await?;
            let held = check(&systems, &caller, &user, &only_if).await?;
            let needed = rules::names_to_remove(&user, &held);
            rules::hold_further(saga, &names, needed).await?;
            let identity = user.auth_user_id().map(str::to_owned);
            let account = match &identity {
                Some(identity) => saga.view().account(identity).await?,
                None => None,
            };

            let (at, from, to) = (user.revision, user.state, State::Trash);
            saga.step(MoveUser { id: id.clone(), at, from, to, by }).await?;
            if let Some(identity) = &identity {
                people.forget(identity);
            }
            if let Some((identity, from)) = identity.zip(account) {
                if from.enabled {
                    saga.step(ChangeIdentity::enabling(identity.clone(), from, false, saga.operation())).await?;
                }
                if hard {
                    saga.on_commit(DeleteIdentity { id: identity })?;
                }
            }
            saga.on_commit(DeleteUser { id: id.clone() })?;
            saga.on_commit(DropGrants { user: id.clone() })?;
            saga.on_commit(DropTimer { user: id })
        })
        .await
}

async fn check(systems: &Systems, caller: &Caller, user: &User, only_if: &Precondition) -> Result<Permissions, Error> {
    only_if.require(user)?;
    let held = rules::not_above(systems, caller, user).await?;
    if held.holds(ADMIN) {
        rules::not_last_admin(systems, Without::Person(&user.id)).await?;
    }
    Ok(held)
}
