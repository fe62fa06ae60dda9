//! Documents by a query: which index is walked, what SQLite decides, what is decided afterwards. Knows the tables; what a
//! filter means is told by the query language.

use rusqlite::{Connection, params_from_iter, types::Value as Bound};
use serde_json::{Map, Value};

use super::{
    document,
    lower::{Lowered, bound, lower, marks},
    values,
};
use crate::{
    query::{Filter, Key, Query, State, Term, Test, sort_key},
    state::Collection,
};

type Whole = Map<String, Value>;

/// Variables of one statement; SQLite takes 32,766.
const MOST_BOUND: usize = 30_000;
/// Ids that are looked up one by one before the statement.
const MOST_IDS: usize = 400;

pub fn list(connection: &Connection, of: &Collection, query: &Query) -> rusqlite::Result<Vec<Whole>> {
    let skip = usize::try_from(query.skip).unwrap_or(usize::MAX);
    let limit = query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let end = skip.saturating_add(limit);
    if query.sort.is_empty() {
        let mut found = Vec::new();
        let mut met = 0;
        walk(connection, of, query, |whole| {
            if met >= skip {
                found.push(whole);
            }
            met += 1;
            met < end
        })?;
        return Ok(found);
    }
    // No more is kept than can still be asked for.
    let mut found: Vec<(Key, Whole)> = Vec::new();
    // Stable: what came by `_id` stays so between equals.
    let sort = |found: &mut Vec<(Key, Whole)>| found.sort_by(|one, other| one.0.cmp(&other.0));
    let enough = end.saturating_mul(2).saturating_add(1_000);
    walk(connection, of, query, |whole| {
        found.push((sort_key(&whole, &query.sort), whole));
        if found.len() > enough {
            sort(&mut found);
            found.truncate(end);
        }
        true
    })?;
    sort(&mut found);
    Ok(found.into_iter().skip(skip).take(limit).map(|(_, whole)| whole).collect())
}

pub fn count(connection: &Connection, of: &Collection, query: &Query) -> rusqlite::Result<u64> {
    let plan = plan(connection, of, query)?;
    if plan.condition.exact {
        let sql = format!("SELECT count(*) FROM {}", plan.source());
        let count: i64 =
            connection.prepare_cached(&sql)?.query_row(params_from_iter(plan.bound()), |row| row.get(0))?;
        return Ok(u64::try_from(count).unwrap_or_default());
    }
    let mut count = 0;
    walk(connection, of, query, |_| {
        count += 1;
        true
    })?;
    Ok(count)
}

/// Those that are meant, by `_id`, as long as `meet` wants more.
fn walk(
    connection: &Connection,
    of: &Collection,
    query: &Query,
    mut meet: impl FnMut(Whole) -> bool,
) -> rusqlite::Result<()> {
    let plan = plan(connection, of, query)?;
    let order = plan.from.order();
    let sql = format!("SELECT d.id, d.body, d.created_ms, d.updated_ms FROM {} ORDER BY {order}", plan.source());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(plan.bound()))?;
    while let Some(row) = rows.next()? {
        let whole = document(row)?.whole();
        if (plan.condition.exact || query.filter.matches(&whole)) && !meet(whole) {
            break;
        }
    }
    Ok(())
}

/// A statement without its beginning and its end.
struct Plan {
    from: From,
    condition: Lowered,
}

enum From {
    /// All documents of the collection.
    Documents { collection: &'static str },
    /// Those with that value; the index is in the order of the ids.
    Index { collection: &'static str, field: String, value: String },
}

impl From {
    /// Which is an order that the rows come in already.
    fn order(&self) -> &'static str {
        match self {
            Self::Documents { .. } => "d.id",
            Self::Index { .. } => "i.id",
        }
    }
}

impl Plan {
    fn source(&self) -> String {
        let from = match self.from {
            From::Documents { .. } => "document AS d WHERE d.collection = ?",
            // The order of the two is the one that is meant.
            From::Index { .. } => {
                "indexed_value AS i CROSS JOIN document AS d ON d.collection = i.collection AND d.id = i.id \
                 WHERE i.collection = ? AND i.field = ? AND i.value = ?"
            }
        };
        format!("{from} AND {}", self.condition.sql)
    }

