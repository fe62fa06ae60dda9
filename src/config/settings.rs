//! The table of every setting that this version has: name, default, meaning. `docs/settings.md` and `.env.example` say
//! the same, and a test holds the three equal. Knows nothing of what a value means.

use super::Compat;

/// One environment variable.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    pub default: Default,
    /// Also taken from the file that `<NAME>_FILE` names; never shown.
    pub secret: bool,
    /// The driver that it belongs to, where it has a meaning for one only.
    pub driver: Option<&'static str>,
    pub meaning: &'static str,
}

/// What holds when nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    Unset,
    /// Read like a given value.
    Value(&'static str),
    /// The one of `COMPAT=strict`, and the one of `COMPAT=original`.
    ByCompat(&'static str, &'static str),
    /// Made of other settings or of the machine; described here.
    Made(&'static str),
}

impl Default {
    /// As the reference shows it.
    pub fn shown(self) -> String {
        match self {
            Self::Unset => "-".to_owned(),
            Self::Value(text) | Self::Made(text) => text.to_owned(),
            Self::ByCompat(strict, original) => format!("{strict} / {original}"),
        }
    }

    /// The text that is read in place of a given value, if there is one.
    pub fn text(self, compat: Compat) -> Option<&'static str> {
        match self {
            Self::Value(text) => Some(text),
            Self::ByCompat(strict, original) => Some(match compat {
                Compat::Strict => strict,
                Compat::Original => original,
            }),
            Self::Unset | Self::Made(_) => None,
        }
    }
}

impl Setting {
    const fn new(name: &'static str, default: Default, meaning: &'static str) -> Self {
        Self { name, default, secret: false, driver: None, meaning }
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn of(mut self, driver: &'static str) -> Self {
        self.driver = Some(driver);
        self
    }
}

pub const GATEWAY: &str = super::gateway::DRIVER;
pub const CRUD_SERVICE: &str = "crud_service";
pub const KEYCLOAK: &str = "keycloak";
pub const EMBEDDED_IDENTITY: &str = "the embedded identity provider";

use self::Default::{ByCompat, Made, Unset, Value};

/// In the order of the reference.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    Setting::new("COMPAT", Value("strict"), "`strict` or `original`: which set of defaults holds. Every setting that it moves can be set alone"),
    Setting::new("ACCESS", ByCompat("token", "gateway"), "`token`: every request brings a bearer token. `gateway`: an API gateway in front says in headers who asks, and a token of ours counts too: [gateway.md](gateway.md)"),
    Setting::new("GATEWAY_PERMISSIONS", ByCompat("roles", "none"), "`roles`: whom the gateway names may do what his roles give. `none`: the gateway has decided, and nothing is asked").of(GATEWAY),
    Setting::new("GATEWAY_ANONYMOUS", ByCompat("refuse", "public"), "A request that the gateway vouches for and that names nobody: 401, or somebody called `public`").of(GATEWAY),
    Setting::new("UPSTREAM_STATUS", Value("500"), "`500`: failures of other systems are answered with 500. `precise`: with 502, 503 or 504"),
    Setting::new("UNIQUE_SCOPE", ByCompat("all", "identities"), "`all`: names are unique over all users. `identities`: the provider's and the store's own indexes decide"),
    Setting::new("EXPIRY", ByCompat("on", "timer-service"), "`on`: a user is blocked on both sides when his `expirationDate` comes. `timer-service`: only where a Timer Service is, which this version does not have, so nobody is; the dates are kept"),
    Setting::new("SELF_PROTECT", ByCompat("on", "unless-backoffice"), "`on`: nobody but a `users:admin` changes his own `expirationDate`, `roles`, `blocked` and `userGroup`. `unless-backoffice`: not for requests of a back office for which the gateway vouches. `off`: whoever may change users may"),
    Setting::new("RANDOM_PWD_GEN", ByCompat("false", "true"), "`true`: a password given with a new person is ignored. Where none counts, another provider than our own gets a random one; our own stores none"),
    Setting::new("PUBLIC_UNBLOCKS", ByCompat("own", "always"), "What the state PUBLIC lifts: `own`: the block that the state before made; `always`: the user's own `blocked` too"),
    Setting::new("CREATE_WITH_STATE", ByCompat("false", "true"), "`true`: `__STATE__` may be given with a new person; DRAFT and TRASH make a blocked identity"),
    Setting::new("LOGIN_REFUSED_STATUS", ByCompat("401", "driver"), "Status of a refused login: `401`, `403`, or `driver` (401 for every provider of this version)"),

