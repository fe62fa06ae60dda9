//! Roles: what they give, who may give and write them, and who is left.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    twins::fault::{Fault, Lasts, Plan},
    worlds::{PASSWORD, People, Place, World, everywhere, within},
};

async fn role(world: &World, id: &str, permissions: &[&str]) -> String {
    let role = json!({ "roleId": id, "name": id, "permissions": permissions });
    format!("/roles/{}", world.post("/roles/", role).await.is(200).id())
}

fn person(email: &str, roles: &[&str]) -> Value {
    json!({ "userGroup": "users", "email": email, "roles": roles, "password": PASSWORD })
}

async fn asker(world: &World, email: &str, roles: &[&str]) -> crate::worlds::Asker {
    let id = world.post("/users/", person(email, roles)).await.is(200).id();
    let token = world.nobody().logs_in(email, PASSWORD).await.is(200).text("accessToken");
    world.nobody().holding(&id, &token)
}

#[tokio::test]
async fn what_a_role_gives_holds_as_long_as_it_gives_it() {
    everywhere(async |world| {
        let path = role(world, "readers", &["users:read"]).await;
        let reader = asker(world, "reader@example.org", &["readers"]).await;
        let target = format!("/users/{}", reader.id);
        reader.get(&target).await.is(200);
        world.patch(&path, json!({ "$set": { "permissions": ["x:y"] } })).await.is(200);
        reader.get(&target).await.refuses(403, "permission-required");
        world.patch(&path, json!({ "$push": { "permissions": "users:read" } })).await.is(200);
        reader.get(&target).await.is(200);
        world.patch(&target, json!({ "$set": { "roles": [] } })).await.is(200);
        reader.get(&target).await.refuses(403, "permission-required");
        let shown = world.get(&path).await.is(200);
        assert_eq!(shown.body["permissions"], json!(["x:y", "users:read"]));
        assert_eq!(world.get("/roles/count?permissions=x:y").await.is(200).body, json!(1));
        assert_eq!(world.get("/roles/count?permissions=z").await.is(200).body, json!(0));
        assert_eq!(world.get("/roles/count").await.is(200).body, json!(1));
        assert_eq!(world.get("/roles/").await.is(200).body, json!([shown.body]));
    })
    .await;
}

#[tokio::test]
async fn a_change_of_roles_that_fails_leaves_the_old_ones_and_what_they_give() {
    let failed = Fault::Status { status: 500, done: false, wait: None };
    let refused = Fault::Status { status: 403, done: false, wait: None };
    let set = json!({ "$set": { "roles": ["writers"], "email": "writer@example.org" } });
    everywhere(async |world| {
        role(world, "readers", &["users:read"]).await;
        role(world, "writers", &["users:write"]).await;
        let reader = asker(world, "reader@example.org", &["readers"]).await;
        let target = format!("/users/{}", reader.id);
        let before = world.people();
        for fault in [failed, refused] {
            if let Some(crud) = &world.crud {
                crud.plan(Plan::on("PATCH", "/users/", fault).lasting(Lasts::EachTime)).await;
                fails(world, &target, &set, &before).await;
            }
            if let Some(keycloak) = &world.keycloak {
                keycloak.plan(Plan::on("PUT", "/users/", fault).lasting(Lasts::EachTime)).await;
                fails(world, &target, &set, &before).await;
            }
            reader.get(&target).await.is(200);
            reader.patch(&target, json!({ "$set": { "name": "x" } })).await.refuses(403, "permission-required");
        }
    })
    .await;
}

/// The change is answered with a 500, and when the other systems are well again everything is as before.
async fn fails(world: &World, target: &str, change: &Value, before: &People) {
    world.patch(target, change.clone()).await.is(500);
    world.mend().await;
    world.settled().await;
    world.is_as(before);
}

#[tokio::test]
async fn what_somebody_else_writes_of_a_role_holds_within_a_second() {
    within(&Place::CRUD, async |world| {
        let role = |gives: &str| json!({ "roleId": "readers", "permissions": [gives] });
        world.store().world().roles().put("5f0c0000000000000000000b", "PUBLIC", role("users:read"));
        let reader = asker(world, "reader@example.org", &["readers"]).await;
        let target = format!("/users/{}", reader.id);
        reader.get(&target).await.is(200);
        world.store().world().roles().put("5f0c0000000000000000000b", "PUBLIC", role("x:y"));
        world.passes(Duration::from_secs(1));
        reader.get(&target).await.refuses(403, "permission-required");
        world.store().world().roles().put("5f0c0000000000000000000b", "TRASH", role("users:read"));
        world.passes(Duration::from_secs(1));
        reader.get(&target).await.refuses(403, "permission-required");
    })
    .await;
}

#[tokio::test]
async fn a_role_that_is_not_in_the_catalogue_is_not_given() {
    everywhere(async |world| {
        let ada = format!("/users/{}", world.user("ada@example.org").await);
        let before = world.people();
        let reply = world.post("/users/", person("x@example.org", &["nobody"])).await.refuses(400, "role-unknown");
        assert_eq!(reply.text("field"), "roles");
        for change in [
            json!({ "$set": { "roles": ["nobody"] } }),
            json!({ "$push": { "roles": "nobody" } }),
            json!({ "$addToSet": { "roles": { "$each": ["nobody"] } } }),
        ] {
            let error = world.patch(&ada, change.clone()).await;
            assert_eq!((error.status, error.code()), (400, "role-unknown"), "{change}: {}", error.body);
        }
        world.is_as(&before);
    })
    .await;
}

