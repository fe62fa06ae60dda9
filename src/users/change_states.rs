//! Moving many persons from one state to another: an operation made of others, one a person.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{
    Means, State, UserId,
    change_state::{change_state_by, is_step, sources},
    rules,
    soft_delete::bury,
    steps::ChooseTargets,
};
use crate::{
    access::Caller,
    app::App,
    error::{Code, Error},
    query::{Filter, Query, parse::invalid_query},
    saga::{Answer, Parts, Saga},
};

/// So many persons at once.
const AT_ONCE: usize = 8;
const DOING: &str = "changing state";

/// Whoever is meant is to go there.
#[derive(Debug, Clone)]
pub struct Move {
    pub filter: Filter,
    pub to: State,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Came {
    pub changed: u64,
    /// Who were meant.
    pub of: u64,
    /// Not those who stood elsewhere by then.
    pub failed: u64,
}

impl Came {
    /// How many changed; `partly-changed` where it failed for some.
    pub fn told(self) -> Result<u64, Error> {
        let Self { changed, of, failed } = self;
        match failed {
            0 => Ok(changed),
            _ => Err(Error::new(Code::PartlyChanged, format!("{changed} of {of} users changed"))),
        }
    }
}

/// Everybody who is meant, and from whose state one step leads there, stands there or as before, by an operation of his own;
/// one entry after the other, so that somebody may be moved twice. Whoever stands elsewhere by then does not count.
///
/// To DELETED is [`super::soft_delete()`], and needs what that needs. Nothing is begun when one of them is above the caller;
/// when they are more than `BULK_CAP` and `expect` does not say so: `too-many-matches`; when `expect` says otherwise:
/// `count-differs`.
///
/// Who they are is written down before the first of them changes. A process that is killed begins no more of them, and what
/// its request is told is true then too.
pub async fn change_states(app: &App, caller: &Caller, moves: Vec<Move>, expect: Option<u64>) -> Result<Came, Error> {
    if moves.iter().any(|entry| entry.to == State::Deleted) {
        caller.require("users:delete")?;
    }
    let chosen = choose(app, caller, &moves).await.map_err(|error| error.doing(DOING))?;
    let of = chosen.iter().map(|ids| ids.len() as u64).sum();
    match expect {
        Some(expect) if expect != of => {
            let sentence = format!("{of} users match, not {expect}; nothing has been changed");
            return Err(Error::new(Code::CountDiffers, sentence));
        }
        None if of > app.config.bulk_cap as u64 => {
            return Err(Error::new(Code::TooManyMatches, format!("{of} users match; repeat with expect={of}")));
        }
        Some(_) | None => {}
    }
    let nobody = Came { changed: 0, of, failed: 0 };
    if of == 0 {
        return Ok(nobody);
    }

    let asked = caller.asks("change-states", DOING, None, Vec::new(), Answer::AtCommit);
    let (means, caller) = (Means::of(app), caller.clone());
    let entries = moves.iter().map(|entry| entry.to).zip(chosen.clone()).collect();
    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            saga.step(ChooseTargets { entries }).await?;
            let parts = saga.parts();
            let mut came = nobody;
            for (entry, ids) in moves.into_iter().zip(chosen) {
                let mut moved = stream::iter(ids.into_iter().map(|id| {
                    let (means, parts) = (means.clone(), parts.clone());
                    // Whoever is not meant any more stays.
                    let rows = Filter::all([entry.filter.clone(), caller.rows.clone()]);
                    let caller = Caller { rows, operation: Default::default(), key: None, ..caller.clone() };
                    async move { one(&means, &parts, &caller, &id, entry.to).await }
                }))
                .buffer_unordered(AT_ONCE);
                while let Some(moved) = moved.next().await {
                    match moved {
                        Ok(()) => came.changed += 1,
                        Err(error) if stood_elsewhere(&error) => {}
                        Err(_) => came.failed += 1,
                    }
                }
            }
            if let Err(error) = came.told() {
                saga.remark(error.message().to_owned());
            }
            Ok(came)
        })
        .await
}

/// Whom each entry means, as things stand and as the entries before it will leave them.
async fn choose(app: &App, caller: &Caller, moves: &[Move]) -> Result<Vec<Vec<UserId>>, Error> {
    let mut moved: HashMap<UserId, State> = HashMap::new();
    let mut judged: HashSet<UserId> = HashSet::new();
    let mut chosen = Vec::new();
    for Move { filter, to } in moves {
        let filter = Filter::all([filter.clone(), caller.rows.clone()]);
        let states = if moved.is_empty() { sources(*to) } else { State::ALL.to_vec() };
        let mut ids = Vec::new();
        let found = app.systems.store.list(&Query::everybody_where(filter).in_states(&states)).await;
        for user in found.map_err(|failure| not_understood(failure.into_error()))? {
            if !is_step(moved.get(&user.id).copied().unwrap_or(user.state), *to) {
                continue;
            }
            if judged.insert(user.id.clone()) {
                rules::not_above(&app.systems, caller, &user).await?;
            }
            moved.insert(user.id.clone(), *to);
            ids.push(user.id);
        }
        chosen.push(ids);
    }
    Ok(chosen)
}

/// A store that speaks the query language judges the filter itself.
fn not_understood(error: Error) -> Error {
    match error.upstream_status() {
        Some(400) => invalid_query("the store does not understand the filter"),
        Some(_) | None => error,
    }
}

async fn one(means: &Means, parts: &Parts, caller: &Caller, id: &UserId, to: State) -> Result<(), Error> {
    let told = match to {
        State::Deleted => bury(means, parts, caller, id, DOING).await,
        State::Public | State::Draft | State::Trash => change_state_by(means, parts, caller, id, to).await,
    };
    let Err(error) = &told else { return told };
    // By now it is settled.
    match caller.operation.get() {
        Some(operation) if matches!(error.code(), Code::OutcomePending | Code::Resumable) => {
            if parts.is_done(operation).await? { Ok(()) } else { told }
        }
        Some(_) | None => told,
    }
}

fn stood_elsewhere(error: &Error) -> bool {
    matches!(error.code(), Code::TransitionNotAllowed | Code::UserNotFound)
}
