//! The accept loop: how many connections, how long a head may take, how a connection ends, how the listener drains.
//! Knows no route.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::{Version, header::HOST},
    response::Response,
};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use super::{
    Api, frame,
    places::{Place, Places, Rest},
    traffic::Traffic,
    wire::Wire,
};
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
    let places = Places::new(app.config.limits.max_connections);
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            // Before the next one: while many come, those that have ended must not pile up.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                app.clock.pause(ACCEPT_AGAIN).await;
                continue;
            }
        };
        // Taken after the connection: whoever rests is asked to go only when somebody is there who needs his place.
        let place = tokio::select! {
            biased;
            () = &mut shutdown => break,
            place = places.take() => place,
        };
        let (api, stopping) = (api.clone(), stopping.clone());
        connections.spawn(async move { connection(&api, stream, peer, place, stopping).await });
    }
    drop(listener);
    stop.send_replace(true);
    let patience = app.config.graceful_shutdown;
    let finished = async { while connections.join_next().await.is_some() {} };
    if app.clock.within(patience, finished).await.is_none() {
        tracing::warn!(left = connections.len(), "requests were still running when the time to stop was up");
    }
}

async fn connection(
    api: &Api,
    stream: TcpStream,
    peer: SocketAddr,
    mut place: Place,
    mut stopping: watch::Receiver<bool>,
) {
    let limits = &api.app.config.limits;
    // Answers are written whole; waiting for more to send only delays them.
    stream.set_nodelay(true).ok();
    let traffic = Arc::new(Traffic::default());
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let running = traffic.begins();
        let request: Request = request.map(Body::new);
        Box::pin(async move {
            let answer = if names_no_host(&request) {
                frame::answer_unread(&api.app, &Error::new(Code::AmbiguousHeader, "The header host is missing"))
            } else {
                api.answer(request, Some(peer.ip())).await
            };
            Ok::<_, Infallible>(answer.map(|body| running.until_sent(body)))
        })
    });
    let wire = Wire::new(stream, traffic.clone(), api.app.clock.clone(), limits.body_timeout);
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.header)
        .max_buf_size(limits.header.max(SMALLEST_BUFFER))
        .writev(false)
        .serve_connection(TokioIo::new(wire), service);

    let mut stopped = pin!(async { drop(stopping.wait_for(|stop| *stop).await) });
    let mut stops = false;
    let ended = poll_fn(|cx| {
        if !stops && stopped.as_mut().poll(cx).is_ready() {
            stops = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(Some(ended));
        }
        if traffic.has_worked() {
            place.works();
        }
        // What had come by now has been read. Of a request that comes later nothing is done: a client knows that a
        // connection at rest may be closed, and sends it again (RFC 9112 9.3.1).
        match traffic.rest() {
            None => Poll::Pending,
            Some(_) if stops => Poll::Ready(None),
            Some(why) => {
                place.rests(why);
                place.poll_asked_to_go(cx).map(|()| None)
            }
        }
    });
    let Some(ended) = ended.await else { return };
    let parts = connection.into_parts();
    let wire = parts.io.into_inner();
    let gave_up = wire.gave_up();
    let mut stream = wire.into_inner();
    if gave_up {
        // Else the operating system would go on offering what nobody reads.
        stream.set_zero_linger().ok();
        return;
    }
    place.works();
    if let Some(error) = ended.err().and_then(|error| unread(&error, &parts.read_buf)) {
        let answer = frame::answer_unread(&api.app, &error);
        let written = api.app.clock.within(limits.body_timeout, write(&mut stream, answer)).await;
        if !matches!(written, Some(Ok(()))) {
            return;
        }
    }
    place.rests(Rest::Over);
    tokio::select! {
        biased;
        () = close(&api.app, stream) => {}
        () = poll_fn(|cx| place.poll_asked_to_go(cx)) => {}
    }
}

/// RFC 9112 3.2 asks for it in every request but those of HTTP/1.0, whatever it is asked for.
fn names_no_host(request: &Request) -> bool {
    request.version() == Version::HTTP_11 && !request.headers().contains_key(HOST)
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
