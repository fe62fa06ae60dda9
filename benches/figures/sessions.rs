//! Sessions over our own state: logins, reads with a token, refreshes, and what a million sessions cost.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use axum::{body::Body, extract::Request};
use http_body_util::BodyExt;
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use user_manager::{
    access::Caller,
    api::Api,
    app::App,
    clock::Clock,
    config::Config,
    users::{self, UserId, create::Draft},
};

use crate::{
    Size,
    crowd::{self, Done},
    runtime, say,
    table::{Rounds, Table, Wanted, mib, ms, per_second, ratio},
};

const PASSWORD: &str = "correct horse battery";
const MANY: u32 = 1_000_000;
const FEW: u32 = 1_000;

pub fn measure(directory: &Path, size: Size, table: &mut Table) {
    let [mut logins, mut hashes, mut of_hashes, mut slowest] = [(); 4].map(|()| Rounds::default());
    let [mut reads, mut bare, mut of_bare, mut refreshes] = [(); 4].map(|()| Rounds::default());
    for _ in 0..size.rounds {
        let raw = raw_hashes(size.slot);
        let logged_in = runtime().block_on(logins_per_second(directory, size));
        let p99 = runtime().block_on(reads_beside_logins(directory, size));
        let (known, unknown) = runtime().block_on(reads_per_second(directory, size));
        let refreshed = runtime().block_on(refreshes_per_second(directory, size));
        say(&format!(
            "  {logged_in:.1} logins of {raw:.1} hashes, p99 {p99:.1} ms, {known:.0} reads of {unknown:.0}, {refreshed:.0} refreshes"
        ));
        logins.push(logged_in);
        hashes.push(raw);
        of_hashes.push(logged_in / raw);
        slowest.push(p99);
        reads.push(known);
        bare.push(unknown);
        of_bare.push(known / unknown);
        refreshes.push(refreshed);
    }
    let clients = size.clients;
    let tenths = |rate: f64| format!("{rate:.1}/s");
    table.stated("argon2id of a password, both cores", hashes.told(tenths));
    table.stated(&format!("logins, {clients} clients"), logins.told(tenths));
    table.figure("logins against the hashes alone", Wanted::AtLeast(0.9), &of_hashes, ratio);
    table.figure(
        &format!("the slowest of 100 `GET /users/:id` beside {clients} who log in, one hash at a time"),
        Wanted::AtMost(20.0),
        &slowest,
        ms,
    );
    table.stated(&format!("`GET /users/:id` with a token, {clients} clients"), reads.told(per_second));
    table.stated("the same read behind a gateway that decides, without one", bare.told(per_second));
    table.figure("with a token against without", Wanted::AtLeast(0.85), &of_bare, ratio);
    table.stated(&format!("refreshes, {clients} clients"), refreshes.told(per_second));
    crowded(directory, size, table);
}

/// Two threads, each with memory of its own that it keeps.
fn raw_hashes(slot: Duration) -> f64 {
    let counts = thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| hashes_in(slot))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    counts as f64 / slot.as_secs_f64()
}

fn hashes_in(slot: Duration) -> usize {
    let params = Params::new(19 * 1024, 2, 1, Some(32)).unwrap();
    let mut memory = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (began, mut done, mut out) = (Instant::now(), 0, [0; 32]);
    while began.elapsed() < slot {
        argon2.hash_password_into_with_memory(PASSWORD.as_bytes(), &[7; 16], &mut out, &mut memory).unwrap();
        done += 1;
    }
    done
}

async fn logins_per_second(directory: &Path, size: Size) -> f64 {
    let crowd = Crowd::open(directory, size.clients, &[]).await;
    // Longer than the others: two hashes are computed at a time, and each takes its while.
    crowd::rate(size.clients, size.slot * 2, move |done| crowd.clone().log_in(done)).await
}

