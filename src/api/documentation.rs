//! `/documentation/`: the OpenAPI document of what this program answers, made of the route table, of the signatures of its
//! endpoints and of `words`; and the same as a page.

mod page;
mod replies;
mod shapes;
mod words;

use std::sync::{Arc, OnceLock};

use axum::{
    Extension,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use utoipa::{
    ToSchema,
    openapi::{
        Components, ContentBuilder, HttpMethod, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Paths, Required,
        Server,
        path::{Operation, OperationBuilder},
        request_body::RequestBodyBuilder,
        schema::ComponentsBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
        tag::TagBuilder,
    },
};

use self::words::{Section, Words};
use super::{
    behind,
    frame::VERSION,
    routes::Endpoint,
    sessions,
    signature::{Asker, Body as Comes},
    table,
};
use crate::{
    app::App,
    config::Config,
    error::{self, Code, Error},
    events,
    groups::trial::Trial,
    operations,
};

const BEARER: &str = "bearer";
const COOKIE: &str = "cookie";

/// Made when it is first asked for. Cheap to copy.
#[derive(Clone, Default)]
pub struct Documentation(Arc<OnceLock<Shown>>);

struct Shown {
    json: Result<Bytes, Error>,
    page: page::Page,
}

impl Documentation {
    fn shown(&self, config: &Config) -> &Shown {
        self.0.get_or_init(|| {
            let document = document(config);
            let json = serde_json::to_vec(&document).map(Bytes::from).map_err(error::internal);
            Shown { json, page: page::of(&document, &link(config)) }
        })
    }
}

pub async fn json(
    State(app): State<Arc<App>>,
    Extension(documentation): Extension<Documentation>,
) -> Result<Response, Error> {
    let document = documentation.shown(&app.config).json.clone()?;
    Ok(([(CONTENT_TYPE, "application/json; charset=utf-8")], document).into_response())
}

pub async fn page(State(app): State<Arc<App>>, Extension(documentation): Extension<Documentation>) -> Response {
    documentation.shown(&app.config).page.clone().into_response()
}

/// The document as it is answered, written so that people can read it.
pub fn written(config: &Config) -> Result<String, serde_json::Error> {
    document(config).to_pretty_json()
}

fn document(config: &Config) -> OpenApi {
    let mut sections = words::sections();
    let mut paths = Paths::new();
    for endpoint in table().endpoints {
        let of_it = sections.iter_mut().find_map(|section| taken(section, &endpoint));
        if let Some(method) = method(&endpoint) {
            paths.add_path_operation(endpoint.path, vec![method], operation(&endpoint, of_it));
        }
    }
    for (path, item) in &mut paths.paths {
        if path.starts_with("/-/") {
            // No prefix stands in front of them.
            item.servers = Some(vec![Server::new("/")]);
        }
    }
    let tags =
        sections.iter().map(|section| TagBuilder::new().name(section.name).description(Some(section.about)).build());
    let licence =
        LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).identifier(Some(env!("CARGO_PKG_LICENSE"))).build();
    let info = InfoBuilder::new()
        .title(env!("CARGO_PKG_NAME"))
        .version(VERSION)
        .description(Some(ABOUT))
        .license(Some(licence));
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([Server::new(server(config))]))
        .paths(paths)
        .components(Some(components(config)))
        .tags(Some(tags.collect::<Vec<_>>()))
        .build()
}

const ABOUT: &str = "Keeps a person's user and his identity in step, whatever fails on the way.\n\n\
    A closing slash means the same on every route. Every answer bears `x-request-id` and `x-user-manager-version`. \
    An error says in `code` which situation it is; with `Accept: application/problem+json` it comes as RFC 9457 has it. \
    `UPSTREAM_STATUS=precise` tells failures of other systems with 502, 503 or 504 in place of 500.\n\n\
    With `ACCESS=gateway` an API gateway in front says in headers who asks, in the place of a token; routes that it does not guard \
    are 404 `route-not-found` then, but for whoever brings a token that opens them.";

