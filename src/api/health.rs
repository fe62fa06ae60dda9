//! `/-/`: whether the process lives, whether it can work, whether the systems it needs answer.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::frame::{self, VERSION};
use crate::{access::gate::Perhaps, app::App, groups::Fault, outcome::Outcome, systems::Checked};

/// As long as it answers at all.
pub async fn alive() -> Response {
    told(true, json!({}))
}

/// Of our own state only: a system that is away makes no instance less able than another.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = !app.draining() && app.check_state().await.is_ok();
    told(ready, json!({}))
}

/// Which system is away is nobody's business but those who look after operations.
pub async fn check_up(State(app): State<Arc<App>>, Perhaps(caller): Perhaps) -> Response {
    let Checked { store, identity } = app.health.check(&app.systems).await;
    let answers = store.is_ok() && identity.is_ok();
    let system = |name: &str, check: Outcome<()>| {
        let mut system = json!({ "driver": name, "status": word(check.is_ok()) });
        if let Err(failure) = check {
            system["message"] = Value::from(failure.sentence());
        }
        system
    };
    let mut more = json!({});
    if caller.is_some_and(|caller| !caller.is_nobody() && caller.may("operations:read")) {
        let unusable = app.groups.unusable().await;
        let mut groups =
            json!({ "driver": app.systems.groups.name(), "status": word(unusable.as_ref().is_ok_and(Vec::is_empty)) });
        match unusable {
            Ok(unusable) if unusable.is_empty() => {}
            Ok(unusable) => {
                let told = unusable
                    .iter()
                    .map(|(name, Fault { pointer, message })| format!("{name} is unusable: {pointer}: {message}"));
                groups["message"] = Value::from(told.collect::<Vec<_>>().join("; "));
            }
            Err(error) => groups["message"] = Value::from(error.message()),
        }
        more["systems"] = json!({
            "groups": groups,
            "store": system(app.systems.store.name(), store),
            "identity": system(app.systems.identity.name(), identity),
        });
    }
    told(answers, more)
}

fn told(well: bool, mut body: Value) -> Response {
    body["status"] = Value::from(word(well));
    body["name"] = Value::from(env!("CARGO_PKG_NAME"));
    body["version"] = Value::from(VERSION);
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, frame::json(&body)).into_response()
}

fn word(well: bool) -> &'static str {
    if well { "OK" } else { "KO" }
}
