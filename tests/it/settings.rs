//! The settings: what a value becomes, what a wrong one is told, and that the reference, the example and the code list
//! the same.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use secrecy::ExposeSecret;
use user_manager::config::{
    Config, Identity, Level, MailWay, Mistake, Resolved, Source, Store,
    gateway::{Anonymous, GatewayPermissions, Routes, UserIs},
    later::{Kind, LATER},
    settings::{Default, GATEWAY as GATEWAY_MODE, KEYCLOAK as KEYCLOAK_DRIVER, SETTINGS},
};

fn resolve(given: &[(&str, &str)]) -> Result<Resolved, Vec<Mistake>> {
    Config::resolve(given.iter().map(|(name, value)| (name.to_string(), value.to_string())))
}

/// Without the one line that tells where mails are, which a story of its own looks at.
fn right(given: &[(&str, &str)]) -> Resolved {
    let mut resolved = resolve(given).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    resolved.notes.retain(|note| !note.sentence.starts_with("SMTP_URL is not set"));
    resolved
}

/// The variables that are complained about, each once.
fn wrong(given: &[(&str, &str)]) -> Vec<String> {
    let mistakes = resolve(given).map(|_| "no mistake").unwrap_err();
    for mistake in &mistakes {
        assert!(mistake.line.starts_with(&mistake.variable), "{mistake}");
        assert!(mistake.line.contains("; right would be: "), "{mistake}");
    }
    mistakes.into_iter().map(|mistake| mistake.variable).collect()
}

const KEYCLOAK: [(&str, &str); 5] = [
    ("AUTH_MODULE", "keycloak"),
    ("KEYCLOAK_URL", "https://kc.example.org/auth/"),
    ("KEYCLOAK_REALM", "people"),
    ("KEYCLOAK_CLIENT_ID", "user-manager"),
    ("KEYCLOAK_CLIENT_SECRET", "s3cret-of-the-client"),
];

fn keycloak_and(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    KEYCLOAK.iter().chain(more).copied().collect()
}

#[test]
fn nothing_needs_to_be_set() {
    let Resolved { config, notes, effective } = right(&[]);
    assert!(notes.is_empty(), "{notes:?}");
    assert_eq!((config.http.host.to_string().as_str(), config.http.port), ("127.0.0.1", 8080));
    assert_eq!(config.state_file, Path::new("data/user-manager.db"));
    assert!(matches!(config.store, Store::Embedded));
    assert!(matches!(config.identity, Identity::Embedded { hash_queue: 64, .. }));
    assert_eq!(config.limits.body, 1 << 20);
    assert_eq!(config.answer_within, Duration::from_secs(25));
    assert!(effective.iter().all(|shown| matches!(shown.source, Source::Default | Source::Unused)), "{effective:?}");
}

#[test]
fn every_setting_is_shown_once_in_the_order_of_the_reference() {
    let table = SETTINGS.iter().map(|setting| setting.name).collect::<Vec<_>>();
    for given in [vec![], keycloak_and(&[("CRUD_SERVICE", "crud")])] {
        let shown = right(&given).effective.iter().map(|shown| shown.name).collect::<Vec<_>>();
        assert_eq!(shown, table);
    }
}

#[test]
fn every_variable_is_the_one_that_its_name_says() {
    for setting in SETTINGS {
        let Default::Value(text) = setting.default else { continue };
        let mut given = vec![("CRUD_SERVICE", "crud")];
        if setting.driver == Some(KEYCLOAK_DRIVER) {
            given.extend(KEYCLOAK);
        }
        if setting.driver == Some(GATEWAY_MODE) {
            given.extend([("ACCESS", "gateway"), ("TRUSTED_PROXIES", "10.0.0.5")]);
        }
        given.push((setting.name, text));
        let effective = right(&given).effective;
        let shown = effective.iter().find(|shown| shown.name == setting.name).unwrap();
        assert_eq!((shown.value.as_str(), &shown.source), (text, &Source::Environment), "{}", setting.name);
    }
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let names = SETTINGS.iter().map(|setting| (setting.name, "")).chain(LATER.iter().map(|later| (later.name, "")));
    // Of a user nothing is not everything.
    let names = names.filter(|(name, _)| *name != "USERINFO_ADDITIONAL_PROPERTIES");
    let resolved = right(&names.collect::<Vec<_>>());
    assert_eq!(resolved.effective, right(&[]).effective);
    assert!(resolved.notes.is_empty(), "{:?}", resolved.notes);
}

