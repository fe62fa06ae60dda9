//! Keys, events and retention under the chain.

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::json;

use super::SqliteJournal;
use crate::{
    clock::Clock,
    state::{
        Journal,
        journal::{Appended, Begun, New, Origin, Parts, Record},
        ledger::{EventQuery, Key, NewEvent, Older},
        sqlite::Sqlite,
    },
};

fn open(directory: &tempfile::TempDir) -> Arc<Sqlite> {
    Sqlite::open(&directory.path().join("state.db"), Clock::system()).unwrap()
}

/// A journal in which operations were settled under keys, something was noted, an answer was kept and one operation was left;
/// what is older than `gone_before_ms` is gone.
async fn aged(directory: &tempfile::TempDir, settled: &[&str], left: Option<&str>, gone_before_ms: Option<i64>) {
    let state = open(directory);
    let journal = SqliteJournal::open(state, vec![7; 32], Clock::system()).await.unwrap();
    let key = |slot: &str| Key { slot: slot.to_owned(), request: "r".to_owned(), forgotten_before_ms: 0 };
    let new = |id: &str| New {
        id: id.to_owned(),
        kind: "create-user".to_owned(),
        origin: Origin::default(),
        subject: None,
        names: vec![format!("user:{id}")],
        began_ms: 1,
        key: Some(key(&format!("slot-{id}"))),
    };
    for id in left.iter().chain(settled) {
        assert_eq!(journal.begin(new(id)).await.unwrap(), Begun::Fresh);
        assert_eq!(journal.begin(new(id)).await.unwrap(), Begun::Repeat);
    }
    let intent = || Record::Intent { seq: 0, name: "insert-user", body: json!({}) };
    let answer = || Record::Answer { text: "answer".to_owned() };
    for id in settled {
        let end = vec![intent(), Record::Commit { promises: Vec::new() }, answer(), Record::End];
        assert_eq!(journal.append(id, end).await.unwrap(), Appended::Written);
    }
    if let Some(left) = left {
        // Its answer is out although it is not settled.
        let told = vec![intent(), Record::Commit { promises: Vec::new() }, answer(), Record::Answered];
        assert_eq!(journal.append(left, told).await.unwrap(), Appended::Written);
    }
    let ledger = journal.ledger();
    let noted = NewEvent { action: "log-in", outcome: "done", origin: Origin::default(), subject: None };
    ledger.note(noted).await.unwrap();
    assert_eq!(ledger.keep(key("kept"), "refusal".to_owned()).await.unwrap(), None);
    assert_eq!(ledger.keep(key("kept"), "other".to_owned()).await.unwrap().unwrap().answer.unwrap(), "refusal");
    if let Some(before_ms) = gone_before_ms {
        let older = Older { settled_before_ms: before_ms, answered_before_ms: before_ms, most: 2 };
        while ledger.forget(older).await.unwrap() {}
    }
}

fn counts(directory: &tempfile::TempDir) -> Vec<i64> {
    let db = Connection::open(directory.path().join("state.db")).unwrap();
    let count = |table| db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    ["operation", "step", "idempotency_key", "event"].map(count).to_vec()
}

async fn opens(directory: &tempfile::TempDir) -> Result<(), String> {
    let opened = SqliteJournal::open(open(directory), vec![7; 32], Clock::system()).await;
    opened.map(|_| ()).map_err(|error| error.to_string())
}

const ALL: Option<i64> = Some(i64::MAX);

#[tokio::test]
async fn what_has_had_its_time_is_gone_and_the_journal_is_sound() {
    let directory = tempfile::tempdir().unwrap();
    aged(&directory, &["a", "b", "c", "d", "e"], None, Some(1)).await;
    assert_eq!(counts(&directory), [5, 5, 6, 6]);
    opens(&directory).await.unwrap();
    // Settled before the checkpoint that this start has set, and after it.
    let journal = SqliteJournal::open(open(&directory), vec![7; 32], Clock::system()).await.unwrap();
    let links = || {
        let db = Connection::open(directory.path().join("state.db")).unwrap();
        let count: i64 = db.query_row("SELECT count(*) FROM chain", [], |row| row.get(0)).unwrap();
        count
    };
    assert!(links() > 10);
    let older = Older { settled_before_ms: i64::MAX, answered_before_ms: i64::MAX, most: 2 };
    while journal.ledger().forget(older).await.unwrap() {}
    assert_eq!(counts(&directory), [0, 0, 0, 0]);
    // The link at the checkpoint, and what retention has told since.
    assert!(links() <= 6, "{}", links());
    drop(journal);
    opens(&directory).await.unwrap();
    opens(&directory).await.unwrap();
}

