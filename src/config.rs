//! The environment, read once: raw (flat strings) → resolved (typed). The only place that reads it.

pub mod gateway;
pub mod later;
mod mails;
mod raw;
mod reading;
mod resolving;
pub mod settings;
pub mod supervisor;
mod tokens;
mod values;

use std::{
    env, fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use jsonwebtoken::Algorithm;
use lettre::message::Mailbox;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use gateway::Gateway;
use settings::setting;

/// Every setting, resolved. Which variable each comes from, its default and meaning: `docs/settings.md`.
#[derive(Debug, Clone)]
pub struct Config {
    pub compat: Compat,
    /// `UPSTREAM_STATUS=precise`: 502, 503, 504 instead of 500 for failures of other systems.
    pub precise_upstream_status: bool,
    pub unique_scope: UniqueScope,
    pub expiry: Expiry,
    pub self_protect: SelfProtect,
    /// A password that is given with a new person is ignored.
    pub random_passwords: bool,
    /// Characters of a password that is made for somebody.
    pub random_password_length: usize,
    pub public_unblocks: PublicUnblocks,
    /// `__STATE__` may be given with a new person.
    pub create_with_state: bool,
    /// Status of a refused login.
    pub login_refused_status: u16,
    pub http: Http,
    /// Where a gateway in front says who asks.
    pub gateway: Option<Gateway>,
    pub log: Log,
    /// Where the metrics are open to everybody.
    pub metrics_listen: Option<SocketAddr>,
    pub data_dir: PathBuf,
    /// The SQLite file.
    pub state_file: PathBuf,
    pub state_lock_wait: Duration,
    pub state_ephemeral: Ephemeral,
    pub graceful_shutdown: Duration,
    pub answer_within: Duration,
    pub names_wait: Duration,
    pub attention_after: Duration,
    /// How long answers under an idempotency key are kept.
    pub idempotency_ttl: Duration,
    /// How long settled operations and events are kept.
    pub retention: Duration,
    pub admin_email: Option<String>,
    pub admin_password: Option<SecretString>,
    pub store: Store,
    pub unique_fields: Vec<String>,
    /// For one list or count over our own state.
    pub query_timeout: Duration,
    /// `BULK_CAP`
    pub bulk_cap: usize,
    pub identity: Identity,
    /// Delete the identity, or only block it.
    pub auth_hard_delete: bool,
    pub token: Token,
    /// Where sessions are kept in a cookie too.
    pub session_cookie: Option<SessionCookie>,
    pub userinfo: Userinfo,
    pub login: Login,
    pub mail: Mail,
    pub limits: Limits,
    pub calls: Calls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compat {
    Strict,
    Original,
}

/// Who may change the protected fields of his own user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfProtect {
    /// Nobody but a `users:admin`.
    On,
    /// Also whoever comes through a back office for which the gateway vouches; nobody does without one.
    UnlessBackoffice,
    /// Whoever may change users.
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    On,
    /// Only where a Timer Service is, which this version does not have.
    TimerService,
}

/// What becomes of a start whose state would not last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ephemeral {
    Accept,
    Warn,
    Refuse,
}

/// Over whom names are unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueScope {
    All,
    Identities,
}

/// What moving somebody to PUBLIC lifts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicUnblocks {
    /// The block that his state made.
    Own,
    /// His own `blocked` too.
    Always,
}

#[derive(Debug, Clone)]
pub struct Http {
    pub host: IpAddr,
    pub port: u16,
    /// In front of every route but `/-/...`; empty or `/ums`.
    pub prefix: String,
    /// Without a closing slash; `None` = made of the address we listen on.
    pub public_url: Option<Url>,
    /// Pages from there may ask by script; as browsers write them.
    pub cors_origins: Vec<String>,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
}

#[derive(Debug, Clone)]
pub struct Log {
    pub level: tracing_subscriber::filter::LevelFilter,
    pub format: LogFormat,
    /// A line for every request.
    pub access: bool,
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
        /// `/ums-config`
        groups_path: String,
        /// Where there is a catalogue: `/roles`.
        roles_path: Option<String>,
    },
}

