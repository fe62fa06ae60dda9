//! Whoever starts the program and looks after it: what it is told.

use std::{
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
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
