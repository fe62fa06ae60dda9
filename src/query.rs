//! The language of filters: one pure syntax tree, evaluated in memory (the reference semantics, which are MongoDB's) and
//! printed for a remote store. Knows no store.

pub mod compare;
mod evaluate;
mod fields;
pub mod parse;
mod pattern;
pub mod print;
mod projection;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use compare::{Key, sort_key};
pub use fields::{Fields, Kind, Members};
pub use pattern::Pattern;
pub use projection::Projection;

/// Which documents, in which order, from where to where.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub filter: Filter,
    /// Only documents in one of these states.
    pub states: Vec<State>,
    /// The most important key first. `_id` decides between equals, and alone where nothing is asked.
    pub sort: Vec<Sort>,
    pub limit: Option<u32>,
    pub skip: u64,
}

impl Query {
    /// All of them, in every state.
    pub fn everybody() -> Self {
        Self::everybody_where(Filter::Everything)
    }

    /// In every state.
    pub fn everybody_where(filter: Filter) -> Self {
        Self { filter, states: State::ALL.to_vec(), sort: Vec::new(), limit: None, skip: 0 }
    }

    pub fn in_states(mut self, states: &[State]) -> Self {
        self.states = states.to_vec();
        self
    }

    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// `__STATE__` of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    Public,
    Draft,
    Trash,
    Deleted,
}

impl State {
    pub const ALL: [Self; 4] = [Self::Public, Self::Draft, Self::Trash, Self::Deleted];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "PUBLIC",
            Self::Draft => "DRAFT",
            Self::Trash => "TRASH",
            Self::Deleted => "DELETED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// With dots for what lies deeper.
    pub path: String,
    pub down: bool,
    /// Its values are points in time, whatever they are written like.
    pub dated: bool,
}

/// Which documents are meant.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Filter {
    #[default]
    Everything,
    /// Something about what is found under that path. Dots lead into objects, through arrays of them, and to the nth element
    /// of an array.
    Field(String, Test),
    And(Vec<Filter>),
    Or(Vec<Filter>),
}

/// Something about the values of a field. An array is asked for each of its elements and for itself; what is absent counts
/// as null.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    Equals(Term),
    /// No value there is equal to it.
    Differs(Term),
    /// Equal to one of these.
    In(Vec<Term>),
    NotIn(Vec<Term>),
    /// Of the same kind (number, text, boolean, point in time) and ordered so.
    Than(Order, Term),
    /// Each of these is equal to something there; never, where these are none.
    All(Vec<Term>),
    Exists(bool),
    /// A text that the expression finds something in.
    Like(Pattern),
    /// An array of that length.
    Size(u64),
    /// An array with an element for which all of this holds.
    Element(Element),
}

/// What something is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    Value(Value),
    /// Milliseconds since 1970; what is compared with it is read as a point in time, however it is written.
    Instant(i64),
}

impl<V: Into<Value>> From<V> for Term {
    fn from(value: V) -> Self {
        Self::Value(value.into())
    }
}

/// What must hold for one and the same element of an array.
#[derive(Debug, Clone, PartialEq)]
pub enum Element {
    Value(Vec<Test>),
    Object(Box<Filter>),
}

/// How what is found stands to what is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Below,
    AtMost,
    AtLeast,
    Above,
}

impl Order {
    pub fn holds(self, found: std::cmp::Ordering) -> bool {
        match self {
            Self::Below => found.is_lt(),
            Self::AtMost => found.is_le(),
            Self::AtLeast => found.is_ge(),
            Self::Above => found.is_gt(),
        }
    }
}

impl Filter {
    /// Also holds when the field is an array that has the value as an element.
    pub fn equals(path: impl Into<String>, value: impl Into<Term>) -> Self {
        Self::Field(path.into(), Test::Equals(value.into()))
    }

    pub fn differs(path: impl Into<String>, value: impl Into<Term>) -> Self {
        Self::Field(path.into(), Test::Differs(value.into()))
    }

    /// Equal to one of these.
    pub fn one_of<V: Into<Term>>(path: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self::Field(path.into(), Test::In(values.into_iter().map(Into::into).collect()))
    }

    /// All of these at once, without a needless layer.
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Self {
        let mut all: Vec<_> = filters.into_iter().filter(|filter| *filter != Self::Everything).collect();
        if all.len() > 1 { Self::And(all) } else { all.pop().unwrap_or_default() }
    }
}
