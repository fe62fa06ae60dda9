//! Logins that are refused: whether the time they take tells why.

use std::{path::Path, time::Instant};

use axum::{body::Body, extract::Request};
use serde_json::json;
use user_manager::{
    access::Caller,
    api::Api,
    app::App,
    clock::Clock,
    config::Config,
    users::{self, UserId, create::Draft},
};

use crate::{
    Size, runtime,
    table::{Rounds, Table, Wanted, ms, ratio},
};

const PASSWORD: &str = "correct horse battery";
/// Of each cause.
const TIMES: usize = 200;
/// The slowest of the medians against the fastest.
const MOST: f64 = 1.05;

/// What it is refused for, whose name, which password.
const CAUSES: [(&str, &str, &str); 6] = [
    ("wrong password", "ada@example.org", "wrong horse battery"),
    ("unknown name", "nobody@example.org", PASSWORD),
    ("blocked, wrong password", "blocked@example.org", "wrong horse battery"),
    ("blocked, right password", "blocked@example.org", PASSWORD),
    ("no password set", "bare@example.org", PASSWORD),
    ("no identity", "only@example.org", PASSWORD),
];

pub fn measure(directory: &Path, _size: Size, table: &mut Table) {
    let took = runtime().block_on(refusals(directory));
    for ((what, ..), took) in CAUSES.iter().zip(&took) {
        table.stated(&format!("a refused login, the median of {TIMES}: {what}"), took.told(ms));
    }
    let medians: Rounds = took.iter().map(Rounds::median).collect();
    let apart = medians.most() / medians.least();
    let what = "refused logins: the slowest median against the fastest";
    table.figure(what, Wanted::AtMost(MOST), &Rounds::from_iter([apart]), ratio);
}

/// Milliseconds of each cause, in turns, so that a busy machine slows all alike.
async fn refusals(directory: &Path) -> [Rounds; CAUSES.len()] {
    let place = tempfile::tempdir_in(directory).unwrap();
    let pairs = [
        ("DATA_DIR", place.path().to_str().unwrap()),
        ("LOGIN_FREE_FAILURES", "1000000"),
        ("LOGIN_FREE_FAILURES_ADDRESS", "1000000"),
    ];
    let config = Config::resolve(pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap().config;
    let app = App::open(config, Clock::system()).await.unwrap();
    for (email, password, blocked) in [
        ("ada@example.org", Some(PASSWORD), false),
        ("blocked@example.org", Some(PASSWORD), true),
        ("bare@example.org", None, false),
    ] {
        make(&app, email, password, blocked).await;
    }
    let draft =
        Draft { fields: fields("only@example.org", false), password: None, grant: Vec::new(), ..Draft::default() };
    users::create_user_only(&app, &inside(), draft).await.unwrap();

    let api = Api::new(app);
    let mut took = [(); CAUSES.len()].map(|()| Rounds::default());
    for _ in 0..TIMES {
        for ((_, name, password), took) in CAUSES.iter().zip(&mut took) {
            let body = Body::from(json!({ "username": name, "password": password }).to_string());
            let request = Request::post("/oauth/token").header("content-type", "application/json").body(body).unwrap();
            let began = Instant::now();
            assert_eq!(api.answer(request, None).await.status().as_u16(), 401);
            took.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    took
}

async fn make(app: &App, email: &str, password: Option<&str>, blocked: bool) -> UserId {
    let draft = Draft {
        fields: fields(email, blocked),
        password: password.map(|password| password.into()),
        grant: Vec::new(),
        ..Draft::default()
    };
    users::create(app, &inside(), draft).await.unwrap()
}

fn fields(email: &str, blocked: bool) -> serde_json::Map<String, serde_json::Value> {
    json!({ "userGroup": "users", "email": email, "blocked": blocked }).as_object().unwrap().clone()
}

fn inside() -> Caller {
    Caller::inside("bench", "system", "r")
}
