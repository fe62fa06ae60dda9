//! The real program: how it starts, what it says, how it stops, what an operator can do beside it.

mod copies;
pub mod program;
mod supervised;

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use program::{Program, State, run};
use serde_json::{Value, json};
use user_manager::{
    access::{ADMIN, Caller},
    admin,
    app::App,
    clock::Clock,
    config::Config,
    users::{self, create::Draft},
};

use crate::twins::{
    Twin,
    keycloak::{self, Keycloak, Person},
};

const GIVEN: [(&str, &str); 2] = [("ADMIN_EMAIL", "root@example.org"), ("ADMIN_PASSWORD", "correct horse battery")];

#[test]
fn wrong_settings_are_all_told_and_nothing_starts() {
    let state = State::new();
    let ended = run(&state, &["serve"], &[("HTTP_PORT", "x"), ("ACCESS", "gateway"), ("NAMES_WAIT", "soon")]);
    assert_eq!(ended.code, 2);
    let names = ended.err.lines().map(|line| line.split([' ', ':']).nth(2).unwrap()).collect::<Vec<_>>();
    assert_eq!(names, ["TRUSTED_PROXIES", "HTTP_PORT", "NAMES_WAIT"], "{}", ended.err);
    assert!(!state.path().join("lock").exists());
}

#[test]
fn the_check_prints_what_holds_and_no_secret() {
    let state = State::new();
    let ended = run(&state, &["check-config", "--connect"], &GIVEN);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let line = |name: &str| ended.out.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("ADMIN_PASSWORD").contains("set") && line("ADMIN_PASSWORD").ends_with("environment"));
    assert!(line("BODY_LIMIT").contains("1MiB") && line("BODY_LIMIT").ends_with("default"));
    assert!(!ended.out.contains(GIVEN[1].1));
    assert!(ended.out.contains("will be made at the first start"));
    assert!(!state.path().join("user-manager.db").exists());

    let server = Program::start(&state, &GIVEN);
    let ended = run(&state, &["check-config", "--connect"], &GIVEN);
    assert!(ended.out.contains("in use by a running process"), "{}", ended.out);
    server.stop();

    let ended = run(&state, &["check-config", "--connect"], &[("CRUD_SERVICE", "127.0.0.1:1")]);
    assert_eq!(ended.code, 1);
    assert!(ended.out.contains("crud-service: "), "{}", ended.out);
}

