//! The query language, as its contract has it: a table of filters and of orders with the rows that they mean, held against the
//! evaluation in memory, the store in our own state and the twin of the CRUD Service.

mod laws;

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use user_manager::{
    clock::Clock,
    query::{Fields, Filter, Kind, Query, Sort, parse},
    state::sqlite::Sqlite,
    store::{Store, crud_service::CrudService, embedded::Embedded},
    users::{State, UserId},
};

use crate::{
    matrix,
    plane_d::patience,
    twins::{
        Twin,
        crud::{self, Crud},
    },
};

fn id(letter: char) -> String {
    format!("{:024x}", 0x5f00 + letter as u32)
}

/// By letter; `g` is in TRASH.
fn rows() -> Vec<(char, Map<String, Value>)> {
    [
        json!({ "name": "Ann", "email": "ann@x.org", "age": 30, "blocked": false, "roles": ["admin", "editor"],
            "userGroup": "staff", "metadata": { "level": 3, "tags": ["x", "y"], "boss": { "name": "Eve" } },
            "contacts": [{ "kind": "home", "n": 1 }, { "kind": "work", "n": 5 }],
            "expirationDate": "2030-01-01T00:00:00.000Z" }),
        json!({ "name": "bob", "age": 25, "blocked": true, "roles": ["editor"], "userGroup": "staff",
            "metadata": { "level": 1 }, "contacts": [{ "kind": "home", "n": 5 }], "expirationDate": null }),
        json!({ "name": "Carl", "age": 30.5, "roles": [], "userGroup": "guests", "metadata": { "level": "3" } }),
        json!({ "name": "Dora", "age": null, "blocked": false, "roles": ["admin"], "userGroup": "guests", "metadata": {},
            "contacts": [], "expirationDate": "2031-06-01T10:00:00.000Z", "nick": null }),
        json!({ "name": "", "age": -4, "roles": ["Admin", "editor", "viewer"], "userGroup": "others",
            "metadata": { "tags": ["y"], "level": null } }),
        json!({ "name": "\u{c0}nn", "age": 100, "userGroup": "others", "metadata": { "tags": "x", "boss": null },
            "contacts": [{ "n": 7 }, { "kind": "work" }] }),
        json!({ "name": "Ann", "age": 30, "roles": ["admin"], "userGroup": "staff", "metadata": {} }),
    ]
    .into_iter()
    .zip('a'..)
    .map(|(row, letter)| (letter, row.as_object().unwrap().clone()))
    .collect()
}

fn fields() -> Fields {
    Fields::default()
        .with(&["_id"], &Kind::Id)
        .with(&["name", "nick", "email", "userGroup", "__STATE__"], &Kind::Text)
        .with(&["age"], &Kind::Number)
        .with(&["blocked"], &Kind::Bool)
        .with(&["expirationDate", "createdAt", "updatedAt"], &Kind::Date)
        .with(&["roles"], &Kind::Array(Box::new(Kind::Text)))
        .with_schema(&json!({ "properties": {
            "metadata": { "type": "object" },
            "contacts": { "type": "array", "items": { "type": "object" } },
        } }))
}

