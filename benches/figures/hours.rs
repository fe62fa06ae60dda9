//! Hours of mixed load: with a `kill -9` every minute, everybody is whole at the end; without, memory and the state stay
//! bounded. Only where it is asked for by name: `killed` or `kept`, with `--minutes=60` and `--seed=1`.
//!
//! Each client looks after people of his own, so that he knows of each how he must be found, whatever became of the answer.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, Method};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    Size,
    program::{EMAIL, PASSWORD, PROGRAM, Running},
    runtime, say,
    table::{Rounds, Table, Wanted, mib, ratio},
};

const CLIENTS: u64 = 8;
/// People of one client, about.
const PEOPLE: usize = 100;
/// A client asks so often at most.
const PAUSE: Duration = Duration::from_millis(150);
/// Well below the hour, so that the state must be seen to stop growing.
const RETENTION: &str = "3m";
const LIFE: Duration = Duration::from_secs(60);
/// How long somebody tries to be answered after a kill.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn killed(directory: &Path, _: Size, table: &mut Table) {
    measure(directory, table, Some(LIFE));
}

pub fn kept(directory: &Path, _: Size, table: &mut Table) {
    measure(directory, table, None);
}

fn measure(directory: &Path, table: &mut Table, life: Option<Duration>) {
    let (minutes, seed) = (asked("--minutes=").unwrap_or(60), asked("--seed=").unwrap_or(1));
    let place = tempfile::tempdir_in(directory).unwrap();
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
    let settings =
        [("HTTP_PORT", port.as_str()), ("RETENTION", RETENTION), ("IDEMPOTENCY_TTL", "2m"), ("ACCESS_LOG", "false")];
    let start = || Running::start_on(place.path(), None, &settings);
    let world = Arc::new(World::new(&port));
    let (mut program, mut watched, mut lives) = (start(), Watched::default(), 1);
    let runtime = runtime();
    let length = Duration::from_secs(minutes * 60);
    let began = Instant::now();
    let clients: JoinSet<()> = {
        let _entered = runtime.enter();
        (0..CLIENTS).map(|number| world.clone().go_on(number, seed)).collect()
    };
    let mut until_killed = life;
    while began.elapsed() < length {
        std::thread::sleep(Duration::from_secs(10));
        watched.look(began.elapsed(), &program, place.path());
        if let Some(left) = &mut until_killed {
            *left = left.saturating_sub(Duration::from_secs(10));
            if left.is_zero() {
                *left = life.unwrap_or_default();
                program.kill();
                program = start();
                lives += 1;
            }
        }
    }
    world.over.store(true, Ordering::SeqCst);
    runtime.block_on(clients.join_all());
    runtime.block_on(world.look_for_everybody());
    settle(place.path());
    drop(program);
    let verified = Command::new(PROGRAM).arg("verify").env_clear().env("DATA_DIR", place.path()).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    say(&String::from_utf8_lossy(&verified.stdout));
    world.tell(table, &format!("{minutes} minutes, seed {seed}, {lives} lives"), halves(place.path()));
    if life.is_none() {
        watched.tell(length, table);
    }
}

fn asked(name: &str) -> Option<u64> {
    std::env::args().find_map(|word| word.strip_prefix(name).and_then(|number| number.parse().ok()))
}

/// What the clients share.
struct World {
    client: Client,
    base: String,
    over: AtomicBool,
    /// How often each was answered; 0 = not at all.
    statuses: Mutex<BTreeMap<(u16, bool), u64>>,
    /// What was not as it must be.
    broken: Mutex<Vec<String>>,
    everybody: Mutex<Vec<Person>>,
    asked: AtomicU64,
}

/// As his client knows him. What is not known for sure may be either.
#[derive(Debug, Clone)]
struct Person {
    id: String,
    email: String,
    name: Option<u64>,
    /// The name that may have been written.
    perhaps: Option<u64>,
    blocked: Option<bool>,
    /// Nothing where nobody knows.
    there: Option<bool>,
}

type Reply = Option<(u16, Value)>;

