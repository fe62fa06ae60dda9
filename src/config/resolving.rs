//! From the texts to the settings: which values go together, what contradicts what. In the order of the reference.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::PathBuf, sync::Arc, thread};

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Calls, Config, Http, Identity, Keycloak, Level, Limits, Log, Login, Mistake, Note, Resolved, SelfProtect, Store,
    Userinfo,
    gateway::{self, RawGateway},
    later,
    mails::{self, Around, RawMail},
    raw::Raw,
    reading::{Noted, Reading},
    settings::{CRUD_SERVICE, EMBEDDED_IDENTITY, KEYCLOAK, SETTINGS},
    tokens::{self, RawToken},
    values,
};

/// Every mistake at once, or the settings. `given` holds no empty value and only names that we know.
pub fn resolve(given: BTreeMap<String, String>) -> Result<Resolved, Vec<Mistake>> {
    let raw: Raw = match envy::from_iter(given.clone()) {
        Ok(raw) => raw,
        Err(error) => return Err(vec![Mistake::wrong("environment", error.to_string(), "texts")]),
    };
    let mut r = Reading::new();
    let config = whole(&mut r, raw);
    later::judge(&given, &mut r.mistakes, &mut r.notes, &mut r.idle);
    let Reading { mistakes, mut notes, mut effective, idle, .. } = r;
    match config {
        Ok(config) if mistakes.is_empty() => {
            notes.extend(idle_note(&idle));
            effective.sort_by_key(|shown| SETTINGS.iter().position(|setting| setting.name == shown.name));
            Ok(Resolved { config: Arc::new(config), notes, effective })
        }
        Ok(_) | Err(Noted) => Err(mistakes),
    }
}

/// One line for all variables whose driver is not in use.
fn idle_note(idle: &[(&'static str, &'static str)]) -> Option<Note> {
    let names = idle.iter().map(|(name, driver)| format!("{name} ({driver})")).collect::<Vec<_>>().join(", ");
    (!idle.is_empty()).then(|| Note {
        level: Level::Warn,
        sentence: format!("set, but of no effect, since what they belong to is not in use: {names}"),
    })
}