#[tokio::test]
async fn an_operation_that_is_left_keeps_nothing_else_from_going() {
    let directory = tempfile::tempdir().unwrap();
    aged(&directory, &["a", "b", "c"], Some("left"), ALL).await;
    // Its own event stays with it; its answer, which is out, does not.
    assert_eq!(counts(&directory), [1, 1, 0, 1]);
    for _ in 0..2 {
        opens(&directory).await.unwrap();
    }
}

#[tokio::test]
async fn the_parts_of_an_operation_stay_as_long_as_it_is_not_settled() {
    let directory = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(open(&directory), vec![7; 32], Clock::system()).await.unwrap();
    let request = || "r".to_owned();
    for (id, whole) in [("whole", None), ("part", Some("whole")), ("later", Some("whole")), ("other", Some("gone"))] {
        let part_of = whole.map(ToOwned::to_owned);
        let origin = Origin { request_id: request(), part_of, ..Origin::default() };
        let kind = "change-states".to_owned();
        let id = id.to_owned();
        let new = New { id, kind, origin, subject: None, names: Vec::new(), began_ms: 1, key: None };
        assert_eq!(journal.begin(new).await.unwrap(), Begun::Fresh);
    }
    let end = || vec![Record::Commit { promises: Vec::new() }, Record::End];
    for id in ["part", "later", "other"] {
        assert_eq!(journal.append(id, end()).await.unwrap(), Appended::Written);
    }
    let ledger = journal.ledger();
    let older = Older { settled_before_ms: i64::MAX, answered_before_ms: i64::MAX, most: 1 };
    while ledger.forget(older).await.unwrap() {}
    assert_eq!(counts(&directory)[0], 3);
    assert_eq!(journal.parts("whole", &request()).await.unwrap(), Parts { done: 2, open: 0 });

    assert_eq!(journal.append("whole", end()).await.unwrap(), Appended::Written);
    while ledger.forget(older).await.unwrap() {}
    assert_eq!(counts(&directory), [0, 0, 0, 0]);
    drop((journal, ledger));
    opens(&directory).await.unwrap();
}

#[tokio::test]
async fn a_row_that_retention_did_not_take_is_missed() {
    for (sql, gone) in [
        ("DELETE FROM operation WHERE id = 'b'", None),
        ("DELETE FROM idempotency_key WHERE slot = 'slot-b'", None),
        ("DELETE FROM idempotency_key WHERE slot = 'kept'", None),
        ("UPDATE idempotency_key SET answer = 'x' WHERE slot = 'kept'", None),
        ("UPDATE idempotency_key SET answer = 'x' WHERE slot = 'slot-b'", None),
        ("UPDATE idempotency_key SET slot = 'x' WHERE slot = 'slot-b'", None),
        ("UPDATE idempotency_key SET answered_ms = answered_ms + 1 WHERE slot = 'slot-b'", None),
        ("DELETE FROM event WHERE operation = 'b'", None),
        ("DELETE FROM event WHERE operation IS NULL", None),
        ("UPDATE event SET action = 'x' WHERE operation IS NULL", None),
        ("UPDATE event SET actor = 'x' WHERE operation = 'b'", None),
        ("DELETE FROM operation WHERE id = 'left'", ALL),
        ("DELETE FROM event WHERE operation = 'left'", ALL),
    ] {
        let directory = tempfile::tempdir().unwrap();
        aged(&directory, &["a", "b"], Some("left"), gone).await;
        let db = Connection::open(directory.path().join("state.db")).unwrap();
        assert_eq!(db.execute(sql, []).unwrap(), 1, "{sql}");
        drop(db);
        assert!(opens(&directory).await.is_err_and(|why| why.contains("damaged")), "{sql}");
    }
}

#[tokio::test]
async fn events_are_read_in_the_order_of_commits_whatever_the_clock_does() {
    let directory = tempfile::tempdir().unwrap();
    let journal = SqliteJournal::open(open(&directory), vec![7; 32], Clock::system()).await.unwrap();
    let ledger = Arc::new(journal).ledger();
    let note = |subject: String| {
        let ledger = ledger.clone();
        let event = NewEvent { action: "log-in", outcome: "done", origin: Origin::default(), subject: Some(subject) };
        async move { ledger.note(event).await.unwrap() }
    };
    futures_util::future::join_all((0..50).map(|number| note(number.to_string()))).await;
    Connection::open(directory.path().join("state.db"))
        .unwrap()
        .execute("UPDATE event SET id = 'f' || substr(id, 2) WHERE id = (SELECT max(id) FROM event)", [])
        .unwrap();
    note("after a clock that was ahead".to_owned()).await;
    let mut read = Vec::new();
    let mut after = None;
    loop {
        let page = ledger.events(EventQuery { after, limit: 7, ..EventQuery::default() }).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        read.extend(page.into_iter().map(|event| (event.id, event.subject.unwrap())));
    }
    assert_eq!(read.len(), 51);
    assert!(read.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(read[50].1, "after a clock that was ahead");
}