#[derive(Debug, Clone)]
pub enum Identity {
    Embedded { hash_concurrency: usize, hash_queue: usize },
    Keycloak(Box<Keycloak>),
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
    pub mail: KeycloakMail,
}

/// How Keycloak is to mail somebody a link.
#[derive(Debug, Clone)]
pub struct KeycloakMail {
    /// Where the link leads on to, in the end; that client's name stands on the page.
    pub client_id: Option<String>,
    pub redirect_uri: Option<String>,
    /// Of the link.
    pub lifespan: Duration,
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
    pub refresh_idle: Duration,
    pub session_max: Duration,
    pub refresh_grace: Duration,
    /// Whose tokens count beside those of the identity provider.
    pub issuers: Vec<ForeignIssuer>,
    /// By how much the clock of whoever else made a token may differ from ours.
    pub clock_skew: Duration,
    /// Of a foreign token: what its holder may, in the place of his roles.
    pub permissions_claim: Option<String>,
}

/// An issuer of access tokens that is no identity provider of ours. One of `TOKEN_ISSUERS`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignIssuer {
    /// `iss` of its tokens, to the letter.
    pub issuer: String,
    /// Its JSON Web Key Set.
    pub jwks: Url,
    /// Stands in `aud` of what is meant for us.
    pub audience: String,
    pub algorithms: Vec<Algorithm>,
    /// The claim that is the `authUserId`.
    #[serde(rename = "identityClaim", default = "sub")]
    pub identity_claim: String,
}

fn sub() -> String {
    "sub".to_owned()
}

/// Failed logins.
#[derive(Debug, Clone)]
pub struct Login {
    /// Of one name from one address, without a wait.
    pub free_failures: u32,
    /// Of one address.
    pub free_failures_address: u32,
    pub max_wait: Duration,
}

#[derive(Debug, Clone)]
pub struct SessionCookie {
    pub name: String,
    /// Only ever sent over TLS.
    pub secure: bool,
}

/// What `/userinfo` tells beside what the identity provider does.
#[derive(Debug, Clone)]
pub struct Userinfo {
    /// The claim that names the identity.
    pub user_id_claim: String,
    /// Fields of the user; `None` = all of them.
    pub properties: Option<Vec<String>>,
}

/// Mails with a link by which somebody chooses a password.
#[derive(Debug, Clone)]
pub struct Mail {
    /// To one person.
    pub per_identity: Rate,
    /// How we mail; nothing where the identity provider does.
    pub own: Option<OwnMail>,
}

/// So many within that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub most: u32,
    pub within: Duration,
}

#[derive(Debug, Clone)]
pub struct OwnMail {
    pub way: MailWay,
    pub from: Mailbox,
    /// Of a link.
    pub reset_ttl: Duration,
    pub templates_dir: Option<PathBuf>,
    pub default_locale: String,
}

#[derive(Debug, Clone)]
pub enum MailWay {
    Smtp(Smtp),
    /// A file each, in this directory.
    Files(PathBuf),
}

/// A server that takes mails (RFC 5321).
#[derive(Debug, Clone)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub login: Option<(String, SecretString)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// From the first byte (RFC 8314).
    Implicit,
    /// By `STARTTLS`, or not at all.
    Required,
    /// By `STARTTLS` where the server offers it.
    Offered,
}

#[derive(Debug, Clone)]
pub struct Limits {
    pub body: usize,
    pub header: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub max_connections: usize,
    /// Unset: told by how long what is inside waits.
    pub max_in_flight: Option<usize>,
}

/// Of every call to another system.
#[derive(Debug, Clone)]
pub struct Calls {
    pub ca_file: Option<PathBuf>,
    pub connect_timeout: Duration,
    pub call_timeout: Duration,
}

