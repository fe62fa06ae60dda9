//! Users in our own state, groups and roles too, by the rules of a CRUD service's collection: metadata, states, writes conditional on
//! `updatedAt`. Knows neither the journal nor identities.
//!
//! Unique is a value when it is folded (`Ada@X.org` is taken where `ada@x.org` stands), in every state, each field for
//! itself; but somebody who is DELETED and has no identity keeps nobody from having his. What is looked up with [`Store::find`] is compared as it is.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{Landed, Store, Write};
use crate::{
    clock,
    error::{self, Code, Error},
    outcome::{Failure, Outcome},
    query::{Filter, Query},
    state::{self, Collection, Commits, Document, Documents, Insert, Released, Replace},
    users::{Change, METADATA, Revision, State, User, UserId},
};

/// Fields that users are looked up by, whether they are unique or not.
const LOOKED_UP: [&str; 4] = ["authUserId", "email", "userGroup", "username"];
/// For a list or a count, where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Embedded {
    documents: Arc<dyn Documents>,
    users: Arc<Collection>,
    of: super::Collection,
    /// For a list or a count.
    patience: Duration,
}

impl Embedded {
    /// Over that state; nobody may share the folded value of one of `unique_fields`. Refuses when stored users do.
    pub async fn open(documents: Arc<dyn Documents>, unique_fields: &[String]) -> Result<Self, state::Error> {
        let unique = unique_fields.iter().map(|field| vec![field.clone()]).collect();
        let further = LOOKED_UP.iter().map(|&field| field.to_owned());
        let indexed = further.filter(|field| !unique_fields.contains(field)).collect();
        // Neither he nor an identity of his bears the names any more.
        let released = Some(Released { field: "__STATE__", value: "DELETED", lacks: "authUserId" });
        let of = super::Collection::Users;
        let users = documents.define(Collection { name: of.name(), unique, indexed, released }).await?;
        Ok(Self { documents, users, of, patience: PATIENCE })
    }

    /// Another collection over that state.
    pub async fn open_collection(documents: Arc<dyn Documents>, of: super::Collection) -> Result<Self, state::Error> {
        let unique = of.unique().iter().map(|&field| vec![field.to_owned()]).collect();
        let users = Collection { name: of.name(), unique, indexed: Vec::new(), released: None };
        Ok(Self { users: documents.define(users).await?, documents, of, patience: PATIENCE })
    }

    /// The same, but that a list or a count may take so long.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Where the user stands at that revision, what `edit` makes of his body.
    async fn write(
        &self,
        id: &UserId,
        at: &Revision,
        by: &str,
        edit: impl FnOnce(&mut Map<String, Value>) + Send,
    ) -> Outcome<Write> {
        let Some(at) = clock::parse_rfc3339(&at.0) else { return Ok(Write::Elsewhere) };
        let Some(mut document) = self.documents.get(&self.users, id.as_str()).await? else {
            return Ok(Write::Elsewhere);
        };
        if document.updated_ms != at {
            return Ok(Write::Elsewhere);
        }
        edit(&mut document.body);
        document.body.insert("updaterId".to_owned(), by.into());
        self.written(self.documents.replace(&self.users, id.as_str(), at, document.body).await?)
    }

    fn written(&self, replace: Replace) -> Outcome<Write> {
        match replace {
            Replace::Stored(document) => Ok(Write::Now(Box::new(user(document)?))),
            Replace::Elsewhere(_) => Ok(Write::Elsewhere),
            Replace::Taken(field) => Err(Failure::not_done(self.of.taken(&field))),
        }
    }
}

#[async_trait]
impl Store for Embedded {
    async fn insert(&self, id: &UserId, fields: &Map<String, Value>, by: &str) -> Outcome<()> {
        let mut body = fields.clone();
        let state = body.get("__STATE__").and_then(Value::as_str).and_then(State::parse).unwrap_or(State::Public);
        body.retain(|field, _| !METADATA.contains(&field.as_str()));
        body.insert("creatorId".to_owned(), by.into());
        body.insert("updaterId".to_owned(), by.into());
        body.insert("__STATE__".to_owned(), state.as_str().into());
        match self.documents.insert(&self.users, id.as_str(), body).await? {
            // Nobody else chooses this id: what stands there is our own earlier insert.
            Insert::Stored(_) | Insert::Exists(_) => Ok(()),
            Insert::Closed => Err(Failure::not_done(Error::new(Code::OperationSettled, "This creation was given up"))),
            Insert::Taken(field) => Err(Failure::not_done(self.of.taken(&field))),
        }
    }

