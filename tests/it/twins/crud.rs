//! crud-service 7.2.5 with a collection of users and, beside it, those of groups and roles, as far as a driver can see it: the routes that it needs, statuses and
//! bodies as the service gives them, its odd ones included.

mod language;

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Map, Value, json};
use user_manager::clock::{Clock, parse_rfc3339, rfc3339};

use super::{Answer, Asked, Model};

pub type Row = Map<String, Value>;

/// Type of a schema field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Text,
    NullableText,
    Bool,
    NullableDate,
    Texts,
    Object,
    Number,
    /// An array of objects.
    Objects,
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::NullableText => json!({ "type": "string", "nullable": true }),
            Self::Bool => json!({ "type": "boolean" }),
            Self::NullableDate => json!({ "type": "string", "format": "date-time", "nullable": true }),
            Self::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Self::Object => json!({ "type": "object" }),
            Self::Number => json!({ "type": "number", "nullable": true }),
            Self::Objects => json!({ "type": "array", "items": { "type": "object" } }),
        }
    }
}

/// Whose statuses and words it has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flavour {
    V7,
    /// 422 instead of 409.
    V6,
    /// In front of a database whose messages name no value.
    OtherDatabase,
}

pub struct Crud {
    /// `/users`
    pub path: String,
    pub rows: BTreeMap<String, Row>,
    pub fields: BTreeMap<&'static str, Kind>,
    /// Fields that no row may lack.
    pub required: Vec<&'static str>,
    /// Fields that no two rows may share.
    pub unique: Vec<&'static str>,
    /// Further collections.
    pub beside: Vec<Crud>,
    pub flavour: Flavour,
    /// So many writes to come bear the time of the one before, `last_ms`.
    pub still: u32,
    pub last_ms: i64,
}

/// Bytes of a request's head.
const HEAD: usize = 16 * 1024;
const METADATA: [&str; 6] = ["_id", "creatorId", "createdAt", "updaterId", "updatedAt", "__STATE__"];
const STATES: [&str; 4] = ["PUBLIC", "DRAFT", "TRASH", "DELETED"];

impl Default for Crud {
    fn default() -> Self {
        let group = [
            ("userGroup", Kind::Text),
            ("label", Kind::Text),
            ("authUserCreationDisabled", Kind::Bool),
            ("crudSchema", Kind::Object),
        ];
        let role =
            [("roleId", Kind::Text), ("name", Kind::Text), ("description", Kind::Text), ("permissions", Kind::Texts)];
        let fields = [
            ("userGroup", Kind::Text),
            ("authUserId", Kind::Text),
            ("username", Kind::Text),
            ("email", Kind::Text),
            ("name", Kind::Text),
            ("blocked", Kind::Bool),
            ("expirationDate", Kind::NullableDate),
            ("expirationId", Kind::NullableText),
            ("roles", Kind::Texts),
            ("metadata", Kind::Object),
        ];
        Self {
            unique: vec!["username", "email"],
            beside: vec![
                Self::of("/ums-config", group.into(), &["userGroup"], "userGroup"),
                Self::of("/roles", role.into(), &["roleId", "permissions"], "roleId"),
            ],
            ..Self::of("/users", fields.into(), &["userGroup"], "")
        }
    }
}

impl Crud {
    fn of(path: &str, fields: BTreeMap<&'static str, Kind>, required: &[&'static str], unique: &'static str) -> Self {
        Self {
            path: path.to_owned(),
            rows: BTreeMap::new(),
            fields,
            required: required.to_vec(),
            unique: vec![unique],
            beside: Vec::new(),
            flavour: Flavour::V7,
            still: 0,
            last_ms: 0,
        }
    }

    /// The collection of groups.
    pub fn groups(&mut self) -> &mut Self {
        &mut self.beside[0]
    }

    /// The collection of roles.
    pub fn roles(&mut self) -> &mut Self {
        &mut self.beside[1]
    }
}

