//! `/-/metrics`: what was counted, for whoever watches us. On a listener of its own it is open, and all that there is.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderValue, header::CONTENT_TYPE},
    middleware::from_fn,
    response::Response,
    routing::get,
};

use super::{METRICS, no_method, no_route, target};
use crate::{
    access::gate::{Allowed, MetricsRead},
    app::App,
    error::{self, Error},
    metrics,
};

pub async fn show(State(app): State<Arc<App>>, _: Allowed<MetricsRead>) -> Result<Response, Error> {
    told(&app).await
}

/// What answers on `METRICS_LISTEN`.
pub fn open_routes(app: Arc<App>) -> Router {
    Router::new()
        .route(METRICS, get(async |State(app): State<Arc<App>>| told(&app).await))
        .route_layer(from_fn(target::known_parameters))
        .fallback(async || no_route())
        .method_not_allowed_fallback(async || no_method())
        .with_state(app)
}

async fn told(app: &App) -> Result<Response, Error> {
    let text = app.metrics.text(app.standing().await).map_err(error::internal)?;
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
    Ok(response)
}
