//! A JSON Schema, compiled: which are taken, and what a document says against one. Knows neither users nor groups.

use std::collections::BTreeMap;

use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;

use crate::error::{FINDINGS, Finding, segment};

/// Bytes of its text.
const LARGEST: usize = 256 * 1024;
/// Backtracking steps of a pattern with look-around, so that no document can make one run for ever.
const BACKTRACK_LIMIT: usize = 100_000;
/// Bytes that a compiled pattern may take.
const PATTERN_LIMIT: usize = 1024 * 1024;
/// Members under which a schema may name another one.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// Members whose values are data and no schemas.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];

#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    /// The members that it names.
    pub properties: BTreeMap<String, Property>,
}

/// What it says of a member.
#[derive(Debug, PartialEq, Eq)]
pub struct Property {
    /// Of which types it may be, as a store tells them apart; nothing where it does not say.
    pub types: Option<Vec<String>>,
    /// Whether it is a date.
    pub date: bool,
}

/// Why a schema is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// RFC 6901, into the schema.
    pub pointer: String,
    pub message: String,
}

impl Schema {
    /// Of draft 2020-12 where it does not say, or of 2019-09, 7, 6 or 4. It reaches nothing outside itself.
    pub fn compile(schema: &Value) -> Result<Self, Fault> {
        let fault = |pointer: &str, message: String| Fault { pointer: pointer.to_owned(), message };
        let Value::Object(members) = schema else { return Err(fault("", "a schema is an object".to_owned())) };
        if schema.to_string().len() > LARGEST {
            return Err(fault("", format!("a schema has at most {LARGEST} bytes")));
        }
        let draft = match members.get("$schema").map(|named| named.as_str().and_then(draft)) {
            None => Draft::Draft202012,
            Some(Some(draft)) => draft,
            Some(None) => return Err(fault("/$schema", "names no draft of 2020-12, 2019-09, 7, 6 or 4".to_owned())),
        };
        let mut own = Vec::new();
        ids(schema, &mut own);
        if let Some(pointer) = leads_outside(schema, &own, "") {
            return Err(fault(&pointer, "leads outside the schema".to_owned()));
        }
        let pattern = PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_LIMIT).size_limit(PATTERN_LIMIT);
        let validator = jsonschema::options()
            .with_draft(draft)
            .offline()
            .should_validate_formats(true)
            .with_pattern_options(pattern)
            .build(schema)
            .map_err(|error| refused(&error))?;
        Ok(Self { validator, properties: properties(members.get("properties")) })
    }

    /// Everything that the document says against it, up to the limit. None of it quotes the document.
    pub fn findings(&self, document: &Value) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        // Most are, and to say only that costs a fraction of looking for what is wrong.
        if self.validator.is_valid(document) {
            return findings;
        }
        for error in self.validator.iter_errors(document) {
            let keyword = error.kind().keyword();
            let pointer = error.instance_path().as_str();
            if findings.iter().any(|known| known.pointer == pointer && known.keyword == keyword) {
                continue;
            }
            findings.push(Finding {
                pointer: pointer.to_owned(),
                keyword: keyword.to_owned(),
                message: format!("does not satisfy {keyword} at {}", error.schema_path().as_str()),
            });
            if findings.len() == FINDINGS {
                break;
            }
        }
        findings
    }
}

fn draft(uri: &str) -> Option<Draft> {
    let uri = uri.trim_end_matches('#');
    match uri.strip_prefix("https://json-schema.org/").or_else(|| uri.strip_prefix("http://json-schema.org/"))? {
        "draft/2020-12/schema" => Some(Draft::Draft202012),
        "draft/2019-09/schema" => Some(Draft::Draft201909),
        "draft-07/schema" => Some(Draft::Draft7),
        "draft-06/schema" => Some(Draft::Draft6),
        "draft-04/schema" => Some(Draft::Draft4),
        _ => None,
    }
}

