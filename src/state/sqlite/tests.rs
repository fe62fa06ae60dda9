//! The documents, grants and keys in SQLite.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Map, Value, json};

use super::*;
use crate::state::{
    Collection, Documents, Grants, Insert, Journal, Keys, Replace,
    journal::{Appended, Begun, New, Origin, Record},
};

fn open(directory: &tempfile::TempDir) -> Arc<Sqlite> {
    Sqlite::open(&directory.path().join("state.db"), Clock::system()).unwrap()
}

fn body(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn people() -> Collection {
    let field = |name: &str| vec![name.to_owned()];
    Collection {
        name: "people",
        unique: vec![field("email"), field("username")],
        indexed: field("link"),
        released: None,
    }
}

fn logins() -> Collection {
    let unique = vec![vec!["email".to_owned(), "username".to_owned()]];
    Collection { name: "logins", unique, indexed: Vec::new(), released: None }
}

fn stored(insert: Insert) -> crate::state::Document {
    let Insert::Stored(document) = insert else { panic!("{insert:?}") };
    document
}

#[tokio::test]
async fn a_namespace_spans_its_fields_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(&directory);
    let people = state.define(people()).await.unwrap();
    let logins = state.define(logins()).await.unwrap();
    let ada = body(json!({"email": "Ada@x.org", "username": "ada"}));
    let crossed = body(json!({"email": "ada", "username": "ADA@X.ORG"}));

    stored(state.insert(&people, "1", ada.clone()).await.unwrap());
    stored(state.insert(&people, "2", crossed.clone()).await.unwrap());
    let same = state.insert(&people, "3", body(json!({"email": "ａda@x.org"}))).await.unwrap();
    assert_eq!(same, Insert::Taken("email".to_owned()));

    stored(state.insert(&logins, "1", ada).await.unwrap());
    let taken = state.insert(&logins, "2", crossed).await.unwrap();
    assert_eq!(taken, Insert::Taken("email".to_owned()));
    let twice = body(json!({"email": "eve", "username": "eve"}));
    stored(state.insert(&logins, "3", twice).await.unwrap());
    assert_eq!(state.find_unique(&logins, "email", "ADA").await.unwrap().unwrap().id, "1");
    assert_eq!(state.find_unique(&people, "email", "ada").await.unwrap().unwrap().id, "2");
}

#[tokio::test]
async fn what_is_closed_can_never_be_inserted_and_what_stands_is_not_closed() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(&directory);
    let people = state.define(people()).await.unwrap();
    assert_eq!(state.close(&people, "1").await.unwrap(), None);
    assert_eq!(state.close(&people, "1").await.unwrap(), None);
    assert_eq!(state.insert(&people, "1", Map::new()).await.unwrap(), Insert::Closed);
    assert_eq!(state.get(&people, "1").await.unwrap(), None);

    let second = stored(state.insert(&people, "2", Map::new()).await.unwrap());
    assert_eq!(state.close(&people, "2").await.unwrap(), Some(second.clone()));
    assert_eq!(state.insert(&people, "2", body(json!({"a": 1}))).await.unwrap(), Insert::Exists(second));
}

#[tokio::test]
async fn a_change_needs_the_time_of_the_last_one_and_moves_it() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(&directory);
    let people = state.define(people()).await.unwrap();
    let first = stored(state.insert(&people, "1", body(json!({"email": "a", "link": "x"}))).await.unwrap());
    stored(state.insert(&people, "2", body(json!({"email": "b"}))).await.unwrap());

    let taken = state.replace(&people, "1", first.updated_ms, body(json!({"email": "B"}))).await.unwrap();
    assert_eq!(taken, Replace::Taken("email".to_owned()));
    let changed = state.replace(&people, "1", first.updated_ms, body(json!({"email": "c"}))).await.unwrap();
    let Replace::Stored(second) = changed else { panic!("{changed:?}") };
    assert!(second.updated_ms > first.updated_ms && second.created_ms == first.created_ms);
    assert_eq!(
        state.replace(&people, "1", first.updated_ms, Map::new()).await.unwrap(),
        Replace::Elsewhere(Some(second.clone()))
    );
    assert_eq!(state.find(&people, "link", "x").await.unwrap(), []);

    let touched = state.touch(&people, "1", second.updated_ms).await.unwrap();
    let Replace::Stored(third) = touched else { panic!("{touched:?}") };
    assert!(third.updated_ms > second.updated_ms && third.body == second.body);

    stored(state.insert(&people, "3", body(json!({"email": "A"}))).await.unwrap());
    assert!(!state.delete(&people, "1", Some(("email", json!("a")))).await.unwrap());
    assert!(state.delete(&people, "1", Some(("email", json!("c")))).await.unwrap());
    assert!(!state.delete(&people, "1", None).await.unwrap());
    stored(state.insert(&people, "1", body(json!({"email": "c"}))).await.unwrap());
    assert_eq!(state.replace(&people, "9", 1, Map::new()).await.unwrap(), Replace::Elsewhere(None));
}

