//! `_q` as the service and its database understand it, read from the contract: a witness of its own, which shares nothing with
//! the program.

use std::cmp::Ordering;

use regex::RegexBuilder;
use serde_json::{Map, Value, json};
use user_manager::clock::{parse_rfc3339, rfc3339};

use super::{Answer, Crud, Kind, Row, is_id, shape_a, shape_b};

const SCALAR: &[&str] =
    &["$gt", "$gte", "$lt", "$lte", "$eq", "$ne", "$in", "$nin", "$all", "$exists", "$regex", "$options"];
const ARRAY: &[&str] = &["$eq", "$in", "$nin", "$all", "$exists", "$elemMatch", "$size"];

/// How a value is looked at.
#[derive(Clone, Copy, PartialEq)]
enum Cast {
    No,
    Date,
    Id,
}

impl Crud {
    /// The query with its dates and ids as rows hold them, or why it is refused.
    pub(super) fn understood(&self, query: &Value) -> Result<Value, Answer> {
        let Value::Object(members) = query else {
            return if query.is_null() { Err(shape_a(500, None, "Cannot convert null")) } else { Ok(json!({})) };
        };
        let mut understood = Map::new();
        for (name, value) in members {
            let cast = match name.as_str() {
                "$and" | "$or" => {
                    let items = value.as_array().ok_or_else(|| shape_b(&format!("{name} must be an array")))?;
                    if items.is_empty() {
                        return Err(shape_a(500, Some("2"), "must be a nonempty array"));
                    }
                    items.iter().map(|item| self.understood(item)).collect::<Result<Value, _>>()?
                }
                _ if name.starts_with('$') => return Err(shape_b(&format!("Unknown operator: {name}"))),
                _ => self.field(name, value)?,
            };
            understood.insert(name.clone(), cast);
        }
        Ok(Value::Object(understood))
    }

    fn field(&self, path: &str, value: &Value) -> Result<Value, Answer> {
        let (first, deeper) = path.split_once('.').map_or((path, false), |(first, _)| (first, true));
        let (operators, cast): (&[&str], Cast) = match first {
            "_id" => (SCALAR, Cast::Id),
            "createdAt" | "updatedAt" => (SCALAR, Cast::Date),
            "creatorId" | "updaterId" | "__STATE__" => (SCALAR, Cast::No),
            _ => match self.fields.get(first) {
                None => return Err(shape_b(&format!("Unknown field: {path}"))),
                Some(_) if deeper => (&[], Cast::No),
                Some(Kind::Texts | Kind::Objects) => (ARRAY, Cast::No),
                Some(Kind::Object) => (&["$exists"], Cast::No),
                Some(Kind::NullableDate) => (SCALAR, Cast::Date),
                Some(Kind::Text | Kind::NullableText | Kind::Bool | Kind::Number) => (SCALAR, Cast::No),
            },
        };
        let Value::Object(members) = value else { return cast.value(value) };
        if !members.keys().any(|name| name.starts_with('$')) {
            let takes = deeper || operators == ARRAY || operators == ["$exists"];
            return match members.keys().next() {
                Some(name) if !takes => Err(shape_b(&format!("Unsupported operator: {name}"))),
                _ => Ok(value.clone()),
            };
        }
        let mut understood = Map::new();
        for (name, operand) in members {
            let known = SCALAR.contains(&name.as_str()) || ARRAY.contains(&name.as_str());
            if !known || !(operators.is_empty() || operators.contains(&name.as_str())) {
                return Err(shape_b(&format!("Unsupported operator: {name}")));
            }
            let operand = match name.as_str() {
                "$in" | "$nin" | "$all" => {
                    let items = operand.as_array().ok_or_else(|| shape_b("value.map is not a function"))?;
                    items.iter().map(|item| cast.value(item)).collect::<Result<Value, _>>()?
                }
                "$exists" | "$size" | "$elemMatch" | "$options" => operand.clone(),
                _ => cast.value(operand)?,
            };
            understood.insert(name.clone(), operand);
        }
        Ok(Value::Object(understood))
    }
}

impl Cast {
    fn value(self, value: &Value) -> Result<Value, Answer> {
        match (self, value) {
            (Self::No, _) | (_, Value::Null) => Ok(value.clone()),
            (Self::Date, Value::Number(at_ms)) => Ok(json!(rfc3339(at_ms.as_i64().unwrap_or_default()))),
            (Self::Date, Value::String(text)) => {
                let at = parse_rfc3339(text).or_else(|| parse_rfc3339(&format!("{text}T00:00:00Z")));
                Ok(json!(rfc3339(at.ok_or_else(|| shape_b("Invalid Date"))?)))
            }
            (Self::Id, Value::String(text)) if is_id(text) => Ok(json!(text.to_ascii_lowercase())),
            (Self::Date, _) => Err(shape_b("Invalid Date")),
            (Self::Id, _) => Err(shape_b("Invalid objectId")),
        }
    }
}

/// Whether the row is one of those that an understood query means.
pub fn meant(query: &Value, row: &Row) -> bool {
    query.as_object().unwrap().iter().all(|(name, value)| {
        let mut each = value.as_array().into_iter().flatten();
        match name.as_str() {
            "$and" => each.all(|query| meant(query, row)),
            "$or" => each.any(|query| meant(query, row)),
            path => {
                let mut found = Vec::new();
                reach(&Value::Object(row.clone()), &path.split('.').collect::<Vec<_>>(), &mut found);
                satisfied(value, &found, true)
            }
        }
    })
}

