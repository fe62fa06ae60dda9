//! Many at once do one thing after another to the same few persons, while systems fail now and then; in the end every
//! person is whole. One number makes the same history again, as far as chance was ours.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::events;
use crate::{
    twins::fault::{Fault, Lands, Lasts, Plan},
    worlds::{Asker, Place, World},
};

const CLIENTS: u64 = 8;
const DEEDS: usize = 12;
const NAMES: u64 = 6;

/// Marsaglia's xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn email(&mut self) -> String {
        let number = self.below(NAMES);
        if self.below(2) == 0 { format!("p{number}@example.org") } else { format!("P{number}@Example.org") }
    }
}

#[tokio::test]
async fn after_many_deeds_at_once_and_many_failures_everybody_is_whole() {
    for (seed, place) in (1..).zip(Place::ALL) {
        eprintln!("in the world {place:?}");
        let settings =
            [("CALL_TIMEOUT", "500ms"), ("NAMES_WAIT", "200ms"), ("ANSWER_WITHIN", "2s"), ("AUTH_LATE_WINDOW", "1s")];
        let world = World::with(place, &settings).await;
        let clients = (1..=CLIENTS).map(|number| lives(&world, Chance(seed * 1000 + number)));
        let mut chance = Chance(seed);
        tokio::select! {
            _ = join_all(clients) => {}
            () = trouble(&world, &mut chance) => {}
        }
        world.mend().await;
        world.settled().await;
        whole(&world);
        events::tell_of_every_operation(&world, world.admin()).await;
    }
}

/// One client's deeds.
async fn lives(world: &World, mut chance: Chance) {
    let admin = world.admin();
    for _ in 0..DEEDS {
        let persons: Vec<String> = world.people().users.into_keys().filter(|id| *id != admin.id).collect();
        let somebody = |chance: &mut Chance| {
            let at = chance.below(persons.len().max(1) as u64);
            usize::try_from(at).ok().and_then(|at| persons.get(at)).map(|id| format!("/users/{id}"))
        };
        let deed = chance.below(10);
        let reply = match (deed, somebody(&mut chance)) {
            (0..4, _) | (_, None) => create(admin, &mut chance).await,
            (4 | 5, Some(path)) => admin.patch(&path, json!({ "$set": { "email": chance.email() } })).await,
            (6 | 7, Some(path)) => {
                let set = json!({ "blocked": chance.below(2) == 0, "name": format!("N{}", chance.below(9)) });
                admin.patch(&path, json!({ "$set": set })).await
            }
            (_, Some(path)) => admin.delete(&path).await,
        };
        assert!(reply.code() != "internal", "{reply:?}");
    }
}

async fn create(admin: &Asker, chance: &mut Chance) -> crate::worlds::Reply {
    let blocked = chance.below(4) == 0;
    admin.post("/users/", json!({ "userGroup": "users", "email": chance.email(), "blocked": blocked })).await
}

/// Again and again something fails for a while.
async fn trouble(world: &World, chance: &mut Chance) {
    let real = user_manager::clock::Clock::system();
    loop {
        let status = |done| Fault::Status { status: 500, done, wait: None };
        let faults = [
            Fault::CutUnread,
            Fault::CutDone,
            Fault::CutLate(Lands::BeforeNext(2)),
            Fault::CutLate(Lands::After(Duration::from_millis(300))),
            status(false),
            status(true),
            Fault::Garbled,
            Fault::Truncated,
        ];
        let fault = faults[usize::try_from(chance.below(faults.len() as u64)).unwrap()];
        let lasts = if chance.below(3) == 0 { Lasts::On } else { Lasts::Once };
        let plan = Plan::nth(1 + chance.below(5), fault, lasts);
        match (&world.crud, &world.keycloak, chance.below(2)) {
            (Some(crud), None, _) | (Some(crud), _, 0) => crud.plan(plan).await,
            (_, Some(keycloak), _) => keycloak.plan(plan).await,
            (None, None, _) => {}
        }
        real.pause(Duration::from_millis(20 + chance.below(100))).await;
        world.mend().await;
        real.pause(Duration::from_millis(chance.below(100))).await;
    }
}

/// Every user has his identity, which shows what he shows, and no identity is without its user.
fn whole(world: &World) {
    let people = world.people();
    let mut wrong = Vec::new();
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for (id, user) in &people.users {
        let email = user["email"].as_str().unwrap().to_lowercase();
        if let Some(other) = names.insert(email.clone(), id) {
            wrong.push(format!("{id} and {other} share a name"));
        }
        if user["__STATE__"].as_str().is_some_and(|state| state != "PUBLIC") {
            wrong.push(format!("{id} stands in the bin: {user}"));
        }
        let linked = user["authUserId"].as_str().and_then(|identity| people.identities.get(identity));
        let Some(identity) = linked else {
            wrong.push(format!("{id} has no identity: {user}"));
            continue;
        };
        let blocked = user["blocked"] == json!(true);
        let theirs = identity["email"].as_str().unwrap_or_default().to_lowercase();
        if theirs != email || identity["enabled"] != json!(!blocked) {
            wrong.push(format!("{user} and {identity} differ"));
        }
    }
    let linked: Vec<&Value> = people.users.values().map(|user| &user["authUserId"]).collect();
    for (id, identity) in &people.identities {
        if !linked.contains(&&json!(id)) {
            wrong.push(format!("nobody has the identity {id} {identity}"));
        }
    }
    let operations = world.snapshot().operations;
    let done = operations.values().filter(|state| *state == "done").count();
    eprintln!("{done} done of {} operations, {} persons", operations.len(), people.users.len());
    assert!(wrong.is_empty(), "in the world {:?}:\n{}", world.place, wrong.join("\n"));
}