    async fn close(&self, id: &UserId, _: &Map<String, Value>) -> Outcome<Landed> {
        let landed = self.documents.close(&self.users, id.as_str()).await?;
        Ok(if landed.is_some() { Landed::There } else { Landed::Never })
    }

    async fn get(&self, id: &UserId, rows: &Filter) -> Outcome<Option<User>> {
        let Some(document) = self.documents.get(&self.users, id.as_str()).await? else { return Ok(None) };
        let user = user(document)?;
        Ok(rows.matches(&user.document).then_some(user))
    }

    async fn find(&self, any: &[(&str, &str)]) -> Outcome<Vec<User>> {
        let mut found: Vec<User> = Vec::new();
        for (field, value) in any {
            for document in self.documents.find(&self.users, field, value).await? {
                let user = user(document)?;
                if !found.iter().any(|other| other.id == user.id) {
                    found.push(user);
                }
            }
        }
        Ok(found)
    }

    async fn list(&self, query: &Query) -> Outcome<Vec<User>> {
        let bodies = self.documents.list(&self.users, query, self.patience).await?;
        bodies.into_iter().map(whole).collect()
    }

    async fn count(&self, query: &Query) -> Outcome<u64> {
        Ok(self.documents.count(&self.users, query, self.patience).await?)
    }

    async fn change(&self, id: &UserId, at: &Revision, change: &Change, by: &str) -> Outcome<Write> {
        if change.is_empty() {
            let Some(at) = clock::parse_rfc3339(&at.0) else { return Ok(Write::Elsewhere) };
            return self.written(self.documents.touch(&self.users, id.as_str(), at).await?);
        }
        let mut change = change.clone();
        change.set.retain(|field, _| !METADATA.contains(&field.as_str()));
        change.unset.retain(|field| !METADATA.contains(&field.as_str()));
        self.write(id, at, by, |body| change.apply(body)).await
    }

    async fn set_state(&self, id: &UserId, at: &Revision, to: State, by: &str) -> Outcome<Write> {
        self.write(id, at, by, |body| {
            body.insert("__STATE__".to_owned(), to.as_str().into());
        })
        .await
    }

    async fn delete(&self, id: &UserId, state: State) -> Outcome<()> {
        let state = ("__STATE__", state.as_str().into());
        self.documents.delete(&self.users, id.as_str(), Some(state)).await?;
        Ok(())
    }

    async fn check(&self) -> Outcome<()> {
        self.documents.get(&self.users, "").await?;
        Ok(())
    }

    fn commits(&self) -> Option<Commits> {
        self.documents.commits()
    }

    fn name(&self) -> &'static str {
        "embedded"
    }
}

fn user(document: Document) -> Outcome<User> {
    whole(document.whole())
}

