//! What `/-/metrics` tells, to whom, and that the page about it says the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::{Value, json};
use user_manager::operations;

use crate::{
    api::door::{Answer, Door},
    command_line::program::{Program, State, run},
    house,
    twins::fault::{Fault, Lasts, Plan},
    worlds::{Asker, Place, World, impatiently},
};

/// What was told at one moment.
struct Scrape {
    text: String,
    /// The type of each metric, by the name that it has in queries.
    types: BTreeMap<String, String>,
    /// Values by name and labels, as they stand there.
    values: BTreeMap<String, f64>,
}

impl Scrape {
    fn read(text: &str) -> Self {
        assert!(text.ends_with("# EOF\n"), "{text}");
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let suffix = |kind: &str| match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let types = types.map(|(name, kind)| (format!("{name}{}", suffix(kind)), kind.to_owned())).collect();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let values = samples.map(|line| line.rsplit_once(' ').unwrap());
        let values = values.map(|(series, value)| (series.to_owned(), value.parse().unwrap())).collect();
        Self { text: text.to_owned(), types, values }
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        *self.values.get(series).unwrap_or_else(|| panic!("no {series} in {}", self.text))
    }

    fn has_value(&self, series: &str, value: f64) -> bool {
        self.values.get(series) == Some(&value)
    }

    fn has(&self, series: &str) -> bool {
        self.values.contains_key(series)
    }

    /// The names of the labels of each metric.
    fn labels(&self) -> BTreeMap<String, BTreeSet<String>> {
        let of = |name: &String| {
            let series = self.values.keys().filter_map(|series| {
                let (of, labels) = series.split_once('{').unwrap_or((series, ""));
                let of = ["_bucket", "_sum", "_count"].iter().find_map(|part| of.strip_suffix(part)).unwrap_or(of);
                (of == name).then(|| labels.trim_end_matches('}').to_owned())
            });
            let names = series.flat_map(|labels| {
                let names = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
                names.filter(|name| name != "le").collect::<Vec<_>>()
            });
            (name.clone(), names.collect())
        };
        self.types.keys().map(of).collect()
    }
}

async fn scrape(world: &World) -> Scrape {
    Scrape::read(&asked(world.admin()).await.1)
}

async fn asked(who: &Asker) -> (u16, String) {
    let token = format!("Bearer {}", who.token.clone().unwrap_or_default());
    let page = who.with("authorization", &token).page("/-/metrics").await;
    (page.status, page.html)
}

fn text(answer: &Answer) -> Scrape {
    assert_eq!(answer.status, 200, "{answer:?}");
    Scrape::read(std::str::from_utf8(&answer.body).unwrap())
}

/// Everything that there can be, once something of each kind has happened.
async fn everything() -> (BTreeMap<String, String>, BTreeMap<String, BTreeSet<String>>) {
    let (mut types, mut labels) = (BTreeMap::new(), BTreeMap::new());
    for place in [Place::Embedded, Place::Remote] {
        let world = World::at(place).await;
        world.settled().await;
        let told = scrape(&world).await;
        labels.extend(told.labels());
        types.extend(told.types);
    }
    (types, labels)
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[tokio::test]
async fn the_page_of_metrics_lists_what_is_told() {
    let (types, labels) = everything().await;
    let mut told = BTreeSet::new();
    for (name, kind) in &types {
        let labels = labels[name].iter().map(|label| format!("`{label}`")).collect::<Vec<_>>();
        told.insert(format!(
            "| `{name}` | {kind} | {} |",
            if labels.is_empty() { "-".into() } else { labels.join(", ") }
        ));
    }
    let page = read("docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `user_manager_"));
    let listed = rows.map(|row| row.split_inclusive('|').take(4).collect::<String>()).collect::<BTreeSet<_>>();
    assert_eq!(told.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "told, not on the page");
    assert_eq!(listed.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new(), "on the page, not told");
}

