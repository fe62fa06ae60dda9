//! One request over other systems that answer in a millisecond, against the calls and the durable writes that it cannot do
//! without, one after the other.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::{HeaderMap, Method};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    task::JoinSet,
};
use user_manager::{
    access::Caller,
    api::server::serve,
    app::App,
    clock::Clock,
    config::{Config, Resolved},
    users::{self, create::Draft},
};

use crate::{
    Size,
    creates::somebody,
    disk::Disk,
    it::twins::{
        Asked, Model, Twin,
        crud::Crud,
        fault::{Fault, Lasts, Plan},
        keycloak::{self, Keycloak},
    },
    runtime, say,
    table::{Rounds, Table, Wanted, ms, ratio},
};

/// A creation: the user, the identity, the link.
const STEPS: usize = 3;
const ANSWERED_IN: Duration = Duration::from_millis(1);
const PASSWORD: &str = "correct horse battery";

/// A crud-service and a Keycloak, on a thread of their own.
pub struct Elsewhere {
    pub crud: Twin<Crud>,
    pub keycloak: Twin<Keycloak>,
    runtime: Runtime,
}

impl Elsewhere {
    pub fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut keycloak = Keycloak::new(Clock::system());
        // Makes its keys, which takes longer than any answer.
        let (path, query) = (format!("/realms/{}/protocol/openid-connect/certs", keycloak::REALM), Vec::new());
        keycloak.answer(&Asked {
            method: Method::GET,
            path,
            query,
            headers: HeaderMap::new(),
            body: Default::default(),
        });
        let (crud, keycloak) =
            runtime.block_on(async { (Twin::start(Crud::default()).await, Twin::start(keycloak).await) });
        Self { crud, keycloak, runtime }
    }

    /// From now on every answer takes so long.
    fn answers_in(&self, length: Duration) {
        let plan = Plan::nth(1, Fault::Slow(length), Lasts::On);
        self.runtime.block_on(async {
            self.crud.plan(plan).await;
            self.keycloak.plan(plan).await;
        });
    }

    /// `<method> <url>` of every request until now, without queries.
    fn asked(&self) -> Vec<String> {
        let at = |base: url::Url, log: Vec<String>| {
            let base = base.as_str().trim_end_matches('/').to_owned();
            log.into_iter().map(move |line| line.replacen(' ', &format!(" {base}"), 1))
        };
        at(self.crud.url(), self.crud.log()).chain(at(self.keycloak.url(), self.keycloak.log())).collect()
    }

    pub fn calls(&self) -> usize {
        self.crud.log().len() + self.keycloak.log().len()
    }

    /// Of the program over them, its own state in `place`.
    pub fn config(&self, place: &Path, further: &[(&str, &str)]) -> Resolved {
        let (place, crud, keycloak) = (place.display().to_string(), self.crud.url(), self.keycloak.url());
        let pairs = [("DATA_DIR", place.as_str()), ("CRUD_SERVICE", crud.as_str())];
        let pairs = pairs.into_iter().chain(keycloak::settings(keycloak.as_str()));
        let pairs = pairs.chain(further.iter().copied()).map(|(name, value)| (name.to_owned(), value.to_owned()));
        Config::resolve(pairs).unwrap()
    }
}

pub fn measure(directory: &Path, size: Size, table: &mut Table) {
    let [mut requests, mut least, mut of_least] = [(); 3].map(|()| Rounds::default());
    let mut calls = 0;
    for _ in 0..size.rounds {
        let round = round(directory, size);
        say(&format!("  {:.2} ms a request, {:.2} ms at least", round.request, round.calls_alone + round.syncs_alone));
        requests.push(round.request);
        least.push(round.calls_alone + round.syncs_alone);
        of_least.push(round.request / (round.calls_alone + round.syncs_alone));
        calls = round.calls;
    }
    table.stated(
        &format!("`POST /users/` over a crud-service and a Keycloak that answer in 1 ms ({calls} calls)"),
        requests.told(ms),
    );
    table.stated(&format!("those {calls} calls alone and {} single syncs, in series", STEPS + 2), least.told(ms));
    table.figure("`POST /users/` against that", Wanted::AtMost(1.3), &of_least, ratio);
}