impl World {
    fn new(port: &str) -> Self {
        Self {
            client: Client::builder().no_proxy().timeout(PATIENCE).build().unwrap(),
            base: format!("http://127.0.0.1:{port}"),
            over: AtomicBool::new(false),
            statuses: Mutex::default(),
            broken: Mutex::default(),
            everybody: Mutex::default(),
            asked: AtomicU64::new(0),
        }
    }

    /// What one client does until it is over.
    async fn go_on(self: Arc<Self>, number: u64, seed: u64) {
        let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let mut token = self.token(EMAIL).await;
        let mut since = Instant::now();
        let (mut people, mut next): (Vec<Person>, u64) = (Vec::new(), 0);
        while !self.over.load(Ordering::SeqCst) {
            sleep(PAUSE.mul_f64(dice.below(200) as f64 / 100.0)).await;
            if since.elapsed() > Duration::from_secs(240) {
                (token, since) = (self.token(EMAIL).await, Instant::now());
            }
            let roll = dice.below(100);
            if people.len() < PEOPLE / 2 || (roll < 20 && people.len() < PEOPLE * 2) {
                next += 1;
                let email = format!("s{seed}-c{number}-{next}@example.org");
                people.push(self.make(&token, email, roll == 0).await);
                continue;
            }
            let at = usize::try_from(dice.below(people.len() as u64)).unwrap_or_default();
            let sure = people[at].there == Some(true) && people[at].perhaps.is_none();
            match roll {
                _ if !sure => self.find(&token, &mut people[at]).await,
                0..45 => self.rename(&token, &mut people[at], dice.below(1_000_000)).await,
                45..55 => self.block(&token, &mut people[at], dice.below(2) == 0).await,
                55..60 => self.bury_and_raise(&token, &mut people[at]).await,
                60..80 => self.remove(&token, &mut people[at]).await,
                80..82 => drop(self.token(EMAIL).await),
                82..90 => drop(self.ask(Method::GET, "/users/?_l=50&_s=-createdAt", &token, None).await),
                _ => self.find(&token, &mut people[at]).await,
            }
            people.retain(|person| person.there != Some(false) || dice.below(4) == 0);
        }
        self.everybody.lock().unwrap().extend(people);
    }

    /// Sent once. Nothing where the program went away.
    async fn ask(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Reply {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base)).bearer_auth(token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = match request.send().await {
            Ok(answer) => {
                let announced = answer.headers().contains_key("retry-after");
                let status = answer.status().as_u16();
                answer
                    .text()
                    .await
                    .ok()
                    .map(|text| (status, announced, serde_json::from_str(&text).unwrap_or(Value::Null)))
            }
            Err(_) => None,
        };
        let (status, announced) = answer.as_ref().map_or((0, false), |(status, announced, _)| (*status, *announced));
        *self.statuses.lock().unwrap().entry((status, announced)).or_default() += 1;
        if status >= 500 && !(status == 503 && announced) {
            self.breaks(format!("{method} {path} was answered {status}: {answer:?}"));
        }
        if answer.is_none() {
            sleep(Duration::from_millis(100)).await;
        }
        answer.filter(|(status, ..)| *status < 500).map(|(status, _, body)| (status, body))
    }

    /// Again and again until there is an answer.
    async fn insist(&self, method: Method, path: &str, token: &str) -> (u16, Value) {
        let began = Instant::now();
        loop {
            if let Some(answer) = self.ask(method.clone(), path, token, None).await {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "{path} is not answered");
        }
    }

    async fn token(&self, name: &str) -> String {
        let began = Instant::now();
        loop {
            let body = json!({ "username": name, "password": PASSWORD });
            if let Some((200, body)) = self.ask(Method::POST, "/oauth/token", "", Some(body)).await {
                return body["accessToken"].as_str().unwrap().to_owned();
            }
            assert!(began.elapsed() < PATIENCE, "nobody can log in");
        }
    }

