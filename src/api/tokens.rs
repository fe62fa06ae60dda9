//! `/oauth/token` and the keys to verify what it answers.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderValue, header::CACHE_CONTROL},
    response::Response,
};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{
    body::{Object, secret, text},
    frame,
};
use crate::{
    access::{gate::Arrival, login},
    app::App,
    clock::rfc3339,
    error::Error,
};

/// `{"username","password"}`; further members are ignored, as the service that we replace does.
pub async fn log_in(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    Object(mut members): Object,
) -> Result<Response, Error> {
    let name = text(&mut members, "username")?;
    let password = secret(&mut members, "password")?;
    let issued = login::log_in(&app, &arrival, &name, &password).await?;
    let answer = json!({ "accessToken": issued.token.expose_secret(), "expireAt": rfc3339(issued.expires_ms) });
    Ok(cached(frame::json(&answer), "no-store"))
}

pub async fn key_set(State(app): State<Arc<App>>) -> Response {
    cached(frame::json(&app.tokens.key_set()), "max-age=300")
}

fn cached(mut response: Response, how: &'static str) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(how));
    response
}
