//! The only place from which a typed request leaves: deadlines, repetitions, tracing and redaction exist once, here.
//! Knows neither users nor the meaning of any path; what a status means is for the driver to say.

mod call;
mod fault;
mod passage;

pub use call::{Answer, Body, Call, Repeat};
pub use fault::{Error, What};
pub use passage::Passed;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client,
    header::{self, HeaderValue},
};
use tracing::Instrument;
use url::Url;

use crate::{
    clock::{Clock, Stopwatch, after},
    config::Calls,
    metrics::{self, Came},
    trace::{self, Trace},
};
use call::Line;

const TOO_MANY_REQUESTS: u16 = 429;
const SERVICE_UNAVAILABLE: u16 = 503;

/// Idle connections are closed by us first: Node closes its own after 72 s, Keycloak after longer.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// Of a reply that we read into memory.
const ANSWER_LIMIT: usize = 16 << 20;
/// Of a refusal, which is only looked at for its reason.
const REFUSAL_LIMIT: usize = 64 << 10;
/// Sendings of one [`Repeat::Safe`] call whose connection was lost.
const SENDINGS: u32 = 3;
/// The shortest wait after being told to wait, so that `Retry-After: 0` is no busy loop.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

/// One other system, and the connections to it. Cheap to copy.
#[derive(Clone)]
pub struct Remote {
    /// As the sentences name it: `CRUD`, `Auth`.
    system: &'static str,
    /// Without a closing slash.
    base: Arc<str>,
    client: Client,
    clock: Clock,
    timeout: Duration,
    made: Arc<Mutex<BTreeMap<String, u64>>>,
    counted: metrics::OfSystem,
}

impl Remote {
    /// Refused, with a sentence, when `CA_FILE` cannot be used.
    pub fn new(system: &'static str, base: &Url, calls: &Calls, clock: Clock) -> Result<Self, String> {
        let client = Client::builder()
            .user_agent(concat!("user-manager/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(calls.connect_timeout)
            .pool_idle_timeout(POOL_IDLE);
        // Without TLS no root is needed, and a machine without any must not keep us from starting.
        let client = match (&calls.ca_file, base.scheme()) {
            (_, "http") => client.tls_certs_only([]),
            (None, _) => client,
            (Some(path), _) => {
                let unusable = |why: &dyn std::fmt::Display| format!("CA_FILE {}: {why}", path.display());
                let pem = std::fs::read(path).map_err(|error| unusable(&error))?;
                let roots = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(&error))?;
                if roots.is_empty() {
                    return Err(unusable(&"no certificate in it"));
                }
                client.tls_certs_merge(roots)
            }
        };
        Ok(Self {
            system,
            base: base.as_str().trim_end_matches('/').into(),
            client: client.build().map_err(|error| format!("no client for {system}: {error}"))?,
            clock,
            timeout: calls.call_timeout,
            made: Arc::default(),
            counted: metrics::Calls::default().of(system),
        })
    }

    /// The same, but that its calls are counted there.
    pub fn counted(self, calls: &metrics::Calls) -> Self {
        Self { counted: calls.of(self.system), ..self }
    }

    /// Sends it, and again where [`Repeat`] and the answer allow, until there is an answer or `CALL_TIMEOUT` is over.
    pub async fn send(&self, call: Call) -> Result<Answer, Error> {
        let line = Arc::new(Line::of(self.system, &call));
        let span = tracing::debug_span!("call", system = self.system, method = line.method, template = %line.template);
        async {
            let (began, watch) = (self.clock.now_ms(), Stopwatch::start());
            let result = self.try_until_answered(&call, &line, began).await;
            let ms = self.clock.now_ms() - began;
            self.counted
                .ended(result.as_ref().map_or_else(Error::came, |answer| Came::Status(answer.status)), watch.elapsed());
            match &result {
                Ok(answer) => tracing::debug!(status = answer.status, ms, "answered"),
                Err(error) => tracing::debug!(%error, ms, "failed"),
            }
            result
        }
        .instrument(span)
        .await
    }

    /// How many requests have left, by `<method> <template>`.
    pub fn made(&self) -> BTreeMap<String, u64> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn try_until_answered(&self, call: &Call, line: &Arc<Line>, began: i64) -> Result<Answer, Error> {
        let Some(url) = call.url(&self.base) else {
            tracing::error!("a path that would name something else was not sent");
            return Err(Error::new(line, What::NotSent, false));
        };
        let until_ms = after(began, self.timeout);
        let left = || Duration::from_millis(u64::try_from(until_ms - self.clock.now_ms()).unwrap_or(0));
        let mut sendings = 0;
        let mut waits = 0;
        // Once a sending went unanswered, no later refusal can tell that nothing happened.
        let mut unsure = false;
        loop {
            sendings += 1;
            let sent = self.clock.within(left(), self.send_once(call, &url, line)).await;
            let what = match sent {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(what)) => what,
                None => What::NoAnswer,
            };
            let safe = call.repeat == Repeat::Safe;
            match &what {
                What::NoAnswer if safe && sendings < SENDINGS && !left().is_zero() => {
                    unsure = true;
                    continue;
                }
                What::Status { status, retry_after, .. } if what.says_wait(safe) => {
                    unsure |= *status != TOO_MANY_REQUESTS;
                    waits += 1;
                    let told = retry_after.as_ref().map_or(SHORTEST_WAIT * waits, |wait| wait.length(&self.clock));
                    let wait = told.max(SHORTEST_WAIT);
                    if wait < left() {
                        self.clock.pause(wait).await;
                        continue;
                    }
                }
                What::NotSent | What::NoAnswer | What::Status { .. } | What::Garbled => {}
            }
            return Err(Error::new(line, what, unsure));
        }
    }