    Setting::new("HTTP_HOST", Value("127.0.0.1"), "IP address to listen on"),
    Setting::new("HTTP_PORT", Value("8080"), "Port to listen on; `0` takes any free one, which is printed"),
    Setting::new("SERVICE_PREFIX", Unset, "Path in front of every route but `/-/...`, such as `/ums`"),
    Setting::new("PUBLIC_URL", Made("http://<HTTP_HOST>:<HTTP_PORT>"), "Our address as callers see it: the issuer of our tokens, the beginning of every link in a mail. Needed where we mail and `HTTP_HOST` is no loopback address"),
    Setting::new("CORS_ORIGINS", Unset, "List of origins, such as `https://app.example.org`, whose pages may ask by script. Unset: those of no other origin"),
    Setting::new("GRACEFUL_SHUTDOWN_SECONDS", Value("10"), "How long requests may still finish after SIGTERM"),
    Setting::new("LOG_LEVEL", Value("info"), "`error`, `warn`, `info`, `debug`, `trace`; also `fatal` (= `error`) and `silent` (nothing)"),
    Setting::new("LOG_FORMAT", Value("auto"), "`text`, `json`; `auto`: text on a terminal, JSON elsewhere"),
    Setting::new("ACCESS_LOG", Value("true"), "`true`: a line in the log for every request, at level `info`: its route, its status, how long it took, who asked"),
    Setting::new("METRICS_LISTEN", Unset, "IP address and port, such as `127.0.0.1:9090`, at which `/-/metrics` is open to everybody and nothing else is; port `0` takes any free one, which is printed. On the main port it asks for `metrics:read`: [metrics.md](metrics.md)"),

    Setting::new("DATA_DIR", Value("data"), "Directory of everything that is written; mode 0700, its files 0600"),
    Setting::new("STATE", Made("sqlite:<DATA_DIR>/user-manager.db"), "`sqlite:<path>`: the file of our own state. Lasting storage, never shared by two machines").secret(),
    Setting::new("STATE_LOCK_WAIT", Value("30s"), "How long a start waits for a state that another process holds"),
    Setting::new("STATE_EPHEMERAL", Value("warn"), "A state in memory (tmpfs) or on a container's own layer (overlayfs), with which it would go: `accept`, `warn` (a line in the log at the start) or `refuse` (no start)"),
    Setting::new("ANSWER_WITHIN", Value("25s"), "An operation that is not settled by then is answered `outcome-pending`; keep it below the time-out of whatever stands in front"),
    Setting::new("NAMES_WAIT", Value("5s"), "How long an operation waits for a name that another one holds, then 409"),
    Setting::new("ATTENTION_AFTER", Value("15m"), "An operation unsettled for so long is shown as `needs-attention`; trying goes on"),
    Setting::new("IDEMPOTENCY_TTL", Value("24h"), "How long the answer to a request under an `Idempotency-Key` is kept and given again"),
    Setting::new("RETENTION", Value("30d"), "Settled operations, events and what is kept of mails go when they are older"),
    Setting::new("ADMIN_EMAIL", Unset, "E-mail of the first administrator, who is made at the first start. No effect once there is one"),
    Setting::new("ADMIN_PASSWORD", Unset, "His password. Over the embedded provider one is generated when none is given").secret(),

    Setting::new("CRUD_SERVICE", Unset, "Host of the CRUD Service. Set: it keeps the users. Unset: they are in our own state"),
    Setting::new("USERS_CRUD_ENDPOINT", Value("/users"), "Path of its collection of users").of(CRUD_SERVICE),
    Setting::new("UMS_CONFIG_CRUD_ENDPOINT", Value("/ums-config"), "Path of its collection of group documents").of(CRUD_SERVICE),
    Setting::new("ROLES_CRUD_ENDPOINT", Unset, "Path of its collection of roles. Unset: no catalogue, a role is any text and gives nothing").of(CRUD_SERVICE),
    Setting::new("CRUD_INSERT", Value("import"), "How a user is inserted there under an id of our choice. Only `import` in this version").of(CRUD_SERVICE),
    Setting::new("UNIQUE_FIELDS", Value("email,username"), "Fields that nobody may share, folded (NFKC, case). Only this list in this version"),

