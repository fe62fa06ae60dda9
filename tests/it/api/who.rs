//! Who gets in, and what he may do.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    door::{Answer, Door, PASSWORD},
    routes,
};
use crate::{documented::DOCUMENT, worlds::World};

/// Open to everybody: the credential is in the request, or nothing is given away.
const OPEN: [&str; 11] = [
    "/oauth/token",
    "/oauth/revoke",
    "/refreshtoken",
    "/.well-known/jwks.json",
    "/.well-known/openid-configuration",
    "/reset-password",
    "/-/healthz",
    "/-/ready",
    "/-/check-up",
    "/documentation",
    "/documentation/json",
];
/// Anybody who is somebody, for what is his own.
const OWN: [(&str, &str); 6] = [
    ("POST", "/users/me/change-password"),
    ("GET", "/operations"),
    ("GET", "/operations/{id}"),
    ("GET", "/userinfo"),
    ("GET", "/users/me/sessions"),
    ("DELETE", "/users/me/sessions/{sid}"),
];
/// The same, and they end the session in which one asks.
const LEAVING: [(&str, &str); 2] = [("POST", "/logout"), ("DELETE", "/users/me/sessions")];

/// What a gateway says of whom it lets in. From anybody else it says nothing.
const FORGED: [(&str, &str); 9] = [
    ("miauserid", "root"),
    ("miausergroups", "administrators,users:admin"),
    ("miauserproperties", "{\"permissions\":[\"users:admin\"]}"),
    ("client-type", "backoffice"),
    ("isbackoffice", "1"),
    ("x-gateway-secret", "x"),
    ("acl_rows", "[{}]"),
    ("acl_read_columns", "email"),
    ("acl_write_columns", "roles"),
];

/// The document asks for a token where one is needed.
fn lets_in_whom_the_document_says(method: &str, path: &str) {
    let operation = &DOCUMENT["paths"][path][method.to_lowercase()];
    let security = operation["security"].as_array().unwrap();
    let open = security.is_empty() || security.contains(&json!({}));
    assert_eq!(open, OPEN.contains(&path), "{method} {path}");
    if !open {
        let own = OWN.contains(&(method, path)) || LEAVING.contains(&(method, path));
        let permissions = security.iter().find_map(|one| one["bearer"].as_array()).unwrap();
        assert_eq!(permissions.is_empty(), own, "{method} {path}");
    }
}

