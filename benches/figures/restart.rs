//! A start after a life that ended in the middle of many operations: how long until all are settled, and with how many
//! calls.

use std::{path::Path, sync::Arc, time::Instant};

use rusqlite::Connection;
use serde_json::json;
use tokio::task::JoinSet;
use user_manager::{
    access::Caller,
    app::{App, Stores, open_stores},
    clock::Clock,
    config::{self, Config},
    groups::built_in,
    identity::{self, Identity},
    mail::Outbox,
    metrics::Metrics,
    roles::Roles,
    state::{
        Keys,
        sqlite::{Sqlite, journal::SqliteJournal},
    },
    systems::Systems,
    users::{self, UserId, create::Draft, rules::Precondition},
};

use crate::{
    Size,
    creates::somebody,
    mortal::Mortal,
    over_twins::Elsewhere,
    runtime, say,
    table::{Rounds, Table, Wanted},
};

const ROUNDS: usize = 3;
/// How long an unanswered call to the provider may land: nothing is settled before.
const LATE: [(&str, &str); 2] = [("CALL_TIMEOUT", "1s"), ("AUTH_LATE_WINDOW", "2s")];

pub fn measure(directory: &Path, size: Size, table: &mut Table) {
    for remote in [false, true] {
        let [mut ready, mut settled, mut left, mut calls] = [(); 4].map(|()| Rounds::default());
        for _ in 0..ROUNDS.min(size.rounds) {
            let restart = restart(directory, size, remote);
            say(&format!("  ready {:.3} s, settled {:.2} s, {} calls", restart.ready, restart.settled, restart.calls));
            ready.push(restart.ready);
            settled.push(restart.settled);
            left.push(restart.left as f64);
            calls.push(restart.calls as f64);
        }
        let over = if remote { "crud-service and Keycloak" } else { "our own state" };
        let seconds = |value| format!("{value:.2} s");
        let number = |value| format!("{value:.0}");
        let killed = size.killed;
        table.figure(
            &format!("start after {killed} killed operations over {over}: left unsettled"),
            Wanted::AtMost(0.0),
            &left,
            number,
        );
        table.stated("the same: until requests are answered", ready.told(seconds));
        let note = if remote { ", 2 s of them the window for late calls" } else { "" };
        table.stated("the same: until all are settled", format!("{}{note}", settled.told(seconds)));
        if remote {
            table.stated("the same: calls", calls.told(number));
        }
    }
}

struct Restart {
    /// Seconds.
    ready: f64,
    settled: f64,
    left: u64,
    calls: usize,
}

fn restart(directory: &Path, size: Size, remote: bool) -> Restart {
    let place = tempfile::tempdir_in(directory).unwrap();
    let elsewhere = remote.then(Elsewhere::start);
    let config = match &elsewhere {
        Some(elsewhere) => elsewhere.config(place.path(), &LATE).config,
        None => Config::resolve([("DATA_DIR".to_owned(), place.path().display().to_string())]).unwrap().config,
    };
    first_life(&config, size);

    let life = runtime();
    let before = elsewhere.as_ref().map_or(0, Elsewhere::calls);
    let began = Instant::now();
    let (app, ready, settled, left) = life.block_on(async {
        let app = App::open(config, Clock::system()).await.unwrap();
        let ready = began.elapsed().as_secs_f64();
        app.sagas.idle().await;
        let settled = began.elapsed().as_secs_f64();
        let left = app.journal.unsettled().await.unwrap();
        (app, ready, settled, left)
    });
    let (users, identities) = match &elsewhere {
        Some(elsewhere) => {
            let crud = elsewhere.crud.world();
            let fences = crud.rows.values().filter(|row| row["__STATE__"] == "DELETED").count();
            (crud.rows.len() - fences, elsewhere.keycloak.world().people.len())
        }
        None => (documents(&app, "users"), documents(&app, "identities")),
    };
    assert_eq!(users, identities, "everybody is there on both sides or on none");
    drop(app);
    let calls = elsewhere.as_ref().map_or(0, Elsewhere::calls) - before;
    Restart { ready, settled, left, calls }
}

