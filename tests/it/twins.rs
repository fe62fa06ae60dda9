//! Other systems as plain state behind real HTTP, with faults as data. A test sets the state, lets the real driver talk to
//! the socket and looks at the state again.

pub mod crud;
pub mod fault;
pub mod issuer;
pub mod keycloak;
pub mod smtp;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
};
use url::Url;
use user_manager::clock::Clock;

use fault::{Arrival, Effect, Fault, Faults, Plan};

/// What a system does with one request: a function over its state, so that an effect is whole or not at all.
pub trait Model: Send + 'static {
    fn answer(&mut self, asked: &Asked) -> Answer;

    /// How it words a status that a fault makes it give.
    fn refusal(&self, status: u16) -> Answer;
}

/// A request, read to its end.
#[derive(Clone)]
pub struct Asked {
    pub method: Method,
    /// As it was sent, percent-encoded.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Asked {
    /// Bytes of its first line and its headers.
    pub fn head(&self) -> usize {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        format!("{} {}?{query} HTTP/1.1\r\n\r\n", self.method, self.path).len() + headers.sum::<usize>()
    }

    /// Decoded; a closing slash leaves an empty last one.
    pub fn segments(&self) -> Vec<String> {
        let decode = |segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned();
        self.path.split('/').skip(1).map(decode).collect()
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json; charset=utf-8".to_owned())];
        Self { status, headers, body: body.to_string().into() }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub fn html(status: u16) -> Self {
        let headers = vec![("content-type", "text/html".to_owned())];
        Self { status, headers, body: "<html><body>not what you asked</body></html>".into() }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A system that runs until it is dropped.
pub struct Twin<M: Model> {
    inside: Arc<Inside<M>>,
    address: SocketAddr,
    /// Dropping it ends the server and every connection.
    _server: JoinSet<()>,
}

struct Inside<M> {
    model: Mutex<M>,
    faults: Mutex<Faults>,
    traces: Mutex<Vec<Trace>>,
    /// Answered when it has happened.
    door: mpsc::UnboundedSender<(Door, oneshot::Sender<()>)>,
}

/// `traceparent` and `tracestate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    pub parent: String,
    pub state: Option<String>,
}

#[derive(Clone, Copy)]
enum Door {
    Open,
    /// New connections are refused.
    Shut,
    /// And those that stand are cut.
    Locked,
}

impl<M: Model> Twin<M> {
    pub async fn start(model: M) -> Self {
        // Keeps the port ours while the door is closed: bound, but not listening, so that a connection is refused.
        let guard = socket("127.0.0.1:0".parse().unwrap());
        let address = guard.local_addr().unwrap();
        let (door, orders) = mpsc::unbounded_channel();
        let inside =
            Arc::new(Inside { model: Mutex::new(model), faults: Mutex::default(), traces: Mutex::default(), door });
        let mut server = JoinSet::new();
        let (opened, is_open) = oneshot::channel();
        inside.door.send((Door::Open, opened)).unwrap();
        server.spawn(serve(Arc::clone(&inside), guard, orders));
        is_open.await.unwrap();
        Self { inside, address, _server: server }
    }

    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).unwrap()
    }

    /// Its state. Not to be held over an await.
    pub fn world(&self) -> MutexGuard<'_, M> {
        self.inside.model.lock().unwrap()
    }

    /// From now on this fault strikes, at the calls that the plan names. Calls are counted from here.
    pub async fn plan(&self, plan: Plan) {
        let shut = self.inside.faults().plan(plan);
        if shut {
            self.inside.door(Door::Locked).await;
        }
    }

    /// All faults end; what is still under way may land.
    pub async fn mend(&self) {
        self.inside.faults().mend();
        self.inside.door(Door::Open).await;
    }

    /// Requests that arrived since the last plan.
    pub fn calls(&self) -> u64 {
        self.inside.faults().calls()
    }

    /// How often the plan's fault struck. A refused connection cannot be counted: closing the door counts.
    pub fn struck(&self) -> u64 {
        self.inside.faults().struck()
    }

    /// `<method> <path>` of every request since the start.
    pub fn log(&self) -> Vec<String> {
        self.inside.faults().log()
    }

    /// What each of them said of the trace that it belongs to.
    pub fn traces(&self) -> Vec<Trace> {
        self.inside.traces.lock().unwrap().clone()
    }

    /// Carries out now whatever was asked of it while it hung.
    pub fn land_late(&self) {
        let late = self.inside.faults().take_late();
        self.inside.land(late);
    }
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

