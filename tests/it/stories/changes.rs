//! Changes that are bound to what somebody has seen.

use serde_json::{Value, json};

use crate::worlds::{PASSWORD, Place, everywhere, within};

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

#[tokio::test]
async fn a_change_is_for_whom_its_query_means_in_whatever_state_that_names() {
    everywhere(async |world| {
        let id = world.user("ada@example.org").await;
        let path = format!("/users/{id}");
        let set = |name: &str| json!({ "$set": { "name": name } });
        world.patch(&format!("{path}?email=ada@example.org&_st=PUBLIC"), set("Ada")).await.is(200);
        let before = world.snapshot();
        for other in ["name=Eve", "_q=%7B%22name%22%3A%7B%22%24regex%22%3A%22%5EE%22%7D%7D", "_st=DRAFT,TRASH"] {
            world.patch(&format!("{path}?{other}"), set("Eve")).await.refuses(404, "user-not-found");
        }
        world.patch(&format!("{path}?noSuchField=1"), set("Eve")).await.refuses(400, "invalid-query");
        world.patch(&format!("{path}?_l=1"), set("Eve")).await.refuses(400, "invalid-parameter");
        world.patch(&format!("{path}?_q=%7B"), set("Eve")).await.refuses(400, "invalid-query");
        assert_eq!(world.snapshot(), before);

        world.post("/users/state", json!([{ "filter": { "_id": id }, "stateTo": "DRAFT" }])).await.is(200);
        world.patch(&path, set("Draft")).await.refuses(404, "user-not-found");
        let changed = world.patch(&format!("{path}?_st=DRAFT,TRASH"), set("Draft")).await.is(200);
        assert_eq!((changed.text("name"), changed.text("__STATE__")), ("Draft".to_owned(), "DRAFT".to_owned()));
        // Who stands there stays blocked, whatever is changed.
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
        let draft = format!("{path}?_st=DRAFT");
        world.patch(&draft, json!({ "$set": { "email": "countess@example.org" } })).await.is(200);
        world.nobody().logs_in("countess@example.org", PASSWORD).await.refuses(401, "login-refused");
        world.post("/users/state", json!([{ "filter": { "_id": id }, "stateTo": "PUBLIC" }])).await.is(200);
        world.nobody().logs_in("countess@example.org", PASSWORD).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn the_element_that_a_filter_means_is_replaced() {
    everywhere(async |world| {
        let path = format!("/users/{}", world.user("ada@example.org").await);
        for role in ["a", "b", "c"] {
            world.post("/roles/", json!({ "roleId": role, "permissions": [] })).await.is(200);
        }
        world.patch(&path, json!({ "$set": { "roles": ["a", "b"] } })).await.is(200);
        let replace = json!({ "$set": { "roles.$.replace": "c" } });
        let meaning =
            |filter: &str| format!("{path}?_q={}", filter.replace('"', "%22").replace('{', "%7B").replace('}', "%7D"));
        let changed = world.patch(&meaning(r#"{"roles":"b"}"#), replace.clone()).await.is(200);
        assert_eq!(changed.body["roles"], json!(["a", "c"]));
        let sorted = json!({ "$push": { "roles": { "$each": ["b"], "$sort": -1 } } });
        assert_eq!(world.patch(&path, sorted).await.is(200).body["roles"], json!(["c", "b", "a"]));

        let before = world.people();
        world.patch(&path, replace.clone()).await.refuses(400, "invalid-patch");
        world.patch(&meaning(r#"{"name":null}"#), replace.clone()).await.refuses(400, "invalid-patch");
        world.patch(&meaning(r#"{"roles":"nothing"}"#), replace).await.refuses(404, "user-not-found");
        let merged = json!({ "$set": { "roles.$.merge": { "a": 1 } } });
        world.patch(&meaning(r#"{"roles":"b"}"#), merged).await.refuses(400, "invalid-patch");
        let wrong = json!({ "$set": { "roles.$.replace": 7 } });
        world.patch(&meaning(r#"{"roles":"b"}"#), wrong).await.refuses(400, "validation-failed");
        world.settled().await;
        world.is_as(&before);
    })
    .await;
}
