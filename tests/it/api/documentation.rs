//! The document tells what the program answers: every route of the table and no other, every code of the page of replies,
//! and whom each route lets in.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::{Value, json};

use super::{door::Door, routes};
use crate::documented::{DOCUMENT, resolved, validator};

/// Method, path, operation.
pub fn operations() -> Vec<(String, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let of_path = |(path, item): (&'static String, &'static Value)| {
        let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "servers");
        methods.map(move |(method, operation)| (method.to_uppercase(), path.as_str(), operation)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn every_route_is_documented_and_nothing_else() {
    let table: BTreeSet<(String, String)> = routes().into_iter().collect();
    let told = operations().into_iter().map(|(method, path, _)| (method, path.to_owned())).collect();
    assert_eq!(table, told);
    for (method, path, operation) in operations() {
        let told = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{told} has no words");
        let succeeds = |status: &String| status.starts_with('2');
        assert!(operation["responses"].as_object().unwrap().keys().any(succeeds), "{told} never succeeds");
    }
}

#[test]
fn the_document_is_sound() {
    assert!(DOCUMENT["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(DOCUMENT["info"]["version"], env!("CARGO_PKG_VERSION"));
    every_reference_leads_somewhere(&DOCUMENT);

    let mut ids = BTreeSet::new();
    let tags: Vec<&Value> = DOCUMENT["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (method, path, operation) in operations() {
        let told = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{told}: the id stands twice");
        assert!(operation["tags"].as_array().unwrap().iter().all(|tag| tags.contains(&tag)), "{told}");
        let mut declared = BTreeSet::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            assert!(declared.insert((parameter["in"].as_str().unwrap(), name)), "{told}: {name} stands twice");
            assert!(!parameter["description"].as_str().unwrap().is_empty(), "{told}: {name}");
            assert_eq!(parameter["required"], parameter["in"] == "path", "{told}: {name}");
            validator(&parameter["schema"]);
        }
        let variables = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path = declared.iter().filter(|(place, _)| *place == "path").map(|(_, name)| *name);
        assert_eq!(variables.collect::<BTreeSet<_>>(), in_path.collect(), "{told}");
        for (status, reply) in operation["responses"].as_object().unwrap() {
            let reply = resolved(reply);
            assert!(status.parse::<u16>().is_ok() && reply["description"].is_string(), "{told} {status}");
            for (_, content) in reply["content"].as_object().into_iter().flatten() {
                validator(&content["schema"]);
            }
        }
        for requirement in operation["security"].as_array().into_iter().flatten() {
            for scheme in requirement.as_object().unwrap().keys() {
                assert!(DOCUMENT["components"]["securitySchemes"][scheme].is_object(), "{told}: {scheme}");
            }
        }
    }
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        let validator = validator(schema);
        for example in schema["examples"].as_array().into_iter().flatten() {
            assert!(validator.is_valid(example), "{name}: {example}");
        }
    }
}

#[test]
fn every_body_that_is_asked_for_comes_with_an_example() {
    for (method, path, operation) in operations() {
        for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            let schema = resolved(&content["schema"]);
            let example = |schema: &Value| schema["examples"][0].is_object();
            let nothing_counts = schema["properties"].is_null() && schema["items"].is_null();
            let has = example(schema) || example(resolved(&schema["items"])) || nothing_counts;
            assert!(has, "{method} {path} as {kind}");
        }
    }
}

fn every_reference_leads_somewhere(value: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(place) = members.get("$ref") {
                assert!(!resolved(value).is_null(), "{place}");
            }
            members.values().for_each(every_reference_leads_somewhere);
        }
        Value::Array(items) => items.iter().for_each(every_reference_leads_somewhere),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The statuses that the settings `UPSTREAM_STATUS` and `LOGIN_REFUSED_STATUS` move a code to.
const MOVED: [(&str, &[u16]); 5] = [
    ("upstream-failed", &[502, 503, 504]),
    ("upstream-refused", &[502]),
    ("resumable", &[502, 503, 504]),
    ("outcome-pending", &[504]),
    ("login-refused", &[403]),
];

#[test]
fn the_document_tells_every_code_of_the_page_of_replies_with_its_statuses() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/replies.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let code = cells.next()?.strip_suffix('`')?;
        Some((code.to_owned(), cells.next()?.parse::<u16>().ok()?))
    });
    let mut known: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for (code, status) in rows {
        let moved = MOVED.iter().find(|(moved, _)| *moved == code).map_or(&[][..], |(_, statuses)| statuses);
        known.entry(code).or_default().extend([status].iter().chain(moved));
    }
    let mut told: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for (_, _, operation) in operations() {
        for (status, reply) in operation["responses"].as_object().unwrap() {
            for code in codes(resolved(reply)) {
                told.entry(code).or_default().insert(status.parse().unwrap());
            }
        }
    }
    assert_eq!(told, known);
}

