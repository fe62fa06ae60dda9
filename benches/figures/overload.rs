//! Five times as much as the program can do: the program on one core, those who ask on the other. Whoever asks does so at his
//! own time, whether those before him were answered or not, and waits from then on.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    Size,
    crowd::{self, Done},
    program::{EMAIL, PASSWORD, Running},
    runtime, say,
    table::{Rounds, Table, Wanted, ms, per_second, ratio},
};

const PEOPLE: u64 = 400;
/// Who logs in, so that nobody is throttled for another.
const LOGINS: u64 = 20;
/// Clients that ask for more as soon as they are answered.
const CLIENTS: usize = 32;
const ROUNDS: usize = 3;

/// What one of those who ask wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    List,
    Create,
    Login,
}

/// Of 20 requests 14 are lists, 5 creations, 1 a login: each kind takes the program much of its time.
const WISHES: [(Wish, &str); 3] =
    [(Wish::List, "lists of 200"), (Wish::Create, "people made"), (Wish::Login, "logins")];

impl Wish {
    fn nth(number: u64) -> Self {
        match number % 20 {
            7 => Self::Login,
            1 | 5 | 9 | 13 | 17 => Self::Create,
            _ => Self::List,
        }
    }
}

/// What came of one request.
struct Came {
    wish: Wish,
    status: u16,
    told_when: bool,
    /// Milliseconds from the time at which it was to be sent.
    after: f64,
}

pub fn measure(directory: &Path, size: Size, table: &mut Table) {
    let place = tempfile::tempdir_in(directory).unwrap();
    let program = Running::start_on(place.path(), Some(0), &[("ACCESS_TOKEN_TTL", "1h"), ("ACCESS_LOG", "false")]);
    pin(1);
    runtime().block_on(loaded(&program, size, table));
    drop(program);
    pin_to_all();
}

async fn loaded(program: &Running, size: Size, table: &mut Table) {
    let long = size.slot * 4;
    let load = Load::prepare(program).await;
    let (mut kept, mut goodput, mut slower) = (Rounds::default(), Rounds::default(), [const { None }; 3]);
    let (mut peaks, mut limit, mut refusals) = (Rounds::default(), Rounds::default(), Rounds::default());
    for _ in 0..ROUNDS {
        limit.push(load.own_limit(size.slot).await);
        let peak = load.peak(long).await;
        let (calm, _) = load.at(peak * 0.8, long).await;
        let (storm, took) = load.at(peak * 5.0, long).await;
        say(&format!("  peak {}, at 0.8: {}, at 5: {}", per_second(peak), told(&calm, long), told(&storm, took)));
        let well = |came: &&Came| (200..300).contains(&came.status);
        let refused = storm.iter().filter(|came| !well(came)).collect::<Vec<_>>();
        let politely = refused.iter().filter(|came| came.status == 503 && came.told_when).count();
        kept.push(politely as f64 / refused.len().max(1) as f64);
        refusals.push(refused.len() as f64 / storm.len() as f64);
        goodput.push(storm.iter().filter(well).count() as f64 / took.as_secs_f64() / peak);
        peaks.push(peak);
        for (rounds, (wish, _)) in slower.iter_mut().zip(WISHES) {
            let p99 = |all: &[Came]| p99(all.iter().filter(well).filter(|came| came.wish == wish));
            let (calm, storm) = (p99(&calm), p99(&storm));
            let (ratios, before, after): &mut (Rounds, Rounds, Rounds) = rounds.get_or_insert_default();
            ratios.push(storm / calm);
            before.push(calm);
            after.push(storm);
        }
    }
    table.stated(
        "one core: as many as are answered (70 % lists of 200, 25 % people made, 5 % logins)",
        peaks.told(per_second),
    );
    table.stated("the generator's own limit, requests that do nothing", limit.told(per_second));
    table.figure("five times as many: answered, against that", Wanted::AtLeast(0.90), &goodput, ratio);
    table.stated("the same: refused", refusals.told(ratio));
    table.figure("the same: of those refused, by 503 with `Retry-After`", Wanted::AtLeast(1.0), &kept, ratio);
    for (rounds, (_, name)) in slower.into_iter().zip(WISHES) {
        let (ratios, before, after) = rounds.unwrap_or_default();
        table.stated(&format!("{name}: p99 at 0.8 of what can be done"), before.told(ms));
        table.stated(&format!("{name}: p99 of those answered at five times as many"), after.told(ms));
        table.figure(&format!("{name}: p99 at five times against 0.8"), Wanted::AtMost(3.0), &ratios, ratio);
    }
}

#[derive(Clone)]
struct Load {
    client: Client,
    base: Arc<str>,
    token: Arc<str>,
    number: Arc<AtomicU64>,
}

