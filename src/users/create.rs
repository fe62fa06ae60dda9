//! Making a person.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{
    State, UserId, Welcome, bars_identity, passwords, rules,
    steps::{CreateIdentity, GrantPermissions, InsertUser, LinkIdentity, MailLink, MoveTimer},
};
use crate::{
    access::Caller,
    app::App,
    error::{self, Code, Error},
    groups::Group,
    identity::{Account, AuthUserId},
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
    pub welcome: Welcome,
}

/// Either the user stands in the store, linked to an identity under the same names that is blocked where he is; or nothing
/// is there. In a group without identities the user stands alone, and roles that are given are not his.
///
/// `name-taken` when the e-mail or the username is taken on either side. Without a password nobody can log in yet.
pub async fn create(app: &App, caller: &Caller, draft: Draft) -> Result<UserId, Error> {
    let (draft, standing, group) = checked(app, caller, draft).await?;
    if !group.has_identities() {
        return user_only(app, caller, draft, standing).await;
    }
    rules::identifiable(&draft.fields)?;
    let Draft { fields, password, grant, welcome } = draft;
    let password = passwords::of_new(app, &group, password)?;
    let id = UserId::new(app.clock.now_ms());
    let mut names = rules::names_in(&fields);
    names.push(format!("user:{id}"));
    let asked = caller.asks("create-user", "creating user", Some(&id), names, Answer::AtCommit);
    let (by, scope) = (caller.origin.actor.clone(), app.config.unique_scope);
    let (chosen, clock) = (app.systems.identity.choose_id(), app.clock.clone());

    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            let text = |field: &str| fields.get(field).and_then(Value::as_str).map(str::to_owned);
            rules::names_free(saga.view(), scope, &rules::names_of(&fields), None).await?;
            let locale = text("locale");
            let account = Account {
                username: text("username"),
                email: text("email"),
                enabled: !bars_identity(&fields, standing.state, saga.view().expired_until_ms()),
                mark: Some(saga.operation().to_owned()),
                revision: None,
            };

            saga.step(InsertUser { id: id.clone(), fields: standing.fields(fields), by: by.clone() }).await?;
            let identity = saga.step(CreateIdentity { chosen, account: account.clone(), password }).await?;
            let promise = MailLink::welcoming(welcome, &identity, &account, locale, &clock);
            let user = saga.view().user(&id, &Filter::Everything).await?.ok_or_else(error::changed_meanwhile)?;
            saga.step(LinkIdentity { id: id.clone(), at: user.revision, identity: identity.clone(), by }).await?;
            if let Some(after) = standing.timer(Some(identity)) {
                saga.step(MoveTimer { user: id.clone(), before: None, after: Some(after) }).await?;
            }
            if !grant.is_empty() {
                saga.step(GrantPermissions { user: id.clone(), permissions: grant, before: Vec::new() }).await?;
            }
            promise.map_or(Ok(()), |mail| saga.on_commit(mail))?;
            Ok(id)
        })
        .await
}

/// Either the user stands in the store, alone: `register` makes his identity later; or nothing is there.
///
/// `password-without-identity` when a password is given.
pub async fn create_user_only(app: &App, caller: &Caller, draft: Draft) -> Result<UserId, Error> {
    let (draft, standing, _) = checked(app, caller, draft).await?;
    user_only(app, caller, draft, standing).await
}

async fn user_only(app: &App, caller: &Caller, draft: Draft, standing: Standing) -> Result<UserId, Error> {
    let Draft { fields, password, grant, .. } = draft;
    if password.is_some() {
        let sentence = "No identity is made for this user, so there is nothing to log in to with a password";
        return Err(Error::new(Code::PasswordWithoutIdentity, sentence).field("password"));
    }
    let id = UserId::new(app.clock.now_ms());
    let mut names = rules::names_in(&fields);
    names.push(format!("user:{id}"));
    let asked = caller.asks("create-user", "creating user", Some(&id), names, Answer::AtCommit);
    let (by, scope) = (caller.origin.actor.clone(), app.config.unique_scope);

    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            rules::names_free(saga.view(), scope, &rules::names_of(&fields), None).await?;
            saga.step(InsertUser { id: id.clone(), fields: standing.fields(fields), by }).await?;
            if let Some(after) = standing.timer(None) {
                saga.step(MoveTimer { user: id.clone(), before: None, after: Some(after) }).await?;
            }
            if !grant.is_empty() {
                saga.step(GrantPermissions { user: id.clone(), permissions: grant, before: Vec::new() }).await?;
            }
            Ok(id)
        })
        .await
}

/// How a new user is to stand, beside his fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub state: State,
    /// When his date comes, where he has one.
    pub due_ms: Option<i64>,
}

impl Standing {
    /// Of the members as given: his state, taken out of them, and his date as it is kept. What callers do not set is refused.
    pub fn of(app: &App, caller: &Caller, fields: &mut Map<String, Value>) -> Result<Self, Error> {
        caller.may_write(fields.keys().map(String::as_str))?;
        let state = if app.config.create_with_state { rules::take_state(fields)? } else { State::Public };
        rules::settable(fields)?;
        Ok(Self { state, due_ms: rules::expiring(fields, app.clock.now_ms())? })
    }

    /// What the store gets.
    pub fn fields(self, mut fields: Map<String, Value>) -> Map<String, Value> {
        if self.state != State::Public {
            fields.insert("__STATE__".to_owned(), self.state.as_str().into());
        }
        fields
    }

    pub fn timer(self, identity: Option<AuthUserId>) -> Option<Timer> {
        self.due_ms.map(|due_ms| Timer { due_ms, identity })
    }
}

/// What the members must be before anything is sent.
async fn checked(app: &App, caller: &Caller, mut draft: Draft) -> Result<(Draft, Standing, Arc<Group>), Error> {
    let standing = Standing::of(app, caller, &mut draft.fields)?;
    let group = app.groups.of(&draft.fields).await?;
    if !group.has_identities() {
        // As the service that we replace has it.
        draft.fields.remove("roles");
    }
    group.check(&mut draft.fields)?;
    rules::may_give(&app.systems, caller, &draft.fields).await?;
    Ok((draft, standing, group))
}
