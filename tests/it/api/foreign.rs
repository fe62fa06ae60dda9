//! Tokens of issuers that the settings trust.

use std::time::Duration;

use serde_json::{Value, json};

use super::door::{Door, PASSWORD, Somebody};
use crate::twins::{
    Twin,
    issuer::Issuer,
    keycloak::{self, Keycloak},
};
use user_manager::clock::Clock;

const NAME: &str = "https://id.example.org/";

struct World {
    issuer: Twin<Issuer>,
    door: Door,
}

impl World {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let issuer = Twin::start(Issuer::new()).await;
        let trusted = json!([{
            "issuer": NAME, "jwks": issuer.url().join("/oauth/keys").unwrap(), "audience": "users",
            "algorithms": ["ES256", "RS256"], "identityClaim": "account",
        }]);
        let trusted = trusted.to_string();
        let mut all = vec![("TOKEN_ISSUERS", trusted.as_str())];
        all.extend(settings);
        Self { door: Door::with(&all).await, issuer }
    }

    async fn identity(&self, of: &Somebody) -> String {
        self.door.user(&of.id).await.unwrap()["authUserId"].as_str().unwrap().to_owned()
    }

    /// Of a token that is good.
    async fn claims(&self, of: &Somebody) -> Value {
        let now = self.door.app.clock.now_ms() / 1000;
        json!({
            "iss": NAME, "aud": ["other", "users"], "sub": "somebody there", "account": self.identity(of).await,
            "exp": now + 300, "iat": now, "sid": "s1", "jti": "t1",
        })
    }

    async fn token(&self, of: &Somebody) -> String {
        let claims = self.claims(of).await;
        self.issuer.world().token(&json!({ "typ": "at+jwt" }), &claims)
    }

    /// Status and code of a request that asks for `users:read`.
    async fn reads(&self, token: &str) -> (u16, String) {
        let path = format!("/users/{}", self.door.powerless.id);
        let answer = self.door.send("GET", &path, Some(token), None).await;
        let code = if answer.status == 200 { String::new() } else { answer.code() };
        (answer.status, code)
    }

    async fn is_refused(&self, token: &str, code: &str, what: &str) {
        assert_eq!(self.reads(token).await, (401, code.to_owned()), "{what}");
    }

    async fn patches(&self, of: &Somebody, change: Value) {
        let (path, token) = (format!("/users/{}", of.id), Some(self.door.admin.token.as_str()));
        assert_eq!(self.door.send("PATCH", &path, token, Some(&change)).await.status, 200);
    }
}

#[tokio::test]
async fn a_token_of_a_trusted_issuer_opens_what_its_person_may() {
    let world = World::start(&[]).await;
    let (admin, powerless) = (world.door.admin.clone(), world.door.powerless.clone());
    assert_eq!(world.reads(&world.token(&admin).await).await.0, 200);
    let lacks = world.reads(&world.token(&powerless).await).await;
    assert_eq!(lacks, (403, "permission-required".to_owned()));
    assert_eq!(world.reads(&admin.token).await.0, 200, "ours counts beside it");
    assert_eq!(world.issuer.log().len(), 1, "its keys were asked for once: {:?}", world.issuer.log());

    let told = world.door.send("GET", "/userinfo", Some(&world.token(&powerless).await), None).await;
    assert_eq!((told.status, &told.json()["email"]), (200, &json!("mallory@example.org")));
}

#[tokio::test]
async fn every_other_token_is_refused_alike() {
    let world = World::start(&[]).await;
    let admin = world.door.admin.clone();
    let good = world.claims(&admin).await;
    let now = good["iat"].as_i64().unwrap();
    let with = |member: &str, value: Value| {
        let mut claims = good.clone();
        claims[member] = value;
        claims
    };
    let signed = |header: Value, claims: &Value| world.issuer.world().token(&header, claims);
    assert_eq!(world.reads(&signed(json!({}), &good)).await.0, 200);

    for (what, claims) in [
        ("another issuer", with("iss", json!("https://id.example.org"))),
        ("our own name", with("iss", json!("https://um.example.org"))),
        ("another audience", with("aud", json!("other"))),
        ("made for our client only", {
            let mut claims = with("aud", json!("other"));
            claims["azp"] = json!("users");
            claims
        }),
        ("an ID token", with("typ", json!("ID"))),
        ("nobody", with("account", json!(null))),
        ("a number for a name", with("account", json!(7))),
        ("no end", with("exp", json!(null))),
        ("an end in words", with("exp", json!("tomorrow"))),
        ("a beginning in words", with("nbf", json!("now"))),
        ("not yet good", with("nbf", json!(now + 60))),
    ] {
        world.is_refused(&signed(json!({ "typ": "JWT" }), &claims), "token-invalid", what).await;
    }
    for (what, header) in [
        ("a logout token", json!({ "typ": "logout+jwt" })),
        ("a security event", json!({ "typ": "secevent+jwt" })),
        ("bound to a key of its holder", json!({ "typ": "dpop+jwt" })),
    ] {
        world.is_refused(&signed(header, &good), "token-invalid", what).await;
    }
    for algorithm in ["none", "HS256", "RS256"] {
        let forged = world.issuer.world().forged(algorithm, &good);
        world.is_refused(&forged, "token-invalid", algorithm).await;
    }
    let stranger = Issuer::new().token(&json!({}), &good);
    world.is_refused(&stranger, "token-invalid", "another key of that name").await;
    world.is_refused(&signed(json!({}), &with("account", json!("nobody"))), "token-revoked", "no person").await;
    world.is_refused(&signed(json!({}), &with("exp", json!(now - 31))), "token-expired", "over").await;
    assert_eq!(world.reads(&signed(json!({}), &with("exp", json!(now - 20)))).await.0, 200, "clocks differ");
}