/// Milliseconds.
async fn reads_beside_logins(directory: &Path, size: Size) -> f64 {
    let crowd = Crowd::open(directory, size.clients, &[("HASH_CONCURRENCY", "1")]).await;
    let token = crowd.token(0).await;
    let beside = crowd.clone();
    let (clients, slot) = (size.clients, size.slot * 2);
    let logins = tokio::spawn(crowd::rate(clients, slot, move |done| beside.clone().log_in(done)));
    let mut took = Vec::new();
    while !logins.is_finished() {
        let began = Instant::now();
        crowd.read(Some(&token)).await;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    took.sort_by(f64::total_cmp);
    took[took.len() * 99 / 100]
}

/// With a token, and the very same read behind a gateway that has decided who may, so that nobody is asked for anything.
async fn reads_per_second(directory: &Path, size: Size) -> (f64, f64) {
    const DECIDED: [(&str, &str); 4] = [
        ("ACCESS", "gateway"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("GATEWAY_PERMISSIONS", "none"),
        ("GATEWAY_ANONYMOUS", "public"),
    ];
    let mut rates = [0.0; 2];
    for (rate, settings) in rates.iter_mut().zip([&[][..], &DECIDED]) {
        let crowd = Crowd::open(directory, 1, settings).await;
        let token: Option<Arc<str>> = if settings.is_empty() { Some(crowd.token(0).await.into()) } else { None };
        let read = crowd::rate(size.clients, size.slot, move |done| {
            let (crowd, token) = (crowd.clone(), token.clone());
            async move {
                crowd.read(token.as_deref()).await;
                done.one();
            }
        });
        *rate = read.await;
    }
    (rates[0], rates[1])
}

async fn refreshes_per_second(directory: &Path, size: Size) -> f64 {
    let crowd = Crowd::open(directory, size.clients, &[]).await;
    let next = Arc::new(AtomicUsize::new(0));
    let mut pairs = Vec::new();
    for number in 0..size.clients {
        pairs.push(tokio::sync::Mutex::new(crowd.pair(number).await));
    }
    let pairs = Arc::new(pairs);
    crowd::rate(size.clients, size.slot, move |done| {
        let (crowd, pairs, next) = (crowd.clone(), pairs.clone(), next.clone());
        async move {
            let mut pair = pairs[next.fetch_add(1, Ordering::Relaxed) % pairs.len()].lock().await;
            *pair = crowd.refresh(&pair).await;
            done.one();
        }
    })
    .await
}

/// Memory and the time of a refresh among so many sessions.
fn crowded(directory: &Path, size: Size, table: &mut Table) {
    let mut took = Vec::new();
    let mut resident = Vec::new();
    for sessions in [FEW, MANY] {
        say(&format!("  {sessions} sessions"));
        let place = tempfile::tempdir_in(directory).unwrap();
        runtime().block_on(async { drop(open(place.path(), &[]).await) });
        fill(place.path(), sessions);
        let before = memory();
        runtime().block_on(async {
            let crowd = Crowd::over(open(place.path(), &[]).await, 1).await;
            let mut pair = crowd.pair(0).await;
            let mut rounds = Rounds::default();
            for _ in 0..size.rounds {
                let began = Instant::now();
                for _ in 0..size.requests {
                    pair = crowd.refresh(&pair).await;
                }
                rounds.push(began.elapsed().as_secs_f64() * 1000.0 / size.requests as f64);
            }
            took.push(rounds);
            resident.push(memory() - before);
        });
    }
    table.stated(&format!("a refresh among {FEW} sessions"), took[0].told(ms));
    table.stated(&format!("a refresh among {MANY} sessions"), took[1].told(ms));
    table.stated(&format!("memory of a life with {MANY} sessions, more than before it"), mib(resident[1]));
}

/// Rows as they lie there; nobody has the tokens to them.
fn fill(place: &Path, sessions: u32) {
    let mut state = Connection::open(place.join("user-manager.db")).unwrap();
    let all = state.transaction().unwrap();
    {
        let mut insert = all
            .prepare(
                "INSERT INTO session (id, identity, door, address, began_ms, ends_ms, turn, turned_ms, lapses_ms, current) \
                 VALUES (?1, ?2, 'json', '127.0.0.1', ?3, ?4, 0, ?3, ?4, zeroblob(32))",
            )
            .unwrap();
        let now_ms = Clock::system().now_ms();
        for number in 0..sessions {
            let identity = format!("identity-{}", number / 2);
            insert.execute((uuid::Uuid::now_v7().to_string(), identity, now_ms, now_ms + 90 * 86_400_000)).unwrap();
        }
    }
    all.commit().unwrap();
}

/// The program's API without sockets, and people who have passwords.
#[derive(Clone)]
struct Crowd {
    api: Api,
    people: Arc<Vec<UserId>>,
    next: Arc<AtomicUsize>,
    /// Taken away with the last of them.
    _place: Option<Arc<tempfile::TempDir>>,
}

type Pair = (String, String);

async fn open(place: &Path, settings: &[(&str, &str)]) -> Arc<App> {
    let mut pairs = vec![("DATA_DIR".to_owned(), place.display().to_string())];
    pairs.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    App::open(Config::resolve(pairs).unwrap().config, Clock::system()).await.unwrap()
}

impl Crowd {
    async fn open(directory: &Path, people: usize, settings: &[(&str, &str)]) -> Self {
        let place = tempfile::tempdir_in(directory).unwrap();
        let crowd = Self::over(open(place.path(), settings).await, people).await;
        Self { _place: Some(Arc::new(place)), ..crowd }
    }

    async fn over(app: Arc<App>, people: usize) -> Self {
        let mut made = Vec::new();
        for number in 0..people {
            let fields = json!({ "userGroup": "users", "email": format!("person-{number}@example.org") });
            let fields: Map<String, Value> = fields.as_object().unwrap().clone();
            let grant = vec!["users:read".to_owned()];
            let draft = Draft { fields, password: Some(PASSWORD.into()), grant, ..Draft::default() };
            made.push(users::create(&app, &Caller::inside("bench", "system", "r"), draft).await.unwrap());
        }
        Self { api: Api::new(app), people: Arc::new(made), next: Arc::default(), _place: None }
    }

    async fn log_in(self, done: Done) {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % self.people.len();
        self.pair(number).await;
        done.one();
    }

    async fn token(&self, number: usize) -> String {
        self.pair(number).await.0
    }

    async fn pair(&self, number: usize) -> Pair {
        let body = json!({ "username": format!("person-{number}@example.org"), "password": PASSWORD });
        self.opened(self.ask("POST", "/oauth/token", None, Some(body)).await)
    }

    async fn refresh(&self, (access, refresh): &Pair) -> Pair {
        let body = json!({ "refreshToken": refresh });
        self.opened(self.ask("POST", "/refreshtoken", Some(access), Some(body)).await)
    }

    async fn read(&self, token: Option<&str>) {
        let (status, _) = self.ask("GET", &format!("/users/{}", self.people[0]), token, None).await;
        assert_eq!(status, 200);
    }

    fn opened(&self, (status, body): (u16, Value)) -> Pair {
        assert_eq!(status, 200, "{body}");
        let text = |member: &str| body[member].as_str().unwrap().to_owned();
        (text("accessToken"), text("refreshToken"))
    }

    async fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let peer = Some(std::net::Ipv4Addr::LOCALHOST.into());
        let answer = self.api.answer(request.body(body).unwrap(), peer).await;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

/// Resident MiB of this process.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
