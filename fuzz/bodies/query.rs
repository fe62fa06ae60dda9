//! A filter, as `_q` has it: what is understood means the same when it is written and read again, and our own state finds
//! whom it means in memory.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use user_manager::{
    clock::Clock,
    query::{Fields, Kind, Query, parse},
    state::sqlite::Sqlite,
    store::{Store, embedded::Embedded},
    users::UserId,
};

pub fn check(bytes: &[u8]) {
    let Ok(Value::Object(said)) = serde_json::from_slice(bytes) else { return };
    let Ok(filter) = parse::filter(&said, &fields()) else { return };
    let printed = filter.print();
    let again = printed.as_object().map(|printed| parse::filter(printed, &fields()));
    match again.expect("an object") {
        Ok(again) => assert_eq!(again, filter, "{printed}"),
        // Every level has braces of its own when it is written.
        Err(error) => assert!(error.message().contains("deeper than"), "{printed}: {}", error.message()),
    }

    let people = people();
    let query = Query::everybody_where(filter.clone());
    match people.runtime.block_on(people.store.list(&query)) {
        Ok(found) => {
            let found: Vec<&UserId> = found.iter().map(|user| &user.id).collect();
            let meant = people.all.iter().filter(|(_, document)| filter.matches(document));
            assert_eq!(found, meant.map(|(id, _)| id).collect::<Vec<_>>(), "{printed}");
        }
        Err(failure) => {
            let error = failure.into_error();
            let refused = ["invalid-query", "query-too-costly"].contains(&error.code().row().0);
            assert!(refused, "{printed}: {}", error.message());
        }
    }
}

fn fields() -> Fields {
    Fields::any()
        .with(&["_id"], &Kind::Id)
        .with(&["name", "email", "userGroup"], &Kind::Text)
        .with(&["age"], &Kind::Number)
        .with(&["blocked"], &Kind::Bool)
        .with(&["since", "createdAt"], &Kind::Date)
        .with(&["roles"], &Kind::Array(Box::new(Kind::Text)))
}

struct People {
    runtime: Runtime,
    store: Arc<Embedded>,
    /// As the store gives them.
    all: Vec<(UserId, Map<String, Value>)>,
    _directory: TempDir,
}

fn people() -> &'static People {
    static PEOPLE: OnceLock<People> = OnceLock::new();
    PEOPLE.get_or_init(|| {
        let runtime = Runtime::new().expect("threads");
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("state.db");
        let (store, all) = runtime.block_on(async {
            let state = Sqlite::open(&file, Clock::system()).expect("a state");
            let store = Arc::new(Embedded::open(state, &["email".to_owned()]).await.expect("a store"));
            for (at, document) in documents().into_iter().enumerate() {
                let id = UserId::parse(&format!("{at:024x}")).expect("an id");
                let Value::Object(document) = document else { continue };
                store.insert(&id, &document, "fuzz").await.expect("a new one");
            }
            let all = store.list(&Query::everybody()).await.expect("all of them");
            (store, all.into_iter().map(|user| (user.id, user.document)).collect())
        });
        People { runtime, store, all, _directory: directory }
    })
}

fn documents() -> Vec<Value> {
    vec![
        json!({ "userGroup": "a", "name": "Ann", "email": "ann@example.org", "age": 30, "blocked": false,
            "since": "2030-01-01T00:00:00.000Z", "roles": ["x", "y"], "b": { "c": [1, { "d": null }] } }),
        json!({ "userGroup": "a", "name": "\u{e9}\u{1f600}'\"%\\", "age": 30.5, "since": "2030-01-01", "roles": [],
            "b": [{ "c": 1 }, { "c": [2] }, 3, null, [4]] }),
        json!({ "userGroup": "b", "age": null, "blocked": true, "since": null, "roles": ["x"], "b": "x" }),
        json!({ "userGroup": "b", "age": i64::MAX, "name": "", "b": { "0": true, "c": { "d": [{}] } }, "n": -1e300 }),
        json!({ "userGroup": "", "b": [], "n": 9_007_199_254_740_993_i64, "since": "2030-01-01T02:00:00+02:00" }),
    ]
}
