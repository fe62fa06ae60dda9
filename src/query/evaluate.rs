//! Whether a document is meant: the semantics that every store is held against. Knows no store.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{
    Element, Filter, Term, Test,
    compare::{comparable, instant, order},
};

impl Filter {
    pub fn matches(&self, document: &Map<String, Value>) -> bool {
        match self {
            Self::Everything => true,
            Self::Field(path, test) => Leaves::of(document, path).satisfy(test),
            Self::And(all) => all.iter().all(|filter| filter.matches(document)),
            Self::Or(any) => any.iter().any(|filter| filter.matches(document)),
        }
    }
}

/// What a path leads to in one document; `None` where it breaks off.
struct Leaves<'a> {
    found: Vec<Option<&'a Value>>,
    /// Whether an array is asked for each of its elements too.
    each: bool,
}

impl<'a> Leaves<'a> {
    fn of(document: &'a Map<String, Value>, path: &str) -> Self {
        let mut found = Vec::with_capacity(1);
        walk(document, path, &mut found);
        Self { found, each: true }
    }

    fn satisfy(&self, test: &Test) -> bool {
        match test {
            Test::Equals(wanted) => self.any(|found| wanted.is(found)),
            Test::Differs(other) => !self.any(|found| other.is(found)),
            Test::In(wanted) => self.any(|found| wanted.iter().any(|wanted| wanted.is(found))),
            Test::NotIn(others) => !self.any(|found| others.iter().any(|other| other.is(found))),
            Test::Than(how, than) => self.any(|found| than.order(found).is_some_and(|found| how.holds(found))),
            Test::All(wanted) => !wanted.is_empty() && wanted.iter().all(|wanted| self.any(|found| wanted.is(found))),
            Test::Like(pattern) => {
                self.any(|found| found.and_then(Value::as_str).is_some_and(|text| pattern.finds(text)))
            }
            Test::Exists(there) => self.found.iter().any(Option::is_some) == *there,
            Test::Size(length) => self.arrays().any(|items| items.len() as u64 == *length),
            Test::Element(element) => self.arrays().flatten().any(|item| element.holds(item)),
        }
    }

    fn any(&self, holds: impl Fn(Option<&Value>) -> bool) -> bool {
        self.found.iter().any(|found| match found {
            Some(Value::Array(items)) if self.each => items.iter().any(|item| holds(Some(item))) || holds(*found),
            _ => holds(*found),
        })
    }

    fn arrays(&self) -> impl Iterator<Item = &'a Vec<Value>> {
        self.found.iter().filter_map(|found| found.and_then(Value::as_array))
    }
}

impl Element {
    fn holds(&self, item: &Value) -> bool {
        match (self, item) {
            (Self::Value(tests), _) => {
                let itself = Leaves { found: vec![Some(item)], each: false };
                tests.iter().all(|test| itself.satisfy(test))
            }
            (Self::Object(filter), Value::Object(item)) => filter.matches(item),
            (Self::Object(_), _) => false,
        }
    }
}

impl Term {
    fn is(&self, found: Option<&Value>) -> bool {
        match self {
            Self::Value(Value::Null) => found.is_none_or(Value::is_null),
            Self::Value(_) | Self::Instant(_) => self.order(found).is_some_and(Ordering::is_eq),
        }
    }

    /// How what is found stands to this; nothing where the two cannot be compared.
    fn order(&self, found: Option<&Value>) -> Option<Ordering> {
        match self {
            Self::Value(than) => found.filter(|found| comparable(found, than)).map(|found| order(found, than)),
            Self::Instant(than_ms) => Some(instant(found?.as_str()?)?.cmp(than_ms)),
        }
    }
}

fn walk<'a>(object: &'a Map<String, Value>, path: &str, found: &mut Vec<Option<&'a Value>>) {
    // A name may have dots in it as little as a path may have none.
    let Some((first, rest)) = path.split_once('.') else {
        found.push(object.get(path));
        return;
    };
    match object.get(first) {
        Some(Value::Object(object)) => walk(object, rest, found),
        Some(Value::Array(items)) => walk_array(items, rest, found),
        Some(_) | None => found.push(None),
    }
}

/// Into each object there is, and into the element that the next name counts.
fn walk_array<'a>(items: &'a [Value], path: &str, found: &mut Vec<Option<&'a Value>>) {
    for item in items {
        if let Value::Object(object) = item {
            walk(object, path, found);
        }
    }
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let Some(item) = index(first).and_then(|at| items.get(at)) else { return };
    match (item, rest) {
        (item, None) => found.push(Some(item)),
        (Value::Object(object), Some(rest)) => walk(object, rest, found),
        (Value::Array(items), Some(rest)) => walk_array(items, rest, found),
        (_, Some(_)) => {}
    }
}

fn index(name: &str) -> Option<usize> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    if digits { name.parse().ok() } else { None }
}

/// What a document is sorted by under that path: elements one by one. And whether there was an array.
pub fn sorted_values<'a>(document: &'a Map<String, Value>, path: &str) -> (Vec<&'a Value>, bool) {
    let (mut values, mut arrays) = (Vec::new(), false);
    for found in Leaves::of(document, path).found {
        match found {
            Some(Value::Array(items)) => {
                arrays = true;
                values.extend(items);
            }
            Some(value) => values.push(value),
            None => {}
        }
    }
    (values, arrays)
}
