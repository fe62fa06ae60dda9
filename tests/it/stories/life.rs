//! From the making of a person to his end.

use serde_json::json;
use user_manager::users::{self, create::Draft};

use crate::worlds::{PASSWORD, Place, World, everywhere};

#[tokio::test]
async fn a_person_is_made_logs_in_moves_is_blocked_and_goes() {
    everywhere(async |world| {
        let before = world.people();
        let made =
            world.post("/users/", json!({ "userGroup": "users", "email": "Ada@Example.org", "password": PASSWORD }));
        let made = made.await.is(200);
        made.operation();
        let path = format!("/users/{}", made.id());
        let login = world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
        let ada = world.nobody().holding(&made.id(), &login.text("accessToken"));
        ada.get("/operations/").await.is(200);
        ada.get(&path).await.refuses(403, "permission-required");

        let change = json!({ "$set": { "email": "countess@example.org", "name": "Ada L." } });
        let changed = world.patch(&path, change).await.is(200);
        assert_eq!((changed.text("email"), changed.text("name")), ("countess@example.org".into(), "Ada L.".into()));
        assert_eq!(world.get(&path).await.is(200).body, changed.body);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
        world.nobody().logs_in("countess@example.org", PASSWORD).await.is(200);
        ada.get("/operations/").await.is(200);

        world.patch(&path, json!({ "$set": { "blocked": true } })).await.is(200);
        ada.get("/operations/").await.refuses(401, "token-revoked");
        world.nobody().logs_in("countess@example.org", PASSWORD).await.refuses(401, "login-refused");
        world.patch(&path, json!({ "$unset": { "blocked": true } })).await.is(200);
        if world.keycloak.is_none() {
            // What was given out before does not come back to life; a token of Keycloak's own ends by itself.
            ada.get("/operations/").await.refuses(401, "token-revoked");
        }
        let again = world.nobody().logs_in("countess@example.org", PASSWORD).await.is(200);
        let ada = ada.holding(&ada.id, &again.text("accessToken"));
        ada.get("/operations/").await.is(200);

        world.delete(&path).await.is(204);
        ada.get("/operations/").await.refuses(401, "token-revoked");
        world.get(&path).await.refuses(404, "user-not-found");
        world.nobody().logs_in("countess@example.org", PASSWORD).await.refuses(401, "login-refused");
        world.settled().await;
        world.is_as(&before);
        // Both names are free again.
        for email in ["ADA@example.org", "countess@example.org"] {
            world.post("/users/", json!({ "userGroup": "users", "email": email })).await.is(200);
        }
    })
    .await;
}

#[tokio::test]
async fn the_collections_may_be_called_otherwise() {
    for place in Place::CRUD {
        let settings = [("USERS_CRUD_ENDPOINT", "/v2/people"), ("UMS_CONFIG_CRUD_ENDPOINT", "/people-groups")];
        let world = &World::with(place, &settings).await;
        let before = world.people();
        let guests = json!({ "userGroup": "guests", "label": "Guests", "crudSchema": {} });
        let group = format!("/ums-config/{}", world.post("/ums-config/", guests).await.is(200).id());
        assert_eq!(world.get(&group).await.is(200).text("userGroup"), "guests");
        let ada = json!({ "userGroup": "guests", "email": "ada@example.org", "password": PASSWORD });
        let id = world.post("/users/", ada).await.is(200).id();
        let path = format!("/users/{id}");
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
        assert_eq!(world.get("/users/count?userGroup=guests").await.is(200).body, json!(1));
        let changed = world.patch(&path, json!({ "$set": { "email": "countess@example.org" } })).await.is(200);
        assert_eq!(world.get("/users/?userGroup=guests").await.is(200).body, json!([changed.body]));
        world.nobody().logs_in("countess@example.org", PASSWORD).await.is(200);

        let to = |state: &str| json!([{ "filter": { "userGroup": "guests" }, "stateTo": state }]);
        assert_eq!(world.post("/users/state", to("TRASH")).await.is(200).body, json!(1));
        world.nobody().logs_in("countess@example.org", PASSWORD).await.refuses(401, "login-refused");
        world.post(&format!("{path}/restore"), json!({})).await.is(204);
        assert_eq!(world.get(&path).await.is(200).text("email"), "countess@example.org");
        world.delete(&group).await.refuses(409, "group-in-use");
        world.delete(&path).await.is(204);
        world.delete(&group).await.is(204);
        let gone = json!({ "userGroup": "guests", "email": "eve@example.org" });
        world.post("/users/", gone).await.refuses(400, "group-unknown");
        world.settled().await;
        world.is_as(&before);
        let asked = world.store().log();
        let elsewhere =
            |line: &&String| [" /v2/people/", " /people-groups/", " /roles/"].iter().all(|path| !line.contains(path));
        assert_eq!(asked.iter().find(elsewhere), None);
    }
}

#[tokio::test]
async fn a_username_is_a_name_to_log_in_with_for_as_long_as_one_has_it() {
    everywhere(async |world| {
        let ada = json!({ "userGroup": "users", "email": "ada@example.org", "username": "ada", "password": PASSWORD });
        let path = format!("/users/{}", world.post("/users/", ada).await.is(200).id());
        world.nobody().logs_in("Ada", PASSWORD).await.is(200);
        world.patch(&path, json!({ "$set": { "username": "countess" } })).await.is(200);
        world.nobody().logs_in("ada", PASSWORD).await.refuses(401, "login-refused");
        world.nobody().logs_in("countess", PASSWORD).await.is(200);
        world.patch(&path, json!({ "$unset": { "username": true } })).await.is(200);
        world.nobody().logs_in("countess", PASSWORD).await.refuses(401, "login-refused");
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
        let other = json!({ "userGroup": "users", "email": "other@example.org", "username": "Countess" });
        world.post("/users/", other).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn whoever_is_made_blocked_logs_in_once_he_is_blocked_no_more() {
    everywhere(async |world| {
        let new = json!({ "userGroup": "users", "email": "ada@example.org", "password": PASSWORD, "blocked": true });
        let path = format!("/users/{}", world.post("/users/", new).await.is(200).id());
        let user = world.get(&path).await.is(200);
        assert_eq!(user.body["blocked"], json!(true));
        assert_eq!(world.people().identities[&user.text("authUserId")]["enabled"], json!(false));
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
        world.patch(&path, json!({ "$set": { "blocked": false } })).await.is(200);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn an_identity_that_is_kept_is_blocked_and_may_be_adopted_again() {
    for place in Place::ALL {
        let world = World::with(place, &[("AUTH_HARD_DELETE", "false")]).await;
        let path = format!("/users/{}", world.user("ada@example.org").await);
        let identity = world.get(&path).await.is(200).text("authUserId");
        let before = world.people();
        world.delete(&path).await.is(204);
        world.settled().await;
        let now = world.people();
        assert_eq!((now.users.len(), now.identities.len()), (before.users.len() - 1, before.identities.len()));
        assert_eq!(now.identities[&identity]["enabled"], json!(false));
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
        let new = json!({ "userGroup": "users", "email": "ada@example.org" });
        world.post("/users/", new).await.refuses(409, "name-taken");

        let fields = json!({ "userGroup": "users" }).as_object().unwrap().clone();
        let draft = Draft { fields, ..Draft::default() };
        users::adopt(&world.app, &world.inside(), identity, draft).await.unwrap();
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
        world.settled().await;
    }
}