#[tokio::test]
async fn where_the_settings_say_so_the_token_says_what_its_holder_may() {
    let world = World::start(&[("PERMISSIONS_CLAIM", "scope")]).await;
    let (admin, powerless) = (world.door.admin.clone(), world.door.powerless.clone());
    let mut claims = world.claims(&powerless).await;
    claims["scope"] = json!("users:read");
    let given = world.issuer.world().token(&json!({}), &claims);
    assert_eq!(world.reads(&given).await.0, 200);
    assert_eq!(world.reads(&powerless.token).await.0, 403, "by a token of ours he may what he may");
    let bare = world.token(&admin).await;
    assert_eq!(world.reads(&bare).await, (403, "permission-required".to_owned()), "it says nothing");
    let body = json!({ "$set": { "name": "Other" } });
    let change = world.door.send("PATCH", &format!("/users/{}", admin.id), Some(&given), Some(&body)).await;
    assert_eq!(change.code(), "permission-required");
}

#[tokio::test]
async fn what_we_end_is_ended_for_such_tokens_too() {
    for over_keycloak in [false, true] {
        let provider = Twin::start(Keycloak::new(Clock::system())).await;
        let url = provider.url();
        let settings = keycloak::settings(url.as_str());
        let world = World::start(if over_keycloak { &settings } else { &[] }).await;
        let person = world.door.somebody("ada@example.org", "users", &["users:read"]).await;
        let asks = async |method: &str, path: &str, token: &str, body: Value| {
            world.door.send(method, path, Some(token), Some(&body)).await.status
        };

        let (one, other) = (world.token(&person).await, {
            let mut claims = world.claims(&person).await;
            claims["sid"] = json!("s2");
            world.issuer.world().token(&json!({}), &claims)
        });
        let shown = provider.log().len();
        let told = world.door.send("GET", "/userinfo", Some(&one), None).await;
        assert_eq!((told.status, &told.json()["email"]), (200, &json!("ada@example.org")));
        assert_eq!(provider.log().len(), shown, "the provider is not shown the token of another");

        assert_eq!(asks("POST", "/logout", &one, json!({})).await, 204);
        world.is_refused(&one, "token-revoked", "left").await;
        world.is_refused(&world.token(&person).await, "token-revoked", "another token of that session").await;
        assert_eq!(world.reads(&other).await.0, 200);
        let form = format!("token={other}");
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        assert_eq!(world.door.ask("POST", "/oauth/revoke", &kind, form.as_bytes()).await.status, 200);
        world.is_refused(&other, "token-revoked", "revoked").await;

        let mut claims = world.claims(&person).await;
        claims.as_object_mut().unwrap().remove("sid");
        let third = world.issuer.world().token(&json!({}), &claims);
        assert_eq!(world.reads(&third).await.0, 200);
        world.patches(&person, json!({ "$set": { "blocked": true } })).await;
        world.is_refused(&third, "token-revoked", "blocked").await;
        world.door.time.advance(Duration::from_secs(2));
        world.patches(&person, json!({ "$set": { "blocked": false } })).await;
        world.is_refused(&third, "token-revoked", "issued before the block").await;
        let mut claims = world.claims(&person).await;
        claims["sid"] = json!("s3");
        claims["iat"] = json!(claims["iat"].as_i64().unwrap() + 1);
        let fourth = world.issuer.world().token(&json!({}), &claims);
        assert_eq!(world.reads(&fourth).await.0, 200, "issued after it");
    }
}

#[tokio::test]
async fn an_issuer_that_is_away_keeps_out_only_its_own() {
    let world = World::start(&[]).await;
    let token = world.token(&world.door.admin.clone()).await;
    let World { issuer, door } = world;
    drop(issuer);
    let path = format!("/users/{}", door.powerless.id);
    let answer = door.send("GET", &path, Some(&token), None).await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "upstream-failed"));
    assert_eq!(door.send("GET", &path, Some(&door.admin.token), None).await.status, 200);
    assert!(door.log_in("root@example.org", PASSWORD).await.is_ok());
}
