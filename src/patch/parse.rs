//! From the body of a PATCH to commands. Only what can be told without the document.

use serde_json::{Map, Number, Value};

use super::{Command, Element, Order, Patch, Path, Push, What};
use crate::{
    error::{self, Code, Error},
    query::Sort,
};

/// As deep as a body may be (`too-deep`).
const DEEPEST: usize = 64;
const KNOWN: &str = "$set, $unset, $inc, $mul, $currentDate, $push, $pull, $addToSet";

pub fn parse(body: &Map<String, Value>) -> Result<Patch, Error> {
    let mut commands = Vec::new();
    for (name, fields) in body {
        let (name, read) = reader(name)?;
        let Value::Object(fields) = fields else { return Err(invalid(name, None, "must be an object")) };
        for (field, operand) in fields {
            let (list, read) = positional(name, field).map_or((field.as_str(), read), |(list, read)| (list, read));
            let path = path(name, list)?;
            let what = read(operand).map_err(|why| invalid(name, Some(field), why))?;
            if matches!(what, What::CurrentDate) && path.0.len() > 1 {
                return Err(invalid(name, Some(field), "must name a whole member"));
            }
            commands.push(Command { name, path, what });
        }
    }
    if commands.is_empty() {
        return Err(error::invalid(Code::InvalidPatch, "", "changes nothing"));
    }
    apart(&commands)?;
    Ok(Patch(commands))
}

/// `list.$.replace` and `list.$.merge`: the list, and how what stands there is read.
fn positional<'f>(command: &str, field: &'f str) -> Option<(&'f str, Read)> {
    let replace: Read = |value| Ok(What::Element(Element::Replace(value.clone())));
    let merge: Read = |value| {
        let members = value.as_object().filter(|members| !members.keys().any(|name| name.contains('.')));
        let members = members.ok_or("must be an object whose members have no dots in their names")?;
        Ok(What::Element(Element::Merge(members.clone())))
    };
    let ways = [(".$.replace", replace), (".$.merge", merge)];
    let (end, read) = ways.into_iter().find(|(end, _)| command == "$set" && field.ends_with(end))?;
    Some((field.strip_suffix(end)?, read))
}

type Read = fn(&Value) -> Result<What, &'static str>;

fn reader(name: &str) -> Result<(&'static str, Read), Error> {
    Ok(match name {
        "$set" => ("$set", |value| Ok(What::Set(value.clone()))),
        "$unset" => ("$unset", |value| told(value).then_some(What::Unset).ok_or("must be true")),
        "$inc" => ("$inc", |value| number(value).map(What::Inc)),
        "$mul" => ("$mul", |value| number(value).map(What::Mul)),
        "$currentDate" => ("$currentDate", |value| told(value).then_some(What::CurrentDate).ok_or("must be true")),
        "$push" => ("$push", |value| push(value).map(What::Push)),
        "$addToSet" => ("$addToSet", |value| items(value, "$each").map(What::AddToSet)),
        "$pull" => ("$pull", |value| items(value, "$in").map(What::Pull)),
        _ => {
            // What nobody knows comes from outside: not all of it needs to be said.
            let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
            return Err(error::invalid(Code::InvalidPatch, format!("/{shown}"), format!("is no command: {KNOWN}")));
        }
    })
}

/// The CRUD service takes a 1 for it too.
fn told(value: &Value) -> bool {
    *value == Value::Bool(true) || value.as_i64() == Some(1)
}

fn number(value: &Value) -> Result<Number, &'static str> {
    value.as_number().cloned().ok_or("must be a number")
}

/// One item, or `{"$each": [...]}`, or with another word for several.
fn items(value: &Value, several: &str) -> Result<Vec<Value>, &'static str> {
    let Some(members) = value.as_object().filter(|members| members.keys().any(|name| name.starts_with('$'))) else {
        return Ok(vec![value.clone()]);
    };
    match members.get(several).and_then(Value::as_array) {
        Some(items) if members.len() == 1 => Ok(items.clone()),
        Some(_) | None => Err("has a modifier that is not known here, or one without a list"),
    }
}

fn push(value: &Value) -> Result<Push, &'static str> {
    let Some(members) = value.as_object().filter(|members| members.keys().any(|name| name.starts_with('$'))) else {
        return Ok(Push { items: vec![value.clone()], ..Push::default() });
    };
    let mut push = Push::default();
    for (name, operand) in members {
        let whole = || operand.as_i64().ok_or("must be a whole number");
        match name.as_str() {
            "$each" => push.items = operand.as_array().ok_or("$each must be a list")?.clone(),
            "$position" => push.position = Some(whole()?),
            "$slice" => push.slice = Some(whole()?),
            "$sort" => push.order = Some(order(operand)?),
            _ => return Err("has a modifier that is not known here: $each, $position, $slice, $sort"),
        }
    }
    if members.contains_key("$each") { Ok(push) } else { Err("has modifiers, and no $each") }
}

/// 1 or -1, or an object of such numbers.
fn order(operand: &Value) -> Result<Order, &'static str> {
    let down = |value: &Value| match value.as_i64() {
        Some(1) => Ok(false),
        Some(-1) => Ok(true),
        Some(_) | None => Err("$sort must be 1 or -1, or name members with 1 or -1"),
    };
    let Some(members) = operand.as_object() else { return down(operand).map(Order::Values) };
    // Members have no order here, and keys of a sort have.
    match members.iter().next() {
        Some((path, value)) if members.len() == 1 => {
            Ok(Order::Member(Sort { path: path.clone(), down: down(value)?, dated: false }))
        }
        Some(_) | None => Err("$sort must name one member"),
    }
}

fn path(command: &str, field: &str) -> Result<Path, Error> {
    let segments: Vec<String> = field.split('.').map(str::to_owned).collect();
    if segments.iter().any(|segment| segment.is_empty() || segment.starts_with('$')) || segments.len() > DEEPEST {
        return Err(invalid(command, Some(field), "is no path to a member"));
    }
    Ok(Path(segments))
}

/// No path twice, and none below another.
fn apart(commands: &[Command]) -> Result<(), Error> {
    let mut sorted: Vec<&Command> = commands.iter().collect();
    sorted.sort_by(|a, b| a.path.0.cmp(&b.path.0));
    match sorted.windows(2).find(|pair| pair[1].path.0.starts_with(&pair[0].path.0)) {
        Some(pair) => Err(invalid(pair[1].name, Some(&pair[1].path.0.join(".")), "is changed by two commands")),
        None => Ok(()),
    }
}

pub(super) fn invalid(command: &str, field: Option<&str>, why: &str) -> Error {
    let mut pointer = format!("/{command}");
    if let Some(field) = field {
        pointer.push('/');
        pointer.push_str(&error::segment(field));
    }
    error::invalid(Code::InvalidPatch, pointer, why)
}
