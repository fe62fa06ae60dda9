//! Whoever starts the program and looks after it: what it is told, what it can ask.

use std::{
    io::{Read, Write},
    net::TcpListener,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::program::{Program, State, run};

/// The place of systemd.
struct Listening {
    socket: UnixDatagram,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Listening {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        Self { socket: UnixDatagram::bind(&path).unwrap(), path, _dir: dir }
    }

    fn path(&self) -> &str {
        Path::to_str(&self.path).unwrap()
    }

    /// The next thing; `None` when nothing was said.
    fn hears(&self, within: Duration) -> Option<String> {
        let mut bytes = [0; 256];
        self.socket.set_read_timeout(Some(within)).unwrap();
        let length = self.socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..length].to_vec()).unwrap())
    }
}

const AT_ONCE: Duration = Duration::from_millis(1);
const SOON: Duration = Duration::from_secs(20);

#[test]
fn whoever_starts_it_hears_when_it_is_ready_and_when_it_stops() {
    let (state, systemd) = (State::new(), Listening::start());
    let notify = [("NOTIFY_SOCKET", systemd.path())];
    let server = Program::start(&state, &notify);
    assert_eq!(systemd.hears(SOON).as_deref(), Some("READY=1\n"));

    assert!(Program::try_start(&state, &[], &[notify[0], ("STATE_LOCK_WAIT", "0s")]).is_err());
    assert_eq!(run(&state, &["check-config"], &notify).code, 0);
    assert_eq!(systemd.hears(AT_ONCE), None, "nobody else is ready, and nobody stops");

    assert_eq!(server.stop().code, 0);
    assert_eq!(systemd.hears(AT_ONCE).as_deref(), Some("STOPPING=1\n"));
    assert_eq!(systemd.hears(AT_ONCE), None);
}

#[test]
fn whoever_starts_it_and_does_not_listen_keeps_it_from_nothing() {
    let state = State::new();
    let stopped = Program::start(&state, &[("NOTIFY_SOCKET", "/nowhere/at/all")]).stop();
    assert_eq!(stopped.code, 0);
    assert_eq!(stopped.err.iter().filter(|line| line.contains("NOTIFY_SOCKET: ")).count(), 2, "{:?}", stopped.err);
}

#[test]
fn the_program_asks_itself_whether_it_is_ready() {
    let state = State::new();
    let server = Program::start(&state, &[]);
    let port = server.port().to_string();
    let everywhere = [("HTTP_PORT", port.as_str()), ("HTTP_HOST", "0.0.0.0"), ("PUBLIC_URL", "https://um.example.org")];
    for settings in [&everywhere[..1], &everywhere] {
        let ended = run(&state, &["health"], settings);
        assert_eq!((ended.code, ended.out.as_str()), (0, "ready\n"), "{}", ended.err);
    }
    server.stop();
    let ended = run(&state, &["health"], &everywhere[..1]);
    assert!(ended.code == 1 && ended.err.contains("not ready: "), "{} {}", ended.code, ended.err);
    let ended = run(&state, &["health"], &[("HTTP_PORT", "0")]);
    assert!(ended.code == 1 && ended.err.contains("HTTP_PORT is 0"), "{} {}", ended.code, ended.err);
}

#[test]
fn an_answer_that_is_not_ready_is_not_taken_for_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let length = stream.read(&mut head).unwrap();
        stream.write_all(b"HTTP/1.1 503 x\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n").unwrap();
        String::from_utf8(head[..length].to_vec()).unwrap()
    });
    let ended = run(&State::new(), &["health"], &[("HTTP_PORT", &port)]);
    assert!(ended.code == 1 && ended.err.contains("503"), "{} {}", ended.code, ended.err);
    assert!(asked.join().unwrap().starts_with("GET /-/ready "));
}
