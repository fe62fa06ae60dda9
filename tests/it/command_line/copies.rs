//! Copies of the state: made under load, looked through, put back.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::json;

use super::{
    GIVEN,
    program::{Program, State, run},
};

fn keeps(state: &State, line: &[&str]) -> super::program::Ended {
    run(state, line, &GIVEN)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_made_under_load_is_whole_and_can_be_put_back() {
    let state = State::new();
    let server = Program::start(&state, &GIVEN);
    let token = server.log_in(GIVEN[0].1, GIVEN[1].1).await.unwrap();
    let (stop, made, copied) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let creates = async {
        for number in 0.. {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            let body = json!({ "userGroup": "users", "email": format!("person-{number}@example.org") });
            assert_eq!(server.post("/users/", &token, body).await.0, 200);
            made.fetch_add(1, Ordering::SeqCst);
        }
    };
    let copy = state.path().join("copy.db");
    let copies = async {
        while made.load(Ordering::SeqCst) < 20 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        copied.store(made.load(Ordering::SeqCst), Ordering::SeqCst);
        let path = copy.to_str().unwrap();
        let ended = tokio::task::block_in_place(|| keeps(&state, &["backup", path]));
        assert_eq!(ended.code, 0, "{}", ended.err);
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(creates, copies);

    // Also the one that runs.
    let ended = keeps(&state, &["verify"]);
    assert!(ended.code == 0 && ended.out.contains("is whole"), "{} {}", ended.out, ended.err);
    // What was written after the copy is gone when it is put back; what was written before is there.
    let count = async |server: &Program, token: &str| server.get("/users/count", token).await.1.as_u64().unwrap();
    let late = json!({ "userGroup": "users", "email": "late@example.org" });
    assert_eq!(server.post("/users/", &token, late.clone()).await.0, 200);
    let running = keeps(&state, &["restore", copy.to_str().unwrap()]);
    assert!(running.code == 1 && running.err.contains("in use by process"), "{}", running.err);
    assert_eq!(server.stop().code, 0);

    let ended = keeps(&state, &["restore", copy.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let names = || fs::read_dir(state.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let aside = names()
        .find(|name| name.starts_with("user-manager.db.before-") && name.ends_with('Z'))
        .expect("what was there");
    assert!(!names().any(|name| name.contains("verify") || name.contains("new")), "{:?}", names().collect::<Vec<_>>());

    let server = Program::start(&state, &GIVEN);
    let token = server.log_in(GIVEN[0].1, GIVEN[1].1).await.unwrap();
    let there = count(&server, &token).await;
    let (before, after) = (copied.load(Ordering::SeqCst) as u64, made.load(Ordering::SeqCst) as u64);
    assert!((before + 1..=after + 1).contains(&there), "{there} of {before} to {after} and the administrator");
    assert_eq!(server.post("/users/", &token, late).await.0, 200, "nobody has that name in the copy");
    server.stop();

    // What was there before can be put back as well.
    let aside = state.path().join(aside);
    let ended = keeps(&state, &["restore", aside.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let server = Program::start(&state, &GIVEN);
    let token = server.log_in(GIVEN[0].1, GIVEN[1].1).await.unwrap();
    assert_eq!(count(&server, &token).await, after + 2);
    server.stop();
}

/// Changes the copy as nobody should.
fn damage(copy: &Path, sql: &str) {
    let database = rusqlite::Connection::open(copy).unwrap();
    assert!(database.execute(sql, []).unwrap() > 0, "{sql}");
}

type Spoils = &'static dyn Fn(&Path);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_whole_state_is_neither_called_one_nor_put_back() {
    let state = State::new();
    let server = Program::start(&state, &GIVEN);
    let token = server.log_in(GIVEN[0].1, GIVEN[1].1).await.unwrap();
    let body = json!({ "userGroup": "users", "email": "ada@example.org" });
    assert_eq!(server.post("/users/", &token, body).await.0, 200);
    let path = |name: &str| state.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    assert_eq!(keeps(&state, &["backup", &text("good.db")]).code, 0);
    let again = keeps(&state, &["backup", &text("good.db")]);
    assert!(again.code == 1 && again.err.contains("stands there already"), "{}", again.err);
    let nowhere = keeps(&state, &["backup", &text("no/such/place.db")]);
    assert_eq!(nowhere.code, 1);
    server.stop();

    let damages: [(&str, Spoils); 9] = [
        ("an operation less", &|copy| {
            damage(copy, "DELETE FROM operation WHERE id IN (SELECT max(id) FROM operation)")
        }),
        ("a link less", &|copy| damage(copy, "DELETE FROM chain WHERE seq IN (SELECT max(seq) - 1 FROM chain)")),
        ("a word else", &|copy| damage(copy, "UPDATE chain SET at_ms = at_ms + 1 WHERE seq = 2")),
        ("a value less", &|copy| {
            damage(copy, "DELETE FROM unique_value WHERE collection = 'users' AND value = 'ada@example.org'")
        }),
        ("a value else", &|copy| damage(copy, "UPDATE indexed_value SET value = 'x' WHERE field = 'authUserId'")),
        ("an identity less", &|copy| {
            damage(
                copy,
                "DELETE FROM document WHERE collection = 'identities' AND body ->> 'email' = 'ada@example.org'",
            );
            damage(copy, "DELETE FROM unique_value WHERE collection = 'identities' AND value = 'ada@example.org'");
        }),
        ("half of it", &|copy| fs::write(copy, &fs::read(copy).unwrap()[..20_000]).unwrap()),
        ("nothing", &|copy| fs::write(copy, "").unwrap()),
        ("something else", &|copy| fs::write(copy, "no database at all").unwrap()),
    ];
    let before = fs::read(path("user-manager.db")).unwrap();
    for (what, spoil) in damages {
        fs::copy(path("good.db"), path("bad.db")).unwrap();
        spoil(&path("bad.db"));
        for command in ["verify", "restore"] {
            let ended = keeps(&state, &[command, &text("bad.db")]);
            assert_eq!(ended.code, 1, "{what}: {command}: {}", ended.out);
            assert!(ended.err.contains("bad.db") || ended.err.contains("damaged"), "{what}: {}", ended.err);
        }
        for beside in ["", "-wal", "-shm"] {
            fs::remove_file(path(&format!("bad.db{beside}"))).ok();
        }
    }
    assert_eq!(keeps(&state, &["restore", &text("missing.db")]).code, 1);
    assert!(fs::read(path("user-manager.db")).unwrap() == before, "nothing was put in its place");
    assert_eq!(keeps(&state, &["verify", &text("good.db")]).code, 0);
}
