//! Changing a person.

use serde_json::{Map, Value};

use super::{
    Change, NOT_SETTABLE, State, User, UserId, rules,
    rules::{Precondition, Without},
    steps::{ChangeIdentity, MoveTimer, PatchUser},
};
use crate::{
    access::{ADMIN, Caller},
    app::App,
    clock,
    config::{SelfProtect, UniqueScope},
    error::{self, Code, Error},
    fold::fold,
    groups::Groups,
    identity::Account,
    patch::Patch,
    query::{Filter, Query},
    roles,
    saga::{Answer, Saga},
    state::Timer,
    systems::{Systems, View},
};

/// Either user and identity both look as asked for, or both as before. Answers the user as he became.
///
/// `body` is the change language ([`Patch`]).
pub async fn update(
    app: &App,
    caller: &Caller,
    id: &UserId,
    body: Map<String, Value>,
    only_if: Precondition,
) -> Result<User, Error> {
    update_if(app, caller, id, Query::everybody().in_states(&[State::Public]), body, only_if).await
}

/// As [`update`], where the query means him too. `list.$` is the element that its filter means.
pub async fn update_if(
    app: &App,
    caller: &Caller,
    id: &UserId,
    query: Query,
    body: Map<String, Value>,
    only_if: Precondition,
) -> Result<User, Error> {
    let patch = parse(&body)?;
    caller.may_write(patch.members())?;
    let plan = Plan {
        caller: caller.clone(),
        rows: Filter::all([query.filter.clone(), caller.rows.clone()]),
        query,
        patch,
        only_if,
        scope: app.config.unique_scope,
        protect: app.config.self_protect,
        groups: app.groups.clone(),
        systems: app.systems.clone(),
    };
    let user = plan.find(app.systems.view(), id).await.map_err(|error| error.doing("updating user"))?;
    let names = plan.check(&user).await?.names(&user);

    let asked = caller.asks("update-user", "updating user", Some(id), names.clone(), Answer::AtCommit);
    let (id, by, people) = (id.clone(), caller.origin.actor.clone(), app.people.clone());

    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            // Read again, now that nobody else may touch him.
            let user = plan.find(saga.view(), &id).await?;
            let planned = plan.check(&user).await?;
            let needed = planned.names(&user);
            rules::hold_further(saga, &names, needed).await?;
            rules::names_free(saga.view(), plan.scope, &planned.new_names(&user), Some(&id)).await?;
            let account = match user.auth_user_id() {
                Some(identity) => saga.view().account(&identity.to_owned()).await?.map(|found| (identity, found)),
                None => None,
            };

            let Planned { change, mut after, moved, .. } = planned;
            after.revision = saga.step(PatchUser::new(&user, change, &by)).await?;
            if let Some((identity, from)) = account {
                let to = account_of(&user, &after, &from, saga.view().expired_until_ms(), saga.operation());
                if differs(&from, &to) {
                    saga.step(ChangeIdentity { id: identity.to_owned(), from, to }).await?;
                }
            }
            if let Some(due_ms) = moved {
                let before = saga.view().timer(&id).await?;
                let identity = user.auth_user_id().map(str::to_owned);
                let timer = due_ms.map(|due_ms| Timer { due_ms, identity });
                saga.step(MoveTimer { user: id, before, after: timer }).await?;
            }
            if let Some(identity) = user.auth_user_id() {
                people.forget(identity);
            }
            after.document.insert("updatedAt".to_owned(), after.revision.0.clone().into());
            after.document.insert("updaterId".to_owned(), by.into());
            plan.caller.cut(&mut after.document);
            Ok(after)
        })
        .await
}

/// Everything that decides whether the change may be made; asked before the operation begins and again when it holds the
/// names.
struct Plan {
    caller: Caller,
    /// Who is meant.
    query: Query,
    /// The same, inside the caller's row filter.
    rows: Filter,
    patch: Patch,
    only_if: Precondition,
    scope: UniqueScope,
    protect: SelfProtect,
    groups: Groups,
    systems: Systems,
}

/// What the plan comes to for the person as he was read.
struct Planned {
    change: Change,
    /// As he will be.
    after: User,
    /// Where his date changes: to what, milliseconds since 1970.
    moved: Option<Option<i64>>,
    /// He may do everything, and will be able to no more.
    ends: bool,
}

impl Plan {
    async fn find(&self, view: View<'_>, id: &UserId) -> Result<User, Error> {
        let found = rules::found(view, id, &self.rows).await.map_err(rules::not_understood)?;
        if self.query.states.contains(&found.state) { Ok(found) } else { Err(error::user_not_found()) }
    }

