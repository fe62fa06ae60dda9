//! The journal alone: operations of three steps, written as the saga engine writes them, with no step behind them.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use user_manager::{
    clock::Clock,
    identity::Account,
    saga::Step,
    state::{
        Journal,
        journal::{Happened, New, Origin, Record},
        sqlite::{Opening, Sqlite, Writing, journal::SqliteJournal},
    },
    users::{
        Revision, UserId,
        steps::{CreateIdentity, InsertUser, LinkIdentity},
    },
};

use crate::crowd::{self, Done};

/// Acknowledged writes a second of so many operations at once, over a fresh state in that directory.
pub async fn writes_per_second(directory: &Path, writers: usize, slot: Duration, writing: Writing) -> f64 {
    let place = tempfile::tempdir_in(directory).unwrap();
    let state =
        Sqlite::open_as(&place.path().join("state.db"), Clock::system(), Opening { writing, ..Opening::default() })
            .unwrap();
    let journal = SqliteJournal::open(state, vec![7; 32], Clock::system()).await.unwrap();
    let journal: Arc<dyn Journal> = Arc::new(journal);
    crowd::rate(writers, slot, move |done| operation(Arc::clone(&journal), done)).await
}

/// begin, an intent a step, the commit with the end.
async fn operation(journal: Arc<dyn Journal>, done: Done) {
    let now_ms = Clock::system().now_ms();
    let (id, user) = (uuid::Uuid::now_v7().to_string(), UserId::new(now_ms));
    let email = format!("{user}@example.org");
    let origin = Origin {
        actor: user.to_string(),
        by: "token".to_owned(),
        address: Some("127.0.0.1".to_owned()),
        request_id: uuid::Uuid::now_v7().to_string(),
        part_of: None,
    };
    let new = New {
        id: id.clone(),
        kind: "create-user".to_owned(),
        origin,
        subject: Some(user.to_string()),
        names: vec![format!("email:{email}"), format!("user:{user}")],
        began_ms: now_ms,
        key: None,
    };
    journal.begin(new).await.unwrap();
    done.one();

    let mut pending = Vec::new();
    for (seq, (name, body, output)) in (0..).zip(steps(&id, &user, &email)) {
        pending.push(Record::Intent { seq, name, body });
        journal.append(&id, std::mem::take(&mut pending)).await.unwrap();
        done.one();
        pending.push(Record::Outcome { seq, happened: Happened::Done(output) });
    }
    pending.extend([Record::Commit { promises: Vec::new() }, Record::End]);
    journal.append(&id, pending).await.unwrap();
    done.one();
}

/// Those of a creation, with what their systems answer.
fn steps(mark: &str, user: &UserId, email: &str) -> [(&'static str, Value, Value); 3] {
    let identity = uuid::Uuid::now_v7().to_string();
    let (fields, by) = (json!({ "userGroup": "users", "email": email, "name": "Somebody" }), user.to_string());
    let account = Account {
        username: None,
        email: Some(email.to_owned()),
        enabled: true,
        mark: Some(mark.to_owned()),
        revision: None,
    };
    let insert = InsertUser { id: user.clone(), fields: fields.as_object().unwrap().clone(), by: by.clone() };
    let create = CreateIdentity { chosen: Some(identity.clone()), account, password: None };
    let at = Revision("2026-11-21T05:44:00.123Z".to_owned());
    let link = LinkIdentity { id: user.clone(), at, identity: identity.clone(), by };
    [
        (InsertUser::NAME, json!(insert), Value::Null),
        (CreateIdentity::NAME, json!(create), Value::from(identity)),
        (LinkIdentity::NAME, json!(link), Value::Null),
    ]
}
