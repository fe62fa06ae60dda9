//! The accept loop: how many connections, how long a head may take, how a connection ends, how the listener drains.
//! Knows no route.

use std::{convert::Infallible, future::poll_fn, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{body::Body, extract::Request, response::Response};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

use super::{Api, frame, wire::Wire};
use crate::{
    app::App,
    error::{Code, Error},
};

/// hyper takes no smaller buffer.
const SMALLEST_BUFFER: usize = 8 * 1024;
/// After `accept` has failed, which it does when there are no more descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// What a caller may still send after an answer that closes, so that the answer reaches him: a reset would overtake it.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// Answers until `shutdown` ends; then takes no more connections, and lets requests that have begun finish for at most
/// `GRACEFUL_SHUTDOWN_SECONDS`.
pub async fn serve(app: Arc<App>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    accept(&app, Api::new(app.clone()), listener, shutdown).await;
}

/// The same, but that it answers nothing but the metrics, and those to anybody.
pub async fn serve_metrics(app: Arc<App>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    accept(&app, Api::of_metrics(app.clone()), listener, shutdown).await;
}

async fn accept(app: &App, api: Api, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(app.config.limits.max_connections));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            // Whoever finds no place waits in the listen queue of the operating system.
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accepted => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (api, stopping) = (api.clone(), stopping.clone());
                connections.spawn(async move {
                    connection(&api, stream, peer, stopping).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                app.clock.pause(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    let patience = app.config.graceful_shutdown;
    let finished = async { while connections.join_next().await.is_some() {} };
    if app.clock.within(patience, finished).await.is_none() {
        tracing::warn!(left = connections.len(), "requests were still running when the time to stop was up");
    }
}

async fn connection(api: &Api, stream: TcpStream, peer: SocketAddr, mut stopping: watch::Receiver<bool>) {
    let limits = &api.app.config.limits;
    // Answers are written whole; waiting for more to send only delays them.
    stream.set_nodelay(true).ok();
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let request: Request = request.map(Body::new);
        let answer = api.answer(request, Some(peer.ip()));
        Box::pin(async { Ok::<_, Infallible>(answer.await) })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.header)
        .max_buf_size(limits.header.max(SMALLEST_BUFFER))
        .writev(false)
        .serve_connection(TokioIo::new(Wire(stream)), service);

    let stopped = async { drop(stopping.wait_for(|stop| *stop).await) };
    let ended = tokio::select! {
        biased;
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => ended,
        () = stopped => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await
        }
    };
    let parts = connection.into_parts();
    let Wire(mut stream) = parts.io.into_inner();
    let last_words = ended.err().and_then(|error| unread(&error, &parts.read_buf));
    if let Some(error) = last_words {
        let answer = frame::answer_unread(&api.app, &error);
        if write(&mut stream, answer).await.is_err() {
            return;
        }
    }
    close(&api.app, stream).await;
}

/// What to say when the head of a request could not be read. Nothing to a connection that was only idle or broke.
fn unread(error: &hyper::Error, read: &[u8]) -> Option<Error> {
    if error.is_timeout() {
        return (!read.is_empty()).then(|| Error::new(Code::TooSlow, "The head of the request came too slowly"));
    }
    if error.is_parse_too_large() {
        let target_ends = read.contains(&b'\n');
        let code = if target_ends { Code::HeadTooLarge } else { Code::TargetTooLarge };
        return Some(Error::new(code, "The head of the request is too large"));
    }
    let sentence = "The head of the request cannot be read, or can be read in two ways";
    error.is_parse().then(|| Error::new(Code::AmbiguousHeader, sentence))
}

/// An answer outside hyper, which has given the connection up.
async fn write(stream: &mut TcpStream, answer: Response) -> io::Result<()> {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let reason = parts.status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\nconnection: close\r\n", parts.status.as_u16()).into_bytes();
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != "connection") {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    stream.write_all(&bytes).await
}

async fn close(app: &App, mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let rest = async {
        let mut scrap = [0; 4096];
        let mut left = LINGER_BYTES;
        while let Ok(read @ 1..) = stream.read(&mut scrap).await {
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    };
    app.clock.within(LINGER, rest).await;
}
