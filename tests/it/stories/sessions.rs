//! A session: opened by a login, refreshed, seen.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use user_manager::{
    access::{
        gate::Arrival,
        sessions::{self, Way},
    },
    app::App,
};

use crate::worlds::{Asker, PASSWORD, Place, Reply, World, everywhere, within};

/// Where sessions are ours.
pub const OURS: [Place; 2] = [Place::Embedded, Place::RemoteUsers];

/// Both tokens of somebody who has logged in.
pub struct Pair {
    pub id: String,
    pub access: String,
    pub refresh: String,
}

impl Pair {
    pub fn of(id: &str, reply: &Reply) -> Self {
        Self { id: id.to_owned(), access: reply.text("accessToken"), refresh: reply.text("refreshToken") }
    }

    /// Asks with the access token.
    pub fn asker(&self, world: &World) -> Asker {
        world.nobody().holding(&self.id, &self.access)
    }

    /// `sid` of the access token.
    pub fn session(&self) -> String {
        let payload = URL_SAFE_NO_PAD.decode(self.access.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&payload).unwrap()["sid"].as_str().unwrap().to_owned()
    }

    pub async fn refreshes(&self, world: &World) -> Reply {
        self.asker(world).post("/refreshtoken", json!({ "refreshToken": self.refresh })).await
    }

    /// Must be refreshed.
    pub async fn next(&self, world: &World) -> Self {
        Self::of(&self.id, &self.refreshes(world).await.is(200))
    }
}

/// Somebody new who has logged in.
pub async fn somebody(world: &World, email: &str) -> Pair {
    let id = world.user(email).await;
    logs_in(world, &id, email).await
}

pub async fn logs_in(world: &World, id: &str, email: &str) -> Pair {
    Pair::of(id, &world.nobody().logs_in(email, PASSWORD).await.is(200))
}

/// A form, as RFC 6749 has it.
pub async fn form(world: &World, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let reply = world.nobody().sends_form(path, fields).await;
    (reply.status, reply.body)
}

/// What that process answers to the refresh token.
async fn refreshed_by(app: &App, pair: &Pair) -> (String, String) {
    use secrecy::ExposeSecret;
    let arrival = Arrival {
        request_id: "r".to_owned(),
        address: None,
        vouched: None,
        operation: std::sync::Arc::default(),
        seen: std::sync::Arc::default(),
    };
    let access = app.tokens.verify_expired(&pair.access).await.unwrap();
    let refresh = pair.refresh.clone().into();
    let opened = sessions::refresh(app, &arrival, Way::Json, &refresh, Some(&access)).await.unwrap();
    (opened.access_token.expose_secret().to_owned(), opened.refresh_token.unwrap().expose_secret().to_owned())
}

#[tokio::test]
async fn a_login_gives_tokens_that_are_refreshed_again_and_again() {
    everywhere(async |world| {
        let mut pair = somebody(world, "ada@example.org").await;
        for _ in 0..3 {
            world.passes(Duration::from_secs(60));
            let next = pair.next(world).await;
            assert_ne!((&next.access, &next.refresh), (&pair.access, &pair.refresh));
            next.asker(world).get("/operations/").await.is(200);
            pair = next;
        }
        // The access token that comes with it may have expired long ago.
        world.passes(Duration::from_secs(1200));
        pair.asker(world).get("/operations/").await.refuses(401, "token-expired");
        let reply = pair.refreshes(world).await.is(200);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.text("expireAt").ends_with('Z'));
        assert_eq!(reply.body.as_object().unwrap().len(), 3, "{}", reply.body);
    })
    .await;
}

#[tokio::test]
async fn fifty_who_refresh_one_token_at_once_get_one_and_the_same_answer() {
    everywhere(async |world| {
        if let Some(keycloak) = &world.keycloak {
            keycloak.world().rotates = true;
        }
        let pair = somebody(world, "ada@example.org").await;
        // Long after the login, and after our start.
        world.passes(Duration::from_secs(600));
        let answers = join_all((0..50).map(|_| pair.refreshes(world))).await;
        let answers: Vec<Value> = answers.into_iter().map(|answer| answer.is(200).body).collect();
        assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:#?}");
        let next = Pair {
            id: pair.id.clone(),
            access: answers[0]["accessToken"].as_str().unwrap().to_owned(),
            refresh: answers[0]["refreshToken"].as_str().unwrap().to_owned(),
        };
        next.next(world).await.asker(world).get("/operations/").await.is(200);
    })
    .await;
}

