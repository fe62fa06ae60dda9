//! The rules. Each says what must not be, looks at some files, and brings examples to be tried on.

use super::source::{Source, has_word};

pub struct Rule {
    pub says: &'static str,
    /// By path.
    looks_at: fn(&str) -> bool,
    finds: Finds,
    /// Path and text that it must notice.
    pub breaks: &'static [(&'static str, &'static str)],
    /// Path and text that it must let pass.
    pub keeps: &'static [(&'static str, &'static str)],
}

enum Finds {
    /// One of these words in what is compiled into the program, outside quotes and comments.
    Words(&'static [&'static str]),
    /// One of these texts in what is compiled into the program, quotes included.
    Texts(&'static [&'static str]),
    /// One of these texts anywhere, comments and tests included.
    Anywhere(&'static [&'static str]),
    /// The lines that it names.
    Lines(fn(&Source) -> Vec<usize>),
}

impl Rule {
    /// The lines, counted from one, that break it.
    pub fn broken(&self, source: &Source) -> Vec<usize> {
        if !(self.looks_at)(&source.path) {
            return Vec::new();
        }
        let lines = |view, words: &[&str], has: fn(&str, &str) -> bool| {
            let of_one = source.outside_tests(view).filter(|(_, line)| words.iter().any(|word| has(line, word)));
            of_one.map(|(at, _)| at).collect()
        };
        match &self.finds {
            Finds::Words(words) => lines(&source.bare, words, has_word),
            Finds::Texts(texts) => lines(&source.code, texts, |line, text| line.contains(text)),
            Finds::Anywhere(texts) => {
                let all = source.whole.lines().enumerate();
                all.filter(|(_, line)| texts.iter().any(|text| line.contains(text))).map(|(at, _)| at + 1).collect()
            }
            Finds::Lines(find) => find(source),
        }
    }
}