fn whole(body: Map<String, Value>) -> Outcome<User> {
    User::from_document(body).ok_or_else(|| Failure::not_done(error::internal("a stored user without metadata")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{clock::Clock, state::sqlite::Sqlite};

    const ADA: &str = "5f0000000000000000000001";
    const EVE: &str = "5f0000000000000000000002";

    async fn open(directory: &tempfile::TempDir) -> Embedded {
        let state = Sqlite::open(&directory.path().join("state.db"), Clock::system()).unwrap();
        Embedded::open(state, &["email".to_owned(), "username".to_owned()]).await.unwrap()
    }

    fn id(text: &str) -> UserId {
        UserId::parse(text).unwrap()
    }

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn set(value: Value) -> Change {
        Change { set: fields(value), unset: Vec::new() }
    }

    async fn read(store: &Embedded, of: &str) -> User {
        store.get(&id(of), &Filter::Everything).await.unwrap().unwrap()
    }

    fn code<T: std::fmt::Debug>(outcome: Outcome<T>) -> Code {
        let Err(Failure::NotDone(reason)) = outcome else { panic!("{outcome:?}") };
        reason.into_error().code()
    }

    #[tokio::test]
    async fn a_user_carries_metadata_and_is_inserted_once() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory).await;
        let ada = fields(json!({"email": "Ada@x.org", "userGroup": "guests", "__STATE__": "TRASH", "_id": "mine"}));
        store.insert(&id(ADA), &ada, "boss").await.unwrap();
        let user = read(&store, ADA).await;
        assert_eq!(user.document["createdAt"], user.document["updatedAt"]);
        assert_eq!(user.revision.0, user.document["updatedAt"]);
        let mut shown = user.document.clone();
        shown.retain(|field, _| !field.ends_with("At"));
        let expected = json!({"_id": ADA, "email": "Ada@x.org", "userGroup": "guests", "__STATE__": "TRASH",
            "creatorId": "boss", "updaterId": "boss"});
        assert_eq!(Value::Object(shown), expected);

        store.insert(&id(ADA), &fields(json!({"email": "other"})), "eve").await.unwrap();
        assert_eq!(read(&store, ADA).await, user);
        let taken = store.insert(&id(EVE), &fields(json!({"email": "ada@X.org"})), "boss").await;
        assert_eq!(code(taken), Code::NameTaken);
        store.insert(&id(EVE), &fields(json!({"username": "ada@X.org"})), "boss").await.unwrap();
    }

    #[tokio::test]
    async fn an_insert_that_was_given_up_can_never_land() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory).await;
        assert_eq!(store.close(&id(ADA), &Map::new()).await.unwrap(), Landed::Never);
        assert_eq!(code(store.insert(&id(ADA), &Map::new(), "boss").await), Code::OperationSettled);
        assert_eq!(store.get(&id(ADA), &Filter::Everything).await.unwrap(), None);
        store.insert(&id(EVE), &Map::new(), "boss").await.unwrap();
        assert_eq!(store.close(&id(EVE), &Map::new()).await.unwrap(), Landed::There);
        store.delete(&id(EVE), State::Public).await.unwrap();
        assert_eq!(store.close(&id(EVE), &Map::new()).await.unwrap(), Landed::Never);
        assert_eq!(code(store.insert(&id(EVE), &Map::new(), "boss").await), Code::OperationSettled);
    }

    #[tokio::test]
    async fn writes_match_one_revision_only_and_an_empty_one_closes_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory).await;
        store.insert(&id(ADA), &fields(json!({"email": "ada", "city": "Rome"})), "boss").await.unwrap();
        store.insert(&id(EVE), &fields(json!({"email": "eve"})), "boss").await.unwrap();
        let before = read(&store, ADA).await;

        let change = Change { set: fields(json!({"name": "Ada", "__STATE__": "TRASH"})), unset: vec!["city".into()] };
        let Write::Now(after) = store.change(&id(ADA), &before.revision, &change, "eve").await.unwrap() else {
            panic!("it stands at that revision")
        };
        assert_eq!(read(&store, ADA).await, *after);
        assert_eq!(after.document["updaterId"], "eve");
        assert_eq!((after.text("name"), after.text("city"), after.state), (Some("Ada"), None, State::Public));
        let again = store.change(&id(ADA), &before.revision, &change, "eve").await.unwrap();
        assert_eq!(again, Write::Elsewhere);
        let taken = store.change(&id(ADA), &after.revision, &set(json!({"email": "EVE"})), "eve").await;
        assert_eq!(code(taken), Code::NameTaken);

        let fence = store.change(&id(ADA), &after.revision, &Change::default(), "").await.unwrap();
        let Write::Now(fenced) = fence else { panic!("it stands at that revision") };
        assert_eq!(fenced.fields(), after.fields());
        let late = store.set_state(&id(ADA), &after.revision, State::Trash, "eve").await.unwrap();
        assert_eq!(late, Write::Elsewhere);
        let Write::Now(trash) = store.set_state(&id(ADA), &fenced.revision, State::Trash, "eve").await.unwrap() else {
            panic!("it stands at that revision")
        };
        assert_eq!(trash.state, State::Trash);
        store.delete(&id(ADA), State::Public).await.unwrap();
        assert_eq!(read(&store, ADA).await, *trash);
        store.delete(&id(ADA), State::Trash).await.unwrap();
        store.delete(&id(ADA), State::Trash).await.unwrap();
        assert_eq!(store.get(&id(ADA), &Filter::Everything).await.unwrap(), None);
    }

    #[tokio::test]
    async fn somebody_is_found_by_exact_values_and_seen_through_a_row_filter() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory).await;
        store.insert(&id(ADA), &fields(json!({"email": "Ada", "authUserId": "1"})), "boss").await.unwrap();
        store.insert(&id(EVE), &fields(json!({"email": "eve", "username": "Ada"})), "boss").await.unwrap();
        let found = |any: &'static [(&str, &str)]| {
            let store = &store;
            async move {
                let users = store.find(any).await.unwrap();
                users.into_iter().map(|user| user.id.to_string()).collect::<Vec<_>>()
            }
        };
        assert_eq!(found(&[("email", "Ada"), ("authUserId", "1"), ("username", "Ada")]).await, [ADA, EVE]);
        assert_eq!(found(&[("email", "ada")]).await, [""; 0]);
        let rows = Filter::equals("email", "eve");
        assert_eq!(store.get(&id(ADA), &rows).await.unwrap(), None);
        assert!(store.get(&id(EVE), &rows).await.unwrap().is_some());
    }
}
