//! What every request goes through and every answer gets: one layer instead of many. Knows no route.

use std::{convert::Infallible, mem, net::IpAddr, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Uri,
        header::{ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, SET_COOKIE},
        uri::PathAndQuery,
    },
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use serde::Serialize;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;
use tracing::{Instrument, field::Empty};

use super::{client, cors, ended::Ending};
use crate::{
    access::gate::{Arrival, cookie, gateway},
    app::App,
    error::{
        self, Code, Error,
        reply::{self, Frame},
    },
    metrics,
    trace::{self, Trace},
};

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub const OPERATION_ID: HeaderName = HeaderName::from_static("x-operation-id");
pub const OUR_VERSION: HeaderName = HeaderName::from_static("x-user-manager-version");

/// Two of these would be read differently by us and by whoever stands in front of us.
const SINGLE: [HeaderName; 5] = [AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, REQUEST_ID];

/// A value as the body of a 200.
pub fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            let kind = HeaderValue::from_static("application/json; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        Err(error) => error::internal(error).into_response(),
    }
}

/// The same with what others may do with it (RFC 9111 5.2).
pub fn cached(mut response: Response, how: &'static str) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(how));
    response
}

/// The answer to one request, whatever happens on the way to it.
pub async fn answer(
    app: &App,
    routes: Router,
    cors: Option<&CorsLayer>,
    mut request: Request,
    peer: Option<IpAddr>,
) -> Response {
    let vouched = match &app.config.gateway {
        Some(gateway) => gateway::vouched(gateway, peer, request.headers_mut()),
        None => Ok(None),
    };
    let (vouched, ambiguous) = match vouched {
        Ok(vouched) => (vouched.map(Arc::new), None),
        Err(error) => (None, Some(error)),
    };
    let arrival = Arrival {
        request_id: request_id(app, request.headers()),
        address: peer.map(|peer| client::address(peer, request.headers(), &app.config.http.trusted_proxies)),
        vouched,
        operation: Arc::default(),
        seen: Arc::default(),
    };
    let problem = wants_problem(request.headers());
    let cookies = cookie::alone(app, request.headers());
    let method = metrics::method(request.method().as_str());
    let trace = trace(app, request.headers());
    let span = tracing::info_span!("request", id = arrival.request_id, trace = trace.id(), method, route = Empty);
    let ending = Ending::of(app, &arrival, method, span.clone());
    request.extensions_mut().insert(arrival.clone());

    let routed = async {
        let answered = service_fn(|request| {
            let (ambiguous, routes) = (ambiguous.clone(), routes.clone());
            async {
                Ok::<_, Infallible>(match ambiguous {
                    Some(error) => error.into_response(),
                    None => route(app, routes, request).await,
                })
            }
        });
        let answered = match cors {
            Some(cors) => cors.layer(answered).oneshot(request).await,
            None => answered.oneshot(request).await,
        };
        answered.unwrap_or_else(|never| match never {})
    };
    let routed = AssertUnwindSafe(trace.carry(routed)).catch_unwind();
    let mut response = routed.instrument(span.clone()).await.unwrap_or_else(|_| {
        // What it was has been written by the panic hook; the caller must not wait for ever.
        let _entered = span.enter();
        error::internal("a request panicked").into_response()
    });

    let _entered = span.enter();
    if let Some(error) = reply::of(&mut response) {
        let frame = Frame {
            request_id: &arrival.request_id,
            operation_id: arrival.operation.get().map(String::as_str),
            problem,
            precise: app.config.precise_upstream_status,
            login_refused: app.config.login_refused_status,
        };
        let instead = reply::write(&error, &frame);
        let mut said = mem::replace(&mut response, instead).into_parts().0.headers;
        cors::keep(&said, response.headers_mut());
        if let Some(allow) = said.remove(ALLOW).filter(|_| error.code() == Code::MethodNotAllowed) {
            response.headers_mut().insert(ALLOW, allow);
        }
        if matches!(error.code(), Code::TokenRevoked | Code::RefreshRefused)
            && let Some(cookie) = cookie::takes_away(app, &cookies)
        {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        // Of what is refused at the door there may be more than anybody wants to read; whoever refuses says so.
        let at_the_door = matches!(error.code(), Code::Overloaded | Code::Draining);
        if response.status().is_server_error() && !at_the_door {
            let code = error.code().row().0;
            tracing::warn!(status = response.status().as_u16(), code, "{}", error.message());
        }
    }
    finish(&mut response, &arrival);
    ending.answered(response.status().as_u16());
    response
}

/// An error where no request could be read: nothing is known of it but that we answer.
pub fn answer_unread(app: &App, error: &Error) -> Response {
    let request_id = app.clock.uuid().to_string();
    let arrival = Arrival { request_id, address: None, vouched: None, operation: Arc::default(), seen: Arc::default() };
    let frame = Frame {
        request_id: &arrival.request_id,
        operation_id: None,
        problem: false,
        precise: false,
        login_refused: app.config.login_refused_status,
    };
    let mut response = reply::write(error, &frame);
    finish(&mut response, &arrival);
    app.metrics.requests.unread(response.status().as_u16());
    response
}

async fn route(app: &App, routes: Router, mut request: Request) -> Response {
    match admit(app, &mut request) {
        Ok(()) => match routes.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        Err(error) => error.into_response(),
    }
}

/// The path becomes as the route table has it: without prefix, without closing slash.
fn admit(app: &App, request: &mut Request) -> Result<(), Error> {
    for header in &SINGLE {
        if request.headers().get_all(header).iter().nth(1).is_some() {
            return Err(Error::new(Code::AmbiguousHeader, format!("The header {header} stands twice")));
        }
    }
    let path = request.uri().path();
    let probe = |path: &str| path == "/-" || path.starts_with("/-/");
    let ours = probe(path);
    if app.draining() && !ours {
        return Err(Error::new(Code::Draining, "The service is stopping"));
    }
    let inside = if ours { Some(path) } else { path.strip_prefix(&app.config.http.prefix).filter(|path| !probe(path)) };
    let inside = inside.filter(|path| path.starts_with('/')).ok_or_else(super::no_route)?;
    let bare = inside.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(inside);
    if bare != path {
        let target = match request.uri().query() {
            Some(query) => format!("{bare}?{query}"),
            None => bare.to_owned(),
        };
        let target = PathAndQuery::try_from(target).map_err(|_| super::no_route())?;
        *request.uri_mut() = Uri::from(target);
    }
    Ok(())
}

/// The headers of every answer.
fn finish(response: &mut Response, arrival: &Arrival) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&arrival.request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(id) = arrival.operation.get().and_then(|id| HeaderValue::from_str(id).ok()) {
        headers.insert(OPERATION_ID, id);
    }
    headers.insert(OUR_VERSION, HeaderValue::from_static(VERSION));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
}

