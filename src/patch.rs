//! The language of changes: commands over the members of a document, as MongoDB has them. Pure: parsed, then evaluated over
//! the document as it was read; what comes out are absolute values, which may be written twice. Knows no store and no group:
//! whether the document may look so afterwards is for its schema to say.

mod evaluate;
mod parse;
mod place;

use serde_json::{Map, Number, Value};

use crate::{
    error::Error,
    query::{Filter, Sort},
    users::Change,
};

/// What is asked to be changed. Each path occurs once and none lies below another, so the order is without meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch(Vec<Command>);

#[derive(Debug, Clone, PartialEq)]
struct Command {
    /// For the error's pointer: `$set`.
    name: &'static str,
    path: Path,
    what: What,
}

/// `a.b.0.c`: members, and places in lists of objects.
#[derive(Debug, Clone, PartialEq)]
struct Path(Vec<String>);

#[derive(Debug, Clone, PartialEq)]
enum What {
    Set(Value),
    Unset,
    Inc(Number),
    Mul(Number),
    /// To the time of the change.
    CurrentDate,
    Push(Push),
    /// Items that are not in the list yet.
    AddToSet(Vec<Value>),
    /// Every item that is one of these.
    Pull(Vec<Value>),
    /// `list.$.replace`, `list.$.merge`: the element that the request's filter means.
    Element(Element),
}

/// What becomes of an element.
#[derive(Debug, Clone, PartialEq)]
enum Element {
    Replace(Value),
    /// These members are put into it.
    Merge(Map<String, Value>),
}

/// Items to be put into a list, and what becomes of the list then: sorted first, then cut.
#[derive(Debug, Clone, PartialEq, Default)]
struct Push {
    items: Vec<Value>,
    /// From the end where it is negative; at the end where nothing is said.
    position: Option<i64>,
    /// The first so many, the last where it is negative.
    slice: Option<i64>,
    order: Option<Order>,
}

/// How a list is sorted.
#[derive(Debug, Clone, PartialEq)]
enum Order {
    /// Whether downwards.
    Values(bool),
    Member(Sort),
}

impl Patch {
    /// `{"$set": {…}, "$inc": {…}, …}`. `invalid-patch` with the pointer of what is not understood.
    pub fn parse(body: &Map<String, Value>) -> Result<Self, Error> {
        parse::parse(body)
    }

    /// The members of the document that it names, whether they change or not.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|command| command.path.0[0].as_str())
    }

    /// The members that become a date, whatever else they are.
    pub fn dated(&self) -> impl Iterator<Item = &str> {
        let dated = self.0.iter().filter(|command| command.what == What::CurrentDate);
        dated.map(|command| command.path.0[0].as_str())
    }

    /// What has to be written so that the document becomes what was asked for: whole members, each with its value afterwards.
    /// `meant` is what was said of the document: `list.$` is the element that it means.
    ///
    /// `invalid-patch` where a command does not fit what stands there: a number added to a text, a path across a value.
    pub fn change(&self, document: &Map<String, Value>, meant: &Filter, now_ms: i64) -> Result<Change, Error> {
        let mut after = document.clone();
        for command in &self.0 {
            evaluate::apply(command, &mut after, meant, now_ms)?;
        }
        let mut change = Change::default();
        for member in self.members() {
            match after.get(member) {
                Some(value) if document.get(member) != Some(value) => {
                    change.set.insert(member.to_owned(), value.clone());
                }
                None if document.contains_key(member) => change.unset.push(member.to_owned()),
                Some(_) | None => {}
            }
        }
        change.unset.sort();
        change.unset.dedup();
        Ok(change)
    }
}

#[cfg(test)]
mod tests;
