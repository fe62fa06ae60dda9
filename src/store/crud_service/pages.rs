//! Lists and counts. A list is read page by page, each small enough to be one batch of the database: only the first row of a
//! later one can fail, and then there is no list.

use reqwest::Method;

use super::{CrudService, FENCE, PAGE, documents, fits};
use crate::{
    outcome::{Failure, Outcome},
    query::{Filter, Order, Query, Test, print},
    remote::Call,
    store::Collection,
    users::{State, User},
};

pub(super) async fn list(store: &CrudService, query: &Query) -> Outcome<Vec<User>> {
    let mut found: Vec<User> = Vec::new();
    // Behind the first page it is but a little longer.
    fits(&next(store, query, &found, PAGE)).map_err(Failure::not_done)?;
    let wanted = query.limit.unwrap_or(u32::MAX);
    loop {
        let left = wanted - u32::try_from(found.len()).unwrap_or(wanted);
        let page = left.min(PAGE);
        if page == 0 {
            return Ok(found);
        }
        let users = documents(&store.remote.send(next(store, query, &found, page)).await?)?;
        let last = users.len() < page as usize;
        found.extend(users);
        if last {
            return Ok(found);
        }
    }
}

pub(super) async fn count(store: &CrudService, query: &Query) -> Outcome<u64> {
    let call = meant(store, store.call(Method::GET, "count", &[]), query, Filter::Everything);
    fits(&call).map_err(Failure::not_done)?;
    Ok(store.remote.send(call).await?.json()?)
}

/// The page after those which were found. By `_id` it begins behind the last one, so that nobody is left out or comes twice
/// where others are stored or removed meanwhile; in any other order so many are passed over.
fn next(store: &CrudService, query: &Query, found: &[User], page: u32) -> Call {
    let (behind, skip) = match found.last() {
        Some(last) if query.sort.is_empty() => {
            let above = Test::Than(Order::Above, last.id.as_str().into());
            (Filter::Field("_id".to_owned(), above), 0)
        }
        Some(_) | None => (Filter::Everything, query.skip + found.len() as u64),
    };
    let call = meant(store, store.call(Method::GET, "", &[]), query, behind)
        .query("_s", print::sort(&query.sort))
        .query("_l", page.to_string());
    if skip == 0 { call } else { call.query("_sk", skip.to_string()) }
}

/// The call with what the query means, and never a fence.
fn meant(store: &CrudService, call: Call, query: &Query, further: Filter) -> Call {
    let filter = Filter::all([query.filter.clone(), further, no_fence(store.of)]);
    let states: Vec<_> = query.states.iter().copied().map(State::as_str).collect();
    call.query("_q", filter.print().to_string()).query("_st", states.join(","))
}

/// Everybody but those who stand there for nobody.
pub(super) fn no_fence(of: Collection) -> Filter {
    let marker = of.marker();
    if !of.unique().contains(&marker) {
        return Filter::differs(marker, FENCE);
    }
    // Each has a name of its own, which begins alike.
    let than = |order, bound: String| Filter::Field(marker.to_owned(), Test::Than(order, bound.into()));
    Filter::Or(vec![
        Filter::equals(marker, serde_json::Value::Null),
        than(Order::Below, format!("{FENCE}-")),
        than(Order::Above, format!("{FENCE}.")),
    ])
}