    async fn make(&self, token: &str, email: String, with_password: bool) -> Person {
        let mut body = json!({ "userGroup": "users", "email": email, "name": "0" });
        if with_password {
            body["password"] = PASSWORD.into();
        }
        let mut person =
            Person { id: String::new(), email, name: Some(0), perhaps: None, blocked: Some(false), there: None };
        match self.ask(Method::POST, "/users/", token, Some(body)).await {
            Some((200, body)) => (person.id, person.there) = (body["_id"].as_str().unwrap().to_owned(), Some(true)),
            Some((status, body)) => self.breaks(format!("{} was not made: {status} {body}", person.email)),
            None => {}
        }
        person
    }

    async fn rename(&self, token: &str, person: &mut Person, name: u64) {
        person.perhaps = Some(name);
        let body = json!({ "$set": { "name": name.to_string() } });
        match self.ask(Method::PATCH, &format!("/users/{}", person.id), token, Some(body)).await {
            Some((200, _)) => (person.name, person.perhaps) = (Some(name), None),
            Some((status, body)) => self.breaks(format!("{} was not renamed: {status} {body}", person.email)),
            None => {}
        }
    }

    async fn block(&self, token: &str, person: &mut Person, blocked: bool) {
        person.blocked = None;
        let body = json!({ "$set": { "blocked": blocked } });
        match self.ask(Method::PATCH, &format!("/users/{}", person.id), token, Some(body)).await {
            Some((200, _)) => person.blocked = Some(blocked),
            Some((status, body)) => self.breaks(format!("{} was not blocked: {status} {body}", person.email)),
            None => {}
        }
    }

    /// To TRASH and back.
    async fn bury_and_raise(&self, token: &str, person: &mut Person) {
        let body = json!([{ "filter": { "_id": person.id }, "stateTo": "TRASH" }]);
        person.there = None;
        if self.ask(Method::POST, "/users/state", token, Some(body)).await.is_none() {
            return;
        }
        let path = format!("/users/{}/restore", person.id);
        match self.ask(Method::POST, &path, token, Some(json!({}))).await {
            Some((204, _)) => person.there = Some(true),
            Some((status, body)) => self.breaks(format!("{} was not restored: {status} {body}", person.email)),
            None => {}
        }
    }

    async fn remove(&self, token: &str, person: &mut Person) {
        person.there = None;
        match self.ask(Method::DELETE, &format!("/users/{}", person.id), token, None).await {
            Some((204, _)) => person.there = Some(false),
            Some((status, body)) => self.breaks(format!("{} was not removed: {status} {body}", person.email)),
            None => {}
        }
    }

    /// Looks for him, and whether he is as he must be.
    async fn find(&self, token: &str, person: &mut Person) {
        let query = format!("/users/?email={}&_st=PUBLIC,DRAFT,TRASH,DELETED", person.email);
        let (status, found) = self.insist(Method::GET, &query, token).await;
        let Some(found) = found.as_array().filter(|_| status == 200) else {
            return self.breaks(format!("{query} was answered {status} {found}"));
        };
        let there = !found.is_empty();
        if person.there.is_some_and(|known| known != there) || found.len() > 1 {
            self.breaks(format!("{person:?} was found {} times", found.len()));
        }
        person.there = Some(there);
        let Some(user) = found.first() else { return };
        let name = user["name"].as_str().and_then(|name| name.parse().ok());
        if name != person.name && (name.is_none() || name != person.perhaps) {
            self.breaks(format!("{person:?} has the name {}", user["name"]));
        }
        (person.name, person.perhaps) = (name, None);
        let blocked = user["blocked"].as_bool().unwrap_or(false);
        if person.blocked.is_some_and(|known| known != blocked) {
            self.breaks(format!("{person:?} is blocked: {blocked}"));
        }
        person.blocked = Some(blocked);
        person.id = user["_id"].as_str().unwrap_or_default().to_owned();
        if user["__STATE__"] == "TRASH" {
            // Cut off between there and back.
            let path = format!("/users/{}/restore", person.id);
            person.there = None;
            if let Some((204, _)) = self.ask(Method::POST, &path, token, Some(json!({}))).await {
                person.there = Some(true);
            }
        }
    }

