//! The language of filters: one pure syntax tree, evaluated in memory here (the reference semantics) and printed for a
//! remote store. Knows no store.

use serde_json::{Map, Value, json};

/// Which documents are meant.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Filter {
    #[default]
    Everything,
    /// Also holds when the field is an array that has the value as an element, as in MongoDB.
    Equals(String, Value),
    /// Equal to one of these.
    In(String, Vec<Value>),
    And(Vec<Filter>),
    Or(Vec<Filter>),
}

impl Filter {
    pub fn matches(&self, document: &Map<String, Value>) -> bool {
        let equals = |field: &str, wanted: &Value| match document.get(field) {
            None => wanted.is_null(),
            Some(Value::Array(items)) if !wanted.is_array() => items.contains(wanted),
            Some(found) => found == wanted,
        };
        match self {
            Self::Everything => true,
            Self::Equals(field, value) => equals(field, value),
            Self::In(field, values) => values.iter().any(|value| equals(field, value)),
            Self::And(all) => all.iter().all(|filter| filter.matches(document)),
            Self::Or(any) => any.iter().any(|filter| filter.matches(document)),
        }
    }

    /// As `_q` and `acl_rows` of the CRUD service take it. Nothing for [`Filter::Everything`].
    pub fn print(&self) -> Option<Value> {
        let list = |filters: &[Self]| filters.iter().filter_map(Self::print).collect::<Vec<_>>();
        match self {
            Self::Everything => None,
            Self::Equals(field, value) => Some(json!({ field: value })),
            Self::In(field, values) => Some(json!({ field: { "$in": values } })),
            Self::And(all) => {
                let all = list(all);
                // An empty `$and` is an error of the database.
                (!all.is_empty()).then(|| json!({ "$and": all }))
            }
            Self::Or(any) if any.contains(&Self::Everything) => None,
            Self::Or(any) => Some(json!({ "$or": list(any) })),
        }
    }
}