/// Medians in milliseconds.
struct Round {
    request: f64,
    calls_alone: f64,
    syncs_alone: f64,
    calls: usize,
}

fn round(directory: &Path, size: Size) -> Round {
    let place = tempfile::tempdir_in(directory).unwrap();
    let elsewhere = Elsewhere::start();
    let config = elsewhere.config(place.path(), &[]).config;
    let (ours, theirs) = (runtime(), runtime());
    let (asker, _server) = ours.block_on(async {
        let app = App::open(config, Clock::system()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(serve(Arc::clone(&app), listener, std::future::pending()));
        (Asker::log_in(&app, &format!("http://{address}")).await, server)
    });
    elsewhere.answers_in(ANSWERED_IN);

    let mut disk = Disk::open(directory).unwrap();
    let [mut request, mut calls_alone, mut syncs_alone] = [(); 3].map(|()| Rounds::default());
    theirs.block_on(asker.make_somebody());
    // Now and then one more call asks whether the caller is still who he was.
    let calls = (0..3).map(|_| {
        let before = elsewhere.asked();
        theirs.block_on(asker.make_somebody());
        let mut after = elsewhere.asked();
        before.iter().for_each(|line| after.remove(after.iter().position(|one| one == line).unwrap()).clear());
        after
    });
    let calls = calls.min_by_key(Vec::len).unwrap();
    for _ in 0..size.requests {
        request.push(timed(|| theirs.block_on(asker.make_somebody())));
        calls_alone.push(timed(|| theirs.block_on(asker.repeat(&calls))));
        syncs_alone.push(timed(|| (0..STEPS + 2).for_each(|_| disk.sync().unwrap())));
    }
    Round {
        request: request.median(),
        calls_alone: calls_alone.median(),
        syncs_alone: syncs_alone.median(),
        calls: calls.len(),
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64() * 1000.0
}

/// An administrator who speaks HTTP.
struct Asker {
    client: Client,
    base: String,
    token: String,
}

impl Asker {
    async fn log_in(app: &App, base: &str) -> Self {
        let client = Client::builder().no_proxy().tcp_nodelay(true).tls_certs_only([]).build().unwrap();
        let caller = Caller::inside("bench", "system", "seed");
        let fields = json!({ "userGroup": "administrators", "email": "root@example.org", "name": "Root" });
        let draft = Draft {
            fields: fields.as_object().unwrap().clone(),
            password: Some(PASSWORD.into()),
            grant: vec!["users:admin".to_owned()],
            ..Draft::default()
        };
        users::create(app, &caller, draft).await.unwrap();
        let body = json!({ "username": "root@example.org", "password": PASSWORD });
        let reply = client.post(format!("{base}/oauth/token")).json(&body).send().await.unwrap();
        let reply: Value = reply.error_for_status().unwrap().json().await.unwrap();
        Self { client, base: base.to_owned(), token: reply["accessToken"].as_str().unwrap().to_owned() }
    }

    async fn make_somebody(&self) {
        let request = self
            .client
            .post(format!("{}/users/?sendResetPwdEmail=false", self.base))
            .bearer_auth(&self.token)
            .json(&somebody());
        request.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
    }

    /// The same calls to the same systems, which take the same time to answer them, whatever the answer.
    async fn repeat(&self, calls: &[String]) {
        for call in calls {
            let (method, url) = call.split_once(' ').unwrap();
            let request = match method {
                // A single row, since the list of all of them is not what was asked for.
                "GET" => self.client.get(url).query(&[("_l", "1")]),
                _ => self.client.request(method.parse().unwrap(), url).json(&somebody()),
            };
            request.send().await.unwrap().bytes().await.unwrap();
        }
    }
}
