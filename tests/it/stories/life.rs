//! From the making of a person to his end.

use serde_json::json;

use crate::worlds::{PASSWORD, everywhere};

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