#[tokio::test]
async fn the_dashboard_asks_for_what_is_told() {
    let (types, labels) = everything().await;
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana-dashboard.json")).unwrap();
    let mut asked = BTreeSet::new();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries = targets.map(|target| target["expr"].as_str().unwrap());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    for query in queries.chain(variables.filter_map(|variable| variable["query"].as_str())) {
        let found = names(query);
        assert!(!found.is_empty() || query == "prometheus", "{query}");
        for name in found {
            let bare = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            let histogram = bare.filter(|bare| types.get(*bare).is_some_and(|kind| kind == "histogram"));
            let (of, more) = histogram.map_or((name.as_str(), ""), |bare| (bare, "le"));
            assert!(types.contains_key(of) && (types[of] != "histogram" || histogram.is_some()), "{name} in {query}");
            // Whoever asks us for the metrics puts `job` there.
            let known = |label: &str| label == "job" || label == more || labels[of].contains(label);
            let unknown = named_labels(query).into_iter().filter(|label| !known(label)).collect::<Vec<_>>();
            assert!(unknown.is_empty(), "{unknown:?} of {name} in {query}");
            asked.insert(of.to_owned());
        }
    }
    let unseen = types.keys().filter(|name| !asked.contains(*name)).collect::<Vec<_>>();
    assert!(unseen.is_empty(), "on no panel: {unseen:?}");
}

/// Our metrics in a query.
fn names(query: &str) -> Vec<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("user_manager_")).map(str::to_owned).collect()
}

/// The labels by which a query sums and selects.
fn named_labels(query: &str) -> Vec<&str> {
    let within = |open: &'static str, close: char| {
        query.split(open).skip(1).filter_map(move |rest| rest.split(close).next()).flat_map(|list| list.split(','))
    };
    let selected = within("{", '}').map(|label| label.split(['=', '!']).next().unwrap_or_default());
    within("by (", ')').chain(selected).map(str::trim).collect()
}