#[test]
fn every_mistake_is_told_at_once() {
    let names = wrong(&[
        ("COMPAT", "loose"),
        ("HTTP_HOST", "localhost"),
        ("HTTP_PORT", "65536"),
        ("GRACEFUL_SHUTDOWN_SECONDS", "10s"),
        ("STATE", "mysql://user:hunter2@db/x"),
        ("ADMIN_EMAIL", "nobody"),
        ("CRUD_SERVICE", "ftp://crud"),
        ("USERS_CRUD_ENDPOINT", "users"),
        ("HASH_QUEUE", "0"),
        ("ACCESS_TOKEN_TTL", "2h"),
        ("HEADER_LIMIT", "1KiB"),
        ("CA_FILE", "/nowhere.pem"),
        ("CALL_TIMEOUT", "0s"),
        ("METRICS_LISTEN", "9100"),
    ]);
    let wanted = [
        "COMPAT",
        "HTTP_HOST",
        "HTTP_PORT",
        "GRACEFUL_SHUTDOWN_SECONDS",
        "METRICS_LISTEN",
        "STATE",
        "ADMIN_EMAIL",
        "CA_FILE",
        "CALL_TIMEOUT",
        "CRUD_SERVICE",
        "USERS_CRUD_ENDPOINT",
        "HASH_QUEUE",
        "ACCESS_TOKEN_TTL",
        "HEADER_LIMIT",
    ];
    assert_eq!(names, wanted);
}

#[test]
fn no_mistake_repeats_what_may_be_a_secret() {
    let secret = "hunter2-hunter2";
    let url = format!("postgres://user:{secret}@db/x");
    for given in [
        vec![("STATE", url.as_str())],
        vec![("STATE", secret)],
        vec![("CRUD_SERVICE", "http://user:hunter2-hunter2@crud")],
        vec![("AUTH_MODULE", "keycloak"), ("KEYCLOAK_CLIENT_SECRET", secret)],
        vec![("ADMIN_PASSWORD", "hunter2"), ("ADMIN_PASSWORD_FILE", "/x")],
        vec![("ADMIN_PASSWORD", "hunter2")],
        vec![("SMTP_URL", "smtp://user:hunter2@relay?x")],
        vec![("SMTP_URL", secret)],
    ] {
        let lines = format!("{:?}", resolve(&given).map(|_| ()).unwrap_err());
        assert!(!lines.contains("hunter2"), "{lines}");
    }
}

#[test]
fn a_secret_comes_from_the_variable_or_from_a_file_and_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("good", "line one\nline two\n");
    let resolved = right(&[("ADMIN_PASSWORD_FILE", &good)]);
    assert_eq!(resolved.config.admin_password.as_ref().unwrap().expose_secret(), "line one\nline two");
    let shown = resolved.effective.iter().find(|shown| shown.name == "ADMIN_PASSWORD").unwrap();
    assert_eq!((shown.value.as_str(), &shown.source), ("set", &Source::File(good.clone().into())));
    let debug = format!("{resolved:?}");
    assert!(!debug.contains("line one"), "{debug}");

    assert_eq!(wrong(&[("ADMIN_PASSWORD_FILE", &good), ("ADMIN_PASSWORD", "long enough")]), ["ADMIN_PASSWORD"]);
    for bad in [file("empty", ""), file("newline", "\n"), "/nowhere".to_owned(), dir.path().display().to_string()] {
        assert_eq!(wrong(&[("ADMIN_PASSWORD_FILE", &bad)]), ["ADMIN_PASSWORD_FILE"], "{bad}");
    }
}

#[test]
fn keycloak_needs_its_four_names_and_lends_its_client_to_the_login() {
    assert_eq!(
        wrong(&[("AUTH_MODULE", "keycloak")]),
        ["KEYCLOAK_URL", "KEYCLOAK_REALM", "KEYCLOAK_CLIENT_ID", "KEYCLOAK_CLIENT_SECRET"]
    );
    let of = |given: &[_]| match right(given).config.identity.clone() {
        Identity::Keycloak(keycloak) => keycloak,
        other @ Identity::Embedded { .. } => panic!("{other:?}"),
    };
    let lent = of(&KEYCLOAK);
    assert_eq!(lent.base.as_str(), "https://kc.example.org/auth");
    assert_eq!(lent.login_client_id, "user-manager");
    assert_eq!(lent.login_client_secret.unwrap().expose_secret(), "s3cret-of-the-client");
    let public = of(&keycloak_and(&[("KEYCLOAK_LOGIN_CLIENT_ID", "web")]));
    assert_eq!((public.login_client_id.as_str(), public.login_client_secret.is_none()), ("web", true));
}

