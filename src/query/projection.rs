//! What of a document is shown. Knows no store.

use serde_json::{Map, Value};

use super::parse::{invalid_query, path_is_sound, shown};
use crate::error::Error;

/// Names may have dots for what lies deeper; through arrays they lead into each element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Projection {
    #[default]
    Whole,
    /// Nothing else.
    Only(Vec<String>),
    Without(Vec<String>),
}

impl Projection {
    /// Of a list of names with commas between. `_id` always belongs to them; the empty list means all.
    ///
    /// # Errors
    /// `invalid-query`.
    pub fn of_names(list: &str) -> Result<Self, Error> {
        if list.is_empty() {
            return Ok(Self::Whole);
        }
        let mut names: Vec<String> = list.split(',').map(|name| name.trim().to_owned()).collect();
        names.retain(|name| !name.is_empty());
        names.push("_id".to_owned());
        Self::sound(names).map(Self::Only)
    }

    /// Of MongoDB's form, as far as it takes names in or leaves them out.
    ///
    /// # Errors
    /// `invalid-query`.
    pub fn of_object(object: &Map<String, Value>) -> Result<Self, Error> {
        let mut taken = Vec::new();
        let mut left = Vec::new();
        for (name, value) in object {
            let takes = match value {
                Value::Bool(takes) => Some(*takes),
                Value::Number(number) => number.as_f64().map(|number| number != 0.0),
                Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
            };
            match takes {
                Some(true) => taken.push(name.clone()),
                Some(false) => left.push(name.clone()),
                None => {
                    return Err(invalid_query(format!("the projection of {} is neither 1 nor 0", shown(name))));
                }
            }
        }
        let id = |names: &[String]| names.iter().any(|name| name == "_id");
        if taken.is_empty() {
            return Ok(if left.is_empty() { Self::Whole } else { Self::Without(Self::sound(left)?) });
        }
        if left.iter().any(|name| name != "_id") {
            return Err(invalid_query("the projection takes fields in and leaves others out"));
        }
        if !id(&left) && !id(&taken) {
            taken.push("_id".to_owned());
        }
        Self::sound(taken).map(Self::Only)
    }

    fn sound(mut names: Vec<String>) -> Result<Vec<String>, Error> {
        names.sort_unstable();
        names.dedup();
        for name in &names {
            if !path_is_sound(name) {
                return Err(invalid_query(format!("the projection has a name that cannot be: {}", shown(name))));
            }
            let above = |other: &&String| name.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('.'));
            if let Some(above) = names.iter().find(above) {
                let (name, above) = (shown(name), shown(above));
                return Err(invalid_query(format!("the projection names {above} and what is in it, {name}")));
            }
        }
        Ok(names)
    }

    /// What is left of the document.
    pub fn cut(&self, document: &mut Map<String, Value>) {
        match self {
            Self::Whole => {}
            Self::Only(names) => keep(document, &names.iter().map(String::as_str).collect::<Vec<_>>()),
            Self::Without(names) => names.iter().for_each(|name| leave_out(document, name)),
        }
    }
}

/// What lies deeper is kept in what it lies in; what cannot hold it goes.
fn keep(object: &mut Map<String, Value>, names: &[&str]) {
    object.retain(|name, value| {
        if names.contains(&name.as_str()) {
            return true;
        }
        let below: Vec<&str> =
            names.iter().filter_map(|path| path.strip_prefix(name.as_str())?.strip_prefix('.')).collect();
        !below.is_empty() && keep_inside(value, &below)
    });
}

fn keep_inside(value: &mut Value, names: &[&str]) -> bool {
    match value {
        Value::Object(object) => keep(object, names),
        Value::Array(items) => items.retain_mut(|item| keep_inside(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return false,
    }
    true
}

fn leave_out(object: &mut Map<String, Value>, path: &str) {
    match path.split_once('.') {
        None => {
            object.remove(path);
        }
        Some((first, rest)) => {
            if let Some(value) = object.get_mut(first) {
                leave_out_inside(value, rest);
            }
        }
    }
}

fn leave_out_inside(value: &mut Value, path: &str) {
    match value {
        Value::Object(object) => leave_out(object, path),
        Value::Array(items) => items.iter_mut().for_each(|item| leave_out_inside(item, path)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cut(projection: &Projection) -> Value {
        let document = json!({ "_id": 1, "a": { "b": 1, "c": 2 }, "l": [{ "x": 1, "y": 2 }, 3, [{ "x": 4 }]], "s": 5 });
        let mut document = document.as_object().unwrap().clone();
        projection.cut(&mut document);
        Value::Object(document)
    }

    fn of(object: Value) -> Result<Projection, Error> {
        Projection::of_object(object.as_object().unwrap())
    }

    #[test]
    fn names_are_taken_in_or_left_out_at_any_depth() {
        let names = |list: &str| cut(&Projection::of_names(list).unwrap());
        assert_eq!(names(""), cut(&Projection::Whole));
        assert_eq!(names(","), json!({ "_id": 1 }));
        assert_eq!(names("s, nobody"), json!({ "_id": 1, "s": 5 }));
        assert_eq!(names("a.b,l.x,s.t"), json!({ "_id": 1, "a": { "b": 1 }, "l": [{ "x": 1 }, [{ "x": 4 }]] }));
        let objects = |object: Value| cut(&of(object).unwrap());
        assert_eq!(objects(json!({})), cut(&Projection::Whole));
        assert_eq!(objects(json!({ "s": 1 })), json!({ "_id": 1, "s": 5 }));
        assert_eq!(objects(json!({ "s": true, "_id": 0 })), json!({ "s": 5 }));
        assert_eq!(objects(json!({ "_id": 1 })), json!({ "_id": 1 }));
        assert_eq!(
            objects(json!({ "l.y": 0, "a": false, "s.t": 0 })),
            json!({ "_id": 1, "l": [{ "x": 1 }, 3, [{ "x": 4 }]], "s": 5 })
        );
    }

    #[test]
    fn what_is_more_than_that_is_refused() {
        for wrong in [
            json!({ "a": 1, "s": 0 }),
            json!({ "a": 1, "a.b": 1 }),
            json!({ "a": "x" }),
            json!({ "a": { "$slice": 1 } }),
            json!({ "a": null }),
            json!({ "$a": 1 }),
            json!({ "a.$": 1 }),
            json!({ "a..b": 1 }),
            json!({ "": 1 }),
        ] {
            assert!(of(wrong.clone()).is_err(), "{wrong}");
        }
        assert!(Projection::of_names("a,$b").is_err());
        assert!(Projection::of_names("a,a.b").is_err());
    }
}
