//! Requests to us: by method, route template and status.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Where there is no such route, method or answer.
const NONE: &str = "none";
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The method itself where it is one of those that everybody knows, else `other`.
pub fn method(given: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == given).unwrap_or("other")
}

#[derive(Clone)]
pub struct Requests {
    answered: Family<Answered, Counter>,
    took: Family<Asked, Histogram, fn() -> Histogram>,
    /// The templates that were asked for until now.
    routes: Arc<RwLock<HashSet<Arc<str>>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: Arc<str>,
    status: Status,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    route: Arc<str>,
}

/// None was answered where the caller hung up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Status(Option<u16>);

impl EncodeLabelValue for Status {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        match self.0 {
            Some(code) => code.encode(encoder),
            None => NONE.encode(encoder),
        }
    }
}

impl Requests {
    pub(super) fn told_in(registry: &mut Registry) -> Self {
        let took: fn() -> Histogram = super::seconds;
        let requests =
            Self { answered: Family::default(), took: Family::new_with_constructor(took), routes: Arc::default() };
        registry.register(
            "requests",
            "Requests that were answered, or given up by their caller",
            requests.answered.clone(),
        );
        let help = "From the head of a request to the beginning of its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, requests.took.clone());
        requests
    }

    /// `route` is the template that matched. No status where the caller hung up before he was answered.
    pub fn ended(&self, method: &'static str, route: Option<&str>, status: Option<u16>, took: Duration) {
        let route = self.known(route.unwrap_or(NONE));
        self.took.get_or_create(&Asked { method, route: route.clone() }).observe(took.as_secs_f64());
        self.answered.get_or_create(&Answered { method, route, status: Status(status) }).inc();
    }

    /// A head that made no sense.
    pub fn unread(&self, status: u16) {
        let unread = Answered { method: NONE, route: self.known(NONE), status: Status(Some(status)) };
        self.answered.get_or_create(&unread).inc();
    }

    /// The same text each time, which need not be copied.
    fn known(&self, route: &str) -> Arc<str> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = routes.get(route) {
            return known.clone();
        }
        drop(routes);
        let route: Arc<str> = route.into();
        self.routes.write().unwrap_or_else(PoisonError::into_inner).insert(route.clone());
        route
    }
}
