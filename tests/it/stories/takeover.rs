//! Nobody acts on a person who may do more than he, nor frees himself.

use serde_json::json;

use crate::worlds::{Asker, People, World, everywhere};

fn own(asker: &Asker) -> String {
    format!("/users/{}", asker.id)
}

#[tokio::test]
async fn nobody_acts_on_a_person_above_him() {
    everywhere(async |world| {
        let clerk = world.caller(&["users:read", "users:write", "users:delete"]).await;
        let above = world.caller(&["groups:write"]).await;
        let below = world.caller(&["users:read"]).await;
        let before = world.snapshot();
        for target in [own(world.admin()), own(&above)] {
            clerk.get(&target).await.is(200);
            for change in [json!({ "$set": { "email": "mine@example.org" } }), json!({ "$set": { "blocked": true } })] {
                clerk.patch(&target, change).await.refuses(403, "person-above");
            }
            let reply = clerk.delete(&target).await.refuses(403, "person-above");
            assert_eq!(reply.header("x-operation-id"), None);
        }
        assert_eq!(world.snapshot(), before);
        clerk.patch(&own(&below), json!({ "$set": { "name": "Below" } })).await.is(200);
        clerk.delete(&own(&below)).await.is(204);
    })
    .await;
}

#[tokio::test]
async fn nobody_changes_what_is_protected_of_himself() {
    everywhere(async |world| {
        let clerk = world.caller(&["users:write"]).await;
        let before = world.snapshot();
        for (field, change) in [
            ("blocked", json!({ "$set": { "blocked": false } })),
            ("blocked", json!({ "$unset": { "blocked": true } })),
            ("userGroup", json!({ "$set": { "userGroup": "administrators", "name": "Boss" } })),
            ("roles", json!({ "$set": { "roles": ["boss"] } })),
        ] {
            let reply = clerk.patch(&own(&clerk), change).await.refuses(403, "own-record");
            assert_eq!(reply.text("field"), field);
        }
        assert_eq!(world.snapshot(), before);
        clerk.patch(&own(&clerk), json!({ "$set": { "name": "Clerk" } })).await.is(200);
        world.post("/roles/", json!({ "roleId": "boss", "permissions": [] })).await.is(200);
        world.patch(&own(world.admin()), json!({ "$set": { "roles": ["boss"] } })).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn each_route_opens_for_its_permission_alone() {
    everywhere(async |world: &World| {
        let path = format!("/users/{}", world.user("ada@example.org").await);
        let before = world.snapshot().people;
        let (reader, writer) = (world.caller(&["users:read"]).await, world.caller(&["users:write"]).await);
        let remover = world.caller(&["users:delete"]).await;
        let change = || json!({ "$set": { "name": "Ada" } });
        reader.get(&path).await.is(200);
        for (asker, needed) in [(&writer, "users:read"), (&remover, "users:read")] {
            let reply = asker.get(&path).await.refuses(403, "permission-required");
            let challenge = reply.header("www-authenticate").unwrap();
            assert!(challenge.ends_with(&format!("scope=\"{needed}\"")), "{challenge}");
        }
        for asker in [&reader, &remover] {
            asker.patch(&path, change()).await.refuses(403, "permission-required");
            asker.post("/users/", json!({ "userGroup": "users", "email": "x@example.org" })).await.is(403);
        }
        for asker in [&reader, &writer] {
            asker.delete(&path).await.refuses(403, "permission-required");
        }
        let ada = |people: &People| people.users[&path["/users/".len()..]].clone();
        assert_eq!(ada(&world.people()), ada(&before));
        writer.patch(&path, change()).await.is(200);
        remover.delete(&path).await.is(204);
    })
    .await;
}
