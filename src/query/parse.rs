//! A filter from `_q` and from plain parameters, checked against the fields that there are. What is refused is said with its
//! place, never with a value. Knows no request.

use serde_json::{Map, Value};

use super::{
    Element, Filter, Order, Pattern, Term, Test,
    compare::instant,
    fields::{Fields, Kind},
};
use crate::error::{Code, Error};

/// Lists inside lists.
const DEEPEST: usize = 20;
/// Conditions, all together.
const MOST: usize = 1_000;
/// Names in a path.
const LONGEST_PATH: usize = 20;

/// Where we are.
struct Reading<'f> {
    /// `None` inside of `$elemMatch`, where no field is known and nothing is cast.
    fields: Option<&'f Fields>,
    place: String,
    depth: usize,
}

/// The filter that the object says.
///
/// # Errors
/// `invalid-query`.
pub fn filter(query: &Map<String, Value>, fields: &Fields) -> Result<Filter, Error> {
    let filter = Reading { fields: Some(fields), place: String::new(), depth: 0 }.members(query)?;
    if conditions(&filter) > MOST {
        return Err(invalid_query(format!("there are more than {MOST} conditions")));
    }
    Ok(filter)
}

/// The filter that a parameter with the name of a field says: equality, its text read as the kind of the field has it.
/// Given several times it means an array, element by element.
///
/// # Errors
/// `invalid-query`.
pub fn parameter(name: &str, values: &[&str], fields: &Fields) -> Result<Filter, Error> {
    let refuse = |what: &str| invalid_query(format!("{} {what}", shown(name)));
    let kind = fields.declared(name).filter(|_| path_is_sound(name)).ok_or_else(|| refuse("is no field"))?;
    let term = match (kind, values) {
        (Kind::Object(..), _) => return Err(refuse("is an object: ask for what is in it")),
        (Kind::Array(item), [one]) => read(one, item).map_err(refuse)?,
        (Kind::Array(item), several) => {
            let items = several.iter().map(|text| match read(text, item)? {
                Term::Value(value) => Ok(value),
                Term::Instant(_) => Ok(Value::from(*text)),
            });
            Term::Value(items.collect::<Result<_, _>>().map_err(refuse)?)
        }
        (kind, [one]) => read(one, kind).map_err(refuse)?,
        (_, _) => return Err(refuse("stands twice")),
    };
    Ok(Filter::Field(name.to_owned(), Test::Equals(term)))
}

fn read(text: &str, kind: &Kind) -> Result<Term, &'static str> {
    let term = match kind {
        Kind::Text | Kind::Any => Some(text.into()),
        Kind::Number => match text.parse::<i64>() {
            Ok(whole) => Some(whole.into()),
            Err(_) => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Into::into),
        },
        Kind::Bool => text.parse::<bool>().ok().map(Into::into),
        Kind::Date => instant(text).map(Term::Instant),
        Kind::Id => id(text).map(Into::into),
        Kind::Array(_) | Kind::Object(..) => None,
    };
    term.ok_or(match kind {
        Kind::Number => "is a number",
        Kind::Bool => "is true or false",
        Kind::Date => "is a date (RFC 3339)",
        Kind::Id => "is 24 hexadecimal digits",
        Kind::Text | Kind::Any | Kind::Array(_) | Kind::Object(..) => "cannot be asked for so",
    })
}