#[test]
fn two_settings_that_cannot_both_hold_are_both_named() {
    let late = keycloak_and(&[("AUTH_LATE_WINDOW", "10s"), ("CALL_TIMEOUT", "10s")]);
    let mistakes = resolve(&late).map(|_| ()).unwrap_err();
    assert!(mistakes[0].line.contains("AUTH_LATE_WINDOW") && mistakes[0].line.contains("CALL_TIMEOUT"), "{mistakes:?}");
    for (short, long) in
        [(("ACCESS_TOKEN_TTL", "1h"), ("REFRESH_IDLE", "30m")), (("REFRESH_IDLE", "14d"), ("SESSION_MAX", "10d"))]
    {
        let mistakes = resolve(&[short, long]).map(|_| ()).unwrap_err();
        assert!(mistakes[0].line.starts_with(long.0) && mistakes[0].line.contains(short.0), "{mistakes:?}");
    }
    let cookie = ("SESSION_COOKIE", "true");
    assert_eq!(wrong(&[cookie, ("PUBLIC_URL", "http://um.example.org")]), ["PUBLIC_URL"]);
    assert_eq!(wrong(&[cookie, ("HTTP_HOST", "0.0.0.0")]), ["PUBLIC_URL"]);
    assert_eq!(wrong(&keycloak_and(&[cookie])), ["SESSION_COOKIE"]);
    let here = right(&[cookie]);
    assert!(!here.config.session_cookie.as_ref().unwrap().secure && here.notes.len() == 1, "{:?}", here.notes);
    assert!(right(&[cookie, ("PUBLIC_URL", "https://um.example.org")]).config.session_cookie.as_ref().unwrap().secure);
    let nameless = keycloak_and(&[("ADMIN_PASSWORD", "long enough")]);
    let mistakes = resolve(&nameless).map(|_| ()).unwrap_err();
    assert!(mistakes[0].line.contains("ADMIN_PASSWORD") && mistakes[0].line.contains("ADMIN_EMAIL"), "{mistakes:?}");
}

#[test]
fn mails_are_files_unless_a_server_is_given_and_that_is_said() {
    let of = |given: &[(&str, &str)]| resolve(given).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let own = |resolved: &Resolved| resolved.config.mail.own.clone().unwrap();
    let files = of(&[("DATA_DIR", "/d")]);
    assert!(matches!(own(&files).way, MailWay::Files(path) if path == Path::new("/d/mail")));
    assert_eq!(own(&files).from.to_string(), "user-manager@localhost");
    let [note] = files.notes.as_slice() else { panic!("{:?}", files.notes) };
    assert!(note.level == Level::Warn && note.sentence.contains("/d/mail"), "{note:?}");

    let smtp = [("SMTP_URL", "smtps://u:hunter2@mail.example.org")];
    let sent = of(&[smtp[0], ("ADMIN_EMAIL", "root@example.org"), ("MAIL_DIR", "/elsewhere")]);
    assert!(sent.notes.is_empty(), "{:?}", sent.notes);
    assert_eq!(own(&sent).from.to_string(), "root@example.org");
    assert!(matches!(own(&sent).way, MailWay::Smtp(smtp) if smtp.host == "mail.example.org" && smtp.port == 465));
    assert!(!format!("{sent:?}").contains("hunter2"));
    let named = of(&[smtp[0], ("MAIL_FROM", "Users <users@example.org>")]);
    assert_eq!(own(&named).from.to_string(), "Users <users@example.org>");

    assert_eq!(wrong(&smtp), ["MAIL_FROM"]);
    assert_eq!(wrong(&[("MAIL_FROM", "a@b\r\nBcc: c@d")]), ["MAIL_FROM"]);
    assert_eq!(wrong(&[("HTTP_HOST", "0.0.0.0")]), ["PUBLIC_URL"]);
    right(&[("HTTP_HOST", "0.0.0.0"), ("PUBLIC_URL", "https://users.example.org")]);
    right(&keycloak_and(&[("HTTP_HOST", "0.0.0.0")]));
    assert_eq!(wrong(&keycloak_and(&[("KEYCLOAK_EMAIL_REDIRECT_URI", "https://x")])), ["KEYCLOAK_EMAIL_REDIRECT_URI"]);
    for (name, bad) in [("MAIL_PER_IDENTITY", "5"), ("RESET_TTL", "0s"), ("DEFAULT_LOCALE", "../x")] {
        assert_eq!(wrong(&[(name, bad)]), [name]);
    }
}