/// The filter, and the letters of those whom it means.
#[rustfmt::skip]
fn table() -> Vec<(Value, &'static str)> {
    vec![
        // Equality.
        (json!({}), "abcdef"),
        (json!({ "name": "Ann" }), "a"),
        (json!({ "name": "ann" }), ""),
        (json!({ "name": "" }), "e"),
        (json!({ "name": null }), ""),
        (json!({ "name": 7 }), ""),
        (json!({ "age": 30 }), "a"),
        (json!({ "age": 30.0 }), "a"),
        (json!({ "age": "30" }), ""),
        (json!({ "age": null }), "d"),
        (json!({ "blocked": false }), "ad"),
        (json!({ "blocked": true }), "b"),
        (json!({ "blocked": null }), "cef"),
        (json!({ "nick": null }), "abcdef"),
        (json!({ "email": "ann@x.org" }), "a"),
        (json!({ "email": "ANN@x.org" }), ""),
        (json!({ "name": { "$eq": "Ann" } }), "a"),
        // Arrays.
        (json!({ "roles": "admin" }), "ad"),
        (json!({ "roles": ["editor"] }), "b"),
        (json!({ "roles": ["admin", "editor"] }), "a"),
        (json!({ "roles": ["editor", "admin"] }), ""),
        (json!({ "roles": [] }), "c"),
        (json!({ "roles": null }), "f"),
        (json!({ "roles": { "$eq": ["admin"] } }), "d"),
        (json!({ "roles": { "$eq": "admin" } }), "ad"),
        (json!({ "roles": { "$in": ["viewer", "admin"] } }), "ade"),
        (json!({ "roles": { "$in": [["admin"], "viewer"] } }), "de"),
        (json!({ "roles": { "$nin": ["editor"] } }), "cdf"),
        (json!({ "roles": { "$all": ["admin", "editor"] } }), "a"),
        (json!({ "roles": { "$all": ["editor"] } }), "abe"),
        (json!({ "roles": { "$all": [] } }), ""),
        (json!({ "roles": { "$size": 0 } }), "c"),
        (json!({ "roles": { "$size": 2 } }), "a"),
        (json!({ "roles": { "$size": 9 } }), ""),
        (json!({ "roles": { "$exists": false } }), "f"),
        (json!({ "roles": { "$exists": true } }), "abcde"),
        (json!({ "roles": { "$elemMatch": { "$regex": "^A" } } }), "e"),
        (json!({ "roles": { "$elemMatch": { "$gte": "e", "$lt": "f" } } }), "abe"),
        (json!({ "roles": { "$elemMatch": { "$in": ["viewer"] } } }), "e"),
        (json!({ "roles": { "$elemMatch": { "$ne": "editor" } } }), "ade"),
        (json!({ "roles.0": "admin" }), "ad"),
        // Order.
        (json!({ "age": { "$gt": 30 } }), "cf"),
        (json!({ "age": { "$gte": 30 } }), "acf"),
        (json!({ "age": { "$lt": 30 } }), "be"),
        (json!({ "age": { "$lte": 30 } }), "abe"),
        (json!({ "age": { "$gt": 25, "$lt": 100 } }), "ac"),
        (json!({ "age": { "$gt": "1" } }), ""),
        (json!({ "age": { "$gte": null } }), "d"),
        (json!({ "age": { "$gt": null } }), ""),
        (json!({ "name": { "$gt": "Dora" } }), "bf"),
        (json!({ "name": { "$lte": "Carl" } }), "ace"),
        (json!({ "name": { "$lt": "" } }), ""),
        (json!({ "blocked": { "$gt": false } }), "b"),
        (json!({ "userGroup": { "$gte": "others" } }), "abef"),
        // Not, and one of.
        (json!({ "age": { "$ne": 30 } }), "bcdef"),
        (json!({ "age": { "$ne": null } }), "abcef"),
        (json!({ "blocked": { "$ne": false } }), "bcef"),
        (json!({ "name": { "$in": ["Ann", "Carl"] } }), "ac"),
        (json!({ "name": { "$in": [] } }), ""),
        (json!({ "age": { "$in": [25, 100, null] } }), "bdf"),
        (json!({ "name": { "$nin": ["Ann", "bob"] } }), "cdef"),
        (json!({ "age": { "$nin": [null] } }), "abcef"),
        (json!({ "name": { "$nin": [] } }), "abcdef"),
        (json!({ "userGroup": { "$in": ["staff", "others"] } }), "abef"),
        (json!({ "email": { "$in": ["ann@x.org", "no"] } }), "a"),
        (json!({ "email": { "$in": [null] } }), "bcdef"),
        (json!({ "name": { "$all": ["Ann"] } }), "a"),
        (json!({ "nick": { "$exists": true } }), "d"),
        (json!({ "nick": { "$exists": false } }), "abcef"),
        (json!({ "age": { "$exists": true } }), "abcdef"),
        // Objects, and arrays of them.
        (json!({ "contacts": { "$elemMatch": { "kind": "home", "n": { "$gt": 3 } } } }), "b"),
        (json!({ "contacts": { "$elemMatch": { "kind": "work" } } }), "af"),
        (json!({ "contacts": { "$elemMatch": { "kind": null } } }), "f"),
        (json!({ "contacts": { "$elemMatch": { "$or": [{ "n": 1 }, { "n": 7 }] } } }), "af"),
        (json!({ "contacts.kind": "home" }), "ab"),
        (json!({ "contacts.n": { "$gt": 4 } }), "abf"),
        (json!({ "contacts.kind": "home", "contacts.n": 5 }), "ab"),
        (json!({ "contacts.0.kind": "home" }), "ab"),
        (json!({ "contacts.1.kind": "work" }), "af"),
        (json!({ "contacts.kind": null }), "cef"),
        (json!({ "contacts.kind": { "$exists": false } }), "cde"),
        (json!({ "contacts.5": { "$exists": false } }), "abcdef"),
        (json!({ "contacts": { "$size": 2 } }), "af"),
        (json!({ "contacts": { "kind": "home", "n": 5 } }), "b"),
        (json!({ "contacts": { "$in": [{ "kind": "home", "n": 5 }] } }), "b"),
        (json!({ "metadata.level": 3 }), "a"),
        (json!({ "metadata.level": "3" }), "c"),
        (json!({ "metadata.level": null }), "def"),
        (json!({ "metadata.level": { "$gte": 1 } }), "ab"),
        (json!({ "metadata.tags": "x" }), "af"),
        (json!({ "metadata.tags": { "$ne": "x" } }), "bcde"),
        (json!({ "metadata.tags": { "$size": 1 } }), "e"),
        (json!({ "metadata.tags": { "$all": ["x", "y"] } }), "a"),
        (json!({ "metadata.tags.0": "x" }), "a"),
        (json!({ "metadata.boss.name": "Eve" }), "a"),
        (json!({ "metadata.boss.name": null }), "bcdef"),
        (json!({ "metadata.boss": { "$exists": true } }), "af"),
        (json!({ "metadata": {} }), "d"),
        (json!({ "metadata": { "level": 1 } }), "b"),
        (json!({ "metadata": { "$exists": true } }), "abcdef"),
        // Dates.
        (json!({ "expirationDate": "2030-01-01T00:00:00Z" }), "a"),
        (json!({ "expirationDate": "2030-01-01T01:00:00+01:00" }), "a"),
        (json!({ "expirationDate": "2030-01-01" }), "a"),
        (json!({ "expirationDate": 1_893_456_000_000_i64 }), "a"),
        (json!({ "expirationDate": null }), "bcef"),
        (json!({ "expirationDate": { "$gt": "2030-01-01" } }), "d"),
        (json!({ "expirationDate": { "$gte": "2030-01-01T00:00:00.000Z", "$lt": "2031-06-01T10:00:00.001Z" } }), "ad"),
        (json!({ "expirationDate": { "$ne": null } }), "ad"),
        (json!({ "expirationDate": { "$in": ["2030-01-01", null] } }), "abcef"),
        (json!({ "expirationDate": { "$nin": ["2030-01-01"] } }), "bcdef"),
        (json!({ "createdAt": { "$gt": "2000-01-01" } }), "abcdef"),
        (json!({ "updatedAt": { "$lt": "2000-01-01" } }), ""),
        // Texts.
        (json!({ "name": { "$regex": "nn" } }), "af"),
        (json!({ "name": { "$regex": "^ann$", "$options": "i" } }), "a"),
        (json!({ "name": { "$regex": "^[A-D]" } }), "acd"),
        (json!({ "name": { "$regex": "o|a" } }), "bcd"),
        (json!({ "name": { "$regex": "" } }), "abcdef"),
        (json!({ "metadata.tags": { "$regex": "^x$" } }), "af"),
        // Together.
        (json!({ "$or": [{ "name": "Ann" }, { "age": 25 }] }), "ab"),
        (json!({ "$and": [{ "userGroup": "staff" }, { "blocked": true }] }), "b"),
        (json!({ "$or": [{ "$and": [{ "age": { "$gt": 50 } }, { "blocked": null }] }, { "roles": "admin" }] }), "adf"),
        (json!({ "$and": [{}] }), "abcdef"),
        (json!({ "$or": [{}, { "name": "Ann" }] }), "abcdef"),
        (json!({ "userGroup": "staff", "$or": [{ "age": 25 }, { "age": 100 }] }), "b"),
        // Ids and states.
        (json!({ "_id": id('a') }), "a"),
        (json!({ "_id": id('a').to_uppercase() }), "a"),
        (json!({ "_id": { "$in": [id('a'), id('c'), id('g')] } }), "ac"),
        (json!({ "_id": { "$gt": id('c') } }), "def"),
        (json!({ "_id": { "$ne": id('c') }, "userGroup": "guests" }), "d"),
        (json!({ "__STATE__": "TRASH" }), ""),
    ]
}

