//! The document as a page that needs no script and loads nothing.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use minijinja::{
    Environment, HtmlEscape, context,
    value::{Serde, Value as Shown},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use crate::{
    api::html::{self, Forms},
    error::{self, Error},
    mail::templates::style_source,
};

const TEMPLATE: &str = include_str!("../../../templates/documentation.html");
const STYLE: &str = include_str!("../../../templates/documentation.css");

/// Cheap to copy.
#[derive(Clone)]
pub struct Page(Result<Bytes, Error>);

/// `link` leads to the document itself.
pub fn of(document: &OpenApi, link: &str) -> Page {
    Page(written(document, link).map(Bytes::from).map_err(error::internal))
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        match self.0 {
            Ok(page) => html::page(page, &style_source(STYLE), Forms::Nowhere),
            Err(error) => error.into_response(),
        }
    }
}

fn written(document: &OpenApi, link: &str) -> Result<String, Box<dyn std::error::Error>> {
    let document = serde_json::to_value(document)?;
    let mut environment = Environment::new();
    environment.add_template("documentation.html", TEMPLATE)?;
    environment.add_filter("marked", |text: &str| Shown::from_safe_string(marked(text)));
    let shown = context! {
        link,
        style => Shown::from_safe_string(STYLE.to_owned()),
        title => document["info"]["title"].as_str(),
        version => document["info"]["version"].as_str(),
        about => document["info"]["description"].as_str(),
        sections => Shown::from(Serde(sections(&document))),
        shared => Shown::from(Serde(shared(&document))),
        schemas => Shown::from(Serde(schemas(&document))),
    };
    Ok(environment.get_template("documentation.html")?.render(shown)?)
}

#[derive(Serialize)]
struct Section<'d> {
    name: &'d str,
    about: &'d str,
    operations: Vec<Operation<'d>>,
}

#[derive(Serialize)]
struct Operation<'d> {
    id: &'d str,
    method: String,
    path: &'d str,
    summary: &'d str,
    more: &'d str,
    open: bool,
    parameters: Vec<Row<'d>>,
    bodies: Vec<Content<'d>>,
    replies: Vec<Reply<'d>>,
    /// Those that look alike wherever they are given.
    shared: Vec<(&'d str, &'d str)>,
}

#[derive(Serialize)]
struct Row<'d> {
    name: &'d str,
    place: &'d str,
    kind: Kind<'d>,
    required: bool,
    told: &'d str,
}

#[derive(Serialize)]
struct Content<'d> {
    media: &'d str,
    kind: Kind<'d>,
    example: Option<String>,
}

#[derive(Serialize)]
struct Reply<'d> {
    status: &'d str,
    told: &'d str,
    kinds: Vec<Kind<'d>>,
}

/// What a value is: in words, and where it is described.
#[derive(Serialize, Default)]
struct Kind<'d> {
    words: String,
    schema: Option<&'d str>,
}

#[derive(Serialize)]
struct Schema<'d> {
    name: &'d str,
    told: &'d str,
    members: Vec<Row<'d>>,
    open: bool,
    example: Option<String>,
}

fn sections(document: &Value) -> Vec<Section<'_>> {
    let of_tag = |tag: &Value| {
        let every = members(&document["paths"]).flat_map(|(path, item)| {
            members(item)
                .filter(|(_, operation)| operation["operationId"].is_string())
                .map(move |(method, operation)| (path, method, operation))
        });
        let tagged = every.filter(|(_, _, operation)| operation["tags"][0] == tag["name"]);
        tagged.map(|(path, method, operation)| shown(document, path, method, operation)).collect()
    };
    let tags = elements(&document["tags"]);
    tags.map(|tag| Section { name: text(&tag["name"]), about: text(&tag["description"]), operations: of_tag(tag) })
        .collect()
}