impl Reading<'_> {
    fn members(&mut self, query: &Map<String, Value>) -> Result<Filter, Error> {
        let mut all = Vec::new();
        for (name, value) in query {
            all.push(self.inside(name, |reading| match name.as_str() {
                "$and" => reading.list(value).map(Filter::And),
                "$or" => reading.list(value).map(Filter::Or),
                _ if name.starts_with('$') => Err(reading.refuse("is no operator here")),
                _ => reading.field(name, value),
            })?);
        }
        Ok(if all.len() == 1 {
            all.remove(0)
        } else if all.is_empty() {
            Filter::Everything
        } else {
            Filter::And(all)
        })
    }

    fn list(&mut self, value: &Value) -> Result<Vec<Filter>, Error> {
        let items = value.as_array().filter(|items| !items.is_empty());
        let items = items.ok_or_else(|| self.refuse("takes a list that is not empty"))?;
        let read = |(at, item): (usize, &Value)| {
            self.inside(&at.to_string(), |reading| match item {
                Value::Object(query) => reading.members(query),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    Err(reading.refuse("is no object"))
                }
            })
        };
        items.iter().enumerate().map(read).collect()
    }

    fn field(&mut self, path: &str, value: &Value) -> Result<Filter, Error> {
        if !path_is_sound(path) {
            return Err(self.refuse("is no field"));
        }
        let any = Kind::Any;
        let kind = match self.fields {
            Some(fields) => fields.kind(path).ok_or_else(|| self.refuse("is no field"))?.clone(),
            None => any,
        };
        let members = value.as_object();
        let tests = match members.filter(|members| members.keys().any(|name| name.starts_with('$'))) {
            Some(operators) => self.operators(operators, &kind)?,
            None if members.is_some() && !matches!(kind, Kind::Object(..) | Kind::Array(_) | Kind::Any) => {
                return Err(self.refuse("is no object, and what stands here is no operator"));
            }
            None => vec![Test::Equals(self.term(value, &kind)?)],
        };
        let mut tests: Vec<_> = tests.into_iter().map(|test| Filter::Field(path.to_owned(), test)).collect();
        Ok(if tests.len() == 1 { tests.remove(0) } else { Filter::And(tests) })
    }

    fn operators(&mut self, members: &Map<String, Value>, kind: &Kind) -> Result<Vec<Test>, Error> {
        let mut tests = Vec::new();
        for (name, operand) in members {
            let test = self.inside(name, |reading| {
                if !taken(name, kind) {
                    return Err(reading.refuse(&format!("is no operator for {}", called(kind))));
                }
                reading.operator(name, operand, members, kind)
            })?;
            tests.extend(test);
        }
        Ok(tests)
    }

    /// Nothing for what only says more about another one.
    fn operator(
        &mut self,
        name: &str,
        operand: &Value,
        beside: &Map<String, Value>,
        kind: &Kind,
    ) -> Result<Option<Test>, Error> {
        Ok(Some(match name {
            "$eq" => Test::Equals(self.term(operand, kind)?),
            "$ne" => Test::Differs(self.term(operand, kind)?),
            "$in" => Test::In(self.terms(operand, kind)?),
            "$nin" => Test::NotIn(self.terms(operand, kind)?),
            "$all" => Test::All(self.terms(operand, kind)?),
            "$gt" => self.than(Order::Above, operand, kind)?,
            "$gte" => self.than(Order::AtLeast, operand, kind)?,
            "$lt" => self.than(Order::Below, operand, kind)?,
            "$lte" => self.than(Order::AtMost, operand, kind)?,
            "$exists" => Test::Exists(operand.as_bool().ok_or_else(|| self.refuse("is true or false"))?),
            "$size" => Test::Size(operand.as_u64().ok_or_else(|| self.refuse("is a whole number, at least 0"))?),
            "$regex" => self.regex(operand, beside.get("$options"))?,
            "$options" if beside.contains_key("$regex") => return Ok(None),
            "$elemMatch" => Test::Element(self.element(operand)?),
            _ => return Err(self.refuse("is no operator here")),
        }))
    }

    fn than(&self, order: Order, operand: &Value, kind: &Kind) -> Result<Test, Error> {
        match (operand, order) {
            // Nothing is above or below what is not there; only the same as it.
            (Value::Null, Order::AtLeast | Order::AtMost) => Ok(Test::Equals(Value::Null.into())),
            (Value::Null, Order::Above | Order::Below) => Ok(Test::In(Vec::new())),
            (Value::Array(_) | Value::Object(_), _) => {
                Err(self.refuse("takes a number, a text, a date, true or false"))
            }
            (Value::Bool(_) | Value::Number(_) | Value::String(_), _) => {
                Ok(Test::Than(order, self.term(operand, kind)?))
            }
        }
    }

    fn terms(&mut self, operand: &Value, kind: &Kind) -> Result<Vec<Term>, Error> {
        let items = operand.as_array().ok_or_else(|| self.refuse("takes a list"))?;
        items
            .iter()
            .enumerate()
            .map(|(at, item)| self.inside(&at.to_string(), |inside| inside.term(item, kind)))
            .collect()
    }

    fn term(&self, operand: &Value, kind: &Kind) -> Result<Term, Error> {
        // What would be taken for operators by the next who reads it.
        if operand.as_object().is_some_and(|members| members.keys().any(|name| name.starts_with('$'))) {
            return Err(self.refuse("takes no operators"));
        }
        match (kind, operand) {
            (Kind::Array(item), operand) if !operand.is_array() => self.term(operand, item),
            (Kind::Date, Value::String(text)) => {
                Ok(Term::Instant(instant(text).ok_or_else(|| self.refuse("is a date (RFC 3339)"))?))
            }
            (Kind::Date, Value::Number(number)) => {
                let at_ms = number.as_i64().filter(|at_ms| instant(&crate::clock::rfc3339(*at_ms)) == Some(*at_ms));
                Ok(Term::Instant(at_ms.ok_or_else(|| self.refuse("is a date (milliseconds since 1970)"))?))
            }
            (Kind::Date, Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
                Err(self.refuse("is a date (RFC 3339)"))
            }
            (Kind::Id, Value::Null) => Ok(Value::Null.into()),
            (Kind::Id, operand) => {
                let id = operand.as_str().and_then(id);
                Ok(id.ok_or_else(|| self.refuse("is 24 hexadecimal digits"))?.into())
            }
            (_, operand) => Ok(operand.clone().into()),
        }
    }

    fn regex(&self, operand: &Value, options: Option<&Value>) -> Result<Test, Error> {
        let text = operand.as_str().ok_or_else(|| self.refuse("is a text"))?;
        let options = match options {
            None => "",
            Some(options) => options.as_str().ok_or_else(|| self.refuse("takes options that are a text"))?,
        };
        Pattern::new(text, options)
            .map(Test::Like)
            .map_err(|why| self.refuse(&format!("is outside of what all engines know: it {why}")))
    }

    fn element(&mut self, operand: &Value) -> Result<Element, Error> {
        let members = operand.as_object().ok_or_else(|| self.refuse("takes an object"))?;
        let value = |name: &String| name.starts_with('$') && !matches!(name.as_str(), "$and" | "$or");
        let mut free = Reading { fields: None, place: self.place.clone(), depth: self.depth };
        if members.keys().any(value) {
            Ok(Element::Value(free.operators(members, &Kind::Any)?))
        } else {
            Ok(Element::Object(Box::new(free.members(members)?)))
        }
    }

    fn inside<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth == DEEPEST {
            return Err(self.refuse(&format!("lies deeper than {DEEPEST} levels")));
        }
        let length = self.place.len();
        self.place.push('/');
        self.place.push_str(&shown(name));
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        self.place.truncate(length);
        read
    }

    fn refuse(&self, what: &str) -> Error {
        invalid_query(format!("{} {what}", if self.place.is_empty() { "/" } else { &self.place }))
    }
}

