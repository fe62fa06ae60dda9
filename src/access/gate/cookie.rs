//! The cookie in which a browser keeps its session (`SESSION_COOKIE`): its refresh token. It is sent whoever makes the browser
//! ask, so what changes something counts only when it comes from a page of ours.

use axum::http::{
    HeaderMap, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, ORIGIN},
};
use cookie::{Cookie, SameSite, time::Duration};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    app::App,
    config::SessionCookie,
    error::{self, Code, Error},
};

/// The one that came, where cookies are in use. Beside one of ours another of that name, which somebody else may have put there
/// for a wider domain or a longer path, counts for nothing; of two of ours nobody could say which is meant.
pub fn read(app: &App, headers: &HeaderMap) -> Option<SecretString> {
    meant(app, headers.get_all(COOKIE))
}

/// The headers with cookies of a request that brought nothing else to say who asks, where cookies are in use.
pub fn alone(app: &App, headers: &HeaderMap) -> Vec<HeaderValue> {
    if app.config.session_cookie.is_none() || headers.contains_key(AUTHORIZATION) {
        return Vec::new();
    }
    headers.get_all(COOKIE).iter().cloned().collect()
}

/// What takes away a cookie among these that is good for nothing any more.
pub fn takes_away(app: &App, refused: &[HeaderValue]) -> Option<HeaderValue> {
    meant(app, refused)?;
    set(app, None).ok().flatten()
}

/// What puts the token into the browser, or with nothing takes it away.
pub fn set(app: &App, token: Option<&SecretString>) -> Result<Option<HeaderValue>, Error> {
    let Some(SessionCookie { name, secure }) = &app.config.session_cookie else { return Ok(None) };
    let idle = i64::try_from(app.config.token.refresh_idle.as_secs()).unwrap_or(i64::MAX);
    let cookie = Cookie::build((name, token.map(ExposeSecret::expose_secret).unwrap_or_default()))
        .http_only(true)
        .secure(*secure)
        .same_site(SameSite::Lax)
        .path("/")
        .max_age(Duration::seconds(if token.is_some() { idle } else { 0 }));
    let mut header = HeaderValue::from_str(&cookie.to_string()).map_err(error::internal)?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// Whether the request may use the cookie, or be given it.
///
/// # Errors
/// `cross-site` for one that changes something and is not JSON, or not from a page of ours, as the browser says it
/// (`Sec-Fetch-Site`, and older ones `Origin`).
pub fn same_origin(app: &App, method: &Method, headers: &HeaderMap) -> Result<(), Error> {
    if method.is_safe() {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let json = text(CONTENT_TYPE.as_str()).and_then(|kind| kind.split(';').next());
    let json = json.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    let ours = match text("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => text(ORIGIN.as_str()).is_some_and(|origin| {
            origin == app.config.origin() || app.config.http.cors_origins.iter().any(|listed| listed == origin)
        }),
    };
    if json && ours {
        return Ok(());
    }
    Err(Error::new(Code::CrossSite, "With the session's cookie only JSON from a page of this origin is taken"))
}

fn meant<'h>(app: &App, headers: impl IntoIterator<Item = &'h HeaderValue>) -> Option<SecretString> {
    let SessionCookie { name, .. } = app.config.session_cookie.as_ref()?;
    let all = headers.into_iter().filter_map(|header| header.to_str().ok());
    let named = all.flat_map(Cookie::split_parse).flatten().filter(|cookie| cookie.name() == name);
    let mut values: Vec<String> = named.map(|cookie| cookie.value().to_owned()).collect();
    if values.len() > 1 {
        values.retain(|value| app.sessions.has_made(value));
        values.dedup();
    }
    let value = values.pop()?;
    values.is_empty().then(|| value.into())
}
