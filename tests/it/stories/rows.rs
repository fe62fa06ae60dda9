//! A caller with a row filter sees and changes only those inside.

use serde_json::{Value, json};
use user_manager::{
    access::Caller,
    error::Code,
    query::Filter,
    users::{self, UserId, rules::Precondition},
};

use crate::worlds::everywhere;

#[tokio::test]
async fn nobody_outside_the_row_filter_is_seen_or_changed() {
    everywhere(async |world| {
        let ours = UserId::parse(&world.user("ours@example.org").await).unwrap();
        let theirs = UserId::parse(&world.user("theirs@example.org").await).unwrap();
        world.patch(&format!("/users/{ours}"), json!({ "$set": { "name": "Mine" } })).await.is(200);
        let before = world.snapshot();

        let app = &world.app;
        let rows = Filter::And(vec![Filter::equals("name", "Mine"), Filter::one_of("userGroup", ["users", "guests"])]);
        let caller = Caller { rows, ..world.inside() };
        let set = |fields: Value| json!({ "$set": fields }).as_object().unwrap().clone();
        let code = |error: user_manager::error::Error| error.code();

        let seen = users::get(app, &caller, &theirs).await.map_err(code);
        assert_eq!(seen.unwrap_err(), Code::UserNotFound);
        let changed = users::update(app, &caller, &theirs, set(json!({ "name": "Mine" })), Precondition::None).await;
        assert_eq!(changed.map_err(code).unwrap_err(), Code::UserNotFound);
        let deleted = users::delete(app, &caller, &theirs, Precondition::None).await.map_err(code);
        assert_eq!(deleted.unwrap_err(), Code::UserNotFound);
        assert_eq!(world.snapshot(), before);

        assert_eq!(users::get(app, &caller, &ours).await.unwrap().text("email"), Some("ours@example.org"));
        // Whom a change moves outside is answered once more.
        let moved = users::update(app, &caller, &ours, set(json!({ "name": "Theirs" })), Precondition::None).await;
        assert_eq!(moved.unwrap().text("name"), Some("Theirs"));
        let deleted = users::delete(app, &caller, &ours, Precondition::None).await.map_err(code);
        assert_eq!(deleted.unwrap_err(), Code::UserNotFound);
    })
    .await;
}
