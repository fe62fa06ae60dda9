//! What there is at one moment, and whether that is wholly as it was or wholly as it should become.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value};
use user_manager::{
    error::{Code, Error},
    identity::{Account, AuthUserId},
};

use super::{Drivers, World, object};

/// What there is, without what differs from run to run.
#[derive(Debug, Clone)]
pub struct Snapshot {
    users: BTreeMap<String, Value>,
    identities: BTreeMap<String, Value>,
    grants: Vec<(String, String)>,
    /// Those of groups and roles, by name.
    documents: BTreeMap<String, Value>,
    /// Whose, when, and the identity that it carries.
    timers: Vec<(String, i64, String)>,
    /// Who is to get one, and which. They are promised: whoever is told of a success may be told before they are there.
    mails: Vec<(String, String)>,
    /// Everything of everybody whom the operation has nothing to do with, to the last byte.
    bystanders: Vec<String>,
    bystanding_accounts: BTreeMap<AuthUserId, Account>,
}

/// Of everything but what is promised.
impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        let Self { users, identities, grants, documents, timers, mails: _, bystanders, bystanding_accounts } = self;
        *users == other.users
            && *identities == other.identities
            && *grants == other.grants
            && *documents == other.documents
            && *timers == other.timers
            && *bystanders == other.bystanders
            && *bystanding_accounts == other.bystanding_accounts
    }
}

impl Snapshot {
    /// The same, and what was promised is there too.
    pub fn is_whole(&self, other: &Self) -> bool {
        self == other && self.mails == other.mails
    }

    /// How many of those whom the operation acts upon stand in that state.
    ///
    /// # Panics
    /// When one of them is PUBLIC and may not log in, or may and is not.
    pub fn in_state(&self, state: &str) -> usize {
        for (name, user) in &self.users {
            let enabled = &self.identities[name]["enabled"];
            assert_eq!(user["__STATE__"] == "PUBLIC", *enabled == true, "{name}: {user} {enabled}");
        }
        self.users.values().filter(|user| user["__STATE__"] == state).count()
    }
}

/// A connection that only looks.
pub struct Look {
    db: Connection,
    /// What was seen last, as long as nobody has written since.
    last: Option<(i64, BTreeMap<AuthUserId, Account>, Snapshot)>,
}

impl Look {
    pub fn at(file: &Path) -> Self {
        Self { db: Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap(), last: None }
    }

    /// The first column of what that finds.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        let mut statement = self.db.prepare_cached(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// The names that operations hold now.
    pub fn held(&self) -> Vec<String> {
        self.texts("SELECT name FROM hold ORDER BY name")
    }

    /// What is left of names and operations: nothing, once all is settled.
    pub fn leftovers(&self) -> Vec<String> {
        self.texts(
            "SELECT 'held ' || name FROM hold
             UNION ALL SELECT 'unsettled ' || id || ' ' || state FROM operation WHERE state NOT IN ('done', 'undone')
             UNION ALL SELECT 'kept a body ' || operation FROM step WHERE body IS NOT NULL",
        )
    }