/// What stands at the end of the path: a value, or nothing.
fn reach(value: &Value, path: &[&str], found: &mut Vec<Option<Value>>) {
    let Some((name, rest)) = path.split_first() else {
        found.push(Some(value.clone()));
        return;
    };
    match value {
        Value::Object(members) => match members.get(*name) {
            Some(member) => reach(member, rest, found),
            None => found.push(None),
        },
        Value::Array(items) => {
            items.iter().filter(|item| item.is_object()).for_each(|item| reach(item, path, found));
            if let Some(item) = name.parse::<usize>().ok().and_then(|at| items.get(at))
                && (rest.is_empty() || item.is_object() || item.is_array())
            {
                reach(item, rest, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => found.push(None),
    }
}

fn satisfied(condition: &Value, found: &[Option<Value>], into_arrays: bool) -> bool {
    let mut candidates = found.to_vec();
    if into_arrays {
        let elements = found.iter().flatten().filter_map(Value::as_array).flatten();
        candidates.extend(elements.map(|element| Some(element.clone())));
    }
    let same = |wanted: &Value| {
        candidates.iter().any(|candidate| match candidate {
            None => wanted.is_null(),
            Some(candidate) => between(candidate, wanted) == Some(Ordering::Equal),
        })
    };
    let operators = condition.as_object().filter(|members| members.keys().any(|name| name.starts_with('$')));
    let Some(operators) = operators else { return same(condition) };
    operators.iter().all(|(name, operand)| {
        let ordered = |allowed: &[Ordering]| {
            let stands = |one: &Value| between(one, operand).is_some_and(|how| allowed.contains(&how));
            let nothing = operand.is_null() && allowed.contains(&Ordering::Equal) && same(operand);
            nothing || (!operand.is_null() && candidates.iter().flatten().any(stands))
        };
        let mut listed = operand.as_array().into_iter().flatten();
        let mut arrays = found.iter().flatten().filter_map(Value::as_array);
        match name.as_str() {
            "$eq" => same(operand),
            "$ne" => !same(operand),
            "$in" => listed.any(same),
            "$nin" => !listed.any(same),
            "$all" => operand != &json!([]) && listed.all(same),
            "$gt" => ordered(&[Ordering::Greater]),
            "$gte" => ordered(&[Ordering::Greater, Ordering::Equal]),
            "$lt" => ordered(&[Ordering::Less]),
            "$lte" => ordered(&[Ordering::Less, Ordering::Equal]),
            "$exists" => found.iter().any(Option::is_some) == (operand == &json!(true)),
            "$size" => arrays.any(|items| json!(items.len()) == *operand),
            "$elemMatch" => arrays.flatten().any(|item| element(operand, item)),
            "$options" => true,
            "$regex" => {
                let insensitive = operators.get("$options").is_some_and(|options| options == "i");
                let regex = RegexBuilder::new(operand.as_str().unwrap()).case_insensitive(insensitive).build().unwrap();
                candidates.iter().flatten().filter_map(Value::as_str).any(|text| regex.is_match(text))
            }
            other => panic!("{other} was not refused"),
        }
    })
}

fn element(wanted: &Value, item: &Value) -> bool {
    let names = wanted.as_object().unwrap();
    if names.keys().any(|name| name.starts_with('$') && name != "$and" && name != "$or") {
        return satisfied(wanted, &[Some(item.clone())], false);
    }
    item.as_object().is_some_and(|item| meant(wanted, item))
}

/// Only what is of one kind stands so or so to each other.
fn between(one: &Value, other: &Value) -> Option<Ordering> {
    (rank(one) == rank(other)).then(|| total(one, other))
}

fn rank(value: &Value) -> usize {
    [Value::is_null, Value::is_number, Value::is_string, Value::is_object, Value::is_array]
        .iter()
        .position(|is| is(value))
        .unwrap_or(5)
}

fn total(one: &Value, other: &Value) -> Ordering {
    if let (Some(one), Some(other)) = (one.as_f64(), other.as_f64()) {
        return one.partial_cmp(&other).unwrap();
    }
    if let (Some(one), Some(other)) = (one.as_array(), other.as_array()) {
        let differing = one.iter().zip(other).map(|(one, other)| total(one, other)).find(|order| order.is_ne());
        return differing.unwrap_or(one.len().cmp(&other.len()));
    }
    if one == other {
        return Ordering::Equal;
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    rank(one).cmp(&rank(other)).then(text(one).cmp(&text(other)))
}

/// How the rows stand in the order of one name: `-` in front turns it round.
pub fn in_order(name: &str, one: &Row, other: &Row) -> Ordering {
    let (path, down) = name.strip_prefix('-').map_or((name, false), |path| (path, true));
    let key = |row: &Row| {
        let mut found = Vec::new();
        reach(&Value::Object(row.clone()), &path.split('.').collect::<Vec<_>>(), &mut found);
        let mut values = Vec::new();
        let mut empty = false;
        for value in found.into_iter().flatten() {
            if let Value::Array(items) = value {
                empty |= items.is_empty();
                values.extend(items);
            } else {
                values.push(value);
            }
        }
        values.sort_by(total);
        let value = if down { values.pop() } else { values.into_iter().next() };
        // An array without elements stands before what is not there.
        (!(empty && value.is_none()), value.unwrap_or(Value::Null))
    };
    let (one, other) = (key(one), key(other));
    let order = one.0.cmp(&other.0).then_with(|| total(&one.1, &other.1));
    if down { order.reverse() } else { order }
}
