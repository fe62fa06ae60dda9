//! What every answer has in common.

use serde_json::json;

use super::{
    door::{Door, PASSWORD},
    routes,
};

#[tokio::test]
async fn every_answer_has_the_same_frame() {
    let door = Door::open().await;
    for (method, path) in routes() {
        let path = path.replace("{id}", &door.powerless.id);
        for token in [None, Some(door.powerless.token.as_str())] {
            let answer = door.send(&method, &path, token, None).await;
            let told = format!("{method} {path}: {answer:?}");
            assert_eq!(answer.header("x-user-manager-version"), Some(env!("CARGO_PKG_VERSION")), "{told}");
            let id = answer.header("x-request-id").unwrap().to_owned();
            assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 7, "{told}");
            assert!(answer.header("cache-control").is_some() && answer.header("date").is_some(), "{told}");
            assert_eq!(answer.header("x-operation-id"), None, "{told}");
            let page = ["/reset-password", "/documentation"].contains(&path.as_str());
            let kind = if page { "text/html; charset=utf-8" } else { "application/json; charset=utf-8" };
            assert_eq!(answer.header("content-type"), Some(kind).filter(|_| answer.status != 204), "{told}");
            if answer.status >= 400 && !page {
                let body = answer.json();
                assert_eq!(body["statusCode"], answer.status, "{told}");
                assert_eq!(body["requestId"], id, "{told}");
                assert!(body["error"].is_string() && body["message"].is_string() && body["code"].is_string(), "{told}");
                assert_eq!(answer.header("cache-control"), Some("no-store"), "{told}");
            }
            assert_eq!([401, 403].contains(&answer.status), answer.header("www-authenticate").is_some(), "{told}");
        }
    }
}

#[tokio::test]
async fn a_harmless_request_id_is_kept_and_stands_in_the_log_of_operations() {
    let door = Door::open().await;
    let token = format!("Bearer {}", door.admin.token);
    let headers =
        [("authorization", token.as_str()), ("content-type", "application/json"), ("x-request-id", "my.request-1")];
    let body = json!({ "userGroup": "users", "email": "ada@example.org" }).to_string();
    let made = door.ask("POST", "/users/", &headers, body.as_bytes()).await;
    assert_eq!((made.status, made.header("x-request-id")), (200, Some("my.request-1")), "{made:?}");
    let operation = made.header("x-operation-id").unwrap();

    let listed = door.send("GET", "/operations/?request=my.request-1", Some(&door.admin.token), None).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["id"], operation);
    assert_eq!(listed[0]["actor"], json!({ "id": door.admin.id, "by": "token", "address": "127.0.0.1" }));
    assert_eq!(listed[0]["subject"], made.json()["_id"]);

    for (given, shown) in [("a b", "a space"), ("<script>", "markup"), ("ä", "no ASCII"), (&"x".repeat(129), "long")] {
        let answer = door.ask("GET", "/-/healthz", &[("x-request-id", given)], b"").await;
        assert_ne!(answer.header("x-request-id"), Some(given), "{shown}");
        assert_eq!(answer.status, 200, "{shown}");
    }
}

#[tokio::test]
async fn an_error_comes_as_problem_json_to_those_who_ask_for_it() {
    let door = Door::open().await;
    let answer =
        door.ask("GET", "/users/7", &[("accept", "application/problem+json"), ("x-request-id", "r")], b"").await;
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        answer.json(),
        json!({ "type": "urn:user-manager:error:token-required", "status": 401, "title": "Unauthorized",
                "detail": "A bearer token is required", "instance": "urn:request:r", "code": "token-required",
                "requestId": "r" })
    );
}

#[tokio::test]
async fn a_closing_slash_means_the_same_and_another_method_is_told_which_are_known() {
    let door = Door::open().await;
    for path in ["/-/healthz", "/-/healthz/", "/.well-known/jwks.json", "/.well-known/jwks.json/"] {
        assert_eq!(door.send("GET", path, None, None).await.status, 200, "{path}");
        let head = door.send("HEAD", path, None, None).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_ne!(head.header("content-length"), Some("0"), "{path}");
    }
    for (path, allow) in
        [("/users", "GET,HEAD,POST"), ("/users/7/", "GET,HEAD,PATCH,DELETE"), ("/operations", "GET,HEAD")]
    {
        let answer = door.send("PUT", path, Some(&door.admin.token), None).await;
        assert_eq!((answer.status, answer.code().as_str()), (405, "method-not-allowed"), "{path}");
        assert_eq!(answer.header("allow"), Some(allow), "{path}");
    }
    for path in ["/", "//", "/users//", "/users//7", "/nothing", "/-", "/-/", "/-/nothing", "/users/7/8", "/oauth", "*"]
    {
        let answer = door.send("GET", path, Some(&door.admin.token), None).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "route-not-found"), "{path}");
    }
}

