//! What answers behind a gateway (`ACCESS=gateway`): the routes of the service that we replace, whose gateway guards no others;
//! and of the others those which `GATEWAY_ROUTES` names. The rest is there only for whoever brings a token of ours that opens it.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::no_route;
use crate::{
    access::gate::{self, Arrival},
    app::App,
    config::gateway::Routes,
    error::{Code, reply},
};

pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(gateway) = &app.config.gateway else { return next.run(request).await };
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    match path.map(set) {
        Some(Set::Basic) => return next.run(request).await,
        Some(Set::Named(routes)) if gateway.answers(routes) => return next.run(request).await,
        Some(Set::Named(_)) | None => {}
    }
    let (mut parts, body) = request.into_parts();
    // Here the gateway speaks for nobody.
    if let Some(arrival) = parts.extensions.get_mut::<Arrival>() {
        arrival.vouched = arrival.vouched.as_ref().map(|vouched| Arc::new(vouched.silent()));
    }
    if gate::by_token(&app, &parts).await.is_err() {
        return no_route().into_response();
    }
    let mut response = next.run(Request::from_parts(parts, body)).await;
    match reply::of(&mut response) {
        // Whoever may not open it does not learn that it is there.
        Some(error)
            if matches!(
                error.code(),
                Code::PermissionRequired | Code::TokenRequired | Code::PasswordChangeRequired
            ) =>
        {
            no_route().into_response()
        }
        Some(error) => error.into_response(),
        None => response,
    }
}

/// Whether that route is not there behind a gateway that does not guard it.
pub fn may_be_hidden(path: &str) -> bool {
    matches!(set(path), Set::Named(_))
}

/// To what a route belongs.
enum Set {
    Basic,
    Named(Routes),
}

fn set(path: &str) -> Set {
    let under = |first: &str| path == first || path.strip_prefix(first).is_some_and(|rest| rest.starts_with('/'));
    Set::Named(match path {
        "/users/{id}/restore" => Routes::Restore,
        "/users/me/change-password" | "/oauth/revoke" | "/logout" => Routes::Sessions,
        _ if under("/users/me/sessions") || under("/users/{id}/sessions") => Routes::Sessions,
        _ if under("/.well-known") => Routes::Keys,
        _ if under(super::RESET) => Routes::Pages,
        _ if under("/ums-config") => Routes::UmsConfig,
        _ if under("/roles") => Routes::Roles,
        _ if under(super::OPERATIONS) => Routes::Operations,
        _ if under(super::EVENTS) => Routes::Events,
        _ if under("/documentation") => Routes::Documentation,
        super::METRICS => Routes::Metrics,
        _ => return Set::Basic,
    })
}