#[test]
fn what_a_later_version_has_stops_the_start_when_it_would_switch_something_on() {
    for given in [
        vec![("AUTH_MODULE", "auth0")],
        vec![("AUTH_MODULE", "auth0Client")],
        vec![("STATE", "postgres://user@db/x")],
        vec![("CRUD_INSERT", "operation-id"), ("CRUD_SERVICE", "crud")],
    ] {
        assert_eq!(wrong(&given), [given[0].0]);
    }
    for later in LATER {
        let harmless = match later.kind {
            Kind::Switch(harmless) => harmless,
            Kind::Size | Kind::Driver(_) | Kind::NotNeeded | Kind::LookInto => continue,
        };
        assert_eq!(wrong(&[(later.name, "something")]), [later.name]);
        let line = resolve(&[(later.name, "something")]).map(|_| ()).unwrap_err()[0].line.clone();
        assert!(line.contains(" asks for ") && line.contains(", which this version does not have"), "{line}");
        assert!(right(&[(later.name, harmless)]).notes.is_empty(), "{}", later.name);
    }
}

#[test]
fn what_changes_no_behaviour_is_one_line_in_the_log() {
    let sizes = [("LEASE", "5s"), ("STATE_CONNECTIONS", "64"), ("AUTH_TIMEOUT", "3s")];
    let notes = right(&sizes).notes;
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].level == Level::Warn && sizes.iter().all(|(name, _)| notes[0].sentence.contains(name)),
        "{notes:?}"
    );

    let idle = [("KEYCLOAK_REALM", "x"), ("AUTH0_DOMAIN", "x.auth0.com"), ("USERS_CRUD_ENDPOINT", "/users")];
    let notes = right(&idle).notes;
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].level == Level::Warn && idle.iter().all(|(name, _)| notes[0].sentence.contains(name)),
        "{notes:?}"
    );

    let notes = right(&[("MONGODB_URL", "mongodb://x"), ("JOBS_COLLECTION_NAME", "jobs")]).notes;
    assert_eq!((notes.len(), notes[0].level), (1, Level::Info));
    let notes = right(&[("CONFIG_PATH", "/etc/x")]).notes;
    assert_eq!((notes.len(), notes[0].level), (1, Level::Warn));
}

#[test]
fn the_defaults_of_the_original_are_those_behind_a_gateway() {
    let resolved = right(&[("COMPAT", "original")]);
    let gateway = resolved.config.gateway.as_ref().unwrap();
    assert_eq!((gateway.permissions, gateway.anonymous), (GatewayPermissions::None, Anonymous::Public));
    assert!(gateway.routes.is_empty() && gateway.secret.is_none() && !gateway.peers.is_empty());
    assert_eq!((gateway.user_header.as_str(), gateway.user_is), ("miauserid", UserIs::AuthUserId));
    let told: Vec<_> = resolved.notes.iter().filter(|note| note.sentence.starts_with("ACCESS=gateway: ")).collect();
    assert!(told.len() == 1 && told[0].level == Level::Warn, "{:?}", resolved.notes);
    assert!(right(&[("COMPAT", "original"), ("ACCESS", "token")]).config.gateway.is_none());
    let scope = resolved.effective.iter().find(|shown| shown.name == "UNIQUE_SCOPE").unwrap();
    assert_eq!((scope.value.as_str(), &scope.source), ("identities", &Source::Compat));
}

#[test]
fn a_random_password_is_never_too_short() {
    let length = |text: &str| right(&[("RANDOM_PWD_LENGTH", text)]);
    for (given, holds) in [("8", 15), ("0", 15), ("15", 15), ("24", 24), ("128", 128)] {
        let resolved = length(given);
        assert_eq!(resolved.config.random_password_length, holds, "{given}");
        let said = resolved.notes.iter().any(|note| note.sentence.starts_with("RANDOM_PWD_LENGTH is "));
        assert_eq!(said, given != holds.to_string(), "{given}: {:?}", resolved.notes);
        let shown = resolved.effective.iter().find(|shown| shown.name == "RANDOM_PWD_LENGTH").unwrap();
        assert_eq!(shown.value, holds.to_string());
    }
    for bad in ["129", "-1", "many", "1.5"] {
        assert_eq!(wrong(&[("RANDOM_PWD_LENGTH", bad)]), ["RANDOM_PWD_LENGTH"], "{bad}");
    }
}

