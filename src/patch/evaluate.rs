//! One command, done to a document: the semantics of MongoDB's update operators
//! (<https://www.mongodb.com/docs/manual/reference/operator/update/>).

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::{Command, Element, Order, Push, What, parse::invalid, place};
use crate::{
    clock,
    error::Error,
    query::{
        Filter,
        compare::{order, sort_key},
    },
};

/// When, and at which element of its list.
#[derive(Clone, Copy)]
struct At {
    now_ms: i64,
    place: Option<usize>,
}

/// `meant`: the filter of the request, which says what `list.$` is.
pub fn apply(command: &Command, document: &mut Map<String, Value>, meant: &Filter, now_ms: i64) -> Result<(), Error> {
    let Command { name, path, what } = command;
    let (place, end) = match what {
        What::Element(Element::Replace(_)) => (place::of(meant, &path.0, document), ".$.replace"),
        What::Element(Element::Merge(_)) => (place::of(meant, &path.0, document), ".$.merge"),
        What::Set(_) | What::Unset | What::Inc(_) | What::Mul(_) | What::CurrentDate => (None, ""),
        What::Push(_) | What::AddToSet(_) | What::Pull(_) => (None, ""),
    };
    below(document, &path.0, what, At { now_ms, place })
        .map_err(|why| invalid(name, Some(&(path.0.join(".") + end)), why))
}

type Told = Result<(), &'static str>;

fn below(members: &mut Map<String, Value>, path: &[String], what: &What, at: At) -> Told {
    let Some((name, rest)) = path.split_first() else { return Ok(()) };
    if rest.is_empty() {
        match become_of(members.get(name), what, at)? {
            Some(value) => members.insert(name.clone(), value),
            None => members.remove(name),
        };
        return Ok(());
    }
    match members.get_mut(name) {
        Some(child) => within(child, rest, what, at),
        // Nothing to take away from.
        None if matches!(what, What::Unset | What::Pull(_)) => Ok(()),
        None => {
            let mut made = Map::new();
            below(&mut made, rest, what, at)?;
            members.insert(name.clone(), Value::Object(made));
            Ok(())
        }
    }
}

fn within(value: &mut Value, path: &[String], what: &What, at: At) -> Told {
    match value {
        Value::Object(members) => below(members, path, what, at),
        Value::Array(items) => at_place(items, path, what, at),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err("leads across a plain value"),
    }
}

/// An object in a list, or a member of it; plain values in a list are not named by their place.
fn at_place(items: &mut [Value], path: &[String], what: &What, at: At) -> Told {
    let Some((place, rest)) = path.split_first() else { return Ok(()) };
    // Only as it is usually written: `00` or `+0` would be a second name for the item, which another command may have.
    let nth = place.parse().ok().filter(|nth: &usize| nth.to_string() == *place);
    let item = nth.and_then(|nth| items.get_mut(nth)).ok_or("names no item of the list")?;
    if !item.is_object() {
        return Err("names an item of a list of plain values");
    }
    if !rest.is_empty() {
        return within(item, rest, what, at);
    }
    match become_of(Some(item), what, at)? {
        Some(value) => *item = value,
        None => return Err("would leave a hole in the list"),
    }
    Ok(())
}

/// The value afterwards; nothing where there is none.
fn become_of(old: Option<&Value>, what: &What, at: At) -> Result<Option<Value>, &'static str> {
    Ok(Some(match what {
        What::Set(value) => value.clone(),
        What::Unset => return Ok(None),
        What::CurrentDate => clock::rfc3339(at.now_ms).into(),
        What::Inc(by) => match old {
            None => Value::Number(by.clone()),
            Some(old) => Value::Number(calculated(old, by, i64::checked_add, |a, b| a + b)?),
        },
        What::Mul(by) => match old {
            None => 0.into(),
            Some(old) => Value::Number(calculated(old, by, i64::checked_mul, |a, b| a * b)?),
        },
        What::Push(push) => pushed(list(old)?, push),
        What::AddToSet(new) => {
            let mut items = list(old)?;
            for item in new {
                if !items.contains(item) {
                    items.push(item.clone());
                }
            }
            items.into()
        }
        What::Element(element) => {
            let mut items = list(old)?;
            let place = at.place.ok_or("needs a filter that means an element of this list")?;
            let item = items.get_mut(place).ok_or("names no item of the list")?;
            match (element, item) {
                (Element::Replace(value), item) => *item = value.clone(),
                (Element::Merge(members), Value::Object(item)) => item.extend(members.clone()),
                (Element::Merge(_), _) => return Err("is merged into an item that is no object"),
            }
            items.into()
        }
        What::Pull(_) if old.is_none() => return Ok(None),
        What::Pull(gone) => {
            let mut items = list(old)?;
            items.retain(|item| !gone.iter().any(|gone| is(item, gone)));
            items.into()
        }
    }))
}

fn list(old: Option<&Value>) -> Result<Vec<Value>, &'static str> {
    match old {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items.clone()),
        Some(_) => Err("is no list"),
    }
}

/// Whole numbers stay whole as long as they can.
fn calculated(
    old: &Value,
    by: &Number,
    whole: fn(i64, i64) -> Option<i64>,
    broken: fn(f64, f64) -> f64,
) -> Result<Number, &'static str> {
    let old = old.as_number().ok_or("is no number")?;
    if let Some(result) = old.as_i64().zip(by.as_i64()).and_then(|(old, by)| whole(old, by)) {
        return Ok(result.into());
    }
    let result = old.as_f64().zip(by.as_f64()).map(|(old, by)| broken(old, by));
    result.and_then(Number::from_f64).ok_or("would become too large a number")
}

fn pushed(mut items: Vec<Value>, push: &Push) -> Value {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let at = match push.position {
        None => length,
        Some(from_end @ ..0) => (length + from_end).max(0),
        Some(from_start) => from_start.min(length),
    };
    let at = usize::try_from(at).unwrap_or_default();
    items.splice(at..at, push.items.iter().cloned());
    match &push.order {
        None => {}
        Some(Order::Values(down)) => items.sort_by(|one, other| turned(order(one, other), *down)),
        Some(Order::Member(by)) => items.sort_by_cached_key(|item| {
            let nothing = Map::new();
            sort_key(item.as_object().unwrap_or(&nothing), std::slice::from_ref(by))
        }),
    }
    match push.slice {
        None => {}
        Some(last @ ..0) => {
            let kept = usize::try_from(last.unsigned_abs()).unwrap_or(usize::MAX).min(items.len());
            items.drain(..items.len() - kept);
        }
        Some(first) => items.truncate(usize::try_from(first).unwrap_or(usize::MAX)),
    }
    items.into()
}

fn turned(order: Ordering, down: bool) -> Ordering {
    if down { order.reverse() } else { order }
}

/// An object is meant by some of its members already.
fn is(item: &Value, meant: &Value) -> bool {
    match (item, meant) {
        (Value::Object(item), Value::Object(meant)) => {
            meant.iter().all(|(name, value)| item.get(name).is_some_and(|found| found == value))
        }
        (Value::Number(item), Value::Number(meant)) => item.as_f64() == meant.as_f64(),
        (item, meant) => item == meant,
    }
}