/// Everything is read before the first `?`, so that one mistake hides no other.
fn whole(r: &mut Reading, raw: Raw) -> Result<Config, Noted> {
    let compat = r.read("COMPAT", raw.compat, values::compat);
    if let Ok(compat) = compat {
        r.compat = compat;
    }
    let precise_upstream_status = r.read("UPSTREAM_STATUS", raw.upstream_status, values::upstream_status);
    let unique_scope = r.read("UNIQUE_SCOPE", raw.unique_scope, values::unique_scope);
    let expiry = r.read("EXPIRY", raw.expiry, values::expiry);
    let self_protect = r.read("SELF_PROTECT", raw.self_protect, values::self_protect);
    if self_protect == Ok(SelfProtect::Off) {
        let sentence = "SELF_PROTECT=off: whoever may change users changes his own roles, group, block and date too";
        r.notes.push(Note { level: Level::Warn, sentence: sentence.to_owned() });
    }
    let random_passwords = r.read("RANDOM_PWD_GEN", raw.random_pwd_gen, values::boolean);
    let public_unblocks = r.read("PUBLIC_UNBLOCKS", raw.public_unblocks, values::public_unblocks);
    let create_with_state = r.read("CREATE_WITH_STATE", raw.create_with_state, values::boolean);
    let login_refused_status = r.read("LOGIN_REFUSED_STATUS", raw.login_refused_status, values::login_refused_status);

    let proxies_given = raw.trusted_proxies.is_some();
    let trusted_proxies = r.read("TRUSTED_PROXIES", raw.trusted_proxies, values::networks);
    let gateway = gateway::gateway(
        r,
        RawGateway {
            access: raw.access,
            permissions: raw.gateway_permissions,
            anonymous: raw.gateway_anonymous,
            secret: (raw.gateway_secret, raw.gateway_secret_file),
            routes: raw.gateway_routes,
            user_id: raw.gateway_user_id,
            user_header: raw.userid_header_key,
            backoffice_header: raw.backoffice_header_key,
            proxies_given,
        },
        trusted_proxies.as_ref().ok(),
    );
    // Behind a gateway nobody else is a proxy of ours.
    let trusted_proxies = match &gateway {
        Ok(Some(gateway)) => Ok(gateway.peers.clone()),
        Ok(None) | Err(Noted) => trusted_proxies,
    };
    let cors_origins = r.optional("CORS_ORIGINS", raw.cors_origins, values::origins, unset);
    let http = http(r, raw.http_host, raw.http_port, raw.service_prefix, raw.public_url, cors_origins, trusted_proxies);
    let graceful_shutdown = r.read("GRACEFUL_SHUTDOWN_SECONDS", raw.graceful_shutdown_seconds, values::seconds);
    let level = r.read("LOG_LEVEL", raw.log_level, values::log_level);
    let format = r.read("LOG_FORMAT", raw.log_format, values::log_format);
    let access_log = r.read("ACCESS_LOG", raw.access_log, values::boolean);
    let metrics_listen = r.optional("METRICS_LISTEN", raw.metrics_listen, values::address_and_port, unset);

    let data_dir = r.read("DATA_DIR", raw.data_dir, values::path);
    let state_file = state_file(r, raw.state, raw.state_file, data_dir.as_ref().ok());
    let state_lock_wait = r.read("STATE_LOCK_WAIT", raw.state_lock_wait, values::duration);
    let state_ephemeral = r.read("STATE_EPHEMERAL", raw.state_ephemeral, values::ephemeral);
    let answer_within = r.read("ANSWER_WITHIN", raw.answer_within, values::some_time);
    let names_wait = r.read("NAMES_WAIT", raw.names_wait, values::duration);
    let attention_after = r.read("ATTENTION_AFTER", raw.attention_after, values::duration);
    let idempotency_ttl = r.read("IDEMPOTENCY_TTL", raw.idempotency_ttl, values::some_time);
    let retention = r.read("RETENTION", raw.retention, values::some_time);
    let admin_email = r.optional("ADMIN_EMAIL", raw.admin_email, values::email, unset);
    let admin_password = r.secret("ADMIN_PASSWORD", raw.admin_password, raw.admin_password_file, unset);

    let calls = calls(r, raw.ca_file, raw.connect_timeout, raw.call_timeout);
    let store = store(
        r,
        raw.crud_service,
        raw.users_crud_endpoint,
        raw.ums_config_crud_endpoint,
        raw.roles_crud_endpoint,
        raw.crud_insert,
    );
    let unique_fields = r.read("UNIQUE_FIELDS", raw.unique_fields, values::unique_fields);
    let query_timeout = r.read("QUERY_TIMEOUT", raw.query_timeout, values::some_time);
    let bulk_cap = r.read("BULK_CAP", raw.bulk_cap, values::count);
    let identity = identity(
        r,
        RawIdentity {
            module: raw.auth_module,
            url: raw.keycloak_url,
            realm: raw.keycloak_realm,
            client_id: raw.keycloak_client_id,
            client_secret: (raw.keycloak_client_secret, raw.keycloak_client_secret_file),
            login_client_id: raw.keycloak_login_client_id,
            login_client_secret: (raw.keycloak_login_client_secret, raw.keycloak_login_client_secret_file),
            create: raw.keycloak_create,
            late_window: raw.auth_late_window,
            hash_concurrency: raw.hash_concurrency,
            hash_queue: raw.hash_queue,
            mail_client_id: raw.keycloak_email_client_id,
            mail_redirect_uri: raw.keycloak_email_redirect_uri,
            mail_lifespan: raw.keycloak_email_lifespan,
        },
        calls.as_ref().ok(),
    );
    let auth_hard_delete = r.read("AUTH_HARD_DELETE", raw.auth_hard_delete, values::boolean);
    let random_password_length = password_length(r, raw.random_pwd_length);
    let token = tokens::token(
        r,
        &http,
        RawToken {
            issuer: raw.token_issuer,
            audience: raw.token_audience,
            access_ttl: raw.access_token_ttl,
            idle: raw.refresh_idle,
            most: raw.session_max,
            grace: raw.refresh_grace,
            issuers: raw.token_issuers,
            skew: raw.clock_skew,
            permissions_claim: raw.permissions_claim,
        },
    );
    let session_cookie = tokens::session_cookie(r, &http, &identity, raw.session_cookie, raw.session_cookie_name);
    let user_id_claim = r.read("CUSTOM_USER_ID_KEY", raw.custom_user_id_key, values::text);
    let properties =
        r.optional("USERINFO_ADDITIONAL_PROPERTIES", raw.userinfo_additional_properties, values::names, || {
            "every field".to_owned()
        });
    let mail = mails::mail(
        r,
        RawMail {
            smtp_url: (raw.smtp_url, raw.smtp_url_file),
            from: raw.mail_from,
            directory: raw.mail_dir,
            per_identity: raw.mail_per_identity,
            reset_ttl: raw.reset_ttl,
            templates_dir: raw.templates_dir,
            default_locale: raw.default_locale,
        },
        Around {
            identity: identity.as_ref().ok(),
            http: http.as_ref().ok(),
            data_dir: data_dir.as_ref().ok().map(PathBuf::as_path),
            admin_email: admin_email.as_ref().ok().and_then(Option::as_deref),
        },
    );
    let login = login(r, raw.login_free_failures, raw.login_free_failures_address, raw.login_max_wait);
    let limits = limits(
        r,
        raw.body_limit,
        raw.header_limit,
        raw.header_timeout,
        raw.body_timeout,
        raw.max_connections,
        raw.max_in_flight,
    );

    let identity = identity?;
    let admin_email = admin_email?;
    let admin_password = admin_password?;
    first_administrator(r, &identity, admin_email.as_ref(), admin_password.as_ref())?;
    Ok(Config {
        compat: compat?,
        precise_upstream_status: precise_upstream_status?,
        unique_scope: unique_scope?,
        expiry: expiry?,
        self_protect: self_protect?,
        random_passwords: random_passwords?,
        random_password_length: random_password_length?,
        public_unblocks: public_unblocks?,
        create_with_state: create_with_state?,
        login_refused_status: login_refused_status?,
        http: http?,
        gateway: gateway?,
        log: Log { level: level?, format: format?, access: access_log? },
        metrics_listen: metrics_listen?,
        data_dir: data_dir?,
        state_file: state_file?,
        state_lock_wait: state_lock_wait?,
        state_ephemeral: state_ephemeral?,
        graceful_shutdown: graceful_shutdown?,
        answer_within: answer_within?,
        names_wait: names_wait?,
        attention_after: attention_after?,
        idempotency_ttl: idempotency_ttl?,
        retention: retention?,
        admin_email,
        admin_password,
        store: store?,
        unique_fields: unique_fields?,
        query_timeout: query_timeout?,
        bulk_cap: bulk_cap?,
        identity,
        auth_hard_delete: auth_hard_delete?,
        token: token?,
        session_cookie: session_cookie?,
        userinfo: Userinfo { user_id_claim: user_id_claim?, properties: properties? },
        mail: mail?,
        login: login?,
        limits: limits?,
        calls: calls?,
    })
}

