//! A state in which operations stand in every way there is, everything that was ever true of its journal, and what a
//! damaged copy of it is held against.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;
use user_manager::{
    access::Caller,
    app::{App, OpenError, Stores, open_stores},
    config::Config,
    groups::built_in,
    identity::{self, Account},
    mail::Outbox,
    metrics::Metrics,
    roles::Roles,
    state::{
        Error, Journal, Keys, Ledger, SessionStore,
        journal::{Appended, Begun, Entry, ListQuery, New, Record, State as Stands, Unsettled},
        sqlite::{Sqlite, journal::SqliteJournal},
    },
    systems::Systems,
    users::{self, UserId, create::Draft, rules::Precondition},
};

use crate::{
    matrix::{keyed, memory, time::Hand},
    worlds::snapshot::{State, without},
};

pub const DATABASE: &str = "user-manager.db";
pub const LOG: &str = "user-manager.db-wal";

/// The files of a process that was killed, and what they may become.
pub struct Scene {
    /// As they lay when the process was killed: the database and, with all that was done since, its log of changes.
    pub database: Vec<u8>,
    pub log: Vec<u8>,
    /// The database with the log folded into it.
    pub folded: Vec<u8>,
    /// When that was.
    pub killed_ms: i64,
    /// The journal after every write there was.
    pub history: Vec<String>,
    /// Each person as he was when the process began, and as he is when everything is settled.
    before: BTreeMap<String, Person>,
    after: BTreeMap<String, Person>,
    /// Whom an operation is about.
    subjects: BTreeMap<String, String>,
}

/// Users and identities under one e-mail.
type Person = Vec<Value>;

/// What a damaged state was found to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// Opened, with the journal as it was after that write.
    Opened(usize),
    /// In these words.
    Refused(String),
}

/// Operations that were settled in the life before.
const SEEDED: usize = 3;
const MOMENT: Duration = Duration::from_secs(1);
const GONE: &str = "gone@x.org";
const CHANGED: &str = "changed@x.org";

impl Scene {
    pub async fn make() -> Self {
        let directory = tempfile::tempdir_in(memory()).unwrap();
        let hand = Hand::default();
        // Whoever opens it later has a clock that went back.
        hand.advance(Duration::from_hours(1)).await;
        seed(&open(directory.path(), &hand).await.unwrap(), &hand).await;
        let before = people(directory.path());
        let seeded = fs::read(directory.path().join(DATABASE)).unwrap();

        let (subjects, history) = life(directory.path(), &hand, |running| {
            let read = |name: &str| fs::read(running.join(name)).unwrap();
            (read(DATABASE), read(LOG))
        })
        .await;
        let (asked, (database, log)) = subjects;
        assert_eq!(database, seeded, "nothing is folded while the process lives");

        let folded = folded(&database, &log);
        let cell = Cell::new(&database, &log);
        settle(cell.path()).await;
        let after = people(cell.path());
        let killed_ms = hand.now_ms();
        Self { database, log, folded, killed_ms, history, before, after, subjects: asked }
    }

    /// Opens these files as a new process would, and looks at the journal.
    pub async fn look(&self, cell: &Cell) -> Seen {
        match journal(cell.path()).await {
            Ok(mut entries) => {
                // Operations settled in lives before the last are history, which nobody acts on and no start reads again.
                entries.retain(|entry| self.subjects.contains_key(&entry.id) || entry.settled_ms.is_none());
                let text = text(&entries);
                let write = self.history.iter().position(|known| *known == text);
                Seen::Opened(write.unwrap_or_else(|| panic!("the journal was never like this:\n{text}")))
            }
            Err(refusal) => refused(&refusal),
        }
    }