/// `State` lies in memory, wherever the tests run.
#[test]
fn a_state_that_would_not_last_is_told_or_refused_as_the_setting_says() {
    let told = |lines: &str| lines.contains("STATE_EPHEMERAL: the state ") && lines.contains("a volume mounted there");
    let refused = State::new();
    let refuse = [("STATE_EPHEMERAL", "refuse")];
    let Err(ended) = Program::try_start(&refused, &[], &refuse) else { panic!("it has started") };
    assert!(ended.code == 1 && told(&ended.err.join("\n")), "{ended:?}");
    let ended = run(&refused, &["admin", "create", "--username", "bob"], &refuse);
    assert!(ended.code == 1 && told(&ended.err), "{} {}", ended.code, ended.err);
    let checked = run(&refused, &["check-config", "--connect"], &refuse);
    assert!(checked.code == 1 && told(&checked.out), "{} {}", checked.code, checked.out);
    assert!(fs::read_dir(refused.path()).unwrap().next().is_none(), "nothing is written where it would not last");

    for (setting, lines) in [("warn", 1), ("accept", 0)] {
        let state = State::new();
        let checked = run(&state, &["check-config", "--connect"], &[("STATE_EPHEMERAL", setting)]);
        assert_eq!((checked.code, told(&checked.out)), (0, lines == 1), "{}", checked.out);
        let stopped = Program::start(&state, &[("STATE_EPHEMERAL", setting)]).stop();
        assert_eq!(stopped.err.iter().filter(|line| told(line)).count(), lines, "{setting}: {:?}", stopped.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_is_generated_once_and_must_change_his_password() {
    let state = State::new();
    let server = Program::start(&state, &[]);
    let (name, password) = state.told("first-admin");
    assert_eq!(name, "admin");

    let token = server.log_in(&name, &password).await.unwrap();
    let answer = server.get("/operations/", &token).await;
    assert_eq!((answer.0, &answer.1["code"]), (403, &json!("password-change-required")));
    let change = json!({ "currentPassword": password, "newPassword": "a password of his own" });
    assert_eq!(server.post("/users/me/change-password", &token, change).await.0, 204);
    let token = server.log_in(&name, "a password of his own").await.unwrap();
    assert_eq!(server.get("/operations/", &token).await.0, 200);
    assert!(server.stop().err.iter().all(|line| !line.contains(&password)));

    fs::remove_file(state.path().join("first-admin")).unwrap();
    let again = Program::start(&state, &[]);
    assert!(again.log_in(&name, "a password of his own").await.is_some());
    again.stop();
    assert!(!state.path().join("first-admin").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_who_was_given_may_do_everything_at_once() {
    let state = State::new();
    let server = Program::start(&state, &GIVEN);
    for name in ["root@example.org", "admin"] {
        let token = server.log_in(name, GIVEN[1].1).await.unwrap();
        assert_eq!(server.get("/operations/", &token).await.0, 200);
    }
    server.stop();
    assert!(!state.path().join("first-admin").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_was_cut_off_is_finished_by_the_next() {
    let state = State::new();
    let directory = state.path().display().to_string();
    let settings = GIVEN.iter().copied().chain([("DATA_DIR", directory.as_str())]);
    let config = Config::resolve(settings.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap().config;
    let app = App::open(config, Clock::system()).await.unwrap();
    let fields = json!({ "username": "admin", "email": GIVEN[0].1, "userGroup": "administrators" });
    let draft = Draft { fields: fields.as_object().unwrap().clone(), ..Draft::default() };
    let id = users::create(&app, &Caller::inside("system", "system", "r"), draft).await.unwrap();

    admin::first_administrator(&app).await.unwrap();

    assert_eq!(app.systems.grants.holders(ADMIN).await.unwrap(), [id.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_who_is_called_admin_is_not_made_one() {
    let state = State::new();
    let directory = state.path().display().to_string();
    let config = Config::resolve([("DATA_DIR".to_owned(), directory)]).unwrap().config;
    let app = App::open(config, Clock::system()).await.unwrap();
    let fields = json!({ "username": "admin", "userGroup": "administrators" });
    let draft = Draft { fields: fields.as_object().unwrap().clone(), ..Draft::default() };
    users::create(&app, &Caller::inside("somebody", "token", "r"), draft).await.unwrap();

    admin::first_administrator(&app).await.unwrap();

    assert!(app.systems.grants.holders(ADMIN).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn over_keycloak_the_first_administrator_is_whoever_has_the_email() {
    let twin = Twin::start(Keycloak::new(Clock::system())).await;
    twin.world().stands("kc-1", Person::named("root", "root@example.org"));
    let state = State::new();
    let (directory, url) = (state.path().display().to_string(), twin.url().to_string());
    let app = open(&directory, &url, &[("ADMIN_EMAIL", "root@example.org")]).await;

    admin::first_administrator(&app).await.unwrap();

    let holders = app.systems.grants.holders(ADMIN).await.unwrap();
    let found = app.systems.store.find(&[("authUserId", "kc-1")]).await.unwrap();
    assert_eq!(holders, [found[0].id.to_string()]);
    assert_eq!(found[0].group(), "administrators");
    admin::first_administrator(&app).await.unwrap();
    assert_eq!(app.systems.grants.holders(ADMIN).await.unwrap(), holders);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_keycloak_a_new_first_administrator_needs_a_password() {
    let twin = Twin::start(Keycloak::new(Clock::system())).await;
    let state = State::new();
    let (directory, url) = (state.path().display().to_string(), twin.url().to_string());
    let app = open(&directory, &url, &[("ADMIN_EMAIL", "root@example.org")]).await;
    let refused = admin::first_administrator(&app).await.unwrap_err().to_string();
    assert!(refused.starts_with("ADMIN_PASSWORD: ") && refused.contains("ADMIN_EMAIL"), "{refused}");
    app.stop().await;
    drop(app);

    let other = State::new();
    let directory = other.path().display().to_string();
    let app = open(&directory, &url, &GIVEN).await;
    admin::first_administrator(&app).await.unwrap();
    assert_eq!(app.systems.grants.holders(ADMIN).await.unwrap().len(), 1);
    assert_eq!(twin.world().snapshot().len(), 1);
}

async fn open(directory: &str, url: &str, more: &[(&str, &str)]) -> Arc<App> {
    let settings = [("DATA_DIR", directory)].into_iter().chain(keycloak::settings(url)).chain(more.iter().copied());
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    App::open(Config::resolve(settings).unwrap().config, Clock::system()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_works_beside_the_server_and_without_it() {
    let state = State::new();
    let create = |name| {
        let ended = run(&state, &["admin", "create", "--username", name], &[]);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
        state.told("new-password")
    };
    let made_without = create("bob");
    let server = Program::start(&state, &GIVEN);
    let made_beside = create("ada");
    for (name, password) in [made_without, made_beside] {
        let token = server.log_in(&name, &password).await.unwrap();
        let answer = server.get("/operations/", &token).await;
        assert_eq!((answer.0, &answer.1["code"]), (403, &json!("password-change-required")), "{name}");
    }
    assert!(server.log_in("admin", GIVEN[1].1).await.is_none(), "bob is administrator: no other one was made");
    server.stop();
}

#[test]
fn a_second_process_waits_for_the_state_and_then_says_who_holds_it() {
    let state = State::new();
    let server = Program::start(&state, &GIVEN);
    let ended = run(&state, &["serve"], &[("STATE_LOCK_WAIT", "200ms"), ("HTTP_PORT", "0")]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains(&format!("process {}", server.pid())), "{}", ended.err);
    assert!(ended.err.contains("STATE_LOCK_WAIT"), "{}", ended.err);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_a_line_an_event_and_names_nobody() {
    let state = State::new();
    let server = Program::start(&state, &[GIVEN[0], GIVEN[1], ("LOG_LEVEL", "trace")]);
    let token = server.log_in("root@example.org", GIVEN[1].1).await.unwrap();
    assert!(server.log_in("root@example.org", "wrong-wrong-wrong").await.is_none());
    let ada = json!({ "email": "ada@example.org", "username": "ada-lovelace", "userGroup": "administrators", "password": "a password for ada" });
    let made = server.post("/users/", &token, ada).await;
    assert_eq!(made.0, 200, "{}", made.1);
    let twice = json!({ "email": "ada@example.org", "userGroup": "administrators" });
    assert_eq!(server.post("/users/", &token, twice).await.0, 409);

    let stopped = server.stop();
    assert_eq!(stopped.code, 0);
    for line in &stopped.err {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(event["timestamp"].is_string() && event["level"].is_string(), "{line}");
        for secret in ["ada@", "lovelace", "root@", "example.org", "horse", "wrong-wrong", &token] {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
    let refused = stopped.err.iter().find(|line| line.contains("409")).unwrap_or_else(|| panic!("{stopped:?}"));
    assert!(refused.contains("\"name\":\"request\"") && refused.contains("\"id\":"), "{refused}");
    assert!(stopped.out.is_empty(), "{:?}", stopped.out);
    for file in std::fs::read_dir(state.path()).unwrap().map(|file| file.unwrap().path()) {
        let Ok(kept) = std::fs::read(&file) else { continue };
        for secret in [GIVEN[1].1, "wrong-wrong", "a password for ada", &token] {
            let there = kept.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!there, "{secret} in {}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_a_line_that_tells_what_was_asked_and_by_whom_without_naming_anybody() {
    for log in ["true", "false"] {
        let state = State::new();
        let server = Program::start(&state, &[GIVEN[0], GIVEN[1], ("ACCESS_LOG", log)]);
        let token = server.log_in("root@example.org", GIVEN[1].1).await.unwrap();
        let new = json!({ "email": "ada@example.org", "username": "ada-lovelace", "userGroup": "administrators" });
        let made = server.post("/users/", &token, new).await.1;
        let ada = format!("/users/{}?email=ada@example.org", made["_id"].as_str().unwrap());
        let (status, seen) = server.get(&ada, &token).await;
        assert_eq!(status, 200, "{seen}");
        let root = seen["creatorId"].as_str().unwrap();
        assert_eq!(server.get("/users/ada@example.org/x", &token).await.0, 404);
        assert_eq!(server.get("/users/count", "wrong").await.0, 401);

        let lines = server.stop().err;
        let events = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told = events.filter(|event| event["target"] == "user_manager::access_log").map(|event| {
            let span = &event["spans"][0];
            assert!(uuid::Uuid::parse_str(span["id"].as_str().unwrap()).is_ok(), "{event}");
            assert_eq!(span["trace"].as_str().unwrap().len(), 32, "{event}");
            assert!(event["level"] == "INFO" && event["message"] == "answered", "{event}");
            assert!((0.0..30_000.0).contains(&event["ms"].as_f64().unwrap()), "{event}");
            assert!(!event.to_string().contains("ada@") && !event.to_string().contains("lovelace"), "{event}");
            assert!(!event.to_string().contains("127.0.0.1"), "{event}");
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            (text("method"), text("route"), event["status"].as_u64().unwrap(), text("actor"))
        });
        let told = told.collect::<Vec<_>>();
        let line = |method: &str, route: &str, status, actor: &str| {
            (method.to_owned(), route.to_owned(), status, actor.to_owned())
        };
        let wanted = [
            line("POST", "/oauth/token", 200, "-"),
            line("POST", "/users", 200, root),
            line("GET", "/users/{id}", 200, root),
            line("GET", "-", 404, "-"),
            line("GET", "/users/count", 401, "-"),
        ];
        assert_eq!(told, if log == "true" { wanted.to_vec() } else { Vec::new() });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_reset_and_a_permission_granted_while_the_server_runs() {
    let state = State::new();
    let server = Program::start(&state, &GIVEN);
    let admin = server.log_in("admin", GIVEN[1].1).await.unwrap();
    let ada = json!({ "email": "ada@example.org", "userGroup": "administrators", "password": "a password for ada" });
    let id = server.post("/users/", &admin, ada).await.1["_id"].as_str().unwrap().to_owned();
    let token = server.log_in("ada@example.org", "a password for ada").await.unwrap();
    assert_eq!(server.get(&format!("/users/{id}"), &token).await.0, 403);

    let ended = run(&state, &["admin", "grant", "--user", &id, "--permission", "users:read", "operations:read"], &[]);
    assert_eq!((ended.code, ended.out), (0, format!("{id} was granted users:read, operations:read\n")));
    let ended = run(&state, &["admin", "grant", "--user", &id, "--permission", "users:read"], &[]);
    assert_eq!(ended.out, format!("{id} had all of this already\n"));
    let token = server.log_in("ada@example.org", "a password for ada").await.unwrap();
    assert_eq!(server.get(&format!("/users/{id}"), &token).await.0, 200);

    let ended = run(&state, &["admin", "rotate-keys"], &[]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(server.get(&format!("/users/{id}"), &token).await.0, 200, "what is out holds");
    let token = server.log_in("ada@example.org", "a password for ada").await.unwrap();
    assert_eq!(server.get(&format!("/users/{id}"), &token).await.0, 200, "under the new key");

    let file = state.path().join("given");
    fs::write(&file, "a password from a file\n").unwrap();
    let path = file.to_str().unwrap();
    let ended = run(&state, &["admin", "reset-password", "--user", &id, "--password-file", path], &[]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(server.log_in("ada@example.org", "a password for ada").await.is_none());
    assert_eq!(server.get(&format!("/users/{id}"), &token).await.0, 401);
    let token = server.log_in("ada@example.org", "a password from a file").await.unwrap();
    assert_eq!(server.get(&format!("/users/{id}"), &token).await.0, 403);

    for (line, why) in [
        (vec!["admin", "grant", "--user", &id, "--permission", "no permission"], "is no permission"),
        (vec!["admin", "grant", "--user", "000000000000000000000000", "--permission", "x:y"], "there is no user"),
        (vec!["admin", "grant", "--identity", "nobody", "--permission", "x:y"], "no such identity"),
        (vec!["admin", "reset-password", "--user", "x"], "not the _id"),
        (vec!["admin", "create", "--username", "admin"], "taken"),
    ] {
        let ended = run(&state, &line, &[]);
        assert!(ended.code == 1 && ended.err.contains(why), "{line:?}: {} {}", ended.code, ended.err);
    }
    server.stop();
}

#[test]
fn a_start_takes_as_many_descriptors_as_its_connections_need_and_tells_when_there_are_not_enough() {
    for (files, settings, held, told) in [
        ((300, 5000), vec![], 4196, None),
        ((5000, 5000), vec![], 5000, None),
        ((300, 800), vec![], 800, Some(4196)),
        ((300, 800), vec![("MAX_CONNECTIONS", "700")], 800, None),
        ((300, 1000), vec![("MAX_CONNECTIONS", "700"), ("METRICS_LISTEN", "127.0.0.1:0")], 1000, Some(1500)),
    ] {
        let state = State::new();
        let server = Program::start_with_files(&state, files, &settings);
        let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        assert_eq!(line.split_whitespace().next(), Some(held.to_string().as_str()), "{files:?}");
        let lines = server.stop().err;
        let warned: Vec<&String> = lines.iter().filter(|line| line.contains("MAX_CONNECTIONS")).collect();
        let sentence =
            told.map(|needed| format!("may hold {held} files and connections at once (ulimit -n), and {needed}"));
        assert_eq!(warned.len(), usize::from(told.is_some()), "{files:?}: {warned:?}");
        assert!(sentence.is_none_or(|sentence| warned[0].contains(&sentence)), "{warned:?}");
    }
}

#[test]
fn what_is_written_is_for_its_owner_only() {
    let state = State::new();
    let server = Program::start(&state, &[]);
    for entry in fs::read_dir(state.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_printed_as_it_is_answered_and_needs_no_state() {
    let state = State::new();
    let settings = [("SERVICE_PREFIX", "/ums"), ("PUBLIC_URL", "https://um.example.org/people")];
    let printed = run(&state, &["openapi"], &settings);
    assert_eq!(printed.code, 0, "{}", printed.err);
    assert!(fs::read_dir(state.path()).unwrap().next().is_none());
    let printed: Value = serde_json::from_str(&printed.out).unwrap();
    assert_eq!(printed["servers"], json!([{ "url": "https://um.example.org/people" }]));

    let server = Program::start(&state, &settings);
    assert_eq!(server.get("/ums/documentation/json", "").await, (200, printed));
    server.stop();
}
