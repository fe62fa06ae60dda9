//! What the group of a person says of his members.

use std::time::Duration;

use serde_json::{Value, json};

use crate::worlds::{Place, Reply, World, everywhere, within};

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

/// A group document as somebody else would put it into the collection.
fn stands(world: &World, id: &str, group: &str, schema: Value) {
    world.store().world().groups().put(id, "PUBLIC", json!({ "userGroup": group, "crudSchema": schema }));
}

const GUESTS: &str = "5f0c0000000000000000000a";

#[tokio::test]
async fn what_somebody_else_writes_of_a_group_holds_within_a_second() {
    within(&Place::CRUD, async |world| {
        let guest = |email: &str| json!({ "userGroup": "guests", "email": email, "name": "Guest" });
        world.post("/users/", guest("a@example.org")).await.refuses(400, "group-unknown");
        stands(world, GUESTS, "guests", json!({ "properties": { "name": { "type": "string" } } }));
        world.post("/users/", guest("a@example.org")).await.is(200);

        stands(world, GUESTS, "guests", json!({ "properties": { "name": { "type": "string", "maxLength": 3 } } }));
        world.passes(Duration::from_secs(1));
        world.post("/users/", guest("b@example.org")).await.refuses(400, "validation-failed");
        // In our own words again, once the document has gone.
        stands(world, GUESTS, "users", json!({ "required": ["username"] }));
        world.passes(Duration::from_secs(1));
        world.post("/users/", guest("b@example.org")).await.refuses(400, "group-unknown");
        let user = json!({ "userGroup": "users", "email": "c@example.org", "name": "C" });
        let reply = world.post("/users/", user.clone()).await.refuses(400, "validation-failed");
        assert_eq!(pointers(&reply), [("", "required"), ("/name", "unknown-member")]);
        world.store().world().groups().rows.clear();
        world.passes(Duration::from_secs(1));
        world.post("/users/", user).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn a_document_that_makes_no_sense_disables_its_group_alone() {
    within(&Place::CRUD, async |world| {
        let path = format!("/users/{}", world.user("ada@example.org").await);
        for broken in [
            json!({ "type": "strnig" }),
            json!({ "properties": { "a": { "$ref": "http://127.0.0.1:1/" } } }),
            json!({ "properties": { "name": { "pattern": "(" } } }),
            json!([]),
            json!(null),
        ] {
            stands(world, GUESTS, "users", broken.clone());
            world.passes(Duration::from_secs(1));
            let before = world.snapshot();
            let new = json!({ "userGroup": "users", "email": "x@example.org" });
            world.post("/users/", new).await.refuses(500, "group-unusable");
            let rename = json!({ "$set": { "name": "A" } });
            world.patch(&path, rename).await.refuses(500, "group-unusable");
            assert_eq!(world.snapshot(), before, "{broken}");
            let told = world.get("/-/check-up").await.is(200).body["systems"]["groups"].clone();
            assert_eq!(told["status"], "KO");
            assert!(told["message"].as_str().unwrap().starts_with("users is unusable: /crudSchema"), "{told}");
        }
        // Blocking asks no schema.
        world.patch(&path, json!({ "$set": { "blocked": true } })).await.is(200);
        let boss = json!({ "userGroup": "administrators", "email": "boss@example.org" });
        world.post("/users/", boss).await.is(200);
    })
    .await;
}
