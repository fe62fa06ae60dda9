//! Changes that are bound to what somebody has seen.

use serde_json::{Value, json};

use crate::worlds::{Place, everywhere, within};

#[tokio::test]
async fn a_change_holds_only_for_what_its_author_has_seen() {
    everywhere(async |world| {
        let path = format!("/users/{}", world.user("ada@example.org").await);
        let set = |name: &str| json!({ "$set": { "name": name } });
        let seen = world.get(&path).await.is(200);
        let tag = format!("\"{}\"", seen.text("updatedAt"));
        // What goes through as it comes has no tag.
        if !Place::CRUD.contains(&world.place) {
            assert_eq!(seen.header("etag"), Some(tag.as_str()));
            world.admin().with("if-none-match", &tag).get(&path).await.is(304);
        }

        let holding = world.admin().with("if-match", &tag);
        let changed = holding.patch(&path, set("First")).await.is(200);
        let newer = changed.header("etag").unwrap().to_owned();
        assert_ne!(newer, tag);
        let before = world.snapshot();
        let reply = holding.patch(&path, set("Second")).await.refuses(412, "changed-meanwhile");
        assert_eq!(reply.header("x-operation-id"), None);
        holding.delete(&path).await.refuses(412, "changed-meanwhile");
        world.admin().with("if-match", &format!("W/{newer}")).delete(&path).await.refuses(412, "changed-meanwhile");
        assert_eq!(world.snapshot(), before);
        world.admin().with("if-none-match", &tag).get(&path).await.is(200);

        let tags = format!("{tag}, {newer}");
        world.admin().with("if-match", &tags).patch(&path, set("Third")).await.is(200);
        world.admin().with("if-match", "*").delete(&path).await.is(204);
        world.admin().with("if-match", "*").delete(&path).await.refuses(404, "user-not-found");
    })
    .await;
}

#[tokio::test]
async fn of_two_changes_bound_to_the_same_sight_one_holds() {
    everywhere(async |world| {
        let path = format!("/users/{}", world.user("ada@example.org").await);
        let tag = format!("\"{}\"", world.get(&path).await.is(200).text("updatedAt"));
        let holding = world.admin().with("if-match", &tag);
        let set = |name: &str| json!({ "$set": { "name": name } });
        let (one, other) = tokio::join!(holding.patch(&path, set("One")), holding.patch(&path, set("Other")));
        let (held, lost) = if one.status == 200 { (one, other) } else { (other, one) };
        lost.refuses(412, "changed-meanwhile");
        let now = world.get(&path).await.is(200);
        assert_eq!(now.body, held.is(200).body);
    })
    .await;
}

#[tokio::test]
async fn lists_grow_and_shrink_by_commands_and_the_answer_is_the_user_as_he_became() {
    everywhere(async |world| {
        let path = format!("/users/{}", world.user("ada@example.org").await);
        for role in ["reader", "a", "b", "c"] {
            world.post("/roles/", json!({ "roleId": role, "permissions": [] })).await.is(200);
        }
        let roles = async |patch: Value| {
            let changed = world.patch(&path, patch).await.is(200);
            assert_eq!(world.get(&path).await.is(200).body, changed.body);
            changed.body["roles"].clone()
        };
        assert_eq!(roles(json!({ "$push": { "roles": "reader" } })).await, json!(["reader"]));
        let each = json!({ "$each": ["a", "b"], "$position": 0 });
        assert_eq!(roles(json!({ "$push": { "roles": each } })).await, json!(["a", "b", "reader"]));
        let each = json!({ "$each": ["b", "c"] });
        assert_eq!(roles(json!({ "$addToSet": { "roles": each } })).await, json!(["a", "b", "reader", "c"]));
        assert_eq!(roles(json!({ "$pull": { "roles": { "$in": ["a", "c"] } } })).await, json!(["b", "reader"]));
        let both = json!({ "$pull": { "roles": "b" }, "$set": { "name": "Ada" }, "$unset": { "username": true } });
        assert_eq!(roles(both).await, json!(["reader"]));

        let before = world.people();
        for wrong in [
            json!({ "$push": { "name": "x" } }),
            json!({ "$inc": { "name": 1 } }),
            json!({ "$set": { "name.first": "x" } }),
            json!({ "$currentDate": { "name": true } }),
            json!({ "$set": { "roles": ["x"] }, "$push": { "roles": "y" } }),
            json!({ "$setOnInsert": { "name": "x" } }),
        ] {
            world.patch(&path, wrong).await.refuses(400, "invalid-patch");
        }
        world.patch(&path, json!({ "$push": { "roles": 7 } })).await.refuses(400, "validation-failed");
        world.patch(&path, json!({ "$push": { "authUserId": "x" } })).await.refuses(400, "not-settable");
        world.patch(&path, json!({ "$inc": { "__STATE__": 1 } })).await.refuses(400, "not-settable");
        world.is_as(&before);
    })
    .await;
}

#[tokio::test]
async fn a_path_leads_into_a_member_and_the_schema_judges_what_it_becomes() {
    within(&[Place::Embedded, Place::RemoteIdentities], async |world| {
        let path = format!("/users/{}", world.user("ada@example.org").await);
        let changed = world.patch(&path, json!({ "$set": { "address.city": "Rome", "address.country": "IT" } })).await;
        assert_eq!(changed.is(200).body["address"], json!({ "city": "Rome", "country": "IT" }));
        let changed = world.patch(&path, json!({ "$unset": { "address.country": true } })).await;
        assert_eq!(changed.is(200).body["address"], json!({ "city": "Rome" }));
        let refused = world.patch(&path, json!({ "$set": { "address.planet": "Mars" } })).await;
        refused.refuses(400, "validation-failed");
        let refused = world.patch(&path, json!({ "$set": { "address.country": "Italy" } })).await;
        let refused = refused.refuses(400, "validation-failed");
        assert_eq!(refused.body["errors"][0]["pointer"], "/address/country");
    })
    .await;
}