    Setting::new("AUTH_MODULE", Value("embedded"), "Where identities are: `embedded` (our own state) or `keycloak`"),
    Setting::new("AUTH_HARD_DELETE", Value("true"), "`true`: deleting a user deletes his identity. `false`: it is only blocked, and keeps its e-mail"),
    Setting::new("RANDOM_PWD_LENGTH", Value("24"), "Characters of a random password; less than 15 is raised to 15 with a line in the log, more than 128 is a mistake"),
    Setting::new("KEYCLOAK_URL", Unset, "Base URL of Keycloak").of(KEYCLOAK),
    Setting::new("KEYCLOAK_REALM", Unset, "Realm of the identities").of(KEYCLOAK),
    Setting::new("KEYCLOAK_CLIENT_ID", Unset, "Client with a service account for the Admin API").of(KEYCLOAK),
    Setting::new("KEYCLOAK_CLIENT_SECRET", Unset, "Its secret").secret().of(KEYCLOAK),
    Setting::new("KEYCLOAK_LOGIN_CLIENT_ID", Made("<KEYCLOAK_CLIENT_ID>"), "Client of the password grant; tokens for it are accepted").of(KEYCLOAK),
    Setting::new("KEYCLOAK_LOGIN_CLIENT_SECRET", Made("<KEYCLOAK_CLIENT_SECRET>"), "Its secret. Unset beside another `KEYCLOAK_LOGIN_CLIENT_ID`: a public client").secret().of(KEYCLOAK),
    Setting::new("KEYCLOAK_CREATE", Made("probed"), "`partial-import` (an id of our choice; needs `manage-realm`) or `marker` (an attribute)").of(KEYCLOAK),
    Setting::new("AUTH_LATE_WINDOW", Value("5m"), "How long an unanswered call there may still land. Longer than every time-out on the way").of(KEYCLOAK),
    Setting::new("KEYCLOAK_EMAIL_CLIENT_ID", Unset, "Client that a mail of Keycloak's speaks of").of(KEYCLOAK),
    Setting::new("KEYCLOAK_EMAIL_REDIRECT_URI", Unset, "Where whoever has chosen a password is led then; one of that client's").of(KEYCLOAK),
    Setting::new("KEYCLOAK_EMAIL_LIFESPAN", Value("12h"), "Life of the link in such a mail").of(KEYCLOAK),
    Setting::new("HASH_CONCURRENCY", Made("number of cores"), "Password hashes computed at once").of(EMBEDDED_IDENTITY),
    Setting::new("HASH_QUEUE", Value("64"), "Hashes that may wait; more are answered 503 `busy`").of(EMBEDDED_IDENTITY),

    Setting::new("TRUSTED_PROXIES", ByCompat("none", "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7,fe80::/10"), "List of addresses and CIDR ranges of the proxies in front: of what they send the client is the last address in `X-Forwarded-For` that is not in the list. `none`: the client is whoever is connected"),

    Setting::new("GATEWAY_SECRET", Unset, "Value of the header `x-gateway-secret`, at least 16 characters: whoever brings it is the gateway. Set alone, no address is; beside `TRUSTED_PROXIES` either is enough").secret().of(GATEWAY),
    Setting::new("GATEWAY_ROUTES", Unset, "What answers in gateway mode beyond the basic set, with commas between: `ums-config`, `roles`, `operations`, `events`, `restore`, `sessions`, `keys`, `pages`, `documentation`, `metrics`, or `all`").of(GATEWAY),
    Setting::new("GATEWAY_USER_ID", Value("authUserId"), "What the user header holds: `authUserId` or `_id`").of(GATEWAY),
    Setting::new("USERID_HEADER_KEY", Value("miauserid"), "Header that names the user").of(GATEWAY),
    Setting::new("BACKOFFICE_HEADER_KEY", Value("isbackoffice"), "Header that says that a back office asks: `1` or `true`").of(GATEWAY),

