//! Changing a person.

use serde_json::{Map, Value};

use super::{
    Change, METADATA, User, UserId, rules,
    rules::Precondition,
    steps::{ChangeIdentity, PatchUser},
};
use crate::{
    access::{ADMIN, Caller, Permissions},
    app::App,
    config::UniqueScope,
    error::{self, Code, Error},
    fold::fold,
    groups::Groups,
    identity::Account,
    saga::{Answer, Saga},
    systems::Systems,
};

/// Either user and identity both look as asked for, or both as before. Answers the user as he became.
///
/// `body` is the change language, of which this version knows `$set` and `$unset` on whole members.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: &UserId,
    body: Map<String, Value>,
    only_if: Precondition,
) -> Result<User, Error> {
    let change = parse(body)?;
    let plan = Plan {
        caller: caller.clone(),
        change,
        only_if,
        scope: app.config.unique_scope,
        groups: app.groups.clone(),
        systems: app.systems.clone(),
    };
    let user =
        rules::visible(app.systems.view(), id, &caller.rows).await.map_err(|error| error.doing("updating user"))?;
    let held = plan.check(&user).await?;

    let names = plan.names(&user, &held);
    let asked = app.asked(caller, "update-user", "updating user", Some(id), names.clone(), Answer::AtCommit);
    let (id, by, people) = (id.clone(), caller.origin.actor.clone(), app.tokens.people.clone());

    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            // Read again, now that nobody else may touch him.
            let user = rules::visible(saga.view(), &id, &plan.caller.rows).await?;
            let held = plan.check(&user).await?;
            let needed = plan.names(&user, &held);
            if needed.iter().any(|name| !names.contains(name)) {
                saga.hold(needed).await?;
            }
            let (mut after, taken) = (plan.after(&user), plan.new_names(&user));
            rules::names_free(saga.view(), plan.scope, &taken, Some(&id)).await?;
            let account = match user.auth_user_id() {
                Some(identity) => saga.view().account(&identity.to_owned()).await?.map(|found| (identity, found)),
                None => None,
            };

            after.revision = saga.step(PatchUser::new(&user, plan.change.clone(), &by)).await?;
            if let Some((identity, from)) = account {
                let to = account_of(&user, &after, &from, saga.view().now_ms(), saga.operation());
                if differs(&from, &to) {
                    saga.step(ChangeIdentity { id: identity.to_owned(), from, to }).await?;
                }
            }
            if let Some(identity) = user.auth_user_id() {
                people.forget(identity);
            }
            after.document.insert("updatedAt".to_owned(), after.revision.0.clone().into());
            after.document.insert("updaterId".to_owned(), by.into());
            Ok(after)
        })
        .await
}

/// Everything that decides whether the change may be made; asked before the operation begins and again when it holds the
/// names.
struct Plan {
    caller: Caller,
    change: Change,
    only_if: Precondition,
    scope: UniqueScope,
    groups: Groups,
    systems: Systems,
}

impl Plan {
    /// What the person holds.
    async fn check(&self, user: &User) -> Result<Permissions, Error> {
        self.only_if.require(user)?;
        let changed = self.change.set.keys().chain(&self.change.unset).map(String::as_str);
        rules::not_own_protected(&self.caller, &user.id, changed)?;
        let held = rules::not_above(&self.systems, &self.caller, &user.id).await?;
        let after = self.after(user);
        // Blocking never validates: a tightened schema must not keep anybody unblocked.
        let only_blocked = self.change.set.keys().chain(&self.change.unset).all(|field| field == "blocked");
        if !only_blocked || !matches!(after.document.get("blocked"), None | Some(Value::Bool(_))) {
            self.groups.of(&after.document)?.check(&after.document)?;
        }
        if user.auth_user_id().is_some() && rules::names_of(&after.document).is_empty() {
            return Err(error::invalid(Code::ValidationFailed, "", "an email or a username is required"));
        }
        if held.holds(ADMIN) && after.identity_blocked(self.systems.clock.now_ms()) {
            rules::not_last_admin(&self.systems, &user.id).await?;
        }
        Ok(held)
    }

