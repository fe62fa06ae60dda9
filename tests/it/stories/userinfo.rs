//! Who one is: `/userinfo`.

use reqwest::Method;
use serde_json::{Value, json};
use user_manager::access::userinfo;

use super::sessions::{Pair, logs_in};
use crate::worlds::{PASSWORD, Place, World};

/// In every place, with these settings.
async fn everywhere_with(settings: &[(&str, &str)], story: impl AsyncFn(&World, &Pair)) {
    for place in Place::ALL {
        let world = World::with(place, settings).await;
        let role = json!({ "roleId": "readers", "name": "Readers", "permissions": ["users:read"] });
        world.post("/roles/", role).await.is(200);
        let ada = json!({
            "userGroup": "users", "email": "ada@example.org", "username": "ada", "name": "Ada",
            "password": PASSWORD, "roles": ["readers"],
        });
        let id = world.post("/users/", ada).await.is(200).id();
        story(&world, &logs_in(&world, &id, "ada").await).await;
        world.settled().await;
    }
}

async fn told(world: &World, pair: &Pair) -> Value {
    let reply = pair.asker(world).get("/userinfo").await.is(200);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    // What the identity says is always told.
    let identity = world.get(&format!("/users/{}", pair.id)).await.is(200).text("authUserId");
    assert_eq!(reply.body["sub"], json!(identity));
    assert_eq!((&reply.body["email"], &reply.body["preferred_username"]), (&json!("ada@example.org"), &json!("ada")));
    reply.body
}

#[tokio::test]
async fn it_tells_the_identity_and_every_field_of_the_user() {
    everywhere_with(&[], async |world, pair| {
        let told = told(world, pair).await;
        assert_eq!((&told["_id"], &told["name"]), (&json!(pair.id), &json!("Ada")));
        assert_eq!(told.get("permissions"), None, "{told}");
    })
    .await;
}

#[tokio::test]
async fn it_tells_the_fields_that_are_named_and_permissions_only_then() {
    everywhere_with(&[("USERINFO_ADDITIONAL_PROPERTIES", "name, permissions")], async |world, pair| {
        let told = told(world, pair).await;
        assert_eq!((&told["name"], &told["permissions"]), (&json!("Ada"), &json!(["users:read"])));
        assert_eq!((told.get("_id"), told.get("userGroup")), (None, None), "{told}");
        world.patch(&format!("/users/{}", pair.id), json!({ "$set": { "roles": [] } })).await.is(200);
        assert_eq!(pair.asker(world).get("/userinfo").await.is(200).body["permissions"], json!([]));
    })
    .await;
    let world =
        World::with(Place::Remote, &[("USERINFO_ADDITIONAL_PROPERTIES", "permissions"), ("ROLES_CRUD_ENDPOINT", "")])
            .await;
    let pair = super::sessions::somebody(&world, "eve@example.org").await;
    let told = pair.asker(&world).get("/userinfo").await.is(200).body;
    assert_eq!(told.get("permissions"), None, "there is no catalogue: {told}");
}

#[tokio::test]
async fn it_tells_the_identity_alone_where_no_field_is_named() {
    everywhere_with(&[("USERINFO_ADDITIONAL_PROPERTIES", "")], async |world, pair| {
        let told = told(world, pair).await;
        let more = usize::from(world.keycloak.is_some());
        assert_eq!(told.as_object().unwrap().len(), 3 + more, "{told}");
    })
    .await;
}

#[tokio::test]
async fn another_claim_may_name_the_identity() {
    let world = World::with(Place::RemoteIdentities, &[("CUSTOM_USER_ID_KEY", "um_id")]).await;
    let pair = super::sessions::somebody(&world, "ada@example.org").await;
    // The twin has no such claim.
    pair.asker(&world).get("/userinfo").await.refuses(401, "not-logged");
}

#[tokio::test]
async fn whoever_has_no_identity_is_not_logged() {
    everywhere_with(&[], async |world, pair| {
        let error = userinfo::tell(&world.app, &world.inside(), None).await.unwrap_err();
        assert_eq!(error.message(), "Missing authUserId, user not logged");
        world.nobody().get("/userinfo").await.refuses(401, "token-required");
        let head = pair.asker(world).ask(Method::POST, "/userinfo", None).await;
        head.refuses(405, "method-not-allowed");
    })
    .await;
}

#[tokio::test]
async fn others_find_out_where_our_tokens_come_from_unless_they_are_another_providers() {
    for place in Place::ALL {
        let world = World::with(place, &[("PUBLIC_URL", "https://um.example.org"), ("SERVICE_PREFIX", "")]).await;
        let reply = world.nobody().get("/.well-known/openid-configuration").await;
        if world.keycloak.is_some() {
            reply.refuses(404, "route-not-found");
            continue;
        }
        let told = reply.is(200).body;
        assert_eq!(told["issuer"], "https://um.example.org");
        for (member, path) in [
            ("token_endpoint", "/oauth/token"),
            ("jwks_uri", "/.well-known/jwks.json"),
            ("userinfo_endpoint", "/userinfo"),
            ("revocation_endpoint", "/oauth/revoke"),
        ] {
            assert_eq!(told[member], json!(format!("https://um.example.org{path}")));
            let status = world.nobody().get(path).await.status;
            assert!([200, 401, 405].contains(&status), "{path} {status}");
        }
    }
}
