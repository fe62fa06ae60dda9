//! Reads of users: many, their number, one.

use super::{State, User, UserId};
use crate::{
    access::Caller,
    app::App,
    error::{self, Error},
    query::{Filter, Query},
};

/// Those whom the query means, as far as the caller may see them.
pub async fn list(app: &App, caller: &Caller, query: Query) -> Result<Vec<User>, Error> {
    let found = app.systems.store.list(&seen_by(caller, query)).await;
    found.map_err(|failure| failure.into_error().doing("listing users"))
}

/// How many they are, whatever the limit.
pub async fn count(app: &App, caller: &Caller, query: Query) -> Result<u64, Error> {
    let found = app.systems.store.count(&seen_by(caller, query)).await;
    found.map_err(|failure| failure.into_error().doing("counting users"))
}

/// One user who is PUBLIC, inside the caller's row filter.
pub async fn get(app: &App, caller: &Caller, id: &UserId) -> Result<User, Error> {
    get_if(app, caller, id, Query::everybody().in_states(&[State::Public])).await
}

/// One user, where the query means him too.
pub async fn get_if(app: &App, caller: &Caller, id: &UserId, query: Query) -> Result<User, Error> {
    let Query { filter, states, .. } = seen_by(caller, query);
    let found = app.systems.store.get(id, &filter).await;
    let found = found.map_err(|failure| failure.into_error().doing("reading user"))?;
    found.filter(|user| states.contains(&user.state)).ok_or_else(error::user_not_found)
}

fn seen_by(caller: &Caller, query: Query) -> Query {
    Query { filter: Filter::all([query.filter, caller.rows.clone()]), ..query }
}