#[tokio::test]
async fn the_prefix_stands_before_everything_but_the_probes() {
    let door = Door::with(&[("SERVICE_PREFIX", "/ums")]).await;
    let status = async |path: &str| door.send("GET", path, None, None).await.status;
    assert_eq!(status("/ums/.well-known/jwks.json").await, 200);
    assert_eq!(status("/ums/users/7/").await, 401);
    assert_eq!(status("/.well-known/jwks.json").await, 404);
    assert_eq!(status("/umsx/users/7").await, 404);
    assert_eq!(status("/ums").await, 404);
    assert_eq!(status("/ums/-/healthz").await, 404);
    assert_eq!(status("/-/healthz/").await, 200);
}

#[tokio::test]
async fn the_probes_tell_everybody_little_and_operators_more() {
    let door = Door::open().await;
    let plain = json!({ "status": "OK", "name": "user-manager", "version": env!("CARGO_PKG_VERSION") });
    for path in ["/-/healthz", "/-/ready", "/-/check-up"] {
        assert_eq!(door.send("GET", path, None, None).await.json(), plain);
        assert_eq!(door.send("GET", path, Some(&door.powerless.token), None).await.json(), plain);
    }
    let mut more = plain;
    more["systems"] = json!({ "groups": { "driver": "embedded", "status": "OK" },
                              "store": { "driver": "embedded", "status": "OK" },
                              "identity": { "driver": "embedded", "status": "OK" } });
    assert_eq!(door.send("GET", "/-/check-up", Some(&door.admin.token), None).await.json(), more);
}

#[tokio::test]
async fn a_user_bears_a_tag_that_reads_and_changes_can_be_bound_to() {
    let door = Door::open().await;
    let path = format!("/users/{}", door.powerless.id.to_uppercase());
    let bearer = format!("Bearer {}", door.admin.token);
    let ask = async |method: &str, name: &str, tag: &str, body: &[u8]| {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), (name, tag)];
        door.ask(method, &path, &headers, body).await
    };
    let read = ask("GET", "x-nothing", "", b"").await;
    let tag = read.header("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{}\"", read.json()["updatedAt"].as_str().unwrap()));
    assert_eq!(read.json()["_id"], door.powerless.id, "in lower case");

    for known in [tag.as_str(), &format!("\"x\", W/{tag}"), "*"] {
        let same = ask("GET", "if-none-match", known, b"").await;
        assert_eq!((same.status, same.header("etag"), same.body.len()), (304, Some(tag.as_str()), 0), "{known}");
        assert_eq!(same.header("content-type"), None);
    }
    assert_eq!(ask("GET", "if-none-match", "\"x\"", b"").await.status, 200);

    let change = br#"{"$set":{"name":"Mallory"}}"#;
    for stale in ["\"2020-01-01T00:00:00.000Z\"", &format!("W/{tag}"), "rubbish", ""] {
        let refused = ask("PATCH", "if-match", stale, change).await;
        assert_eq!((refused.status, refused.code().as_str()), (412, "changed-meanwhile"), "{stale}");
        assert_eq!(ask("DELETE", "if-match", stale, b"").await.status, 412, "{stale}");
    }
    let changed = ask("PATCH", "if-match", &format!("\"x\", {tag}"), change).await;
    assert_eq!((changed.status, &changed.json()["name"]), (200, &json!("Mallory")), "{changed:?}");
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    assert!(changed.header("x-operation-id").is_some());
    assert_eq!(ask("PATCH", "if-match", &tag, change).await.status, 412);

    let gone = ask("DELETE", "if-match", "*", b"").await;
    assert_eq!((gone.status, gone.body.len(), gone.header("content-type")), (204, 0, None), "{gone:?}");
    assert_eq!(ask("GET", "x-nothing", "", b"").await.status, 404);
    assert_eq!(ask("DELETE", "if-match", "*", b"").await.code(), "user-not-found");
}

#[tokio::test]
async fn a_login_answers_a_token_and_when_it_ends() {
    let door = Door::open().await;
    let body = json!({ "username": "root@example.org", "password": PASSWORD, "connection": "ignored" });
    let answer = door.send("POST", "/oauth/token", None, Some(&body)).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{answer:?}");
    let members = answer.json();
    assert_eq!(members.as_object().unwrap().keys().collect::<Vec<_>>(), ["accessToken", "expireAt", "refreshToken"]);
    let end: jiff::Timestamp = members["expireAt"].as_str().unwrap().parse().unwrap();
    let left = end.as_millisecond() - door.app.clock.now_ms();
    assert!((590_000..=600_000).contains(&left), "{left}");

    let keys = door.send("GET", "/.well-known/jwks.json", None, None).await;
    assert_eq!(keys.header("cache-control"), Some("max-age=300"));
    assert_eq!(keys.json()["keys"][0]["alg"], "EdDSA");
}