async fn serve<M: Model>(
    inside: Arc<Inside<M>>,
    guard: TcpSocket,
    mut orders: mpsc::UnboundedReceiver<(Door, oneshot::Sender<()>)>,
) {
    let address = guard.local_addr().unwrap();
    let mut listener = None;
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            match &listener {
                Some(listener) => tokio::net::TcpListener::accept(listener).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some((door, done)) = orders.recv() => {
                match door {
                    Door::Open if listener.is_none() => listener = Some(socket(address).listen(1024).unwrap()),
                    Door::Open => {}
                    Door::Shut => listener = None,
                    Door::Locked => {
                        listener = None;
                        connections.shutdown().await;
                    }
                }
                let _ = done.send(());
            }
            Ok((stream, _)) = accepted => {
                connections.spawn(connection(Arc::clone(&inside), stream));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection<M: Model>(inside: Arc<Inside<M>>, stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let cut = Arc::new(Notify::new());
    let served = service_fn(|request| {
        let (inside, cut) = (Arc::clone(&inside), Arc::clone(&cut));
        async move { Ok::<_, Infallible>(inside.respond(request, &cut).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), served);
    tokio::select! {
        _ = connection => {}
        () = cut.notified() => {}
    }
}

type Body = UnsyncBoxBody<Bytes, &'static str>;

impl<M: Model> Inside<M> {
    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap()
    }

    async fn door(&self, door: Door) {
        let (done, is_done) = oneshot::channel();
        self.door.send((door, done)).unwrap();
        is_done.await.unwrap();
    }

    fn land(&self, late: Vec<Asked>) {
        for asked in late {
            self.model.lock().unwrap().answer(&asked);
        }
    }

    async fn respond(self: Arc<Self>, request: Request<Incoming>, cut: &Notify) -> Response<Body> {
        let (head, body) = request.into_parts();
        let Arrival { fault, late, shut_behind, close } = self.faults().arrive(&head.method, head.uri.path());
        self.land(late);
        let said = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let trace = Trace { parent: said("traceparent").unwrap_or_default(), state: said("tracestate") };
        self.traces.lock().unwrap().push(trace);
        if matches!(fault, Some(Fault::CutUnread)) {
            cut.notify_one();
            return std::future::pending().await;
        }
        // A client that left in the middle of its body has asked for nothing.
        let Ok(body) = body.collect().await else { return std::future::pending().await };
        let query = head.uri.query().unwrap_or_default();
        let asked = Asked {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: head.headers,
            body: body.to_bytes(),
        };
        let response = match fault {
            None => whole(self.model.lock().unwrap().answer(&asked)),
            Some(fault) => self.misbehave(fault, asked, cut).await,
        };
        if shut_behind {
            self.door(Door::Shut).await;
        }
        let mut response = response;
        if close {
            response.headers_mut().insert("connection", "close".parse().unwrap());
        }
        response
    }

    async fn misbehave(self: &Arc<Self>, fault: Fault, asked: Asked, cut: &Notify) -> Response<Body> {
        let answer = match fault.effect() {
            Effect::Done => Some(self.model.lock().unwrap().answer(&asked)),
            Effect::NotDone => None,
            Effect::Late(lands) => {
                self.faults().keep(asked, lands);
                if let fault::Lands::After(length) = lands {
                    let inside = Arc::downgrade(self);
                    tokio::spawn(async move {
                        Clock::system().pause(length).await;
                        if let Some(inside) = inside.upgrade() {
                            let late = inside.faults().take_after(length);
                            inside.land(late);
                        }
                    });
                }
                None
            }
        };
        let done = answer.as_ref().is_some_and(|answer| answer.status < 300);
        match fault {
            Fault::Refused | Fault::CutUnread | Fault::CutDone | Fault::CutLate(_) => {
                cut.notify_one();
                std::future::pending().await
            }
            Fault::Hung(_) => std::future::pending().await,
            Fault::Status { status, wait, .. } => {
                let mut refusal = self.model.lock().unwrap().refusal(status);
                if let Some(seconds) = wait {
                    refusal = refusal.header("retry-after", seconds.to_string());
                }
                whole(refusal)
            }
            Fault::Between(status) => whole(Answer::html(status)),
            // What it would have refused anyway, it refuses whole.
            Fault::Garbled | Fault::Truncated if !done => whole(answer.unwrap_or_else(|| Answer::empty(500))),
            Fault::Garbled => whole(Answer::html(200)),
            Fault::Truncated => truncated(answer.map(|answer| answer.body).unwrap_or_default()),
            Fault::Slow(length) => {
                Clock::system().pause(length).await;
                whole(answer.unwrap_or_else(|| Answer::empty(500)))
            }
        }
    }
}

fn whole(answer: Answer) -> Response<Body> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(answer.body).map_err(|never| match never {}).boxed_unsync()).unwrap()
}

/// Half of what the head announces, then the end of the connection.
fn truncated(body: Bytes) -> Response<Body> {
    let body = if body.is_empty() { Bytes::from_static(b"{ \"something\": 1 }") } else { body };
    let announced = body.len();
    let half = body.slice(..announced / 2);
    let frames = stream::unfold(0, move |at| {
        let half = half.clone();
        async move {
            if at == 0 {
                return Some((Ok(Frame::data(half)), 1));
            }
            // What was written so far leaves first.
            tokio::task::yield_now().await;
            Some((Err("cut"), at + 1))
        }
    });
    Response::builder()
        .status(200)
        .header("content-type", "application/json")
        .header("content-length", announced)
        .body(BodyExt::boxed_unsync(StreamBody::new(frames)))
        .unwrap()
}
