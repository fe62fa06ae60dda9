//! Killed at any moment while many people ask: whatever was answered is so, and everybody is whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    sync::Arc,
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use user_manager::clock::Clock;

use crate::{
    program::Program,
    snapshot,
    world::{Place, World},
};

const LIVES: u32 = 8;
const ASKERS: usize = 8;

/// What somebody was told, by e-mail.
enum Told {
    Made(String),
    /// He asked for the removal, and may not hear of it.
    Going(String),
    Gone(String),
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_answered_before_a_kill_is_so_after_it() {
    let world = World::make(Place::Embedded).await;
    let (mut made, mut going, mut gone) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for life in 0..LIVES {
        let program = Arc::new(world.start(&[]));
        let token = world.token(&program).await;
        let (answers, mut told) = mpsc::unbounded_channel();
        let askers: Vec<_> = (0..ASKERS)
            .map(|asker| tokio::spawn(ask(program.clone(), token.clone(), format!("{life}-{asker}"), answers.clone())))
            .collect();
        drop(answers);
        // The same counts in every run; where in an operation that is, nobody knows.
        let mut until_killed = 30 + i64::from(life) * 17;
        while let Some(answer) = told.recv().await {
            match answer {
                Told::Made(email) => made.insert(email),
                Told::Going(email) => going.insert(email),
                Told::Gone(email) => gone.insert(email),
            };
            until_killed -= 1;
            if until_killed == 0 {
                kill(&program);
            }
        }
        for asker in askers {
            asker.await.unwrap();
        }
    }
    let program = world.start(&[]);
    world.settled(None).await;
    // Whoever stays was promised a mail, and gets it whatever life it was in.
    let stays: Vec<_> = made.iter().filter(|email| !going.contains(*email)).collect();
    for _ in 0..600 {
        let mailed = mailed(&world);
        if stays.iter().all(|email| mailed.contains(*email)) {
            break;
        }
        Clock::system().pause(Duration::from_millis(100)).await;
    }
    let mailed = mailed(&world);
    let unmailed: Vec<_> = stays.iter().filter(|email| !mailed.contains(**email)).collect();
    assert!(unmailed.is_empty(), "no mail was written to {unmailed:?}");
    assert_eq!(tokio::task::block_in_place(|| program.stop()).code, 0);

    let state = snapshot::State::of(world.state.path());
    let (users, identities) = (state.documents("users"), state.documents("identities"));
    let by_email = |document: &Value| document["email"].as_str().unwrap().to_owned();
    let there: BTreeMap<String, &Value> = users.values().map(|user| (by_email(user), user)).collect();
    let alone = users.values().filter(|user| user["authUserId"].is_null()).map(by_email);
    assert_eq!(alone.collect::<Vec<_>>(), ["shelved@example.org"]);
    for user in users.values().filter(|user| !user["authUserId"].is_null()) {
        let identity = &identities[user["authUserId"].as_str().unwrap()];
        assert_eq!(by_email(identity), by_email(user));
    }
    // Everybody but him has one, and one identity stands for itself.
    assert_eq!(identities.len(), users.len());
    for email in &made {
        assert!(there.contains_key(email) || going.contains(email), "{email} was made and is not there");
    }
    for email in &gone {
        assert!(!there.contains_key(email), "{email} was removed and is there");
    }
    let account = format!("killed under load: lives {LIVES}, made {}, removed {}, broken 0\n", made.len(), gone.len());
    std::io::stdout().write_all(account.as_bytes()).unwrap();
}

/// To whom mails were written.
fn mailed(world: &World) -> BTreeSet<String> {
    let files = fs::read_dir(world.state.path().join("mail")).unwrap().map(|file| file.unwrap().path());
    let mails = files.filter(|file| file.extension().is_some_and(|kind| kind == "eml")).map(fs::read_to_string);
    let to = |mail: String| mail.lines().find_map(|line| line.strip_prefix("To: ").map(str::to_owned)).unwrap();
    mails.map(Result::unwrap).map(to).collect()
}

fn kill(program: &Program) {
    let pid = rustix::process::Pid::from_raw(program.pid().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Makes people and removes every other, until nobody answers any more.
async fn ask(program: Arc<Program>, token: String, name: String, answers: mpsc::UnboundedSender<Told>) {
    for number in 0.. {
        let email = format!("{name}-{number}@example.org");
        let body = json!({ "userGroup": "users", "email": email });
        let Some((status, body)) = program.try_ask(Method::POST, "/users/", &token, Some(body)).await else { return };
        assert_eq!(status, 200, "{body}");
        // Who counts the answers may have stopped.
        let _ = answers.send(Told::Made(email.clone()));
        if number % 2 == 0 {
            continue;
        }
        let _ = answers.send(Told::Going(email.clone()));
        let path = format!("/users/{}", body["_id"].as_str().unwrap());
        let Some((status, body)) = program.try_ask(Method::DELETE, &path, &token, None).await else { return };
        assert_eq!(status, 204, "{body}");
        let _ = answers.send(Told::Gone(email));
    }
}