/// What came out of an environment without mistakes.
#[derive(Debug)]
pub struct Resolved {
    pub config: Arc<Config>,
    /// What somebody should know; logged at start.
    pub notes: Vec<Note>,
    /// Every setting of this version, in the order of the reference.
    pub effective: Vec<Effective>,
}

/// One line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub level: Level,
    pub sentence: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Info,
    Warn,
}

/// A setting as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    pub name: &'static str,
    /// A secret that is there reads `set`.
    pub value: String,
    pub source: Source,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Environment,
    File(PathBuf),
    /// The set of defaults that `COMPAT=original` chooses.
    Compat,
    Default,
    /// The driver that it belongs to is not in use.
    Unused,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Compat => f.write_str("COMPAT"),
            Self::Default => f.write_str("default"),
            Self::Unused => f.write_str("not in use"),
        }
    }
}

/// One thing wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub variable: String,
    /// The whole line, beginning with the variable: what is wrong; what would be right.
    pub line: String,
}

impl Mistake {
    pub fn wrong(variable: &str, what: impl fmt::Display, right: impl fmt::Display) -> Self {
        Self { variable: variable.to_owned(), line: format!("{variable}: {what}; right would be: {right}") }
    }

    /// It asks for something that a later version may have.
    pub fn not_here(variable: &str, part: &str) -> Self {
        Self {
            variable: variable.to_owned(),
            line: format!(
                "{variable} asks for {part}, which this version does not have; right would be: leave it unset"
            ),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl Config {
    /// Our address as browsers see it, without a closing slash.
    pub fn public_url(&self) -> String {
        let given = self.http.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
        let host = match self.http.host {
            IpAddr::V4(host) => host.to_string(),
            IpAddr::V6(host) => format!("[{host}]"),
        };
        given.unwrap_or_else(|| format!("http://{host}:{}", self.http.port))
    }

    /// The origin of our pages and of our cookie (RFC 6454 6.2).
    pub fn origin(&self) -> String {
        match &self.http.public_url {
            Some(url) => url.origin().ascii_serialization(),
            None => self.public_url(),
        }
    }

    /// In front of the pages that we show to people, without a closing slash.
    pub fn pages_url(&self) -> String {
        match self.http.public_url {
            // What stands in front of us may have a prefix of its own, or none.
            Some(_) => self.public_url(),
            None => format!("{}{}", self.public_url(), self.http.prefix),
        }
    }

    /// `iss` of our own tokens.
    pub fn issuer(&self) -> String {
        self.token.issuer.clone().unwrap_or_else(|| self.public_url())
    }

    /// Of the environment of this process.
    pub fn from_environment() -> Result<Resolved, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut variables = Vec::new();
        for (name, value) in env::vars_os() {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => variables.push((name, value)),
                (Ok(name), Err(_)) if known(&name) => {
                    mistakes.push(Mistake::wrong(&name, "it is not UTF-8", "a text"));
                }
                // Not ours: the environment holds everything.
                (Ok(_), Err(_)) | (Err(_), _) => {}
            }
        }
        match Self::resolve(variables) {
            Ok(resolved) if mistakes.is_empty() => Ok(resolved),
            Ok(_) => Err(mistakes),
            Err(further) => Err(mistakes.into_iter().chain(further).collect()),
        }
    }

    /// Of the given variables, or every mistake at once. An empty value is the same as none, but for the one that names what
    /// of a user is shown: nothing is not everything.
    pub fn resolve(variables: impl IntoIterator<Item = (String, String)>) -> Result<Resolved, Vec<Mistake>> {
        let says = |name: &str, value: &str| !value.is_empty() || name == "USERINFO_ADDITIONAL_PROPERTIES";
        resolving::resolve(variables.into_iter().filter(|(name, value)| says(name, value) && known(name)).collect())
    }
}

/// Whether this version judges a variable of that name.
fn known(name: &str) -> bool {
    let file_of_secret = || name.strip_suffix("_FILE").and_then(setting).is_some_and(|setting| setting.secret);
    setting(name).is_some() || file_of_secret() || later::LATER.iter().any(|later| later.name == name)
}
