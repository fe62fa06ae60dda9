//! A browser without a window, as a process of its own, told what to do by WebDriver (W3C) and, where that has no word, by
//! the DevTools protocol.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Client, Method};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use user_manager::clock::Clock;

/// Keys that write nothing (WebDriver 17.4.2).
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";
pub const SHIFT: &str = "\u{e008}";

/// As root and without a network it starts all the same; scripts of pages are off.
const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--lang=en",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];
const NO_SCRIPTS: u8 = 2;

/// Both processes end with it, also when a test fails.
pub struct Browser {
    _driver: Driver,
    /// Of the browser, while it runs.
    process: Option<Pid>,
    client: Client,
    session: String,
    /// Whatever both write.
    _directory: tempfile::TempDir,
}

struct Driver {
    process: Child,
    /// It would end if nobody held what it writes to.
    out: BufReader<ChildStdout>,
}

/// What a request said of itself.
#[derive(Debug)]
pub struct Asked {
    pub url: String,
    pub referrer: Option<String>,
}

/// What somebody is told who hears the page.
#[derive(Debug)]
pub struct Accessible {
    pub name: String,
    pub role: String,
    pub description: String,
    pub invalid: String,
}

impl Browser {
    /// `program` is the WebDriver; the screen is so many pixels wide.
    pub async fn open(program: &str, width: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (driver, port) = Driver::start(program, directory.path());
        let client = Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(60)).build().unwrap();
        let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", directory.path().join("profile").display()));
        let wanted = json!({
            "goog:loggingPrefs": { "performance": "ALL", "browser": "ALL" },
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": { "profile.managed_default_content_settings.javascript": NO_SCRIPTS },
            },
        });
        let sessions = format!("http://127.0.0.1:{port}/session");
        let mut browser = Self { _driver: driver, process: None, client, session: sessions, _directory: directory };
        let begun = browser.ask(Method::POST, "", json!({ "capabilities": { "alwaysMatch": wanted } })).await;
        let process = begun["capabilities"]["goog:processID"].as_i64().unwrap();
        browser.process = Pid::from_raw(process.try_into().unwrap());
        browser.session = format!("{}/{}", browser.session, begun["sessionId"].as_str().unwrap());
        // What it showed of its own accord.
        browser.go("about:blank").await;
        browser.requests().await;
        let screen = json!({ "width": width, "height": 640, "deviceScaleFactor": 1, "mobile": false });
        browser.command("Emulation.setDeviceMetricsOverride", screen).await;
        browser
    }

    pub async fn close(mut self) {
        self.ask(Method::DELETE, "", Value::Null).await;
        self.process = None;
    }

    pub async fn go(&self, url: &str) {
        self.ask(Method::POST, "/url", json!({ "url": url })).await;
    }

    pub async fn address(&self) -> String {
        text(&self.ask(Method::GET, "/url", Value::Null).await)
    }

    pub async fn source(&self) -> String {
        text(&self.ask(Method::GET, "/source", Value::Null).await)
    }

    /// Waits until it is.
    pub async fn is_titled(&self, title: &str) {
        let mut seen = String::new();
        for _ in 0..500 {
            seen = text(&self.ask(Method::GET, "/title", Value::Null).await);
            if seen == title {
                return;
            }
            Clock::system().pause(Duration::from_millis(20)).await;
        }
        panic!("{seen:?} is no {title:?}: {}", self.source().await);
    }

    /// What can be read there.
    pub async fn text(&self, selector: &str) -> String {
        let element = self.element(selector).await;
        text(&self.ask(Method::GET, &format!("/element/{element}/text"), Value::Null).await)
    }

    /// Presses these keys one after the other; a shift is held until the end.
    pub async fn types(&self, keys: &str) {
        let press = |kind: &str, key: char| json!({ "type": kind, "value": key });
        let mut presses = Vec::new();
        for key in keys.chars() {
            presses.push(press("keyDown", key));
            if key.to_string() != SHIFT {
                presses.push(press("keyUp", key));
            }
        }
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": presses });
        self.ask(Method::POST, "/actions", json!({ "actions": [keyboard] })).await;
        self.ask(Method::DELETE, "/actions", Value::Null).await;
    }

    /// What the body of a function returns. It is no script of the page.
    pub async fn script(&self, body: &str, arguments: Value) -> Value {
        self.ask(Method::POST, "/execute/sync", json!({ "script": body, "args": arguments })).await
    }

    /// What is seen now, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(text(&self.ask(Method::GET, "/screenshot", Value::Null).await)).unwrap()
    }

    /// `light` or `dark`.
    pub async fn prefers(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", features).await;
    }

    pub async fn accessible(&self, selector: &str) -> Accessible {
        let element = self.element(selector).await;
        let name = self.ask(Method::GET, &format!("/element/{element}/computedlabel"), Value::Null).await;
        let role = self.ask(Method::GET, &format!("/element/{element}/computedrole"), Value::Null).await;
        let root = self.command("DOM.getDocument", json!({})).await["root"]["nodeId"].clone();
        let asked = json!({ "nodeId": root, "selector": selector });
        let node = self.command("DOM.querySelector", asked).await["nodeId"].clone();
        let asked = json!({ "nodeId": node, "fetchRelatives": false });
        let tree = self.command("Accessibility.getPartialAXTree", asked).await;
        let node = &tree["nodes"][0];
        let properties = node["properties"].as_array().cloned().unwrap_or_default();
        let invalid = properties.iter().find(|property| property["name"] == "invalid");
        Accessible {
            name: text(&name),
            role: text(&role),
            description: node["description"]["value"].as_str().unwrap_or_default().to_owned(),
            invalid: invalid.and_then(|one| one["value"]["value"].as_str()).unwrap_or_default().to_owned(),
        }
    }

    /// Those that left since it was asked last.
    pub async fn requests(&self) -> Vec<Asked> {
        let log = self.ask(Method::POST, "/se/log", json!({ "type": "performance" })).await;
        let events = log.as_array().unwrap().iter().map(|line| {
            let event: Value = serde_json::from_str(line["message"].as_str().unwrap()).unwrap();
            event["message"].clone()
        });
        let sent = events.filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.map(|event| {
            let request = &event["params"]["request"];
            let referrer = request["headers"]["Referer"].as_str().map(str::to_owned);
            Asked { url: text(&request["url"]), referrer }
        })
        .collect()
    }

    /// What it had against the pages since it was asked last; that one was answered with an error is none.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.ask(Method::POST, "/se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().unwrap().iter().filter(|line| line["source"] != "network");
        lines.map(|line| text(&line["message"])).collect()
    }

    async fn element(&self, selector: &str) -> String {
        let found = self.ask(Method::POST, "/element", json!({ "using": "css selector", "value": selector })).await;
        found.as_object().unwrap().values().next().map(text).unwrap()
    }

    async fn command(&self, name: &str, parameters: Value) -> Value {
        self.ask(Method::POST, "/goog/cdp/execute", json!({ "cmd": name, "params": parameters })).await
    }

    #[expect(clippy::disallowed_methods, reason = "this is somebody with a browser, not the program")]
    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let mut request = self.client.request(method, format!("{}{path}", self.session));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert!(status.is_success(), "{path}: {answer}");
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(browser) = self.process {
            // One that has ended cannot be killed.
            let _ = rustix::process::kill_process(browser, Signal::KILL);
        }
    }
}

impl Driver {
    /// Waits until it listens; with its port.
    fn start(program: &str, directory: &Path) -> (Self, u16) {
        let mut command = Command::new(program);
        command
            .arg("--port=0")
            .env("TMPDIR", directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("CHROMEDRIVER={program}: {error}"));
        let mut driver = Self { out: BufReader::new(process.stdout.take().unwrap()), process };
        let mut said = String::new();
        while driver.out.read_line(&mut said).unwrap() > 0 {
            let port = said.lines().last().and_then(|line| line.split(" successfully on port ").nth(1));
            if let Some(port) = port.and_then(|port| port.trim_end_matches('.').parse().ok()) {
                return (driver, port);
            }
        }
        panic!("{program} does not listen: {said}");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
