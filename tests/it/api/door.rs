//! The embedded pair behind the real accept loop, and a client that sends exactly the bytes it is given.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use secrecy::SecretString;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use user_manager::{
    access::Caller,
    api::server,
    app::App,
    clock::{Clock, Time},
    config::Config,
    users::{self, UserId, create::Draft},
};

use crate::documented::{Exchange, undocumented};

pub const PASSWORD: &str = "correct horse battery";

pub struct Door {
    pub app: Arc<App>,
    pub address: SocketAddr,
    pub time: Hand,
    /// Holds every permission.
    pub admin: Somebody,
    /// Holds none.
    pub powerless: Somebody,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
    directory: tempfile::TempDir,
}

#[derive(Debug, Clone)]
pub struct Somebody {
    pub id: String,
    pub token: String,
}

/// The system's clock, but that its date can be moved.
#[derive(Clone)]
pub struct Hand(Arc<AtomicI64>, Clock);

impl Hand {
    pub fn advance(&self, length: Duration) {
        self.0.fetch_add(i64::try_from(length.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

type Wait = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Time for Hand {
    fn now_ms(&self) -> i64 {
        self.1.now_ms() + self.0.load(Ordering::Relaxed)
    }
    fn pause(&self, length: Duration) -> Wait {
        let clock = self.1.clone();
        Box::pin(async move { clock.pause(length).await })
    }
    fn deadline(&self, length: Duration) -> Wait {
        let clock = self.1.clone();
        Box::pin(async move { clock.deadline(length).await })
    }
}

/// Every row of every table of the state: what must not change when nothing was asked rightly.
pub type Snapshot = BTreeMap<String, Vec<String>>;

impl Door {
    pub async fn open() -> Self {
        Self::with(&[]).await
    }

    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().to_str().unwrap().to_owned();
        // A machine that is busy with other tests is no reason to refuse anybody.
        let usual = [
            ("DATA_DIR", data.as_str()),
            ("HASH_CONCURRENCY", "1"),
            ("PUBLIC_URL", "https://um.example.org"),
            ("MAX_IN_FLIGHT", "100000"),
        ];
        let variables = usual.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::resolve(variables).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).config;
        let time = Hand(Arc::default(), Clock::system());
        let app = App::open(config, Clock::new(time.clone())).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server::serve(app.clone(), listener, async {
            stopped.await.ok();
        }));
        let nobody = Somebody { id: String::new(), token: String::new() };
        let mut door = Self {
            app,
            address,
            time,
            admin: nobody.clone(),
            powerless: nobody,
            stop: Some(stop),
            serving: Some(serving),
            directory,
        };
        door.admin = door.somebody("root@example.org", "administrators", &["users:admin"]).await;
        door.powerless = door.somebody("mallory@example.org", "users", &[]).await;
        door
    }

    /// A person with just these permissions, logged in.
    pub async fn somebody(&self, email: &str, group: &str, permissions: &[&str]) -> Somebody {
        let Value::Object(fields) = json!({ "userGroup": group, "email": email, "name": "N" }) else { unreachable!() };
        let draft = Draft {
            fields,
            password: Some(SecretString::from(PASSWORD)),
            grant: permissions.iter().map(|name| (*name).to_owned()).collect(),
            ..Draft::default()
        };
        let id = users::create(&self.app, &Caller::inside("test", "cli", "test"), draft).await.unwrap();
        let token = self.log_in(email, PASSWORD).await.unwrap();
        Somebody { id: id.to_string(), token }
    }

    /// The access token, or how it was refused.
    pub async fn log_in(&self, name: &str, password: &str) -> Result<String, Answer> {
        let body = json!({ "username": name, "password": password });
        let target = format!("{}/oauth/token", self.app.config.http.prefix);
        let answer = self.send("POST", &target, None, Some(&body)).await;
        match answer.status {
            200 => Ok(answer.json()["accessToken"].as_str().unwrap().to_owned()),
            _ => Err(answer),
        }
    }

    pub async fn send(&self, method: &str, target: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        let mut head: Vec<(&str, String)> = Vec::new();
        if let Some(token) = token {
            head.push(("authorization", format!("Bearer {token}")));
        }
        let body = body.map(Value::to_string);
        if body.is_some() {
            head.push(("content-type", "application/json".to_owned()));
        }
        let head: Vec<(&str, &str)> = head.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.ask(method, target, &head, body.unwrap_or_default().as_bytes()).await
    }

    pub async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut line = self.connect().await;
        line.write(&request(method, target, headers, body)).await;
        let answer = line.read_answer(method).await.expect("an answer");
        // Only the probes stand outside of the prefix, and only there.
        let inside = target.strip_prefix(&self.app.config.http.prefix);
        let target =
            if target.starts_with("/-/") { target } else { inside.filter(|it| !it.starts_with("/-/")).unwrap_or("") };
        let header = |name: &str| answer.header(name).map(str::to_owned);
        let sent = serde_json::from_slice(body).ok();
        let (sent, status) = (sent.as_ref(), answer.status);
        let missed = undocumented(&Exchange { method, target, sent, status, header: &header, body: &answer.body });
        assert_eq!(missed, None, "the document does not know of this");
        answer
    }

    pub async fn connect(&self) -> Line {
        Line(TcpStream::connect(self.address).await.unwrap())
    }

    /// Tells the accept loop to stop; ends when it has.
    pub async fn stop(&mut self) {
        self.begin_to_stop();
        self.serving.take().unwrap().await.unwrap();
    }

    pub fn begin_to_stop(&mut self) {
        self.app.drain();
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        let file = self.directory.path().join("user-manager.db");
        let database = rusqlite::Connection::open(file).unwrap();
        let mut names = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
        let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let rows = |table: &String| {
            let mut all = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = all.column_count();
            let text = |row: &rusqlite::Row<'_>| {
                (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at)).collect::<Result<Vec<_>, _>>()
            };
            let rows = all.query_map([], text).unwrap().map(|row| format!("{:?}", row.unwrap()));
            (table.clone(), rows.collect())
        };
        names.iter().map(rows).collect()
    }

    pub async fn user(&self, id: &str) -> Option<Map<String, Value>> {
        let id = UserId::parse(id).unwrap();
        self.app.systems.store.get(&id, &Default::default()).await.unwrap().map(|user| user.document)
    }
}

/// The bytes of a request.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nhost: um\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// One connection.
pub struct Line(pub TcpStream);

impl Line {
    pub async fn write(&mut self, bytes: &[u8]) {
        // The other side may have had enough before all is said.
        self.0.write_all(bytes).await.ok();
    }

    /// Nothing when the connection ends without one.
    pub async fn read_answer(&mut self, method: &str) -> Option<Answer> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            let mut byte = [0];
            match self.0.read(&mut byte).await {
                Ok(1) => bytes.push(byte[0]),
                _ => return None,
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        if method != "HEAD" {
            answer.body.resize(length, 0);
            self.0.read_exact(&mut answer.body).await.ok()?;
        }
        Some(answer)
    }

    /// Whether the other side has closed.
    pub async fn ended(&mut self) -> bool {
        !matches!(self.0.read(&mut [0]).await, Ok(1))
    }
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let first = all.next();
        assert!(all.next().is_none(), "{name} stands twice in {self:?}");
        first
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Nothing where the answer has no body.
    pub fn code(&self) -> String {
        if self.body.is_empty() {
            return String::new();
        }
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}
