//! Bad input for every route: refused with a sentence and a code, and nothing in the world has changed.

use serde_json::{Value, json};

use crate::api::{
    door::{Answer, Door, PASSWORD, request},
    routes,
};

/// A body, what it is called, the content type it comes with, and how it is refused.
struct Hostile {
    what: &'static str,
    content_type: Option<&'static str>,
    body: Vec<u8>,
    code: &'static str,
}

/// A page for people, which takes and answers no JSON.
const PAGE: &str = "/reset-password";

/// Routes that take a body, or could be thought to.
const TAKERS: usize = 26;

/// Those that take a form too: what is no field of it is left out, and what is missing is told as RFC 6749 does.
const FORMS: [&str; 2] = ["/oauth/token", "/oauth/revoke"];

const JSON: Option<&str> = Some("application/json");

/// What no route with a body takes, whatever its members mean.
fn malformed() -> Vec<Hostile> {
    let nested =
        |open: &str, close: &str, depth: usize| format!("{{\"a\":{}{}}}", open.repeat(depth), close.repeat(depth));
    let many: Vec<String> = (0..10_001).map(|n| format!("\"m{n}\":0")).collect();
    let json = |what, body: &str, code| Hostile { what, content_type: JSON, body: body.as_bytes().to_vec(), code };
    let typed = |what, content_type| Hostile {
        what,
        content_type,
        body: b"{\"a\":1}".to_vec(),
        code: "unsupported-media-type",
    };
    vec![
        json("words", "no json at all", "invalid-json"),
        json("half an object", "{\"a\":", "invalid-json"),
        json("an object and more", "{} {}", "invalid-json"),
        json("a trailing comma", "{\"a\":1,}", "invalid-json"),
        json("single quotes", "{'a':1}", "invalid-json"),
        json("a comment", "{/* */\"a\":1}", "invalid-json"),
        json("NaN", "{\"a\":NaN}", "invalid-json"),
        json("a number without end", "{\"a\":1e99999}", "invalid-json"),
        json("half a surrogate pair", "{\"a\":\"\\ud800\"}", "invalid-json"),
        json("a byte order mark", "\u{feff}{}", "invalid-json"),
        json("null", "null", "invalid-json"),
        json("a list", "[]", "invalid-json"),
        json("a list of objects", "[{\"userGroup\":\"users\"}]", "invalid-json"),
        json("a text", "\"a\"", "invalid-json"),
        json("a number", "7", "invalid-json"),
        json("blanks", "   ", "invalid-json"),
        json("a key twice", "{\"a\":1,\"a\":1}", "duplicate-key"),
        json("a key twice inside, once escaped", "{\"x\":{\"a\":1,\"\\u0061\":2}}", "duplicate-key"),
        json("NUL", "{\"a\":\"x\\u0000y\"}", "invalid-value"),
        json("NUL in a name", "{\"a\\u0000\":1}", "invalid-value"),
        json("a prototype", "{\"__proto__\":{\"admin\":true}}", "invalid-value"),
        json("a prototype inside", "{\"$set\":{\"a\":{\"__proto__\":1}}}", "invalid-value"),
        json("deep lists", &nested("[", "]", 64), "too-deep"),
        json("deep objects", &nested("{\"a\":", "}", 5_000).replace("}}", "0}}"), "too-deep"),
        json("many members", &format!("{{{}}}", many.join(",")), "too-deep"),
        Hostile { what: "no UTF-8", content_type: JSON, body: b"{\"a\":\"\xc3\x28\"}".to_vec(), code: "invalid-value" },
        Hostile { what: "UTF-16", content_type: JSON, body: b"\xff\xfe{\0}\0".to_vec(), code: "invalid-value" },
        Hostile { what: "too large", content_type: JSON, body: vec![b' '; 1024 * 1024 + 1], code: "too-large" },
        typed("a form", Some("application/x-www-form-urlencoded")),
        typed("a text", Some("text/plain")),
        typed("another charset", Some("application/json; charset=utf-16")),
        typed("a type that begins alike", Some("application/jsonp")),
    ]
}

fn assert_refused(answer: &Answer, code: &str, told: &str) {
    assert!((400..500).contains(&answer.status), "{told}: {answer:?}");
    assert_eq!(answer.code(), code, "{told}: {}", answer.json());
    assert!(answer.json()["message"].as_str().is_some_and(|sentence| sentence.len() > 5), "{told}: {answer:?}");
}

/// What a route that is no GET makes of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Needed,
    /// A list and no object.
    List,
    /// None, or one that says nothing.
    None,
    /// None, or one of which some members may say something.
    Ignored,
}

/// The methods and paths of every route with a body, as somebody who may do everything would ask them.
async fn takers(door: &Door) -> Vec<(String, String, Body)> {
    let operation = door.send("GET", "/operations/?_l=1", Some(&door.admin.token), None).await.json();
    let takes = |method: &str| method != "GET";
    let body = |method: &str, path: &str| {
        if method == "DELETE" || path.ends_with("/retry") {
            Body::None
        } else if ["/soft-delete", "/restore", "/logout"].iter().any(|end| path.ends_with(end)) {
            Body::Ignored
        } else if path == "/users/state" {
            Body::List
        } else {
            Body::Needed
        }
    };
    let targeted = |path: &str| match path.starts_with("/operations") {
        true => path.replace("{id}", operation[0]["id"].as_str().unwrap()),
        false => path.replace("{id}", &door.powerless.id),
    };
    // What is sent to a page is a form: `stories::links::what_no_form_of_ours_sends_changes_nothing`.
    let all = routes().into_iter().filter(|(method, path)| takes(method) && path != PAGE);
    all.map(|(method, path)| (method.clone(), targeted(&path), body(&method, &path))).collect()
}