/// What is said of the endpoint, with the name of its section.
fn taken(section: &mut Section, endpoint: &Endpoint) -> Option<(&'static str, Words)> {
    let of_it = |words: &Words| words.method == endpoint.method && words.path == endpoint.path;
    let at = section.words.iter().position(of_it)?;
    Some((section.name, section.words.swap_remove(at)))
}

fn method(endpoint: &Endpoint) -> Option<HttpMethod> {
    match endpoint.method.as_str() {
        "GET" => Some(HttpMethod::Get),
        "POST" => Some(HttpMethod::Post),
        "PATCH" => Some(HttpMethod::Patch),
        "DELETE" => Some(HttpMethod::Delete),
        _ => None,
    }
}

fn operation(endpoint: &Endpoint, words: Option<(&'static str, Words)>) -> Operation {
    let says = &endpoint.says;
    let mut operation = OperationBuilder::new();
    for parameter in &says.parameters {
        operation = operation.parameter(parameter.clone());
    }
    operation = operation.securities(Some(securities(endpoint)));
    let Some((section, mut words)) = words else { return operation.build() };
    if behind::may_be_hidden(endpoint.path) {
        words.codes.push(Code::RouteNotFound);
    }
    let mut told = words.more.to_owned();
    if !says.permissions.is_empty() {
        let permissions: Vec<String> = says.permissions.iter().map(|permission| format!("`{permission}`")).collect();
        told = format!("{told}\n\nNeeds {}.", permissions.join(" and "));
    }
    operation
        .tag(section)
        .operation_id(Some(words.id))
        .summary(Some(words.summary))
        .description(Some(told.trim()).filter(|told| !told.is_empty()))
        .request_body((!words.takes.is_empty()).then(|| {
            let optional = words.optional || says.body == Some(Comes::Optional);
            let required = if optional { Required::False } else { Required::True };
            let body = RequestBodyBuilder::new().required(Some(required));
            let content = |schema| ContentBuilder::new().schema(Some(schema)).build();
            words.takes.iter().cloned().fold(body, |body, (kind, schema)| body.content(kind, content(schema))).build()
        }))
        .responses(replies::of(endpoint, &words))
        .build()
}

/// Any of these will do. No requirement at all stands for whoever is nobody.
fn securities(endpoint: &Endpoint) -> Vec<SecurityRequirement> {
    let says = &endpoint.says;
    let bearer = SecurityRequirement::new(BEARER, says.permissions.iter().copied());
    let cookie = says.cookie.then(|| SecurityRequirement::new(COOKIE, [] as [&str; 0]));
    match says.asker {
        Asker::Anybody => Vec::new(),
        Asker::AnybodyPerhapsKnown => vec![SecurityRequirement::default(), bearer],
        Asker::Somebody => [bearer].into_iter().chain(cookie).collect(),
    }
}

fn components(config: &Config) -> Components {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(
        "An access token. Its person must hold the permissions that are named; `users:admin` implies every one.",
    ));
    let name = config.session_cookie.as_ref().map_or("sid", |cookie| cookie.name.as_str());
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(name, "Where `SESSION_COOKIE=true`."));
    let components = ComponentsBuilder::new()
        .security_scheme(BEARER, SecurityScheme::Http(bearer.build()))
        .security_scheme(COOKIE, SecurityScheme::ApiKey(cookie));
    let components = with::<sessions::Row>(shapes::all(components));
    let components = with::<operations::Shown>(components);
    let components = with::<events::Shown>(components);
    let components = with::<Trial>(components);
    replies::shared(components).build()
}

/// The shape, and those that it is made of.
fn with<T: ToSchema>(components: ComponentsBuilder) -> ComponentsBuilder {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    components.schemas_from_iter(parts).schema_from::<T>()
}

/// Where the routes stand: as the world sees them where that is known, else on whatever host the document comes from.
fn server(config: &Config) -> String {
    match config.http.public_url {
        Some(_) => config.pages_url(),
        None if config.http.prefix.is_empty() => "/".to_owned(),
        None => config.http.prefix.clone(),
    }
}

/// From the page to the document.
fn link(config: &Config) -> String {
    format!("{}/documentation/json", server(config).trim_end_matches('/'))
}
