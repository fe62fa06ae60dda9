//! Making a user for an identity that exists.

use serde_json::{Map, Value};

use super::{
    NAMES, UserId, bars_identity,
    create::{Draft, Standing},
    rules,
    steps::{ChangeIdentity, InsertUser, MoveTimer},
};
use crate::{
    access::Caller,
    app::App,
    error::{Code, Error},
    fold::fold,
    groups::Groups,
    identity::{Account, AuthUserId},
    saga::{Answer, Saga},
    systems::View,
};

/// Either the user stands in the store, linked to that identity, which is blocked if he is; or nothing is there and
/// the identity as it was. Never deletes the identity.
///
/// `identity-unknown`, `identity-linked`; `identity-mismatch` when a name is given and not the identity's (one that is not
/// given is taken from it).
pub async fn adopt(app: &App, caller: &Caller, identity: AuthUserId, draft: Draft) -> Result<UserId, Error> {
    let mut given = draft.fields;
    let standing = Standing::of(app, caller, &mut given)?;
    rules::may_have_identity(&app.groups, &given).await?;
    rules::may_give(&app.systems, caller, &given).await?;
    let plan = Plan { identity, given, groups: app.groups.clone() };
    plan.look(app.systems.view()).await.map_err(|error| error.doing("creating user"))?;

    let id = UserId::new(app.clock.now_ms());
    let names = vec![format!("user:{id}"), format!("identity:{}", plan.identity)];
    let asked = caller.asks("adopt-identity", "creating user", Some(&id), names, Answer::AtCommit);
    let (by, scope) = (caller.origin.actor.clone(), app.config.unique_scope);

    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            // Looked at again, now that nobody else may touch it.
            let (from, mut fields) = plan.look(saga.view()).await?;
            saga.hold(rules::names_in(&fields)).await?;
            rules::names_free(saga.view(), scope, &rules::names_of(&fields), None).await?;
            let blocked = bars_identity(&fields, standing.state, saga.view().expired_until_ms());
            fields.insert("authUserId".to_owned(), Value::from(plan.identity.clone()));

            saga.step(InsertUser { id: id.clone(), fields: standing.fields(fields), by }).await?;
            if from.enabled == blocked {
                let identity = plan.identity.clone();
                saga.step(ChangeIdentity::enabling(identity, from, !blocked, saga.operation())).await?;
            }
            if let Some(after) = standing.timer(Some(plan.identity)) {
                saga.step(MoveTimer { user: id.clone(), before: None, after: Some(after) }).await?;
            }
            Ok(id)
        })
        .await
}

/// Which identity gets which user.
struct Plan {
    identity: AuthUserId,
    given: Map<String, Value>,
    groups: Groups,
}

impl Plan {
    /// The identity as it stands, and the members of its user: those that are given, and its names where they are not.
    async fn look(&self, view: View<'_>) -> Result<(Account, Map<String, Value>), Error> {
        let unknown = || Error::new(Code::IdentityUnknown, "There is no such identity").field("authUserId");
        let from = view.account(&self.identity).await?.ok_or_else(unknown)?;
        if !view.users(&[("authUserId", &self.identity)]).await?.is_empty() {
            return Err(Error::new(Code::IdentityLinked, "The identity has a user already").field("authUserId"));
        }
        let mut fields = self.given.clone();
        for (field, theirs) in NAMES.into_iter().zip([&from.email, &from.username]) {
            match (fields.get(field).and_then(Value::as_str), theirs) {
                (Some(given), theirs) if theirs.as_deref().map(fold) != Some(fold(given)) => {
                    let message = format!("The {field} is not the identity's");
                    return Err(Error::new(Code::IdentityMismatch, message).field(field));
                }
                (None, Some(theirs)) => {
                    fields.insert(field.to_owned(), Value::from(theirs.clone()));
                }
                _ => {}
            }
        }
        self.groups.of(&fields).await?.check(&mut fields)?;
        Ok((from, fields))
    }
}
