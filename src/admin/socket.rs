//! The socket beside the state: one line of JSON in, one line out. Only the user whom the state belongs to (and root) gets
//! to it. Knows no command.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

use super::{Asked, Told, commands};
use crate::app::App;

/// Bytes of a line; more is no command of ours.
const LONGEST_LINE: u64 = 64 * 1024;
/// How long the other side may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.sock")
}

/// Answers as long as the app lives. Only whoever holds the state's lock may call this: what lies there already belongs
/// to nobody any more.
pub fn listen(app: &Arc<App>) -> io::Result<()> {
    let path = path(&app.config.data_dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // The directory lets nobody else in, also in the moment before the mode is set.
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let app = Arc::downgrade(app);
    tokio::spawn(async move {
        loop {
            let accepted = listener.accept().await;
            let Some(app) = app.upgrade() else { return };
            match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(async move {
                        if let Err(error) = answer(&app, stream).await {
                            tracing::warn!(%error, "an administrator's command was not answered");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "an administrator's connection could not be accepted");
                    app.clock.pause(Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(())
}

async fn answer(app: &App, stream: UnixStream) -> io::Result<()> {
    // Whom the operating system says, not whom the other side says.
    let uid = stream.peer_cred()?.uid();
    let (reads, mut writes) = stream.into_split();
    let mut line = String::new();
    let mut reads = BufReader::new(reads.take(LONGEST_LINE));
    let asked = app.clock.within(PATIENCE, reads.read_line(&mut line)).await;
    asked.ok_or(ErrorKind::TimedOut)??;
    let told = match serde_json::from_str::<Asked>(&line) {
        Ok(asked) => commands::carry_out(app, uid, asked).await,
        Err(_) => Told::Refused {
            sentence: "the server does not understand this command; is it of another version?".to_owned(),
        },
    };
    let mut line = serde_json::to_vec(&told)?;
    line.push(b'\n');
    writes.write_all(&line).await
}

/// What the holder of the state answers; nothing when there is none.
pub async fn ask(data_dir: &Path, asked: &Asked) -> Option<Told> {
    let stream = UnixStream::connect(path(data_dir)).await.ok()?;
    // From here on somebody may have acted: to do it once more here would be wrong.
    let lost = |error: io::Error| Told::Refused {
        sentence: format!("the server did not answer ({error}); see its log, and look before you repeat this"),
    };
    Some(exchange(stream, asked).await.unwrap_or_else(lost))
}

async fn exchange(mut stream: UnixStream, asked: &Asked) -> io::Result<Told> {
    let mut line = serde_json::to_vec(asked)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut told = String::new();
    BufReader::new(stream).take(LONGEST_LINE).read_line(&mut told).await?;
    Ok(serde_json::from_str(&told)?)
}