/// Those that a reply names.
fn codes(reply: &Value) -> Vec<String> {
    let told = reply["description"].as_str().unwrap().split('`').skip(1).step_by(2).map(str::to_owned);
    let schema = &reply["content"]["application/json"]["schema"];
    let error = if schema["anyOf"].is_array() { &schema["anyOf"][0] } else { schema };
    let words = error["allOf"][1]["properties"]["code"]["enum"].as_array().into_iter().flatten();
    let words: Vec<String> = words.map(|word| word.as_str().unwrap().to_owned()).collect();
    if !words.is_empty() {
        assert_eq!(told.collect::<Vec<_>>(), words);
    }
    words
}

#[tokio::test]
async fn a_parameter_is_known_where_the_document_names_it_and_nowhere_else() {
    let door = Door::open().await;
    for (method, path, operation) in operations() {
        let target = path.replace("{id}", &door.powerless.id).replace("{sid}", "x");
        let refused = async |name: &str| {
            let answer = door.send(&method, &format!("{target}?{name}=x"), Some(&door.admin.token), None).await;
            String::from_utf8(answer.body).unwrap().contains("is not known here")
        };
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let named = parameters.filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap());
        let named: Vec<&str> = named.collect();
        for name in named.iter().filter(|name| **name != "fields") {
            assert!(!refused(name).await, "{method} {path} does not know {name}");
        }
        let strange = if named.contains(&"fields") { "_strange" } else { "strange" };
        assert_eq!(refused(strange).await, path != "/reset-password", "{method} {path}");
    }
}

#[tokio::test]
async fn it_is_answered_to_everybody_and_says_where_the_routes_are() {
    let door = Door::with(&[("SERVICE_PREFIX", "/ums")]).await;
    for path in ["/ums/documentation/json", "/ums/documentation/json/"] {
        let answer = door.send("GET", path, None, None).await;
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
        let document = answer.json();
        assert_eq!(document["servers"], json!([{ "url": "https://um.example.org" }]));
        assert_eq!(document["paths"], DOCUMENT["paths"]);
    }
    assert_eq!(door.send("GET", "/documentation/json", None, None).await.status, 404);
    assert_eq!(DOCUMENT["servers"], json!([{ "url": "/" }]));
}

#[tokio::test]
async fn the_page_tells_all_of_it_and_neither_runs_nor_loads_anything() {
    let door = Door::open().await;
    let answer = door.send("GET", "/documentation/", None, None).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let html = String::from_utf8(answer.body.clone()).unwrap();
    for thing in ["<script", "<link", "<img", "<iframe", "@import", "url(", " style=", " src=", " onclick", " onload"] {
        assert!(!html.contains(thing), "{thing}");
    }
    let mut places: Vec<&str> = html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    places.retain(|place| *place != "https:&#x2f;&#x2f;um.example.org&#x2f;documentation&#x2f;json");
    for place in places {
        let name = place.strip_prefix('#').unwrap_or_else(|| panic!("{place}"));
        assert!(html.contains(&format!("id=\"{name}\"")), "{place}");
    }
    for (method, path, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap();
        assert!(html.contains(&format!("<h3 id=\"{id}\">")), "{method} {path}");
    }
}

/// Who may ask, as a reader wants it.
fn asker(operation: &Value) -> String {
    let ways: Vec<_> = operation["security"].as_array().unwrap().iter().map(|way| way.as_object().unwrap()).collect();
    let Some(bearer) = ways.iter().find_map(|way| way.get("bearer")) else { return "anybody".to_owned() };
    let permissions: Vec<_> =
        bearer.as_array().unwrap().iter().map(|name| format!("`{}`", name.as_str().unwrap())).collect();
    match permissions.as_slice() {
        [] if ways.iter().any(|way| way.is_empty()) => "anybody; a token shows more".to_owned(),
        [] if ways.iter().any(|way| way.contains_key("cookie")) => "any token, or the cookie".to_owned(),
        [] => "any token".to_owned(),
        named => named.join(" and "),
    }
}

#[test]
fn the_page_of_routes_lists_what_the_document_has() {
    let mut table = "| route | who | what |\n|---|---|---|\n".to_owned();
    for (method, path, operation) in operations() {
        let what = operation["summary"].as_str().unwrap();
        table += &format!("| `{method} {path}` | {} | {what} |\n", asker(operation));
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/routes.md")).unwrap();
    assert!(page.contains(&table), "docs/routes.md should hold exactly this:\n{table}");
}
