//! `/oauth/token` and what follows it: refreshing, logging out; and what others need to verify our tokens.
//!
//! The seed's requests are JSON; the same routes take the forms of RFC 6749 and RFC 7009, and answer those as they say.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, PRAGMA, SET_COOKIE},
    },
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{
    body::{self, Members, Object, Parsed, secret, text},
    form::{Form, is_form},
    frame::{self, cached},
    no_route,
};
use crate::{
    access::{
        gate::{self, Allowed, Arrival, Leaving, OwnSession, cookie},
        login,
        sessions::{self, Opened, Way},
        userinfo,
    },
    app::App,
    clock::rfc3339,
    error::{Code, Error, oauth},
};

/// `{"username","password"}`, or the grants `password` and `refresh_token` as forms. Further members are ignored, as the
/// service that we replace does.
pub async fn token(State(app): State<Arc<App>>, Extension(arrival): Extension<Arrival>, request: Request) -> Response {
    let (headers, bytes) = match body::read(request, &app).await {
        Ok(read) => read,
        Err(error) => return error.into_response(),
    };
    if is_form(&headers) {
        return granted(&app, &arrival, &bytes).await.unwrap_or_else(oauth::told);
    }
    log_in(&app, &arrival, &headers, &bytes).await.unwrap_or_else(IntoResponse::into_response)
}

/// Where sessions are kept in a cookie, the answer is that alone.
async fn log_in(app: &App, arrival: &Arrival, headers: &HeaderMap, bytes: &[u8]) -> Result<Response, Error> {
    let Object(mut members) = Object::parse(headers, bytes)?;
    let way = match app.config.session_cookie {
        Some(_) => Way::Cookie,
        None => Way::Json,
    };
    if way == Way::Cookie {
        cookie::same_origin(app, &Method::POST, headers)?;
    }
    let name = text(&mut members, "username")?;
    let password = secret(&mut members, "password")?;
    let opened = login::log_in(app, arrival, way, &name, &password).await?;
    match way {
        Way::Cookie => baked(app, StatusCode::OK, opened.refresh_token.as_ref()),
        Way::Json | Way::Form => Ok(as_the_seed_has_it(&opened)),
    }
}

async fn granted(app: &App, arrival: &Arrival, bytes: &[u8]) -> Result<Response, Error> {
    let mut form = Form::parse(bytes)?;
    let opened = match form.text("grant_type")?.as_str() {
        "password" => {
            let name = form.text("username")?;
            let password = form.secret("password")?;
            login::log_in(app, arrival, Way::Form, &name, &password).await?
        }
        "refresh_token" => {
            let token = form.secret("refresh_token")?;
            sessions::refresh(app, arrival, Way::Form, &token, None).await?
        }
        _ => {
            let message = "grant_type is password or refresh_token";
            return Err(Error::new(Code::UnsupportedGrantType, message));
        }
    };
    let seconds = (opened.expires_ms - app.clock.now_ms()).max(0) / 1000;
    let mut answer = json!({
        "access_token": opened.access_token.expose_secret(), "token_type": "Bearer", "expires_in": seconds,
    });
    if let Some(token) = &opened.refresh_token {
        answer["refresh_token"] = token.expose_secret().into();
    }
    let mut response = cached(frame::json(&answer), "no-store");
    // RFC 6749 5.1 asks for both.
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// `{"refreshToken"}`, beside the access token of the same session, which may have expired; or the cookie alone.
pub async fn refresh(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Result<Response, Error> {
    let (headers, bytes) = body::read(request, &app).await?;
    if !headers.contains_key(AUTHORIZATION)
        && let Some(token) = cookie::read(&app, &headers)
    {
        cookie::same_origin(&app, &Method::POST, &headers)?;
        Members::parse(&headers, &bytes)?;
        let opened = sessions::refresh(&app, &arrival, Way::Cookie, &token, None).await?;
        return baked(&app, StatusCode::OK, opened.refresh_token.as_ref());
    }
    let Object(mut members) = Object::parse(&headers, &bytes)?;
    let token = secret(&mut members, "refreshToken")?;
    let access = match gate::bearer(&headers) {
        Ok(access) => match app.tokens.verify_expired(access).await {
            Err(error) if error.code() == Code::TokenInvalid => None,
            told => Some(told?),
        },
        Err(_) => None,
    };
    let opened = sessions::refresh(&app, &arrival, Way::Json, &token, access.as_deref()).await?;
    Ok(as_the_seed_has_it(&opened))
}

/// RFC 7009: `token` as a form, or `{"token"}`. What is no token of ours is nothing to revoke, and that is no error.
pub async fn revoke(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Result<Response, Error> {
    let (headers, bytes) = body::read(request, &app).await?;
    let token = if is_form(&headers) {
        Form::parse(&bytes).and_then(|mut form| form.secret("token"))
    } else {
        Object::parse(&headers, &bytes).and_then(|Object(mut members)| secret(&mut members, "token"))
    };
    match token {
        Ok(token) => sessions::revoke(&app, &arrival, &token).await?,
        Err(error) if is_form(&headers) => return Ok(oauth::told(error)),
        Err(error) => return Err(error),
    }
    Ok(cached(StatusCode::OK.into_response(), "no-store"))
}

/// Ends the session in which the caller asks.
pub async fn log_out(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Leaving>,
    request: Request,
) -> Result<Response, Error> {
    let (headers, bytes) = body::read(request, &app).await?;
    Members::parse(&headers, &bytes)?;
    sessions::log_out(&app, &caller).await?;
    baked(&app, StatusCode::NO_CONTENT, None)
}

pub async fn key_set(State(app): State<Arc<App>>) -> Response {
    cached(frame::json(&app.tokens.key_set()), "max-age=300")
}

/// Who the caller is: what his identity says, and his user.
pub async fn userinfo(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<OwnSession>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let token = gate::bearer(&headers).ok().map(SecretString::from);
    let told = userinfo::tell(&app, &caller, token.as_ref()).await?;
    Ok(cached(frame::json(&told), "no-store"))
}

/// RFC 8414, as far as there is something to discover: we have tokens, and no page to log in on. Where sessions are another
/// provider's, that one tells.
pub async fn discovery(State(app): State<Arc<App>>) -> Result<Response, Error> {
    if !app.tokens.are_ours() {
        return Err(no_route());
    }
    let base = app.config.pages_url();
    let told = json!({
        "issuer": app.config.issuer(),
        "token_endpoint": format!("{base}/oauth/token"),
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "revocation_endpoint": format!("{base}/oauth/revoke"),
        "grant_types_supported": ["password", "refresh_token"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "claims_supported": ["sub", "preferred_username", "email"],
    });
    Ok(cached(frame::json(&told), "max-age=300"))
}

/// Nothing but the cookie, where there is one.
fn baked(app: &App, status: StatusCode, token: Option<&SecretString>) -> Result<Response, Error> {
    let mut response = cached(status.into_response(), "no-store");
    if let Some(cookie) = cookie::set(app, token)? {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

fn as_the_seed_has_it(opened: &Opened) -> Response {
    let mut answer = json!({
        "accessToken": opened.access_token.expose_secret(), "expireAt": rfc3339(opened.expires_ms),
    });
    if let Some(token) = &opened.refresh_token {
        answer["refreshToken"] = token.expose_secret().into();
    }
    cached(frame::json(&answer), "no-store")
}
