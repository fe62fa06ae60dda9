//! The order of values, across kinds too, as MongoDB has it. Knows no filter.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{Sort, evaluate};
use crate::clock;

/// What a document is sorted by.
#[derive(Debug, Clone, PartialEq)]
pub struct Key(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
struct Part {
    value: Sorted,
    down: bool,
}

/// In the order of the kinds.
#[derive(Debug, Clone, PartialEq)]
enum Sorted {
    /// An array without elements.
    Nothing,
    Value(Value),
    Instant(i64),
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let parts = self.0.iter().zip(&other.0).map(|(one, other)| {
            let order = one.value.order(&other.value);
            if one.down { order.reverse() } else { order }
        });
        parts.fold(Ordering::Equal, Ordering::then)
    }
}

/// Where the document stands in that order: an array by its least element, going down by its greatest.
pub fn sort_key(document: &serde_json::Map<String, Value>, by: &[Sort]) -> Key {
    let part = |sort: &Sort| {
        let (found, arrays) = evaluate::sorted_values(document, &sort.path);
        let values = found.into_iter().map(|value| {
            let at_ms = value.as_str().filter(|_| sort.dated).and_then(instant);
            at_ms.map_or_else(|| Sorted::Value(value.clone()), Sorted::Instant)
        });
        let value = if sort.down { values.max_by(Sorted::order) } else { values.min_by(Sorted::order) };
        let none = if arrays { Sorted::Nothing } else { Sorted::Value(Value::Null) };
        Part { value: value.unwrap_or(none), down: sort.down }
    };
    Key(by.iter().map(part).collect())
}

impl Sorted {
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Nothing, Self::Nothing) => Ordering::Equal,
            (Self::Nothing, _) => Ordering::Less,
            (_, Self::Nothing) => Ordering::Greater,
            (Self::Value(one), Self::Value(other)) => order(one, other),
            // Times come after every other kind.
            (Self::Value(_), Self::Instant(_)) => Ordering::Less,
            (Self::Instant(_), Self::Value(_)) => Ordering::Greater,
            (Self::Instant(one), Self::Instant(other)) => one.cmp(other),
        }
    }
}

/// Null, numbers, texts, objects, arrays, booleans.
fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Number(_) => 1,
        Value::String(_) => 2,
        Value::Object(_) => 3,
        Value::Array(_) => 4,
        Value::Bool(_) => 5,
    }
}

/// Total, also across kinds.
pub fn order(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => numbers(one, other),
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Array(one), Value::Array(other)) => {
            let items = one.iter().zip(other).map(|(one, other)| order(one, other));
            items.fold(Ordering::Equal, Ordering::then).then(one.len().cmp(&other.len()))
        }
        (Value::Object(one), Value::Object(other)) => {
            let members = one.iter().zip(other).map(|((name, value), (other_name, other_value))| {
                rank(value).cmp(&rank(other_value)).then(name.cmp(other_name)).then(order(value, other_value))
            });
            members.fold(Ordering::Equal, Ordering::then).then(one.len().cmp(&other.len()))
        }
        _ => rank(one).cmp(&rank(other)),
    }
}

/// Of the same kind, so that one can be said to be more than the other.
pub fn comparable(one: &Value, other: &Value) -> bool {
    rank(one) == rank(other)
}

fn numbers(one: &Number, other: &Number) -> Ordering {
    let whole = |number: &Number| number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
    let float = |number: &Number| number.as_f64().unwrap_or_default();
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        (Some(whole), None) => mixed(whole, float(other)),
        (None, Some(whole)) => mixed(whole, float(one)).reverse(),
        (None, None) => float(one).partial_cmp(&float(other)).unwrap_or(Ordering::Equal),
    }
}

/// Without losing the last digits of a large whole number.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "what was lost is looked at again")]
fn mixed(whole: i128, float: f64) -> Ordering {
    let rough = (whole as f64).partial_cmp(&float).unwrap_or(Ordering::Equal);
    rough.then_with(|| whole.cmp(&(float as i128)))
}

/// Milliseconds since 1970 of a date with or without a time of day, which is then midnight UTC.
pub fn instant(text: &str) -> Option<i64> {
    let midnight = || {
        let date = text.len() == 10 && text.is_ascii();
        date.then(|| clock::parse_rfc3339(&format!("{text}T00:00:00Z"))).flatten()
    };
    clock::parse_rfc3339(text).or_else(midnight)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_come_one_after_the_other_and_large_numbers_keep_their_digits() {
        let sorted = [
            json!(null),
            json!(-1e300),
            json!(-1),
            json!(0.5),
            json!(1),
            json!(9_007_199_254_740_992_i64),
            json!(9_007_199_254_740_993_i64),
            json!(18_446_744_073_709_551_615_u64),
            json!(""),
            json!("B"),
            json!("a"),
            json!("\u{e9}"),
            json!({}),
            json!({ "a": 1 }),
            json!({ "a": 1, "b": 0 }),
            json!([]),
            json!([1]),
            json!([1, 0]),
            json!([2]),
            json!(false),
            json!(true),
        ];
        for (at, one) in sorted.iter().enumerate() {
            for (beside, other) in sorted.iter().enumerate() {
                assert_eq!(order(one, other), at.cmp(&beside), "{one} {other}");
            }
        }
        assert_eq!(order(&json!(1), &json!(1.0)), Ordering::Equal);
        assert_eq!(order(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992.0)), Ordering::Greater);
    }

    #[test]
    fn an_array_is_sorted_by_its_least_or_its_greatest_element() {
        let document = |value: Value| json!({ "a": value }).as_object().unwrap().clone();
        let by = |down| [Sort { path: "a".to_owned(), down, dated: false }];
        let key = |value: Value, down| sort_key(&document(value), &by(down));
        assert_eq!(key(json!([3, 1, 2]), false), key(json!(1), false));
        assert_eq!(key(json!([3, 1, 2]), true), key(json!(3), true));
        assert!(key(json!([]), false) < key(json!(null), false));
        assert!(key(json!(2), true) < key(json!(1), true));
        let dated = [Sort { path: "a".to_owned(), down: false, dated: true }];
        let at = |text: &str| sort_key(&document(json!(text)), &dated);
        assert!(at("2030-01-01T00:00:00+02:00") < at("2029-12-31T23:00:00Z"));
        assert!(at("zzz") < at("1999-01-01"));
    }
}