    pub fn snapshot(&mut self, world: &World) -> Snapshot {
        // Changes with every commit of somebody else's.
        let version = self.db.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0)).unwrap();
        let accounts = world.model.accounts();
        if let Some((seen_at, then, seen)) = &self.last
            && *seen_at == version
            && *then == accounts
        {
            return seen.clone();
        }
        let seen = self.take(world, accounts.clone());
        self.last = Some((version, accounts, seen.clone()));
        seen
    }

    fn take(&self, world: &World, accounts: BTreeMap<AuthUserId, Account>) -> Snapshot {
        let subject = world.operation.subject();
        let stands_by = |id: &str| is_seeded(id) && !subject.contains(&id);
        let mut bystanders = Vec::new();
        let mut users = Vec::new();
        let mut identities: Vec<(String, Map<String, Value>)> = Vec::new();
        let mut documents = BTreeMap::new();
        // Whom an id means: somebody new by his name, since ids differ from run to run.
        let mut user_names = BTreeMap::new();
        let mut identity_names = BTreeMap::new();
        let mut rows = self
            .db
            .prepare_cached("SELECT collection, id, body, created_ms, updated_ms FROM document ORDER BY collection, id")
            .unwrap();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let text = |at: usize| row.get_ref(at).unwrap().as_str().unwrap();
            let (collection, id, body) = (text(0), text(1), text(2));
            let ours = collection != "identities" || world.drivers == Drivers::Embedded;
            if stands_by(id) || !ours {
                let (made, changed): (i64, i64) = (row.get(3).unwrap(), row.get(4).unwrap());
                bystanders.push(format!("{collection} {id}: {body} {made} {changed}"));
                match collection {
                    "users" => drop(user_names.insert(id.to_owned(), id.to_owned())),
                    "identities" if ours => drop(identity_names.insert(id.to_owned(), id.to_owned())),
                    _ => {}
                }
                continue;
            }
            let body: Map<String, Value> = serde_json::from_str(body).unwrap();
            match collection {
                "users" => users.push((id.to_owned(), body)),
                "identities" => identities.push((id.to_owned(), body)),
                _ => {
                    let called = body.get("roleId").or_else(|| body.get("userGroup")).cloned().unwrap_or_default();
                    let body = without(id, "_id", body, &["_id", "updaterId"]);
                    let seen = documents.insert(format!("{collection} {called}"), body);
                    assert!(seen.is_none(), "two documents are called {called}");
                }
            }
        }
        let (bystanding_accounts, acted_upon) = match world.drivers {
            Drivers::Embedded => Default::default(),
            Drivers::Unfenced => accounts.into_iter().partition(|(id, _)| stands_by(id)),
        };
        let (bystanding_accounts, acted_upon): (BTreeMap<_, _>, BTreeMap<_, _>) = (bystanding_accounts, acted_upon);
        identity_names.extend(bystanding_accounts.keys().map(|id| (id.clone(), id.clone())));
        let acted_upon = acted_upon.into_iter();
        identities.extend(acted_upon.map(|(id, account)| (id, object(serde_json::to_value(account).unwrap()))));
        identity_names.extend(identities.iter().map(|(id, body)| (id.clone(), name(body))));
        user_names.extend(users.iter().map(|(id, body)| (id.clone(), name(body))));
        let called =
            |names: &BTreeMap<String, String>, id: &str| names.get(id).cloned().unwrap_or_else(|| "nobody".to_owned());

        let mut people = BTreeMap::new();
        for (id, mut body) in users {
            if let Some(linked) = body.get("authUserId").and_then(Value::as_str) {
                // A link is compared by whom it leads to.
                let linked = called(&identity_names, linked);
                body.insert("authUserId".to_owned(), linked.into());
            }
            let name = name(&body);
            let body = without(&id, "_id", body, &["_id", "createdAt", "updatedAt", "updaterId"]);
            assert!(people.insert(name.clone(), body).is_none(), "two users are called {name}");
        }
        let mut known = BTreeMap::new();
        for (id, body) in identities {
            let name = name(&body);
            // Who wrote it last, and when sessions ended, are no part of what a person is.
            let body = without(&id, "id", body, &["mark", "revision", "version", "notBeforeMs"]);
            assert!(known.insert(name.clone(), body).is_none(), "two identities are called {name}");
        }
        let mut grants =
            self.db.prepare_cached("SELECT user, permission FROM \"grant\" ORDER BY user, permission").unwrap();
        let grants = grants.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).unwrap();
        let grants = grants.map(Result::unwrap).map(|(user, permission)| (called(&user_names, &user), permission));
        let mut timers = self.db.prepare_cached("SELECT user, due_ms, identity FROM timer ORDER BY user").unwrap();
        let timers =
            timers.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, Option<String>>(2)?)));
        let timers = timers.unwrap().map(Result::unwrap).map(|(user, due_ms, identity)| {
            let whose = if is_seeded(&user) { user } else { called(&user_names, &user) };
            (whose, due_ms, identity.map(|id| called(&identity_names, &id)).unwrap_or_default())
        });
        let mut timers: Vec<_> = timers.collect();
        timers.sort();
        let mut mails = self.db.prepare_cached("SELECT identity, kind FROM mail ORDER BY id").unwrap();
        let mails = mails.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).unwrap();
        let mails = mails.map(Result::unwrap).map(|(id, kind)| (called(&identity_names, &id), kind)).collect();
        Snapshot {
            users: people,
            identities: known,
            grants: grants.collect(),
            documents,
            timers,
            mails,
            bystanders,
            bystanding_accounts,
        }
    }
}