/// A module's own file or anything below it.
fn of(path: &str, module: &str) -> bool {
    let Some(path) = path.strip_prefix("src/") else { return false };
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn program(path: &str) -> bool {
    path.starts_with("src/") && path.ends_with(".rs")
}

fn program_but(path: &str, modules: &[&str]) -> bool {
    program(path) && !modules.iter().any(|module| of(path, module))
}

fn rust(path: &str) -> bool {
    path.ends_with(".rs")
}

/// Those names that say nothing; `crud_service` and `timer_service` are names of products.
const EMPTY_WORDS: [&str; 9] = ["util", "utils", "helper", "helpers", "common", "core", "manager", "handler", "impl"];

fn says_nothing(name: &str) -> bool {
    let mut words = Vec::<String>::new();
    for c in name.chars() {
        match words.last_mut() {
            Some(word) if c.is_lowercase() || c.is_ascii_digit() => word.push(c),
            _ => words.push(c.to_lowercase().filter(|c| *c != '_').collect()),
        }
    }
    let product = matches!(name, "crud_service" | "CrudService" | "timer_service" | "TimerService");
    words.iter().any(|word| EMPTY_WORDS.contains(&word.as_str()) || word == "service" && !product)
}

fn names_that_say_nothing(source: &Source) -> Vec<usize> {
    let path = source.path.trim_end_matches(".rs");
    if path.split('/').any(says_nothing) {
        return vec![1];
    }
    let declared = |line: &str| {
        let words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        let words = words.collect::<Vec<_>>();
        words.windows(2).any(|pair| {
            matches!(pair[0], "struct" | "enum" | "trait" | "type" | "mod" | "union") && says_nothing(pair[1])
        })
    };
    source.bare.lines().enumerate().filter(|(_, line)| declared(line)).map(|(at, _)| at + 1).collect()
}

/// The first line says what the module owns.
fn no_opening(source: &Source) -> Vec<usize> {
    if source.whole.starts_with("//! ") { Vec::new() } else { vec![1] }
}

/// A call of a changing method on the store, the identity provider or the grants, however it is broken into lines.
fn effects_without_a_step(source: &Source) -> Vec<usize> {
    const EFFECTS: [&str; 11] = [
        "store.insert(",
        "store.close(",
        "store.change(",
        "store.set_state(",
        "store.delete(",
        "identity.create(",
        "identity.change(",
        "identity.restore(",
        "identity.delete(",
        "grants.grant(",
        "grants.revoke(",
    ];
    let lines = source.outside_tests(&source.bare).map(|(at, line)| (at, line.trim())).collect::<Vec<_>>();
    let mut found = Vec::new();
    for (nth, (at, line)) in lines.iter().enumerate() {
        // A command of the operator's that writes one row of ours has nothing to put back.
        let alone = of(&source.path, "admin");
        let joined = format!("{line}{}", lines.get(nth + 1).map_or("", |(_, next)| next));
        if EFFECTS
            .iter()
            .filter(|effect| !(alone && effect.starts_with("grants.")))
            .any(|effect| joined.find(effect).is_some_and(|place| place < line.len()))
        {
            found.push(*at);
        }
    }
    found
}

pub const RULES: &[Rule] = &[
    Rule {
        says: "only api, dialects, access/gate, proxy, error and app know axum",
        looks_at: |path| program_but(path, &["api", "dialects", "access/gate", "proxy", "error", "app"]),
        finds: Finds::Words(&["axum"]),
        breaks: &[("src/users/create.rs", "use axum::Json;"), ("src/access.rs", "fn f(x: axum::Json<u8>) {}")],
        keeps: &[
            ("src/api/users.rs", "use axum::Json;"),
            ("src/users.rs", "// unlike axum"),
            ("src/users.rs", "let x = \"axum\";"),
        ],
    },
    Rule {
        says: "only remote and proxy send requests",
        looks_at: |path| program_but(path, &["remote", "proxy"]),
        finds: Finds::Lines(|source| {
            // The name of a method sends nothing.
            let sends = |line: &str| {
                let line = line.replace("reqwest::Method", "");
                ["reqwest", "hyper_util::client", "TcpStream::connect"].iter().any(|word| has_word(&line, word))
            };
            source.outside_tests(&source.bare).filter(|(_, line)| sends(line)).map(|(at, _)| at).collect()
        }),
        breaks: &[
            ("src/identity/keycloak.rs", "use reqwest::Client;"),
            ("src/identity/keycloak.rs", "use reqwest::{Client, Method};"),
            ("src/app.rs", "    reqwest::get(url).await"),
        ],
        keeps: &[
            ("src/remote.rs", "use reqwest::Client;"),
            ("src/remote/tls.rs", "use reqwest::Client;"),
            ("src/store/crud_service.rs", "use reqwest::Method;"),
        ],
    },
    Rule {
        says: "only config reads the environment",
        looks_at: |path| program_but(path, &["config"]),
        finds: Finds::Words(&[
            "std::env",
            "env::var",
            "env::vars",
            "env::var_os",
            "env::vars_os",
            "option_env!",
            "from_env",
            "from_default_env",
        ]),
        breaks: &[
            ("src/logging.rs", "EnvFilter::from_default_env()"),
            ("src/main.rs", "use std::env;"),
            ("src/app.rs", "let home = env::var_os(\"HOME\");"),
        ],
        keeps: &[("src/config.rs", "env::vars_os()"), ("src/api.rs", "env!(\"CARGO_PKG_VERSION\")")],
    },
    Rule {
        says: "only identity/keycloak knows Keycloak's paths and names",
        looks_at: |path| program_but(path, &["identity/keycloak"]),
        finds: Finds::Texts(&["/admin/realms", "/realms/", "partialImport", "openid-connect", "execute-actions-email"]),
        breaks: &[("src/users/create.rs", "let path = \"/admin/realms/x/users\";")],
        keeps: &[
            ("src/identity/keycloak/wire.rs", "let path = \"/admin/realms/x/users\";"),
            ("src/config.rs", "/// `partialImport` under an id of our choice."),
        ],
    },
    Rule {
        says: "only store/crud_service knows the CRUD service's paths and names",
        // Its language of queries is ours too, and a gateway in front narrows both by the same headers.
        looks_at: |path| program_but(path, &["store/crud_service", "api/wanted", "access/gate/gateway"]),
        finds: Finds::Texts(&["acl_rows", "_rawp", "\"/import\"", "/import?"]),
        breaks: &[("src/users.rs", "query.push((\"acl_rows\", rows));")],
        keeps: &[
            ("src/store/crud_service.rs", "query.push((\"acl_rows\", rows));"),
            ("src/query.rs", "/// `acl_rows`"),
        ],
    },
    Rule {
        says: "only error holds the status codes of our error replies",
        // Whether we are well is no error of a request.
        looks_at: |path| program_but(path, &["error", "api/health"]),
        finds: Finds::Lines(|source| {
            let fine = ["OK", "ACCEPTED", "NO_CONTENT", "NOT_MODIFIED"];
            let code = |line: &str| {
                line.match_indices("StatusCode::").any(|(at, found)| {
                    let name = line[at + found.len()..].split(|c: char| !c.is_ascii_uppercase() && c != '_').next();
                    name.is_some_and(|name| name.len() > 1 && !fine.contains(&name))
                })
            };
            source.outside_tests(&source.bare).filter(|(_, line)| code(line)).map(|(at, _)| at).collect()
        }),
        breaks: &[("src/api/users.rs", "return StatusCode::NOT_FOUND.into_response();")],
        keeps: &[
            ("src/error.rs", "Self::Busy => StatusCode::SERVICE_UNAVAILABLE,"),
            ("src/api/users.rs", "(StatusCode::NO_CONTENT, headers)"),
            ("src/api/users.rs", "StatusCode::from_u16(status)"),
        ],
    },
    Rule {
        says: "only state/sqlite knows the database of our own state",
        looks_at: |path| program_but(path, &["state/sqlite"]),
        finds: Finds::Words(&["rusqlite"]),
        breaks: &[("src/admin/backup.rs", "let read = |db: &rusqlite::Connection| {};")],
        keeps: &[("src/state/sqlite/backup/contents.rs", "use rusqlite::Connection;")],
    },
    Rule {
        says: "what changes a system is a step or a promise of a saga",
        looks_at: |path| program_but(path, &["users/steps", "users/promises", "store", "identity", "state", "saga"]),
        finds: Finds::Lines(effects_without_a_step),
        breaks: &[
            ("src/users/create.rs", "app.systems.store.insert(&id, &fields, by).await"),
            ("src/admin.rs", "app.systems\n    .identity\n    .delete(&id)"),
            ("src/users/update.rs", "let x = systems.grants\n    .grant(user, &permissions)\n    .await;"),
        ],
        keeps: &[
            ("src/users/steps.rs", "to.store.insert(&id, &fields, by).await"),
            ("src/users/update.rs", "app.systems.store.get(id, &caller.rows).await"),
        ],
    },
    Rule {
        says: "nothing unwraps, expects or panics outside tests",
        looks_at: program,
        finds: Finds::Texts(&[".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "unimplemented!("]),
        breaks: &[("src/app.rs", "let x = y.unwrap();"), ("src/main.rs", "    .expect(\"a reason\")")],
        keeps: &[
            ("src/app.rs", "let x = y.unwrap_or_default();"),
            ("src/app.rs", "#[expect(dead_code, reason = \"x\")]"),
            ("src/app.rs", "#[cfg(test)]\nmod tests {\n    fn f() { y.unwrap() }\n}"),
            ("tests/it/x.rs", "y.unwrap()"),
        ],
    },
    Rule {
        says: "every module opens with what it owns",
        looks_at: rust,
        finds: Finds::Lines(no_opening),
        breaks: &[("src/users.rs", "use std::fmt;"), ("tests/it/x.rs", "\n//! Late."), ("src/a.rs", "//!\n")],
        keeps: &[("src/users.rs", "//! The vocabulary.")],
    },
    Rule {
        says: "nothing leads outside the project's own tree",
        looks_at: |_| true,
        finds: Finds::Anywhere(&[concat!("../", "shared"), concat!("/work/", "shared")]),
        breaks: &[("README.md", concat!("see ../", "shared/x.md")), ("src/a.rs", concat!("// /work/", "shared/x"))],
        keeps: &[("README.md", "shared by two")],
    },
    Rule {
        says: "only clock reads the time and waits",
        looks_at: |path| program_but(path, &["clock"]),
        finds: Finds::Words(&[
            "SystemTime::now",
            "Instant::now",
            "Timestamp::now",
            "Zoned::now",
            "tokio::time",
            "time::sleep",
            "thread::sleep",
            "Uuid::now_v7",
            "Uuid::now_v1",
        ]),
        breaks: &[
            ("src/saga.rs", "tokio::time::sleep(length).await;"),
            ("src/users.rs", "let at = std::time::SystemTime::now();"),
            ("src/operations.rs", "Uuid::now_v7().to_string()"),
        ],
        keeps: &[("src/clock.rs", "tokio::time::sleep(length)"), ("src/users.rs", "clock.now_ms()")],
    },
    Rule {
        says: "saga and users see done, not done or unknown: no status, no transport, no driver",
        looks_at: |path| of(path, "saga") || of(path, "users"),
        finds: Finds::Words(&["remote", "StatusCode", "keycloak", "crud_service", "sqlite", "rusqlite", "embedded"]),
        breaks: &[
            ("src/saga/recovery.rs", "use crate::{clock::Clock, remote::Error};"),
            ("src/users/steps.rs", "use crate::identity::keycloak::Keycloak;"),
        ],
        keeps: &[("src/users/steps.rs", "use crate::outcome::Failure;"), ("src/users.rs", "/// not remote")],
    },
    Rule {
        says: "saga knows nothing of users",
        looks_at: |path| of(path, "saga"),
        finds: Finds::Words(&["users", "groups", "access", "api"]),
        breaks: &[("src/saga.rs", "use crate::users::UserId;")],
        keeps: &[("src/saga.rs", "// users")],
    },
    Rule {
        says: "the state, the clock and the configuration know nothing of those who stand on them",
        looks_at: |path| ["state", "clock", "config", "fold", "query", "outcome"].iter().any(|module| of(path, module)),
        finds: Finds::Words(&[
            "crate::users",
            "crate::app",
            "crate::api",
            "crate::saga",
            "crate::access",
            "crate::groups",
            "crate::identity",
            "crate::store",
        ]),
        breaks: &[("src/state/sqlite.rs", "use crate::users::User;")],
        keeps: &[("src/state/sqlite.rs", "use crate::clock::Clock;")],
    },
    Rule {
        says: "names say something: no util, helper, common, core, manager, service, handler, impl",
        looks_at: rust,
        finds: Finds::Lines(names_that_say_nothing),
        breaks: &[
            ("src/utils.rs", "//! x"),
            ("src/api/helpers/x.rs", "//! x"),
            ("src/a.rs", "pub struct UserManager;"),
            ("src/a.rs", "trait HandlerOf {}"),
            ("src/user_service.rs", "//! x"),
        ],
        keeps: &[
            ("src/store/crud_service.rs", "pub struct CrudService;"),
            ("src/a.rs", "struct Encore;"),
            ("src/a.rs", "impl Trait for X {}"),
        ],
    },
    Rule {
        says: "a module's file stands beside its directory, it is no mod.rs",
        looks_at: |path| path.ends_with("/mod.rs"),
        finds: Finds::Lines(|_| vec![1]),
        breaks: &[("src/api/mod.rs", "//! x")],
        keeps: &[("src/api.rs", "//! x")],
    },
    Rule {
        says: "nothing is left to be done later in the sources",
        looks_at: |path| rust(path) || path.ends_with(".toml") || path.ends_with(".md"),
        finds: Finds::Anywhere(&[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("To be ", "written")]),
        breaks: &[("src/a.rs", concat!("// TO", "DO: x"))],
        keeps: &[("src/a.rs", "let todos = 1;")],
    },
    Rule {
        says: "no test is switched off",
        looks_at: rust,
        finds: Finds::Texts(&[concat!("#[ign", "ore")]),
        breaks: &[("tests/it/x.rs", concat!("#[ign", "ore]\nfn f() {}"))],
        keeps: &[("tests/it/x.rs", "#[test]\nfn f() {}")],
    },
];
