//! The documents of groups and roles: read as they stand, written by a saga of one step each. What one may look like is for
//! groups and roles to say.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    access::Caller,
    app::App,
    error::{self, Code, Error, FINDINGS, Finding, segment},
    patch::Patch,
    query::{Fields, Filter, Kind, Members, Query},
    saga::{Answer, Saga},
    store::{Collection, Store},
    users::{
        Change, METADATA, State, User, UserId, held_name,
        rules::{self, Precondition},
        steps::{DeleteDocument, InsertUser, MoveUser, Over, PatchUser},
    },
};

/// What is particular to a kind of document.
pub trait Kept: Clone + Send + Sync + 'static {
    const OF: Collection;
    /// Of the operations that make, change and remove one.
    const KINDS: [&'static str; 3];
    /// For the sentence of a failed call.
    const DOING: &'static str;
    /// Of the name that an operation on one holds.
    const HELD: &'static str;

    /// Whether what stands so may become this; nothing before a creation, nothing after a removal. Asked before anything is
    /// sent, and again when all names are held. The names to be held beside the document's own.
    fn allow(
        &self,
        before: Option<&User>,
        after: Option<&Map<String, Value>>,
    ) -> impl Future<Output = Result<Vec<String>, Error>> + Send;

    /// What was known of the document of that name holds no more.
    fn forget(&self, name: &str);
}

/// One that is PUBLIC.
pub async fn get(app: &App, of: Collection, id: &UserId) -> Result<User, Error> {
    let found = store(app, of)?.get(id, &Filter::Everything).await;
    let found = found.map_err(|failure| failure.into_error().doing(reading(of)))?;
    found.filter(|row| row.state == State::Public).ok_or_else(|| of.not_found())
}

pub async fn list(app: &App, of: Collection, query: &Query) -> Result<Vec<User>, Error> {
    store(app, of)?.list(query).await.map_err(|failure| failure.into_error().doing(reading(of)))
}

pub async fn count(app: &App, of: Collection, query: &Query) -> Result<u64, Error> {
    store(app, of)?.count(query).await.map_err(|failure| failure.into_error().doing(reading(of)))
}

/// Either it stands PUBLIC under a new `_id`, or nothing is there.
pub async fn create<K: Kept>(app: &App, caller: &Caller, kept: K, fields: Map<String, Value>) -> Result<UserId, Error> {
    store(app, K::OF)?;
    settable(K::OF, fields.keys().map(String::as_str), &METADATA)?;
    let mut names = kept.allow(None, Some(&fields)).await.map_err(|error| error.doing(K::DOING))?;
    let name = fields.get(K::OF.marker()).and_then(Value::as_str).unwrap_or_default().to_owned();
    names.push(held_name(K::HELD, &name));
    let id = UserId::new(app.clock.now_ms());
    let asked = caller.asks(K::KINDS[0], K::DOING, Some(&id), names.clone(), Answer::AtCommit);
    let by = caller.origin.actor.clone();

    let (known, called) = (kept.clone(), name.clone());
    let made = app.sagas.run(asked, async move |saga: &mut Saga| {
        rules::hold_further(saga, &names, kept.allow(None, Some(&fields)).await?).await?;
        saga.step(Over { of: K::OF, step: InsertUser { id: id.clone(), fields, by } }).await?;
        kept.forget(&name);
        Ok(id)
    });
    let made = made.await;
    // Also where it was put back.
    known.forget(&called);
    made
}

/// Either it looks as asked for, or as before. Answers it as it became.
pub async fn update<K: Kept>(
    app: &App,
    caller: &Caller,
    kept: K,
    id: &UserId,
    body: Map<String, Value>,
    only_if: Precondition,
) -> Result<User, Error> {
    let patch = Patch::parse(&body)?;
    settable(K::OF, patch.members(), &[&METADATA[..], &[K::OF.marker()]].concat())?;
    let row = get(app, K::OF, id).await.map_err(|error| error.doing(K::DOING))?;
    only_if.require(&row)?;
    let (_, after) = changed(&patch, &row, app.clock.now_ms())?;
    let mut names = kept.allow(Some(&row), Some(&after.fields())).await.map_err(|error| error.doing(K::DOING))?;
    let name = row.text(K::OF.marker()).unwrap_or_default().to_owned();
    names.push(held_name(K::HELD, &name));
    let asked = caller.asks(K::KINDS[1], K::DOING, Some(id), names.clone(), Answer::AtCommit);
    let (id, by) = (id.clone(), caller.origin.actor.clone());

    let (known, called) = (kept.clone(), name.clone());
    let became = app.sagas.run(asked, async move |saga: &mut Saga| {
        // Read again, now that nobody else of us may touch it.
        let row = saga.view().document(K::OF, &id).await?.filter(|row| row.state == State::Public);
        let row = row.ok_or_else(|| K::OF.not_found())?;
        only_if.require(&row)?;
        let (change, mut after) = changed(&patch, &row, saga.view().now_ms())?;
        rules::hold_further(saga, &names, kept.allow(Some(&row), Some(&after.fields())).await?).await?;
        after.revision = saga.step(Over { of: K::OF, step: PatchUser::new(&row, change, &by) }).await?;
        kept.forget(&name);
        after.document.insert("updatedAt".to_owned(), after.revision.0.clone().into());
        after.document.insert("updaterId".to_owned(), by.into());
        Ok(after)
    });
    let became = became.await;
    known.forget(&called);
    became
}

