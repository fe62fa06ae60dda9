//! A filter as `_q` and `acl_rows` of the CRUD service take it. Knows nothing of how it is sent.

use serde_json::{Map, Value, json};

use super::{Element, Filter, Order, Pattern, Sort, Term, Test};
use crate::clock;

impl Filter {
    /// `{}` means everything.
    pub fn print(&self) -> Value {
        let list = |filters: &[Self]| filters.iter().map(Self::print).collect::<Vec<_>>();
        match self {
            Self::Everything => json!({}),
            Self::Field(path, test) => json!({ path: test.print() }),
            // An empty list is an error of the database.
            Self::And(all) if all.is_empty() => json!({}),
            Self::Or(any) if any.is_empty() => json!({ "_id": { "$in": [] } }),
            Self::And(all) => json!({ "$and": list(all) }),
            Self::Or(any) => json!({ "$or": list(any) }),
        }
    }
}

impl Test {
    fn print(&self) -> Value {
        // A sub-document too stands for itself: `$eq` is not taken for objects.
        if let Self::Equals(term) = self { term.print() } else { Value::Object(self.operators()) }
    }

    fn operators(&self) -> Map<String, Value> {
        let one = |name: &str, operand: Value| Map::from_iter([(name.to_owned(), operand)]);
        let list = |terms: &[Term]| terms.iter().map(Term::print).collect::<Value>();
        match self {
            Self::Equals(term) => one("$eq", term.print()),
            Self::Differs(term) => one("$ne", term.print()),
            Self::NotIn(terms) => one("$nin", list(terms)),
            Self::In(terms) => one("$in", list(terms)),
            Self::Than(order, term) => one(order.name(), term.print()),
            Self::All(terms) => one("$all", list(terms)),
            Self::Like(pattern) => pattern.print(),
            Self::Exists(there) => one("$exists", json!(there)),
            Self::Size(length) => one("$size", json!(length)),
            Self::Element(Element::Object(filter)) => one("$elemMatch", filter.print()),
            Self::Element(Element::Value(tests)) => {
                let all: Map<String, Value> = tests.iter().flat_map(Self::operators).collect();
                one("$elemMatch", Value::Object(all))
            }
        }
    }
}

impl Term {
    fn print(&self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Instant(at_ms) => json!(clock::rfc3339(*at_ms)),
        }
    }
}

impl Pattern {
    fn print(&self) -> Map<String, Value> {
        let mut operators = Map::from_iter([("$regex".to_owned(), json!(self.text()))]);
        if !self.options().is_empty() {
            operators.insert("$options".to_owned(), json!(self.options()));
        }
        operators
    }
}

impl Order {
    fn name(self) -> &'static str {
        match self {
            Self::Below => "$lt",
            Self::AtMost => "$lte",
            Self::AtLeast => "$gte",
            Self::Above => "$gt",
        }
    }
}

/// `name,-other`, and `_id` last, so that the order is one.
pub fn sort(by: &[Sort]) -> String {
    let mut names: Vec<String> =
        by.iter().map(|sort| format!("{}{}", if sort.down { "-" } else { "" }, sort.path)).collect();
    if !by.iter().any(|sort| sort.path == "_id") {
        names.push("_id".to_owned());
    }
    names.join(",")
}
