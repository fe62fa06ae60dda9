//! Whoever started the program and waits to hear when it is ready: systemd, with `Type=notify`. The protocol is that of
//! sd_notify(3). Knows nothing of what is ready or stops.
//!
//! There is no watchdog. What beats from a thread of its own beats on when all else hangs; what asks the program first
//! whether it answers would have it killed when others keep it too busy to.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// Perhaps nobody.
pub struct Supervisor(Option<OsString>);

/// What it wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    Ready,
    Stopping,
}

impl Supervisor {
    /// Listens at the socket of that name; nobody does where there is none.
    pub fn at(socket: Option<OsString>) -> Self {
        Self(socket)
    }

    /// That it does not hear us is logged, and keeps us from nothing.
    pub fn tell(&self, news: News) {
        let Some(socket) = &self.0 else { return };
        if let Err(error) = send(socket, news) {
            tracing::warn!(%error, ?news, "NOTIFY_SOCKET: whoever started us does not hear us");
        }
    }
}

fn send(socket: &OsStr, news: News) -> io::Result<()> {
    let address = match socket.as_bytes() {
        // In the abstract namespace (unix(7)), whose names begin with a zero.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let line = match news {
        News::Ready => "READY=1\n",
        News::Stopping => "STOPPING=1\n",
    };
    UnixDatagram::unbound()?.send_to_addr(line.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn heard(by: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        by.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let length = by.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn news_reach_a_socket_by_its_path_and_by_its_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("user-manager-test-{}", std::process::id());
        let by_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (listens, socket) in [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&by_name).unwrap(), format!("@{name}").into()),
        ] {
            let supervisor = Supervisor::at(Some(socket));
            supervisor.tell(News::Ready);
            assert_eq!(heard(&listens), "READY=1\n");
            supervisor.tell(News::Stopping);
            assert_eq!(heard(&listens), "STOPPING=1\n");
        }
    }

    #[test]
    fn nobody_who_listens_is_no_obstacle() {
        for nobody in ["/nowhere/at/all", "@nobody-listens-here", "vsock:2:1", ""] {
            assert!(send(OsStr::new(nobody), News::Ready).is_err(), "{nobody}");
            Supervisor::at(Some(nobody.into())).tell(News::Ready);
        }
    }
}
