//! From the body of a PATCH to commands. Only what can be told without the document.

use serde_json::{Map, Number, Value};

use super::{Command, Patch, Path, Push, What};
use crate::error::{self, Code, Error};

/// As deep as a body may be (`too-deep`).
const DEEPEST: usize = 64;
const KNOWN: &str = "$set, $unset, $inc, $mul, $currentDate, $push, $pull, $addToSet";

pub fn parse(body: &Map<String, Value>) -> Result<Patch, Error> {
    let mut commands = Vec::new();
    for (name, fields) in body {
        let (name, read) = reader(name)?;
        let Value::Object(fields) = fields else { return Err(invalid(name, None, "must be an object")) };
        for (field, operand) in fields {
            let path = path(name, field)?;
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
            _ => return Err("has a modifier that is not known here: $each, $position, $slice"),
        }
    }
    if members.contains_key("$each") { Ok(push) } else { Err("has modifiers, and no $each") }
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
