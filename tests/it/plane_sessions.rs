//! Sessions, cut off at each of their writes: whoever had one before goes on with it, whatever came of the write; nobody who
//! was told that it is over finds it alive; and whoever asks again gets it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::Notify;
use user_manager::{
    access::{
        Caller,
        gate::Arrival,
        people,
        sessions::{self, Opened, Way, ours},
    },
    app::App,
    error,
    state::{
        Error, Journal, Ledger, SessionStore,
        journal::{Appended, Begun, Entry, ListQuery, New, Parts, Record, Unsettled},
        ledger::{EventQuery, NewEvent},
        sessions::{Digest, Session, Turn, Turned, Which},
    },
};

use crate::matrix::{Drivers, Operation, Template, World};

const ADA: &str = "ada-identity";
const ADAS_ID: &str = "000000000000000000000001";
const OTHER: &str = "bystander-identity";

/// What becomes of one write, and of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    DiesBefore,
    DiesAfter,
    /// The disk is full: nothing is written, and the process goes on.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    LogIn,
    Refresh,
    /// A token that was replaced long ago.
    Reuse,
    Revoke,
    EndAll,
}

const ACTIONS: [Action; 5] = [Action::LogIn, Action::Refresh, Action::Reuse, Action::Revoke, Action::EndAll];

#[tokio::test]
async fn a_session_that_is_cut_off_anywhere_is_whole() {
    let template = Template::make().await;
    let mut cells = 0;
    for action in ACTIONS {
        let world = async || World::new(&template, Operation::PatchProfile, Drivers::Embedded).await;
        // Nothing is cut: how many writes it has.
        let writes = cell(&world().await, action, Cut::Refused, u32::MAX).await;
        for nth in 1..=writes {
            for cut in [Cut::DiesBefore, Cut::DiesAfter, Cut::Refused] {
                cell(&world().await, action, cut, nth).await;
                cells += 1;
            }
        }
    }
    eprintln!("sessions cut off: {cells} cells, broken: 0");
    assert!(cells >= 18, "{cells}");
}

/// How many writes there were.
async fn cell(world: &World, action: Action, cut: Cut, nth: u32) -> u32 {
    let told = format!("{action:?} {cut:?} at write {nth}");
    let first = world.live(|inner| inner).await;
    let old = open(&first.app, ADA).await;
    let pair = match action {
        // Two turns back: within no grace.
        Action::Reuse => {
            let next = refresh(&first.app, &old).await.unwrap();
            refresh(&first.app, &next).await.unwrap()
        }
        Action::LogIn | Action::Refresh | Action::Revoke | Action::EndAll => old.clone(),
    };
    let bystander = open(&first.app, OTHER).await;
    let logged_in = log_ins(&first.app).await;
    drop(first);

    let cutting = Arc::new(Cutting { cut, nth, writes: AtomicU32::new(0), died: Notify::new() });
    let second = {
        let cutting = cutting.clone();
        world.live(move |inner| Arc::new(CutJournal { inner, cutting })).await
    };
    // Nothing where the process died on the way.
    let answered = tokio::select! {
        answered = act(&second.app, action, &old) => Some(answered),
        () = cutting.died.notified() => None,
    };
    drop(second);
    let writes = cutting.writes.load(Ordering::SeqCst);

    let third = world.live(|inner| inner).await;
    let app = &third.app;
    refresh(app, &bystander).await.unwrap_or_else(|code| panic!("{told}: the bystander is out: {code}"));
    match action {
        Action::LogIn => {
            refresh(app, &pair).await.unwrap_or_else(|code| panic!("{told}: he is out of his other session: {code}"));
            let sessions = sessions::of(app, &ADA.to_owned()).await.unwrap().len();
            assert_eq!(log_ins(app).await - logged_in, sessions - 1, "{told}: each login is told, and no other");
            if let Some(Ok(Some(opened))) = answered {
                refresh(app, &opened)
                    .await
                    .unwrap_or_else(|code| panic!("{told}: what he was given is no good: {code}"));
            }
        }
        Action::Refresh => {
            // He has nothing but the old one, unless he was answered.
            let again = refresh(app, &pair).await.unwrap_or_else(|code| panic!("{told}: he is out: {code}"));
            if let Some(Ok(Some(opened))) = answered {
                assert_eq!(text(&opened), text(&again), "{told}: another successor");
            }
        }
        Action::Reuse => {
            assert!(!matches!(answered, Some(Ok(_))), "{told}: it was taken");
            assert!(refresh(app, &old).await.is_err(), "{told}: it is taken now");
            assert!(refresh(app, &pair).await.is_err(), "{told}: the session lives on");
        }
        Action::Revoke | Action::EndAll => {
            if let Some(Ok(_)) = answered {
                assert!(refresh(app, &pair).await.is_err(), "{told}: it was over, and is not");
            }
            act(app, action, &old).await.unwrap_or_else(|code| panic!("{told}: asked again: {code}"));
            assert!(refresh(app, &pair).await.is_err(), "{told}: it is not over");
        }
    }
    writes
}

