//! Moving many persons from one state to another: an operation made of others, one a person.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{
    Means, State, User, UserId,
    change_state::{change_state_by, is_step, sources},
    rules::{self, Without},
    soft_delete::bury,
    steps::ChooseTargets,
};
use crate::{
    access::{ADMIN, Caller},
    app::App,
    error::{Code, Error},
    query::{Filter, Query},
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
/// `count-differs`; when they are all who may do everything: `last-admin`.
///
/// Who they are is written down before the first of them changes. A process that is killed begins no more of them, and what
/// its request is told is true then too.
pub async fn change_states(app: &App, caller: &Caller, moves: Vec<Move>, expect: Option<u64>) -> Result<Came, Error> {
    if moves.iter().any(|entry| entry.to == State::Deleted) {
        caller.require("users:delete")?;
    }
    let cap = Cap { most: app.config.bulk_cap as u64, expect };
    let Chosen { entries, guarded } = choose(app, caller, &moves, cap).await.map_err(|error| error.doing(DOING))?;
    let of = entries.iter().map(|ids| ids.len() as u64).sum();
    let nobody = Came { changed: 0, of, failed: 0 };
    if of == 0 {
        return Ok(nobody);
    }

    let asked = caller.asks("change-states", DOING, None, Vec::new(), Answer::AtCommit);
    let (means, caller) = (Means::of(app), caller.clone());
    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            let targets = moves.iter().map(|entry| entry.to).zip(entries.clone()).collect();
            saga.step(ChooseTargets { entries: targets }).await?;
            let parts = saga.parts();
            let (mut elsewhere, mut failed) = (0, false);
            for (entry, ids) in moves.into_iter().zip(entries) {
                // Those who may do everything keep each other waiting: one after the other.
                let (last, first): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| guarded.contains(id));
                for (ids, at_once) in [(first, AT_ONCE), (last, 1)] {
                    let mut moved = stream::iter(ids.into_iter().map(|id| {
                        let (means, parts) = (means.clone(), parts.clone());
                        // Whoever is not meant any more stays.
                        let rows = Filter::all([entry.filter.clone(), caller.rows.clone()]);
                        let caller = Caller { rows, operation: Default::default(), key: None, ..caller.clone() };
                        async move { one(&means, &parts, &caller, &id, entry.to).await }
                    }))
                    .buffer_unordered(at_once);
                    while let Some(moved) = moved.next().await {
                        match moved {
                            Ok(()) => {}
                            Err(error) if stood_elsewhere(&error) => elsewhere += 1,
                            Err(_) => failed = true,
                        }
                    }
                }
            }
            // What they were told may not have been the last word: the journal has it.
            let Some(changed) = parts.done(&caller.origin.request_id).await else { return Err(saga.leave()) };
            let failed = if failed { of.saturating_sub(changed + elsewhere) } else { 0 };
            let came = Came { changed, failed, ..nobody };
            if let Err(error) = came.told() {
                saga.remark(error.message().to_owned());
            }
            Ok(came)
        })
        .await
}

/// How many may be meant.
#[derive(Clone, Copy)]
struct Cap {
    most: u64,
    expect: Option<u64>,
}

impl Cap {
    fn allows(self, count: u64) -> Result<(), Error> {
        match self.expect {
            Some(expect) if expect != count => {
                let sentence = format!("{count} users match, not {expect}; nothing has been changed");
                Err(Error::new(Code::CountDiffers, sentence))
            }
            None if count > self.most => {
                let sentence = format!("{count} users match; repeat with expect={count}");
                Err(Error::new(Code::TooManyMatches, sentence))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Whom each entry means.
struct Chosen {
    entries: Vec<Vec<UserId>>,
    /// Who among them may do everything, and would not be able to any more.
    guarded: Vec<UserId>,
}

/// As things stand, and as the entries before will leave them.
async fn choose(app: &App, caller: &Caller, moves: &[Move], cap: Cap) -> Result<Chosen, Error> {
    let query = |filter: &Filter, states: &[State]| {
        Query::everybody_where(Filter::all([filter.clone(), caller.rows.clone()])).in_states(states)
    };
    if let [Move { filter, to }] = moves {
        // Counted first, so that not all of them need to be read to be refused.
        let count = app.systems.store.count(&query(filter, &sources(*to))).await;
        cap.allows(count.map_err(|failure| rules::not_understood(failure.into_error()))?)?;
    }
    let mut moved: HashMap<UserId, State> = HashMap::new();
    let mut people: Vec<User> = Vec::new();
    let mut entries = Vec::new();
    for Move { filter, to } in moves {
        let states = if moved.is_empty() { sources(*to) } else { State::ALL.to_vec() };
        let mut ids = Vec::new();
        let found = app.systems.store.list(&query(filter, &states)).await;
        for user in found.map_err(|failure| rules::not_understood(failure.into_error()))? {
            let state = moved.get(&user.id).copied();
            if is_step(state.unwrap_or(user.state), *to) {
                moved.insert(user.id.clone(), *to);
                ids.push(user.id.clone());
                if state.is_none() {
                    people.push(user);
                }
            }
        }
        entries.push(ids);
    }
    cap.allows(entries.iter().map(|ids| ids.len() as u64).sum())?;
    let mut guarded = Vec::new();
    for user in people {
        let held = rules::not_above(&app.systems, caller, &user).await?;
        if held.holds(ADMIN) && moved.get(&user.id) != Some(&State::Public) {
            guarded.push(user.id);
        }
    }
    if !guarded.is_empty() {
        rules::not_last_admin(&app.systems, Without::Persons(&guarded)).await?;
    }
    Ok(Chosen { entries, guarded })
}

async fn one(means: &Means, parts: &Parts, caller: &Caller, id: &UserId, to: State) -> Result<(), Error> {
    match to {
        State::Deleted => bury(means, parts, caller, id, DOING).await,
        State::Public | State::Draft | State::Trash => change_state_by(means, parts, caller, id, to).await,
    }
}

fn stood_elsewhere(error: &Error) -> bool {
    matches!(error.code(), Code::TransitionNotAllowed | Code::UserNotFound)
}
