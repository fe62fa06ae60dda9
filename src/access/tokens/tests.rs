//! Tokens: which are believed, and which are not.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::encode;
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::{clock::Time, state};

const START: i64 = 1_800_000_000_250;

/// A clock that stands until it is moved.
#[derive(Clone)]
struct Standing(Arc<AtomicI64>);

impl Time for Standing {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
    fn pause(&self, _: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
    fn deadline(&self, _: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

#[derive(Default)]
struct Drawer(Mutex<BTreeMap<String, Vec<u8>>>);

#[async_trait]
impl Keys for Drawer {
    async fn get_or_put(&self, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, state::Error> {
        Ok(self.0.lock().unwrap().entry(name.to_owned()).or_insert(fresh).clone())
    }
    async fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, state::Error> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }
    async fn beginning(&self, with: &str) -> Result<Vec<(String, Vec<u8>)>, state::Error> {
        let all = self.0.lock().unwrap().clone();
        Ok(all.into_iter().filter(|(name, _)| name.starts_with(with)).collect())
    }
    async fn exchange(
        &self,
        name: &str,
        value: Vec<u8>,
        further: (String, Vec<u8>),
        gone: Vec<String>,
    ) -> Result<(), state::Error> {
        let mut all = self.0.lock().unwrap();
        all.extend([(name.to_owned(), value), further]);
        all.retain(|name, _| !gone.contains(name));
        Ok(())
    }
}

struct World {
    tokens: Tokens,
    now: Arc<AtomicI64>,
    drawer: Drawer,
}

impl World {
    async fn start() -> Self {
        let now = Arc::new(AtomicI64::new(START));
        let drawer = Drawer::default();
        let tokens = open(&drawer, &now).await;
        Self { tokens, now, drawer }
    }

    fn issue(&self) -> String {
        let user = UserId::parse("5f0c00000000000000000001").unwrap();
        let at_ms = self.now.load(Ordering::Relaxed);
        let grant = Grant {
            subject: "id-1",
            session: "session-1",
            at_ms,
            ends_ms: at_ms + 90 * 24 * 3_600_000,
            id: crate::clock::uuid(at_ms),
            user: &user,
            permissions: &Permissions(vec!["users:read".to_owned()]),
        };
        let issued = self.tokens.issue(&grant).unwrap();
        issued.token.expose_secret().to_owned()
    }

    async fn verdict(&self, token: &str) -> Result<Arc<Claims>, Code> {
        self.tokens.verify(token).await.map_err(|error| error.code())
    }

    /// A token signed with the right key, but for one thing.
    fn forge(&self, header: Value, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = json!({ "iss": "https://um.example.org", "sub": "id-1", "aud": "user-manager",
            "exp": START / 1000 + 600, "iat": START / 1000, "nbf": START / 1000, "jti": self.tokens.clock.uuid(), "sid": "session-1",
            "userId": "5f0c00000000000000000001", "permissions": [] });
        change(&mut claims);
        let mut whole = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.tokens.ring.load().kid() });
        whole.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
        let header: Header = serde_json::from_value(whole).unwrap();
        encode(&header, &claims, &self.tokens.ring.load().signing).unwrap()
    }
}

async fn open(drawer: &Drawer, now: &Arc<AtomicI64>) -> Tokens {
    let settings = Settings {
        issuer: "https://um.example.org".to_owned(),
        audience: "user-manager".to_owned(),
        ttl: Duration::from_secs(600),
        session: Duration::from_hours(24),
        skew: Duration::from_secs(30),
    };
    Tokens::open(drawer, Others::default(), Clock::new(Standing(now.clone())), settings).await.unwrap()
}

#[tokio::test]
async fn a_token_of_ours_holds_until_its_last_millisecond() {
    let world = World::start().await;
    let token = world.issue();
    let claims = world.verdict(&token).await.unwrap();
    assert_eq!((claims.subject.as_str(), claims.door, claims.issued_ms), ("id-1", Door::Ours, START));
    assert_eq!(claims.session.as_deref(), Some("session-1"));

    let end = (START / 1000 + 600) * 1000;
    world.now.store(end - 1, Ordering::Relaxed);
    assert!(world.verdict(&token).await.is_ok());
    world.now.store(end, Ordering::Relaxed);
    assert_eq!(world.verdict(&token).await, Err(Code::TokenExpired), "though its signature is remembered");
    assert_eq!(world.tokens.verify_expired(&token).await.unwrap(), claims, "a session is refreshed with it");
}

#[tokio::test]
async fn the_key_outlives_the_process() {
    let world = World::start().await;
    let token = world.issue();
    let next = open(&world.drawer, &world.now).await;
    assert_eq!(next.key_set(), world.tokens.key_set());
    assert!(next.verify(&token).await.is_ok());

    let stranger = open(&Drawer::default(), &world.now).await;
    assert_eq!(stranger.verify(&token).await.unwrap_err().code(), Code::TokenInvalid);
}

#[tokio::test]
async fn an_old_key_verifies_until_its_last_token_has_ended_also_in_the_next_process() {
    let world = World::start().await;
    let old = world.issue();
    let first = world.tokens.key_set()["keys"][0].clone();
    world.tokens.rotate(&world.drawer).await.unwrap();
    let new = world.issue();
    let kid = |token: &str| decode_header(token).unwrap().kid.unwrap();
    assert_ne!(kid(&old), kid(&new));
    let next = open(&world.drawer, &world.now).await;
    for tokens in [&world.tokens, &next] {
        let keys = tokens.key_set();
        assert_eq!((keys["keys"].as_array().unwrap().len(), &keys["keys"][1]), (2, &first), "{keys}");
        assert!(tokens.verify(&old).await.is_ok() && tokens.verify(&new).await.is_ok());
    }
    // Nothing is left of it with which anybody could sign.
    let left = world.drawer.beginning("token-former-key-").await.unwrap();
    assert_eq!((left.len(), left[0].1.len()), (1, 32));

    world.now.store(START + 3_600_000, Ordering::Relaxed);
    assert_eq!(world.tokens.key_set()["keys"].as_array().unwrap().len(), 1);
    let forgotten = open(&world.drawer, &world.now).await;
    assert_eq!(forgotten.verify(&old).await.unwrap_err().code(), Code::TokenExpired);
    assert!(forgotten.verify_expired(&old).await.is_ok(), "a session is refreshed with it");
    world.now.store(START + 25 * 3_600_000, Ordering::Relaxed);
    world.tokens.rotate(&world.drawer).await.unwrap();
    assert_eq!(world.drawer.0.lock().unwrap().len(), 2, "the one before that is gone");
}

#[tokio::test]
async fn a_token_changed_in_any_place_is_no_token() {
    let world = World::start().await;
    let token = world.issue();
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(world.verdict(&changed).await.is_err(), "byte {at}");
    }
    for cut in 0..token.len() {
        assert!(world.verdict(&token[..cut]).await.is_err(), "cut at {cut}");
    }
    assert!(world.verdict(&format!("{token}.")).await.is_err());
    assert!(world.verdict("a.b.c").await.is_err());
}