impl Crud {
    /// A row as if it had been there for an hour.
    pub fn put(&mut self, id: &str, state: &str, fields: Value) {
        let at = rfc3339(Clock::system().now_ms() - 3_600_000);
        let mut row = json!({
            "_id": id, "__STATE__": state, "creatorId": "public", "createdAt": at, "updaterId": "public", "updatedAt": at
        });
        row.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.rows.insert(id.to_owned(), row.as_object().unwrap().clone());
    }

    fn stamp(&mut self) -> String {
        if self.still > 0 {
            self.still -= 1;
        } else {
            self.last_ms = Clock::system().now_ms();
        }
        rfc3339(self.last_ms)
    }
}

impl Model for Crud {
    fn answer(&mut self, asked: &Asked) -> Answer {
        if asked.head() > HEAD {
            let (error, message) = ("Request Header Fields Too Large", "Exceeded maximum allowed HTTP header size");
            return Answer::json(431, &json!({ "error": error, "message": message, "statusCode": 431 }));
        }
        let below = |path: &str| {
            let rest = asked.path.strip_prefix(path)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
        };
        let Some(rest) = below(&self.path) else {
            if let Some(other) = self.beside.iter_mut().find(|other| below(&other.path).is_some()) {
                return other.answer(asked);
            }
            return match asked.path.as_str() {
                "/-/healthz" | "/-/ready" | "/-/check-up" => {
                    let name = "@mia-platform/crud-service";
                    Answer::json(200, &json!({ "name": name, "status": "OK", "version": "7.2.5" }))
                }
                _ => not_found(),
            };
        };
        let segments: Vec<_> = rest.split('/').collect();
        let answer = match (asked.method.as_str(), segments.as_slice()) {
            ("GET", [""] | ["", ""]) => self.list(asked),
            ("GET", ["", "schema"]) => Ok(self.schema()),
            ("GET", ["", "count"]) => self.count(asked),
            ("POST", ["", "import"]) => self.import(asked),
            ("GET", ["", id]) if !id.is_empty() => self.get(asked, id),
            ("PATCH", ["", id]) if !id.is_empty() => self.patch(asked, id),
            ("DELETE", ["", id]) if !id.is_empty() => self.delete(asked, id),
            ("POST", ["", id, "state"]) => self.state(asked, id),
            _ => Err(not_found()),
        };
        answer.unwrap_or_else(|refused| refused)
    }

    fn refusal(&self, status: u16) -> Answer {
        match status {
            404 => not_found(),
            409 => duplicate(409, None, "E11000 duplicate key error collection: db.users index: _id_ dup key: { }"),
            _ => shape_a(status, None, "something of ours: 10.0.0.7:27017"),
        }
    }
}

type Reply = Result<Answer, Answer>;

impl Crud {
    fn list(&self, asked: &Asked) -> Reply {
        let filter = self.filter(asked, &["_id", "_q", "_st", "_l", "_s", "_sk", "_p", "_rawp"])?;
        let number = |name, fallback: usize| match asked.query(name) {
            None => Ok(fallback),
            Some(text) => text.parse().map_err(|_| bad(format!("querystring/{name} must be integer"))),
        };
        let (limit, skip) = (number("_l", 25)?, number("_sk", 0)?);
        if !(1..=200).contains(&limit) {
            return Err(bad("querystring/_l must be <= 200"));
        }
        let mut rows: Vec<_> = self.rows.values().filter(|row| filter.holds(row)).collect();
        if let Some(sort) = asked.query("_s") {
            let name = |key: &str| key.trim_start_matches('-').split('.').next().unwrap_or_default().to_owned();
            if let Some(key) = sort
                .split(',')
                .find(|key| !METADATA.contains(&name(key).as_str()) && !self.fields.contains_key(name(key).as_str()))
            {
                return Err(bad(format!("querystring/_s/0 must match pattern, {key}")));
            }
            for key in sort.split(',').rev() {
                rows.sort_by(|one, other| language::in_order(key, one, other));
            }
        }
        let lines: Vec<_> = rows.into_iter().skip(skip).take(limit).map(|row| shown(row, asked).to_string()).collect();
        let body = if lines.is_empty() { "[\n\n]\n".to_owned() } else { format!("[\n{}\n]\n", lines.join("\n,\n")) };
        Ok(Answer { status: 200, headers: vec![("content-type", "application/json".to_owned())], body: body.into() })
    }

