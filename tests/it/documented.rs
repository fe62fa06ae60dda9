//! Holds every answer that a test is given against the OpenAPI document: its status, its code, its body, its headers; and of
//! a request that was taken, its parameters and its body.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use serde_json::{Value, json};
use user_manager::{api, config::Config};

/// As it is where nothing is set.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let config = Config::resolve([]).unwrap().config;
    serde_json::from_str(&api::openapi(&config).unwrap()).unwrap()
});

/// One answer, and what it answers.
pub struct Exchange<'e> {
    pub method: &'e str,
    /// With its query.
    pub target: &'e str,
    pub sent: Option<&'e Value>,
    pub status: u16,
    /// Names in small letters.
    pub header: &'e dyn Fn(&str) -> Option<String>,
    pub body: &'e [u8],
}

/// Those that an answer bears only where its reply says so.
const HEADERS: [&str; 7] =
    ["x-operation-id", "idempotency-replayed", "etag", "retry-after", "www-authenticate", "allow", "set-cookie"];

/// What the document does not know of it; nothing for a route that there is not.
pub fn undocumented(exchange: &Exchange<'_>) -> Option<String> {
    let (path, query) = exchange.target.split_once('?').unwrap_or((exchange.target, ""));
    let template = template(path)?;
    let method = exchange.method.to_lowercase();
    let operation = &DOCUMENT["paths"][template][&method];
    if operation.is_null() {
        return None;
    }
    let status = exchange.status.to_string();
    let reply = resolved(&operation["responses"][&status]);
    let missed = if reply.is_null() {
        Some(format!("status, {}", String::from_utf8_lossy(exchange.body)))
    } else {
        body(exchange, reply, &format!("{method} {template} {status}"))
            .or_else(|| header(exchange, reply))
            .or_else(|| request(exchange, operation, query, &format!("{method} {template}")))
    };
    missed.map(|missed| format!("{} {template} {status}: {missed}", exchange.method))
}

/// The route that a path belongs to.
pub fn template(path: &str) -> Option<&'static str> {
    let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
    let fits = |template: &&String| {
        let (wanted, found) = (template.split('/'), path.split('/'));
        wanted.clone().count() == found.clone().count()
            && wanted
                .zip(found)
                .all(|(wanted, found)| wanted == found || (wanted.starts_with('{') && !found.is_empty()))
    };
    let variables = |template: &&String| template.matches('{').count();
    DOCUMENT["paths"].as_object().unwrap().keys().filter(fits).min_by_key(variables).map(String::as_str)
}

/// What a `$ref` stands for.
pub fn resolved(whole: &Value) -> &Value {
    match whole["$ref"].as_str() {
        Some(place) => DOCUMENT.pointer(place.strip_prefix('#').unwrap()).unwrap_or(&Value::Null),
        None => whole,
    }
}

fn body(exchange: &Exchange<'_>, reply: &Value, place: &str) -> Option<String> {
    let kind = (exchange.header)("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap();
    if exchange.body.is_empty() {
        return None;
    }
    let content = &reply["content"][kind];
    if content.is_null() {
        return Some(format!("content type {kind}"));
    }
    if !kind.ends_with("json") {
        return None;
    }
    let body: Value = serde_json::from_slice(exchange.body).ok()?;
    let errors = errors(&format!("{place} {kind}"), &content["schema"], &body);
    errors.map(|errors| format!("body {body}: {errors}"))
}

fn header(exchange: &Exchange<'_>, reply: &Value) -> Option<String> {
    let known =
        |name: &str| reply["headers"].as_object().is_some_and(|all| all.keys().any(|it| it.eq_ignore_ascii_case(name)));
    let missed = HEADERS.into_iter().find(|name| (exchange.header)(name).is_some() && !known(name));
    missed.map(|name| format!("header {name}"))
}

fn request(exchange: &Exchange<'_>, operation: &Value, query: &str, place: &str) -> Option<String> {
    if exchange.status >= 300 {
        return None;
    }
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let known: Vec<&str> =
        parameters.filter(|one| one["in"] == "query").filter_map(|one| one["name"].as_str()).collect();
    for (name, _) in url::form_urlencoded::parse(query.as_bytes()) {
        let field = known.contains(&"fields") && !name.starts_with('_');
        if !field && !known.contains(&&*name) {
            return Some(format!("parameter {name}"));
        }
    }
    let sent = exchange.sent?;
    let content = &operation["requestBody"]["content"]["application/json"];
    if content.is_null() {
        return (*sent != json!({})).then(|| "a body".to_owned());
    }
    errors(&format!("{place} request"), &content["schema"], sent).map(|errors| format!("request {sent}: {errors}"))
}

/// What is wrong with a value, by a schema of the document.
fn errors(place: &str, schema: &Value, value: &Value) -> Option<String> {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let validator = {
        let mut validators = VALIDATORS.lock().unwrap();
        validators.entry(place.to_owned()).or_insert_with(|| Arc::new(validator(schema))).clone()
    };
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    (!errors.is_empty()).then(|| errors.join("; "))
}

/// It may refer to the schemas that are shared.
pub fn validator(schema: &Value) -> Validator {
    let root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": { "schemas": DOCUMENT["components"]["schemas"] },
        "allOf": [schema],
    });
    jsonschema::validator_for(&root).unwrap_or_else(|error| panic!("{schema}: {error}"))
}