    async fn check(&self, user: &User) -> Result<Planned, Error> {
        self.only_if.require(user)?;
        rules::not_own_protected(self.protect, &self.caller, &user.id, self.patch.members())?;
        let held = rules::not_above(&self.systems, &self.caller, user).await?;
        let now_ms = self.systems.clock.now_ms();
        let mut change = self.patch.change(&user.document, &self.query.filter, now_ms)?;
        let moved = expiration(&mut change, user, now_ms)?;
        let mut after = user.clone();
        change.apply(&mut after.document);
        // Blocking never validates: a tightened schema must not keep anybody unblocked.
        let only_blocked = self.patch.members().all(|member| member == "blocked");
        if !only_blocked || !matches!(after.document.get("blocked"), None | Some(Value::Bool(_))) {
            let group = self.groups.of(&after.document).await?;
            group.check(&mut after.document)?;
            if let Some(member) = self.patch.dated().find(|member| !group.is_date(member)) {
                let pointer = format!("/$currentDate/{member}");
                return Err(error::invalid(Code::InvalidPatch, pointer, "is no date in this group"));
            }
        }
        if user.auth_user_id().is_some() {
            rules::identifiable(&after.document)?;
        }
        rules::may_have_roles(&self.groups, user, &after).await?;
        if after.document.get("roles") != user.document.get("roles") {
            rules::may_give(&self.systems, &self.caller, &after.document).await?;
        }
        let until_ms = self.systems.expired_until_ms();
        let ends = held.holds(ADMIN)
            && rules::administers(user, until_ms)
            && !(rules::administers(&after, until_ms) && roles::held(&self.systems, &after).await?.holds(ADMIN));
        if ends {
            rules::not_last_admin(&self.systems, Without::Person(&user.id)).await?;
        }
        Ok(Planned { change, after, moved, ends })
    }
}

impl Planned {
    /// The person, his names before and after: the old ones too, or they could not be put back.
    fn names(&self, user: &User) -> Vec<String> {
        let mut names = vec![format!("user:{}", user.id)];
        // Of somebody whose names are free nobody holds them.
        if !user.released() {
            names.extend(rules::names_in(&user.document));
            names.extend(rules::names_in(&self.change.set));
        }
        if self.ends {
            names.push(rules::ADMINS.to_owned());
        }
        names.sort();
        names.dedup();
        names
    }

    /// Names that he does not have yet.
    fn new_names(&self, user: &User) -> Vec<(&'static str, &str)> {
        if user.released() {
            return Vec::new();
        }
        let same = |field: &str, value: &str| user.text(field).is_some_and(|old| fold(old) == fold(value));
        rules::names_of(&self.change.set).into_iter().filter(|(field, value)| !same(field, value)).collect()
    }
}

/// Where the date changes: as it is kept, and when that is. `null` takes it away, as the CRUD Service has it.
fn expiration(change: &mut Change, user: &User, now_ms: i64) -> Result<Option<Option<i64>>, Error> {
    const FIELD: &str = "expirationDate";
    let before = user.text(FIELD).and_then(clock::parse_rfc3339);
    let after = match change.set.remove(FIELD) {
        Some(given) => match rules::expiration(&given, now_ms)? {
            Some(date) => {
                let due_ms = clock::parse_rfc3339(&date);
                change.set.insert(FIELD.to_owned(), date.into());
                due_ms
            }
            None => {
                change.unset.push(FIELD.to_owned());
                None
            }
        },
        None if change.unset.iter().any(|member| member == FIELD) => None,
        None => return Ok(None),
    };
    Ok((before != after).then_some(after))
}

/// The account of a user who looks like this, and looked like `before`.
fn account_of(before: &User, user: &User, from: &Account, expired_until_ms: i64, mark: &str) -> Account {
    let text = |field: &str| user.text(field).map(str::to_owned);
    // A username that the user does not have and did not have is none of ours; one that he gives up is no name to log in
    // with any more.
    let theirs = from.username.clone().filter(|_| before.text("username").is_none() && !follows(from));
    Account {
        username: text("username").or(theirs),
        email: text("email"),
        enabled: !user.identity_blocked(expired_until_ms),
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

/// The change language, without the members that nobody changes this way.
fn parse(body: &Map<String, Value>) -> Result<Patch, Error> {
    let patch = Patch::parse(body)?;
    if let Some(member) = patch.members().find(|member| NOT_SETTABLE.contains(member)) {
        return Err(Error::new(Code::NotSettable, format!("{member} is not set by callers")).field(member));
    }
    if patch.members().any(|member| member == "password") {
        return Err(Error::new(Code::NotSettable, "A password is changed by its owner").field("password"));
    }
    Ok(patch)
}