/// What is compared of somebody: his id only where it was there before.
fn without(id: &str, field: &str, mut body: Map<String, Value>, volatile: &[&str]) -> Value {
    for volatile in volatile {
        body.remove(*volatile);
    }
    if is_seeded(id) {
        body.insert(field.to_owned(), id.into());
    }
    Value::Object(body)
}

/// Whether somebody with that id stood there before.
fn is_seeded(id: &str) -> bool {
    id.starts_with("0000000000000000000000") || id.ends_with("-identity")
}

/// How a person is called in a snapshot.
fn name(body: &Map<String, Value>) -> String {
    let text = |field: &str| body.get(field).and_then(Value::as_str);
    text("email").or_else(|| text("username")).unwrap_or("nameless").to_lowercase()
}

/// What a cell showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Before,
    After,
    Broken(String),
}

/// Compares the world with the two that it may be, and what the caller was told with what is true.
pub fn judge(world: &World, before: &Snapshot, after: &Snapshot, told: Option<&Result<(), Error>>) -> Seen {
    let left = world.look().leftovers();
    if !left.is_empty() {
        return Seen::Broken(format!("left over: {left:?}"));
    }
    let now = world.snapshot();
    let seen = match (now.is_whole(before), now.is_whole(after)) {
        (true, _) if !told.is_some_and(Result::is_ok) || before.is_whole(after) => Seen::Before,
        (_, true) => Seen::After,
        _ => return Seen::Broken(format!("half: {}", difference(before, after, &now))),
    };
    let promised = matches!(told, Some(Err(error)) if error.code() == Code::Resumable);
    if told.is_none_or(|told| is_true(told, &now, before, after)) && (!promised || now == *after) {
        seen
    } else {
        Seen::Broken(format!("told {told:?}, and it is {seen:?}"))
    }
}

/// Whether what the caller was told holds in that world.
pub fn is_true(told: &Result<(), Error>, now: &Snapshot, before: &Snapshot, after: &Snapshot) -> bool {
    match told.as_ref().map_err(Error::code) {
        // It goes on by itself: whichever it will be.
        Err(Code::OutcomePending | Code::Resumable) => true,
        Ok(()) => now == after,
        Err(_) => now == before,
    }
}

fn difference(before: &Snapshot, after: &Snapshot, now: &Snapshot) -> String {
    let mut lines = Vec::new();
    let mut compare =
        |what: &str, b: &BTreeMap<String, Value>, a: &BTreeMap<String, Value>, n: &BTreeMap<String, Value>| {
            let names: std::collections::BTreeSet<_> = b.keys().chain(a.keys()).chain(n.keys()).collect();
            for name in names {
                let (b, a, n) = (b.get(name), a.get(name), n.get(name));
                if n != b || n != a {
                    lines.push(format!("{what} {name}: before {b:?} after {a:?} now {n:?}"));
                }
            }
        };
    compare("user", &before.users, &after.users, &now.users);
    compare("identity", &before.identities, &after.identities, &now.identities);
    compare("document", &before.documents, &after.documents, &now.documents);
    if now.bystanders != before.bystanders {
        lines.push(format!("bystanders: before {:?} now {:?}", before.bystanders, now.bystanders));
    }
    lines.push(format!("mails: before {:?} after {:?} now {:?}", before.mails, after.mails, now.mails));
    lines.push(format!("grants: before {:?} after {:?} now {:?}", before.grants, after.grants, now.grants));
    lines.push(format!("timers: before {:?} after {:?} now {:?}", before.timers, after.timers, now.timers));
    lines.join("; ")
}
