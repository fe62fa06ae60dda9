//! What is told of every request when it has ended, also of one whose caller hung up: the metrics, and a line of the access
//! log. Must not know a path, a query or a name of anybody: the route's template and the `_id` of the user stand for them.

use tracing::Span;

use crate::{access::gate::Arrival, app::App, clock::Stopwatch, users::UserId};

/// Of the lines of the access log, by which they are told from all others.
const TARGET: &str = "user_manager::access_log";

/// Told when it is dropped.
pub struct Ending<'a> {
    app: &'a App,
    arrival: &'a Arrival,
    method: &'static str,
    span: Span,
    began: Stopwatch,
    status: Option<u16>,
}

impl<'a> Ending<'a> {
    pub fn of(app: &'a App, arrival: &'a Arrival, method: &'static str, span: Span) -> Self {
        Self { app, arrival, method, span, began: Stopwatch::start(), status: None }
    }

    pub fn answered(mut self, status: u16) {
        self.status = Some(status);
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let (took, method) = (self.began.elapsed(), self.method);
        let route = self.arrival.seen.route.get().map(|route| route.as_str());
        self.app.metrics.requests.ended(method, route, self.status, took);
        if !self.app.config.log.access {
            return;
        }
        let _entered = self.span.enter();
        let actor = self.arrival.seen.actor.get().map_or("-", UserId::as_str);
        // To the microsecond; what took longer than an hour is as long as that.
        let ms = f64::from(u32::try_from(took.as_micros()).unwrap_or(u32::MAX)) / 1000.0;
        let route = route.unwrap_or("-");
        match self.status {
            Some(status) => tracing::info!(target: TARGET, method, route, status, ms, actor, "answered"),
            None => tracing::info!(target: TARGET, method, route, ms, actor, "the caller hung up"),
        }
    }
}