pub(super) fn unset() -> String {
    "-".to_owned()
}

fn http(
    r: &mut Reading,
    host: Option<String>,
    port: Option<String>,
    prefix: Option<String>,
    public_url: Option<String>,
    cors_origins: Result<Option<Vec<String>>, Noted>,
    trusted_proxies: Result<Vec<IpNet>, Noted>,
) -> Result<Http, Noted> {
    let host = r.read("HTTP_HOST", host, values::address);
    let port = r.read("HTTP_PORT", port, values::port);
    let prefix = r.optional("SERVICE_PREFIX", prefix, values::prefix, unset);
    let public_url = r.optional("PUBLIC_URL", public_url, values::url, || match (&host, &port) {
        (Ok(host), Ok(port)) => format!("http://{}", SocketAddr::new(*host, *port)),
        (Err(Noted), _) | (_, Err(Noted)) => unset(),
    });
    Ok(Http {
        host: host?,
        port: port?,
        prefix: prefix?.unwrap_or_default(),
        public_url: public_url?,
        cors_origins: cors_origins?.unwrap_or_default(),
        trusted_proxies: trusted_proxies?,
    })
}

fn state_file(
    r: &mut Reading,
    given: Option<String>,
    file: Option<String>,
    data_dir: Option<&PathBuf>,
) -> Result<PathBuf, Noted> {
    let default = data_dir.map(|dir| dir.join("user-manager.db")).unwrap_or_default();
    let Some(state) = r.secret("STATE", given, file, || format!("sqlite:{}", default.display()))? else {
        return Ok(default);
    };
    let state = state.expose_secret();
    if state.starts_with("postgres://") || state.starts_with("postgresql://") {
        return r.noted(Mistake::not_here("STATE", "a state in PostgreSQL"));
    }
    // What was given is not repeated: it may be an address with a password in it.
    match state.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() && !path.starts_with(':') && !path.contains('\0') => Ok(PathBuf::from(path)),
        Some(_) | None => r.noted(Mistake::wrong("STATE", "this is no state that we know", "sqlite:<path of a file>")),
    }
}

