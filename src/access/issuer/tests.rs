//! Which tokens and which keys of others are taken.

use super::*;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use jsonwebtoken::{EncodingKey, encode};
use serde_json::json;

const NOW: i64 = 1_800_000_000;

fn provider() -> Trust {
    Trust {
        door: Door::Provider,
        issuer: "https://id.example.org/realms/people".to_owned(),
        audience: "login".to_owned(),
        by_client: true,
        algorithms: vec![Algorithm::RS256, Algorithm::ES256],
        identity_claim: "sub".to_owned(),
        permissions_claim: None,
    }
}

/// A key of the provider: what signs, and its published half.
fn key_pair() -> (EncodingKey, Value) {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[..32]), URL_SAFE_NO_PAD.encode(&point[32..]));
    let published = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig", "kid": "k1" });
    (EncodingKey::from_ec_der(pkcs8.as_ref()), published)
}

fn verdict(change: impl FnOnce(&mut Value)) -> Result<Claims, Error> {
    verdict_of(&provider(), change)
}

fn verdict_of(trust: &Trust, change: impl FnOnce(&mut Value)) -> Result<Claims, Error> {
    let (signing, published) = key_pair();
    let mut claims = json!({ "iss": trust.issuer, "sub": "id-1", "aud": "account", "azp": "login",
        "typ": "Bearer", "exp": NOW + 300, "iat": NOW });
    change(&mut claims);
    let token = encode(&Header::new(Algorithm::ES256), &claims, &signing).unwrap();
    let keys = read(&json!({ "keys": [published] }), &trust.algorithms);
    judge(&token, Algorithm::ES256, &keys["k1"].verifying, trust)
}

#[test]
fn an_access_token_for_our_client_is_taken() {
    let expected = Claims {
        subject: "id-1".to_owned(),
        session: None,
        door: Door::Provider,
        permissions: None,
        issued_ms: NOW * 1000,
        not_before_ms: NOW * 1000,
        expires_ms: (NOW + 300) * 1000,
    };
    assert_eq!(verdict(|_| ()).unwrap(), expected);
    let audience = |claims: &mut Value| {
        claims["azp"] = json!("spa");
        claims["aud"] = json!(["account", "login"]);
    };
    assert_eq!(verdict(audience).unwrap(), expected);
}

#[test]
fn everything_else_is_refused_alike() {
    let refused = |what: &str, change: fn(&mut Value)| {
        let error = verdict(change).expect_err(what);
        assert_eq!(error.message(), invalid().message(), "{what}");
    };
    refused("another realm", |claims| claims["iss"] = json!("https://id.example.org/realms/other"));
    refused("another client", |claims| claims["azp"] = json!("spa"));
    refused("an ID token", |claims| claims["typ"] = json!("ID"));
    refused("a logout token", |claims| claims["typ"] = json!("Logout"));
    refused("nobody", |claims| claims["sub"] = json!(""));
    refused("no end", |claims| claims["exp"] = json!(null));
    refused("an end in words", |claims| claims["exp"] = json!("tomorrow"));
}

#[test]
fn of_a_foreign_issuer_the_settings_say_what_counts() {
    let foreign = Trust {
        door: Door::Foreign(0),
        by_client: false,
        identity_claim: "account".to_owned(),
        permissions_claim: Some("scope".to_owned()),
        ..provider()
    };
    let given = |claims: &mut Value| {
        claims["aud"] = json!(["login", "other"]);
        claims["account"] = json!("id-7");
        claims["sid"] = json!("s1");
        claims["scope"] = json!("users:read  users:write users:read");
    };
    let claims = verdict_of(&foreign, given).unwrap();
    assert_eq!(claims.subject, "id-7");
    assert_eq!(claims.session.as_deref(), Some("https://id.example.org/realms/people s1"));
    let may = |names: &[&str]| Some(Permissions(names.iter().map(|&name| name.to_owned()).collect()));
    assert_eq!(claims.permissions, may(&["users:read", "users:write"]));

    let with = |change: fn(&mut Value)| {
        verdict_of(&foreign, |claims| {
            given(claims);
            change(claims);
        })
    };
    let listed = with(|claims| claims["scope"] = json!(["users:read", 7, "a b"])).unwrap();
    assert_eq!(listed.permissions, may(&["a b", "users:read"]));
    assert_eq!(with(|claims| claims["scope"] = json!({ "users:admin": true })).unwrap().permissions, may(&[]));
    assert_eq!(with(|claims| claims["scope"] = json!(null)).unwrap().permissions, may(&[]));
    let alone = |claims: &mut Value| drop(claims.as_object_mut().unwrap().remove("sid"));
    let other = |claims: &mut Value| {
        claims.as_object_mut().unwrap().remove("sid");
        claims["jti"] = json!("another");
    };
    let named = [alone, other, alone].map(|change| with(change).unwrap().session.unwrap());
    assert!(named[0] != named[1], "each token is a session of its own");
    assert_eq!(named[0], named[2], "however it is signed");

    assert!(with(|claims| claims["aud"] = json!("other")).is_err(), "made for our client, and not for us");
    assert!(with(|claims| claims["account"] = json!("")).is_err());
    assert!(with(|claims| claims["account"] = json!(7)).is_err());
    assert!(with(|claims| claims["iss"] = json!("https://id.example.org/realms/people/")).is_err());
}

#[test]
fn only_keys_that_sign_with_a_known_algorithm_are_taken() {
    let (_, good) = key_pair();
    let with = |member: &str, value: Value| {
        let mut key = good.clone();
        key[member] = value;
        key
    };
    let set = |key: Value| read(&json!({ "keys": [key, 7, {"kty": "EC"}] }), &provider().algorithms).len();
    assert_eq!(set(good.clone()), 1);
    assert_eq!(set(with("alg", json!("ES256"))), 1);
    assert_eq!(set(with("alg", json!("RS256"))), 0);
    assert_eq!(set(with("use", json!("enc"))), 0);
    assert_eq!(set(with("crv", json!("P-384"))), 0);
    assert_eq!(set(json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "HS256" })), 0);
    assert_eq!(set(json!({ "kty": "OKP", "crv": "Ed25519", "x": good["x"], "kid": "k1" })), 0);
    assert_eq!(read(&json!([]), &provider().algorithms).len(), 0);
}
