//! Plane P: the program as a process of its own, killed by SIGKILL at every named crash point, the first time it passes
//! there, the second, and so on until it does not come there so often; started again, asked and looked at. And killed at any
//! moment while many people ask.

#![expect(clippy::disallowed_methods, reason = "tests measure time and send requests themselves")]

#[path = "it"]
mod it {
    pub mod memory;
    #[expect(dead_code, reason = "the stories and plane D use the rest")]
    pub mod twins;
}
#[path = "kill/load.rs"]
mod load;
#[expect(dead_code, reason = "the stories of the command line use the rest")]
#[path = "it/command_line/program.rs"]
mod program;
#[expect(dead_code, reason = "the stories use the rest")]
#[path = "it/worlds/snapshot.rs"]
mod snapshot;
#[path = "kill/world.rs"]
mod world;

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Instant,
};

use futures_util::{StreamExt, stream};
use serde_json::Value;
use user_manager::crash::POINTS;

use self::{
    it::{memory, twins},
    program::Program,
    world::{Asked, People, Place, World},
};

/// Fewer cells than this is a failure. More asks to raise it.
const FLOOR: usize = 136;
/// Most of the time is waiting.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 12)]
async fn every_operation_is_wholly_before_or_wholly_after_wherever_the_process_is_killed() {
    let began = Instant::now();
    let tally = Arc::new(Mutex::new(Tally::default()));
    let mut runs = Vec::new();
    for place in Place::ALL {
        for asked in Asked::ALL {
            let after = Arc::new(clean(place, asked).await);
            runs.extend(POINTS.map(|point| (place, asked, point, after.clone(), tally.clone())));
        }
    }
    let run = |(place, asked, point, after, tally)| tokio::spawn(killed(place, asked, point, after, tally));
    let ended: Vec<_> = stream::iter(runs).map(run).buffer_unordered(AT_ONCE).collect().await;
    ended.into_iter().for_each(Result::unwrap);

    let Tally { before, after, broken } = &*tally.lock().unwrap();
    let (cells, seconds) = (before + after + broken.len(), began.elapsed().as_secs());
    let account = format!(
        "plane P: cells {cells}, before {before}, after {after}, broken {}, seconds {seconds}\n{}",
        broken.len(),
        broken.join("\n")
    );
    std::io::stdout().write_all(account.as_bytes()).unwrap();
    assert!(broken.is_empty(), "{account}");
    assert!(cells >= FLOOR, "{cells} cells were found, {FLOOR} were known");
}

#[derive(Default)]
struct Tally {
    before: usize,
    after: usize,
    broken: Vec<String>,
}

/// What a run that nobody kills makes of the people.
async fn clean(place: Place, asked: Asked) -> People {
    let world = World::make(place).await;
    let before = world.people();
    let program = world.start(&[]);
    let answer = world.ask(&program, asked).await.unwrap();
    world.settled(None).await;
    assert_eq!(program.stop().code, 0);
    let after = world.people();
    assert_eq!(before == after, asked == Asked::CreateRefused, "{place:?} {asked:?}: {answer:?}");
    after
}

/// Killed there for the first time, the second, and so on.
async fn killed(place: Place, asked: Asked, point: &'static str, after: Arc<People>, tally: Arc<Mutex<Tally>>) {
    for nth in 1.. {
        let world = World::make(place).await;
        let before = world.people();
        let mut program = world.start(&["--crash-at", &format!("{point}:{nth}")]);
        let told = world.ask(&program, asked).await;
        world.settled(Some(&mut program)).await;
        // Whoever waits for running operations comes past every point that is still ahead.
        let stopped = tokio::task::block_in_place(|| program.stop());
        if stopped.code == 0 {
            return;
        }
        assert_eq!(stopped.code, -9, "{stopped:?}");
        let seen = look(&world, asked, told, &before, &after).await;
        let mut tally = tally.lock().unwrap();
        match seen {
            Ok(true) => tally.after += 1,
            Ok(false) => tally.before += 1,
            Err(why) => tally.broken.push(format!("P/{place:?}/{asked:?}/{point}/{nth}: {why}")),
        }
    }
}

/// Starts again and looks: whether all was done, or nothing. `told`: what the caller heard before the process was killed.
async fn look(
    world: &World,
    asked: Asked,
    told: Option<(u16, Value)>,
    before: &People,
    after: &People,
) -> Result<bool, String> {
    let program = world.start(&[]);
    world.settled(None).await;
    let now = world.people();
    let done = match (now == *before, now == *after) {
        // Where nothing changes, nothing is all there is to do.
        (true, _) => false,
        (_, true) => true,
        _ => return Err(format!("half\nbefore {before:?}\nafter {after:?}\nnow {now:?}")),
    };
    if let Some((status, body)) = told {
        let code = body["code"].as_str().unwrap_or_default();
        let told_truly = match (status, code) {
            (200..300, _) | (_, "resumable") => done,
            (_, "outcome-pending") => true,
            _ => !done,
        };
        if !told_truly {
            return Err(format!("told {status} {code}, and it was {}", if done { "done" } else { "not done" }));
        }
    }
    let (_, operations) = program.get("/operations/", &world.token(&program).await).await;
    let states: Vec<_> = operations.as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    if !states.iter().all(|state| state == "done" || state == "undone") {
        return Err(format!("operations stand as {states:?}"));
    }
    names_are_free(world, &program, asked, done).await?;
    world.settled(None).await;
    let stopped = tokio::task::block_in_place(|| program.stop());
    if stopped.code == 0 { Ok(done) } else { Err(format!("the next life ended so: {stopped:?}")) }
}

/// The same is asked again, and answered as what there is demands.
async fn names_are_free(world: &World, program: &Program, asked: Asked, done: bool) -> Result<(), String> {
    let (status, body) = world.ask(program, asked).await.ok_or("nobody answered")?;
    let expected = match (asked, done) {
        (Asked::Create, false) | (Asked::Update, _) => 200,
        (Asked::Create, true) | (Asked::CreateRefused, _) => 409,
        (Asked::Adopt, false) => 200,
        (Asked::Adopt | Asked::Register, true) => 409,
        (Asked::Register | Asked::Restore, false) | (Asked::SoftDelete, _) => 204,
        (Asked::Restore, true) => 400,
        (Asked::Delete, false) => 204,
        (Asked::Delete, true) => 404,
    };
    if status == expected { Ok(()) } else { Err(format!("asked again, answered {status} {body}")) }
}