#[tokio::test]
async fn documents_are_found_by_the_exact_value() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(&directory);
    let people = state.define(people()).await.unwrap();
    let ada = stored(state.insert(&people, "1", body(json!({"email": "Ada", "link": "x"}))).await.unwrap());
    let eve = stored(state.insert(&people, "2", body(json!({"email": "Eve", "link": "x"}))).await.unwrap());
    assert_eq!(state.find(&people, "link", "x").await.unwrap(), [ada.clone(), eve]);
    assert_eq!(state.find(&people, "email", "Ada").await.unwrap(), [ada]);
    assert_eq!(state.find(&people, "email", "ada").await.unwrap(), []);
}

#[tokio::test]
async fn a_collection_defined_anew_is_indexed_anew_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(&directory);
    let plain = Collection { name: "people", unique: Vec::new(), indexed: Vec::new(), released: None };
    let plain = state.define(plain).await.unwrap();
    stored(state.insert(&plain, "1", body(json!({"email": "ada"}))).await.unwrap());
    stored(state.insert(&plain, "2", body(json!({"email": "eve"}))).await.unwrap());
    let unique = state.define(people()).await.unwrap();
    assert_eq!(state.find_unique(&unique, "email", "EVE").await.unwrap().unwrap().id, "2");

    let plain = state.define((*plain).clone()).await.unwrap();
    stored(state.insert(&plain, "3", body(json!({"email": "Ada"}))).await.unwrap());
    let Err(error) = state.define(people()).await else { panic!("two share an e-mail") };
    assert!(error.to_string().contains("email") && !error.to_string().to_lowercase().contains("ada"), "{error}");
}

#[tokio::test]
async fn everything_is_there_again_after_closing() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(&directory);
    let defined = state.define(people()).await.unwrap();
    let ada = stored(state.insert(&defined, "1", body(json!({"email": "ada"}))).await.unwrap());
    state.close(&defined, "2").await.unwrap();
    let permissions = ["users:read".to_owned(), "users:write".to_owned()];
    assert_eq!(state.grant("1", &permissions).await.unwrap(), permissions);
    assert_eq!(state.grant("1", &permissions[..1]).await.unwrap(), [""; 0]);
    assert_eq!(state.get_or_put("signing", vec![1]).await.unwrap(), [1]);
    drop(state);
    let names = || -> Vec<_> {
        let mut names: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names()[0], "state.db");

    let state = open(&directory);
    let defined = state.define(people()).await.unwrap();
    assert_eq!(state.get(&defined, "1").await.unwrap(), Some(ada));
    assert_eq!(state.insert(&defined, "2", Map::new()).await.unwrap(), Insert::Closed);
    assert_eq!(state.of("1").await.unwrap(), permissions);
    assert_eq!(state.holders("users:write").await.unwrap(), ["1"]);
    state.revoke("1", &permissions[..1]).await.unwrap();
    assert_eq!(state.of("1").await.unwrap(), permissions[1..]);
    assert_eq!(state.get_or_put("signing", vec![2]).await.unwrap(), [1]);
    for name in names() {
        let mode = std::fs::metadata(directory.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name:?}");
    }
}

#[tokio::test]
async fn operations_that_overlap_are_read_again_at_every_start() {
    let directory = tempfile::tempdir().unwrap();
    let open = async || journal::SqliteJournal::open(open(&directory), vec![7; 32], Clock::system()).await.unwrap();
    let new = |id: &str| New {
        id: id.to_owned(),
        kind: "create-user".to_owned(),
        origin: Origin::default(),
        subject: None,
        names: vec![format!("user:{id}")],
        began_ms: 1,
        key: None,
    };
    let first = open().await;
    for id in ["settled", "left"] {
        assert_eq!(first.begin(new(id)).await.unwrap(), Begun::Fresh);
    }
    let end = || vec![Record::Commit { promises: Vec::new() }, Record::End];
    assert_eq!(first.append("settled", end()).await.unwrap(), Appended::Written);
    drop(first);
    // The one that was left keeps the chain from being read from any later: of the other only the end is heard.
    for _ in 0..3 {
        assert_eq!(open().await.unsettled().await.unwrap(), 1);
    }
}