/// The names that the schema gives to itself and to parts of itself.
fn ids<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
    match schema {
        Value::Object(members) => {
            found.extend(["$id", "id"].iter().filter_map(|name| members.get(*name)?.as_str()));
            members.values().for_each(|member| ids(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| ids(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Where it names a schema by an address that is not its own. What is hidden from this fails when it is compiled, since
/// nothing is fetched.
fn leads_outside(schema: &Value, own: &[&str], at: &str) -> Option<String> {
    match schema {
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            let here = format!("{at}/{}", segment(name));
            if DATA.contains(&name.as_str()) {
                return None;
            }
            let named = member.as_str().filter(|_| REFERENCES.contains(&name.as_str()));
            let Some(named) = named else { return leads_outside(member, own, &here) };
            let document = named.split('#').next().unwrap_or_default();
            let absolute = document.contains(':') || document.starts_with("//");
            (absolute && !own.iter().any(|id| id.trim_end_matches('#') == document)).then_some(here)
        }),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(nth, item)| leads_outside(item, own, &format!("{at}/{nth}")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn refused(error: &ValidationError<'_>) -> Fault {
    let message = error.masked().to_string();
    Fault { pointer: error.instance_path().as_str().to_owned(), message: message.chars().take(300).collect() }
}

/// The members that stand under `properties` of a schema.
pub fn properties(named: Option<&Value>) -> BTreeMap<String, Property> {
    let named = named.and_then(Value::as_object).into_iter().flatten();
    let date = |schema: &Value| matches!(schema["format"].as_str(), Some("date-time" | "date"));
    named.map(|(name, schema)| (name.clone(), Property { types: types(schema), date: date(schema) })).collect()
}

/// Null may be beside any, and a whole number is a number.
fn types(schema: &Value) -> Option<Vec<String>> {
    let said = schema.get("type")?;
    let list = said.as_array().map_or_else(|| vec![said], |several| several.iter().collect());
    let mut types: Vec<String> = list
        .into_iter()
        .filter_map(Value::as_str)
        .filter(|name| *name != "null")
        .map(|name| if name == "integer" { "number" } else { name }.to_owned())
        .collect();
    types.sort();
    types.dedup();
    Some(types)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn refused(schema: &Value, pointer: &str) {
        let fault = Schema::compile(schema).expect_err(&schema.to_string());
        assert_eq!(fault.pointer, pointer, "{schema}: {}", fault.message);
        assert!(!fault.message.is_empty());
    }

    #[test]
    fn schemas_of_five_drafts_are_taken_and_held_to() {
        for (draft, exclusive) in [
            ("https://json-schema.org/draft/2020-12/schema", json!({ "exclusiveMinimum": 3 })),
            ("https://json-schema.org/draft/2019-09/schema", json!({ "exclusiveMinimum": 3 })),
            ("http://json-schema.org/draft-07/schema#", json!({ "exclusiveMinimum": 3 })),
            ("http://json-schema.org/draft-06/schema#", json!({ "exclusiveMinimum": 3 })),
            ("http://json-schema.org/draft-04/schema#", json!({ "minimum": 3, "exclusiveMinimum": true })),
        ] {
            let schema = json!({ "$schema": draft, "type": "object", "properties": {
                "age": exclusive, "mail": { "type": "string", "format": "email" } } });
            let schema = Schema::compile(&schema).unwrap();
            assert_eq!(schema.findings(&json!({ "age": 4, "mail": "a@example.org" })), []);
            let found = schema.findings(&json!({ "age": 3, "mail": "nobody" }));
            let found: Vec<_> = found.iter().map(|finding| finding.pointer.as_str()).collect();
            assert_eq!(found, ["/age", "/mail"], "{draft}");
        }
    }

    #[test]
    fn what_is_no_schema_is_refused_with_its_place() {
        refused(&json!([]), "");
        refused(&json!(true), "");
        refused(&json!({ "type": "strnig" }), "/type");
        refused(&json!({ "type": 7 }), "/type");
        refused(&json!({ "required": "email" }), "/required");
        refused(&json!({ "properties": { "a": { "minLength": -1 } } }), "/properties/a/minLength");
        refused(&json!({ "properties": { "a": { "pattern": "(" } } }), "/properties/a/pattern");
        refused(&json!({ "$schema": "https://example.org/mine" }), "/$schema");
        refused(&json!({ "$schema": "http://json-schema.org/draft-03/schema#" }), "/$schema");
        refused(&json!({ "$schema": 7 }), "/$schema");
        refused(&json!({ "description": "x".repeat(LARGEST) }), "");
    }

    #[test]
    fn no_schema_leads_outside_itself() {
        for outside in ["https://example.org/a.json", "http://127.0.0.1:1/a#/b", "file:///etc/passwd", "//host/a"] {
            refused(&json!({ "properties": { "a": { "$ref": outside } } }), "/properties/a/$ref");
        }
        refused(&json!({ "allOf": [{ "$ref": "https://json-schema.org/draft/2020-12/schema" }] }), "/allOf/0/$ref");
        for inside in [
            json!({ "$defs": { "x": { "type": "string" } }, "properties": { "a": { "$ref": "#/$defs/x" } } }),
            json!({ "$id": "https://example.org/own", "properties": { "a": { "$ref": "https://example.org/own#" } } }),
            json!({ "$id": "https://example.org/own", "$defs": { "x": { "$id": "part", "type": "string" } },
                    "properties": { "a": { "$ref": "part" } } }),
            json!({ "properties": { "a": { "const": { "$ref": "https://example.org/x" } }, "$ref": {} } }),
        ] {
            assert!(Schema::compile(&inside).is_ok(), "{inside}");
        }
        for nowhere in ["#/$defs/y", "other.json"] {
            assert!(Schema::compile(&json!({ "properties": { "a": { "$ref": nowhere } } })).is_err(), "{nowhere}");
        }
    }

    #[test]
    fn a_schema_that_names_itself_ends() {
        let tree = json!({ "properties": { "child": { "$ref": "#" }, "n": { "type": "number" } } });
        let found = Schema::compile(&tree).unwrap().findings(&json!({ "child": { "child": { "n": "x" } } }));
        assert_eq!(found[0].pointer, "/child/child/n");
        for round in [
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#" }] }),
            json!({ "anyOf": [{ "$ref": "#/$defs/a" }], "$defs": { "a": { "not": { "$ref": "#" } } } }),
            json!({ "properties": { "a": { "$ref": "#/properties/a" } } }),
        ] {
            if let Ok(schema) = Schema::compile(&round) {
                schema.findings(&json!({ "a": 1 }));
            }
        }
    }

    #[test]
    fn a_pattern_that_never_ends_is_given_up() {
        let schema = json!({ "properties": { "a": { "pattern": "^(?=(a+)+$)b" } } });
        let found = Schema::compile(&schema).unwrap().findings(&json!({ "a": format!("{}!", "a".repeat(5_000)) }));
        assert_eq!(found.len(), 1, "{found:?}");
        refused(&json!({ "properties": { "a": { "pattern": "((a{1000}){1000}){1000}" } } }), "/properties/a/pattern");
    }

    #[test]
    fn at_most_twenty_findings_are_told_and_none_quotes_a_value() {
        let schema = json!({ "additionalProperties": { "type": "number" } });
        let many: serde_json::Map<String, Value> = (0..30).map(|n| (format!("m{n}"), json!("secret"))).collect();
        let found = Schema::compile(&schema).unwrap().findings(&Value::Object(many));
        assert_eq!(found.len(), 20);
        assert!(found.iter().all(|finding| !finding.message.contains("secret")), "{found:?}");
    }
}
