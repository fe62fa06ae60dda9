//! App: what every request can reach; how it is opened and stopped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    access::{
        people::People,
        sessions::{Lengths, Sessions},
        throttle::Throttle,
        tokens::{self, Others, Tokens},
    },
    admission::{self, Admission, Backlogs},
    clock::Clock,
    config::{self, Config, Expiry},
    error::{Error, kept::Kept, reply::Frame},
    groups::{Groups, built_in},
    idempotency::Codes,
    identity::{self, Identity},
    lately::OnceASecond,
    mail::{self, Outbox, Post},
    metrics::{Metrics, Standing},
    operations,
    outcome::Failure,
    proxy::Proxy,
    retention,
    roles::Roles,
    saga::{Interrupted, Limits, Sagas},
    state::{
        self, Documents, Journal, Keys,
        sqlite::{
            self, Opening, Sqlite,
            journal::{self, SqliteJournal},
            lock::{Lock, NotLocked},
        },
        storage::{self, Judged},
    },
    store::{self, Store},
    systems::{Health, Systems},
    users::{self, steps::KINDS},
};

/// How often operations that nobody is at work on are looked for.
const TEND_EVERY: Duration = Duration::from_secs(10);
/// Nobody waits longer for the figures of the state.
const STANDING_WITHIN: Duration = Duration::from_secs(2);
/// Under this name the key of the journal's hash chain lies in the state.
const CHAIN_KEY: &str = "journal-chain-key";
/// Under this name the key lies that makes codes of idempotency keys.
const CODES_KEY: &str = "idempotency-codes-key";
/// Under this name the key lies of which refresh tokens are made.
const SESSIONS_KEY: &str = "refresh-token-key";
/// Under this name the key lies that makes codes in links.
const LINKS_KEY: &str = "reset-links-key";
/// Under this name the key lies that makes codes of names and addresses with failed logins.
const THROTTLE_KEY: &str = "login-throttle-key";

pub struct App {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub systems: Systems,
    pub journal: Arc<dyn Journal>,
    pub sagas: Sagas,
    pub groups: Groups,
    pub codes: Codes,
    pub tokens: Tokens,
    /// Whom the tokens named lately.
    pub people: People,
    pub sessions: Sessions,
    pub throttle: Throttle,
    /// The identity provider of our own, where that is the one in use: only it can set a password.
    pub own_identities: Option<Arc<identity::embedded::Embedded>>,
    /// What we mail with, where the identity provider does not.
    pub post: Option<Post>,
    pub health: Health,
    pub metrics: Metrics,
    admission: Admission,
    /// Where users are at a CRUD service: what answers the reads of callers.
    pub proxy: Option<Proxy>,
    state: Arc<Sqlite>,
    standing: OnceASecond<Standing>,
    draining: AtomicBool,
    /// Held as long as we live.
    _lock: Option<Lock>,
}