    Setting::new("TOKEN_ISSUER", Made("<PUBLIC_URL>"), "`iss` of our own tokens"),
    Setting::new("TOKEN_AUDIENCE", Value("user-manager"), "`aud` of our own tokens"),
    Setting::new("ACCESS_TOKEN_TTL", Value("10m"), "Life of our own access tokens, `1m` to `1h`"),
    Setting::new("REFRESH_IDLE", Value("14d"), "A session that is not refreshed for so long ends; not less than `ACCESS_TOKEN_TTL`"),
    Setting::new("SESSION_MAX", Value("90d"), "Life of a session, however often it is refreshed; not less than `REFRESH_IDLE`"),
    Setting::new("REFRESH_GRACE", Value("30s"), "So long a refresh token that was used already gets the same answer again, `0s` to `2m`; later it ends the session"),
    Setting::new("TOKEN_ISSUERS", Unset, "Others whose access tokens count: a JSON list of `{\"issuer\", \"jwks\", \"audience\", \"algorithms\", \"identityClaim\"}`. `jwks` is the URL of their keys, `algorithms` a list such as `[\"RS256\"]`, `identityClaim` the claim that is the `authUserId` (`sub` where it is left out)"),
    Setting::new("CLOCK_SKEW", Value("30s"), "By how much the clock of whoever else made a token may differ from ours, at most `5m`; of our own tokens none"),
    Setting::new("PERMISSIONS_CLAIM", Unset, "Claim of their tokens that says what the caller may, in the place of his roles: a list, or one text with spaces between. Without that claim he may nothing"),
    Setting::new("SESSION_COOKIE", Value("false"), "`true`: a login by JSON answers no tokens but a cookie, which opens `/userinfo`, `/refreshtoken`, `/logout` and the change of one's own password"),
    Setting::new("SESSION_COOKIE_NAME", Value("sid"), "Name of that cookie"),
    Setting::new("CUSTOM_USER_ID_KEY", Value("sub"), "Claim of the identity in `/userinfo` that is the user's `authUserId`"),
    Setting::new("USERINFO_ADDITIONAL_PROPERTIES", Made("every field"), "Fields of the user in `/userinfo`, with commas between; `permissions` only where it is named here. Empty: none"),
    Setting::new("LOGIN_FREE_FAILURES", Value("5"), "So many failed logins of one name from one address are free; with the last of them the waits begin"),
    Setting::new("LOGIN_FREE_FAILURES_ADDRESS", Value("50"), "So many from one address (IPv6: one /64), whatever the names"),
    Setting::new("LOGIN_MAX_WAIT", Value("15m"), "The wait after a failed login begins at a second and doubles up to this, `1s` to `1d`; one failure of a name is forgotten in as long"),

    Setting::new("SMTP_URL", Unset, "Server that takes our mails: `smtp://` (`STARTTLS`, needed where the URL has a user) or `smtps://`, then `user:password@host:port`. Unset: mails are files in `MAIL_DIR`").secret().of(EMBEDDED_IDENTITY),
    Setting::new("MAIL_FROM", Made("<ADMIN_EMAIL>"), "Sender of our mails: `who@example.org` or `Name <who@example.org>`. Needed beside `SMTP_URL` where `ADMIN_EMAIL` is unset").of(EMBEDDED_IDENTITY),
    Setting::new("MAIL_DIR", Made("<DATA_DIR>/mail"), "Without `SMTP_URL` mails are files here, one `.eml` each; mode 0700, its files 0600. Nobody takes them away").of(EMBEDDED_IDENTITY),
    Setting::new("MAIL_PER_IDENTITY", Value("5/1h"), "Mails to one person, `<number>/<duration>`; whatever is asked for beyond is answered alike and not sent"),
    Setting::new("RESET_TTL", Value("1h"), "Life of the link by which somebody chooses a password").of(EMBEDDED_IDENTITY),
    Setting::new("TEMPLATES_DIR", Made("built in"), "Directory of mails and pages in place of those that are built in, a directory a language below it: [mails.md](mails.md)").of(EMBEDDED_IDENTITY),
    Setting::new("DEFAULT_LOCALE", Value("en"), "Language for somebody whose `locale` is unset or has no templates").of(EMBEDDED_IDENTITY),

    Setting::new("BODY_LIMIT", Value("1MiB"), "Largest body of a request"),
    Setting::new("HEADER_LIMIT", Value("32KiB"), "Largest head of a request, at least `8KiB`"),
    Setting::new("HEADER_TIMEOUT", Value("10s"), "Time for the whole head of a request"),
    Setting::new("BODY_TIMEOUT", Value("30s"), "Longest time without a byte of the body, and longest time in which whoever is answered takes nothing of the answer"),
    Setting::new("QUERY_TIMEOUT", Value("5s"), "Time for one list or count over our own state, waiting included"),
    Setting::new("BULK_CAP", Value("1000"), "More users than this change their state at once only where the request says how many: `expect=<n>`"),
    Setting::new("MAX_CONNECTIONS", Value("4096"), "Connections at once. A further one takes the place of one without a request in progress, or waits"),
    Setting::new("MAX_IN_FLIGHT", Made("adaptive"), "Requests at work at once; more are answered 503 `overloaded`. `adaptive`: as many as are answered about as fast as ever: [overload.md](overload.md)"),

    Setting::new("CA_FILE", Made("the system's roots"), "PEM file of further certificate authorities for calls to other systems"),
    Setting::new("CONNECT_TIMEOUT", Value("3s"), "Time to connect to another system"),
    Setting::new("CALL_TIMEOUT", Value("10s"), "Time for a whole call to another system"),
];

/// The row of that name, if this version has it.
pub fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}
