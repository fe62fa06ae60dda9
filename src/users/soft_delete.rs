//! Moving a person to DELETED: he stays in the store, his identity does not, or only blocked.

use super::{
    Means, State, User, UserId,
    change_state::not_allowed,
    rules,
    rules::Precondition,
    steps::{BuryUser, ChangeIdentity, DeleteIdentity, MoveUser, UnlinkUser},
};
use crate::{
    access::{ADMIN, Caller, Permissions},
    app::App,
    error::Error,
    operations,
    saga::{Answer, Carries, Saga},
    systems::Systems,
};

/// The user stands DELETED, or as before. Once he stands in TRASH with his identity blocked there is no way back: what is
/// left is promised and goes on by itself, and asking again goes on at once. Done when he is DELETED already.
///
/// With `AUTH_HARD_DELETE` his identity is deleted, the link to it taken away, and his names are free; without it the
/// identity stays, blocked, and keeps them. Never validates.
pub async fn soft_delete(app: &App, caller: &Caller, id: &UserId, only_if: Precondition) -> Result<(), Error> {
    // The service that we replace says so of the read, and otherwise of the rest.
    operations::resume(app, id).await?;
    let burial = Burial { only_if, only_from_trash: false, reading: "deleting user", doing: "soft deleting user" };
    burial.carry_out(&Means::of(app), &app.sagas, caller, id).await
}

/// As [`soft_delete`], of somebody who stands in TRASH: `transition-not-allowed` anywhere else.
pub(super) async fn bury(
    means: &Means,
    carries: &impl Carries,
    caller: &Caller,
    id: &UserId,
    doing: &'static str,
) -> Result<(), Error> {
    let burial = Burial { only_if: Precondition::None, only_from_trash: true, reading: doing, doing };
    burial.carry_out(means, carries, caller, id).await
}

/// Under which conditions, and the sentences of failed calls: of the first read, and of the rest.
struct Burial {
    only_if: Precondition,
    only_from_trash: bool,
    reading: &'static str,
    doing: &'static str,
}

impl Burial {
    async fn carry_out(self, means: &Means, carries: &impl Carries, caller: &Caller, id: &UserId) -> Result<(), Error> {
        let (reading, doing) = (self.reading, self.doing);
        let user = rules::found(means.systems.view(), id, &caller.rows).await.map_err(|error| error.doing(reading))?;
        let held = self.check(&means.systems, caller, &user).await?;
        if user.state == State::Deleted {
            return Ok(());
        }

        let names = rules::names_to_remove(&user, &held);
        let asked = caller.asks("soft-delete-user", doing, Some(id), names.clone(), Answer::AfterPromises);
        let (id, by, caller) = (id.clone(), caller.origin.actor.clone(), caller.clone());
        let (systems, hard, people) = (means.systems.clone(), means.config.auth_hard_delete, means.people.clone());

        carries
            .run(asked, async move |saga: &mut Saga| {
                // Read again, now that nobody else may touch him.
                let user = rules::found(saga.view(), &id, &caller.rows).await?;
                let held = self.check(&systems, &caller, &user).await?;
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

    async fn check(&self, systems: &Systems, caller: &Caller, user: &User) -> Result<Permissions, Error> {
        self.only_if.require(user)?;
        if self.only_from_trash && user.state != State::Trash {
            return Err(not_allowed(user.state, State::Deleted));
        }
        let held = rules::not_above(systems, caller, user).await?;
        if held.holds(ADMIN) && user.state != State::Deleted {
            rules::not_last_admin(systems, rules::Without::Person(&user.id)).await?;
        }
        Ok(held)
    }
}