/// What cannot work at the first start is told before it.
fn first_administrator(
    r: &mut Reading,
    identity: &Identity,
    email: Option<&String>,
    password: Option<&SecretString>,
) -> Result<(), Noted> {
    match (identity, email, password) {
        (Identity::Embedded { .. }, _, Some(password)) if password.expose_secret().chars().count() < 10 => {
            r.noted(Mistake::wrong("ADMIN_PASSWORD", "it is too short", "at least 10 characters"))
        }
        (Identity::Keycloak(_), None, Some(_)) => r.noted(Mistake::wrong(
            "ADMIN_PASSWORD",
            "it is set without ADMIN_EMAIL, and over Keycloak the first administrator is named by his e-mail",
            "ADMIN_EMAIL beside it, or neither",
        )),
        (Identity::Embedded { .. } | Identity::Keycloak(_), ..) => Ok(()),
    }
}

fn store(
    r: &mut Reading,
    host: Option<String>,
    users_path: Option<String>,
    groups_path: Option<String>,
    roles_path: Option<String>,
    insert: Option<String>,
) -> Result<Store, Noted> {
    let remote = host.is_some();
    let base = r.optional("CRUD_SERVICE", host, values::host, unset);
    if !remote {
        let given = [
            ("USERS_CRUD_ENDPOINT", users_path.is_some()),
            ("UMS_CONFIG_CRUD_ENDPOINT", groups_path.is_some()),
            ("ROLES_CRUD_ENDPOINT", roles_path.is_some()),
            ("CRUD_INSERT", insert.is_some()),
        ];
        r.unused(given, CRUD_SERVICE);
        return Ok(Store::Embedded);
    }
    let users_path = r.read("USERS_CRUD_ENDPOINT", users_path, values::route);
    let groups_path = r.read("UMS_CONFIG_CRUD_ENDPOINT", groups_path, values::route);
    let roles_path = r.optional("ROLES_CRUD_ENDPOINT", roles_path, values::route, unset);
    let import = r.read("CRUD_INSERT", insert, |text| match text {
        "import" => Ok(()),
        other => values::wrong(format!("{other:?} is not in this version"), "import"),
    });
    import?;
    let (users_path, groups_path, roles_path) = (users_path?, groups_path?, roles_path?);
    let paths = [
        ("USERS_CRUD_ENDPOINT", Some(&users_path)),
        ("UMS_CONFIG_CRUD_ENDPOINT", Some(&groups_path)),
        ("ROLES_CRUD_ENDPOINT", roles_path.as_ref()),
    ];
    for (at, (name, path)) in paths.iter().enumerate() {
        if let Some((other, _)) = paths[..at].iter().find(|(_, other)| path.is_some() && other == path) {
            let what = format!("it is the path of {other}, and one collection cannot be both");
            return r.noted(Mistake::wrong(name, what, "another path"));
        }
    }
    Ok(base?.map_or(Store::Embedded, |base| Store::CrudService { base, users_path, groups_path, roles_path }))
}

struct RawIdentity {
    module: Option<String>,
    url: Option<String>,
    realm: Option<String>,
    client_id: Option<String>,
    client_secret: (Option<String>, Option<String>),
    login_client_id: Option<String>,
    login_client_secret: (Option<String>, Option<String>),
    create: Option<String>,
    late_window: Option<String>,
    hash_concurrency: Option<String>,
    hash_queue: Option<String>,
    mail_client_id: Option<String>,
    mail_redirect_uri: Option<String>,
    mail_lifespan: Option<String>,
}