/// Why the program does not start. Each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("STATE: {0}")]
    Locked(#[from] NotLocked),
    #[error("STATE: {0}")]
    State(#[from] sqlite::OpenError),
    #[error("STATE: {0}")]
    Journal(#[from] journal::OpenError),
    #[error("STATE: {0}")]
    Unavailable(#[from] state::Error),
    /// `STATE_EPHEMERAL=refuse`. The sentence begins with the variable.
    #[error("{0}")]
    Ephemeral(String),
    #[error("{0}")]
    Driver(String),
}

impl App {
    /// Takes the state's lock, opens everything, takes over what the process before left unfinished, and goes on looking
    /// after it. No driver is asked anything yet but what it needs to know of its system.
    pub async fn open(config: Arc<Config>, clock: Clock) -> Result<Arc<Self>, OpenError> {
        // Before anything is written where it would not last.
        if let Judged::Refused(sentence) = storage::judge(&config.state_file, config.state_ephemeral) {
            return Err(OpenError::Ephemeral(sentence));
        }
        let lock = Lock::take(&config.data_dir, config.state_lock_wait, &clock).await?;
        let metrics = Metrics::new(&operations::KINDS);
        let opening = Opening { commits: metrics.commits.clone(), ..Opening::default() };
        let state = Sqlite::open_as(&config.state_file, clock.clone(), opening)?;
        let Stores { users, groups, roles, proxy } = open_stores(&config, &state, &clock, &metrics).await?;
        if groups.name() == "embedded" {
            built_in::put(state.as_ref(), groups.as_ref(), clock.now_ms()).await.map_err(not_put)?;
        }
        let (identity, own_identities) = open_identity(&config, &state, &clock, &metrics).await?;
        let systems = Systems {
            store: users,
            groups,
            roles: Roles::new(roles, clock.clone()),
            identity,
            grants: state.clone(),
            timers: state.clone(),
            revocations: state.clone(),
            mails: Outbox::new(state.clone(), config.mail.per_identity, clock.clone()),
            expiry: config.expiry == Expiry::On,
            clock,
            metrics,
        };
        let post = open_post(&config, &state).await?;
        let mut app = Self::assemble(config, systems, state).await?;
        app.own_identities = own_identities;
        app.post = post;
        app.proxy = proxy;
        app._lock = Some(lock);
        let app = Arc::new(app);
        app.sagas.recover().await?;
        tend(&app);
        retention::tend(&app);
        users::expire::watch(&app);
        mail::sending::watch(&app);
        app.admission.watch().map_err(|error| OpenError::Driver(format!("no thread can be started: {error}")))?;
        Ok(app)
    }

    /// Of parts that are open already. Recovers nothing by itself.
    pub async fn assemble(config: Arc<Config>, systems: Systems, state: Arc<Sqlite>) -> Result<Self, OpenError> {
        let journal = open_journal(&state, &systems.clock).await?;
        Self::assemble_with(config, systems, state, Arc::new(journal)).await
    }

    /// As [`App::assemble`], over a journal of the caller's.
    pub async fn assemble_with(
        config: Arc<Config>,
        systems: Systems,
        state: Arc<Sqlite>,
        journal: Arc<dyn Journal>,
    ) -> Result<Self, OpenError> {
        let settings = tokens::Settings {
            issuer: config.issuer(),
            audience: config.token.audience.clone(),
            ttl: config.token.access_ttl,
            session: config.token.refresh_idle,
            skew: config.token.clock_skew,
        };
        let others = {
            let counted = &systems.metrics.calls;
            Others::of(systems.identity.clone(), &config.token, &config.calls, &systems.clock, counted)
        };
        let others = others.map_err(OpenError::Driver)?;
        let tokens = Tokens::open(state.as_ref(), others, systems.clock.clone(), settings).await;
        let limits = Limits {
            answer_within: config.answer_within,
            names_wait: config.names_wait,
            attention_after: config.attention_after,
        };
        let codes = Codes::new(&state.get_or_put(CODES_KEY, random_key()?).await?, config.idempotency_ttl);
        let lengths = Lengths {
            idle: config.token.refresh_idle,
            most: config.token.session_max,
            grace: config.token.refresh_grace,
        };
        let key = state.get_or_put(SESSIONS_KEY, random_key()?).await?;
        let sessions = Sessions::new(&key, lengths, systems.clock.now_ms(), state.commits());
        let key = state.get_or_put(THROTTLE_KEY, random_key()?).await?;
        let throttle = Throttle::new(state.clone(), systems.clock.clone(), &key, &config.login);
        Ok(Self {
            sessions,
            throttle,
            clock: systems.clock.clone(),
            sagas: Sagas::new(journal.clone(), systems.clone(), KINDS, limits, interrupted(&config)),
            codes,
            people: People::new({
                // Only where all that makes a person lies in one state.
                let roles = systems.roles.store().map(|roles| roles.commits());
                systems.store.commits().filter(|_| roles.is_none_or(|commits| commits.is_some()))
            }),
            groups: Groups::new(systems.groups.clone(), systems.clock.clone()).map_err(OpenError::Driver)?,
            tokens: tokens.map_err(|error| OpenError::Driver(error.message().to_owned()))?,
            own_identities: None,
            post: None,
            proxy: None,
            health: Health::default(),
            metrics: systems.metrics.clone(),
            admission: Admission::new(config.limits.max_in_flight),
            standing: OnceASecond::default(),
            draining: AtomicBool::new(false),
            _lock: None,
            config,
            systems,
            journal,
            state,
        })
    }

    /// Whether there is room for one more of that kind; whoever is let in is inside until he drops it.
    pub fn admit(&self, kind: admission::Kind) -> Result<admission::Inside, Error> {
        self.admission
            .admit(kind, || Backlogs { reads: self.state.reads_waiting(), queries: self.state.queries_waiting() })
    }

    /// Not ready from now on; running operations get so long, what does not end stays in the journal.
    pub async fn stop(&self) {
        self.drain();
        self.sagas.stop(self.config.graceful_shutdown).await;
    }

    /// From now on not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Ends with a sentence when a write of the state has failed for good and the process must end.
    pub fn fatal(&self) -> impl Future<Output = String> + Send + use<> {
        let fatal = self.state.fatal();
        async move { format!("STATE: {}; the next start looks what is there", state::Error::Fatal(fatal.await)) }
    }

    /// What stands at this moment, read at most once a second.
    pub async fn standing(&self) -> Standing {
        let read = async || {
            let read = self.state.standing(self.clock.now_ms());
            self.clock.within(STANDING_WITHIN, read).await.and_then(Result::ok).unwrap_or_default()
        };
        let mut standing = self.standing.recent_or(&self.clock, read).await;
        let count = |number: usize| u64::try_from(number).ok();
        match &self.own_identities {
            Some(own) => {
                let (running, waiting) = own.hashing();
                (standing.password_hashes_running, standing.password_hashes_waiting) = (count(running), count(waiting));
            }
            // The sessions are the provider's.
            None => standing.sessions = None,
        }
        standing.requests_in_flight = count(self.admission.inside());
        standing
    }

    /// Another key signs our tokens from now on.
    pub async fn rotate_keys(&self) -> Result<(), Error> {
        self.tokens.rotate(self.state.as_ref()).await
    }

    /// Whether our own state can be written.
    pub async fn check_state(&self) -> Result<(), Error> {
        self.state.get_or_put(CHAIN_KEY, random_key()?).await?;
        Ok(())
    }
}

/// The journal in that state, whose chain is read.
pub async fn open_journal(state: &Arc<Sqlite>, clock: &Clock) -> Result<SqliteJournal, OpenError> {
    let chain_key = state.get_or_put(CHAIN_KEY, random_key()?).await?;
    Ok(SqliteJournal::open(state.clone(), chain_key, clock.clone()).await?)
}

/// The collections in use.
pub struct Stores {
    pub users: Arc<dyn Store>,
    pub groups: Arc<dyn Store>,
    /// Where there is a catalogue.
    pub roles: Option<Arc<dyn Store>>,
    pub proxy: Option<Proxy>,
}

/// Those which the settings name.
pub async fn open_stores(
    config: &Config,
    state: &Arc<Sqlite>,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<Stores, OpenError> {
    use store::{Collection, crud_service::CrudService, embedded::Embedded};
    Ok(match &config.store {
        config::Store::Embedded => Stores {
            users: Arc::new(
                Embedded::open(state.clone(), &config.unique_fields).await?.with_patience(config.query_timeout),
            ),
            groups: Arc::new(Embedded::open_collection(state.clone(), Collection::Groups).await?),
            roles: Some(Arc::new(Embedded::open_collection(state.clone(), Collection::Roles).await?)),
            proxy: None,
        },
        config::Store::CrudService { base, users_path, groups_path, roles_path } => {
            let open = |path: &str, of: Collection| -> Result<Arc<CrudService>, OpenError> {
                let driver = CrudService::new(base, path, &config.calls, clock.clone()).map_err(OpenError::Driver)?;
                Ok(Arc::new(driver.keeping(of).counted(&metrics.calls)))
            };
            let users = open(users_path, Collection::Users)?;
            let roles = roles_path.as_ref().map(|path| open(path, Collection::Roles)).transpose()?;
            Stores {
                proxy: Some(Proxy::new(users.clone())),
                users,
                groups: open(groups_path, Collection::Groups)?,
                roles: roles.map(|roles| roles as Arc<dyn Store>),
            }
        }
    })
}

fn not_put(failure: Failure) -> OpenError {
    OpenError::Driver(format!("STATE: the groups that come with the program cannot be stored: {}", failure.sentence()))
}

type OpenIdentity = (Arc<dyn Identity>, Option<Arc<identity::embedded::Embedded>>);

/// The provider that the settings name, and ours, where it is that.
pub async fn open_identity(
    config: &Config,
    state: &Arc<Sqlite>,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<OpenIdentity, OpenError> {
    Ok(match &config.identity {
        config::Identity::Embedded { hash_concurrency, hash_queue } => {
            let open = identity::embedded::Embedded::open(state.clone(), clock.clone(), *hash_concurrency, *hash_queue);
            let own = Arc::new(open.await?);
            (own.clone(), Some(own))
        }
        config::Identity::Keycloak(keycloak) => {
            let (keycloak, clock) = (keycloak.as_ref().clone(), clock.clone());
            let open = identity::keycloak::Keycloak::open_counted(keycloak, &config.calls, clock, &metrics.calls);
            (Arc::new(open.await.map_err(OpenError::Driver)?), None)
        }
    })
}

async fn open_post(config: &Config, state: &Arc<Sqlite>) -> Result<Option<Post>, OpenError> {
    let Some(settings) = config.mail.own.clone() else { return Ok(None) };
    let codes = users::reset::Codes::new(&state.get_or_put(LINKS_KEY, random_key()?).await?, settings.reset_ttl);
    let post = Post::open(settings, codes, config.pages_url(), &config.calls);
    post.map(Some).map_err(OpenError::Driver)
}

/// Looks again and again for operations that no task is at work on, as long as the app lives.
fn tend(app: &Arc<App>) {
    let (weak, clock) = (Arc::downgrade(app), app.clock.clone());
    tokio::spawn(async move {
        loop {
            clock.pause(TEND_EVERY).await;
            let Some(app) = weak.upgrade() else { return };
            if app.draining() {
                return;
            }
            if let Err(error) = app.sagas.recover().await {
                tracing::error!(%error, "unfinished operations cannot be looked for");
            }
        }
    });
}

/// What the request is answered, whose operation recovery puts back.
fn interrupted(config: &Config) -> Box<Interrupted> {
    let (precise, login_refused) = (config.precise_upstream_status, config.login_refused_status);
    Box::new(move |operation, origin, told| {
        let request_id = &origin.request_id;
        let frame = Frame { request_id, operation_id: Some(operation), problem: false, precise, login_refused };
        let kept = match told {
            Ok(value) => Kept::of_value(value),
            Err(error) => Kept::of_error(error, &frame),
        };
        kept.text()
    })
}

fn random_key() -> Result<Vec<u8>, state::Error> {
    let mut key = vec![0; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| state::Error::Unavailable("no random numbers".to_owned()))?;
    Ok(key)
}
