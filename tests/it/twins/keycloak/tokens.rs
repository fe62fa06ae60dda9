//! The OpenID Connect side: the token endpoint and the keys.

use std::{collections::BTreeMap, sync::OnceLock};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::Method;
use serde_json::{Value, json};

use super::{Answer, Asked, Client, Issued, Keycloak, REALM, Refresh, error, host};

/// Seconds (`accessTokenLifespan`).
pub const LIFE: i64 = 300;

impl Keycloak {
    pub(super) fn openid(&mut self, asked: &Asked, path: &[&str]) -> Answer {
        match (&asked.method, path) {
            (&Method::GET, ["certs"]) if self.keys_withdrawn => Answer::json(200, &json!({ "keys": [] })),
            (&Method::GET, ["certs"]) => Answer::json(200, &keys()),
            (&Method::POST, ["token"]) => self.token(asked),
            (&Method::POST, ["revoke"]) => self.revoke(asked),
            (&Method::GET, ["userinfo"]) => self.userinfo(asked),
            (_, ["certs" | "token" | "revoke" | "userinfo"]) => Answer::empty(405),
            _ => Answer::empty(404),
        }
    }

    fn token(&mut self, asked: &Asked) -> Answer {
        let form = form(asked);
        let field = |name: &str| form.get(name).map(String::as_str);
        let Some(grant) = field("grant_type") else {
            return error(400, "invalid_request", "Missing form parameter: grant_type");
        };
        if !["password", "refresh_token", "client_credentials"].contains(&grant) {
            return error(400, "unsupported_grant_type", "Unsupported grant_type");
        }
        let id = field("client_id").unwrap_or_default();
        let client = match self.client(&form) {
            Ok(client) => client,
            Err(refused) => return refused,
        };
        if grant == "client_credentials" {
            if client.rights.is_none() || client.secret.is_none() {
                return error(401, "unauthorized_client", "Client not enabled to retrieve service account");
            }
            let subject = format!("service-account-{id}");
            let token = self.issue(asked, id, &subject, json!({ "aud": ["realm-management", "account"] }));
            return Answer::json(200, &self.grant(&token, json!({ "refresh_expires_in": 0 })));
        }
        if grant == "refresh_token" {
            return self.refresh(asked, id, field("refresh_token").unwrap_or_default());
        }
        if !client.direct_grants {
            return error(400, "unauthorized_client", "Client not allowed for direct access grants");
        }
        let Some(name) = field("username") else {
            return error(401, "invalid_request", "Missing parameter: username");
        };
        self.password_grant(asked, id, name, field("password"), field("scope").unwrap_or_default())
    }

    fn password_grant(
        &mut self,
        asked: &Asked,
        client: &str,
        name: &str,
        password: Option<&str>,
        scope: &str,
    ) -> Answer {
        let wanted = name.to_lowercase();
        let found = self
            .people
            .iter()
            .find(|(_, person)| person.username == wanted)
            .or_else(|| self.people.iter().find(|(_, person)| person.email.as_ref() == Some(&wanted)));
        let Some((id, person)) = found else {
            return error(400, "invalid_grant", "Invalid user credentials");
        };
        // A lock looks like a wrong password, also with the right one.
        if person.password.is_none() || person.password.as_deref() != password || person.locked {
            return error(400, "invalid_grant", "Invalid user credentials");
        }
        if !person.enabled {
            return error(400, "invalid_grant", "Account disabled");
        }
        if !person.required_actions.is_empty() {
            return error(400, "invalid_grant", "Account is not fully set up");
        }
        let id = id.clone();
        let session = self.new_id();
        self.people.get_mut(&id).unwrap().sessions.insert(session.clone());
        self.in_session(asked, client, &id, &session, &format!("{scope} profile email"))
    }

    /// New tokens of a session.
    fn in_session(&mut self, asked: &Asked, client: &str, id: &str, session: &str, scope: &str) -> Answer {
        let person = &self.people[id];
        let claims = json!({
            "aud": "account", "sid": session, "scope": scope, "preferred_username": person.username,
            "email": person.email,
        });
        let token = self.issue(asked, client, id, claims);
        let text = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let payload = text(&json!({ "typ": "Refresh", "sid": session, "sub": id, "jti": self.new_id() }));
        let refresh = format!("{}.{payload}.{}", text(&json!({ "alg": "HS512", "typ": "JWT" })), text(&json!("s")));
        let known = Refresh {
            person: id.to_owned(),
            session: session.to_owned(),
            client: client.to_owned(),
            scope: scope.to_owned(),
            issued: self.clock.now_ms() / 1000,
            used: false,
        };
        self.refresh_tokens.insert(refresh.clone(), known);
        let more = json!({ "refresh_expires_in": 1800, "refresh_token": refresh, "session_state": session });
        Answer::json(200, &self.grant(&token, more))
    }

