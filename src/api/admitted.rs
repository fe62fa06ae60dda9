//! In front of every route but those that tell how the program is: whether there is room for one more request of its kind.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};

use crate::{admission::Kind, app::App, error::Error};

pub async fn enter(
    State(app): State<Arc<App>>,
    matched: MatchedPath,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    let Some(kind) = kind(request.method(), matched.as_str()) else { return Ok(next.run(request).await) };
    let _inside = app.admit(kind)?;
    Ok(next.run(request).await)
}

fn kind(method: &Method, route: &str) -> Option<Kind> {
    Some(match route {
        _ if route.starts_with("/-/") => return None,
        "/oauth/token" | "/users/me/change-password" => Kind::Login,
        super::RESET if *method == Method::POST => Kind::Login,
        _ if !method.is_safe() => Kind::Change,
        _ if super::SPEAKING.contains(&route) && route != super::USER => Kind::Search,
        _ => Kind::Read,
    })
}
