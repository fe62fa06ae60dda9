//! `/reset-password`: the page behind a mailed link, made here and in need of no script. Every answer of it is a page too,
//! errors included.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use secrecy::SecretString;

use super::{
    body,
    form::{self, Form},
    frame,
    html::{self, Forms},
    no_route,
    target::Linked,
};
use crate::{
    access::gate::Arrival,
    app::App,
    error::{Code, Error},
    mail::{
        Post,
        templates::{Page, Shown},
    },
    users::{
        passwords::Rule,
        reset::{self, Chooser, Chosen},
    },
};

/// The form, where the link holds.
pub async fn show(State(app): State<Arc<App>>, Linked(code): Linked) -> Response {
    let Some(post) = &app.post else { return no_route().into_response() };
    match reset::chooser(&app, post, &code).await {
        Ok(Some(chooser)) => written(post, Some(&chooser), asking(&chooser, &code, None), StatusCode::OK),
        Ok(None) => dead(post, None),
        Err(error) => failed(post, None, &error),
    }
}

/// The form as it was sent: `code`, `password`.
pub async fn choose(State(app): State<Arc<App>>, Extension(arrival): Extension<Arrival>, request: Request) -> Response {
    let Some(post) = &app.post else { return no_route().into_response() };
    let Sent { code, password } = match read(&app, request).await {
        Ok(Some(form)) => form,
        Ok(None) => return dead(post, None),
        Err(error) => return failed(post, None, &error),
    };
    let chooser = match reset::chooser(&app, post, &code).await {
        Ok(Some(chooser)) => chooser,
        Ok(None) => return dead(post, None),
        Err(error) => return failed(post, None, &error),
    };
    match reset::choose(&app, &chooser, &arrival, &password).await {
        Ok(Chosen::Done) => written(post, Some(&chooser), Page::Done, StatusCode::OK),
        Ok(Chosen::Refused(rule)) => {
            let status = Code::PasswordRefused.row().1;
            written(post, Some(&chooser), asking(&chooser, &code, Some(rule)), status)
        }
        Ok(Chosen::LinkDead) => dead(post, Some(&chooser)),
        Err(error) => failed(post, Some(&chooser), &error),
    }
}

struct Sent {
    code: String,
    password: SecretString,
}

/// Nothing of what no form of ours sends.
async fn read(app: &App, request: Request) -> Result<Option<Sent>, Error> {
    let (headers, bytes) = body::read(request, app).await?;
    if !form::is_form(&headers) {
        return Ok(None);
    }
    let Ok(mut fields) = Form::parse(&bytes) else { return Ok(None) };
    let Ok(code) = fields.text("code") else { return Ok(None) };
    // None is one that is too short.
    Ok(Some(Sent { code, password: fields.secret("password").unwrap_or_default() }))
}

fn asking<'a>(chooser: &'a Chooser, code: &'a str, wrong: Option<Rule>) -> Page<'a> {
    let wrong = wrong.map(|rule| match rule {
        Rule::Shortest(_) => "shortest",
        Rule::Common => "common",
        Rule::Longest(_) => "longest",
    });
    Page::Form { code, name: chooser.name(), shortest: chooser.shortest(), wrong }
}

/// One page for every link that does not hold.
fn dead(post: &Post, chooser: Option<&Chooser>) -> Response {
    written(post, chooser, Page::Dead, Code::ResetLinkDead.row().1)
}

fn failed(post: &Post, chooser: Option<&Chooser>, error: &Error) -> Response {
    let status = error.code().row().1;
    let page = if status.is_client_error() { Page::Dead } else { Page::Unavailable };
    tracing::warn!(status = status.as_u16(), "a password could not be chosen: {}", error.message());
    let mut response = written(post, chooser, page, status);
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn written(post: &Post, chooser: Option<&Chooser>, page: Page<'_>, status: StatusCode) -> Response {
    let Shown { html, style_source } = match post.templates.page(chooser.and_then(Chooser::locale), page) {
        Ok(shown) => shown,
        Err(error) => return error.into_response(),
    };
    let mut response = html::page(html, &style_source, Forms::Here);
    *response.status_mut() = status;
    frame::cached(response, "no-store")
}
