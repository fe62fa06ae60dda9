//! What the fields of documents are: which of them there are, and what their values look like. Knows no group and no store;
//! whoever asks brings them together.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What is known of the values of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    Bool,
    /// A point in time, written as RFC 3339 has it; or a day.
    Date,
    /// 24 hexadecimal digits.
    Id,
    Array(Box<Kind>),
    /// Its declared members, and whether there may be others.
    Object(BTreeMap<String, Kind>, Members),
    /// Anything.
    Any,
}

/// Whether an object has members beside the declared ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members {
    Declared,
    Open,
}

/// Names and kinds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    known: BTreeMap<String, Kind>,
    /// Every other name is a field too.
    open: bool,
}

impl Kind {
    /// Of a JSON Schema, as far as it says plainly what its values are.
    pub fn of_schema(schema: &Value) -> Self {
        // `["string", "null"]` says of what is there that it is a text.
        let named = schema["type"].as_array().map_or(std::slice::from_ref(&schema["type"]), Vec::as_slice);
        let types: Vec<&str> = named.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
        match types.as_slice() {
            ["string"] if matches!(schema["format"].as_str(), Some("date-time" | "date")) => Self::Date,
            ["string"] => Self::Text,
            ["number" | "integer"] => Self::Number,
            ["boolean"] => Self::Bool,
            ["array"] => Self::Array(Box::new(Self::of_schema(&schema["items"]))),
            ["object"] => {
                let declared = schema["properties"].as_object().map(properties).unwrap_or_default();
                let closed = schema["additionalProperties"] == Value::Bool(false);
                Self::Object(declared, if closed { Members::Declared } else { Members::Open })
            }
            _ => Self::Any,
        }
    }
}

fn properties(properties: &Map<String, Value>) -> BTreeMap<String, Kind> {
    properties.iter().map(|(name, schema)| (name.clone(), Kind::of_schema(schema))).collect()
}

impl Fields {
    /// Where it is not known which fields there are: every name is one, of any kind.
    pub fn any() -> Self {
        Self { known: BTreeMap::new(), open: true }
    }

    /// And these, whatever was said of them before.
    pub fn with(mut self, names: &[&str], kind: &Kind) -> Self {
        self.known.extend(names.iter().map(|name| ((*name).to_owned(), kind.clone())));
        self
    }

    /// And those that a JSON Schema of an object declares.
    pub fn with_schema(mut self, schema: &Value) -> Self {
        for (name, kind) in schema["properties"].as_object().map(properties).unwrap_or_default() {
            self.add(name, kind);
        }
        self
    }

    /// Two that speak otherwise of one name leave it open what its values are.
    fn add(&mut self, name: String, kind: Kind) {
        let kind = match self.known.get(&name) {
            Some(known) if *known != kind => Kind::Any,
            Some(_) | None => kind,
        };
        self.known.insert(name, kind);
    }

    /// What stands under that path, of which the first name must be known. Numbers count elements.
    pub fn kind(&self, path: &str) -> Option<&Kind> {
        let mut names = path.split('.');
        let first = names.next()?;
        let mut kind = match self.known.get(first) {
            Some(kind) => kind,
            None if self.open => &Kind::Any,
            None => return None,
        };
        for name in names {
            kind = kind.below(name);
        }
        Some(kind)
    }

    /// As [`Fields::kind`], but only where something is declared: in the place of a filter of its own, which is no `_q`.
    pub fn declared(&self, path: &str) -> Option<&Kind> {
        let mut names = path.split('.');
        let mut kind = self.kind(names.next()?)?;
        for name in names {
            kind = match kind {
                Kind::Array(item) if is_number(name) && matches!(**item, Kind::Object(..) | Kind::Any) => item,
                Kind::Object(declared, members) => match declared.get(name) {
                    Some(kind) => kind,
                    None if *members == Members::Open => &Kind::Any,
                    None => return None,
                },
                Kind::Any => &Kind::Any,
                Kind::Array(_) | Kind::Text | Kind::Number | Kind::Bool | Kind::Date | Kind::Id => return None,
            };
        }
        Some(kind)
    }
}

impl Kind {
    fn below(&self, name: &str) -> &Self {
        match self {
            Self::Array(item) if is_number(name) => item,
            Self::Array(item) => item.below(name),
            Self::Object(declared, _) => declared.get(name).unwrap_or(&Self::Any),
            Self::Text | Self::Number | Self::Bool | Self::Date | Self::Id | Self::Any => &Self::Any,
        }
    }
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}