/// One or more names, and the letters in that order.
const ORDERS: [(&str, &str); 8] = [
    ("_id", "abcdef"),
    ("-_id", "fedcba"),
    ("age", "debacf"),
    ("-age", "fcabed"),
    ("name", "eacdbf"),
    ("roles", "cfeadb"),
    ("blocked,-age", "fceadb"),
    ("metadata.level", "defbac"),
];

struct Stores {
    embedded: Embedded,
    remote: CrudService,
    _twin: Twin<Crud>,
    _directory: TempDir,
}

impl Stores {
    async fn open() -> Self {
        let mut crud = Crud::default();
        let kinds =
            [("nick", crud::Kind::NullableText), ("age", crud::Kind::Number), ("contacts", crud::Kind::Objects)];
        crud.fields.extend(kinds);
        for (letter, row) in rows() {
            crud.put(&id(letter), if letter == 'g' { "TRASH" } else { "PUBLIC" }, Value::Object(row));
        }
        // A fence would be meant by half of the filters.
        crud.put(&id('h'), "PUBLIC", json!({ "userGroup": "__fence" }));
        let twin = Twin::start(crud).await;
        let remote = CrudService::new(&twin.url(), "/users", &patience(30_000), Clock::system()).unwrap();

        let directory = tempfile::tempdir_in(matrix::memory()).unwrap();
        let state = Sqlite::open(&directory.path().join("state.db"), Clock::system()).unwrap();
        let embedded = Embedded::open(state, &["email".to_owned(), "username".to_owned()]).await.unwrap();
        for (letter, row) in rows() {
            let id = UserId::parse(&id(letter)).unwrap();
            embedded.insert(&id, &row, "test").await.unwrap();
            if letter == 'g' {
                let user = embedded.get(&id, &Filter::Everything).await.unwrap().unwrap();
                embedded.set_state(&id, &user.revision, State::Trash, "test").await.unwrap();
            }
        }
        Self { embedded, remote, _twin: twin, _directory: directory }
    }

