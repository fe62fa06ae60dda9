//! Making a person.

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{
    UserId, passwords, rules,
    steps::{CreateIdentity, GrantPermissions, InsertUser, LinkIdentity, MoveTimer},
};
use crate::{
    access::Caller,
    app::App,
    error::{self, Code, Error},
    identity::Account,
    query::Filter,
    saga::{Answer, Saga},
    state::Timer,
};

/// What is asked for a new person.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The user's members as given, without `password`.
    pub fields: Map<String, Value>,
    pub password: Option<SecretString>,
    /// Given to him alone, beside what his roles give. Only the command line fills it.
    pub grant: Vec<String>,
}

/// Either the user stands PUBLIC in the store, linked to an identity under the same names; or nothing is there.
///
/// `name-taken` when the e-mail or the username is taken on either side. Without a password nobody can log in yet.
pub async fn create(app: &App, caller: &Caller, mut draft: Draft) -> Result<UserId, Error> {
    rules::settable(&draft.fields)?;
    let due_ms = rules::expiring(&mut draft.fields, app.clock.now_ms())?;
    rules::check(app, &draft.fields).await?;
    if rules::names_of(&draft.fields).is_empty() {
        return Err(error::invalid(Code::ValidationFailed, "", "an email or a username is required"));
    }
    if let Some(password) = &draft.password {
        passwords::check(password)?;
    }
    let id = UserId::new(app.clock.now_ms());
    let mut names = rules::names_in(&draft.fields);
    names.push(format!("user:{id}"));
    let asked = app.asked(caller, "create-user", "creating user", Some(&id), names, Answer::AtCommit);
    let (by, scope) = (caller.origin.actor.clone(), app.config.unique_scope);
    let chosen = app.systems.identity.choose_id();

    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            let Draft { fields, password, grant } = draft;
            let text = |field: &str| fields.get(field).and_then(Value::as_str).map(str::to_owned);
            rules::names_free(saga.view(), scope, &rules::names_of(&fields), None).await?;
            let account = Account {
                username: text("username"),
                email: text("email"),
                enabled: fields.get("blocked") != Some(&Value::Bool(true)),
                mark: Some(saga.operation().to_owned()),
                revision: None,
            };

            saga.step(InsertUser { id: id.clone(), fields, by: by.clone() }).await?;
            let identity = saga.step(CreateIdentity { chosen, account, password }).await?;
            let user = saga.view().user(&id, &Filter::Everything).await?.ok_or_else(error::changed_meanwhile)?;
            saga.step(LinkIdentity { id: id.clone(), at: user.revision, identity: identity.clone(), by }).await?;
            if let Some(due_ms) = due_ms {
                let after = Some(Timer { due_ms, identity: Some(identity) });
                saga.step(MoveTimer { user: id.clone(), before: None, after }).await?;
            }
            if !grant.is_empty() {
                saga.step(GrantPermissions { user: id.clone(), permissions: grant, before: Vec::new() }).await?;
            }
            Ok(id)
        })
        .await
}