    /// Lets a new process settle what it finds: every person is as he was, or as he was to be.
    pub async fn settles(&self, cell: &Cell) {
        let entries = settle(cell.path()).await;
        assert_eq!(State::of(cell.path()).leftovers(), [""; 0]);
        let mut expected = self.before.clone();
        for entry in entries {
            let done = match entry.state {
                Stands::Done => true,
                Stands::Undone => false,
                Stands::Running | Stands::Committed | Stands::RollingBack => panic!("{entry:?} is not settled"),
            };
            if let Some(email) = self.subjects.get(&entry.id).filter(|_| done) {
                let person = self.after.get(email).cloned();
                expected.remove(email);
                expected.extend(person.map(|person| (email.clone(), person)));
            }
        }
        assert_eq!(people(cell.path()), expected);
    }
}

/// A directory with a copy of a state, damaged as a test likes.
pub struct Cell(TempDir);

impl Cell {
    pub fn new(database: &[u8], log: &[u8]) -> Self {
        let cell = Self(tempfile::tempdir_in(memory()).unwrap());
        cell.lay(database, log);
        cell
    }

    /// The same place once more, with other files.
    pub fn lay(&self, database: &[u8], log: &[u8]) {
        for entry in fs::read_dir(self.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        fs::write(self.path().join(DATABASE), database).unwrap();
        if !log.is_empty() {
            fs::write(self.path().join(LOG), log).unwrap();
        }
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn database(&self) -> PathBuf {
        self.path().join(DATABASE)
    }
}

/// Must be one sentence about the state, for the operator.
fn refused(refusal: &OpenError) -> Seen {
    let sentence = refusal.to_string();
    let about = sentence.strip_prefix("STATE: ").unwrap_or_else(|| panic!("{sentence} does not name STATE"));
    assert!(!sentence.contains('\n') && !sentence.contains("panicked"), "{sentence}");
    Seen::Refused(about.to_owned())
}

/// Oldest first.
async fn journal(directory: &Path) -> Result<Vec<Entry>, OpenError> {
    let clock = Hand::default().clock();
    let state = Sqlite::open(&directory.join(DATABASE), clock.clone())?;
    let key = state.get_or_put("journal-chain-key", vec![7; 32]).await?;
    let journal = SqliteJournal::open(state, key, clock).await?;
    Ok(listed(&journal).await?)
}

async fn listed(journal: &dyn Journal) -> Result<Vec<Entry>, Error> {
    let mut entries = journal.list(ListQuery { limit: 100, ..ListQuery::default() }).await?;
    entries.reverse();
    Ok(entries)
}

fn text(entries: &[Entry]) -> String {
    format!("{entries:#?}")
}

/// A life that settles everything it finds; the journal then.
async fn settle(directory: &Path) -> Vec<Entry> {
    let app = open(directory, &Hand::default()).await.unwrap();
    app.sagas.recover().await.unwrap();
    app.sagas.idle().await;
    listed(app.journal.as_ref()).await.unwrap()
}

pub async fn open(directory: &Path, hand: &Hand) -> Result<App, OpenError> {
    let (config, systems, state) = parts(directory, hand).await?;
    App::assemble(config, systems, state).await
}

async fn parts(directory: &Path, hand: &Hand) -> Result<(Arc<Config>, Systems, Arc<Sqlite>), OpenError> {
    let pairs = [("DATA_DIR".to_owned(), directory.to_str().unwrap().to_owned())];
    let config = Config::resolve(pairs).unwrap().config;
    let state = Sqlite::open(&directory.join(DATABASE), hand.clock())?;
    let Stores { users, groups, roles, .. } = open_stores(&config, &state, &hand.clock(), &Metrics::default()).await?;
    built_in::put(state.as_ref(), groups.as_ref(), hand.now_ms()).await.unwrap();
    let roles = Roles::new(roles, hand.clock());
    let identity = identity::embedded::Embedded::open(state.clone(), hand.clock(), 1, 1).await?;
    let identity = Arc::new(identity);
    let mails = Outbox::new(state.clone(), config.mail.per_identity, hand.clock());
    Ok((
        config,
        Systems {
            store: users,
            groups,
            roles,
            identity,
            grants: state.clone(),
            timers: state.clone(),
            revocations: state.clone(),
            mails,
            expiry: true,
            clock: hand.clock(),
            metrics: Metrics::default(),
        },
        state,
    ))
}

async fn seed(app: &App, hand: &Hand) {
    for (email, username) in [(GONE, "gone"), (CHANGED, "changed"), ("bystander@x.org", "bystander")] {
        create(app, email, username).await.unwrap();
    }
    // Operations are listed in the order of time.
    hand.advance(MOMENT).await;
    // Somebody whom only the provider knows: his name is taken there, and only there.
    for username in ["lonely", "lonelier"] {
        let account = Account {
            username: Some(username.to_owned()),
            email: None,
            enabled: true,
            mark: Some(format!("seed-{username}")),
            revision: None,
        };
        app.systems.identity.create(Some(&username.to_owned()), &account, None).await.unwrap();
    }
}

/// A life in which operations come to stand in every way; `see` looks at the files before it ends. Whom each operation is
/// about, what was seen, and the journal after every write.
async fn life<T>(
    directory: &Path,
    hand: &Hand,
    see: impl FnOnce(&Path) -> T,
) -> ((BTreeMap<String, String>, T), Vec<String>) {
    let (config, systems, state) = parts(directory, hand).await.unwrap();
    let key = state.get_or_put("journal-chain-key", vec![7; 32]).await.unwrap();
    let inner = SqliteJournal::open(state.clone(), key, hand.clock()).await.unwrap();
    let recording = Arc::new(Recording::new(inner));
    recording.remember().await;
    let app = App::assemble_with(config, systems, state, recording.clone()).await.unwrap();
    let of_email = |email: &str| users_by_email(directory)[email].clone();

    let mut subjects = BTreeMap::new();
    create(&app, "made@x.org", "made").await.unwrap();
    hand.advance(MOMENT).await;
    create(&app, "refused@x.org", "lonely").await.unwrap_err();
    // One write after the other: who is refused hears of it before the last.
    app.sagas.idle().await;
    hand.advance(MOMENT).await;
    let set = json!({ "$set": { "name": "Somebody else" } });
    let caller = Caller::inside("test", "system", "request-1");
    users::update(&app, &caller, &of_email(CHANGED), set.as_object().unwrap().clone(), Precondition::None)
        .await
        .unwrap();
    hand.advance(MOMENT).await;

    // Each of these is left where it stands then.
    let gone = of_email(GONE);
    let caller = keyed(&app, caller, "delete");
    let delete = async { drop(users::delete(&app, &caller, &gone, Precondition::None).await) };
    recording.leave(delete, |record| matches!(record, Record::Commit { .. })).await;
    hand.advance(MOMENT).await;
    let back = async { drop(create(&app, "back@x.org", "lonelier").await) };
    recording.leave(back, |record| matches!(record, Record::RollBack { .. })).await;
    hand.advance(MOMENT).await;
    let half = async { drop(create(&app, "half@x.org", "half").await) };
    recording.leave(half, |record| matches!(record, Record::Intent { seq: 2, .. })).await;

    let emails = ["made@x.org", "refused@x.org", CHANGED, GONE, "back@x.org", "half@x.org"];
    let entries = listed(app.journal.as_ref()).await.unwrap();
    let mine = &entries[SEEDED..];
    subjects.extend(mine.iter().zip(emails).map(|(entry, email)| (entry.id.clone(), email.to_owned())));
    let stand: Vec<Stands> = mine.iter().map(|entry| entry.state).collect();
    use Stands::{Committed, Done, RollingBack, Running, Undone};
    assert_eq!(stand, [Done, Undone, Done, Committed, RollingBack, Running]);
    let seen = see(directory);
    let history = recording.history.lock().unwrap().clone();
    ((subjects, seen), history)
}

pub async fn create(app: &App, email: &str, username: &str) -> Result<UserId, user_manager::error::Error> {
    let fields = json!({ "userGroup": "users", "email": email, "username": username, "name": "Somebody" });
    let draft = Draft { fields: fields.as_object().unwrap().clone(), ..Draft::default() };
    let caller = keyed(app, Caller::inside("test", "system", "request-1"), email);
    users::create(app, &caller, draft).await
}

fn users_by_email(directory: &Path) -> BTreeMap<String, UserId> {
    let users = State::of(directory).documents("users").into_iter();
    users.map(|(id, user)| (user["email"].as_str().unwrap().to_owned(), UserId::parse(&id).unwrap())).collect()
}

/// Everybody, without what an operation may leave that was put back.
fn people(directory: &Path) -> BTreeMap<String, Person> {
    let state = State::of(directory);
    let users = without(&["updatedAt", "updaterId"], state.documents("users"));
    let identities = without(&["mark", "version", "notBeforeMs"], state.documents("identities"));
    let mut people: BTreeMap<String, Person> = BTreeMap::new();
    for document in users.into_values().chain(identities.into_values()) {
        let name = document["email"].as_str().or(document["username"].as_str()).unwrap();
        people.entry(name.to_owned()).or_default().push(document);
    }
    people
}

/// The same state in one file.
fn folded(database: &[u8], log: &[u8]) -> Vec<u8> {
    let cell = Cell::new(database, log);
    let db = Connection::open(cell.database()).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(db);
    fs::read(cell.database()).unwrap()
}

type Moment = fn(&Record) -> bool;

/// Remembers the journal after every write, and leaves an operation where it is told to.
struct Recording {
    inner: SqliteJournal,
    history: Mutex<Vec<String>>,
    leave_at: Mutex<Option<Moment>>,
    left: Notify,
}

impl Recording {
    fn new(inner: SqliteJournal) -> Self {
        Self { inner, history: Mutex::default(), leave_at: Mutex::default(), left: Notify::new() }
    }

    async fn remember(&self) {
        let entries = listed(&self.inner).await.unwrap().split_off(SEEDED);
        self.history.lock().unwrap().push(text(&entries));
    }

    /// Runs the operation until it has written such a record; it never hears of that write.
    async fn leave(&self, operation: impl Future<Output = ()>, at: Moment) {
        *self.leave_at.lock().unwrap() = Some(at);
        tokio::select! {
            () = operation => panic!("the operation ended before it was left"),
            () = self.left.notified() => {}
        }
        *self.leave_at.lock().unwrap() = None;
    }
}

#[async_trait]
impl Journal for Recording {
    async fn begin(&self, new: New) -> Result<Begun, Error> {
        let begun = self.inner.begin(new).await;
        self.remember().await;
        begun
    }

    async fn append(&self, operation: &str, records: Vec<Record>) -> Result<Appended, Error> {
        let leave = self.leave_at.lock().unwrap().is_some_and(|at| records.iter().any(at));
        let appended = self.inner.append(operation, records).await;
        self.remember().await;
        if leave {
            self.left.notify_one();
            return std::future::pending().await;
        }
        appended
    }

    async fn take_over(&self, alive: Vec<String>) -> Result<Vec<Unsettled>, Error> {
        self.inner.take_over(alive).await
    }

    async fn read(&self, operation: &str) -> Result<Option<Entry>, Error> {
        self.inner.read(operation).await
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<Entry>, Error> {
        self.inner.list(query).await
    }

    async fn parts(&self, operation: &str, request: &str) -> Result<user_manager::state::journal::Parts, Error> {
        self.inner.parts(operation, request).await
    }

    async fn unsettled(&self) -> Result<u64, Error> {
        self.inner.unsettled().await
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.inner.ledger()
    }

    fn sessions(&self) -> Arc<dyn SessionStore> {
        self.inner.sessions()
    }
}