    fn all(&self) -> [&dyn Store; 2] {
        [&self.embedded, &self.remote]
    }
}

async fn letters(store: &dyn Store, query: &Query) -> String {
    let found = store.list(query).await.unwrap_or_else(|failure| panic!("{}: {failure:?}", store.name()));
    found.iter().map(|user| ('a'..='h').find(|letter| id(*letter) == user.id.as_str()).unwrap()).collect()
}

#[tokio::test]
async fn filters_mean_the_rows_that_the_contract_says_in_memory_and_over_both_stores() {
    let stores = Stores::open().await;
    let documents: Vec<_> = stores.embedded.list(&Query::everybody().in_states(&[State::Public])).await.unwrap();
    let table = table();
    assert!(table.len() >= 80, "{}", table.len());
    for (written, meant) in table {
        let filter = parse::filter(written.as_object().unwrap(), &fields())
            .unwrap_or_else(|error| panic!("{written}: {}", error.message()));
        let in_memory: String = documents
            .iter()
            .filter(|user| filter.matches(&user.document))
            .map(|user| ('a'..='h').find(|letter| id(*letter) == user.id.as_str()).unwrap())
            .collect();
        assert_eq!(in_memory, meant, "in memory: {written}");
        let query = Query::everybody_where(filter).in_states(&[State::Public]);
        for store in stores.all() {
            assert_eq!(letters(store, &query).await, meant, "{}: {written}", store.name());
            let count = store.count(&query).await.unwrap();
            assert_eq!(count, meant.len() as u64, "{}: {written}", store.name());
        }
    }
}