/// The caller's own where it is harmless in a header, a log line and a query.
fn request_id(app: &App, headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    match given {
        Some(id) if harmless(id) => id.to_owned(),
        _ => app.clock.uuid().to_string(),
    }
}

/// The caller's own, or one that begins here.
fn trace(app: &App, headers: &HeaderMap) -> Trace {
    let mut parents = headers.get_all(trace::PARENT).iter();
    let parent = parents.next().filter(|_| parents.next().is_none()).and_then(|parent| parent.to_str().ok());
    let states = headers.get_all(trace::STATE).iter().map(|state| state.to_str().unwrap_or("?"));
    parent.and_then(|parent| Trace::of(parent, states)).unwrap_or_else(|| Trace::fresh(&app.clock))
}

fn harmless(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Whether `Accept` names `application/problem+json` itself, and not with weight nought.
pub fn wants_problem(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/problem+json"));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        named && weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0))
    })
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use serde_json::Value;

    use super::*;
    use crate::{clock::Clock, config::Config};

    async fn app(directory: &tempfile::TempDir) -> Arc<App> {
        let data = directory.path().to_str().unwrap().to_owned();
        let config = Config::resolve([("DATA_DIR".to_owned(), data)]).unwrap().config;
        App::open(config, Clock::system()).await.unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_answered_as_a_defect_and_names_the_operation_that_it_left() {
        let directory = tempfile::tempdir().unwrap();
        let app = app(&directory).await;
        let fall = async |request: Request| -> Response {
            request.extensions().get::<Arrival>().unwrap().operation.set("o-1".to_owned()).unwrap();
            panic!("what nobody must read")
        };
        let routes = Router::new().route("/fall", get(fall));
        let request = Request::builder().uri("/fall/").header("x-request-id", "r-1").body(Body::empty()).unwrap();
        let response = answer(&app, routes, None, request, None).await;
        assert_eq!(response.status().as_u16(), 500);
        assert_eq!(response.headers()["x-operation-id"], "o-1");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let expected = serde_json::json!({ "statusCode": 500, "error": "Internal Server Error", "code": "internal",
            "message": "Internal error", "requestId": "r-1", "operationId": "o-1" });
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
    }

    #[test]
    fn only_harmless_request_ids_are_kept() {
        for kept in ["a", "A-1_b.c", &"x".repeat(128)] {
            assert!(harmless(kept), "{kept}");
        }
        for replaced in ["", "a b", "a\tb", "ä", "a/b", "<x>", &"x".repeat(129)] {
            assert!(!harmless(replaced), "{replaced}");
        }
    }

    #[test]
    fn problem_json_only_for_those_who_name_it() {
        let wants =
            |accept: &'static str| wants_problem(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]));
        for yes in [
            "application/problem+json",
            "text/html, Application/Problem+JSON;q=0.5",
            "application/json, application/problem+json; q=1",
        ] {
            assert!(wants(yes), "{yes}");
        }
        for no in
            ["*/*", "application/*", "application/json", "application/problem+json;q=0", "", "application/problem+xml"]
        {
            assert!(!wants(no), "{no}");
        }
    }
}
