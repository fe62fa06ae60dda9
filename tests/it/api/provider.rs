//! Over a provider that makes the tokens itself.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use user_manager::{
    access::{Permissions, tokens::Grant},
    clock::{self, Clock},
    users::UserId,
};

use super::door::{Door, PASSWORD};
use crate::twins::{
    Twin,
    keycloak::{self, Keycloak, Person, REALM},
};

async fn open(twin: &Twin<Keycloak>) -> Door {
    Door::with(&keycloak::settings(twin.url().as_str())).await
}

async fn twin() -> Twin<Keycloak> {
    Twin::start(Keycloak::new(Clock::system())).await
}

fn asked_for_keys(twin: &Twin<Keycloak>) -> usize {
    twin.log().iter().filter(|line| line.ends_with("/certs")).count()
}

#[tokio::test]
async fn the_providers_own_token_opens_what_the_linked_user_may() {
    let twin = twin().await;
    let door = open(&twin).await;
    let payload = door.admin.token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!(claims["iss"], format!("{}realms/{REALM}", twin.url()), "the token is Keycloak's, as it came");
    assert_eq!(door.user(&door.admin.id).await.unwrap()["authUserId"], claims["sub"]);

    let path = format!("/users/{}", door.powerless.id);
    assert_eq!(door.send("GET", &path, Some(&door.admin.token), None).await.status, 200);
    assert_eq!(door.send("GET", &path, Some(&door.powerless.token), None).await.code(), "permission-required");
    assert_eq!(asked_for_keys(&twin), 1);
}

#[tokio::test]
async fn beside_the_providers_tokens_none_of_ours_counts() {
    let twin = twin().await;
    let door = open(&twin).await;
    let id = UserId::parse(&door.admin.id).unwrap();
    let subject = door.user(&door.admin.id).await.unwrap()["authUserId"].as_str().unwrap().to_owned();
    let at_ms = door.app.clock.now_ms();
    let grant = Grant {
        subject: &subject,
        session: "session-1",
        at_ms,
        ends_ms: at_ms + 600_000,
        id: clock::uuid(at_ms),
        user: &id,
        permissions: &Permissions::default(),
    };
    let ours = door.app.tokens.issue(&grant).unwrap();
    let answer = door.send("GET", "/operations/", Some(ours.token.expose_secret()), None).await;
    assert_eq!(answer.code(), "token-invalid");
}

#[tokio::test]
async fn a_blocked_or_deleted_person_is_out_although_the_token_still_holds() {
    let twin = twin().await;
    let door = open(&twin).await;
    let status = async |token: &str| door.send("GET", "/operations/", Some(token), None).await;
    assert_eq!(status(&door.powerless.token).await.status, 200);
    let path = format!("/users/{}", door.powerless.id);
    let block = json!({ "$set": { "blocked": true } });
    assert_eq!(door.send("PATCH", &path, Some(&door.admin.token), Some(&block)).await.status, 200);
    assert_eq!(status(&door.powerless.token).await.code(), "token-revoked");
    assert_eq!(door.log_in("mallory@example.org", PASSWORD).await.unwrap_err().code(), "login-refused");
    assert_eq!(door.send("DELETE", &path, Some(&door.admin.token), None).await.status, 204);
    assert_eq!(status(&door.powerless.token).await.code(), "token-revoked");
}

#[tokio::test]
async fn an_account_without_a_user_is_refused_like_a_wrong_password() {
    let twin = twin().await;
    let door = open(&twin).await;
    let stranger = Person {
        enabled: true,
        password: Some(PASSWORD.to_owned()),
        ..Person::named("stranger", "stranger@example.org")
    };
    twin.world().stands("00000000-0000-4000-8000-00000000ffff", stranger);
    let refused = door.log_in("stranger", PASSWORD).await.unwrap_err();
    let wrong = door.log_in("stranger", "wrong horse battery").await.unwrap_err();
    assert_eq!((refused.status, refused.code()), (wrong.status, wrong.code()));
    assert_eq!(refused.json()["message"], wrong.json()["message"]);
}