fn shown<'d>(document: &'d Value, path: &'d str, method: &str, operation: &'d Value) -> Operation<'d> {
    let parameters = elements(&operation["parameters"]).map(|parameter| Row {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        kind: kind(&parameter["schema"]),
        required: parameter["required"] == true,
        told: text(&parameter["description"]),
    });
    let replies = || members(&operation["responses"]).map(|(status, reply)| (status, reply, name(reply)));
    let own = replies().filter(|(_, _, shared)| shared.is_none()).map(|(status, reply, _)| replied(status, reply));
    Operation {
        id: text(&operation["operationId"]),
        method: method.to_uppercase(),
        path,
        summary: text(&operation["summary"]),
        more: text(&operation["description"]),
        open: elements(&operation["security"]).all(|one| one.as_object().is_some_and(serde_json::Map::is_empty)),
        parameters: parameters.collect(),
        bodies: members(&operation["requestBody"]["content"])
            .map(|(media, body)| content(document, media, body))
            .collect(),
        replies: own.collect(),
        shared: replies().filter_map(|(status, _, shared)| Some((status, shared?))).collect(),
    }
}

fn replied<'d>(status: &'d str, reply: &'d Value) -> Reply<'d> {
    // One form of an error is enough here.
    let contents = members(&reply["content"]).filter(|(media, _)| *media != "application/problem+json");
    let kinds = contents.map(|(_, content)| kind(&content["schema"])).collect();
    Reply { status, told: text(&reply["description"]), kinds }
}

fn shared(document: &Value) -> Vec<Reply<'_>> {
    members(&document["components"]["responses"]).map(|(name, reply)| replied(name, reply)).collect()
}

fn content<'d>(document: &'d Value, media: &'d str, content: &'d Value) -> Content<'d> {
    let schema = &content["schema"];
    let item = &schema["items"];
    let example = match (example(resolved(document, schema)), example(resolved(document, item))) {
        (Some(whole), _) => Some(whole.clone()),
        (None, Some(item)) => Some(vec![item.clone()].into()),
        (None, None) => None,
    };
    Content { media, kind: kind(schema), example: example.map(|example| pretty(&example)) }
}

fn schemas(document: &Value) -> Vec<Schema<'_>> {
    let schemas = members(&document["components"]["schemas"]);
    let described = schemas.map(|(name, schema)| {
        let required: Vec<&str> = elements(&schema["required"]).map(text).collect();
        let members = members(&schema["properties"]).map(|(name, member)| Row {
            name,
            place: "",
            kind: kind(member),
            required: required.contains(&name),
            told: text(&member["description"]),
        });
        let open = schema["additionalProperties"].is_object();
        Schema {
            name,
            told: text(&schema["description"]),
            members: members.collect(),
            open,
            example: example(schema).map(pretty),
        }
    });
    described.collect()
}

fn kind(schema: &Value) -> Kind<'_> {
    if let Some(name) = name(schema) {
        return Kind { words: String::new(), schema: Some(name) };
    }
    for several in ["anyOf", "allOf", "oneOf"] {
        // The first is the rule, the others say more of it; null stands for what need not be there.
        let named = elements(&schema[several]).find(|one| one["type"] != "null");
        if let Some(named) = named {
            return kind(named);
        }
    }
    let several = schema["type"].as_array().into_iter().flatten().map(text).filter(|kind| *kind != "null");
    let types = schema["type"].as_str().map_or_else(|| several.collect::<Vec<_>>().join(" or "), str::to_owned);
    if types == "array" {
        let item = kind(&schema["items"]);
        return Kind { words: format!("list of {}", item.words), schema: item.schema };
    }
    let words: Vec<&str> = elements(&schema["enum"]).map(text).collect();
    match words.is_empty() {
        true => Kind { words: types, schema: None },
        false => Kind { words: words.join(", "), schema: None },
    }
}

fn resolved<'d>(document: &'d Value, whole: &'d Value) -> &'d Value {
    let pointed = whole["$ref"].as_str().and_then(|place| document.pointer(place.strip_prefix('#')?));
    pointed.unwrap_or(whole)
}

/// Of what it stands for, where it stands for something else.
fn name(whole: &Value) -> Option<&str> {
    whole["$ref"].as_str()?.rsplit('/').next()
}

/// What stands between backticks is code.
fn marked(text: &str) -> String {
    let part = |(nth, part): (usize, &str)| match nth % 2 {
        0 => HtmlEscape(part).to_string(),
        _ => format!("<code>{}</code>", HtmlEscape(part)),
    };
    text.split('`').enumerate().map(part).collect()
}

fn example(schema: &Value) -> Option<&Value> {
    schema["examples"].get(0)
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn elements(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn members(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    object.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
