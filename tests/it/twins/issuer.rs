//! Somebody who issues access tokens and publishes his keys, and does nothing else.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{Answer, Asked, Model};

pub struct Issuer {
    signing: EncodingKey,
    published: Value,
}

impl Issuer {
    pub fn new() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[..32]), URL_SAFE_NO_PAD.encode(&point[32..]));
        let published = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "k1" });
        Self { signing: EncodingKey::from_ec_der(pkcs8.as_ref()), published }
    }

    /// `header` beside `alg` and `kid`.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        let mut whole = json!({ "alg": "ES256", "kid": "k1" });
        whole.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
        let header: Header = serde_json::from_value(whole).unwrap();
        assert_eq!(header.alg, Algorithm::ES256);
        encode(&header, claims, &self.signing).unwrap()
    }

    /// A token that says it were signed with what everybody can read.
    pub fn forged(&self, algorithm: &str, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let said = format!("{}.{}", part(&json!({ "alg": algorithm, "kid": "k1", "typ": "JWT" })), part(claims));
        if algorithm == "none" {
            return format!("{said}.");
        }
        let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, self.published.to_string().as_bytes());
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&secret, said.as_bytes())))
    }
}

impl Model for Issuer {
    fn answer(&mut self, asked: &Asked) -> Answer {
        match asked.path.as_str() {
            "/oauth/keys" => Answer::json(200, &json!({ "keys": [self.published] })),
            _ => Answer::empty(404),
        }
    }

    fn refusal(&self, status: u16) -> Answer {
        Answer::empty(status)
    }
}