#[test]
fn variables_that_are_not_ours_are_nobodys_business() {
    let resolved = right(&[("PATH", "/bin"), ("http_port", "x"), ("HTTP_PORT_FILE", "/x"), ("DATABASE_URL", "x")]);
    assert!(resolved.notes.is_empty());
}

// The three that must say the same.

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn reference_of_settings() -> String {
    let mut text = "| name | default | meaning |\n|---|---|---|\n".to_owned();
    for setting in SETTINGS {
        let name = setting.name;
        let mut meaning = setting.meaning.to_owned();
        if setting.secret {
            meaning += &format!(". Secret: or `{name}_FILE`");
        }
        if let Some(driver) = setting.driver {
            meaning += &format!(". Only for {driver}");
        }
        text += &format!("| `{name}` | {} | {meaning} |\n", shown(setting.default));
    }
    text
}

fn shown(default: Default) -> String {
    match default {
        Default::Unset => "-".to_owned(),
        Default::Value(text) => format!("`{text}`"),
        Default::ByCompat(strict, original) => format!("`{strict}` / `{original}`"),
        Default::Made(text) if text.contains('<') => format!("`{text}`"),
        Default::Made(text) => text.to_owned(),
    }
}

fn reference_of_later_names() -> String {
    let mut text = "| name | belongs to | when set |\n|---|---|---|\n".to_owned();
    for later in LATER {
        let what = match later.kind {
            Kind::Switch("") => "the start stops".to_owned(),
            Kind::Switch(harmless) => format!("the start stops, unless it is `{harmless}`"),
            Kind::Size => "a line in the log".to_owned(),
            Kind::Driver(driver) => format!("a line in the log: {driver} is not in use"),
            Kind::NotNeeded => "a line in the log: not needed".to_owned(),
            Kind::LookInto => "a line in the log: look whether its content is needed".to_owned(),
        };
        text += &format!("| `{}` | {} | {what} |\n", later.name, later.part);
    }
    text
}

fn example() -> String {
    let mut text = String::new();
    for setting in SETTINGS {
        text += &format!("\n# {}\n", setting.meaning);
        text += &match setting.default {
            Default::Value(default) | Default::ByCompat(default, _) => format!("#{}={default}\n", setting.name),
            Default::Unset => format!("#{}=\n", setting.name),
            Default::Made(what) => format!("# (default: {what})\n#{}=\n", setting.name),
        };
    }
    text
}

#[test]
fn the_reference_lists_what_the_code_has() {
    let page = read("docs/settings.md");
    for table in [reference_of_settings(), reference_of_later_names()] {
        assert!(page.contains(&table), "docs/settings.md should hold exactly this:\n{table}");
    }
}

#[test]
fn the_example_lists_what_the_code_has() {
    let example = example();
    assert!(read(".env.example").ends_with(&example), ".env.example should end with exactly this:\n{example}");
}

#[test]
fn every_default_of_the_example_may_be_uncommented() {
    let lines = read(".env.example");
    let given = lines.lines().filter_map(|line| line.strip_prefix('#')?.split_once('='));
    let given =
        given.filter(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'));
    let mut given = given.collect::<Vec<_>>();
    assert_eq!(given.len(), SETTINGS.len());
    // Whose empty value is one, as its meaning says.
    given.retain(|(name, _)| *name != "USERINFO_ADDITIONAL_PROPERTIES");
    let values = |resolved: Resolved| {
        let used = resolved.effective.into_iter().filter(|shown| shown.source != Source::Unused);
        used.map(|shown| (shown.name, shown.value)).collect::<Vec<_>>()
    };
    assert_eq!(values(right(&given)), values(right(&[])));
}

#[test]
fn no_name_stands_twice() {
    let names = SETTINGS.iter().map(|setting| setting.name).chain(LATER.iter().map(|later| later.name));
    let names = names.collect::<Vec<_>>();
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len());
}