    fn after(&self, user: &User) -> User {
        let mut after = user.clone();
        self.change.apply(&mut after.document);
        after
    }

    /// The person, his names before and after: the old ones too, or they could not be put back.
    fn names(&self, user: &User, held: &Permissions) -> Vec<String> {
        let mut names = rules::names_in(&user.document);
        names.extend(rules::names_in(&self.change.set));
        names.push(format!("user:{}", user.id));
        if held.holds(ADMIN) && self.change.set.get("blocked") == Some(&Value::Bool(true)) {
            names.push(rules::ADMINS.to_owned());
        }
        names.sort();
        names.dedup();
        names
    }

    /// Names that he does not have yet.
    fn new_names<'a>(&'a self, user: &User) -> Vec<(&'static str, &'a str)> {
        let same = |field: &str, value: &str| user.text(field).is_some_and(|old| fold(old) == fold(value));
        rules::names_of(&self.change.set).into_iter().filter(|(field, value)| !same(field, value)).collect()
    }
}

/// The account of a user who looks like this, and looked like `before`.
fn account_of(before: &User, user: &User, from: &Account, now_ms: i64, mark: &str) -> Account {
    let text = |field: &str| user.text(field).map(str::to_owned);
    // A username that the user does not have and did not have is none of ours; one that he gives up is no name to log in
    // with any more.
    let theirs = from.username.clone().filter(|_| before.text("username").is_none() && !follows(from));
    Account {
        username: text("username").or(theirs),
        email: text("email"),
        enabled: !user.identity_blocked(now_ms),
        mark: Some(mark.to_owned()),
        revision: from.revision.clone(),
    }
}

/// A provider that needs a username was given the e-mail for one; it goes on following it.
fn follows(account: &Account) -> bool {
    account.username.is_some() && account.username == account.email
}

fn differs(from: &Account, to: &Account) -> bool {
    let other = |a: &Option<String>, b: &Option<String>| a.as_deref().map(fold) != b.as_deref().map(fold);
    let follows = to.username.is_none() && follows(from);
    from.enabled != to.enabled || other(&from.email, &to.email) || (other(&from.username, &to.username) && !follows)
}

/// `{"$set": {…}, "$unset": {…: true}}`, each member once.
fn parse(body: Map<String, Value>) -> Result<Change, Error> {
    let mut change = Change::default();
    for (command, fields) in body {
        let Value::Object(fields) = fields else {
            return Err(error::invalid(Code::InvalidPatch, format!("/{command}"), "must be an object"));
        };
        match command.as_str() {
            "$set" => change.set = fields,
            "$unset" => {
                for (field, value) in fields {
                    if value != Value::Bool(true) {
                        let pointer = format!("/$unset/{field}");
                        return Err(error::invalid(Code::InvalidPatch, pointer, "must be true"));
                    }
                    change.unset.push(field);
                }
            }
            _ => return Err(error::invalid(Code::InvalidPatch, format!("/{command}"), "is no command: $set, $unset")),
        }
    }
    if change.is_empty() {
        return Err(error::invalid(Code::InvalidPatch, "", "changes nothing"));
    }
    for field in change.set.keys().chain(&change.unset) {
        if field.contains('.') || field.starts_with('$') || field.is_empty() {
            return Err(error::invalid(
                Code::InvalidPatch,
                format!("/{field}"),
                "must name a whole member of the user",
            ));
        }
        if change.set.contains_key(field) && change.unset.contains(field) {
            return Err(error::invalid(Code::InvalidPatch, format!("/{field}"), "is both set and unset"));
        }
    }
    rules::settable(&change.set)?;
    let reserved = |field: &&String| METADATA.contains(&field.as_str()) || field.as_str() == "authUserId";
    if let Some(field) = change.unset.iter().find(reserved) {
        return Err(Error::new(Code::NotSettable, format!("{field} is not set by callers")).field(field));
    }
    if change.set.contains_key("password") {
        return Err(Error::new(Code::NotSettable, "A password is changed by its owner").field("password"));
    }
    Ok(change)
}