impl Load {
    async fn prepare(program: &Running) -> Self {
        let base: Arc<str> = format!("http://{}", program.address()).into();
        let client = Client::builder().no_proxy().tcp_nodelay(true).build().unwrap();
        let mut load = Self { client, base, token: "".into(), number: Arc::default() };
        let body: Value = load.login(EMAIL).send().await.unwrap().json().await.unwrap();
        load.token = body["accessToken"].as_str().unwrap().into();
        for number in 0..PEOPLE {
            let mut person = person(number);
            if number < LOGINS {
                person["password"] = PASSWORD.into();
            }
            let answer = load.post("/users/", &person).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        }
        load.number.store(PEOPLE, Ordering::Relaxed);
        load
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let request = self.client.post(format!("{}{path}", self.base)).bearer_auth(&self.token);
        request.header("content-type", "application/json").body(body.to_string())
    }

    fn login(&self, name: &str) -> RequestBuilder {
        let body = json!({ "username": name, "password": PASSWORD }).to_string();
        self.client.post(format!("{}/oauth/token", self.base)).header("content-type", "application/json").body(body)
    }

    async fn one(&self, since: Instant) -> Came {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let wish = Wish::nth(number);
        let request = match wish {
            Wish::List => self.client.get(format!("{}/users/?_l=200", self.base)).bearer_auth(&self.token),
            Wish::Create => self.post("/users/", &person(number)),
            Wish::Login => self.login(&email(number / 20 % LOGINS)),
        };
        let (status, told_when) = match request.send().await {
            Ok(answer) => {
                let told_when = answer.headers().contains_key("retry-after");
                let status = answer.status().as_u16();
                (if answer.bytes().await.is_ok() { status } else { 0 }, told_when)
            }
            Err(_) => (0, false),
        };
        Came { wish, status, told_when, after: since.elapsed().as_secs_f64() * 1000.0 }
    }

    /// As many as are answered when a few ask for more as soon as they are.
    async fn peak(&self, long: Duration) -> f64 {
        let load = self.clone();
        crowd::rate(CLIENTS, long, move |done: Done| {
            let load = load.clone();
            async move {
                if load.one(Instant::now()).await.status == 200 {
                    done.one();
                }
            }
        })
        .await
    }

    /// How fast those who ask can ask at all.
    async fn own_limit(&self, long: Duration) -> f64 {
        let load = self.clone();
        crowd::rate(CLIENTS, long, move |done: Done| {
            let load = load.clone();
            async move {
                let answer = load.client.get(format!("{}/-/healthz", load.base)).send().await.unwrap();
                answer.bytes().await.unwrap();
                done.one();
            }
        })
        .await
    }

    /// So many a second for so long, each at its time; and how long it took until all were answered.
    async fn at(&self, rate: f64, long: Duration) -> (Vec<Came>, Duration) {
        let came = Arc::new(Mutex::new(Vec::new()));
        let mut asking = JoinSet::new();
        let began = Instant::now();
        for number in 0..(rate * long.as_secs_f64()) as u64 {
            let due = began + Duration::from_secs_f64(number as f64 / rate);
            tokio::time::sleep_until(due.into()).await;
            let (load, came) = (self.clone(), came.clone());
            asking.spawn(async move {
                let one = load.one(due).await;
                came.lock().unwrap().push(one);
            });
        }
        asking.join_all().await;
        (Arc::into_inner(came).unwrap().into_inner().unwrap(), began.elapsed())
    }
}

fn person(number: u64) -> Value {
    json!({ "userGroup": "users", "name": format!("Person {number}"), "username": format!("person-{number}"), "email": email(number) })
}

fn email(number: u64) -> String {
    format!("person-{number}@example.org")
}

fn p99<'a>(all: impl Iterator<Item = &'a Came>) -> f64 {
    let mut after: Vec<f64> = all.map(|came| came.after).collect();
    after.sort_by(f64::total_cmp);
    after.get(after.len() * 99 / 100).copied().unwrap_or(f64::NAN)
}

fn told(all: &[Came], long: Duration) -> String {
    let part = |(wish, name): (Wish, &str)| {
        let of = |came: &&Came| came.wish == wish;
        let well = |came: &&Came| (200..300).contains(&came.status);
        let answered = all.iter().filter(of).filter(well).count() as f64 / long.as_secs_f64();
        let others = all.iter().filter(|came| of(came) && came.status != 503 && !well(came)).count();
        format!("{name} {answered:.0}/s p99 {:.0} ms, {others} neither", p99(all.iter().filter(of).filter(well)))
    };
    WISHES.map(part).join(", ")
}

/// This process, all its threads, on one core.
fn pin(core: usize) {
    affinity(&core.to_string());
}

fn pin_to_all() {
    affinity("0-1");
}

fn affinity(cores: &str) {
    let me = std::process::id().to_string();
    let done = Command::new("taskset").args(["-a", "-c", "-p", cores, &me]).output().unwrap();
    assert!(done.status.success(), "taskset: {}", String::from_utf8_lossy(&done.stderr));
}