#[tokio::test]
async fn one_refused_job_leaves_the_others_of_its_batch_alone() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(&directory);
    let put = |name: &'static str, value: u8| {
        state.write(move |connection| {
            connection.execute("INSERT INTO key (name, value) VALUES (?1, ?2)", (name, [value]))
        })
    };
    let half = state.write(|connection| {
        connection.execute("INSERT INTO key (name, value) VALUES ('half', x'00')", [])?;
        connection.execute("INSERT INTO key (name, value) VALUES ('a', x'00')", [])
    });
    let (a, half, b) = tokio::join!(put("a", 1), half, put("b", 2));
    assert!(a.is_ok() && b.is_ok());
    assert!(matches!(half, Err(Error::Unavailable(_))), "{half:?}");
    let kept = |name: &'static str| state.get_or_put(name, vec![9]);
    assert_eq!((kept("a").await.unwrap(), kept("b").await.unwrap()), (vec![1], vec![2]));
    assert_eq!(kept("half").await.unwrap(), [9]);
}

#[tokio::test]
async fn a_full_disk_takes_the_batch_back_and_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(&directory);
    state.write(|connection| connection.query_row("PRAGMA max_page_count = 40", [], |_| Ok(()))).await.unwrap();
    let (small, big) = tokio::join!(state.get_or_put("small", vec![1]), state.get_or_put("big", vec![0; 1024 * 1024]));
    assert!(matches!(big, Err(Error::Unavailable(_))), "{big:?}");
    // In one batch with the big one or before it: either way the state goes on.
    assert!(matches!(small, Ok(_) | Err(Error::Unavailable(_))), "{small:?}");
    assert_eq!(state.get_or_put("small", vec![1]).await.unwrap(), [1]);
}

#[tokio::test]
async fn after_a_panic_of_the_writer_every_write_is_fatal_and_the_process_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(&directory);
    let fatal = state.fatal();
    let first = state.write(|_| -> rusqlite::Result<()> { panic!("a defect") }).await;
    assert!(matches!(first, Err(Error::Fatal(_))), "{first:?}");
    assert!(matches!(state.get_or_put("a", vec![1]).await, Err(Error::Fatal(_))));
    assert_eq!(fatal.await, "the writer panicked");
    assert!(state.of("1").await.is_ok(), "reading goes on");
}

#[tokio::test]
async fn readers_cannot_write() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(&directory);
    let written = state.read(|connection| connection.execute("DELETE FROM key", [])).await;
    assert!(matches!(written, Err(Error::Unavailable(_))), "{written:?}");
}

#[test]
fn a_file_that_is_no_state_of_ours_is_refused_with_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state.db");
    let refusal = || Sqlite::open(&file, Clock::system()).map(drop).unwrap_err().to_string();

    std::fs::write(&file, "Dear diary, ".repeat(500)).unwrap();
    assert!(refusal().contains("is not a state of this program"), "{}", refusal());

    std::fs::remove_file(&file).unwrap();
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    assert!(refusal().contains("is not a state of this program"), "{}", refusal());

    std::fs::remove_file(&file).unwrap();
    drop(Sqlite::open(&file, Clock::system()).unwrap());
    drop(Sqlite::open(&file, Clock::system()).unwrap());
    Connection::open(&file).unwrap().execute_batch("DROP TABLE closed").unwrap();
    assert!(refusal().contains("is damaged"), "{}", refusal());

    Connection::open(&file).unwrap().pragma_update(None, "user_version", 999).unwrap();
    assert!(refusal().contains("newer version"), "{}", refusal());
}

#[tokio::test]
async fn a_second_process_waits_for_the_lock_and_is_told_who_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let take = || lock::Lock::take(directory.path(), std::time::Duration::from_millis(150), &clock);
    let held = take().await.unwrap();
    let refusal = take().await.unwrap_err().to_string();
    assert!(refusal.contains(&format!("process {} since 2", std::process::id())), "{refusal}");
    drop(held);
    take().await.unwrap();
}
