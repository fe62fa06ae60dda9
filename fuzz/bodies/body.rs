//! The body of a request that gives back a token, the first byte saying whether it is a form (`f`) or JSON: every one is
//! answered in words of ours, and JSON is taken for what it is by everybody else who reads it.

use std::sync::{Arc, OnceLock};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::Method,
};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use user_manager::{api::Api, app::App, clock::Clock, config::Config};

/// How a body is refused for what it is, whatever it says.
const UNREADABLE: [&str; 4] = ["invalid-json", "duplicate-key", "too-deep", "invalid-value"];

pub fn check(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    if *kind == b'f' {
        let (status, answer) = asked("application/x-www-form-urlencoded", body);
        let refused = status == 400 && answer["error"] == "invalid_request";
        assert!(status == 200 || refused, "{status}: {answer}");
        return;
    }
    let (status, answer) = asked("application/json", body);
    let code = answer["code"].as_str().unwrap_or_default();
    assert!(status == 200 || (status == 400 && answer["statusCode"] == 400 && !code.is_empty()), "{status}: {answer}");
    let Ok(members) = serde_json::from_slice::<Map<String, Value>>(body) else {
        assert!(UNREADABLE.contains(&code), "{status}: {answer}");
        return;
    };
    let has_token = members.get("token").and_then(Value::as_str).is_some_and(|token| !token.is_empty());
    match (status, code) {
        (200, _) => assert!(has_token, "{answer}"),
        (_, "validation-failed") => assert!(!has_token, "{answer}"),
        (_, code) => assert!(code != "invalid-json" && UNREADABLE.contains(&code), "{answer}"),
    }
}

/// Nothing where there is no body.
fn asked(kind: &str, body: &[u8]) -> (u16, Value) {
    let Server { runtime, api, .. } = server();
    let request = Request::builder().method(Method::POST).uri("/oauth/revoke").header("content-type", kind);
    let request = request.body(Body::from(body.to_vec())).expect("a request");
    runtime.block_on(async {
        let answer = api.answer(request, None).await;
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), 100_000).await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or_default())
    })
}

struct Server {
    runtime: Runtime,
    api: Api,
    _app: Arc<App>,
    _directory: TempDir,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let (runtime, directory) = (Runtime::new().expect("threads"), tempfile::tempdir().expect("a directory"));
        let settings = [("DATA_DIR".to_owned(), directory.path().display().to_string())];
        let config = Config::resolve(settings).expect("sound settings").config;
        let app = runtime.block_on(App::open(config, Clock::system())).expect("a state");
        Server { runtime, api: Api::new(app.clone()), _app: app, _directory: directory }
    })
}