#[tokio::test]
async fn without_a_catalogue_a_role_is_any_text_and_gives_nothing() {
    for place in Place::CRUD {
        let world = World::with(place, &[("ROLES_CRUD_ENDPOINT", "")]).await;
        world.get("/roles/").await.refuses(404, "role-not-found");
        world.post("/roles/", json!({ "roleId": "a", "permissions": [] })).await.refuses(404, "role-not-found");
        let id = world.post("/users/", person("a@example.org", &["users:admin", "any"])).await.is(200).id();
        let token = world.nobody().logs_in("a@example.org", PASSWORD).await.is(200).text("accessToken");
        let somebody = world.nobody().holding(&id, &token);
        somebody.get(&format!("/users/{id}")).await.refuses(403, "permission-required");
        world.settled().await;
    }
}

#[tokio::test]
async fn nobody_gives_or_writes_a_role_above_him() {
    everywhere(async |world| {
        let boss = role(world, "boss", &["users:admin"]).await;
        let low = role(world, "low", &["users:read"]).await;
        let clerk = world.caller(&["users:read", "users:write", "roles:write"]).await;
        let ada = format!("/users/{}", world.user("ada@example.org").await);
        let before = world.people();
        let give = |role: &str| json!({ "$set": { "roles": [role] } });
        clerk.post("/users/", person("x@example.org", &["boss"])).await.refuses(403, "role-above");
        clerk.patch(&ada, give("boss")).await.refuses(403, "role-above");
        let new = json!({ "roleId": "mine", "permissions": ["users:delete"] });
        clerk.post("/roles/", new).await.refuses(403, "role-above");
        for change in [
            json!({ "$set": { "permissions": ["users:read", "groups:write"] } }),
            json!({ "$addToSet": { "permissions": "users:admin" } }),
        ] {
            clerk.patch(&low, change).await.refuses(403, "role-above");
        }
        clerk.patch(&boss, json!({ "$set": { "permissions": [] } })).await.refuses(403, "role-above");
        clerk.patch(&boss, json!({ "$set": { "name": "x" } })).await.refuses(403, "role-above");
        clerk.delete(&boss).await.refuses(403, "role-above");
        world.is_as(&before);
        clerk.patch(&ada, give("low")).await.is(200);
        clerk.patch(&low, json!({ "$set": { "permissions": ["users:write"] } })).await.is(200);
        let own = json!({ "roleId": "mine", "permissions": ["users:read"] });
        let own = clerk.post("/roles/", own).await.is(200).id();
        clerk.delete(&format!("/roles/{own}")).await.is(204);
    })
    .await;
}

#[tokio::test]
async fn nobody_acts_on_a_person_whose_roles_give_more() {
    everywhere(async |world| {
        role(world, "boss", &["groups:write"]).await;
        let above = format!("/users/{}", asker(world, "boss@example.org", &["boss"]).await.id);
        let clerk = world.caller(&["users:read", "users:write", "users:delete"]).await;
        let before = world.people();
        clerk.patch(&above, json!({ "$set": { "name": "Mine" } })).await.refuses(403, "person-above");
        clerk.patch(&above, json!({ "$set": { "roles": [] } })).await.refuses(403, "person-above");
        clerk.delete(&above).await.refuses(403, "person-above");
        world.is_as(&before);
    })
    .await;
}

#[tokio::test]
async fn a_role_in_use_stays_and_one_name_is_one_role() {
    everywhere(async |world| {
        let path = role(world, "readers", &["users:read"]).await;
        let twice = json!({ "roleId": "readers", "permissions": [] });
        let reply = world.post("/roles/", twice).await.refuses(409, "role-exists");
        assert_eq!(reply.text("field"), "roleId");
        let reader = format!("/users/{}", asker(world, "reader@example.org", &["readers"]).await.id);
        let reply = world.delete(&path).await.refuses(409, "role-in-use");
        assert!(reply.message().contains('1'), "{}", reply.message());
        world.patch(&reader, json!({ "$unset": { "roles": true } })).await.is(200);
        world.delete(&path).await.is(204);
        world.get(&path).await.refuses(404, "role-not-found");
        role(world, "readers", &[]).await;
    })
    .await;
}

#[tokio::test]
async fn somebody_who_may_do_everything_is_always_left_whatever_becomes_of_roles() {
    everywhere(async |world| {
        let boss = role(world, "boss", &["users:admin"]).await;
        let other = asker(world, "boss@example.org", &["boss"]).await;
        let theirs = format!("/users/{}", other.id);
        // From here on the role is all that anybody has.
        other.delete(&format!("/users/{}", world.admin().id)).await.is(204);
        let before = world.people();
        for change in
            [json!({ "$set": { "permissions": ["users:read"] } }), json!({ "$pull": { "permissions": "users:admin" } })]
        {
            other.patch(&boss, change).await.refuses(409, "last-admin");
        }
        other.delete(&boss).await.refuses(409, "last-admin");
        for change in [
            json!({ "$set": { "roles": [] } }),
            json!({ "$unset": { "roles": true } }),
            json!({ "$set": { "blocked": true } }),
        ] {
            other.patch(&theirs, change).await.refuses(409, "last-admin");
        }
        other.delete(&theirs).await.refuses(409, "last-admin");
        world.settled().await;
        world.is_as(&before);
        other.patch(&boss, json!({ "$set": { "name": "Boss" } })).await.is(200);
        other.post("/users/", person("second@example.org", &["boss"])).await.is(200);
        other.patch(&theirs, json!({ "$set": { "roles": [] } })).await.is(200);
        other.get(&theirs).await.refuses(403, "permission-required");
    })
    .await;
}
