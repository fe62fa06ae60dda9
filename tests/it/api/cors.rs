//! Pages of other origins: what a browser is told of them.

use super::door::{Answer, Door};

const APP: &str = "https://app.example.org";
const LISTED: (&str, &str) = ("CORS_ORIGINS", "https://app.example.org, http://localhost:5173");

/// What a browser asks before it lets a script send such a request.
async fn asked_beforehand(door: &Door, origin: &str, target: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "PATCH"),
        ("access-control-request-headers", "authorization,content-type,idempotency-key,if-match"),
    ];
    door.ask("OPTIONS", target, &headers, b"").await
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

#[tokio::test]
async fn without_the_setting_no_page_of_another_origin_may_ask() {
    let door = Door::open().await;
    let asked = asked_beforehand(&door, APP, "/users/").await;
    assert_eq!((asked.status, allowed(&asked)), (405, None));
    let answer = door.ask("GET", "/-/healthz", &[("origin", APP)], b"").await;
    assert_eq!((answer.status, allowed(&answer)), (200, None));
}

#[tokio::test]
async fn pages_of_the_listed_origins_may_ask_and_read_and_no_others() {
    let door = Door::with(&[LISTED]).await;
    for origin in [APP, "http://localhost:5173"] {
        let asked = asked_beforehand(&door, origin, "/users/6b016d4a760a1acabb098629").await;
        assert_eq!((asked.status, allowed(&asked)), (200, Some(origin)));
        let methods = asked.header("access-control-allow-methods").unwrap();
        assert!(["GET", "POST", "PATCH", "DELETE"].iter().all(|method| methods.contains(method)), "{methods}");
        let headers = asked.header("access-control-allow-headers").unwrap();
        for name in ["authorization", "content-type", "idempotency-key", "if-match", "traceparent"] {
            assert!(headers.split(',').any(|header| header.trim() == name), "{name} in {headers}");
        }
        assert_eq!(asked.header("access-control-allow-credentials"), None, "there is no cookie");
        assert!(asked.header("x-request-id").is_some());
    }
    for origin in ["https://example.org", "https://app.example.org:8443", "http://app.example.org", "null", ""] {
        let asked = asked_beforehand(&door, origin, "/users/").await;
        assert_eq!(allowed(&asked), None, "{origin}");
        let answer = door.ask("GET", "/-/healthz", &[("origin", origin)], b"").await;
        assert_eq!((answer.status, allowed(&answer)), (200, None), "{origin}");
        assert!(answer.header("vary").unwrap().contains("origin"));
    }
}

/// A script must learn why, too.
#[tokio::test]
async fn errors_can_be_read_as_well() {
    let door = Door::with(&[LISTED, ("MAX_IN_FLIGHT", "100")]).await;
    let origin = ("origin", APP);
    let json = ("content-type", "application/json");
    for (method, target, headers, status) in [
        ("GET", "/users/", vec![origin], 401),
        ("GET", "/nothing", vec![origin], 404),
        ("PUT", "/users/", vec![origin], 405),
        ("POST", "/oauth/token", vec![origin, json], 400),
        ("GET", "/-/healthz", vec![origin, ("x-request-id", "a"), ("x-request-id", "b")], 400),
    ] {
        let answer = door.ask(method, target, &headers, b"").await;
        assert_eq!((answer.status, allowed(&answer)), (status, Some(APP)), "{method} {target}");
        let shown = answer.header("access-control-expose-headers").unwrap();
        assert!(["x-request-id", "retry-after", "etag"].iter().all(|name| shown.contains(name)), "{shown}");
    }
    door.app.drain();
    let draining = door.ask("GET", "/users/", &[origin], b"").await;
    assert_eq!((draining.status, allowed(&draining)), (503, Some(APP)));
}