#[tokio::test]
async fn no_route_takes_a_malformed_body() {
    let door = Door::open().await;
    let takers = takers(&door).await;
    assert_eq!(takers.len(), TAKERS, "{takers:?}");
    let before = door.snapshot();
    let bearer = format!("Bearer {}", door.admin.token);
    let mut asked = 0;
    for (method, target, body) in &takers {
        for hostile in malformed() {
            let lists = *body == Body::List && hostile.what.starts_with("a list");
            let code = if lists { "validation-failed" } else { hostile.code };
            let mut headers = vec![("authorization", bearer.as_str())];
            headers.extend(hostile.content_type.map(|kind| ("content-type", kind)));
            let answer = door.ask(method, target, &headers, &hostile.body).await;
            asked += 1;
            if hostile.what == "a form" && FORMS.contains(&target.as_str()) {
                assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_request")), "{answer:?}");
                continue;
            }
            assert_refused(&answer, code, &format!("{} at {method} {target}", hostile.what));
        }
    }
    assert_eq!(door.snapshot(), before);
    assert_eq!(asked, TAKERS * 32);
}

#[tokio::test]
async fn a_body_without_a_type_and_a_missing_body_are_told_apart() {
    let door = Door::open().await;
    let before = door.snapshot();
    let bearer = format!("Bearer {}", door.admin.token);
    let packed =
        [("authorization", bearer.as_str()), ("content-type", "application/json"), ("content-encoding", "gzip")];
    for (method, target, body) in takers(&door).await {
        let told = format!("{method} {target}");
        assert_refused(&door.ask(&method, &target, &packed, b"{}").await, "unsupported-media-type", &told);
        if matches!(body, Body::Needed | Body::List) {
            let plain = &packed[..1];
            assert_refused(&door.ask(&method, &target, plain, b"{}").await, "unsupported-media-type", &told);
            assert_refused(&door.ask(&method, &target, plain, b"").await, "invalid-json", &told);
            assert_refused(&door.ask(&method, &target, &packed[..2], b"").await, "invalid-json", &told);
        } else if body == Body::None {
            let answer = door.ask(&method, &target, &packed[..2], br#"{"force":true}"#).await;
            assert_refused(&answer, "validation-failed", &told);
            assert_eq!(answer.json()["errors"][0]["pointer"], "/force");
        }
    }
    assert_eq!(door.snapshot(), before);
}

#[tokio::test]
async fn members_that_are_wrong_are_named() {
    let door = Door::open().await;
    let before = door.snapshot();
    let person = |field: &str, value: Value| {
        let mut fields = json!({ "userGroup": "users", "email": "ada@example.org" });
        fields[field] = value;
        fields
    };
    let user = format!("/users/{}", door.powerless.id);
    let restore = format!("{user}/restore");
    let later = "/users/?postponeAuthUserCreation=true";
    let linked = |field: &str, value: Value| {
        let mut fields = json!({ "authUserId": "no-such-identity", "userGroup": "users" });
        fields[field] = value;
        fields
    };
    let own = "/users/me/change-password";
    let new = "another horse battery";
    let asked: Vec<(&str, &str, Value, &str)> = vec![
        ("POST", "/oauth/token", json!({}), "validation-failed"),
        ("POST", "/oauth/token", json!({ "username": "root@example.org" }), "validation-failed"),
        ("POST", "/oauth/token", json!({ "username": "root@example.org", "password": 7 }), "validation-failed"),
        ("POST", "/oauth/token", json!({ "username": { "$ne": "" }, "password": PASSWORD }), "validation-failed"),
        ("POST", "/oauth/token", json!({ "username": "", "password": PASSWORD }), "validation-failed"),
        ("POST", "/refreshtoken", json!({}), "validation-failed"),
        ("POST", "/refreshtoken", json!({ "refreshToken": 7 }), "validation-failed"),
        ("POST", "/refreshtoken", json!({ "refreshToken": "" }), "validation-failed"),
        ("POST", "/refreshtoken", json!({ "refreshToken": ["x"] }), "validation-failed"),
        ("POST", "/refreshtoken", json!({ "refresh_token": "x" }), "validation-failed"),
        ("POST", "/refreshtoken", json!({ "refreshToken": "x".repeat(100_000) }), "refresh-refused"),
        ("POST", "/refreshtoken", json!({ "refreshToken": "\u{fffd}\u{1f511}" }), "refresh-refused"),
        ("POST", "/oauth/revoke", json!({}), "validation-failed"),
        ("POST", "/oauth/revoke", json!({ "token": 7 }), "validation-failed"),
        ("POST", "/oauth/revoke", json!({ "token": null }), "validation-failed"),
        ("POST", "/users/", json!({}), "validation-failed"),
        ("POST", "/users/", json!({ "email": "ada@example.org" }), "validation-failed"),
        ("POST", "/users/", person("userGroup", json!(["users"])), "validation-failed"),
        ("POST", "/users/", person("userGroup", json!("nobody")), "group-unknown"),
        ("POST", "/users/", person("email", json!(7)), "validation-failed"),
        ("POST", "/users/", person("email", json!("no e-mail")), "validation-failed"),
        ("POST", "/users/", person("unheardOf", json!(1)), "validation-failed"),
        ("POST", "/users/", person("address", json!({ "planet": "Mars" })), "validation-failed"),
        ("POST", "/users/", person("birthDate", json!("yesterday")), "validation-failed"),
        ("POST", "/users/", person("password", json!(7)), "validation-failed"),
        ("POST", "/users/", person("password", Value::Null), "validation-failed"),
        ("POST", "/users/", person("password", json!("short")), "password-refused"),
        ("POST", "/users/", person("_id", json!("5f0c00000000000000000001")), "not-settable"),
        ("POST", "/users/", person("authUserId", json!("x")), "not-settable"),
        ("POST", "/users/", person("__STATE__", json!("PUBLIC")), "not-settable"),
        ("POST", "/users/", person("creatorId", json!("x")), "not-settable"),
        ("POST", "/users/", person("__STATE__", json!("DRAFT")), "not-settable"),
        ("POST", "/users/", person("expirationId", json!("x")), "not-settable"),
        ("POST", later, person("password", json!(PASSWORD)), "password-without-identity"),
        ("POST", later, person("password", json!("short")), "password-without-identity"),
        ("POST", later, person("password", json!(7)), "validation-failed"),
        ("POST", later, person("email", json!(7)), "validation-failed"),
        ("POST", later, person("userGroup", json!("nobody")), "group-unknown"),
        ("POST", later, person("authUserId", json!("x")), "not-settable"),
        ("POST", later, json!({}), "validation-failed"),
        ("POST", "/users/with-id", json!({}), "validation-failed"),
        ("POST", "/users/with-id", json!({ "userGroup": "users" }), "validation-failed"),
        ("POST", "/users/with-id", linked("authUserId", json!(7)), "validation-failed"),
        ("POST", "/users/with-id", linked("authUserId", Value::Null), "validation-failed"),
        ("POST", "/users/with-id", linked("authUserId", json!(["x"])), "validation-failed"),
        ("POST", "/users/with-id", linked("authUserId", json!({ "$ne": "" })), "validation-failed"),
        ("POST", "/users/with-id", linked("authUserId", json!("")), "validation-failed"),
        ("POST", "/users/with-id", linked("authUserId", json!("x".repeat(256))), "invalid-value"),
        ("POST", "/users/with-id", linked("authUserId", json!("a\u{7}b")), "invalid-value"),
        ("POST", "/users/with-id", linked("authUserId", json!(".")), "invalid-value"),
        ("POST", "/users/with-id", linked("authUserId", json!("..")), "invalid-value"),
        ("POST", "/users/with-id", linked("authUserId", json!("../../x")), "identity-unknown"),
        ("POST", "/users/with-id", linked("authUserId", json!("' OR 1=1 --")), "identity-unknown"),
        ("POST", "/users/with-id", linked("userGroup", json!(7)), "validation-failed"),
        ("POST", "/users/with-id", linked("userGroup", Value::Null), "validation-failed"),
        ("POST", "/users/with-id", linked("userGroup", json!("nobody")), "group-unknown"),
        ("POST", "/users/with-id", linked("_id", json!("5f0c00000000000000000001")), "not-settable"),
        ("POST", "/users/with-id", linked("__STATE__", json!("DRAFT")), "not-settable"),
        ("POST", "/users/with-id", linked("creatorId", json!("x")), "not-settable"),
        ("POST", "/users/with-id", linked("expirationId", json!("x")), "not-settable"),
        ("POST", "/users/with-id", linked("unheardOf", json!(1)), "identity-unknown"),
        ("POST", "/users/register", json!({}), "validation-failed"),
        ("POST", "/users/register", json!({ "id": door.powerless.id }), "validation-failed"),
        ("POST", "/users/register", json!({ "_id": 7 }), "validation-failed"),
        ("POST", "/users/register", json!({ "_id": null }), "validation-failed"),
        ("POST", "/users/register", json!({ "_id": [door.powerless.id] }), "validation-failed"),
        ("POST", "/users/register", json!({ "_id": { "$ne": "" } }), "validation-failed"),
        ("POST", "/users/register", json!({ "_id": "" }), "validation-failed"),
        ("POST", "/users/register", json!({ "_id": "x" }), "invalid-value"),
        ("POST", "/users/register", json!({ "_id": "5f0c0000000000000000000g" }), "invalid-value"),
        ("POST", "/users/register", json!({ "_id": format!("{} ", door.powerless.id) }), "invalid-value"),
        ("POST", "/users/register", json!({ "_id": "5f0c00000000000000000001" }), "user-not-found"),
        ("POST", "/users/register", json!({ "_id": door.powerless.id }), "already-registered"),
        ("POST", "/users/register", json!({ "_id": door.powerless.id, "password": 7 }), "validation-failed"),
        ("POST", "/users/register", json!({ "_id": door.powerless.id, "password": "" }), "validation-failed"),
        ("POST", "/users/register", json!({ "_id": door.powerless.id, "password": [new] }), "validation-failed"),
        ("POST", "/users/change-password", json!({}), "validation-failed"),
        ("POST", "/users/change-password", json!({ "authUserId": 7 }), "validation-failed"),
        ("POST", "/users/change-password", json!({ "authUserId": null }), "validation-failed"),
        ("POST", "/users/change-password", json!({ "authUserId": "" }), "validation-failed"),
        ("POST", "/users/change-password", json!({ "authUserId": ["x"] }), "validation-failed"),
        ("POST", "/users/change-password", json!({ "authUserId": { "$ne": "" } }), "validation-failed"),
        ("POST", "/users/change-password", json!({ "authUserId": ".." }), "invalid-value"),
        ("POST", "/users/change-password", json!({ "authUserId": "x".repeat(256) }), "invalid-value"),
        ("POST", "/users/change-password", json!({ "authUserId": "a\u{7}b" }), "invalid-value"),
        ("POST", "/users/change-password", json!({ "authUserId": "../../x" }), "identity-not-found"),
        ("POST", &restore, json!({}), "transition-not-allowed"),
        ("POST", &restore, json!({ "stateTo": "PUBLIC" }), "transition-not-allowed"),
        ("POST", &restore, json!({ "stateTo": "DRAFT" }), "transition-not-allowed"),
        ("POST", &restore, json!({ "stateTo": "TRASH" }), "validation-failed"),
        ("POST", &restore, json!({ "stateTo": "DELETED" }), "validation-failed"),
        ("POST", &restore, json!({ "stateTo": "public" }), "validation-failed"),
        ("POST", &restore, json!({ "stateTo": "" }), "validation-failed"),
        ("POST", &restore, json!({ "stateTo": 7 }), "validation-failed"),
        ("POST", &restore, json!({ "stateTo": null }), "validation-failed"),
        ("POST", &restore, json!({ "stateTo": ["PUBLIC"] }), "validation-failed"),
        ("PATCH", &user, json!({ "name": "x" }), "invalid-patch"),
        ("PATCH", &user, json!({ "$rename": { "name": "x" } }), "invalid-patch"),
        ("PATCH", &user, json!({ "$set": [] }), "invalid-patch"),
        ("PATCH", &user, json!({ "$set": { "name": "x" }, "$unset": { "name": true } }), "invalid-patch"),
        ("PATCH", &user, json!({ "$set": { "email": 7 } }), "validation-failed"),
        ("PATCH", &user, json!({ "$unset": { "email": true } }), "validation-failed"),
        ("PATCH", &user, json!({ "$set": { "unheardOf": 1 } }), "validation-failed"),
        ("PATCH", &user, json!({ "$set": { "_id": "5f0c00000000000000000001" } }), "not-settable"),
        ("PATCH", &user, json!({ "$set": { "authUserId": "x" } }), "not-settable"),
        ("PATCH", &user, json!({ "$set": { "__STATE__": "TRASH" } }), "not-settable"),
        ("POST", own, json!({}), "validation-failed"),
        ("POST", own, json!({ "currentPassword": PASSWORD }), "validation-failed"),
        ("POST", own, json!({ "currentPassword": PASSWORD, "newPassword": [new] }), "validation-failed"),
        ("POST", own, json!({ "currentPassword": PASSWORD, "newPassword": "short" }), "password-refused"),
    ];
    for (method, path, body, code) in &asked {
        let answer = door.send(method, path, Some(&door.admin.token), Some(body)).await;
        assert_refused(&answer, code, &format!("{method} {path} {body}"));
        for secret in [PASSWORD, new] {
            assert!(!String::from_utf8_lossy(&answer.body).contains(secret), "{answer:?}");
        }
    }
    assert_eq!(door.snapshot(), before);
}

#[tokio::test]
async fn what_makes_no_group_is_refused() {
    let door = Door::open().await;
    let guests = json!({ "userGroup": "guests", "label": "Guests", "crudSchema": {} });
    let made = door.send("POST", "/ums-config/", Some(&door.admin.token), Some(&guests)).await;
    let group = format!("/ums-config/{}", made.json()["_id"].as_str().unwrap());
    let before = door.snapshot();
    let with = |member: &str, value: Value| {
        let mut body = json!({ "userGroup": "others", "label": "Others", "crudSchema": {} });
        body[member] = value;
        body
    };
    let schema = |schema: Value| with("crudSchema", schema);
    let set = |member: &str, value: Value| json!({ "$set": { member: value } });
    let check = format!("{group}/check");
    let large = json!({ "description": "x".repeat(300 * 1024) });
    let (invalid, schemaless, fixed) = ("validation-failed", "invalid-schema", "not-settable");
    let asked: Vec<(&str, &str, Value, &str)> = vec![
        ("POST", "/ums-config/", json!({}), invalid),
        ("POST", "/ums-config/", json!({ "userGroup": "others" }), invalid),
        ("POST", "/ums-config/", json!({ "userGroup": "others", "label": "O" }), invalid),
        ("POST", "/ums-config/", with("userGroup", json!("")), invalid),
        ("POST", "/ums-config/", with("userGroup", json!(" others")), invalid),
        ("POST", "/ums-config/", with("userGroup", json!("__fence")), invalid),
        ("POST", "/ums-config/", with("userGroup", json!("a\nb")), invalid),
        ("POST", "/ums-config/", with("userGroup", json!("x".repeat(256))), invalid),
        ("POST", "/ums-config/", with("userGroup", json!(7)), invalid),
        ("POST", "/ums-config/", with("userGroup", json!(["others"])), invalid),
        ("POST", "/ums-config/", with("userGroup", Value::Null), invalid),
        ("POST", "/ums-config/", with("label", json!("")), invalid),
        ("POST", "/ums-config/", with("label", json!({})), invalid),
        ("POST", "/ums-config/", with("authUserCreationDisabled", json!("true")), invalid),
        ("POST", "/ums-config/", with("authUserCreationDisabled", json!(1)), invalid),
        ("POST", "/ums-config/", with("passwordPolicy", json!([])), invalid),
        ("POST", "/ums-config/", with("passwordPolicy", json!({ "minLength": 7 })), invalid),
        ("POST", "/ums-config/", with("passwordPolicy", json!({ "minLength": "10" })), invalid),
        ("POST", "/ums-config/", with("passwordPolicy", json!({ "minLength": 1e9 })), invalid),
        ("POST", "/ums-config/", with("passwordPolicy", json!({ "refuseCommon": 1 })), invalid),
        ("POST", "/ums-config/", with("passwordPolicy", json!({ "maxLength": 9 })), invalid),
        ("POST", "/ums-config/", with("unheardOf", json!(1)), invalid),
        ("POST", "/ums-config/", with("$set", json!({})), invalid),
        ("POST", "/ums-config/", with("_id", json!("5f0c00000000000000000001")), fixed),
        ("POST", "/ums-config/", with("__STATE__", json!("PUBLIC")), fixed),
        ("POST", "/ums-config/", with("creatorId", json!("x")), fixed),
        ("POST", "/ums-config/", with("updatedAt", json!("2031-01-01T00:00:00.000Z")), fixed),
        ("POST", "/ums-config/", with("userGroup", json!("guests")), "group-exists"),
        ("POST", "/ums-config/", with("userGroup", json!("users")), "group-exists"),
        ("POST", "/ums-config/", schema(json!([])), invalid),
        ("POST", "/ums-config/", schema(json!("{}")), invalid),
        ("POST", "/ums-config/", schema(json!(true)), invalid),
        ("POST", "/ums-config/", schema(Value::Null), invalid),
        ("POST", "/ums-config/", schema(json!({ "type": "strnig" })), schemaless),
        ("POST", "/ums-config/", schema(json!({ "type": [] })), schemaless),
        ("POST", "/ums-config/", schema(json!({ "properties": [] })), schemaless),
        ("POST", "/ums-config/", schema(json!({ "required": [7] })), schemaless),
        ("POST", "/ums-config/", schema(json!({ "properties": { "a": { "pattern": "(" } } })), schemaless),
        ("POST", "/ums-config/", schema(json!({ "patternProperties": { "[": {} } })), schemaless),
        ("POST", "/ums-config/", schema(json!({ "properties": { "a": { "multipleOf": 0 } } })), schemaless),
        ("POST", "/ums-config/", schema(json!({ "$ref": "#/nowhere" })), schemaless),
        ("POST", "/ums-config/", schema(json!({ "$ref": "http://127.0.0.1:1/x" })), schemaless),
        ("POST", "/ums-config/", schema(json!({ "$ref": "file:///etc/passwd" })), schemaless),
        ("POST", "/ums-config/", schema(json!({ "$schema": "http://example.org/x" })), schemaless),
        ("POST", "/ums-config/", schema(json!({ "$schema": 4 })), schemaless),
        ("POST", "/ums-config/", schema(large.clone()), schemaless),
        (
            "POST",
            "/ums-config/",
            schema(json!({ "properties": { "name": { "type": "array" } } })),
            "field-type-conflict",
        ),
        ("PATCH", &group, json!({}), "invalid-patch"),
        ("PATCH", &group, json!({ "label": "x" }), "invalid-patch"),
        ("PATCH", &group, json!({ "$rename": { "label": "x" } }), "invalid-patch"),
        ("PATCH", &group, json!({ "$inc": { "label": 1 } }), "invalid-patch"),
        ("PATCH", &group, json!({ "$currentDate": { "label": true } }), "invalid-patch"),
        ("PATCH", &group, set("userGroup", json!("others")), fixed),
        ("PATCH", &group, json!({ "$unset": { "userGroup": true } }), fixed),
        ("PATCH", &group, set("_id", json!("5f0c00000000000000000001")), fixed),
        ("PATCH", &group, set("__STATE__", json!("TRASH")), fixed),
        ("PATCH", &group, set("createdAt", json!("x")), fixed),
        ("PATCH", &group, set("label", json!(7)), invalid),
        ("PATCH", &group, set("unheardOf", json!(7)), invalid),
        ("PATCH", &group, json!({ "$unset": { "label": true } }), invalid),
        ("PATCH", &group, json!({ "$unset": { "crudSchema": true } }), invalid),
        ("PATCH", &group, set("crudSchema", json!(7)), invalid),
        ("PATCH", &group, set("crudSchema", json!({ "type": 7 })), schemaless),
        ("PATCH", &group, set("crudSchema.type", json!("strnig")), schemaless),
        ("PATCH", &group, set("crudSchema", large.clone()), schemaless),
        ("POST", &check, json!({}), invalid),
        ("POST", &check, json!({ "crudSchema": {}, "more": 1 }), invalid),
        ("POST", &check, json!({ "schema": {} }), invalid),
        ("POST", &check, json!({ "crudSchema": 7 }), schemaless),
        ("POST", &check, json!({ "crudSchema": { "type": 7 } }), schemaless),
        ("POST", &check, json!({ "crudSchema": large }), schemaless),
    ];
    assert!(asked.len() >= 60);
    for (method, path, body, code) in &asked {
        let answer = door.send(method, path, Some(&door.admin.token), Some(body)).await;
        assert_refused(&answer, code, &format!("{method} {path} {:.200}", body.to_string()));
        let pointed = ["validation-failed", "invalid-schema"].contains(code);
        assert_eq!(answer.json()["errors"].is_array(), pointed || *code == "invalid-patch", "{}", answer.json());
    }
    assert_eq!(door.snapshot(), before);
}

#[tokio::test]
async fn what_makes_no_role_is_refused() {
    let door = Door::open().await;
    let role = json!({ "roleId": "boss", "permissions": ["users:admin"] });
    let made = door.send("POST", "/roles/", Some(&door.admin.token), Some(&role)).await;
    let role = format!("/roles/{}", made.json()["_id"].as_str().unwrap());
    let before = door.snapshot();
    let with = |member: &str, value: Value| {
        let mut body = json!({ "roleId": "clerk", "permissions": ["users:read"] });
        body[member] = value;
        body
    };
    let set = |member: &str, value: Value| json!({ "$set": { member: value } });
    let (invalid, fixed) = ("validation-failed", "not-settable");
    let asked: Vec<(&str, &str, Value, &str)> = vec![
        ("POST", "/roles/", json!({}), invalid),
        ("POST", "/roles/", json!({ "roleId": "clerk" }), invalid),
        ("POST", "/roles/", json!({ "permissions": [] }), invalid),
        ("POST", "/roles/", with("roleId", json!("")), invalid),
        ("POST", "/roles/", with("roleId", json!("__fence-1")), invalid),
        ("POST", "/roles/", with("roleId", json!("x".repeat(300))), invalid),
        ("POST", "/roles/", with("roleId", json!({ "$ne": "" })), invalid),
        ("POST", "/roles/", with("roleId", Value::Null), invalid),
        ("POST", "/roles/", with("name", json!(7)), invalid),
        ("POST", "/roles/", with("description", json!([])), invalid),
        ("POST", "/roles/", with("permissions", json!("users:read")), invalid),
        ("POST", "/roles/", with("permissions", json!({})), invalid),
        ("POST", "/roles/", with("permissions", json!([7])), invalid),
        ("POST", "/roles/", with("permissions", json!([""])), invalid),
        ("POST", "/roles/", with("permissions", json!(["a b"])), invalid),
        ("POST", "/roles/", with("permissions", json!(["\u{e4}"])), invalid),
        ("POST", "/roles/", with("permissions", json!([["users:read"]])), invalid),
        ("POST", "/roles/", with("permissions", Value::Null), invalid),
        ("POST", "/roles/", with("unheardOf", json!(1)), invalid),
        ("POST", "/roles/", with("_id", json!("5f0c00000000000000000001")), fixed),
        ("POST", "/roles/", with("__STATE__", json!("DRAFT")), fixed),
        ("POST", "/roles/", with("roleId", json!("boss")), "role-exists"),
        ("PATCH", &role, json!({}), "invalid-patch"),
        ("PATCH", &role, json!({ "permissions": [] }), "invalid-patch"),
        ("PATCH", &role, json!({ "$push": { "name": "x" } }), invalid),
        ("PATCH", &role, set("roleId", json!("other")), fixed),
        ("PATCH", &role, json!({ "$unset": { "roleId": true } }), fixed),
        ("PATCH", &role, set("updaterId", json!("x")), fixed),
        ("PATCH", &role, set("permissions", json!("x")), invalid),
        ("PATCH", &role, set("name", json!(true)), invalid),
        ("PATCH", &role, json!({ "$unset": { "permissions": true } }), invalid),
        ("PATCH", &role, json!({ "$push": { "permissions": 7 } }), invalid),
        ("PATCH", &role, set("unheardOf", json!({})), invalid),
    ];
    for (method, path, body, code) in &asked {
        let answer = door.send(method, path, Some(&door.admin.token), Some(body)).await;
        assert_refused(&answer, code, &format!("{method} {path} {body}"));
    }
    for path in ["/ums-config/", "/roles/", "/ums-config/count", "/roles/count"] {
        for (query, code) in [
            ("_l=0", "invalid-parameter"),
            ("_l=201", "invalid-parameter"),
            ("_l=x", "invalid-parameter"),
            ("_sk=-1", "invalid-parameter"),
            ("_sk=x", "invalid-parameter"),
            ("_l=1&_l=1", "invalid-parameter"),
            ("_zz=1", "invalid-parameter"),
            ("_st=GONE", "invalid-parameter"),
            ("unheardOf=1", "invalid-query"),
            ("_id=x", "invalid-query"),
            ("_q=x", "invalid-query"),
            ("_q=%7B%22unheardOf%22%3A1%7D", "invalid-query"),
            ("_q=%7B%22%24where%22%3A1%7D", "invalid-query"),
        ] {
            let answer = door.send("GET", &format!("{path}?{query}"), Some(&door.admin.token), None).await;
            assert_refused(&answer, code, &format!("{path}?{query}"));
        }
    }
    assert_eq!(door.snapshot(), before);
}

#[tokio::test]
async fn an_id_that_cannot_be_is_as_unknown_as_one_that_is_not() {
    let door = Door::open().await;
    let before = door.snapshot();
    let id = door.powerless.id.clone();
    let with = |end: &str| format!("{id}{end}");
    let ids = [
        "5f0c00000000000000000001",
        "0",
        "me",
        "null",
        "%00",
        "%ff",
        "%2e%2e%2fusers",
        "%20",
        "undefined",
        "-1",
        "*",
        "$ne",
        "{}",
        "[object%20Object]",
        "5f0c0000000000000000000g",
        "\u{ff15}f0c00000000000000000001",
        "019aa000-0000-7000-8000-000000000000",
        "019aa000-0000-7000-8000-00000000000",
        "%7B019aa000%7D",
    ];
    let further = [with("0"), with("%00"), with("%20"), with("%0a"), with(";x"), with(","), "a".repeat(4000)];
    let ids = ids.into_iter().map(str::to_owned).chain(further);
    for id in ids {
        let asked: [(&str, String, Option<Value>, &str); 14] = [
            ("GET", format!("/ums-config/{id}"), None, "group-not-found"),
            ("PATCH", format!("/ums-config/{id}"), Some(json!({ "$set": { "label": "x" } })), "group-not-found"),
            ("DELETE", format!("/ums-config/{id}"), None, "group-not-found"),
            ("POST", format!("/ums-config/{id}/check"), Some(json!({ "crudSchema": {} })), "group-not-found"),
            ("GET", format!("/roles/{id}"), None, "role-not-found"),
            ("PATCH", format!("/roles/{id}"), Some(json!({ "$set": { "name": "x" } })), "role-not-found"),
            ("DELETE", format!("/roles/{id}"), None, "role-not-found"),
            ("GET", format!("/users/{id}"), None, "user-not-found"),
            ("PATCH", format!("/users/{id}"), Some(json!({ "$set": { "name": "x" } })), "user-not-found"),
            ("DELETE", format!("/users/{id}"), None, "user-not-found"),
            ("POST", format!("/users/{id}/soft-delete"), None, "user-not-found"),
            ("POST", format!("/users/{id}/restore"), Some(json!({})), "user-not-found"),
            ("GET", format!("/operations/{id}"), None, "operation-not-found"),
            ("POST", format!("/operations/{id}/retry"), None, "operation-not-found"),
        ];
        for (method, target, body, code) in asked {
            // What is no ASCII does not belong into a request line; some take it all the same.
            let answer = door.send(method, &target, Some(&door.admin.token), body.as_ref()).await;
            assert_eq!((answer.status, answer.code().as_str()), (404, code), "{method} {target}");
        }
    }
    assert_eq!(door.snapshot(), before);
}

const SPEAKING: [&str; 7] =
    ["/users", "/users/count", "/users/{id}", "/ums-config", "/ums-config/count", "/roles", "/roles/count"];

/// Parameters, decoded, and how they are refused. Where a route does not know one it is refused as a parameter.
fn hostile_queries() -> Vec<(Vec<(&'static str, String)>, &'static str)> {
    let one = |name: &'static str, value: &str, code| (vec![(name, value.to_owned())], code);
    let twice = |name: &'static str, value: &str, code| (vec![(name, value.to_owned()); 2], code);
    let q = |value: Value| (vec![("_q", value.to_string())], "invalid-query");
    let deep = |depth: usize| format!("{}{}{}", r#"{"$or":["#.repeat(depth), "{}", "]}".repeat(depth));
    let (query, parameter) = ("invalid-query", "invalid-parameter");
    vec![
        one("_q", "", query),
        one("_q", "x", query),
        one("_q", "{", query),
        one("_q", "null", query),
        one("_q", "[]", query),
        one("_q", "7", query),
        one("_q", "\"x\"", query),
        one("_q", "{\"name\":\"a\",\"name\":\"b\"}", query),
        one("_q", "{\"name\":\"a\\u0000\"}", query),
        one("_q", "{\"name\":\"a\0\"}", query),
        one("_q", "{\"__proto__\":1}", query),
        one("_q", "{\"name\":1e999}", query),
        one("_q", &deep(11), query),
        one("_q", &deep(40), query),
        one("_q", &deep(1_000), query),
        q(json!({ "$or": vec![json!({ "name": "x" }); 1_001] })),
        q(json!({ "name": { "$in": vec![0; 10_001] } })),
        q(json!({ "name": { "$regex": "a".repeat(501) } })),
        q(json!({ "name": { "$regex": "((a{500}){500}){500}" } })),
        q(json!({ "name": { "$regex": "(a+)+$", "$options": "xx" } })),
        q(json!({ "name": { "$regex": "(?<!a)b" } })),
        q(json!({ "name": { "$regex": "\\" } })),
        q(json!({ "name": { "$where": "sleep(1000)" } })),
        q(json!({ "$where": "sleep(1000)" })),
        q(json!({ "$expr": { "$gt": ["$a", "$b"] } })),
        q(json!({ "$text": { "$search": "x" } })),
        q(json!({ "name": { "$eq": { "$ne": "" } } })),
        q(json!({ "address": { "$ne": 1 } })),
        q(json!({ "address.": 1 })),
        q(json!({ "address.$city": 1 })),
        q(json!({ "a".repeat(300): 1 })),
        q(json!({ vec!["address"; 30].join("."): 1 })),
        q(json!({ "password": "x" })),
        q(json!({ "birthDate": "yesterday" })),
        q(json!({ "createdAt": { "$gt": "now" } })),
        q(json!({ "createdAt": 9_007_199_254_740_993_i64 })),
        q(json!({ "roles": { "$size": "many" } })),
        one("_st", "", parameter),
        one("_st", "public", parameter),
        one("_st", "PUBLIC,", parameter),
        one("_st", "PUBLICX", parameter),
        one("_st", "%", parameter),
        twice("_st", "PUBLIC", parameter),
        twice("_q", "{}", parameter),
        one("_l", "0", parameter),
        one("_l", "201", parameter),
        one("_l", "-1", parameter),
        one("_l", "+1", parameter),
        one("_l", "1e1", parameter),
        one("_l", "\u{661}", parameter),
        one("_l", "", parameter),
        one("_l", "99999999999999999999", parameter),
        one("_sk", "-1", parameter),
        one("_sk", "99999999999999999999", parameter),
        one("_sk", "x", parameter),
        one("_s", "", query),
        one("_s", "unheardOf", query),
        one("_s", "--name", query),
        one("_s", "name,", query),
        one("_s", "$name", query),
        one("_s", &["name"; 11].join(","), query),
        one("_p", "$name", query),
        one("_p", "address,address.city", query),
        one("_rawp", "x", query),
        one("_rawp", "[]", query),
        one("_rawp", r#"{"name":1,"email":0}"#, query),
        one("_rawp", r#"{"name":{"$slice":1}}"#, query),
        one("_rawp", r#"{"name":"$$ROOT"}"#, query),
        (vec![("_p", "name".to_owned()), ("_rawp", "{}".to_owned())], parameter),
        one("_useEstimate", "true", parameter),
        one("_exportOpts", "{}", parameter),
        one("__STATE__", "PUBLIC", parameter),
        one("_unheardOf", "x", parameter),
        one("unheardOf", "x", query),
        one("password", "x", query),
        one("", "x", query),
        one("$where", "1", query),
        one("name[$ne]", "x", query),
        one("name", "a\0b", query),
        twice("name", "x", query),
        one("blocked", "yes", query),
        one("birthDate", "yesterday", query),
        one("address", "x", query),
        one("address.planet", "x", query),
        one("roles.0", "x", query),
    ]
}

#[tokio::test]
async fn queries_that_are_not_understood_are_refused() {
    let door = Door::open().await;
    let before = door.snapshot();
    let mut asked = 0;
    for (pairs, code) in hostile_queries() {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let one = format!("/users/{}", door.powerless.id);
        for (method, path, without) in [
            ("GET", "/users/", &[][..]),
            ("GET", "/users/count", &["_p", "_rawp", "_s", "_l", "_sk"][..]),
            ("GET", &one, &["_s", "_l", "_sk"][..]),
            ("PATCH", &one, &["_p", "_rawp", "_s", "_l", "_sk"][..]),
        ] {
            let body = (method == "PATCH").then(|| json!({ "$set": { "name": "x" } }));
            let code = if without.contains(&pairs[0].0) { "invalid-parameter" } else { code };
            let answer = door.send(method, &format!("{path}?{query}"), Some(&door.admin.token), body.as_ref()).await;
            let told = format!("{method} {path}?{query:.200}");
            // What is too long for a target is no longer read.
            if [414, 431].contains(&answer.status) {
                continue;
            }
            assert_refused(&answer, code, &told);
            asked += 1;
        }
    }
    assert!(asked >= 200, "{asked}");
    let bearer = format!("Bearer {}", door.admin.token);
    for garbage in ["%%%", "e30", "eyJ4", "{}", "/w==", "bnVsbA==", "e30=e30="] {
        let headers = [("authorization", bearer.as_str()), ("json-query-params-encoding", "base64")];
        let query: String = url::form_urlencoded::byte_serialize(garbage.as_bytes()).collect();
        let answer = door.ask("GET", &format!("/users/?_q={query}"), &headers, b"").await;
        match garbage {
            // Without its padding it is still an object.
            "e30" => assert_eq!(answer.status, 200, "{answer:?}"),
            _ => assert_refused(&answer, "invalid-query", garbage),
        }
    }
    assert_eq!(door.snapshot(), before);
}

const CHANGING: (&str, &str) = ("PATCH", "/users/{id}");

#[tokio::test]
async fn a_parameter_that_a_route_does_not_know_is_refused() {
    let door = Door::open().await;
    let before = door.snapshot();
    for (method, path) in routes() {
        // Those that read users, or change one, have a language of their own: `queries_that_are_not_understood_are_refused`.
        if method == "GET" && SPEAKING.contains(&path.as_str())
            || (method.as_str(), path.as_str()) == CHANGING
            || path == PAGE
        {
            continue;
        }
        let path = path.replace("{id}", &door.powerless.id);
        for query in ["_q=%7B%7D", "x=1", "_l", "%00=1", "state=x", "%ff", "_id=x&_id=y"] {
            let listed = path == "/operations" && ["_l", "state=x"].contains(&query);
            let answer = door.send(&method, &format!("{path}?{query}"), Some(&door.admin.token), None).await;
            assert_refused(&answer, "invalid-parameter", &format!("{method} {path}?{query} {listed}"));
        }
    }
    for query in ["", "=", "=1", "=yes", "=TRUE", "=true&postponeAuthUserCreation=true", "=true&sendResetPwdEmail=yes"]
    {
        let target = format!("/users/?postponeAuthUserCreation{query}");
        let body = json!({ "userGroup": "users", "email": "new@example.org" });
        let answer = door.send("POST", &target, Some(&door.admin.token), Some(&body)).await;
        assert_refused(&answer, "invalid-parameter", query);
    }
    for query in
        ["state=done&state=done", "_l=0", "_l=-1", "_l=1e3", "_l=999999999999", "after=x", "subject=x", "actor=x"]
    {
        let answer = door.send("GET", &format!("/operations/?{query}"), Some(&door.admin.token), None).await;
        assert_refused(&answer, "invalid-parameter", query);
    }
    assert_eq!(door.snapshot(), before);
}

#[tokio::test]
async fn headers_that_could_be_read_in_two_ways_are_refused() {
    let door = Door::open().await;
    let before = door.snapshot();
    let bearer = format!("Bearer {}", door.admin.token);
    for (name, first, second) in [
        ("authorization", bearer.as_str(), bearer.as_str()),
        ("content-type", "application/json", "text/plain"),
        ("x-request-id", "a", "b"),
        ("host", "a", "b"),
    ] {
        for (method, path) in routes() {
            let headers = [("authorization", bearer.as_str()), (name, first), (name, second)];
            let skip = usize::from(name == "authorization");
            let answer = door.ask(&method, &path, &headers[skip..], b"").await;
            assert_refused(&answer, "ambiguous-header", &format!("{name} at {method} {path}"));
        }
    }
    assert_eq!(door.snapshot(), before);
}

#[tokio::test]
async fn strange_headers_do_no_harm() {
    let door = Door::open().await;
    let before = door.snapshot();
    let bearer = format!("Bearer {}", door.admin.token);
    let long = "x".repeat(20_000);
    for (name, value) in [
        ("accept", "\u{0}"),
        ("accept", ";;;,,,q=q"),
        ("x-request-id", "\u{fc}"),
        ("x-request-id", "a\tb"),
        ("cookie", &long),
        ("if-none-match", &long),
        ("if-match", "\"\"\"\""),
        ("content-length", "x"),
        ("content-length", "18446744073709551616"),
        ("transfer-encoding", "chunked, chunked"),
        ("connection", "upgrade"),
        ("upgrade", "h2c"),
        ("expect", "200-nothing"),
        ("miauserid", "root"),
        ("x-forwarded-for", "127.0.0.1"),
        ("range", "bytes=0-0"),
        ("accept-encoding", "gzip"),
        ("idempotency-key", ""),
        ("prefer", "wait=x"),
    ] {
        let target = format!("/users/{}", door.powerless.id);
        let mut line = door.connect().await;
        line.write(&request("GET", &target, &[("authorization", &bearer), (name, value)], b"")).await;
        if let Some(answer) = line.read_answer("GET").await {
            assert!([200, 400].contains(&answer.status), "{name}: {value:.40}: {answer:?}");
        }
    }
    let unknown = door.ask("BREW", "/users/7", &[("authorization", &bearer)], b"").await;
    assert_refused(&unknown, "method-not-allowed", "a method that nobody knows");
    assert_eq!(door.snapshot(), before);
}

#[tokio::test]
async fn an_idempotency_key_that_cannot_be_one_is_refused() {
    let door = Door::open().await;
    let before = door.snapshot();
    let bearer = format!("Bearer {}", door.admin.token);
    let long = "k".repeat(256);
    let mut asked = 0;
    for (method, target, _) in takers(&door).await {
        // Elsewhere it says nothing.
        let sessions = ["/oauth/token", "/oauth/revoke", "/refreshtoken", "/logout", "/users/me/change-password"];
        let ignored = sessions.contains(&target.as_str());
        if method == "DELETE" || ignored || target.ends_with("/check") {
            continue;
        }
        let ask = async |keys: &[&str]| {
            let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
            headers.extend(keys.iter().map(|key| ("idempotency-key", *key)));
            door.ask(&method, &target, &headers, b"{\"unheardOf\":1}").await
        };
        for key in ["", " ", "two words", "a\tb", "\u{e9}", "\u{1f511}", long.as_str()] {
            let answer = ask(&[key]).await;
            assert_refused(&answer, "invalid-idempotency-key", &format!("{method} {target} {key:?}"));
            asked += 1;
        }
        assert_refused(&ask(&["a", "a"]).await, "ambiguous-header", &format!("{method} {target}"));
        let longest = ask(&[&long[1..]]).await;
        assert_ne!(longest.code(), "invalid-idempotency-key", "{longest:?}");
        assert!((400..500).contains(&longest.status), "{longest:?}");
    }
    assert!(asked >= 3 * 7, "{asked}");
    let mut after = door.snapshot();
    // What was refused under the longest key is kept, and nothing else.
    for table in ["idempotency_key", "chain"] {
        after.insert(table.to_owned(), before[table].clone());
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn events_are_asked_for_strictly() {
    let door = Door::open().await;
    let before = door.snapshot();
    for query in [
        "after=",
        "after=7",
        "after=019aa000-0000-7000-8000-00000000000",
        "actor=",
        "subject=",
        "action=",
        "_l=0",
        "_l=201",
        "_l=x",
        "kind=log-in",
        "after",
        "_q=%7B%7D",
        "action=a&action=b",
    ] {
        let answer = door.send("GET", &format!("/events/?{query}"), Some(&door.admin.token), None).await;
        assert_refused(&answer, "invalid-parameter", query);
    }
    assert_eq!(door.snapshot(), before);
}
