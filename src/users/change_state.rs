//! Moving a person from one state to another. To DELETED is a way of its own: [`super::soft_delete()`].

use serde_json::{Map, Value};

use super::{
    Change, Means, State, User, UserId, rules,
    rules::Precondition,
    steps::{ChangeIdentity, MoveUser, PatchUser},
};
use crate::{
    access::{ADMIN, Caller, Permissions},
    app::App,
    config::PublicUnblocks,
    error::{Code, Error},
    saga::{Answer, Carries, Saga},
    systems::Systems,
};

/// Either the person stands in that state, and his identity is blocked or not as the state demands; or both are as before.
///
/// `transition-not-allowed` where no step leads from his state to that one. Leaving DELETED takes his names again:
/// `name-taken` when somebody else has one meanwhile. Never validates.
pub async fn change_state(app: &App, caller: &Caller, id: &UserId, to: State) -> Result<(), Error> {
    change_state_by(&Means::of(app), &app.sagas, caller, id, to).await
}

/// The same, carried out by whatever that is.
pub(super) async fn change_state_by(
    means: &Means,
    carries: &impl Carries,
    caller: &Caller,
    id: &UserId,
    to: State,
) -> Result<(), Error> {
    let turn = Turn { to, way: step, only_if: Precondition::None };
    turn.make(means, carries, caller, id, "change-state", "changing state").await
}

/// As [`change_state`], from TRASH back to PUBLIC (by way of DRAFT, since no step leads there) or to DRAFT.
pub async fn restore(app: &App, caller: &Caller, id: &UserId, to: State, only_if: Precondition) -> Result<(), Error> {
    let turn = Turn { to, way: out_of_trash, only_if };
    turn.make(&Means::of(app), &app.sagas, caller, id, "restore-user", "restoring user").await
}

/// Whether one step leads from the one state to the other: what `POST /users/state` takes.
pub fn is_step(from: State, to: State) -> bool {
    step(from, to).is_some()
}

/// From where one step leads to that state.
pub fn sources(to: State) -> Vec<State> {
    State::ALL.into_iter().filter(|from| is_step(*from, to)).collect()
}

fn step(from: State, to: State) -> Option<&'static [State]> {
    use State::{Deleted, Draft, Public, Trash};
    match (from, to) {
        (Draft, Public) => Some(&[Public]),
        (Public | Trash, Draft) => Some(&[Draft]),
        (Public | Draft | Deleted, Trash) => Some(&[Trash]),
        (Trash, Deleted) => Some(&[Deleted]),
        (Public | Draft | Trash | Deleted, Public | Draft | Trash | Deleted) => None,
    }
}

fn out_of_trash(from: State, to: State) -> Option<&'static [State]> {
    match (from, to) {
        (State::Trash, State::Public) => Some(&[State::Draft, State::Public]),
        (State::Trash, State::Draft) => Some(&[State::Draft]),
        (State::Public | State::Draft | State::Trash | State::Deleted, _) => None,
    }
}

/// What is asked: the state, by which ways, under which condition.
struct Turn {
    to: State,
    /// The states that are passed, the last one included; nothing where none leads there.
    way: fn(State, State) -> Option<&'static [State]>,
    only_if: Precondition,
}

impl Turn {
    async fn make(
        self,
        means: &Means,
        carries: &impl Carries,
        caller: &Caller,
        id: &UserId,
        kind: &'static str,
        doing: &'static str,
    ) -> Result<(), Error> {
        let user = rules::found(means.systems.view(), id, &caller.rows).await.map_err(|error| error.doing(doing))?;
        let (held, _) = self.check(&means.systems, caller, &user).await?;

        let names = self.names(&user, &held);
        let asked = caller.asks(kind, doing, Some(id), names.clone(), Answer::AtCommit);
        let (id, by, caller) = (id.clone(), caller.origin.actor.clone(), caller.clone());
        let (systems, scope, people) = (means.systems.clone(), means.config.unique_scope, means.people.clone());
        let unblocks = self.to == State::Public && means.config.public_unblocks == PublicUnblocks::Always;

        carries
            .run(asked, async move |saga: &mut Saga| {
                // Read again, now that nobody else may touch him.
                let user = rules::found(saga.view(), &id, &caller.rows).await?;
                let (held, way) = self.check(&systems, &caller, &user).await?;
                rules::hold_further(saga, &names, self.names(&user, &held)).await?;
                if user.state == State::Deleted {
                    rules::names_free(saga.view(), scope, &rules::names_of(&user.document), Some(&id)).await?;
                }
                let account = match user.auth_user_id() {
                    Some(identity) => saga.view().account(&identity.to_owned()).await?,
                    None => None,
                };

                let mut after = user.clone();
                if unblocks && user.blocked() {
                    let set = Map::from_iter([("blocked".to_owned(), Value::Bool(false))]);
                    let change = Change { set, unset: Vec::new() };
                    change.apply(&mut after.document);
                    after.revision = saga.step(PatchUser::new(&user, change, &by)).await?;
                }
                for &to in way {
                    let (id, at, from) = (id.clone(), after.revision.clone(), after.state);
                    after.revision = saga.step(MoveUser { id, at, from, to, by: by.clone() }).await?;
                    after.state = to;
                }
                let Some(identity) = user.auth_user_id().map(str::to_owned) else { return Ok(()) };
                people.forget(&identity);
                let enabled = !after.identity_blocked(saga.view().expired_until_ms());
                if let Some(from) = account.filter(|account| account.enabled != enabled) {
                    saga.step(ChangeIdentity::enabling(identity.clone(), from, enabled, saga.operation())).await?;
                    people.forget(&identity);
                }
                Ok(())
            })
            .await
    }

    /// What the person holds, and the states that he passes.
    async fn check(
        &self,
        systems: &Systems,
        caller: &Caller,
        user: &User,
    ) -> Result<(Permissions, &'static [State]), Error> {
        self.only_if.require(user)?;
        let held = rules::not_above(systems, caller, user).await?;
        let way = (self.way)(user.state, self.to).ok_or_else(|| not_allowed(user.state, self.to))?;
        if self.takes_away(&held) {
            rules::not_last_admin(systems, rules::Without::Person(&user.id)).await?;
        }
        Ok((held, way))
    }

    fn names(&self, user: &User, held: &Permissions) -> Vec<String> {
        let mut names = rules::names_of_person(user);
        if self.takes_away(held) {
            names.push(rules::ADMINS.to_owned());
        }
        names
    }

    /// Whether it may take somebody away who may do everything.
    fn takes_away(&self, held: &Permissions) -> bool {
        held.holds(ADMIN) && self.to != State::Public
    }
}

pub(super) fn not_allowed(from: State, to: State) -> Error {
    let sentence = format!("transition from {} to {} not allowed.", from.as_str(), to.as_str());
    Error::new(Code::TransitionNotAllowed, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_leads_where_the_contract_of_the_store_says() {
        let table = [(State::Public, "-DT-"), (State::Draft, "P-T-"), (State::Trash, "-D-X"), (State::Deleted, "--T-")];
        for (from, row) in table {
            for (to, cell) in State::ALL.into_iter().zip(row.chars()) {
                assert_eq!(is_step(from, to), cell != '-', "{from:?} to {to:?}");
            }
        }
    }
}
