//! What is written of groups, by whom, and what it means at once.

use serde_json::{Value, json};

use crate::worlds::{PASSWORD, World, everywhere};

pub fn guests(schema: Value) -> Value {
    json!({ "userGroup": "guests", "label": "Guests", "crudSchema": schema })
}

fn named() -> Value {
    json!({ "type": "object", "properties": { "name": { "type": "string", "maxLength": 8 } } })
}

fn guest(email: &str, name: &str) -> Value {
    json!({ "userGroup": "guests", "email": email, "name": name })
}

#[tokio::test]
async fn a_group_is_made_used_changed_and_removed() {
    everywhere(async |world| {
        world.post("/users/", guest("a@example.org", "Ann")).await.refuses(400, "group-unknown");
        let made = world.post("/ums-config/", guests(named())).await.is(200);
        let path = format!("/ums-config/{}", made.id());
        let shown = world.operation(&made.operation()).await;
        assert_eq!((shown.text("kind").as_str(), shown.text("state").as_str()), ("create-group", "done"));
        let group = world.get(&path).await.is(200);
        assert_eq!(group.body["crudSchema"], named());
        assert_eq!(group.text("label"), "Guests");
        assert_eq!(group.header("etag").unwrap(), format!("\"{}\"", group.text("updatedAt")));
        world.admin().with("if-none-match", group.header("etag").unwrap()).get(&path).await.is(304);

        // What we write ourselves holds at once.
        let ann = world.post("/users/", guest("a@example.org", "Ann")).await.is(200).id();
        world.post("/users/", guest("b@example.org", "Bartholomew")).await.refuses(400, "validation-failed");
        let tag = group.header("etag").unwrap().to_owned();
        let wider = json!({ "$set": { "crudSchema": { "properties": { "name": { "type": "string" } } } } });
        let changed = world.admin().with("if-match", &tag).patch(&path, wider.clone()).await.is(200);
        assert_eq!(changed.text("userGroup"), "guests");
        world.admin().with("if-match", &tag).patch(&path, wider).await.refuses(412, "changed-meanwhile");
        let bart = world.post("/users/", guest("b@example.org", "Bartholomew")).await.is(200).id();

        let refused = world.delete(&path).await.refuses(409, "group-in-use");
        assert!(refused.message().contains('2'), "{}", refused.message());
        for id in [ann, bart] {
            world.delete(&format!("/users/{id}")).await.is(204);
        }
        world.admin().with("if-match", &tag).delete(&path).await.refuses(412, "changed-meanwhile");
        world.delete(&path).await.is(204);
        world.get(&path).await.refuses(404, "group-not-found");
        world.delete(&path).await.refuses(404, "group-not-found");
        world.post("/users/", guest("c@example.org", "Cy")).await.refuses(400, "group-unknown");
        world.post("/ums-config/", guests(named())).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn groups_are_listed_by_page_and_counted() {
    everywhere(async |world| {
        let before = world.get("/ums-config/count").await.is(200).body.as_u64().unwrap();
        for n in 0..30 {
            let group = json!({ "userGroup": format!("g{n:02}"), "label": "G", "crudSchema": {} });
            world.post("/ums-config/", group).await.is(200);
        }
        assert_eq!(world.get("/ums-config/count").await.is(200).body, json!(before + 30));
        assert_eq!(world.get("/ums-config/").await.is(200).body.as_array().unwrap().len(), 25);
        let list = world.get("/ums-config/?_l=200").await.is(200);
        assert_eq!(list.body.as_array().unwrap().len() as u64, before + 30);
        let skipped = world.get("/ums-config/?_l=3&_sk=2").await.is(200);
        assert_eq!(skipped.body.as_array().unwrap()[..], list.body.as_array().unwrap()[2..5]);
        let named = async |query: &str| {
            let found = world.get(&format!("/ums-config/?{query}")).await.is(200).body;
            let names = found.as_array().unwrap().iter().map(|group| group["userGroup"].as_str().unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(named("userGroup=g07").await, ["g07"]);
        let q = "_q=%7B%22userGroup%22%3A%7B%22%24in%22%3A%5B%22g03%22%2C%22g01%22%5D%7D%7D";
        assert_eq!(named(&format!("{q}&_s=-userGroup")).await, ["g03", "g01"]);
        assert_eq!(world.get(&format!("/ums-config/count?{q}")).await.is(200).body, json!(2));
        let cut = world.get("/ums-config/?userGroup=g07&_p=label").await.is(200).body;
        let members: Vec<_> = cut[0].as_object().unwrap().keys().collect();
        assert_eq!(members, ["_id", "label"]);
        assert_eq!(named("_st=TRASH&label=G").await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn no_two_groups_have_one_name_and_no_group_gives_a_member_another_type() {
    everywhere(async |world| {
        world.post("/ums-config/", guests(named())).await.is(200);
        let before = world.snapshot();
        let again = world.post("/ums-config/", guests(json!({}))).await.refuses(409, "group-exists");
        assert_eq!(again.text("field"), "userGroup");
        let other = |schema: Value| json!({ "userGroup": "others", "label": "O", "crudSchema": schema });
        let number = json!({ "properties": { "name": { "type": "number" } } });
        let refused = world.post("/ums-config/", other(number)).await.refuses(409, "field-type-conflict");
        assert_eq!(refused.text("field"), "name");
        let typed = ["administrators", "users", "guests"];
        assert!(typed.iter().any(|group| refused.message().contains(group)), "{}", refused.message());
        assert_eq!(world.snapshot().people, before.people);
        let nullable = json!({ "properties": { "name": { "type": ["string", "null"] }, "city": {} } });
        let others = world.post("/ums-config/", other(nullable)).await.is(200).id();
        let path = format!("/ums-config/{others}");
        let list = json!({ "$set": { "crudSchema.properties.name.type": "array" } });
        world.patch(&path, list).await.refuses(409, "field-type-conflict");
    })
    .await;
}

#[tokio::test]
async fn of_two_groups_at_once_under_one_name_one_is_made() {
    everywhere(async |world| {
        let (one, two) =
            tokio::join!(world.post("/ums-config/", guests(named())), world.post("/ums-config/", guests(json!({}))));
        let mut told = [one.status, two.status];
        told.sort_unstable();
        assert_eq!(told, [200, 409], "{} {}", one.body, two.body);
    })
    .await;
}

#[tokio::test]
async fn a_tightened_schema_keeps_nobody_unblocked_and_nobody_from_going() {
    everywhere(async |world| {
        let group = world.post("/ums-config/", guests(named())).await.is(200).id();
        let ann = format!("/users/{}", world.post("/users/", guest("a@example.org", "Ann")).await.is(200).id());
        let tight = json!({ "$set": { "crudSchema": { "required": ["username"], "properties": { "name": { "maxLength": 1 } } } } });
        world.patch(&format!("/ums-config/{group}"), tight).await.is(200);
        let reply = world.patch(&ann, json!({ "$set": { "email": "b@example.org" } })).await;
        assert_eq!(reply.refuses(400, "validation-failed").body["errors"].as_array().unwrap().len(), 2);
        world.patch(&ann, json!({ "$set": { "blocked": true } })).await.is(200);
        world.patch(&ann, json!({ "$set": { "userGroup": "users" } })).await.is(200);
        world.patch(&ann, json!({ "$set": { "userGroup": "guests" } })).await.refuses(400, "validation-failed");
        world.delete(&ann).await.is(204);
    })
    .await;
}

#[tokio::test]
async fn a_change_is_held_against_the_group_that_it_leads_to() {
    everywhere(async |world| {
        world.post("/ums-config/", guests(named())).await.is(200);
        let ann = format!("/users/{}", world.post("/users/", guest("a@example.org", "Ann")).await.is(200).id());
        let before = world.people();
        let long = "Anna Maria Sofia";
        for (set, code) in [
            (json!({ "name": long }), "validation-failed"),
            (json!({ "userGroup": "gods" }), "group-unknown"),
            (json!({ "userGroup": "gods", "name": long }), "group-unknown"),
            (json!({ "userGroup": "guests", "name": long }), "validation-failed"),
            (json!({ "userGroup": 7 }), "validation-failed"),
        ] {
            world.patch(&ann, json!({ "$set": set })).await.refuses(400, code);
        }
        world.patch(&ann, json!({ "$unset": { "userGroup": true } })).await.refuses(400, "validation-failed");
        world.is_as(&before);
        world.patch(&ann, json!({ "$set": { "userGroup": "users", "name": long } })).await.is(200);
        world.patch(&ann, json!({ "$set": { "userGroup": "guests" } })).await.refuses(400, "validation-failed");
    })
    .await;
}

#[tokio::test]
async fn a_schema_is_tried_on_the_users_who_are_there_before_it_holds() {
    everywhere(async |world| {
        let group = world.post("/ums-config/", guests(named())).await.is(200).id();
        let path = format!("/ums-config/{group}/check");
        for n in 0..25 {
            world.post("/users/", guest(&format!("g{n}@example.org"), "Anna")).await.is(200);
        }
        world.post("/users/", guest("bo@example.org", "Bo")).await.is(200);
        let before = world.snapshot();
        let tight = json!({ "crudSchema": { "properties": { "name": { "type": "string", "maxLength": 3 } } } });
        let told = world.post(&path, tight.clone()).await.is(200).body;
        assert_eq!((&told["checked"], &told["broken"]), (&json!(26), &json!(25)));
        assert_eq!(told["users"].as_array().unwrap().len(), 20);
        let error = &told["users"][0]["errors"][0];
        assert_eq!((&error["pointer"], &error["keyword"]), (&json!("/name"), &json!("maxLength")));
        assert!(!told.to_string().contains("Anna"), "{told}");
        let fits = world.post(&path, json!({ "crudSchema": named() })).await.is(200).body;
        assert_eq!(fits, json!({ "checked": 26, "broken": 0, "users": [] }));
        world.post(&path, json!({ "crudSchema": { "type": 7 } })).await.refuses(400, "invalid-schema");
        let half = world.caller(&["groups:read"]).await;
        half.post(&path, tight.clone()).await.refuses(403, "permission-required");
        let whole = world.caller(&["groups:read", "users:read"]).await;
        whole.post(&path, tight).await.is(200);
        assert_eq!(world.people().documents, before.people.documents);
    })
    .await;
}

#[tokio::test]
async fn the_groups_that_come_with_the_program_can_be_changed_and_removed_where_we_keep_them() {
    let world = World::at(crate::worlds::Place::Embedded).await;
    let list = world.get("/ums-config/").await.is(200).body;
    let users = list.as_array().unwrap().iter().find(|group| group["userGroup"] == "users").unwrap();
    let path = format!("/ums-config/{}", users["_id"].as_str().unwrap());
    world.patch(&path, json!({ "$set": { "label": "Persons" } })).await.is(200);
    world.delete(&path).await.is(204);
    let new = json!({ "userGroup": "users", "email": "a@example.org" });
    world.post("/users/", new).await.refuses(400, "group-unknown");
    world.settled().await;
}

#[tokio::test]
async fn the_users_of_a_group_without_identities_stand_in_the_store_only() {
    everywhere(async |world| {
        world.post("/roles/", json!({ "roleId": "reader", "permissions": [] })).await.is(200);
        let group =
            json!({ "userGroup": "guests", "label": "Guests", "crudSchema": {}, "authUserCreationDisabled": true });
        let group = format!("/ums-config/{}", world.post("/ums-config/", group).await.is(200).id());
        let identities = world.people().identities.len();
        let guest =
            |email: &str| json!({ "userGroup": "guests", "email": email, "roles": ["reader"], "blocked": true });
        for path in ["/users/", "/users/?postponeAuthUserCreation=true"] {
            let email = format!("guest-{}@example.org", path.len());
            let id = world.post(path, guest(&email)).await.is(200).id();
            let user = world.get(&format!("/users/{id}")).await.is(200).body;
            assert_eq!((&user["authUserId"], &user["roles"]), (&Value::Null, &Value::Null), "{user}");
            world.post("/users/", guest(&email)).await.refuses(409, "name-taken");
            world.post("/users/register", json!({ "_id": id })).await.refuses(400, "group-without-identities");
            let roles = json!({ "$set": { "roles": ["reader"] } });
            world.patch(&format!("/users/{id}"), roles).await.refuses(400, "group-without-identities");
        }
        let mut with_password = guest("other@example.org");
        with_password["password"] = json!(PASSWORD);
        world.post("/users/", with_password).await.refuses(400, "password-without-identity");
        let identity = world.lonely("lonely@example.org").await;
        let linked = json!({ "userGroup": "guests", "authUserId": identity });
        world.post("/users/with-id", linked).await.refuses(400, "group-without-identities");
        assert_eq!(world.people().identities.len(), identities + 1);

        // From then on they may have one.
        world.patch(&group, json!({ "$set": { "authUserCreationDisabled": false } })).await.is(200);
        let id = world.post("/users/", guest("late@example.org")).await.is(200).id();
        let user = world.get(&format!("/users/{id}")).await.is(200).body;
        assert_eq!((&user["authUserId"].is_string(), &user["roles"]), (&true, &json!(["reader"])));
        world.settled().await;
    })
    .await;
}
