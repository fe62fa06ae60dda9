//! The program itself: how soon it answers, how much memory it takes, how large it is.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::{
    Size, creates, crowd, runtime, say,
    table::{Rounds, Table, Wanted, mib, ms},
};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_user-manager");
const ROUNDS: usize = 5;
pub const EMAIL: &str = "root@example.org";
pub const PASSWORD: &str = "correct horse battery";
/// Longer than memory for hashing is kept.
const IDLE: Duration = Duration::from_secs(7);
const PATIENCE: Duration = Duration::from_secs(30);

pub fn measure(directory: &Path, size: Size, table: &mut Table) {
    let place = tempfile::tempdir_in(directory).unwrap();
    // The very first start makes the state and the administrator.
    drop(Running::start(place.path()));
    let mut ready: Rounds = (0..ROUNDS).map(|_| Running::start(place.path()).ready).collect();
    let (started, logged_in, idle) = memory(place.path());
    say(&format!("  ready {:.0} ms; {started:.1}, {logged_in:.1}, {idle:.1} MiB", ready.median()));
    table.figure("start to ready, state with one person", Wanted::AtMost(200.0), &ready, ms);

    let (people, place) = crowded(directory, size);
    // The start after it reads what that life has written; the ones after that need not.
    let first = Running::start(place.path()).ready;
    ready = (0..ROUNDS).map(|_| Running::start(place.path()).ready).collect();
    say(&format!("  {people} people: {first:.0} ms, then {:.0} ms", ready.median()));
    table.figure(&format!("start to ready, state with {people} people"), Wanted::AtMost(200.0), &ready, ms);
    table.figure(
        "the first start after the life in which they were made",
        Wanted::AtMost(200.0),
        &[first].into_iter().collect(),
        ms,
    );

    table.figure("memory after the start", Wanted::AtMost(30.0), &[started].into_iter().collect(), mib);
    table.stated("memory just after a login", mib(logged_in));
    let after = format!("memory {} s later", IDLE.as_secs());
    table.figure(&after, Wanted::AtMost(30.0), &[idle].into_iter().collect(), mib);
    let bytes = fs::metadata(PROGRAM).unwrap().len();
    table.stated("the program's file", mib(bytes as f64 / f64::from(1 << 20)));
}

/// Resident MiB: after the start, just after a login, and when nobody has asked for anything for a while.
fn memory(place: &Path) -> (f64, f64, f64) {
    let program = Running::start(place);
    thread::sleep(Duration::from_secs(1));
    let started = program.resident();
    let body = json!({ "username": EMAIL, "password": PASSWORD }).to_string();
    let status = program.ask("POST", "/oauth/token", &body).unwrap();
    assert_eq!(status, 200, "the administrator logs in");
    let logged_in = program.resident();
    thread::sleep(IDLE);
    (started, logged_in, program.resident())
}

/// A state in which many have been made in one life.
fn crowded(directory: &Path, size: Size) -> (usize, tempfile::TempDir) {
    let place = tempfile::tempdir_in(directory).unwrap();
    let people = size.killed * 10;
    runtime().block_on(async {
        let app = creates::open(place.path()).await;
        crowd::all(size.clients, people, move || creates::make(Arc::clone(&app))).await;
    });
    (people, place)
}

pub struct Running {
    child: Child,
    address: SocketAddr,
    /// Milliseconds from the start until it is ready.
    ready: f64,
}

impl Running {
    fn start(place: &Path) -> Self {
        Self::start_on(place, None, &[])
    }

    /// On that core alone, where one is named.
    pub fn start_on(place: &Path, core: Option<usize>, settings: &[(&str, &str)]) -> Self {
        let port = settings.iter().find(|(name, _)| *name == "HTTP_PORT").map(|(_, port)| port.parse().unwrap());
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0))).unwrap().local_addr().unwrap();
        let began = Instant::now();
        let mut command = match core {
            Some(core) => {
                let mut pinned = Command::new("taskset");
                pinned.args(["-c", &core.to_string(), PROGRAM]);
                pinned
            }
            None => Command::new(PROGRAM),
        };
        let child = command
            .env_clear()
            .env("DATA_DIR", place)
            .env("HTTP_PORT", free.port().to_string())
            .env("LOG_LEVEL", "warn")
            .env("ADMIN_EMAIL", EMAIL)
            .env("ADMIN_PASSWORD", PASSWORD)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut running = Self { child, address: free, ready: 0.0 };
        while running.ask("GET", "/-/ready", "").ok() != Some(200) {
            assert!(began.elapsed() < PATIENCE, "the program is not ready");
            let ended = running.child.try_wait().unwrap();
            assert!(ended.is_none(), "the program ended: {ended:?}");
            thread::sleep(Duration::from_millis(1));
        }
        running.ready = began.elapsed().as_secs_f64() * 1000.0;
        running
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<u16> {
        let mut stream = TcpStream::connect(self.address)?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.ok_or_else(|| io::Error::other("no status"))
    }

    /// At once, as by `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// MiB; `VmRSS` of proc(5).
    pub fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Running {
    /// As an operator ends it, so that the state is closed cleanly.
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM).ok();
        self.child.wait().ok();
    }
}