#[tokio::test]
async fn orders_and_pages_are_the_same_over_both_stores() {
    let stores = Stores::open().await;
    for (names, meant) in ORDERS {
        let sort = names.split(',').map(|name| {
            let path = name.trim_start_matches('-').to_owned();
            Sort { dated: path == "expirationDate", down: name.starts_with('-'), path }
        });
        let query = Query { sort: sort.collect(), ..Query::everybody().in_states(&[State::Public]) };
        for store in stores.all() {
            assert_eq!(letters(store, &query).await, meant, "{}: {names}", store.name());
            let page = Query { skip: 2, ..query.clone() }.limit(3);
            assert_eq!(letters(store, &page).await, meant[2..5], "{}: {names}", store.name());
            assert_eq!(store.count(&page).await.unwrap(), 6, "{}", store.name());
            let beyond = Query { skip: 6, ..query.clone() }.limit(3);
            assert_eq!(letters(store, &beyond).await, "", "{}", store.name());
        }
    }
    let dated = vec![Sort { path: "expirationDate".to_owned(), down: true, dated: true }];
    for store in stores.all() {
        let query = Query { sort: dated.clone(), ..Query::everybody().in_states(&[State::Public, State::Trash]) };
        assert_eq!(letters(store, &query).await, "dabcefg", "{}", store.name());
        let trash = Query::everybody().in_states(&[State::Trash]);
        assert_eq!(letters(store, &trash).await, "g", "{}", store.name());
    }
}

/// A filter that is refused, and what the sentence names.
#[rustfmt::skip]
fn refused() -> Vec<(Value, &'static str)> {
    vec![
        (json!({ "unheardOf": 1 }), "/unheardOf"),
        (json!({ "unheardOf.name": 1 }), "/unheardOf.name"),
        (json!({ "": 1 }), "/"),
        (json!({ "name.": 1 }), "/name."),
        (json!({ "metadata..x": 1 }), "/metadata..x"),
        (json!({ "metadata.$x": 1 }), "/metadata.$x"),
        (json!({ "$nor": [{}] }), "/$nor"),
        (json!({ "$not": {} }), "/$not"),
        (json!({ "$where": "true" }), "/$where"),
        (json!({ "$expr": {} }), "/$expr"),
        (json!({ "$comment": "x" }), "/$comment"),
        (json!({ "$and": [] }), "/$and"),
        (json!({ "$or": [] }), "/$or"),
        (json!({ "$and": {} }), "/$and"),
        (json!({ "$or": [1] }), "/$or/0"),
        (json!({ "$or": [{ "name": "x" }, { "$and": [{ "unheardOf": 1 }] }] }), "/$or/1/$and/0/unheardOf"),
        (json!({ "name": { "$foo": 1 } }), "/name/$foo"),
        (json!({ "name": { "$not": { "$eq": "x" } } }), "/name/$not"),
        (json!({ "name": { "$type": "string" } }), "/name/$type"),
        (json!({ "name": { "x": 1 } }), "/name"),
        (json!({ "name": { "$eq": "x", "y": 1 } }), "/name/y"),
        (json!({ "name": { "$eq": { "$gt": "" } } }), "/name/$eq"),
        (json!({ "name": { "$in": "x" } }), "/name/$in"),
        (json!({ "name": { "$in": [{ "$gt": "" }] } }), "/name/$in/0"),
        (json!({ "name": { "$nin": {} } }), "/name/$nin"),
        (json!({ "name": { "$all": null } }), "/name/$all"),
        (json!({ "name": { "$exists": "yes" } }), "/name/$exists"),
        (json!({ "name": { "$size": 1 } }), "/name/$size"),
        (json!({ "name": { "$elemMatch": {} } }), "/name/$elemMatch"),
        (json!({ "name": { "$gt": [] } }), "/name/$gt"),
        (json!({ "name": { "$regex": 7 } }), "/name/$regex"),
        (json!({ "name": { "$regex": "(" } }), "/name/$regex"),
        (json!({ "name": { "$regex": "(?=a)" } }), "/name/$regex"),
        (json!({ "name": { "$regex": "a", "$options": "x" } }), "/name/$regex"),
        (json!({ "name": { "$regex": "a", "$options": 1 } }), "/name/$regex"),
        (json!({ "name": { "$options": "i" } }), "/name/$options"),
        (json!({ "name": { "$nearSphere": {} } }), "/name/$nearSphere"),
        (json!({ "age": { "$regex": "a" } }), "/age/$regex"),
        (json!({ "roles": { "$ne": "x" } }), "/roles/$ne"),
        (json!({ "roles": { "$gt": "x" } }), "/roles/$gt"),
        (json!({ "roles": { "$regex": "x" } }), "/roles/$regex"),
        (json!({ "roles": { "$size": -1 } }), "/roles/$size"),
        (json!({ "roles": { "$size": 1.5 } }), "/roles/$size"),
        (json!({ "roles": { "$elemMatch": 1 } }), "/roles/$elemMatch"),
        (json!({ "roles": { "$elemMatch": { "$foo": 1 } } }), "/roles/$elemMatch/$foo"),
        (json!({ "metadata": { "$eq": {} } }), "/metadata/$eq"),
        (json!({ "metadata": { "$gt": {} } }), "/metadata/$gt"),
        (json!({ "expirationDate": "soon" }), "/expirationDate"),
        (json!({ "expirationDate": true }), "/expirationDate"),
        (json!({ "expirationDate": { "$gt": "32.13.2030" } }), "/expirationDate/$gt"),
        (json!({ "expirationDate": 1e300 }), "/expirationDate"),
        (json!({ "_id": "7" }), "/_id"),
        (json!({ "_id": 7 }), "/_id"),
        (json!({ "_id": { "$in": [id('a'), "x"] } }), "/_id/$in/1"),
    ]
}