#[tokio::test]
async fn there_is_no_password_to_change_here() {
    let twin = twin().await;
    let door = open(&twin).await;
    for new in ["another horse battery", "short"] {
        let body = json!({ "currentPassword": PASSWORD, "newPassword": new });
        let answer = door.send("POST", "/users/me/change-password", Some(&door.admin.token), Some(&body)).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "route-not-found"));
    }
}

#[tokio::test]
async fn an_unknown_key_makes_us_ask_again_but_not_for_every_request() {
    let twin = twin().await;
    let door = open(&twin).await;
    assert_eq!(asked_for_keys(&twin), 1);
    let (_, rest) = door.admin.token.split_once('.').unwrap();
    let forged = |kid: usize| {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": format!("k{kid}") });
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
    };
    for kid in 0..10 {
        assert_eq!(door.send("GET", "/operations/", Some(&forged(kid)), None).await.code(), "token-invalid");
    }
    assert_eq!(asked_for_keys(&twin), 1, "asked for the login, and just now");
    door.time.advance(Duration::from_secs(5));
    for kid in 10..20 {
        assert_eq!(door.send("GET", "/operations/", Some(&forged(kid)), None).await.code(), "token-invalid");
    }
    assert_eq!(asked_for_keys(&twin), 2);
}

#[tokio::test]
async fn what_a_withdrawn_key_has_signed_is_believed_no_longer_than_the_keys_are() {
    let twin = twin().await;
    let door = open(&twin).await;
    assert_eq!(door.send("GET", "/operations/", Some(&door.admin.token), None).await.status, 200);
    twin.world().keys_withdrawn = true;
    door.time.advance(Duration::from_secs(200));
    assert_eq!(door.send("GET", "/operations/", Some(&door.admin.token), None).await.status, 200, "not asked yet");
    // Whoever comes with a new key makes us ask.
    let (_, rest) = door.admin.token.split_once('.').unwrap();
    let header = URL_SAFE_NO_PAD.encode(json!({ "alg": "RS256", "typ": "JWT", "kid": "new" }).to_string());
    door.send("GET", "/operations/", Some(&format!("{header}.{rest}")), None).await;
    assert_eq!(door.send("GET", "/operations/", Some(&door.admin.token), None).await.code(), "token-invalid");
}

#[tokio::test]
async fn a_token_of_the_provider_ends_with_its_time() {
    let twin = twin().await;
    let door = open(&twin).await;
    door.time.advance(Duration::from_secs(300));
    assert_eq!(door.send("GET", "/operations/", Some(&door.admin.token), None).await.status, 200, "clocks differ");
    door.time.advance(Duration::from_secs(31));
    assert_eq!(door.send("GET", "/operations/", Some(&door.admin.token), None).await.code(), "token-expired");
}

#[tokio::test]
async fn a_provider_that_is_away_is_told_in_the_one_sentence() {
    let twin = twin().await;
    let mut door = open(&twin).await;
    let url = twin.url();
    drop(twin);
    let refused = door.log_in("root@example.org", PASSWORD).await.unwrap_err();
    assert_eq!((refused.status, refused.code().as_str()), (500, "upstream-failed"));
    let told = refused.json()["message"].as_str().unwrap().to_owned();
    let template = "/realms/:realm/protocol/openid-connect/token";
    assert_eq!(told, format!("Error while logging in: Auth POST {template} could not be reached"));
    assert!(!told.contains(url.host_str().unwrap()));
    // The keys are known, so whoever is in stays in.
    let check = door.send("GET", "/-/check-up", Some(&door.admin.token), None).await;
    assert_eq!((check.status, &check.json()["systems"]["identity"]["status"]), (503, &json!("KO")));
    assert_eq!(check.json()["systems"]["store"]["status"], "OK");
    assert_eq!(door.send("GET", "/-/ready", None, None).await.status, 200, "this instance is as able as any other");
    door.stop().await;
}