    fn bound(&self) -> Vec<Bound> {
        let mut all = match &self.from {
            From::Documents { collection } => vec![bound(collection)],
            From::Index { collection, field, value } => vec![bound(collection), bound(field), bound(value)],
        };
        all.extend(self.condition.bound.iter().cloned());
        all
    }
}

/// Of all conditions that must hold, the one that an index knows becomes the way; a unique value is looked up at once.
fn plan(connection: &Connection, of: &Collection, query: &Query) -> rusqlite::Result<Plan> {
    let mut from = From::Documents { collection: of.name };
    let mut conditions = vec![states(&query.states)];
    for (path, values) in equalities(&query.filter) {
        let space = values::space_of(of, path).filter(|_| values.len() <= MOST_IDS);
        let is_indexed = of.indexed.iter().any(|field| field == path);
        if let (true, [value]) = (is_indexed, values.as_slice()) {
            let (field, value) = (path.to_owned(), (*value).to_owned());
            from = From::Index { collection: of.name, field, value };
        } else if is_indexed || space.is_some() {
            // Also what is no longer unique stands in the index.
            let marks = marks(values.len());
            let mut sql = format!(
                "d.id IN (SELECT id FROM indexed_value WHERE collection = ? AND field = ? AND value IN ({marks})"
            );
            let texts = values.iter().map(|value| bound(value));
            let mut bound: Vec<_> = [bound(of.name), bound(path)].into_iter().chain(texts).collect();
            for value in space.iter().flat_map(|_| &values) {
                let space = space.as_deref().unwrap_or_default();
                if let Some(id) = values::holder(connection, of.name, space, value)? {
                    sql.push_str(" UNION ALL VALUES (?)");
                    bound.push(Bound::Text(id));
                }
            }
            sql.push(')');
            conditions.push(Lowered { sql, bound, exact: true });
        }
    }
    let said = lower(&query.filter);
    if said.bound.len() <= MOST_BOUND / 2 {
        conditions.push(said);
    } else {
        conditions.push(Lowered { exact: false, sql: "1".to_owned(), bound: Vec::new() });
    }
    let sql = conditions.iter().map(|one| one.sql.as_str()).collect::<Vec<_>>().join(" AND ");
    let exact = conditions.iter().all(|one| one.exact);
    Ok(Plan {
        from,
        condition: Lowered { sql, exact, bound: conditions.into_iter().flat_map(|one| one.bound).collect() },
    })
}

fn states(states: &[State]) -> Lowered {
    let bound = states.iter().map(|state| bound(state.as_str())).collect();
    Lowered { sql: format!("d.body ->> '$.__STATE__' IN ({})", marks(states.len())), bound, exact: true }
}

/// The fields that must have one of these texts.
fn equalities(filter: &Filter) -> Vec<(&str, Vec<&str>)> {
    match filter {
        Filter::Field(path, Test::Equals(term)) => {
            texts(std::slice::from_ref(term)).map(|texts| (path.as_str(), texts))
        }
        Filter::Field(path, Test::In(terms)) => texts(terms).map(|texts| (path.as_str(), texts)),
        Filter::And(all) => return all.iter().flat_map(equalities).collect(),
        Filter::Everything | Filter::Or(_) | Filter::Field(..) => None,
    }
    .into_iter()
    .collect()
}

fn texts(terms: &[Term]) -> Option<Vec<&str>> {
    let text = |term| match term {
        &Term::Value(Value::String(ref text)) => Some(text.as_str()),
        Term::Value(_) | Term::Instant(_) => None,
    };
    terms.iter().map(text).collect()
}
