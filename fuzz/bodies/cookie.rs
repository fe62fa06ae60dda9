//! What a browser sends as cookies, a header in each line: nothing is taken that did not stand there, and a token of ours is
//! found whatever somebody else has put beside it.

use std::sync::{Arc, OnceLock};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, header},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use user_manager::{
    access::{Caller, gate::cookie},
    api::Api,
    app::App,
    clock::Clock,
    config::Config,
    users::{self, create::Draft},
};

pub fn check(bytes: &[u8]) {
    let Browser { app, token, .. } = browser();
    let said: Vec<HeaderValue> =
        bytes.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    if let Some(taken) = read(app, said.iter().cloned()) {
        assert!(!taken.contains([';', '\r', '\n', '\0']), "{taken:?}");
        let stood = |header: &HeaderValue| header.to_str().is_ok_and(|header| header.contains(&taken));
        assert!(said.iter().any(stood), "{taken:?} is nowhere in {said:?}");
    }

    let ours = HeaderValue::from_str(&format!("sid={token}")).expect("a header");
    let beside = said.iter().cloned().chain([ours.clone()]);
    assert_eq!(read(app, beside).as_ref(), Some(token), "behind {said:?}");
    let before = [ours].into_iter().chain(said.iter().cloned());
    assert_eq!(read(app, before).as_ref(), Some(token), "before {said:?}");
    for line in said.iter().filter_map(|line| line.to_str().ok()) {
        let among = HeaderValue::from_str(&format!("{line}; sid={token}; {line}")).expect("a header");
        assert_eq!(read(app, [among]).as_ref(), Some(token), "among {line:?}");
    }
}

fn read(app: &App, lines: impl IntoIterator<Item = HeaderValue>) -> Option<String> {
    let headers: HeaderMap = lines.into_iter().map(|line| (header::COOKIE, line)).collect();
    cookie::read(app, &headers).map(|value| value.expose_secret().to_owned())
}

struct Browser {
    app: Arc<App>,
    /// The value of its cookie.
    token: String,
    _runtime: Runtime,
    _directory: TempDir,
}

const PASSWORD: &str = "correct horse battery";

fn browser() -> &'static Browser {
    static BROWSER: OnceLock<Browser> = OnceLock::new();
    BROWSER.get_or_init(|| {
        let (runtime, directory) = (Runtime::new().expect("threads"), tempfile::tempdir().expect("a directory"));
        let data = directory.path().display().to_string();
        let settings =
            [("DATA_DIR", data.as_str()), ("SESSION_COOKIE", "true"), ("PUBLIC_URL", "https://um.example.org")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::resolve(settings).expect("sound settings").config;
        let (app, token) = runtime.block_on(async {
            let app = App::open(config, Clock::system()).await.expect("a state");
            let token = logged_in(&app).await;
            (app, token)
        });
        Browser { app, token, _runtime: runtime, _directory: directory }
    })
}

/// What somebody's browser was given.
async fn logged_in(app: &Arc<App>) -> String {
    let fields = json!({ "userGroup": "users", "email": "ada@example.org" });
    let fields: Map<String, Value> = fields.as_object().cloned().unwrap_or_default();
    let draft = Draft { fields, password: Some(SecretString::from(PASSWORD)), ..Draft::default() };
    users::create(app, &Caller::inside("fuzz", "cli", "fuzz"), draft).await.expect("somebody");
    let body = json!({ "username": "ada@example.org", "password": PASSWORD }).to_string();
    let request = Request::builder().method(Method::POST).uri("/oauth/token");
    let request = request.header("content-type", "application/json").header("sec-fetch-site", "same-origin");
    let answer = Api::new(app.clone()).answer(request.body(Body::from(body)).expect("a request"), None).await;
    let cookie = answer.headers().get(header::SET_COOKIE).and_then(|cookie| cookie.to_str().ok()).expect("a cookie");
    let token = cookie.strip_prefix("sid=").and_then(|cookie| cookie.split(';').next());
    token.expect("a token").to_owned()
}