async fn act(app: &App, action: Action, old: &Opened) -> Result<Option<Opened>, &'static str> {
    let code = |error: error::Error| error.code().row().0;
    let token = old.refresh_token.clone().unwrap();
    match action {
        Action::LogIn => try_open(app, ADA).await.map(Some).map_err(code),
        Action::Refresh | Action::Reuse => refresh(app, old).await.map(Some),
        Action::Revoke => sessions::revoke(app, &arrival(), &token).await.map(|()| None).map_err(code),
        Action::EndAll => {
            let caller = Caller::inside("sweep", "system", "request-1");
            let ended = sessions::end_all(app, &caller, ADA.to_owned(), "1".to_owned()).await;
            ended.map(|()| None).map_err(code)
        }
    }
}

async fn open(app: &App, identity: &str) -> Opened {
    try_open(app, identity).await.unwrap()
}

async fn try_open(app: &App, identity: &str) -> Result<Opened, error::Error> {
    let person = people::find(app, identity).await?.unwrap();
    ours::open(app, &arrival(), Way::Json, identity.to_owned(), app.clock.now_ms(), &person).await
}

async fn refresh(app: &App, pair: &Opened) -> Result<Opened, &'static str> {
    use secrecy::ExposeSecret;
    let access = app.tokens.verify_expired(pair.access_token.expose_secret()).await.unwrap();
    let token = pair.refresh_token.clone().unwrap();
    let refreshed = sessions::refresh(app, &arrival(), Way::Json, &token, Some(&access)).await;
    refreshed.map_err(|error| error.code().row().0)
}

async fn log_ins(app: &App) -> usize {
    let query = EventQuery { action: Some("log-in".to_owned()), limit: 100, ..EventQuery::default() };
    let events = app.journal.ledger().events(query).await.unwrap();
    events.iter().filter(|event| event.subject.as_deref() == Some(ADAS_ID)).count()
}

fn text(opened: &Opened) -> [String; 2] {
    use secrecy::ExposeSecret;
    let of = |secret: &SecretString| secret.expose_secret().to_owned();
    [of(&opened.access_token), opened.refresh_token.as_ref().map(of).unwrap_or_default()]
}

fn arrival() -> Arrival {
    Arrival {
        request_id: "request-1".to_owned(),
        address: None,
        vouched: None,
        operation: Arc::default(),
        seen: Arc::default(),
    }
}

/// Cuts one write.
struct Cutting {
    cut: Cut,
    nth: u32,
    writes: AtomicU32,
    died: Notify,
}

impl Cutting {
    async fn write<T>(&self, write: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let meant = self.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.nth;
        match self.cut {
            Cut::Refused if meant => return Err(Error::Unavailable("database or disk is full".to_owned())),
            Cut::DiesBefore if meant => self.die().await,
            Cut::DiesBefore | Cut::DiesAfter | Cut::Refused => {}
        }
        let written = write.await;
        if meant && self.cut == Cut::DiesAfter {
            self.die().await;
        }
        written
    }

    async fn die(&self) {
        self.died.notify_one();
        tokio::time::sleep(Duration::MAX).await;
    }
}

struct CutSessions {
    inner: Arc<dyn SessionStore>,
    cutting: Arc<Cutting>,
}

#[async_trait]
impl SessionStore for CutSessions {
    async fn open(&self, session: Session, current: Digest, event: NewEvent) -> Result<(), Error> {
        self.cutting.write(self.inner.open(session, current, event)).await
    }

    async fn get(&self, id: &str) -> Result<Option<Session>, Error> {
        self.inner.get(id).await
    }

    async fn shows(&self, shown: Turn) -> Result<Option<Session>, Error> {
        self.inner.shows(shown).await
    }

    async fn turn(&self, shown: Turn) -> Result<Turned, Error> {
        self.cutting.write(self.inner.turn(shown)).await
    }

    async fn of(&self, identity: &str, now_ms: i64) -> Result<Vec<Session>, Error> {
        self.inner.of(identity, now_ms).await
    }

    async fn end(&self, which: Which, event: NewEvent) -> Result<Vec<String>, Error> {
        self.cutting.write(self.inner.end(which, event)).await
    }

    async fn refuse(&self, ids: Vec<String>, until_ms: i64, event: NewEvent) -> Result<(), Error> {
        self.cutting.write(self.inner.refuse(ids, until_ms, event)).await
    }

    async fn refused(&self, id: &str) -> Result<bool, Error> {
        self.inner.refused(id).await
    }

    async fn forget(&self, lapsed_before_ms: i64, most: u32) -> Result<bool, Error> {
        self.inner.forget(lapsed_before_ms, most).await
    }
}

struct CutJournal {
    inner: Arc<dyn Journal>,
    cutting: Arc<Cutting>,
}

#[async_trait]
impl Journal for CutJournal {
    async fn begin(&self, new: New) -> Result<Begun, Error> {
        self.inner.begin(new).await
    }

    async fn append(&self, operation: &str, records: Vec<Record>) -> Result<Appended, Error> {
        self.inner.append(operation, records).await
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

    async fn parts(&self, operation: &str, request: &str) -> Result<Parts, Error> {
        self.inner.parts(operation, request).await
    }

    async fn unsettled(&self) -> Result<u64, Error> {
        self.inner.unsettled().await
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.inner.ledger()
    }

    fn sessions(&self) -> Arc<dyn SessionStore> {
        Arc::new(CutSessions { inner: self.inner.sessions(), cutting: self.cutting.clone() })
    }
}
