//! What scripts of pages from elsewhere may ask and see (`CORS_ORIGINS`): the CORS protocol of the Fetch Standard, 3.2
//! (<https://fetch.spec.whatwg.org/#http-cors-protocol>). Without that setting browsers let them do neither. Knows no route.

use std::time::Duration;

use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        ACCEPT, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
    },
};
use tower_http::cors::CorsLayer;

use super::{frame, keyed, wanted};
use crate::{config::Config, trace};

/// What a browser may remember of the answer to its question beforehand; most remember it for two hours at most.
const REMEMBERED: Duration = Duration::from_secs(2 * 3600);

const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PATCH, Method::DELETE];

/// What a script may send; `Accept` needs no permission but for values that are long or odd.
const SENT: [HeaderName; 10] = [
    ACCEPT,
    AUTHORIZATION,
    CONTENT_TYPE,
    IF_MATCH,
    IF_NONE_MATCH,
    keyed::KEY,
    HeaderName::from_static(wanted::ENCODING),
    frame::REQUEST_ID,
    HeaderName::from_static(trace::PARENT),
    HeaderName::from_static(trace::STATE),
];

/// What a script may read of an answer.
const SHOWN: [HeaderName; 6] =
    [frame::REQUEST_ID, frame::OPERATION_ID, frame::OUR_VERSION, ETAG, RETRY_AFTER, WWW_AUTHENTICATE];

/// What the layer writes of an answer that is not to a question beforehand.
const WRITTEN: [HeaderName; 4] =
    [ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_EXPOSE_HEADERS, VARY];

pub fn layer(config: &Config) -> Option<CorsLayer> {
    let origins = &config.http.cors_origins;
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect::<Vec<_>>())
        .allow_methods(METHODS)
        .allow_headers(SENT)
        .expose_headers(SHOWN)
        // Only where there is a cookie to be sent.
        .allow_credentials(config.session_cookie.is_some())
        .max_age(REMEMBERED);
    Some(layer)
}

/// What was written for the answer that another takes the place of.
pub fn keep(from: &HeaderMap, to: &mut HeaderMap) {
    for name in WRITTEN {
        for value in from.get_all(&name) {
            to.append(&name, value.clone());
        }
    }
}