#[tokio::test]
async fn for_a_while_a_used_token_gets_the_same_answer_also_from_the_next_process() {
    within(&OURS, async |world| {
        let pair = somebody(world, "ada@example.org").await;
        let first = pair.refreshes(world).await.is(200).body;
        world.passes(Duration::from_secs(29));
        assert_eq!(pair.refreshes(world).await.is(200).body, first);
        // However long it took to come back: whoever waited for it is no thief.
        world.passes(Duration::from_secs(600));
        let (next, _directory) = world.starts_anew().await;
        let (access, refresh) = refreshed_by(&next, &pair).await;
        assert_eq!((json!(access), json!(refresh)), (first["accessToken"].clone(), first["refreshToken"].clone()));
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_used_again_later_ends_the_session_and_no_other() {
    within(&OURS, async |world| {
        let pair = somebody(world, "ada@example.org").await;
        let other = logs_in(world, &pair.id, "ada@example.org").await;
        let second = pair.next(world).await;
        let third = second.next(world).await;
        // Older than the one before: a copy, whatever the time.
        pair.refreshes(world).await.refuses(401, "refresh-refused");
        third.refreshes(world).await.refuses(401, "refresh-refused");
        third.asker(world).get("/operations/").await.refuses(401, "token-revoked");

        let next = other.next(world).await;
        world.passes(Duration::from_secs(30));
        other.refreshes(world).await.refuses(401, "refresh-refused");
        next.asker(world).get("/operations/").await.refuses(401, "token-revoked");

        let events = world.get("/events/?action=refresh-token-reuse").await.is(200).body;
        assert_eq!(events.as_array().unwrap().len(), 2, "{events}");
        assert_eq!((&events[0]["subject"], &events[0]["outcome"]), (&json!(pair.id), &json!("refused")));
    })
    .await;
}

#[tokio::test]
async fn a_session_is_refreshed_only_beside_an_access_token_of_its_own() {
    everywhere(async |world| {
        let ada = somebody(world, "ada@example.org").await;
        let again = logs_in(world, &ada.id, "ada@example.org").await;
        let bob = somebody(world, "bob@example.org").await;
        let body = json!({ "refreshToken": ada.refresh });
        let refuses = async |asker: &Asker, body: &Value, what: &str| {
            let reply = asker.post("/refreshtoken", body.clone()).await;
            assert_eq!((reply.status, reply.code()), (401, "refresh-refused"), "{what}: {}", reply.body);
            assert_eq!(reply.message(), "The session is not refreshed", "{what}");
            assert_eq!(reply.header("www-authenticate"), Some(r#"Bearer realm="user-manager""#), "{what}");
        };
        refuses(&world.nobody(), &body, "no access token").await;
        refuses(&again.asker(world), &body, "that of another session of his").await;
        refuses(&bob.asker(world), &body, "that of somebody else").await;
        let forged = format!("{}x", &ada.access[..ada.access.len() - 1]);
        refuses(&world.nobody().holding(&ada.id, &forged), &body, "a forged one").await;
        let asker = ada.asker(world);
        refuses(&asker, &json!({ "refreshToken": ada.access }), "an access token to refresh with").await;
        refuses(&asker, &json!({ "refreshToken": "x" }), "nothing").await;
        refuses(&asker, &json!({ "refreshToken": "A".repeat(91) }), "an invented one").await;
        // A refresh token opens nothing.
        let wrong = world.nobody().holding(&ada.id, &ada.refresh);
        wrong.get("/operations/").await.refuses(401, "token-invalid");
        wrong.post("/refreshtoken", body).await.refuses(401, "refresh-refused");
        // None of that has cost anybody his session.
        for pair in [ada, again, bob] {
            pair.next(world).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_refreshed_or_has_lasted_long_enough() {
    let settings = [("REFRESH_IDLE", "1h"), ("SESSION_MAX", "150m")];
    let world = World::with(Place::Embedded, &settings).await;
    let (lazy, mut pair) = (somebody(&world, "bob@example.org").await, somebody(&world, "ada@example.org").await);
    for _ in 0..3 {
        world.passes(Duration::from_mins(45));
        pair = pair.next(&world).await;
    }
    lazy.refreshes(&world).await.refuses(401, "refresh-refused");
    // A quarter of an hour is left; no access token lives longer than its session.
    world.passes(Duration::from_mins(9));
    let reply = pair.refreshes(&world).await.is(200);
    let expires = user_manager::clock::parse_rfc3339(&reply.text("expireAt")).unwrap();
    assert!((expires - world.now_ms()) <= 6 * 60_000, "{}", reply.body);
    let last = Pair::of(&pair.id, &reply);
    world.passes(Duration::from_mins(7));
    last.refreshes(&world).await.refuses(401, "refresh-refused");
}

#[tokio::test]
async fn forms_are_answered_as_the_rfc_says_and_have_sessions_of_their_own() {
    everywhere(async |world| {
        let pair = somebody(world, "ada@example.org").await;
        let password = [("grant_type", "password"), ("username", "ada@example.org"), ("password", PASSWORD)];
        let (status, opened) = form(world, "/oauth/token", &password).await;
        assert_eq!((status, &opened["token_type"]), (200, &json!("Bearer")), "{opened}");
        assert!((1..=600).contains(&opened["expires_in"].as_i64().unwrap()), "{opened}");
        let [access, refresh] = ["access_token", "refresh_token"].map(|name| opened[name].as_str().unwrap().to_owned());
        world.nobody().holding(&pair.id, &access).get("/operations/").await.is(200);

        let grant = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
        if world.keycloak.is_none() {
            let json = Pair { id: pair.id.clone(), access, refresh: refresh.clone() };
            json.refreshes(world).await.refuses(401, "refresh-refused");
            let other = [("grant_type", "refresh_token"), ("refresh_token", pair.refresh.as_str())];
            assert_eq!(form(world, "/oauth/token", &other).await.1["error"], "invalid_grant");
        }
        let (status, next) = form(world, "/oauth/token", &grant).await;
        assert_eq!((status, next["refresh_token"].is_string()), (200, true), "{next}");

        let refused: [(&[(&str, &str)], &str); 7] = [
            (&[("grant_type", "password"), ("username", "ada@example.org"), ("password", "x")], "invalid_grant"),
            (&[("grant_type", "refresh_token"), ("refresh_token", "x")], "invalid_grant"),
            (&[("grant_type", "client_credentials")], "unsupported_grant_type"),
            (&[("grant_type", "password"), ("username", "ada@example.org")], "invalid_request"),
            (&[("grant_type", "refresh_token")], "invalid_request"),
            (&[], "invalid_request"),
            (&[("grant_type", "password"), ("grant_type", "password")], "invalid_request"),
        ];
        for (fields, word) in refused {
            let (status, told) = form(world, "/oauth/token", fields).await;
            assert_eq!((status, &told["error"]), (400, &json!(word)), "{fields:?}: {told}");
        }
        let reply = world
            .nobody()
            .sends("application/x-www-form-urlencoded", Method::POST, "/oauth/token", b"grant_type=%ff".to_vec())
            .await;
        assert_eq!((reply.status, &reply.body["error"]), (400, &json!("invalid_request")));
    })
    .await;
}

#[tokio::test]
async fn no_refresh_token_lies_in_our_state() {
    within(&OURS, async |world| {
        let pair = somebody(world, "ada@example.org").await;
        let next = pair.next(world).await;
        for token in [&pair.refresh, &next.refresh] {
            let bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
            // The session and the number of its turn are no secret; the rest is.
            for secret in [token.as_bytes(), &bytes[20..52], &bytes[52..]] {
                for file in world.state_bytes() {
                    assert!(!file.windows(secret.len()).any(|window| window == secret));
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_provider_is_not_asked_for_whoever_may_not_act_nor_twice_for_one_token() {
    within(&Place::KEYCLOAK, async |world| {
        let asked = |world: &World| {
            let log = world.provider().log();
            log.iter().filter(|line| line.ends_with("/openid-connect/token")).count()
        };
        let pair = somebody(world, "ada@example.org").await;
        let before = asked(world);
        join_all((0..10).map(|_| pair.refreshes(world))).await;
        assert_eq!(asked(world), before + 1);
        world.passes(Duration::from_secs(31));
        pair.refreshes(world).await.is(200);
        assert_eq!(asked(world), before + 2, "Keycloak itself says whether a token is good twice");

        world.patch(&format!("/users/{}", pair.id), json!({ "$set": { "blocked": true } })).await.is(200);
        let before = asked(world);
        pair.refreshes(world).await.refuses(401, "refresh-refused");
        assert_eq!(asked(world), before);
    })
    .await;
}