#[tokio::test]
async fn what_happens_is_counted() {
    let world = World::remote().await;
    let before = scrape(&world).await;
    let rise = |after: &Scrape, series: &str| after.value(series) - before.values.get(series).copied().unwrap_or(0.0);
    let ada = world.user("ada@example.org").await;
    world.post("/users/", json!({ "userGroup": "users", "email": "ada@example.org" })).await.refuses(409, "name-taken");
    world.get(&format!("/users/{ada}")).await.is(200);
    world.get("/nowhere").await.is(404);
    world.settled().await;

    let after = scrape(&world).await;
    for (series, more) in [
        (r#"user_manager_requests_total{method="POST",route="/users",status="200"}"#, 1.0),
        (r#"user_manager_requests_total{method="POST",route="/users",status="409"}"#, 1.0),
        (r#"user_manager_requests_total{method="GET",route="/users/{id}",status="200"}"#, 1.0),
        (r#"user_manager_requests_total{method="GET",route="none",status="404"}"#, 1.0),
        (r#"user_manager_request_duration_seconds_count{method="POST",route="/users"}"#, 2.0),
        (r#"user_manager_operations_total{kind="create-user",outcome="done"}"#, 1.0),
        (r#"user_manager_operations_total{kind="create-user",outcome="undone"}"#, 1.0),
        (r#"user_manager_calls_total{system="CRUD",outcome="5xx"}"#, 0.0),
    ] {
        assert_eq!(rise(&after, series), more, "{series}");
    }
    for series in [
        r#"user_manager_calls_total{system="CRUD",outcome="2xx"}"#,
        r#"user_manager_calls_total{system="Auth",outcome="2xx"}"#,
        r#"user_manager_call_duration_seconds_count{system="Auth"}"#,
        "user_manager_commit_duration_seconds_count",
    ] {
        assert!(rise(&after, series) > 0.0, "{series}");
    }
    for standing in ["operations_unsettled", "operations_needing_attention", "names_held", "timers_due"] {
        assert_eq!(after.value(&format!("user_manager_{standing}")), 0.0, "{standing}");
    }
    assert!(!after.has("user_manager_sessions"), "they are Keycloak's");
    assert!(after.values.keys().all(|series| !series.contains("\"other\"") || series.contains("outcome")));
}

#[tokio::test]
async fn a_promise_that_is_not_kept_is_counted_and_what_it_holds_is_seen() {
    let world = World::remote().await;
    let path = format!("/users/{}", world.user("ada@example.org").await);
    let refused = Fault::Status { status: 500, done: false, wait: None };
    world.provider().plan(Plan::on("DELETE", "/users/", refused).lasting(Lasts::EachTime)).await;
    world.delete(&path).await.refuses(500, "resumable");
    let told = scrape(&world).await;
    assert_eq!(told.value(r#"user_manager_operations_total{kind="delete-user",outcome="done"}"#), 1.0);
    assert!(told.value(r#"user_manager_promise_retries_total{kind="delete-user"}"#) >= 1.0, "{}", told.text);
    assert!(told.value(r#"user_manager_calls_total{system="Auth",outcome="5xx"}"#) >= 1.0, "{}", told.text);
    assert_eq!(told.value("user_manager_operations_unsettled"), 1.0);
    assert!(told.value("user_manager_names_held") >= 1.0, "{}", told.text);
    world.mend().await;
    world.settled().await;
}

#[tokio::test]
async fn an_undo_that_does_not_succeed_is_counted_and_seen_by_those_who_look() {
    impatiently(&[Place::Remote], async |world| {
        // Made, but told otherwise; then the provider is gone.
        let failed = Fault::Status { status: 500, done: true, wait: None };
        world.provider().plan(Plan::on("POST", "/users", failed).lasting(Lasts::On)).await;
        let new = json!({ "userGroup": "users", "email": "ada@example.org" });
        world.post("/users/", new).await.refuses(500, "outcome-pending");
        let attention = async || {
            world.ends_next_pause();
            Scrape::read(&world.app.metrics.text(world.app.standing().await).unwrap())
                .has_value("user_manager_operations_needing_attention", 1.0)
        };
        world.until("somebody should look", attention).await;
        let told = Scrape::read(&world.app.metrics.text(world.app.standing().await).unwrap());
        assert!(told.value(r#"user_manager_undo_retries_total{kind="create-user"}"#) >= 1.0, "{}", told.text);
        world.mend().await;
        world.settled().await;
        let told = Scrape::read(&world.app.metrics.text(world.app.standing().await).unwrap());
        assert_eq!(told.value(r#"user_manager_operations_total{kind="create-user",outcome="undone"}"#), 1.0);
    })
    .await;
}

#[tokio::test]
async fn only_those_who_may_are_told() {
    let door = Door::open().await;
    let reader = door.somebody("reader@example.org", "users", &["metrics:read"]).await;
    for token in [&reader.token, &door.admin.token] {
        let answer = door.send("GET", "/-/metrics", Some(token), None).await;
        let told = text(&answer);
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(answer.header("content-type"), Some(kind));
        let build = format!(r#"user_manager_build_info{{version="{}"}}"#, env!("CARGO_PKG_VERSION"));
        assert_eq!(told.value(&build), 1.0);
        assert_eq!(told.value("user_manager_sessions"), 3.0);
        assert_eq!(told.value("user_manager_password_hashes_waiting"), 0.0);
    }
    assert_eq!(door.send("GET", "/-/metrics?x=1", Some(&reader.token), None).await.code(), "invalid-parameter");
}

#[tokio::test]
async fn nothing_that_comes_from_outside_becomes_a_label() {
    let door = Door::open().await;
    let token = format!("Bearer {}", door.admin.token);
    let series = async || text(&door.send("GET", "/-/metrics", Some(&door.admin.token), None).await);
    // What these few can be: a known method or `other`, no route or one of the table.
    let ask = async |number: usize| {
        let id = format!("{number:024x}");
        let evil = format!("x{number}\"}} 1");
        door.ask(&format!("METHOD{number}"), "/users", &[], b"").await;
        door.ask(&format!("METHOD{number}"), &format!("/{number}"), &[], b"").await;
        door.ask("GET", &format!("/nowhere/{number}?q={number}"), &[("authorization", &token)], b"").await;
        for path in ["/users/", "/operations/", "/ums-config/", "/roles/"] {
            door.ask("GET", &format!("{path}{id}"), &[("authorization", &token), ("x-request-id", &id)], b"").await;
        }
        let headers = [("authorization", evil.as_str()), ("x-forwarded-for", &evil), ("user-agent", &evil)];
        door.ask("GET", "/users", &headers, b"").await;
        door.ask("POST", "/oauth/token", &[("content-type", "application/json")], evil.as_bytes()).await;
        let mut line = door.connect().await;
        line.write(format!("GET /{number} HTTP/1.1\r\nhost: a\r\nx y{number}: z\r\n\r\n").as_bytes()).await;
        line.read_answer("GET").await.unwrap();
    };
    ask(0).await;
    series().await;
    let first = series().await;
    for number in 1..40 {
        ask(number).await;
    }
    let last = series().await;
    let names = |scrape: &Scrape| scrape.values.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&last).difference(&names(&first)).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(last.value(r#"user_manager_requests_total{method="other",route="none",status="405"}"#), 40.0);
    assert_eq!(last.value(r#"user_manager_requests_total{method="none",route="none",status="400"}"#), 40.0);
}

#[tokio::test]
async fn what_cannot_be_read_is_left_out() {
    let door = Door::open().await;
    let state = rusqlite::Connection::open(&door.app.config.state_file).unwrap();
    state.execute_batch("ALTER TABLE hold RENAME TO elsewhere").unwrap();
    let told = text(&door.send("GET", "/-/metrics", Some(&door.admin.token), None).await);
    assert!(!told.has("user_manager_names_held") && told.has("user_manager_sessions"), "{}", told.text);
    state.execute_batch("ALTER TABLE elsewhere RENAME TO hold").unwrap();
    let at_once = text(&door.send("GET", "/-/metrics", Some(&door.admin.token), None).await);
    assert!(!at_once.has("user_manager_names_held"), "the state is read at most once a second");
    door.time.advance(std::time::Duration::from_secs(1));
    let later = text(&door.send("GET", "/-/metrics", Some(&door.admin.token), None).await);
    assert_eq!(later.value("user_manager_names_held"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_of_their_own_tells_everybody_and_nothing_else() {
    let state = State::new();
    let mut server = Program::start(&state, &[("METRICS_LISTEN", "127.0.0.1:0"), ("SERVICE_PREFIX", "/ums")]);
    let open = server.metrics().to_owned();
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://{open}{path}")).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, told) = get("/-/metrics").await;
    assert_eq!(status, 200, "{told}");
    Scrape::read(&told);
    for path in ["/-/healthz", "/-/check-up", "/ums/users", "/users", "/"] {
        assert_eq!(get(path).await.0, 404, "{path}");
    }
    assert_eq!(server.get("/-/metrics", "").await.0, 401, "on the main port it is for some");

    let taken = run(&State::new(), &["serve"], &[("HTTP_PORT", "0"), ("METRICS_LISTEN", &open)]);
    assert_eq!(taken.code, 1);
    assert!(taken.err.contains(&format!("METRICS_LISTEN: {open} cannot be listened on")), "{}", taken.err);

    // Whoever holds a connection open does not keep it from stopping.
    let idle = tokio::net::TcpStream::connect(&open).await.unwrap();
    assert!(!server.has_ended());
    let stopped = server.stop();
    assert_eq!(stopped.code, 0, "{stopped:?}");
    assert!(tokio::net::TcpStream::connect(&open).await.is_err());
    drop(idle);
}

/// What `asks` is told, or what it is told by way of a variable that stands before what is being done.
#[test]
fn every_kind_of_operation_is_known_to_the_metrics() {
    let mut found = BTreeSet::new();
    for source in house::tree().iter().filter(|source| source.path.starts_with("src/")) {
        for line in source.code.lines() {
            let asked = line.split(".asks(\"").skip(1).filter_map(|rest| rest.split('"').next());
            found.extend(asked.map(str::to_owned));
            if line.contains("const KINDS: [&'static str; 3] = [") {
                found.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
            }
            let words = line.split('"').collect::<Vec<_>>();
            let pairs = words.windows(3).filter(|three| three[1] == ", " && three[2].contains("ing "));
            found.extend(pairs.map(|three| three[0].to_owned()));
        }
    }
    let known = operations::KINDS.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(found, known);
}