fn identity(r: &mut Reading, raw: RawIdentity, calls: Option<&Calls>) -> Result<Identity, Noted> {
    let module = r.read("AUTH_MODULE", raw.module.clone(), |text| match text {
        "embedded" | "keycloak" | "auth0" | "auth0Client" => Ok(text.to_owned()),
        other => values::wrong(format!("{other:?} is not understood"), "one of embedded, keycloak"),
    })?;
    match module.as_str() {
        "embedded" => embedded(r, raw),
        "keycloak" => keycloak(r, raw, calls),
        "auth0" => r.noted(Mistake::not_here("AUTH_MODULE", "the driver of Auth0")),
        _ => r.noted(Mistake::not_here("AUTH_MODULE", "the driver of the Auth0 Client")),
    }
}

fn embedded(r: &mut Reading, raw: RawIdentity) -> Result<Identity, Noted> {
    let secret = |(given, file): &(Option<String>, Option<String>)| given.is_some() || file.is_some();
    let given = [
        ("KEYCLOAK_URL", raw.url.is_some()),
        ("KEYCLOAK_REALM", raw.realm.is_some()),
        ("KEYCLOAK_CLIENT_ID", raw.client_id.is_some()),
        ("KEYCLOAK_CLIENT_SECRET", secret(&raw.client_secret)),
        ("KEYCLOAK_LOGIN_CLIENT_ID", raw.login_client_id.is_some()),
        ("KEYCLOAK_LOGIN_CLIENT_SECRET", secret(&raw.login_client_secret)),
        ("KEYCLOAK_CREATE", raw.create.is_some()),
        ("AUTH_LATE_WINDOW", raw.late_window.is_some()),
        ("KEYCLOAK_EMAIL_CLIENT_ID", raw.mail_client_id.is_some()),
        ("KEYCLOAK_EMAIL_REDIRECT_URI", raw.mail_redirect_uri.is_some()),
        ("KEYCLOAK_EMAIL_LIFESPAN", raw.mail_lifespan.is_some()),
    ];
    r.unused(given, KEYCLOAK);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let concurrency = r.optional("HASH_CONCURRENCY", raw.hash_concurrency, values::count, || cores.to_string());
    let queue = r.read("HASH_QUEUE", raw.hash_queue, values::count);
    Ok(Identity::Embedded { hash_concurrency: concurrency?.unwrap_or(cores), hash_queue: queue? })
}

fn keycloak(r: &mut Reading, raw: RawIdentity, calls: Option<&Calls>) -> Result<Identity, Noted> {
    let because = "AUTH_MODULE=keycloak needs it";
    let base = r.required("KEYCLOAK_URL", raw.url, values::url, because);
    let realm = r.required("KEYCLOAK_REALM", raw.realm, values::text, because);
    let client_id = r.required("KEYCLOAK_CLIENT_ID", raw.client_id, values::text, because);
    let (secret, secret_file) = raw.client_secret;
    let client_secret = match r.secret("KEYCLOAK_CLIENT_SECRET", secret, secret_file, unset) {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => r.noted(Mistake::wrong(
            "KEYCLOAK_CLIENT_SECRET",
            format!("it is not set, and {because}"),
            "a value, or KEYCLOAK_CLIENT_SECRET_FILE",
        )),
        Err(Noted) => Err(Noted),
    };
    let own_login_client = raw.login_client_id.is_some();
    let login_client_id = r.optional("KEYCLOAK_LOGIN_CLIENT_ID", raw.login_client_id, values::text, || {
        client_id.clone().unwrap_or_default()
    });
    let (secret, secret_file) = raw.login_client_secret;
    let login_client_secret = r.secret("KEYCLOAK_LOGIN_CLIENT_SECRET", secret, secret_file, || {
        if own_login_client { unset() } else { "set".to_owned() }
    });
    let create = r.optional("KEYCLOAK_CREATE", raw.create, values::keycloak_create, || "probed".to_owned());
    let late_window = r.read("AUTH_LATE_WINDOW", raw.late_window, values::duration);
    let mail = mails::keycloak(r, raw.mail_client_id, raw.mail_redirect_uri, raw.mail_lifespan);
    r.unused(
        [("HASH_CONCURRENCY", raw.hash_concurrency.is_some()), ("HASH_QUEUE", raw.hash_queue.is_some())],
        EMBEDDED_IDENTITY,
    );

    let late_window = late_window?;
    if let Some(calls) = calls.filter(|calls| late_window <= calls.call_timeout) {
        let timeout = calls.call_timeout;
        return r.noted(Mistake::wrong(
            "AUTH_LATE_WINDOW",
            format!(
                "{late_window:?} is not longer than CALL_TIMEOUT, {timeout:?}: a call that we gave up could land later"
            ),
            "longer than every time-out on the way, such as 5m",
        ));
    }
    let client_secret = client_secret?;
    let login_client_secret = login_client_secret?;
    let client_id = client_id?;
    Ok(Identity::Keycloak(Box::new(Keycloak {
        base: base?,
        realm: realm?,
        login_client_id: login_client_id?.unwrap_or_else(|| client_id.clone()),
        login_client_secret: login_client_secret.or_else(|| (!own_login_client).then(|| client_secret.clone())),
        client_id,
        client_secret,
        create: create?,
        late_window,
        mail: mail?,
    })))
}

