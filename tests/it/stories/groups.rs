//! What the group of a person says of his members.

use serde_json::json;

use crate::worlds::{Place, Reply, everywhere, within};

fn pointers(reply: &Reply) -> Vec<(&str, &str)> {
    let errors = reply.body["errors"].as_array().unwrap();
    let told = errors.iter().map(|error| (error["pointer"].as_str().unwrap(), error["keyword"].as_str().unwrap()));
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    told
}

#[tokio::test]
async fn everything_wrong_with_a_person_is_told_by_its_pointer() {
    everywhere(async |world| {
        let path = format!("/users/{}", world.user("ada@example.org").await);
        let before = world.snapshot();
        let wrong = json!({ "userGroup": "users", "email": "no address", "name": 7, "shoe/size": 43 });
        let reply = world.post("/users/", wrong).await.refuses(400, "validation-failed");
        assert_eq!(pointers(&reply), [("/email", "format"), ("/name", "type"), ("/shoe~1size", "unknown-member")]);
        assert!(!reply.body.to_string().contains("no address"), "{}", reply.body);

        let reply = world.patch(&path, json!({ "$set": { "name": 7 }, "$unset": { "email": true } })).await;
        let reply = reply.refuses(400, "validation-failed");
        assert_eq!(pointers(&reply), [("", "required"), ("/name", "type")]);
        let nobody = world.post("/users/", json!({ "email": "x@example.org" })).await;
        assert_eq!(pointers(&nobody.refuses(400, "validation-failed")), [("", "required")]);
        let unknown = json!({ "userGroup": "gods", "email": "x@example.org" });
        world.post("/users/", unknown).await.refuses(400, "group-unknown");
        assert_eq!(world.snapshot(), before);
    })
    .await;
}

#[tokio::test]
async fn a_member_that_the_collection_does_not_have_is_not_dropped_in_silence() {
    within(&Place::CRUD, async |world| {
        let before = world.people();
        let new = json!({ "userGroup": "users", "email": "x@example.org", "phone": "+39 012" });
        let reply = world.post("/users/", new).await.refuses(400, "validation-failed");
        assert_eq!(reply.body["errors"][0]["pointer"], "/phone");
        world.settled().await;
        world.is_as(&before);
    })
    .await;
}