    async fn look_for_everybody(&self) {
        let token = self.token(EMAIL).await;
        let everybody = self.everybody.lock().unwrap().clone();
        for mut person in everybody {
            self.find(&token, &mut person).await;
        }
    }

    fn breaks(&self, what: String) {
        say(&what);
        self.broken.lock().unwrap().push(what);
    }

    fn tell(&self, table: &mut Table, run: &str, halves: usize) {
        let statuses = self.statuses.lock().unwrap();
        let told = statuses.iter().map(|((status, _), count)| match status {
            0 => format!("{count} × none"),
            status => format!("{count} × {status}"),
        });
        let asked = self.asked.load(Ordering::Relaxed);
        table.stated(&format!("{run}: {asked} requests, answered"), told.collect::<Vec<_>>().join(", "));
        let broken = self.broken.lock().unwrap().len() + halves;
        table.figure("the same: broken", Wanted::AtMost(0.0), &[broken as f64].into_iter().collect(), |n| {
            format!("{n}")
        });
    }
}

/// Until no operation is left that is neither done nor undone.
fn settle(place: &Path) {
    let began = Instant::now();
    let left = || count(place, "SELECT count(*) FROM operation WHERE state NOT IN ('done', 'undone')");
    while left() > 0 {
        assert!(began.elapsed() < PATIENCE, "operations are not settled");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Users without their identity, and identities without a user.
fn halves(place: &Path) -> usize {
    let of = |one: &str, other: &str| format!("SELECT count(*) FROM document WHERE collection = '{one}' AND {other}");
    let users = of("users", "body ->> 'authUserId' NOT IN (SELECT id FROM document WHERE collection = 'identities')");
    let identities =
        of("identities", "id NOT IN (SELECT body ->> 'authUserId' FROM document WHERE collection = 'users')");
    let unlike = "SELECT count(*) FROM document u JOIN document i ON i.collection = 'identities' AND i.id = u.body ->> 'authUserId' \
                  WHERE u.collection = 'users' AND u.body ->> 'email' IS NOT i.body ->> 'email'";
    [users.as_str(), &identities, unlike].iter().map(|sql| count(place, sql)).sum()
}

fn count(place: &Path, sql: &str) -> usize {
    let file = place.join("user-manager.db");
    let state = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let counted: i64 = state.query_row(sql, [], |row| row.get(0)).unwrap();
    usize::try_from(counted).unwrap()
}

/// Memory and files, as time went by.
#[derive(Default)]
struct Watched(Vec<(Duration, f64, f64)>);

impl Watched {
    fn look(&mut self, at: Duration, program: &Running, place: &Path) {
        let files = fs::read_dir(place).unwrap().filter_map(|entry| entry.ok()?.metadata().ok());
        let bytes: u64 = files.filter(|file| file.is_file()).map(|file| file.len()).sum();
        self.0.push((at, program.resident(), bytes as f64 / f64::from(1 << 20)));
    }

    /// Of an hour: minutes 10 to 25 against the last 15.
    fn tell(&self, length: Duration, table: &mut Table) {
        let within = |from: f64, to: f64| {
            self.0
                .iter()
                .filter(move |(at, ..)| at.div_duration_f64(length) >= from && at.div_duration_f64(length) <= to)
        };
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        for (what, of) in [("memory", 1), ("files of the state", 2)] {
            let of = |look: &(Duration, f64, f64)| if of == 1 { look.1 } else { look.2 };
            let early = mean(within(1.0 / 6.0, 5.0 / 12.0).map(of).collect());
            let late = mean(within(0.75, 1.0).map(of).collect());
            table.stated(&format!("{what}: minutes 10 to 25, the last 15"), format!("{}, {}", mib(early), mib(late)));
            let grown: Rounds = [late / early].into_iter().collect();
            table.figure(
                &format!("{what}: the last 15 minutes against minutes 10 to 25"),
                Wanted::AtMost(1.1),
                &grown,
                ratio,
            );
        }
    }
}

/// SplitMix64: the same in every run with the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }
}