/// A password that is too short for anybody is made longer, and that is said.
fn password_length(r: &mut Reading, given: Option<String>) -> Result<usize, Noted> {
    const SHORTEST: usize = 15;
    let length = r.read("RANDOM_PWD_LENGTH", given, values::password_length)?;
    if length >= SHORTEST {
        return Ok(length);
    }
    if let Some(shown) = r.effective.iter_mut().find(|shown| shown.name == "RANDOM_PWD_LENGTH") {
        shown.value = SHORTEST.to_string();
    }
    let sentence = format!("RANDOM_PWD_LENGTH is {length}, which is too short: random passwords have {SHORTEST}");
    r.notes.push(Note { level: Level::Warn, sentence });
    Ok(SHORTEST)
}

fn login(
    r: &mut Reading,
    free: Option<String>,
    free_of_address: Option<String>,
    max_wait: Option<String>,
) -> Result<Login, Noted> {
    let free_failures = r.read("LOGIN_FREE_FAILURES", free, values::failures);
    let free_failures_address = r.read("LOGIN_FREE_FAILURES_ADDRESS", free_of_address, values::failures);
    let max_wait = r.read("LOGIN_MAX_WAIT", max_wait, values::login_max_wait);
    Ok(Login { free_failures: free_failures?, free_failures_address: free_failures_address?, max_wait: max_wait? })
}

fn limits(
    r: &mut Reading,
    body: Option<String>,
    header: Option<String>,
    header_timeout: Option<String>,
    body_timeout: Option<String>,
    max_connections: Option<String>,
    max_in_flight: Option<String>,
) -> Result<Limits, Noted> {
    let body = r.read("BODY_LIMIT", body, values::size);
    let header = r.read("HEADER_LIMIT", header, values::header_limit);
    let header_timeout = r.read("HEADER_TIMEOUT", header_timeout, values::some_time);
    let body_timeout = r.read("BODY_TIMEOUT", body_timeout, values::some_time);
    let max_connections = r.read("MAX_CONNECTIONS", max_connections, values::count);
    let max_in_flight = r.optional("MAX_IN_FLIGHT", max_in_flight, values::count, || "adaptive".to_owned());
    Ok(Limits {
        body: body?,
        header: header?,
        header_timeout: header_timeout?,
        body_timeout: body_timeout?,
        max_connections: max_connections?,
        max_in_flight: max_in_flight?,
    })
}

fn calls(
    r: &mut Reading,
    ca_file: Option<String>,
    connect: Option<String>,
    call: Option<String>,
) -> Result<Calls, Noted> {
    let ca_file = r.optional("CA_FILE", ca_file, certificates, || "the system's roots".to_owned());
    let connect_timeout = r.read("CONNECT_TIMEOUT", connect, values::some_time);
    let call_timeout = r.read("CALL_TIMEOUT", call, values::some_time);
    Ok(Calls { ca_file: ca_file?, connect_timeout: connect_timeout?, call_timeout: call_timeout? })
}

/// The path of a file that looks like certificates in PEM.
fn certificates(path: &str) -> values::Value<PathBuf> {
    match fs::read_to_string(path) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => Ok(PathBuf::from(path)),
        Ok(_) => values::wrong(format!("{path:?} holds no certificate"), "a PEM file"),
        Err(error) => values::wrong(format!("{path:?} cannot be read ({})", error.kind()), "a PEM file"),
    }
}