    async fn send_once(&self, call: &Call, url: &Url, line: &Arc<Line>) -> Result<Answer, What> {
        let mut response = self.execute(call, url, line).await?;
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(fault::Wait::parse);
        let location =
            response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        if !status.is_success() {
            let body = read(&mut response, REFUSAL_LIMIT).await.unwrap_or_default();
            return Err(What::Status { status: status.as_u16(), retry_after, body });
        }
        match read(&mut response, ANSWER_LIMIT).await {
            Ok(body) => Ok(Answer { line: Arc::clone(line), status: status.as_u16(), location, body }),
            Err(Cut::TooLong) => Err(What::Garbled),
            Err(Cut::Lost) if call.repeat == Repeat::Safe => Err(What::NoAnswer),
            Err(Cut::Lost) => Err(What::Garbled),
        }
    }
}

impl Remote {
    #[expect(clippy::disallowed_methods, reason = "this is the place that sends")]
    async fn execute(&self, call: &Call, url: &Url, line: &Line) -> Result<reqwest::Response, What> {
        let mut request = call.request(&self.client, url).map_err(|error| {
            tracing::error!(error = %error.without_url(), "a request that cannot be built");
            What::NotSent
        })?;
        let trace = Trace::current().unwrap_or_else(|| Trace::fresh(&self.clock));
        let of_trace =
            [(trace::PARENT, Some(trace.parent(&self.clock))), (trace::STATE, trace.state().map(str::to_owned))];
        for (name, value) in of_trace {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                request.headers_mut().insert(name, value);
            }
        }
        *self
            .made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(format!("{} {}", line.method, line.template))
            .or_default() += 1;
        self.client.execute(request).await.map_err(|error| {
            // Only a connection that never stood is proof that nothing left. The client itself sends again what it could
            // not even begin to write on a connection that had gone stale.
            let what = if error.is_connect() { What::NotSent } else { What::NoAnswer };
            tracing::debug!(error = ?error.without_url(), "no answer");
            what
        })
    }
}

enum Cut {
    Lost,
    TooLong,
}

async fn read(response: &mut reqwest::Response, limit: usize) -> Result<Bytes, Cut> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| Cut::Lost)? {
        if body.len() + chunk.len() > limit {
            return Err(Cut::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

impl What {
    /// Told to wait: a refusal for anybody, a failure only for what may be sent twice.
    fn says_wait(&self, safe: bool) -> bool {
        match self {
            Self::Status { status, retry_after, .. } => {
                *status == TOO_MANY_REQUESTS || (safe && *status == SERVICE_UNAVAILABLE && retry_after.is_some())
            }
            Self::NotSent | Self::NoAnswer | Self::Garbled => false,
        }
    }
}