    fn refresh(&mut self, asked: &Asked, client: &str, token: &str) -> Answer {
        let refused = |text: &str| error(400, "invalid_grant", text);
        let Some(known) = self.refresh_tokens.get(token).cloned() else { return refused("Invalid refresh token") };
        if known.client != client {
            return refused("Invalid refresh token. Token client and authorized client don't match");
        }
        let Some(person) = self.people.get_mut(&known.person) else { return refused("Session not active") };
        if !person.enabled {
            return refused("User disabled");
        }
        if !person.sessions.contains(&known.session) {
            return refused("Session not active");
        }
        if known.issued < person.not_before {
            return refused("Stale token");
        }
        if self.rotates && known.used {
            // The whole family goes with it.
            person.sessions.remove(&known.session);
            return refused("Maximum allowed refresh token reuse exceeded");
        }
        self.refresh_tokens.get_mut(token).unwrap().used = true;
        self.in_session(asked, client, &known.person, &known.session, &known.scope)
    }

    fn userinfo(&self, asked: &Asked) -> Answer {
        let token = asked.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let live = self.issued.get(token).is_some_and(|issued| issued.expires_ms > self.clock.now_ms());
        let Some(claims) = live.then(|| payload(token)) else { return Answer::empty(401) };
        let id = claims["sub"].as_str().unwrap();
        let session = claims["sid"].as_str().unwrap_or_default();
        match self.people.get(id).filter(|person| person.enabled && person.sessions.contains(session)) {
            None => Answer::empty(401),
            // The reason stands in a header only.
            Some(_) if !claims["scope"].as_str().unwrap_or_default().contains("openid") => Answer::empty(403),
            Some(person) => Answer::json(
                200,
                &json!({
                    "sub": id, "preferred_username": person.username, "email": person.email,
                    "email_verified": person.email_verified,
                }),
            ),
        }
    }

    fn revoke(&mut self, asked: &Asked) -> Answer {
        let form = form(asked);
        if let Err(refused) = self.client(&form) {
            return refused;
        }
        let known = form.get("token").and_then(|token| self.refresh_tokens.get(token)).cloned();
        let ended = known.is_some_and(|known| {
            self.people.get_mut(&known.person).is_some_and(|person| person.sessions.remove(&known.session))
        });
        if ended { Answer::empty(200) } else { error(200, "invalid_token", "Token not active") }
    }

    /// Who asks, by the fields of the form.
    fn client(&self, form: &BTreeMap<String, String>) -> Result<Client, Answer> {
        const TEXT: &str = "Invalid client or Invalid client credentials";
        let id = form.get("client_id").map(String::as_str).unwrap_or_default();
        let Some(client) = self.clients.get(id).filter(|client| client.enabled) else {
            return Err(error(401, "invalid_client", TEXT));
        };
        if client.secret.is_some() && client.secret.as_ref() != form.get("client_secret") {
            return Err(error(401, "unauthorized_client", TEXT));
        }
        Ok(client.clone())
    }

    fn grant(&self, token: &str, more: Value) -> Value {
        let mut body = json!({
            "access_token": token, "expires_in": LIFE, "token_type": "Bearer", "not-before-policy": 0,
            "scope": "profile email",
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    /// A signed token whose issuer is the address that the caller used.
    fn issue(&mut self, asked: &Asked, client: &str, subject: &str, more: Value) -> String {
        let host = host(asked);
        let now = self.clock.now_ms() / 1000;
        let mut claims = json!({
            "iss": format!("http://{host}/realms/{REALM}"), "sub": subject, "azp": client, "typ": "Bearer",
            "iat": now, "exp": now + LIFE, "jti": self.new_id(),
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let token = sign(&json!({ "alg": "RS256", "typ": "JWT", "kid": "twin" }), &claims);
        let issued = Issued { client: client.to_owned(), host, expires_ms: (now + LIFE) * 1000 };
        self.issued.insert(token.clone(), issued);
        token
    }
}

fn payload(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn form(asked: &Asked) -> BTreeMap<String, String> {
    let is_form =
        asked.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if is_form { asked.form().into_iter().collect() } else { BTreeMap::new() }
}

/// One key for the whole test run: making one takes a while.
fn key() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(|| KeyPair::generate(KeySize::Rsa2048).unwrap())
}

fn keys() -> Value {
    let public = key().public_key();
    let text = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
    let n = text(public.modulus().big_endian_without_leading_zero());
    let e = text(public.exponent().big_endian_without_leading_zero());
    json!({ "keys": [
        { "kid": "twin-enc", "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": n, "e": e },
        { "kid": "twin", "kty": "RSA", "alg": "RS256", "use": "sig", "n": n, "e": e },
    ] })
}

fn sign(header: &Value, claims: &Value) -> String {
    let text = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", text(header), text(claims));
    let mut signature = vec![0; key().public_modulus_len()];
    key().sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
