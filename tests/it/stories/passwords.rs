//! Passwords: who sets them, and what they must be.

use serde_json::json;

use crate::worlds::{PASSWORD, Place, World, everywhere, within};

const NEW: &str = "wrong donkey capacitor";

#[tokio::test]
async fn one_changes_ones_own_password_where_we_keep_it() {
    everywhere(async |world| {
        let ada = world.caller(&[]).await;
        let email = world.get(&format!("/users/{}", ada.id)).await.is(200).text("email");
        let change = |current: &str| json!({ "currentPassword": current, "newPassword": NEW });
        let path = "/users/me/change-password";
        if world.keycloak.is_some() {
            ada.post(path, change(PASSWORD)).await.refuses(404, "route-not-found");
            return;
        }
        ada.post(path, change("something else")).await.refuses(403, "password-wrong");
        ada.post(path, json!({ "currentPassword": PASSWORD, "newPassword": "short" }))
            .await
            .refuses(400, "password-refused");
        ada.post(path, change(PASSWORD)).await.is(204);
        ada.get("/operations/").await.refuses(401, "token-revoked");
        world.nobody().logs_in(&email, PASSWORD).await.refuses(401, "login-refused");
        let again = world.nobody().logs_in(&email, NEW).await.is(200).text("accessToken");
        ada.holding(&ada.id, &again).get("/operations/").await.is(200);
    })
    .await;
}

#[tokio::test]
async fn a_password_that_is_refused_leaves_nothing_behind() {
    everywhere(async |world| {
        let before = world.snapshot();
        let new = json!({ "userGroup": "users", "email": "ada@example.org", "password": "short" });
        let reply = world.post("/users/", new).await.refuses(400, "password-refused");
        assert_eq!(reply.text("field"), "password");
        assert_eq!(world.snapshot(), before);
    })
    .await;
    within(&Place::KEYCLOAK, async |world| {
        let before = world.people();
        world.provider().world().min_password = 40;
        let new = json!({ "userGroup": "users", "email": "ada@example.org", "password": PASSWORD });
        let reply = world.post("/users/", new).await.refuses(400, "password-refused");
        assert!(!reply.body.to_string().contains(PASSWORD), "{}", reply.body);
        world.settled().await;
        world.is_as(&before);
    })
    .await;
}

#[tokio::test]
async fn a_group_says_what_the_passwords_of_its_users_must_be_where_we_keep_them() {
    let world = World::at(Place::Embedded).await;
    let group = json!({
        "userGroup": "vaults", "label": "Vaults", "crudSchema": {}, "passwordPolicy": { "minLength": 16, "refuseCommon": false }
    });
    let path = format!("/ums-config/{}", world.post("/ums-config/", group).await.is(200).id());
    let person =
        |group: &str, email: &str, password: &str| json!({ "userGroup": group, "email": email, "password": password });
    let before = world.people();
    for (group, password) in [("vaults", "fifteen letters"), ("users", "P4ssword2031!"), ("users", "1234567890")] {
        let refused =
            world.post("/users/", person(group, "x@example.org", password)).await.refuses(400, "password-refused");
        assert!(!refused.body.to_string().contains(password), "{}", refused.body);
    }
    world.is_as(&before);
    world.post("/users/", person("vaults", "a@example.org", "passwordpassword")).await.is(200);
    let token = world.nobody().logs_in("a@example.org", "passwordpassword").await.is(200).text("accessToken");
    let own = world.nobody().holding("", &token);
    let change = |new: &str| json!({ "currentPassword": "passwordpassword", "newPassword": new });
    own.post("/users/me/change-password", change("fifteen letters")).await.refuses(400, "password-refused");
    world.patch(&path, json!({ "$set": { "passwordPolicy": { "minLength": 8 } } })).await.is(200);
    own.post("/users/me/change-password", change("password99")).await.refuses(400, "password-refused");
    let wrong = json!({ "currentPassword": "passwordpasswort", "newPassword": "fifteen letters" });
    own.post("/users/me/change-password", wrong).await.refuses(403, "password-wrong");
    own.post("/users/me/change-password", change("fifteen letters")).await.is(204);
    // Tried and refused, tried and done.
    let told = world.get("/events/?action=change-password").await.is(200);
    let told: Vec<_> = told.body.as_array().unwrap().iter().map(|event| event["outcome"].clone()).collect();
    assert_eq!(told, ["begun", "refused", "begun", "done"]);
    world.settled().await;
}