    fn count(&self, asked: &Asked) -> Reply {
        let filter = self.filter(asked, &["_id", "_q", "_st"])?;
        let count = self.rows.values().filter(|row| filter.holds(row)).count();
        Ok(Answer::json(200, &json!(count)))
    }

    fn schema(&self) -> Answer {
        let fields = self.fields.iter().map(|(&name, kind)| (name.to_owned(), kind.schema()));
        let metadata = METADATA.map(|name| (name.to_owned(), json!({})));
        let properties: Map<String, Value> = fields.chain(metadata).collect();
        Answer::json(200, &json!({ "type": "object", "properties": properties, "required": self.required }))
    }

    fn get(&self, asked: &Asked, id: &str) -> Reply {
        let filter = self.filter(asked, &["_q", "_st", "_p", "_rawp"])?;
        let row = self.rows.get(&id.to_ascii_lowercase()).filter(|row| filter.holds(row)).ok_or_else(not_found)?;
        Ok(Answer::json(200, &shown(row, asked)))
    }

    fn import(&mut self, asked: &Asked) -> Reply {
        if let Some((name, _)) = asked.query.first() {
            return Err(additional("querystring", name));
        }
        let kind = asked.header("content-type").unwrap_or_default();
        let Some(boundary) = kind.strip_prefix("multipart/form-data; boundary=") else {
            return Err(shape_a(400, None, "the request is not multipart"));
        };
        let text = String::from_utf8_lossy(&asked.body).into_owned();
        let parts: Vec<_> = text.split(&format!("--{boundary}")).collect();
        let [_, part, end] = parts.as_slice() else { return Err(shape_a(400, None, "no file in the request")) };
        let (head, body) = part.split_once("\r\n\r\n").ok_or_else(|| shape_a(400, None, "bad part"))?;
        let head = head.to_ascii_lowercase();
        if !end.starts_with("--") || !head.contains("filename=") {
            return Err(shape_a(400, None, "no file in the request"));
        }
        if !head.contains("content-type: application/json") {
            return Err(shape_a(415, None, "unsupported file type"));
        }
        let rows: Vec<Row> = serde_json::from_str(body.trim_end_matches("\r\n"))
            .map_err(|_| shape_a(400, None, "(index: 0) not an array of objects"))?;
        let mut checked = Vec::new();
        for (at, row) in rows.into_iter().enumerate() {
            checked.push(self.checked(row).map_err(|why| shape_a(400, None, &format!("(index: {at}, /) {why}")))?);
        }
        let now = self.stamp();
        for (id, state, mut row) in checked {
            if self.rows.contains_key(&id) {
                let status = self.conflict();
                let message =
                    format!("E11000 duplicate key error collection: db.users index: _id_ dup key: {{ _id: {id} }}");
                return Err(duplicate(status, None, &message));
            }
            if let Some(field) = self.taken(&id, &row) {
                return Err(duplicate(self.conflict(), None, &self.duplicate_message(field)));
            }
            let by = user(asked);
            for (name, value) in [("creatorId", &by), ("createdAt", &now), ("updaterId", &by), ("updatedAt", &now)] {
                row.insert(name.to_owned(), json!(value));
            }
            row.insert("_id".to_owned(), json!(id));
            row.insert("__STATE__".to_owned(), json!(state));
            self.rows.insert(id, row);
        }
        Ok(Answer::json(201, &json!({ "message": "File uploaded successfully" })))
    }