#[test]
fn what_is_not_understood_is_refused_with_its_place_and_without_a_value() {
    for (written, place) in refused() {
        let error = parse::filter(written.as_object().unwrap(), &fields()).expect_err(&written.to_string());
        assert_eq!(error.code().row().0, "invalid-query", "{written}");
        let told = error.message().split(' ').next().unwrap();
        assert_eq!(told, place, "{written}: {}", error.message());
    }
    let mut deep = json!({ "name": "x" });
    for _ in 0..12 {
        deep = json!({ "$or": [deep] });
    }
    assert!(parse::filter(deep.as_object().unwrap(), &fields()).is_err());
    let many = json!({ "$or": vec![json!({ "name": "x" }); 1_000] });
    assert!(parse::filter(many.as_object().unwrap(), &fields()).is_err());
}

/// For [`laws`].
async fn store_of(documents: &[Map<String, Value>]) -> (Arc<Embedded>, TempDir) {
    let directory = tempfile::tempdir_in(matrix::memory()).unwrap();
    let state = Sqlite::open(&directory.path().join("state.db"), Clock::system()).unwrap();
    let store = Embedded::open(state, &["email".to_owned()]).await.unwrap();
    for (at, document) in documents.iter().enumerate() {
        let id = UserId::parse(&format!("{at:024x}")).unwrap();
        store.insert(&id, document, "test").await.unwrap();
    }
    (Arc::new(store), directory)
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_given_up_and_keeps_nobody_else_waiting() {
    let row = |n: usize| json!({ "name": format!("N{n}"), "userGroup": "crowd", "metadata": { "n": n } });
    let many: Vec<_> = (0..3_000).map(|n| row(n).as_object().unwrap().clone()).collect();
    let directory = tempfile::tempdir_in(matrix::memory()).unwrap();
    let state = Sqlite::open(&directory.path().join("state.db"), Clock::system()).unwrap();
    let store = Embedded::open(state, &[]).await.unwrap().with_patience(std::time::Duration::from_millis(2));
    for (at, row) in many.iter().enumerate() {
        store.insert(&UserId::parse(&format!("{at:024x}")).unwrap(), row, "test").await.unwrap();
    }
    let costly = parse::filter(json!({ "metadata.n": -1 }).as_object().unwrap(), &fields()).unwrap();
    let query = Query::everybody_where(costly);
    for answer in [store.list(&query).await.map(|_| ()), store.count(&query).await.map(|_| ())] {
        let error = answer.unwrap_err().into_error();
        assert_eq!(error.code().row().0, "query-too-costly");
    }
    // The threads are as good as before.
    let store = store.with_patience(std::time::Duration::from_secs(60));
    assert_eq!(store.count(&query).await.unwrap(), 0);
    assert_eq!(store.list(&Query::everybody().limit(25)).await.unwrap().len(), 25);
    assert_eq!(store.count(&Query::everybody_where(Filter::equals("userGroup", "crowd"))).await.unwrap(), 3_000);
}