fn documents(app: &App, collection: &str) -> usize {
    let db = Connection::open(&app.config.state_file).unwrap();
    db.query_row("SELECT count(*) FROM document WHERE collection = ?1", [collection], |row| row.get::<_, u32>(0))
        .unwrap() as usize
}

/// People are made, and then, a third each: further ones, changes of an e-mail, deletions, none of which ends.
fn first_life(config: &Arc<Config>, size: Size) {
    let life = runtime();
    life.block_on(async {
        let state = Sqlite::open(&config.state_file, Clock::system()).unwrap();
        let key = state.get_or_put("journal-chain-key", vec![7; 32]).await.unwrap();
        let journal = SqliteJournal::open(state.clone(), key, Clock::system()).await.unwrap();
        let mortal = Arc::new(Mortal::new(Arc::new(journal)));
        let systems = systems(config, &state).await;
        let app = App::assemble_with(Arc::clone(config), systems, state, mortal.clone()).await.unwrap();
        let app = Arc::new(app);

        let mut people = Vec::new();
        while people.len() < size.killed * 2 / 3 {
            let some = (0..size.clients).map(|_| create(Arc::clone(&app)));
            people.extend(futures_util::future::join_all(some).await);
        }
        let mut dead = mortal.kill();
        let mut operations = JoinSet::new();
        for number in 0..size.killed {
            let app = Arc::clone(&app);
            match number % 3 {
                0 => operations.spawn(async move { drop(create(app).await) }),
                1 => operations.spawn(update(app, people.pop().unwrap())),
                _ => operations.spawn(delete(app, people.pop().unwrap())),
            };
            dead.wait_for(|dead| dead + size.clients > number).await.unwrap();
        }
        dead.wait_for(|dead| *dead == size.killed).await.unwrap();
    });
}

async fn systems(config: &Config, state: &Arc<Sqlite>) -> Systems {
    let clock = Clock::system();
    let Stores { users, groups, roles, .. } = open_stores(config, state, &clock, &Metrics::default()).await.unwrap();
    built_in::put(state.as_ref(), groups.as_ref(), clock.now_ms()).await.unwrap();
    let roles = Roles::new(roles, clock.clone());
    let identity: Arc<dyn Identity> = match &config.identity {
        config::Identity::Embedded { .. } => {
            Arc::new(identity::embedded::Embedded::open(state.clone(), clock.clone(), 1, 1).await.unwrap())
        }
        config::Identity::Keycloak(keycloak) => {
            let open = identity::keycloak::Keycloak::open(keycloak.as_ref().clone(), &config.calls, clock.clone());
            Arc::new(open.await.unwrap())
        }
    };
    let mails = Outbox::new(state.clone(), config.mail.per_identity, clock.clone());
    let (grants, timers, revocations) = (state.clone(), state.clone(), state.clone());
    Systems {
        store: users,
        groups,
        roles,
        identity,
        grants,
        timers,
        revocations,
        mails,
        expiry: true,
        clock,
        metrics: Metrics::default(),
    }
}

async fn create(app: Arc<App>) -> UserId {
    users::create(&app, &caller(), Draft { fields: somebody(), ..Draft::default() }).await.unwrap()
}

async fn update(app: Arc<App>, id: UserId) {
    let body = json!({ "$set": { "email": somebody()["email"] } });
    users::update(&app, &caller(), &id, body.as_object().unwrap().clone(), Precondition::None).await.unwrap();
}

async fn delete(app: Arc<App>, id: UserId) {
    users::delete(&app, &caller(), &id, Precondition::None).await.unwrap();
}

fn caller() -> Caller {
    Caller::inside("bench", "system", uuid::Uuid::now_v7().to_string())
}
