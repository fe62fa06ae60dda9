//! A filter in the words of SQLite, as far as they say exactly the same. What is left is held against each row afterwards.
//! Knows the columns of the table of documents, called `d`; must not know which index is walked.

use rusqlite::types::Value as Bound;
use serde_json::Value;

use crate::query::{Filter, Order, Term, Test};

/// A condition that holds for every document which the filter means.
#[derive(Debug, Clone, PartialEq)]
pub struct Lowered {
    pub sql: String,
    /// For each `?`, in their order.
    pub bound: Vec<Bound>,
    /// And for no other.
    pub exact: bool,
}

/// Fields that are columns.
enum Column {
    Id,
    /// Milliseconds.
    Time(&'static str),
}

pub fn lower(filter: &Filter) -> Lowered {
    match filter {
        Filter::Everything => always(),
        Filter::Field(path, test) => field(path, test).unwrap_or_else(unsaid),
        Filter::And(all) => join(all.iter().map(lower).filter(|one| one.sql != "1" || !one.exact), " AND ", always()),
        Filter::Or(any) => {
            let any: Vec<_> = any.iter().map(lower).collect();
            // Where one of them says nothing, neither do all together.
            if any.iter().any(|one| one.sql == "1") {
                return Lowered { exact: any.iter().any(|one| one.sql == "1" && one.exact), ..unsaid() };
            }
            join(any.into_iter(), " OR ", Lowered { sql: "0".to_owned(), ..always() })
        }
    }
}

fn always() -> Lowered {
    Lowered { sql: "1".to_owned(), bound: Vec::new(), exact: true }
}

fn unsaid() -> Lowered {
    Lowered { exact: false, ..always() }
}

fn said(sql: impl Into<String>, bound: Vec<Bound>) -> Lowered {
    Lowered { sql: sql.into(), bound, exact: true }
}

fn join(parts: impl Iterator<Item = Lowered>, word: &str, none: Lowered) -> Lowered {
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() {
        return none;
    }
    let sql = parts.iter().map(|part| part.sql.as_str()).collect::<Vec<_>>().join(word);
    Lowered {
        sql: format!("({sql})"),
        exact: parts.iter().all(|part| part.exact),
        bound: parts.into_iter().flat_map(|part| part.bound).collect(),
    }
}

fn not(lowered: Option<Lowered>) -> Option<Lowered> {
    lowered.map(|lowered| Lowered { sql: format!("NOT {}", lowered.sql), ..lowered })
}

/// Nothing where SQLite would say it otherwise than the language does.
fn field(path: &str, test: &Test) -> Option<Lowered> {
    match path {
        "_id" => column(&Column::Id, test),
        "createdAt" => column(&Column::Time("d.created_ms"), test),
        "updatedAt" => column(&Column::Time("d.updated_ms"), test),
        name if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') => {
            member(&format!("$.\"{name}\""), test)
        }
        _ => None,
    }
}

fn column(column: &Column, test: &Test) -> Option<Lowered> {
    let one_of = |terms: &[Term]| {
        let bound: Vec<_> = terms.iter().map(|term| column.bound(term)).collect::<Option<_>>()?;
        Some(said(format!("({} IN ({}))", column.name(), marks(bound.len())), bound))
    };
    match test {
        Test::Equals(term) => one_of(std::slice::from_ref(term)),
        Test::Differs(term) => not(one_of(std::slice::from_ref(term))),
        Test::In(terms) => one_of(terms),
        Test::NotIn(terms) => not(one_of(terms)),
        Test::Than(order, term) => {
            Some(said(format!("({} {} ?)", column.name(), operator(*order)), vec![column.bound(term)?]))
        }
        Test::Exists(there) => Some(said(if *there { "1" } else { "0" }, Vec::new())),
        Test::All(_) | Test::Like(_) | Test::Size(_) | Test::Element(_) => None,
    }
}

impl Column {
    fn name(&self) -> &'static str {
        match self {
            Self::Id => "d.id",
            Self::Time(name) => name,
        }
    }

    /// Nothing for what is of another kind than the column.
    fn bound(&self, term: &Term) -> Option<Bound> {
        match (self, term) {
            (Self::Id, Term::Value(Value::String(id))) => Some(Bound::Text(id.clone())),
            (Self::Time(_), Term::Instant(at_ms)) => Some(Bound::Integer(*at_ms)),
            (Self::Id | Self::Time(_), Term::Value(_) | Term::Instant(_)) => None,
        }
    }
}

fn member(path: &str, test: &Test) -> Option<Lowered> {
    let one_of = |terms: &[Term]| {
        let each: Vec<_> = terms.iter().map(|term| equal(path, term)).collect::<Option<_>>()?;
        Some(join(each.into_iter(), " OR ", said("0", Vec::new())))
    };
    match test {
        Test::Equals(term) => equal(path, term),
        Test::Differs(term) => not(equal(path, term)),
        Test::In(terms) => one_of(terms),
        Test::NotIn(terms) => not(one_of(terms)),
        Test::Than(order, Term::Value(Value::String(text))) => Some(text_is(path, operator(*order), text)),
        Test::Exists(there) => {
            let how = if *there { "IS NOT NULL" } else { "IS NULL" };
            Some(said(format!("(json_type(d.body, ?) {how})"), vec![bound(path)]))
        }
        // Numbers are read from their digits, and not by everybody to the same last bit.
        Test::Than(..) | Test::All(_) | Test::Like(_) | Test::Size(_) | Test::Element(_) => None,
    }
}

fn equal(path: &str, term: &Term) -> Option<Lowered> {
    match term {
        Term::Value(Value::String(text)) => Some(text_is(path, "=", text)),
        Term::Value(Value::Bool(truth)) => Some(type_is(path, if *truth { "true" } else { "false" })),
        Term::Value(Value::Null) => {
            let absent = said("(json_type(d.body, ?) IS NULL)", vec![bound(path)]);
            Some(join([absent, type_is(path, "null")].into_iter(), " OR ", always()))
        }
        Term::Value(Value::Number(_) | Value::Array(_) | Value::Object(_)) | Term::Instant(_) => None,
    }
}

/// Never NULL, so that it can be turned round.
fn text_is(path: &str, operator: &str, text: &str) -> Lowered {
    let sql = format!(
        "(CASE json_type(d.body, ?) WHEN 'text' THEN d.body ->> ? {operator} ? WHEN 'array' THEN EXISTS \
         (SELECT 1 FROM json_each(d.body, ?) AS e WHERE e.type = 'text' AND e.atom {operator} ?) ELSE 0 END)"
    );
    said(sql, vec![bound(path), bound(path), bound(text), bound(path), bound(text)])
}

fn type_is(path: &str, kind: &str) -> Lowered {
    let sql = "(CASE json_type(d.body, ?) WHEN ? THEN 1 WHEN 'array' THEN EXISTS \
               (SELECT 1 FROM json_each(d.body, ?) AS e WHERE e.type = ?) ELSE 0 END)";
    said(sql, vec![bound(path), bound(kind), bound(path), bound(kind)])
}

fn operator(order: Order) -> &'static str {
    match order {
        Order::Below => "<",
        Order::AtMost => "<=",
        Order::AtLeast => ">=",
        Order::Above => ">",
    }
}

pub fn bound(text: &str) -> Bound {
    Bound::Text(text.to_owned())
}

pub fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}
