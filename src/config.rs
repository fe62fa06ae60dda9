//! The environment, read once: raw (flat strings) → resolved (typed). The only place that reads it.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use secrecy::SecretString;
use url::Url;

/// Every setting, resolved. Which variable each comes from, its default and meaning: `docs/settings.md`.
#[derive(Debug, Clone)]
pub struct Config {
    pub compat: Compat,
    /// `UPSTREAM_STATUS=precise`: 502, 503, 504 instead of 500 for failures of other systems.
    pub precise_upstream_status: bool,
    pub unique_scope: UniqueScope,
    /// Status of a refused login.
    pub login_refused_status: u16,
    pub http: Http,
    pub log: Log,
    pub data_dir: PathBuf,
    /// The SQLite file.
    pub state_file: PathBuf,
    pub state_lock_wait: Duration,
    pub graceful_shutdown: Duration,
    pub answer_within: Duration,
    pub names_wait: Duration,
    pub attention_after: Duration,
    pub admin_email: Option<String>,
    pub admin_password: Option<SecretString>,
    pub store: Store,
    pub unique_fields: Vec<String>,
    pub identity: Identity,
    /// Delete the identity, or only block it.
    pub auth_hard_delete: bool,
    pub token: Token,
    pub limits: Limits,
    pub calls: Calls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compat {
    Strict,
    Original,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueScope {
    All,
    Identities,
}

#[derive(Debug, Clone)]
pub struct Http {
    pub host: IpAddr,
    pub port: u16,
    /// In front of every route but `/-/...`; empty or `/ums`.
    pub prefix: String,
    /// Without a closing slash; `None` = made of the address we listen on.
    pub public_url: Option<Url>,
}

#[derive(Debug, Clone)]
pub struct Log {
    pub level: tracing_subscriber::filter::LevelFilter,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Auto,
    Text,
    Json,
}

#[derive(Debug, Clone)]
pub enum Store {
    Embedded,
    CrudService {
        base: Url,
        /// `/users`
        users_path: String,
    },
}

#[derive(Debug, Clone)]
pub enum Identity {
    Embedded { hash_concurrency: usize, hash_queue: usize },
    Keycloak(Keycloak),
}

#[derive(Debug, Clone)]
pub struct Keycloak {
    pub base: Url,
    pub realm: String,
    pub client_id: String,
    pub client_secret: SecretString,
    pub login_client_id: String,
    pub login_client_secret: Option<SecretString>,
    /// `None` = probed at start.
    pub create: Option<KeycloakCreate>,
    pub late_window: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeycloakCreate {
    /// `partialImport` under an id of our choice.
    PartialImport,
    /// `POST /users` with a marker attribute.
    Marker,
}

#[derive(Debug, Clone)]
pub struct Token {
    /// `None` = the public URL.
    pub issuer: Option<String>,
    pub audience: String,
    pub access_ttl: Duration,
}

#[derive(Debug, Clone)]
pub struct Limits {
    pub body: usize,
    pub header: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub max_connections: usize,
}

/// Of every call to another system.
#[derive(Debug, Clone)]
pub struct Calls {
    pub ca_file: Option<PathBuf>,
    pub connect_timeout: Duration,
    pub call_timeout: Duration,
}

/// One thing wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub variable: String,
    /// What is wrong; what would be right.
    pub sentence: String,
}

impl Config {
    /// Of the given variables, or every mistake at once.
    pub fn resolve(_variables: impl IntoIterator<Item = (String, String)>) -> Result<Arc<Self>, Vec<Mistake>> {
        Err(Vec::new())
    }
}