#[test]
fn an_issuer_is_trusted_only_whole_and_with_keys_that_nobody_shares() {
    let whole = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut one = serde_json::json!({
            "issuer": "https://id.example.org", "jwks": "https://id.example.org/keys", "audience": "users",
            "algorithms": ["RS256", "EdDSA"],
        });
        change(&mut one);
        serde_json::json!([one]).to_string()
    };
    let good = whole(&|_| ());
    let issuers = &right(&[("TOKEN_ISSUERS", &good)]).config.token.issuers;
    assert_eq!((issuers.len(), issuers[0].identity_claim.as_str()), (1, "sub"));
    assert!(right(&[("TOKEN_ISSUERS", "[]")]).config.token.issuers.is_empty());

    let without = |member: &'static str| whole(&move |one| drop(one.as_object_mut().unwrap().remove(member)));
    let with = |member: &'static str, value: serde_json::Value| whole(&move |one| one[member] = value.clone());
    let twice = good.replace("}]", &format!("}},{}]", &good[1..good.len() - 1]));
    for bad in [
        "nonsense",
        "{}",
        "[7]",
        &twice,
        &without("issuer"),
        &without("jwks"),
        &without("audience"),
        &without("algorithms"),
        &with("issuer", "".into()),
        &with("audience", "".into()),
        &with("identityClaim", "".into()),
        &with("jwks", "/keys".into()),
        &with("jwks", "file:///etc/passwd".into()),
        &with("algorithms", serde_json::json!([])),
        &with("algorithms", serde_json::json!(["HS256"])),
        &with("algorithms", serde_json::json!(["none"])),
        &with("further", true.into()),
        &with("issuer", "http://127.0.0.1:8080".into()),
    ] {
        assert_eq!(wrong(&[("TOKEN_ISSUERS", bad)]), ["TOKEN_ISSUERS"], "{bad}");
    }
    assert_eq!(wrong(&[("PERMISSIONS_CLAIM", "scope")]), ["PERMISSIONS_CLAIM"]);
    assert_eq!(wrong(&[("CLOCK_SKEW", "6m")]), ["CLOCK_SKEW"]);
}

#[test]
fn a_gateway_is_trusted_by_its_address_or_by_its_secret() {
    const SECRET: &str = "what only the gateway knows";
    assert_eq!(wrong(&[("ACCESS", "gateway")]), ["TRUSTED_PROXIES"]);
    let gateway = |given: &[(&str, &str)]| {
        let resolved = right(&[&[("ACCESS", "gateway")], given].concat());
        resolved.config.gateway.clone().unwrap()
    };
    assert_eq!(gateway(&[("TRUSTED_PROXIES", "10.0.0.5")]).peers.len(), 1);
    assert!(gateway(&[("GATEWAY_SECRET", SECRET)]).peers.is_empty());
    // Ranges that nobody chose fall away beside a secret.
    assert!(gateway(&[("COMPAT", "original"), ("GATEWAY_SECRET", SECRET)]).peers.is_empty());
    let both = gateway(&[("GATEWAY_SECRET", SECRET), ("TRUSTED_PROXIES", "10.0.0.0/8")]);
    assert!(both.peers.len() == 1 && both.secret.is_some());
    assert!(!format!("{both:?}").contains(SECRET));

    let named = |routes: &str| gateway(&[("GATEWAY_SECRET", SECRET), ("GATEWAY_ROUTES", routes)]).routes;
    assert_eq!(named("roles, ums-config"), [Routes::Roles, Routes::UmsConfig]);
    assert_eq!(named("all").len(), Routes::ALL.len());
    for (name, bad) in [
        ("GATEWAY_ROUTES", "roles,nonsense"),
        ("GATEWAY_SECRET", "short"),
        ("GATEWAY_PERMISSIONS", "some"),
        ("GATEWAY_ANONYMOUS", "yes"),
        ("GATEWAY_USER_ID", "email"),
        ("USERID_HEADER_KEY", "x user"),
        ("BACKOFFICE_HEADER_KEY", "MiaUserId"),
    ] {
        let given = [("ACCESS", "gateway"), ("TRUSTED_PROXIES", "10.0.0.5"), (name, bad)];
        assert_eq!(wrong(&given), [name], "{bad}");
    }
    // Without the mode they say nothing, and that is told.
    let notes = right(&[("GATEWAY_SECRET", SECRET), ("GATEWAY_ROUTES", "all")]).notes;
    assert!(notes.len() == 1 && notes[0].sentence.contains("GATEWAY_SECRET (gateway mode)"), "{notes:?}");
}