    /// Its id, its state, and its own fields, the unknown ones dropped.
    fn checked(&self, row: Row) -> Result<(String, String, Row), String> {
        if let Some(lacking) = self.required.iter().find(|field| !row.contains_key(**field)) {
            return Err(format!("must have required property '{lacking}'"));
        }
        let mut id = None;
        let mut state = "DRAFT".to_owned();
        let mut kept = Row::new();
        for (name, value) in row {
            match name.as_str() {
                "_id" => id = value.as_str().filter(|id| is_id(id)).map(str::to_ascii_lowercase),
                "__STATE__" => {
                    let named = value.as_str().filter(|state| STATES.contains(state));
                    state = named.ok_or("must be equal to one of the allowed values")?.to_owned();
                }
                "creatorId" | "createdAt" | "updaterId" | "updatedAt" => {
                    return Err(format!("{name} cannot be specified"));
                }
                _ => {
                    if let Some(&kind) = self.fields.get(name.as_str()) {
                        kept.insert(name.clone(), coerced(&name, kind, value)?);
                    }
                }
            }
        }
        Ok((id.ok_or("_id must match pattern")?, state, kept))
    }

    fn patch(&mut self, asked: &Asked, id: &str) -> Reply {
        let filter = self.filter(asked, &["_q", "_st"])?;
        let Some(Value::Object(commands)) = asked.json() else { return Err(bad("body must be object")) };
        let mut changes: Vec<(String, Option<Value>)> = Vec::new();
        for (command, fields) in &commands {
            let Value::Object(fields) = fields else { return Err(bad(format!("body/{command} must be object"))) };
            for (name, value) in fields {
                let Some(&kind) = self.fields.get(name.as_str()) else { return Err(additional("body", name)) };
                match command.as_str() {
                    "$set" => changes.push((name.clone(), Some(coerced(name, kind, value.clone()).map_err(bad)?))),
                    "$unset" if *value == json!(true) && !self.required.contains(&name.as_str()) => {
                        changes.push((name.clone(), None))
                    }
                    "$unset" => return Err(bad(format!("body/$unset/{name} must be equal to constant"))),
                    _ => return Err(additional("body", command)),
                }
            }
        }
        let id = id.to_ascii_lowercase();
        let mut row = self.rows.get(&id).filter(|row| filter.holds(row)).ok_or_else(not_found)?.clone();
        for (name, value) in changes {
            match value {
                Some(value) => row.insert(name, value),
                None => row.remove(&name),
            };
        }
        if let Some(field) = self.taken(&id, &row) {
            let code = if self.flavour == Flavour::OtherDatabase { "1" } else { "11000" };
            return Err(duplicate(500, Some(code), &self.duplicate_message(field)));
        }
        row.insert("updaterId".to_owned(), json!(user(asked)));
        row.insert("updatedAt".to_owned(), json!(self.stamp()));
        self.rows.insert(id, row.clone());
        Ok(Answer::json(200, &json!(row)))
    }

    fn state(&mut self, asked: &Asked, id: &str) -> Reply {
        let filter = self.filter(asked, &["_q"])?;
        let to = asked.json().and_then(|body| body["stateTo"].as_str().map(ToOwned::to_owned));
        let Some(to) = to.filter(|to| STATES.contains(&to.as_str())) else {
            return Err(bad("body/stateTo must be equal to one of the allowed values"));
        };
        let id = id.to_ascii_lowercase();
        let from = self.rows.get(&id).filter(|row| filter.holds(row)).map(|row| row["__STATE__"].clone());
        let from = from.ok_or_else(not_found)?;
        let from = from.as_str().unwrap();
        let legal = match from {
            "PUBLIC" | "DRAFT" => to != "DELETED",
            "TRASH" => to != "PUBLIC",
            _ => to == "TRASH" || to == "DELETED",
        };
        if !legal {
            let status = if self.flavour == Flavour::V6 { 404 } else { 400 };
            return Err(shape_a(status, None, &format!("transition from {from} to {to} not allowed.")));
        }
        let (by, now) = (user(asked), self.stamp());
        let row = self.rows.get_mut(&id).unwrap();
        row.insert("__STATE__".to_owned(), json!(to));
        row.insert("updaterId".to_owned(), json!(by));
        row.insert("updatedAt".to_owned(), json!(now));
        Ok(Answer::empty(204))
    }

    fn delete(&mut self, asked: &Asked, id: &str) -> Reply {
        let filter = self.filter(asked, &["_q", "_st"])?;
        let id = id.to_ascii_lowercase();
        self.rows.get(&id).filter(|row| filter.holds(row)).ok_or_else(not_found)?;
        self.rows.remove(&id);
        Ok(Answer::empty(204))
    }

