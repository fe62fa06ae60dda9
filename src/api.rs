//! The route table, on one screen. Which permission a route needs stands in the signature of its endpoint; what every answer
//! has in common stands in `frame`. Knows no store and no provider.

mod admitted;
mod behind;
mod body;
mod client;
mod conditions;
mod cors;
mod documentation;
mod ended;
mod events;
mod form;
mod frame;
mod groups;
mod health;
mod html;
mod json;
mod keyed;
mod metrics;
mod operations;
mod places;
mod reset;
mod roles;
mod routes;
pub mod server;
mod sessions;
mod signature;
mod target;
mod tokens;
mod traffic;
mod users;
mod wanted;
mod wire;

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension, Router,
    extract::Request,
    middleware::{from_fn, from_fn_with_state},
    response::Response,
};
use tower_http::cors::CorsLayer;

use self::{
    documentation::Documentation,
    routes::{Routes, delete, get, post},
};
use crate::{
    app::App,
    config::Config,
    error::{Code, Error},
};

const OPERATIONS: &str = "/operations";
const EVENTS: &str = "/events";
const METRICS: &str = "/-/metrics";
const USERS: &str = "/users";
const USER: &str = "/users/{id}";
const REGISTER: &str = "/users/register";
const STATES: &str = "/users/state";
/// Whoever follows a link must not be stopped by what others have hung on it.
const RESET: &str = "/reset-password";
/// Where reads take the query language, whose parameters are judged by who reads it.
const SPEAKING: [&str; 7] = [USERS, "/users/count", USER, "/ums-config", "/ums-config/count", "/roles", "/roles/count"];

/// Everything that answers, over one app. Cheap to copy.
#[derive(Clone)]
pub struct Api {
    app: Arc<App>,
    routes: Router,
    cors: Option<CorsLayer>,
}

impl Api {
    pub fn new(app: Arc<App>) -> Self {
        Self { routes: routes(app.clone()), cors: cors::layer(&app.config), app }
    }

    /// Only the metrics, for anybody.
    pub fn of_metrics(app: Arc<App>) -> Self {
        Self { routes: metrics::open_routes(app.clone()), cors: None, app }
    }

    /// `peer` is whoever holds the other end of the connection.
    pub async fn answer(&self, request: Request, peer: Option<IpAddr>) -> Response {
        frame::answer(&self.app, self.routes.clone(), self.cors.as_ref(), request, peer).await
    }
}

/// Without `SERVICE_PREFIX` and closing slashes: the frame takes them off.
fn table() -> Routes {
    Routes::default()
        .route("/oauth/token", post(tokens::token))
        .route("/oauth/revoke", post(tokens::revoke))
        .route("/refreshtoken", post(tokens::refresh))
        .route("/logout", post(tokens::log_out))
        .route("/userinfo", get(tokens::userinfo))
        .route("/.well-known/jwks.json", get(tokens::key_set))
        .route("/.well-known/openid-configuration", get(tokens::discovery))
        .route(USERS, get(users::list).post(users::create))
        .route("/users/count", get(users::count))
        .route("/users/with-id", post(users::create_with_id))
        .route(REGISTER, post(users::register))
        .route(USER, get(users::get).patch(users::update).delete(users::delete))
        .route(STATES, post(users::change_states))
        .route("/users/{id}/soft-delete", post(users::soft_delete))
        .route("/users/{id}/restore", post(users::restore))
        .route("/users/me/change-password", post(users::change_password))
        .route("/users/me/sessions", get(sessions::list_own).delete(sessions::end_all_own))
        .route("/users/me/sessions/{sid}", delete(sessions::end_own))
        .route("/users/{id}/sessions", get(sessions::list).delete(sessions::end_all))
        .route("/users/{id}/sessions/{sid}", delete(sessions::end))
        .route("/users/change-password", post(users::mail_link))
        .route(RESET, get(reset::show).post(reset::choose))
        .route("/ums-config", get(groups::list).post(groups::create))
        .route("/ums-config/count", get(groups::count))
        .route("/ums-config/{id}", get(groups::get).patch(groups::update).delete(groups::delete))
        .route("/ums-config/{id}/check", post(groups::check))
        .route("/roles", get(roles::list).post(roles::create))
        .route("/roles/count", get(roles::count))
        .route("/roles/{id}", get(roles::get).patch(roles::update).delete(roles::delete))
        .route(OPERATIONS, get(operations::list))
        .route("/operations/{id}", get(operations::get))
        .route("/operations/{id}/retry", post(operations::retry))
        .route(EVENTS, get(events::list))
        .route("/-/healthz", get(health::alive))
        .route("/-/ready", get(health::ready))
        .route("/-/check-up", get(health::check_up))
        .route(METRICS, get(metrics::show))
        .route("/documentation", get(documentation::page))
        .route("/documentation/json", get(documentation::json))
}

fn routes(app: Arc<App>) -> Router {
    table()
        .router
        .route_layer(from_fn(target::known_parameters))
        .route_layer(from_fn_with_state(app.clone(), admitted::enter))
        .route_layer(from_fn(target::seen))
        // What is hidden is hidden from every method.
        .method_not_allowed_fallback(async || no_method())
        .route_layer(from_fn_with_state(app.clone(), behind::guard))
        .fallback(async || no_route())
        .layer(Extension(Documentation::default()))
        .with_state(app)
}

/// The OpenAPI document that `/documentation/json` answers under this configuration.
pub fn openapi(config: &Config) -> serde_json::Result<String> {
    documentation::written(config)
}

fn no_method() -> Error {
    Error::new(Code::MethodNotAllowed, "This method is not known here")
}

fn no_route() -> Error {
    Error::new(Code::RouteNotFound, "There is nothing here")
}