/// Which operators a field of that kind takes.
fn taken(operator: &str, kind: &Kind) -> bool {
    let each = ["$eq", "$in", "$nin", "$all", "$exists"].contains(&operator);
    let scalar = each || ["$ne", "$gt", "$gte", "$lt", "$lte"].contains(&operator);
    let text = ["$regex", "$options"].contains(&operator);
    let array = ["$elemMatch", "$size"].contains(&operator);
    match kind {
        Kind::Text => scalar || text,
        Kind::Number | Kind::Bool | Kind::Date | Kind::Id => scalar,
        Kind::Array(_) => each || array,
        Kind::Object(..) => operator == "$exists",
        Kind::Any => scalar || text || array,
    }
}

fn called(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text => "a text",
        Kind::Number => "a number",
        Kind::Bool => "what is true or false",
        Kind::Date => "a date",
        Kind::Id => "an _id",
        Kind::Array(_) => "an array",
        Kind::Object(..) => "an object",
        Kind::Any => "this field",
    }
}

fn conditions(filter: &Filter) -> usize {
    match filter {
        Filter::Everything => 1,
        Filter::And(filters) | Filter::Or(filters) => 1 + filters.iter().map(conditions).sum::<usize>(),
        Filter::Field(_, Test::Element(Element::Object(filter))) => 1 + conditions(filter),
        Filter::Field(..) => 1,
    }
}

/// Names with dots between, none of them empty.
pub fn path_is_sound(path: &str) -> bool {
    path.split('.').all(|name| !name.is_empty() && !name.starts_with('$')) && path.split('.').count() <= LONGEST_PATH
}

fn id(text: &str) -> Option<String> {
    let hex = text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| text.to_ascii_lowercase())
}

/// A name that comes from outside: not all of it needs to be said.
pub fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(60).collect()
}

pub fn invalid_query(what: impl Into<String>) -> Error {
    Error::new(Code::InvalidQuery, what)
}