/// Either it is gone, or it stands as before. It goes to TRASH first, where it counts no more and can be fetched from; its
/// removal is promised.
pub async fn delete<K: Kept>(
    app: &App,
    caller: &Caller,
    kept: K,
    id: &UserId,
    only_if: Precondition,
) -> Result<(), Error> {
    let row = get(app, K::OF, id).await.map_err(|error| error.doing(K::DOING))?;
    only_if.require(&row)?;
    let mut names = kept.allow(Some(&row), None).await.map_err(|error| error.doing(K::DOING))?;
    let name = row.text(K::OF.marker()).unwrap_or_default().to_owned();
    names.push(held_name(K::HELD, &name));
    let asked = caller.asks(K::KINDS[2], K::DOING, Some(id), names.clone(), Answer::AfterPromises);
    let (id, by) = (id.clone(), caller.origin.actor.clone());

    let (known, called) = (kept.clone(), name.clone());
    let gone = app.sagas.run(asked, async move |saga: &mut Saga| {
        let row = saga.view().document(K::OF, &id).await?.filter(|row| row.state == State::Public);
        let row = row.ok_or_else(|| K::OF.not_found())?;
        only_if.require(&row)?;
        rules::hold_further(saga, &names, kept.allow(Some(&row), None).await?).await?;
        let (at, from, to) = (row.revision.clone(), row.state, State::Trash);
        saga.step(Over { of: K::OF, step: MoveUser { id: id.clone(), at, from, to, by } }).await?;
        kept.forget(&name);
        // Somebody may have begun to use it while nobody knew that it would go.
        kept.allow(Some(&row), None).await?;
        saga.on_commit(DeleteDocument { of: K::OF, id })
    });
    let gone = gone.await;
    known.forget(&called);
    gone
}

/// What is wrong with a document.
#[derive(Default)]
pub struct Wrong(Vec<Finding>);

impl Wrong {
    pub fn add(&mut self, pointer: impl Into<String>, keyword: &str, message: impl Into<String>) {
        self.0.push(Finding { pointer: pointer.into(), keyword: keyword.to_owned(), message: message.into() });
    }

    /// Members that such a document does not have, but for those that somebody else has put there.
    pub fn strangers(&mut self, before: Option<&User>, fields: &Map<String, Value>, members: &[&str]) {
        for (name, value) in fields {
            let theirs = before.is_some_and(|row| row.document.get(name) == Some(value));
            if !members.contains(&name.as_str()) && !theirs {
                self.add(format!("/{}", segment(name)), "unknown-member", "is no member of such a document");
            }
        }
    }

    /// A member that must be there and be a name, unless it was not there before either.
    pub fn name(&mut self, before: Option<&User>, fields: &Map<String, Value>, name: &str) {
        match fields.get(name).map(Value::as_str) {
            None if before.is_some_and(|row| !row.document.contains_key(name)) => {}
            None => self.add("", "required", format!("{name} is required")),
            Some(None) => self.add(format!("/{name}"), "type", "must be a string"),
            Some(Some(text)) if !is_name(text) => {
                let message = "must be 1 to 255 characters and begin otherwise than with __";
                self.add(format!("/{name}"), "pattern", message);
            }
            Some(Some(_)) => {}
        }
    }

    /// `validation-failed` with that sentence, where anything was found.
    pub fn none(mut self, sentence: &str) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.truncate(FINDINGS);
        let mut error = Error::new(Code::ValidationFailed, sentence);
        error.findings = self.0;
        Err(error)
    }
}

/// What groups and roles may be called. Names that begin otherwise are ours.
fn is_name(text: &str) -> bool {
    let length = text.chars().count();
    (1..=255).contains(&length) && text.trim() == text && !text.starts_with("__") && !text.contains(char::is_control)
}

/// The fields of such documents: what a filter may name.
pub fn fields(of: Collection) -> Fields {
    let texts = ["creatorId", "updaterId", "__STATE__", of.marker()];
    let fields = Fields::default()
        .with(&["_id"], &Kind::Id)
        .with(&["createdAt", "updatedAt"], &Kind::Date)
        .with(&texts, &Kind::Text);
    match of {
        Collection::Users => fields,
        Collection::Groups => fields
            .with(&["label"], &Kind::Text)
            .with(&["authUserCreationDisabled"], &Kind::Bool)
            .with(&["crudSchema", "passwordPolicy"], &Kind::Object(BTreeMap::new(), Members::Open)),
        Collection::Roles => fields
            .with(&["name", "description"], &Kind::Text)
            .with(&["permissions"], &Kind::Array(Box::new(Kind::Text))),
    }
}

/// There may be no catalogue of roles.
fn store(app: &App, of: Collection) -> Result<&dyn Store, Error> {
    app.systems.collection(of).map(AsRef::as_ref).ok_or_else(|| of.not_found())
}

fn reading(of: Collection) -> &'static str {
    match of {
        Collection::Users => "reading user",
        Collection::Groups => "reading group",
        Collection::Roles => "reading role",
    }
}

fn settable<'a>(of: Collection, mut members: impl Iterator<Item = &'a str>, reserved: &[&str]) -> Result<(), Error> {
    match members.find(|member| reserved.contains(member)) {
        Some(member) if member == of.marker() => {
            Err(Error::new(Code::NotSettable, format!("{member} stays as it was made")).field(member))
        }
        Some(member) => Err(Error::new(Code::NotSettable, format!("{member} is not set by callers")).field(member)),
        None => Ok(()),
    }
}

fn changed(patch: &Patch, row: &User, now_ms: i64) -> Result<(Change, User), Error> {
    if let Some(member) = patch.dated().next() {
        let pointer = format!("/$currentDate/{member}");
        return Err(error::invalid(Code::InvalidPatch, pointer, "is no date"));
    }
    let change = patch.change(&row.document, &Filter::Everything, now_ms)?;
    let mut after = row.clone();
    change.apply(&mut after.document);
    Ok((change, after))
}