    fn conflict(&self) -> u16 {
        if self.flavour == Flavour::V6 { 422 } else { 409 }
    }

    /// The unique field whose value another row has already, in whatever state.
    fn taken(&self, id: &str, row: &Row) -> Option<&'static str> {
        let others = || self.rows.iter().filter(|(other, _)| *other != id).map(|(_, row)| row);
        self.unique.iter().copied().find(|&field| {
            let value = row.get(field);
            value.is_some() && others().any(|other| other.get(field) == value)
        })
    }

    fn duplicate_message(&self, field: &str) -> String {
        if self.flavour == Flavour::OtherDatabase {
            return "conflicting key value violates exclusion constraint \"documents_rum_index_26\"".to_owned();
        }
        format!(
            "E11000 duplicate key error collection: db.users index: users_{field}_unique dup key: {{ {field}: \"?\" }}"
        )
    }

    /// Plain parameters, `_q`, `acl_rows` and `_st` together; a parameter beside `known` and the fields is refused.
    fn filter(&self, asked: &Asked, known: &[&str]) -> Result<Filter, Answer> {
        let mut all = Vec::new();
        let mut states = vec!["PUBLIC".to_owned()];
        for (at, (name, value)) in asked.query.iter().enumerate() {
            if asked.query[..at].iter().any(|(other, _)| other == name) {
                return Err(bad(format!("querystring/{name} must be string")));
            }
            let listed = known.contains(&name.as_str());
            match name.as_str() {
                "_q" if listed => {
                    let query = serde_json::from_str(value).map_err(|_| shape_a(500, None, "Unexpected token"))?;
                    all.push(self.condition(&query)?);
                }
                "_st" if listed => states = value.split(',').map(ToOwned::to_owned).collect(),
                "_id" if listed && !is_id(value) => return Err(bad("querystring/_id must match pattern")),
                _ if listed && name != "_id" => {}
                "_id" if listed => all.push(Filter::Is(name.clone(), json!(value.to_ascii_lowercase()))),
                "createdAt" | "updatedAt" => {
                    let at =
                        parse_rfc3339(value).ok_or_else(|| bad(format!("querystring/{name} must match format")))?;
                    all.push(Filter::Is(name.clone(), json!(rfc3339(at))));
                }
                "creatorId" | "updaterId" => all.push(Filter::Is(name.clone(), json!(value))),
                _ => match self.fields.get(name.as_str()) {
                    None | Some(Kind::Object | Kind::Objects) => return Err(additional("querystring", name)),
                    Some(Kind::Texts) => all.push(Filter::Is(name.clone(), json!(value))),
                    Some(&kind) => all.push(Filter::Is(name.clone(), coerced(name, kind, json!(value)).map_err(bad)?)),
                },
            }
        }
        if let Some(rows) = asked.header("acl_rows") {
            let rows = serde_json::from_str(rows).map_err(|_| shape_a(500, None, "Unexpected token"))?;
            all.push(self.condition(&rows)?);
        }
        let stateless = asked.method == Method::POST;
        if !stateless {
            all.push(Filter::OneOf("__STATE__".to_owned(), states.into_iter().map(Value::from).collect()));
        }
        Ok(Filter::All(all))
    }

    fn condition(&self, query: &Value) -> Result<Filter, Answer> {
        self.understood(query).map(Filter::Query)
    }
}

enum Filter {
    All(Vec<Filter>),
    Is(String, Value),
    OneOf(String, Vec<Value>),
    Query(Value),
}

impl Filter {
    fn holds(&self, row: &Row) -> bool {
        let is = |name: &str, wanted: &Value| match row.get(name) {
            None => wanted.is_null(),
            Some(Value::Array(items)) if !wanted.is_array() => items.contains(wanted),
            Some(value) => value == wanted,
        };
        match self {
            Self::All(all) => all.iter().all(|filter| filter.holds(row)),
            Self::Is(name, wanted) => is(name, wanted),
            Self::OneOf(name, wanted) => wanted.iter().any(|wanted| is(name, wanted)),
            Self::Query(query) => language::meant(query, row),
        }
    }
}

