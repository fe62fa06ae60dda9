//! A clock that went back an hour between two lives.

use std::time::Duration;

use serde_json::json;
use user_manager::{
    access::Caller,
    users::{self, UserId, rules::Precondition},
};

use super::{
    cells,
    scene::{Cell, create, open},
};
use crate::matrix::{memory, time::Hand};

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn what_was_left_an_hour_from_now_is_settled_all_the_same() {
    let scene = cells::scene();
    let cell = Cell::new(&scene.database, &scene.log);
    assert!(
        scene.killed_ms > Hand::default().now_ms() + 3_600_000,
        "the next life begins an hour before the last ended"
    );
    cells::runtime().block_on(scene.settles(&cell));
}

#[tokio::test]
async fn revisions_grow_although_the_clock_went_back() {
    let directory = tempfile::tempdir_in(memory()).unwrap();
    let later = Hand::default();
    later.advance(HOUR).await;
    let id = create(&open(directory.path(), &later).await.unwrap(), "ada@x.org", "ada").await.unwrap();
    let first = change(&open(directory.path(), &later).await.unwrap(), &id, "Ada").await;
    let app = open(directory.path(), &Hand::default()).await.unwrap();
    let second = change(&app, &id, "Ada L.").await;
    let third = change(&app, &id, "Ada Lovelace").await;
    assert!(first < second && second < third, "{first}, {second}, {third}");
}

/// The revision that the user has then.
async fn change(app: &user_manager::app::App, id: &UserId, name: &str) -> String {
    let body = json!({ "$set": { "name": name } }).as_object().unwrap().clone();
    users::update(app, &Caller::inside("test", "system", "request-1"), id, body, Precondition::None).await.unwrap();
    app.systems.store.get(id, &Default::default()).await.unwrap().unwrap().revision.0
}