#[tokio::test]
async fn no_route_lets_anybody_in_who_may_not() {
    let door = Door::open().await;
    let operation = some_operation(&door).await;
    let before = door.snapshot();
    let forged = format!("{}x", &door.admin.token[..door.admin.token.len() - 1]);
    for (method, path) in routes() {
        lets_in_whom_the_document_says(&method, &path);
        if OPEN.contains(&path.as_str()) || LEAVING.contains(&(method.as_str(), path.as_str())) {
            continue;
        }
        let target = path.replace("{id}", if path.starts_with("/operations") { &operation } else { &door.admin.id });
        let body = Some(json!({ "$set": { "name": "x" } })).filter(|_| method == "POST" || method == "PATCH");
        let ask = async |token: Option<&str>| {
            let answer = door.send(&method, &target, token, body.as_ref()).await;
            if !answer.body.is_empty() {
                let mut headers = FORGED.to_vec();
                let bearer = token.map(|token| format!("Bearer {token}"));
                headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
                headers.extend(body.as_ref().map(|_| ("content-type", "application/json")));
                let sent = body.as_ref().map(Value::to_string).unwrap_or_default();
                let forged = door.ask(&method, &target, &headers, sent.as_bytes()).await;
                assert_eq!((forged.status, forged.code()), (answer.status, answer.code()), "{method} {path}");
            }
            (answer.status, answer.code(), answer.header("www-authenticate").map(str::to_owned))
        };
        let realm = r#"Bearer realm="user-manager""#;
        let none = ask(None).await;
        assert_eq!(none, (401, "token-required".into(), Some(realm.into())), "{method} {path}");
        let wrong = ask(Some(&forged)).await;
        let told = format!(r#"{realm}, error="invalid_token""#);
        assert_eq!(wrong, (401, "token-invalid".into(), Some(told)), "{method} {path}");
        let powerless = ask(Some(&door.powerless.token)).await;
        if OWN.contains(&(method.as_str(), path.as_str())) {
            assert!(![401, 403].contains(&powerless.0), "{method} {path}");
        } else {
            assert_eq!((powerless.0, powerless.1.as_str()), (403, "permission-required"), "{method} {path}");
            let challenge = powerless.2.unwrap();
            assert!(challenge.contains(r#"error="insufficient_scope", scope=""#), "{challenge}");
        }
    }
    assert_eq!(door.snapshot(), before);

    for (method, path) in LEAVING {
        assert_eq!(door.send(method, path, None, None).await.code(), "token-required", "{method} {path}");
        assert_eq!(door.send(method, path, Some(&forged), None).await.code(), "token-invalid", "{method} {path}");
        let token = door.log_in("mallory@example.org", PASSWORD).await.unwrap();
        assert_eq!(door.send(method, path, Some(&token), None).await.status, 204, "{method} {path}");
        assert_eq!(door.send(method, path, Some(&token), None).await.code(), "token-revoked", "{method} {path}");
    }
}

#[tokio::test]
async fn each_permission_opens_its_own_routes_and_no_other() {
    let door = Door::open().await;
    let victim = door.somebody("victim@example.org", "users", &[]).await;
    let user = format!("/users/{}", victim.id);
    let retry = format!("/operations/{}/retry", some_operation(&door).await);
    let of = |verb: &str| format!("{user}/{verb}");
    let (soft_delete, restore) = (of("soft-delete"), of("restore"));
    let group = some_document(&door, "/ums-config/", json!({ "userGroup": "g", "label": "G", "crudSchema": {} })).await;
    let role = some_document(&door, "/roles/", json!({ "roleId": "r", "permissions": [] })).await;
    let asked: [(&str, &str, Option<Value>, &str); 22] = [
        ("POST", "/users/with-id", Some(json!({ "userGroup": "users", "authUserId": "x" })), "users:write"),
        ("POST", "/users/register", Some(json!({ "_id": victim.id })), "users:write"),
        ("POST", "/users/change-password", Some(json!({ "authUserId": "x" })), "users:write"),
        ("POST", &restore, Some(json!({})), "users:write"),
        ("POST", &soft_delete, Some(json!({})), "users:delete"),
        ("GET", "/ums-config/", None, "groups:read"),
        ("GET", "/ums-config/count", None, "groups:read"),
        ("GET", &group, None, "groups:read"),
        ("POST", "/ums-config/", Some(json!({})), "groups:write"),
        ("PATCH", &group, Some(json!({ "$set": { "label": "H" } })), "groups:write"),
        ("DELETE", &group, None, "groups:write"),
        ("GET", "/roles/", None, "roles:read"),
        ("GET", "/roles/count", None, "roles:read"),
        ("GET", &role, None, "roles:read"),
        ("POST", "/roles/", Some(json!({})), "roles:write"),
        ("PATCH", &role, Some(json!({ "$set": { "name": "R" } })), "roles:write"),
        ("DELETE", &role, None, "roles:write"),
        ("GET", &user, None, "users:read"),
        ("POST", "/users/", Some(json!({ "userGroup": "users", "email": "x" })), "users:write"),
        ("PATCH", &user, Some(json!({ "$set": { "name": "New" } })), "users:write"),
        ("POST", &retry, None, "operations:write"),
        ("DELETE", &user, None, "users:delete"),
    ];
    for permission in [
        "users:read",
        "users:write",
        "operations:read",
        "operations:write",
        "groups:read",
        "users:delete",
        "groups:write",
        "roles:read",
        "roles:write",
    ] {
        let holder =
            door.somebody(&format!("{}@example.org", permission.replace(':', ".")), "users", &[permission]).await;
        for (method, path, body, needed) in &asked {
            let answer = door.send(method, path, Some(&holder.token), body.as_ref()).await;
            assert_eq!(answer.status == 403, permission != *needed, "{permission} at {method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn operations_of_others_are_seen_by_those_who_may() {
    let door = Door::open().await;
    let writer = door.somebody("writer@example.org", "users", &["users:write"]).await;
    let reader = door.somebody("reader@example.org", "users", &["operations:read"]).await;
    let body = json!({ "userGroup": "users", "email": "new@example.org" });
    let made = door.send("POST", "/users/?sendResetPwdEmail=false", Some(&writer.token), Some(&body)).await;
    let operation = made.header("x-operation-id").unwrap();
    let path = format!("/operations/{operation}");
    let seen = async |token: &str| {
        let list = door.send("GET", "/operations/", Some(token), None).await.json();
        let listed = list.as_array().unwrap().iter().any(|entry| entry["id"] == operation);
        (listed, door.send("GET", &path, Some(token), None).await)
    };
    for token in [&writer.token, &reader.token, &door.admin.token] {
        let (listed, one) = seen(token).await;
        assert!(listed && one.status == 200, "{one:?}");
        assert_eq!(one.json()["state"], "done");
    }
    let (listed, one) = seen(&door.powerless.token).await;
    assert!(!listed);
    assert_eq!((one.status, one.code().as_str()), (404, "operation-not-found"));
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_with_its_person() {
    let door = Door::open().await;
    let status = async |token: &str| {
        let answer = door.send("GET", "/operations/", Some(token), None).await;
        (answer.status, if answer.status == 200 { String::new() } else { answer.code() })
    };
    let revoked = (401, "token-revoked".to_owned());

    let blocked = door.somebody("blocked@example.org", "users", &[]).await;
    let deleted = door.somebody("deleted@example.org", "users", &[]).await;
    assert_eq!(status(&blocked.token).await.0, 200);
    let change = json!({ "$set": { "blocked": true } });
    let answer = door.send("PATCH", &format!("/users/{}", blocked.id), Some(&door.admin.token), Some(&change)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(status(&blocked.token).await, revoked);
    let refused = door.log_in("blocked@example.org", PASSWORD).await.unwrap_err();
    assert_refused(&refused);

    assert_eq!(door.send("DELETE", &format!("/users/{}", deleted.id), Some(&door.admin.token), None).await.status, 204);
    assert_eq!(status(&deleted.token).await, revoked);
    assert_refused(&door.log_in("deleted@example.org", PASSWORD).await.unwrap_err());

    door.time.advance(Duration::from_secs(601));
    assert_eq!(status(&door.powerless.token).await, (401, "token-expired".to_owned()));
}

#[tokio::test]
async fn a_refused_login_does_not_say_why() {
    let door = Door::with(&[("LOGIN_REFUSED_STATUS", "403")]).await;
    let wrong = door.log_in("root@example.org", "wrong horse battery").await.unwrap_err();
    let unknown = door.log_in("nobody@example.org", "wrong horse battery").await.unwrap_err();
    let words = |answer: &Answer| {
        let mut body = answer.json();
        body["requestId"] = Value::Null;
        (answer.status, body)
    };
    assert_eq!(words(&wrong), words(&unknown));
    assert_eq!(wrong.status, 403);
    assert_eq!(wrong.json()["message"], "Wrong username or password");
}

#[tokio::test]
async fn a_changed_password_ends_every_token_and_the_new_one_logs_in() {
    let door = Door::open().await;
    let ada = door.somebody("ada@example.org", "users", &[]).await;
    let change = async |token: &str, current: &str, new: &str| {
        let body = json!({ "currentPassword": current, "newPassword": new });
        door.send("POST", "/users/me/change-password", Some(token), Some(&body)).await
    };
    let new = "another horse battery";
    let wrong = change(&ada.token, "wrong horse battery", new).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (403, "password-wrong"));
    for refused in ["too short", PASSWORD, &"x".repeat(5000)] {
        let answer = change(&ada.token, PASSWORD, refused).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "password-refused"), "{refused}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(refused));
    }
    door.time.advance(Duration::from_millis(5));
    assert_eq!(change(&ada.token, PASSWORD, new).await.status, 204);
    door.time.advance(Duration::from_millis(5));
    assert_eq!(change(&ada.token, new, PASSWORD).await.code(), "token-revoked");
    assert_refused(&door.log_in("ada@example.org", PASSWORD).await.unwrap_err());
    let token = door.log_in("ada@example.org", new).await.unwrap();
    assert_eq!(door.send("GET", "/operations/", Some(&token), None).await.status, 200);
}

#[tokio::test]
async fn a_password_made_for_somebody_is_only_good_for_changing_it() {
    let door = Door::open().await;
    let ada = door.somebody("ada@example.org", "users", &["users:read"]).await;
    let identity = door.user(&ada.id).await.unwrap()["authUserId"].as_str().unwrap().to_owned();
    door.app.own_identities.as_ref().unwrap().require_password_change(&identity).await.unwrap();
    let token = door.log_in("ada@example.org", PASSWORD).await.unwrap();
    for path in [format!("/users/{}", ada.id), "/operations/".to_owned()] {
        let answer = door.send("GET", &path, Some(&token), None).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "password-change-required"), "{path}");
        assert!(answer.json()["message"].as_str().unwrap().contains("/users/me/change-password"));
    }
    door.time.advance(Duration::from_millis(5));
    let body = json!({ "currentPassword": PASSWORD, "newPassword": "another horse battery" });
    assert_eq!(door.send("POST", "/users/me/change-password", Some(&token), Some(&body)).await.status, 204);
    let token = door.log_in("ada@example.org", "another horse battery").await.unwrap();
    assert_eq!(door.send("GET", &format!("/users/{}", ada.id), Some(&token), None).await.status, 200);
}

/// The embedded store is asked each time, which the stories above rely on.
#[tokio::test]
async fn over_a_remote_store_a_person_is_looked_up_once_a_second() {
    let world = World::mixed().await;
    let reader = world.caller(&["users:read"]).await;
    let twin = world.crud.as_ref().unwrap();
    let look_ups = || twin.log().iter().filter(|line| line.starts_with("GET") && !line.contains(&reader.id)).count();
    let ask = async || reader.get("/operations/").await.status;
    assert_eq!(ask().await, 200);
    let asked = look_ups();
    for _ in 0..5 {
        assert_eq!(ask().await, 200);
    }
    assert_eq!(look_ups(), asked, "{:?}", twin.log());

    world.passes(Duration::from_secs(1));
    assert_eq!(ask().await, 200);
    assert!(look_ups() > asked);
    world.settled().await;
}

#[tokio::test]
async fn other_credentials_than_a_bearer_token_are_none() {
    let door = Door::open().await;
    for given in ["Basic cm9vdDpyb290", "Bearer", "bearerx y", &door.admin.token.clone(), ""] {
        let answer = door.ask("GET", "/operations/", &[("authorization", given)], b"").await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token-required"), "{given}");
    }
    let any_case = format!("bEARER {}", door.admin.token);
    assert_eq!(door.ask("GET", "/operations/", &[("authorization", &any_case)], b"").await.status, 200);
}

fn assert_refused(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (401, "login-refused"), "{answer:?}");
}

/// Where it stands.
async fn some_document(door: &Door, path: &str, document: Value) -> String {
    let made = door.send("POST", path, Some(&door.admin.token), Some(&document)).await;
    format!("{path}{}", made.json()["_id"].as_str().unwrap())
}

async fn some_operation(door: &Door) -> String {
    let list = door.send("GET", "/operations/?_l=1", Some(&door.admin.token), None).await.json();
    list[0]["id"].as_str().unwrap().to_owned()
}