/// As the service's validation turns one type into another, null included.
fn coerced(name: &str, kind: Kind, value: Value) -> Result<Value, String> {
    let wrong = |wanted: &str| Err(format!("body/{name} must be {wanted}"));
    match (kind, value) {
        (Kind::Text | Kind::NullableText, Value::String(text)) => Ok(json!(text)),
        (Kind::NullableText | Kind::NullableDate, Value::Null) => Ok(Value::Null),
        (Kind::Text, Value::Null) => Ok(json!("")),
        (Kind::Text | Kind::NullableText, value @ (Value::Number(_) | Value::Bool(_))) => Ok(json!(value.to_string())),
        (Kind::Text | Kind::NullableText, _) => wrong("string"),
        (Kind::Bool, value @ Value::Bool(_)) => Ok(value),
        (Kind::Bool, Value::Null) => Ok(json!(false)),
        (Kind::Bool, Value::String(text)) if text == "true" || text == "false" => Ok(json!(text == "true")),
        (Kind::Bool, _) => wrong("boolean"),
        (Kind::NullableDate, Value::String(text)) => match parse_rfc3339(&text) {
            Some(at) => Ok(json!(rfc3339(at))),
            None => wrong("a date-time"),
        },
        (Kind::NullableDate, _) => wrong("a date-time"),
        (Kind::Texts, value @ Value::Array(_)) => Ok(value),
        (Kind::Texts, _) => wrong("array"),
        (Kind::Objects, value @ Value::Array(_)) => Ok(value),
        (Kind::Objects, _) => wrong("array"),
        (Kind::Number, value @ (Value::Number(_) | Value::Null)) => Ok(value),
        (Kind::Number, Value::String(text)) => text.parse::<f64>().map(Value::from).or_else(|_| wrong("number")),
        (Kind::Number, _) => wrong("number"),
        (Kind::Object, value @ Value::Object(_)) => Ok(value),
        (Kind::Object, _) => wrong("object"),
    }
}

/// Only top-level names are told apart.
fn shown(row: &Row, asked: &Asked) -> Value {
    let mut row = row.clone();
    if let Some(names) = asked.query("_p").filter(|names| !names.is_empty()) {
        row.retain(|name, _| name == "_id" || names.split(',').any(|one| one == name));
    }
    if let Some(names) = asked.header("acl_read_columns").filter(|names| !names.is_empty()) {
        row.retain(|name, _| name == "_id" || names.split(',').any(|one| one == name));
    }
    if let Some(Value::Object(raw)) = asked.query("_rawp").and_then(|raw| serde_json::from_str(raw).ok()) {
        let takes = raw.iter().any(|(name, how)| name != "_id" && *how == json!(1));
        row.retain(|name, _| match raw.get(name) {
            Some(how) => *how == json!(1),
            None => !takes || name == "_id",
        });
    }
    json!(row)
}

fn is_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn user(asked: &Asked) -> String {
    let named = asked.header("miauserid").filter(|name| !matches!(*name, "" | "null" | "undefined"));
    named.unwrap_or("public").to_owned()
}

fn not_found() -> Answer {
    Answer::json(404, &json!({ "error": "not found" }))
}

fn bad(message: impl Into<String>) -> Answer {
    shape_a(400, Some("FST_ERR_VALIDATION"), &message.into())
}

fn additional(place: &str, name: &str) -> Answer {
    let why = format!("Property \"{name}\" is not defined in validation schema");
    shape_a(400, None, &format!("{place} must NOT have additional properties. {why}"))
}

fn duplicate(status: u16, code: Option<&str>, message: &str) -> Answer {
    shape_a(status, code, message)
}

fn shape_a(status: u16, code: Option<&str>, message: &str) -> Answer {
    let mut body = json!({ "statusCode": status, "error": "Error", "message": message });
    if let Some(code) = code {
        body["code"] = json!(code);
    }
    Answer::json(status, &body)
}

fn shape_b(message: &str) -> Answer {
    Answer::json(400, &json!({ "statusCode": 400, "message": message, "error": "Bad Request" }))
}
