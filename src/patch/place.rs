//! Which element of a list a filter means: what `list.$` leads to (MongoDB's positional operator).

use serde_json::{Map, Value};

use crate::query::{Filter, Test};

/// The first element of that list for which everything holds that the filter says of the list.
pub fn of(meant: &Filter, path: &[String], document: &Map<String, Value>) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let list = rest.iter().try_fold(document.get(first)?, |value, name| value.get(name))?;
    let said = about(meant, &path.join("."))?;
    list.as_array()?.iter().position(|item| said.matches(&with(path, Value::Array(vec![item.clone()]))))
}

/// What the filter says of that list and of what lies in it; nothing where it says nothing.
fn about(meant: &Filter, list: &str) -> Option<Filter> {
    let all = |filters: &[Filter]| filters.iter().filter_map(|filter| about(filter, list)).collect::<Vec<_>>();
    match meant {
        Filter::Everything => None,
        // What is said of what is not there means no element.
        Filter::Field(_, Test::Differs(_) | Test::NotIn(_) | Test::Exists(false) | Test::Size(_)) => None,
        Filter::Field(path, _) => {
            let inside = path.strip_prefix(list).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            inside.then(|| meant.clone())
        }
        Filter::And(filters) => Some(all(filters)).filter(|said| !said.is_empty()).map(Filter::And),
        Filter::Or(filters) => Some(all(filters)).filter(|said| !said.is_empty()).map(Filter::Or),
    }
}

/// A document in which nothing stands but that.
fn with(path: &[String], value: Value) -> Map<String, Value> {
    let Some((first, rest)) = path.split_first() else { return Map::new() };
    let value = if rest.is_empty() { value } else { Value::Object(with(rest, value)) };
    Map::from_iter([(first.clone(), value)])
}
