//! Blocking a person when his `expirationDate` has come, and watching for that.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};

use super::{
    Change, UserId,
    steps::{ChangeIdentity, MoveTimer, PatchUser},
};
use crate::{
    access::Caller,
    app::App,
    clock,
    error::Error,
    query::{Filter, Query},
    saga::{Answer, Saga},
    state::Timer,
};

/// How often we look who is due, beside the times that are known beforehand: a date that is set to be nearer comes so late.
const LOOK_EVERY_MS: i64 = 10_000;
/// So many at once, and so many read at a time.
const AT_ONCE: usize = 8;
const MOST: usize = 256;
/// Before somebody who could not be blocked is tried again; doubled each time.
const SHORTEST_PAUSE_MS: i64 = 5_000;
const LONGEST_PAUSE_MS: i64 = 300_000;

/// Either user and identity are blocked and the timer is gone, or all of it is as before and the timer stays.
///
/// Looks at what the person's date is now: a timer that was overtaken is moved or goes. Where the user is gone although
/// nobody told us, the identity that he had is blocked all the same.
pub async fn expire(app: &App, id: &UserId) -> Result<(), Error> {
    let caller = Caller::inside("expiry", "system", app.clock.uuid().to_string());
    let names = vec![format!("user:{id}")];
    let asked = caller.asks("expire-user", "expiring user", Some(id), names, Answer::AtCommit);
    let (id, by, people) = (id.clone(), caller.origin.actor, app.people.clone());

    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            // Read now that nobody else may touch him.
            let Some(timer) = saga.view().timer(&id).await? else { return Ok(()) };
            let user = saga.view().user(&id, &Filter::Everything).await?;
            let due_ms = user.as_ref().and_then(|user| user.text("expirationDate")).and_then(clock::parse_rfc3339);
            let identity = match &user {
                Some(user) => user.auth_user_id().map(str::to_owned),
                None => timer.identity.clone(),
            };
            let after = due_ms.filter(|due_ms| *due_ms > saga.view().now_ms());
            let over = after.is_none() && (due_ms.is_some() || user.is_none());

            if let Some(user) = user.filter(|user| over && !user.blocked()) {
                let set = Map::from_iter([("blocked".to_owned(), Value::Bool(true))]);
                saga.step(PatchUser::new(&user, Change { set, unset: Vec::new() }, &by)).await?;
            }
            if let Some(identity) = &identity {
                people.forget(identity);
            }
            if let Some(identity) = identity.clone().filter(|_| over)
                && let Some(from) = saga.view().account(&identity).await?.filter(|account| account.enabled)
            {
                saga.step(ChangeIdentity::enabling(identity, from, false, saga.operation())).await?;
            }
            let after = after.map(|due_ms| Timer { due_ms, identity });
            saga.step(MoveTimer { user: id, before: Some(timer), after }).await
        })
        .await
}

/// Blocks whoever is due, overdue ones first, as long as the app lives.
pub fn watch(app: &Arc<App>) {
    if !app.systems.expiry {
        let app = Arc::clone(app);
        tokio::spawn(async move {
            match dated(&app).await {
                Ok(count) => {
                    tracing::warn!(count, "EXPIRY=timer-service: nobody is blocked when his date comes; users have one")
                }
                Err(error) => tracing::warn!(
                    error = error.message(),
                    "EXPIRY=timer-service: nobody is blocked when his date comes; how many users have one cannot be read"
                ),
            }
        });
        return;
    }
    let (weak, clock) = (Arc::downgrade(app), app.clock.clone());
    tokio::spawn(async move {
        let mut waiting = Waiting::default();
        loop {
            let pause_ms = match weak.upgrade() {
                Some(app) if !app.draining() => waiting.look(&app).await,
                Some(_) | None => return,
            };
            clock.pause(Duration::from_millis(pause_ms.unsigned_abs())).await;
        }
    });
}

/// How many users have a date.
pub async fn dated(app: &App) -> Result<u64, Error> {
    let dated = Query::everybody_where(Filter::differs("expirationDate", Value::Null));
    Ok(app.systems.store.count(&dated).await?)
}

/// Those who could not be blocked: when they are tried again, and how long they wait then.
#[derive(Default)]
struct Waiting(HashMap<String, (i64, i64)>);

impl Waiting {
    /// How long until somebody is due.
    async fn look(&mut self, app: &App) -> i64 {
        self.block(app).await;
        let now_ms = app.clock.now_ms();
        let next = app.systems.timers.next(now_ms).await.ok().flatten();
        next.map_or(LOOK_EVERY_MS, |next_ms| (next_ms - now_ms).min(LOOK_EVERY_MS))
    }

    async fn block(&mut self, app: &App) {
        let now_ms = app.clock.now_ms();
        let except = self.0.iter().filter(|(_, (until_ms, _))| *until_ms > now_ms).map(|(user, _)| user.clone());
        let due = match app.systems.timers.due(now_ms, except.collect(), MOST).await {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, "whose time is up cannot be read");
                return;
            }
        };
        let tried = stream::iter(due).map(async |user| {
            let Some(id) = UserId::parse(&user) else { return (user, Ok(())) };
            let told = expire(app, &id).await;
            (user, told)
        });
        let tried: Vec<(String, Result<(), Error>)> = tried.buffer_unordered(AT_ONCE).collect().await;
        for (user, told) in tried {
            match told {
                Ok(()) => {
                    self.0.remove(&user);
                }
                Err(error) => {
                    let (_, pause_ms) = self.0.get(&user).copied().unwrap_or((0, SHORTEST_PAUSE_MS));
                    tracing::warn!(subject = %user, error = error.message(), "somebody whose time is up could not be blocked; it is tried again");
                    let again = (app.clock.now_ms() + pause_ms, (pause_ms * 2).min(LONGEST_PAUSE_MS));
                    self.0.insert(user, again);
                }
            }
        }
    }
}
