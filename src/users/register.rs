//! Making the identity of a user who has none yet.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{
    Change, State, User, UserId, Welcome, passwords, rules,
    steps::{CreateIdentity, MailLink, MoveTimer, PatchUser},
};
use crate::{
    access::Caller,
    app::App,
    error::{Code, Error},
    groups::{Group, Groups},
    identity::Account,
    saga::{Answer, Saga},
    state::Timer,
    systems::Systems,
};

/// Either the user is linked to a new identity under his names, which is blocked where he is blocked, expired or not PUBLIC;
/// or he stands as before. Never validates him: whoever is in the store may get his identity.
pub async fn register(
    app: &App,
    caller: &Caller,
    id: &UserId,
    password: Option<SecretString>,
    welcome: Welcome,
) -> Result<(), Error> {
    let plan = Plan { caller: caller.clone(), groups: app.groups.clone(), systems: app.systems.clone() };
    let user = rules::found(app.systems.view(), id, &caller.rows).await.map_err(|error| error.doing(DOING))?;
    let group = plan.check(&user).await?;
    let password = passwords::of_new(app, &group, password)?;

    let names = rules::names_of_person(&user);
    let asked = caller.asks("register-user", DOING, Some(id), names.clone(), Answer::AtCommit);
    let (id, by, scope) = (id.clone(), caller.origin.actor.clone(), app.config.unique_scope);
    let (chosen, clock) = (app.systems.identity.choose_id(), app.clock.clone());

    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            // Read again, now that nobody else may touch him.
            let user = rules::found(saga.view(), &id, &plan.caller.rows).await?;
            plan.check(&user).await?;
            rules::hold_further(saga, &names, rules::names_of_person(&user)).await?;
            rules::names_free(saga.view(), scope, &rules::names_of(&user.document), Some(&id)).await?;
            let account = Account {
                username: user.text("username").map(str::to_owned),
                email: user.text("email").map(str::to_owned),
                enabled: !user.identity_blocked(saga.view().expired_until_ms()),
                mark: Some(saga.operation().to_owned()),
                revision: None,
            };

            let identity = saga.step(CreateIdentity { chosen, account: account.clone(), password }).await?;
            let locale = user.text("locale").map(str::to_owned);
            let promise = MailLink::welcoming(welcome, &identity, &account, locale, &clock);
            let set = Map::from_iter([("authUserId".to_owned(), Value::from(identity.clone()))]);
            saga.step(PatchUser::new(&user, Change { set, unset: Vec::new() }, &by)).await?;
            if let Some(timer) = saga.view().timer(&id).await? {
                let after = Some(Timer { identity: Some(identity), ..timer.clone() });
                saga.step(MoveTimer { user: id, before: Some(timer), after }).await?;
            }
            promise.map_or(Ok(()), |mail| saga.on_commit(mail))
        })
        .await
}

const DOING: &str = "registering user";

/// Everything that decides whether he may get an identity; asked before the operation begins and again when it holds the
/// names.
struct Plan {
    caller: Caller,
    groups: Groups,
    systems: Systems,
}

impl Plan {
    async fn check(&self, user: &User) -> Result<Arc<Group>, Error> {
        rules::not_above(&self.systems, &self.caller, user).await?;
        if user.state == State::Deleted {
            return Err(Error::new(Code::UserDeleted, "The user is deleted"));
        }
        if user.auth_user_id().is_some() {
            return Err(Error::new(Code::AlreadyRegistered, "The user has an identity already"));
        }
        let group = rules::may_have_identity(&self.groups, &user.document).await?;
        rules::identifiable(&user.document)?;
        Ok(group)
    }
}
