//! The program as a process of its own, its environment empty but for what a test gives it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use reqwest::Method;
use serde_json::{Value, json};

use crate::memory::memory;

/// A directory for the state.
pub struct State(tempfile::TempDir);

impl State {
    pub fn new() -> Self {
        Self(tempfile::tempdir_in(memory()).unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The name and the password in a file that the program wrote.
    pub fn told(&self, file: &str) -> (String, String) {
        let text = fs::read_to_string(self.path().join(file)).unwrap();
        let (name, password) = text.trim_end().split_once('\n').unwrap();
        (name.to_owned(), password.to_owned())
    }
}

/// What a command said before it ended.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn run(state: &State, line: &[&str], settings: &[(&str, &str)]) -> Ended {
    let output = command(state, settings).args(line).output().unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn command(state: &State, settings: &[(&str, &str)]) -> Command {
    surrounded(Command::new(env!("CARGO_BIN_EXE_user-manager")), state, settings)
}

fn surrounded(mut command: Command, state: &State, settings: &[(&str, &str)]) -> Command {
    command.env_clear().env("DATA_DIR", state.path()).envs(settings.iter().copied()).stdin(Stdio::null());
    command
}

/// A server that listens.
pub struct Program {
    process: Process,
    lines: JoinHandle<Vec<String>>,
    address: String,
    /// Where the metrics are open.
    metrics: Option<String>,
    client: reqwest::Client,
}

/// Ends with the test, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended cannot be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a server said in its life.
#[derive(Debug)]
pub struct Stopped {
    /// The number of a signal as a negative one.
    pub code: i32,
    pub out: String,
    pub err: Vec<String>,
}

impl Program {
    /// Waits until it listens.
    pub fn start(state: &State, settings: &[(&str, &str)]) -> Self {
        let started = Self::try_start(state, &[], settings);
        started.unwrap_or_else(|stopped| panic!("it did not start: {stopped:?}"))
    }

    /// The same with arguments; what it said where it ended before it listened.
    pub fn try_start(state: &State, line: &[&str], settings: &[(&str, &str)]) -> Result<Self, Stopped> {
        Self::launch(command(state, settings).args(line))
    }

    /// The same as `start`, where the operating system lets it hold so many files: until it asks for more, and at most.
    pub fn start_with_files(state: &State, files: (u64, u64), settings: &[(&str, &str)]) -> Self {
        let limits = format!("ulimit -S -n {}; ulimit -H -n {}; exec \"$0\"", files.0, files.1);
        let mut command = surrounded(Command::new("/bin/sh"), state, settings);
        command.args(["-c", &limits, env!("CARGO_BIN_EXE_user-manager")]);
        Self::launch(&mut command).unwrap_or_else(|stopped| panic!("it did not start: {stopped:?}"))
    }

    fn launch(command: &mut Command) -> Result<Self, Stopped> {
        let mut process =
            Process(command.env("HTTP_PORT", "0").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let log = BufReader::new(process.0.stderr.take().unwrap());
        let (listens, address) = mpsc::channel();
        let (tells, metrics) = mpsc::channel();
        let lines = thread::spawn(move || {
            let keep = |line: std::io::Result<String>| {
                let line = line.unwrap();
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = event["metrics"].as_str() {
                    let _ = tells.send(address.to_owned());
                }
                if let Some(address) = event["address"].as_str().filter(|_| event["message"] == "listening") {
                    let _ = listens.send(address.to_owned());
                }
                line
            };
            log.lines().map(keep).collect()
        });
        match address.recv() {
            Ok(address) => {
                let metrics = metrics.try_recv().ok();
                Ok(Self { process, lines, address, metrics, client: reqwest::Client::new() })
            }
            Err(mpsc::RecvError) => Err(ended(process, lines)),
        }
    }

    /// Where the metrics are open to everybody.
    pub fn metrics(&self) -> &str {
        self.metrics.as_deref().unwrap()
    }

    pub fn port(&self) -> u16 {
        self.address.parse::<std::net::SocketAddr>().unwrap().port()
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) -> Stopped {
        if !self.has_ended() {
            let pid = rustix::process::Pid::from_child(&self.process.0);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        }
        self.ends()
    }

    pub fn has_ended(&mut self) -> bool {
        self.process.0.try_wait().unwrap().is_some()
    }

    /// Waits until it ends.
    pub fn ends(self) -> Stopped {
        ended(self.process, self.lines)
    }

    /// An access token, if the name and the password are right.
    pub async fn log_in(&self, name: &str, password: &str) -> Option<String> {
        let body = json!({ "username": name, "password": password, "grant_type": "password" });
        let (status, body) = self.send(self.client.post(self.url("/oauth/token")).json(&body)).await;
        match status {
            200 => Some(body["accessToken"].as_str().unwrap().to_owned()),
            401 => None,
            status => panic!("{status}: {body}"),
        }
    }

    pub async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        self.send(self.client.get(self.url(path)).bearer_auth(token)).await
    }

    pub async fn post(&self, path: &str, token: &str, body: Value) -> (u16, Value) {
        self.send(self.client.post(self.url(path)).bearer_auth(token).json(&body)).await
    }

    /// Tries an operation again at once.
    pub async fn retry(&self, operation: &str, token: &str) -> (u16, Value) {
        self.send(self.client.post(self.url(&format!("/operations/{operation}/retry"))).bearer_auth(token)).await
    }

    /// Whatever is asked, by somebody who may be left without an answer.
    pub async fn try_ask(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let mut request = self.client.request(method, self.url(path)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::try_send(request).await.ok()
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        Self::try_send(request).await.unwrap()
    }

    async fn try_send(request: reqwest::RequestBuilder) -> reqwest::Result<(u16, Value)> {
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        Ok((status, serde_json::from_slice(&answer.bytes().await?).unwrap_or_default()))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn ended(mut process: Process, lines: JoinHandle<Vec<String>>) -> Stopped {
    let mut out = String::new();
    process.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    let status = process.0.wait().unwrap();
    let code = status.code().or(status.signal().map(|signal| -signal)).unwrap();
    Stopped { code, out, err: lines.join().unwrap() }
}