#[tokio::test]
async fn a_token_that_is_wrong_in_one_claim_is_refused() {
    let world = World::start().await;
    assert!(world.verdict(&world.forge(json!({}), |_| ())).await.is_ok(), "the forge itself works");
    let refused = async |what: &str, header: Value, change: fn(&mut Value)| {
        let verdict = world.verdict(&world.forge(header, change)).await;
        assert_eq!(verdict, Err(Code::TokenInvalid), "{what}");
    };
    refused("another type", json!({ "typ": "JWT" }), |_| ()).await;
    refused("no key id", json!({ "kid": null }), |_| ()).await;
    refused("another key id", json!({ "kid": "x" }), |_| ()).await;
    refused("an extension that must be understood", json!({ "crit": ["b64"] }), |_| ()).await;
    refused("another issuer", json!({}), |claims| claims["iss"] = json!("https://other.example.org")).await;
    refused("another audience", json!({}), |claims| claims["aud"] = json!("other")).await;
    refused("nobody", json!({}), |claims| claims["sub"] = json!("")).await;
    refused("not yet", json!({}), |claims| claims["nbf"] = json!(START / 1000 + 1)).await;
    refused("no end", json!({}), |claims| claims["exp"] = json!(null)).await;
    refused("no session", json!({}), |claims| claims["sid"] = json!(null)).await;
    refused("no id", json!({}), |claims| claims["jti"] = json!("7")).await;
    refused("an id of another time", json!({}), |claims| claims["iat"] = json!(START / 1000 - 9)).await;
}

#[tokio::test]
async fn only_our_own_algorithm_counts() {
    let world = World::start().await;
    let ours = world.issue();
    let (_, rest) = ours.split_once('.').unwrap();
    let (claims, _) = rest.split_once('.').unwrap();

    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    assert_eq!(world.verdict(&format!("{none}.{claims}.")).await, Err(Code::TokenInvalid));

    // The public key taken for a shared secret.
    let header = Header {
        typ: Some(TYPE.to_owned()),
        kid: Some(world.tokens.ring.load().kid().to_owned()),
        ..Header::default()
    };
    let secret = jsonwebtoken::EncodingKey::from_secret(
        &URL_SAFE_NO_PAD.decode(world.tokens.key_set()["keys"][0]["x"].as_str().unwrap()).unwrap(),
    );
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let forged = encode(&header, &payload, &secret).unwrap();
    assert_eq!(world.verdict(&forged).await, Err(Code::TokenInvalid));
}

#[tokio::test]
async fn others_find_the_person_and_his_permissions_in_it() {
    let world = World::start().await;
    let token = world.issue();
    let payload = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!(claims["userId"], "5f0c00000000000000000001");
    assert_eq!(claims["permissions"], json!(["users:read"]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);

    let key = &world.tokens.key_set()["keys"][0];
    assert_eq!((&key["kty"], &key["crv"], &key["use"]), (&json!("OKP"), &json!("Ed25519"), &json!("sig")));
    // RFC 8037 appendix A.3.
    assert_eq!(
        ring::thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}
