//! Making a user for an identity that exists.

use serde_json::Value;

use super::{
    NAMES, UserId,
    create::Draft,
    rules,
    steps::{ChangeIdentity, InsertUser, MoveTimer},
};
use crate::{
    access::Caller,
    app::App,
    error::{Code, Error},
    fold::fold,
    identity::{Account, AuthUserId},
    saga::{Answer, Saga},
    state::Timer,
};

/// Either the user stands PUBLIC in the store, linked to that identity, which is blocked if he is; or nothing is there and
/// the identity as it was. Never deletes the identity.
///
/// `identity-unknown`, `identity-linked`; `identity-mismatch` when a name is given and not the identity's (one that is not
/// given is taken from it).
pub async fn adopt(app: &App, caller: &Caller, identity: AuthUserId, mut draft: Draft) -> Result<UserId, Error> {
    rules::settable(&draft.fields)?;
    let due_ms = rules::expiring(&mut draft.fields, app.clock.now_ms())?;
    let id = UserId::new(app.clock.now_ms());
    let names = vec![format!("user:{id}"), format!("identity:{identity}")];
    let asked = app.asked(caller, "adopt-identity", "creating user", Some(&id), names, Answer::AtCommit);
    let (by, scope, groups) = (caller.origin.actor.clone(), app.config.unique_scope, app.groups.clone());

    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            let mut fields = draft.fields;
            let from =
                saga.view().account(&identity).await?.ok_or_else(|| {
                    Error::new(Code::IdentityUnknown, "There is no such identity").field("authUserId")
                })?;
            if !saga.view().users(&[("authUserId", &identity)]).await?.is_empty() {
                return Err(Error::new(Code::IdentityLinked, "The identity has a user already").field("authUserId"));
            }
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
            groups.of(&fields).await?.check(&fields)?;
            saga.hold(rules::names_in(&fields)).await?;
            rules::names_free(saga.view(), scope, &rules::names_of(&fields), None).await?;
            let blocked = fields.get("blocked") == Some(&Value::Bool(true));
            fields.insert("authUserId".to_owned(), Value::from(identity.clone()));

            saga.step(InsertUser { id: id.clone(), fields, by }).await?;
            if from.enabled == blocked {
                let to = Account { enabled: !blocked, mark: Some(saga.operation().to_owned()), ..from.clone() };
                saga.step(ChangeIdentity { id: identity.clone(), from, to }).await?;
            }
            if let Some(due_ms) = due_ms {
                let after = Some(Timer { due_ms, identity: Some(identity) });
                saga.step(MoveTimer { user: id.clone(), before: None, after }).await?;
            }
            Ok(id)
        })
        .await
}
