//! What is counted and measured, under which names, and how it is written down (OpenMetrics 1.0). Every label has a closed set
//! of values: nothing that comes from outside becomes one. Knows nothing of those who count.
//!
//! A handle that comes from nowhere counts too, but nobody hears of it.

mod calls;
mod operations;
mod requests;

pub use calls::{Calls, Came, OfSystem};
pub use operations::{OfKind, Operations, Outcome};
pub use requests::{Requests, method};

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::text,
    metrics::{gauge::ConstGauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

/// The media type of [`Metrics::text`].
pub const KIND: &str = "application/openmetrics-text";

/// The same with its version.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of what lies between a commit on a fast disk and the patience of a caller.
const SECONDS: [f64; 15] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// All of it. Cheap to copy.
#[derive(Clone)]
pub struct Metrics {
    pub requests: Requests,
    pub operations: Operations,
    pub calls: Calls,
    pub commits: CommitTimes,
    registry: Arc<Registry>,
}

/// How long commits of our own state take.
#[derive(Clone)]
pub struct CommitTimes(Histogram);

/// What stands at this moment. What is not known is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    pub sessions: Option<u64>,
    pub timers_due: Option<u64>,
    pub operations_unsettled: Option<u64>,
    pub operations_needing_attention: Option<u64>,
    pub names_held: Option<u64>,
    pub password_hashes_running: Option<u64>,
    pub password_hashes_waiting: Option<u64>,
    pub requests_in_flight: Option<u64>,
}

impl Metrics {
    /// `kinds`: those of the operations that there are.
    pub fn new(kinds: &'static [&'static str]) -> Self {
        let mut registry = Registry::with_prefix("user_manager");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program that runs", build);
        let commits = CommitTimes::default();
        registry.register_with_unit(
            "commit_duration",
            "Commits of our own state, each of which is durable when it ends",
            Unit::Seconds,
            commits.0.clone(),
        );
        Self {
            requests: Requests::told_in(&mut registry),
            operations: Operations::told_in(&mut registry, kinds),
            calls: Calls::told_in(&mut registry),
            commits,
            registry: Arc::new(registry),
        }
    }

    /// Everything, as [`CONTENT_TYPE`] has it.
    pub fn text(&self, standing: Standing) -> Result<String, fmt::Error> {
        let mut whole = String::new();
        text::encode_registry(&mut whole, &self.registry)?;
        text::encode_registry(&mut whole, &standing.registry())?;
        text::encode_eof(&mut whole)?;
        Ok(whole)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl CommitTimes {
    pub fn took(&self, length: Duration) {
        self.0.observe(length.as_secs_f64());
    }
}

impl Default for CommitTimes {
    fn default() -> Self {
        Self(seconds())
    }
}

impl fmt::Debug for CommitTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommitTimes")
    }
}

impl Standing {
    fn registry(self) -> Registry {
        let gauges = [
            ("sessions", "Sessions of ours that can still be refreshed", self.sessions),
            ("timers_due", "People whose date has come and who are not blocked yet", self.timers_due),
            ("operations_unsettled", "Operations that are neither done nor undone yet", self.operations_unsettled),
            (
                "operations_needing_attention",
                "Unsettled operations that somebody should look at",
                self.operations_needing_attention,
            ),
            ("names_held", "People and names that operations hold", self.names_held),
            ("password_hashes_running", "Password hashes that are computed", self.password_hashes_running),
            ("password_hashes_waiting", "Password hashes that wait for a thread", self.password_hashes_waiting),
            ("requests_in_flight", "Requests that were let in and are not answered yet", self.requests_in_flight),
        ];
        let mut registry = Registry::with_prefix("user_manager");
        for (name, help, value) in gauges {
            if let Some(value) = value {
                registry.register(name, help, ConstGauge::new(value));
            }
        }
        registry
    }
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        let metrics = Metrics::default();
        let known = Standing { sessions: Some(0), names_held: Some(7), ..Standing::default() };
        let text = metrics.text(known).unwrap();
        assert!(
            text.contains("\nuser_manager_sessions 0\n") && text.contains("\nuser_manager_names_held 7\n"),
            "{text}"
        );
        assert!(!text.contains("timers_due") && text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn a_commit_is_measured_in_seconds() {
        let metrics = Metrics::default();
        metrics.commits.took(Duration::from_millis(2));
        let text = metrics.text(Standing::default()).unwrap();
        assert!(text.contains("user_manager_commit_duration_seconds_bucket{le=\"0.0025\"} 1\n"), "{text}");
        assert!(text.contains("user_manager_commit_duration_seconds_bucket{le=\"0.001\"} 0\n"), "{text}");
    }
}
