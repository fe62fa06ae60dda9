//! The names that belong to later versions or to the service that this one replaces: what each gets when it is set, so
//! that nothing is asked for in vain. Knows no value of a setting that this version has.

use std::collections::BTreeMap;

use super::{Level, Mistake, Note};

/// A name that this version knows and has no use for.
#[derive(Debug, Clone, Copy)]
pub struct Later {
    pub name: &'static str,
    pub part: &'static str,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Stops the start, unless the value is this one, which asks for nothing.
    Switch(&'static str),
    /// A size, a rate, an interval: one line in the log.
    Size,
    /// Has a meaning only for that driver, which cannot be chosen: named in one line with its like.
    Driver(&'static str),
    /// The original needs it, we do not: one line at level INFO.
    NotNeeded,
    /// As `NotNeeded`, but somebody should look what stood in it.
    LookInto,
}

const fn later(name: &'static str, part: &'static str, kind: Kind) -> Later {
    Later { name, part, kind }
}

use Kind::{Driver, LookInto, NotNeeded, Size, Switch};

const FIT: &str = "fitness to run";
const REAL: &str = "further real systems";
const BULK: &str = "jobs";
const CONSISTENCY: &str = "reconciliation";
const DIALECTS: &str = "dialects";
const ORIGINAL: &str = "the original";

#[rustfmt::skip]
pub const LATER: &[Later] = &[
    later("OTEL_EXPORTER_OTLP_ENDPOINT", FIT, Switch("")),

    later("STATE_CONNECTIONS", REAL, Size),
    later("LEASE", REAL, Size),

    later("FENCE_DAYS", REAL, Size),
    later("CONFIGURATION_PATH", REAL, Switch("")),

    later("AUTH_SERVICE", "the driver of the Auth0 Client", Switch("")),
    later("AUTH_CONNECTION", REAL, Driver("auth0Client")),
    later("AUTH_CLIENT_TYPE", REAL, Driver("auth0Client")),
    later("AUTH_CHANGE_PASSWORD_PATH", REAL, Driver("auth0Client")),
    later("AUTH_CHANGE_PASSWORD_BODY", REAL, Driver("auth0Client")),
    later("AUTH0_DOMAIN", REAL, Driver("auth0")),
    later("AUTH0_CLIENT_ID", REAL, Driver("auth0")),
    later("AUTH0_CLIENT_SECRET", REAL, Driver("auth0")),
    later("AUTH0_CLIENT_SECRET_FILE", REAL, Driver("auth0")),
    later("AUTH0_BASE_URL", REAL, Driver("auth0")),
    later("AUTH0_AUDIENCE", REAL, Driver("auth0")),
    later("AUTH0_SCOPE", REAL, Driver("auth0")),
    later("AUTH0_CONNECTION_ID", BULK, Driver("auth0")),
    later("AUTH0_PASSWORD_MAIL", REAL, Driver("auth0")),

    later("ROND_ENABLED", REAL, Switch("false")),
    later("ROND_SERVICE", REAL, Driver("rond")),
    later("BINDINGS_CRUD_ENDPOINT", REAL, Driver("rond")),
    later("ROND_SUBJECT", REAL, Driver("rond")),
    later("ROLES", REAL, Switch("user")),
    later("TIMER_SERVICE", REAL, Switch("")),
    later("TIMER_SERVICE_HEADERS", REAL, Driver("timer_service")),
    later("TIMER_CALLBACK_URL", REAL, Driver("timer_service")),
    later("TIMER_CALLBACK_SECRET", REAL, Driver("timer_service")),
    later("TIMER_CALLBACK_SECRET_FILE", REAL, Driver("timer_service")),
    later("TIMER_LEGACY_CALLBACK", REAL, Switch("")),

    later("GROUPS_HEADER_KEY", REAL, Size),
    later("USER_PROPERTIES_HEADER_KEY", REAL, Size),
    later("CLIENTTYPE_HEADER_KEY", REAL, Size),
    later("ADDITIONAL_HEADERS_TO_PROXY", REAL, Switch("")),

    later("CRUD_TIMEOUT", REAL, Size),
    later("AUTH_TIMEOUT", REAL, Size),
    later("ROND_TIMEOUT", REAL, Size),
    later("TIMER_TIMEOUT", REAL, Size),
    later("BREAKER_FAILURES", REAL, Size),
    later("BREAKER_PAUSE", REAL, Size),
    later("RATE_LIMIT_AUTH", REAL, Size),
    later("RATE_LIMIT_CRUD", REAL, Size),
    later("RATE_LIMIT_ROND", REAL, Size),
    later("RATE_LIMIT_TIMER", REAL, Size),

    later("IMPORT_MAX_BYTES", BULK, Size),
    later("USER_IMPORT_BATCH_SIZE", BULK, Size),
    later("AUTH0_BULK_CHANGE_PASSWORD_RATE_LIMIT_PER_SECOND", BULK, Size),
    later("AUTH0_JOB_POLLING_INTERVAL", BULK, Size),
    later("RECONCILE_SCHEDULE", CONSISTENCY, Switch("")),
    later("RECONCILE_GRACE", CONSISTENCY, Size),
    later("RECONCILE_POLICY", CONSISTENCY, Switch("")),

    later("DIALECTS", DIALECTS, Switch("")),
    later("DAPTIN_BASE", DIALECTS, Driver("daptin")),
    later("DAPTIN_LISTEN", DIALECTS, Switch("")),
    later("DAPTIN_TOKEN_TTL", DIALECTS, Driver("daptin")),
    later("DAPTIN_HOME_GROUPS", DIALECTS, Driver("daptin")),
    later("DAPTIN_LOGIN_REFUSED_STATUS", DIALECTS, Driver("daptin")),
    later("DAPTIN_DUPLICATE_STATUS", DIALECTS, Driver("daptin")),
    later("AMANI_BASE", DIALECTS, Driver("amani")),
    later("AMANI_LISTEN", DIALECTS, Switch("")),
    later("AMANI_TOKEN_TTL", DIALECTS, Driver("amani")),
    later("AMANI_COMPANY", DIALECTS, Driver("amani")),
    later("AMANI_PATCH_STRICT", DIALECTS, Driver("amani")),
    later("APPMIXER_BASE", DIALECTS, Driver("appmixer")),
    later("APPMIXER_LISTEN", DIALECTS, Switch("")),
    later("APPMIXER_TOKEN_TTL", DIALECTS, Driver("appmixer")),
    later("API_USER_CREATE_SCOPE", DIALECTS, Driver("appmixer")),
    later("DEFAULT_USER_VENDOR", DIALECTS, Driver("appmixer")),
    later("APPMIXER_LOGIN_REFUSED_STATUS", DIALECTS, Driver("appmixer")),
    later("APPMIXER_RESET_LINK", DIALECTS, Driver("appmixer")),
    later("WEBHOOK_USER_FORGOT_PASSWORD", DIALECTS, Driver("appmixer")),
    later("WEBHOOK_SECRET", DIALECTS, Driver("appmixer")),
    later("WEBHOOK_SECRET_FILE", DIALECTS, Driver("appmixer")),
    later("WEBHOOK_PRIVATE_ADDRESSES", DIALECTS, Driver("appmixer")),
    later("BINACLE_BASE", DIALECTS, Driver("binacle")),
    later("BINACLE_LISTEN", DIALECTS, Switch("")),
    later("BINACLE_TOKEN_TTL", DIALECTS, Driver("binacle")),
    later("BINACLE_DEFAULT_ADMIN_USER", DIALECTS, Driver("binacle")),
    later("BINACLE_DEFAULT_ADMIN_USER_FILE", DIALECTS, Driver("binacle")),
    later("BINACLE_RATE_LIMIT_ANONYMOUS", DIALECTS, Driver("binacle")),
    later("BINACLE_RATE_LIMIT_PATHS", DIALECTS, Driver("binacle")),
    later("BINACLE_ISSUER", DIALECTS, Driver("binacle")),
    later("BINACLE_AUDIENCE", DIALECTS, Driver("binacle")),

    later("MONGODB_URL", ORIGINAL, NotNeeded),
    later("JOBS_COLLECTION_NAME", ORIGINAL, NotNeeded),
    later("CONFIG_PATH", ORIGINAL, LookInto),
];

/// What these names get. The variables of drivers that cannot be chosen are added to `idle`.
pub fn judge(
    given: &BTreeMap<String, String>,
    mistakes: &mut Vec<Mistake>,
    notes: &mut Vec<Note>,
    idle: &mut Vec<(&'static str, &'static str)>,
) {
    let mut sizes = Vec::new();
    let mut not_needed = Vec::new();
    for Later { name, part, kind } in LATER.iter().copied() {
        let value = given.get(name).map(String::as_str);
        match (kind, value) {
            (Switch(harmless), Some(value)) if value != harmless => {
                mistakes.push(Mistake::not_here(name, part));
            }
            (Size, Some(_)) => sizes.push(name),
            (Driver(driver), Some(_)) => idle.push((name, driver)),
            (NotNeeded, Some(_)) => not_needed.push(name),
            (LookInto, Some(_)) => notes.push(Note {
                level: Level::Warn,
                sentence: format!("{name} is set and not read: look whether anything in that file is needed here"),
            }),
            (Switch(_), _) | (Size | Driver(_) | NotNeeded | LookInto, None) => {}
        }
    }
    if !sizes.is_empty() {
        let names = sizes.join(", ");
        notes.push(Note { level: Level::Warn, sentence: format!("set, but of no effect in this version: {names}") });
    }
    if !not_needed.is_empty() {
        notes.push(Note { level: Level::Info, sentence: format!("set, not needed: {}", not_needed.join(", ")) });
    }
}
