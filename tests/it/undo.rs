//! What going back leaves alone, and what it does not.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use user_manager::{
    app::App,
    error::{self, Code},
    identity::Account,
    outcome::{Failure, Outcome},
    query::Filter,
    saga::{Answer, Asked, Kind, Limits, Promise, Saga, Sagas, Step, kinds},
    state::journal,
    store::Write,
    systems::Systems,
    users::{
        Change, State, User, UserId,
        steps::{ChangeIdentity, DeleteUser, InsertUser, PatchUser},
    },
};

use crate::matrix::{Drivers, Operation, Template, World};

const NEW: &str = "00000000000000000000000a";

fn fields(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn inserted(app: &App) -> (UserId, InsertUser) {
    let id = UserId::new(app.clock.now_ms());
    let person = fields(json!({"userGroup": "users", "email": "new@x.org", "name": "New", "phone": "+39 012"}));
    (id.clone(), InsertUser { id, fields: person, by: "ada".to_owned() })
}

async fn read(app: &App, id: &UserId) -> Option<User> {
    app.systems.store.get(id, &Filter::Everything).await.unwrap()
}

async fn moved(app: &App, id: &UserId, to: State) {
    let at = read(app, id).await.unwrap().revision;
    let write = app.systems.store.set_state(id, &at, to, "eve").await.unwrap();
    assert!(matches!(write, Write::Now(_)));
}

#[tokio::test]
async fn a_person_that_was_made_goes_in_whatever_state_somebody_has_put_him() {
    let world = World::new(&Template::make().await, Operation::Create, Drivers::Embedded).await;
    let app = world.live(|journal| journal).await.app;
    for state in [State::Public, State::Draft, State::Trash, State::Deleted] {
        let (id, insert) = inserted(&app);
        insert.run(&app.systems).await.unwrap();
        if state != State::Public {
            moved(&app, &id, state).await;
        }
        assert_eq!(insert.fence(&app.systems).await.unwrap(), Some(()));
        insert.undo(&app.systems, &()).await.unwrap();
        assert_eq!(read(&app, &id).await, None, "{state:?}");
        assert_eq!(insert.fence(&app.systems).await.unwrap(), None, "{state:?}");
        insert.undo(&app.systems, &()).await.unwrap();
    }
}

#[tokio::test]
async fn what_somebody_else_has_written_since_is_not_put_back() {
    let world = World::new(&Template::make().await, Operation::Create, Drivers::Embedded).await;
    let app = world.live(|journal| journal).await.app;
    let (id, insert) = inserted(&app);
    insert.run(&app.systems).await.unwrap();
    let before = read(&app, &id).await.unwrap();
    let change = Change { set: fields(json!({"name": "Ours", "email": "ours@x.org"})), unset: vec!["phone".into()] };
    let patch = PatchUser::new(&before, change, "ada");
    let made = patch.run(&app.systems).await.unwrap();
    let theirs = Change { set: fields(json!({"name": "Theirs"})), unset: Vec::new() };
    app.systems.store.change(&id, &made, &theirs, "eve").await.unwrap();

    patch.undo(&app.systems, &made).await.unwrap();
    let after = read(&app, &id).await.unwrap();
    assert_eq!((after.text("name"), after.text("email")), (Some("Theirs"), Some("new@x.org")));
    assert_eq!(after.text("phone"), Some("+39 012"));
}

#[tokio::test]
async fn a_deletion_that_was_promised_takes_nobody_whom_somebody_took_out_of_the_trash() {
    let world = World::new(&Template::make().await, Operation::Create, Drivers::Embedded).await;
    let app = world.live(|journal| journal).await.app;
    let (id, insert) = inserted(&app);
    insert.run(&app.systems).await.unwrap();
    moved(&app, &id, State::Trash).await;
    moved(&app, &id, State::Draft).await;
    DeleteUser { id: id.clone() }.keep(&app.systems).await.unwrap();
    assert_eq!(read(&app, &id).await.map(|user| user.state), Some(State::Draft));
}

const LIMITS: Limits = Limits {
    answer_within: Duration::from_secs(60),
    names_wait: Duration::from_secs(60),
    attention_after: Duration::from_secs(60),
};

fn asked(kind: &'static str) -> Asked {
    Asked {
        kind,
        doing: "trying",
        origin: Default::default(),
        subject: None,
        names: vec![format!("user:{NEW}")],
        begun: Default::default(),
        answer: Answer::AtCommit,
        key: None,
    }
}

/// Its call goes unanswered, and what it made seems to come back again and again.
#[derive(Serialize, Deserialize)]
struct Stubborn;

static LOOKS: AtomicU32 = AtomicU32::new(0);

impl Step for Stubborn {
    const NAME: &'static str = "stubborn";
    type Output = ();

    fn late(&self, _to: &Systems) -> Duration {
        Duration::ZERO
    }

    async fn run(&self, _to: &Systems) -> Outcome<()> {
        Err(Failure::unknown(error::changed_meanwhile()))
    }

    async fn fence(&self, _to: &Systems) -> Outcome<Option<()>> {
        Ok((LOOKS.fetch_add(1, Ordering::SeqCst) < 100).then_some(()))
    }

    async fn undo(&self, _to: &Systems, (): &()) -> Outcome<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_undo_that_changes_nothing_is_not_repeated_without_a_pause() {
    const KINDS: &[Kind] = &[kinds::step::<Stubborn>()];
    let world = World::new(&Template::make().await, Operation::Create, Drivers::Embedded).await;
    let app = world.live(|journal| journal).await.app;
    let sagas = Sagas::new(app.journal.clone(), app.systems.clone(), KINDS, LIMITS, Box::new(|_, _, _| String::new()));
    let began = world.hand.now_ms();
    let told = sagas.run(asked("stubborn"), async move |saga: &mut Saga| saga.step(Stubborn).await).await;
    assert!(told.is_err());
    sagas.idle().await;
    let looks = i64::from(LOOKS.load(Ordering::SeqCst));
    assert!(world.hand.now_ms() - began > 10 * looks, "{looks} looks in {} ms", world.hand.now_ms() - began);
    assert_eq!(world.look().leftovers(), Vec::<String>::new());
}

/// Its undo panics at first.
#[derive(Serialize, Deserialize)]
struct Clumsy;

static PANICS: AtomicU32 = AtomicU32::new(0);

impl Step for Clumsy {
    const NAME: &'static str = "clumsy";
    type Output = ();

    fn late(&self, _to: &Systems) -> Duration {
        Duration::ZERO
    }

    async fn run(&self, _to: &Systems) -> Outcome<()> {
        Ok(())
    }

    async fn fence(&self, _to: &Systems) -> Outcome<Option<()>> {
        Ok(None)
    }

    async fn undo(&self, _to: &Systems, (): &()) -> Outcome<()> {
        assert!(PANICS.fetch_add(1, Ordering::SeqCst) >= 3, "an undo with a defect");
        Ok(())
    }
}

#[tokio::test]
async fn an_undo_that_panics_is_tried_again_and_stands_in_the_log() {
    const KINDS: &[Kind] = &[kinds::step::<Clumsy>()];
    let world = World::new(&Template::make().await, Operation::Create, Drivers::Embedded).await;
    let app = world.live(|journal| journal).await.app;
    let sagas = Sagas::new(app.journal.clone(), app.systems.clone(), KINDS, LIMITS, Box::new(|_, _, _| String::new()));
    let asked = asked("clumsy");
    let begun = asked.begun.clone();
    let told = sagas
        .run(asked, async move |saga: &mut Saga| {
            saga.step(Clumsy).await?;
            Err::<(), _>(error::changed_meanwhile())
        })
        .await;
    assert_eq!(told.unwrap_err().code(), Code::OutcomePending);
    sagas.idle().await;
    let entry = app.journal.read(begun.get().unwrap()).await.unwrap().unwrap();
    assert_eq!((entry.state, entry.steps[0].failures), (journal::State::Undone, 3));
    assert_eq!(world.look().leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn an_operation_that_this_program_cannot_read_keeps_its_names_and_asks_for_somebody() {
    let world = World::new(&Template::make().await, Operation::Create, Drivers::Embedded).await;
    let app = world.live(|journal| journal).await.app;
    let id = uuid::Uuid::now_v7().to_string();
    let new = journal::New {
        id: id.clone(),
        kind: "paint-user".to_owned(),
        origin: Default::default(),
        subject: None,
        names: vec![format!("user:{NEW}")],
        began_ms: app.clock.now_ms(),
        key: None,
    };
    app.journal.begin(new).await.unwrap();
    let body = json!({ "email": "ada@x.org" });
    app.journal.append(&id, vec![journal::Record::Intent { seq: 0, name: "paint", body }]).await.unwrap();
    for found in [1, 0, 0] {
        assert_eq!(app.sagas.recover().await.unwrap(), found);
        app.sagas.idle().await;
    }
    let entry = app.journal.read(&id).await.unwrap().unwrap();
    let why = entry.attention.unwrap();
    assert!(why.contains("paint") && !why.contains("ada@"), "{why}");
    assert_eq!(entry.state, journal::State::Running);
    assert!(world.look().leftovers().iter().any(|name| name.contains(NEW)), "its name is still held");
    // Asked for it, it is looked at again.
    assert!(!app.sagas.nudge(&id));
    assert_eq!(app.sagas.recover().await.unwrap(), 1);
}

/// Says when it is put back. Where it is told to, its call goes unanswered.
#[derive(Serialize, Deserialize)]
struct Telling {
    number: u32,
    answers: bool,
}

static TOLD: Mutex<Vec<u32>> = Mutex::new(Vec::new());

impl Step for Telling {
    const NAME: &'static str = "telling";
    type Output = ();

    fn late(&self, _to: &Systems) -> Duration {
        Duration::ZERO
    }

    async fn run(&self, _to: &Systems) -> Outcome<()> {
        if self.answers { Ok(()) } else { Err(Failure::unknown(error::changed_meanwhile())) }
    }

    async fn fence(&self, _to: &Systems) -> Outcome<Option<()>> {
        TOLD.lock().unwrap().push(10 * self.number);
        Ok(None)
    }

    async fn undo(&self, _to: &Systems, (): &()) -> Outcome<()> {
        TOLD.lock().unwrap().push(self.number);
        Ok(())
    }
}

#[tokio::test]
async fn after_an_unanswered_call_nothing_goes_on_and_the_last_step_is_put_back_first() {
    const KINDS: &[Kind] = &[kinds::step::<Telling>()];
    let world = World::new(&Template::make().await, Operation::Create, Drivers::Embedded).await;
    let app = world.live(|journal| journal).await.app;
    let sagas = Sagas::new(app.journal.clone(), app.systems.clone(), KINDS, LIMITS, Box::new(|_, _, _| String::new()));
    let told = sagas
        .run(asked("telling"), async move |saga: &mut Saga| {
            saga.step(Telling { number: 1, answers: true }).await?;
            saga.step(Telling { number: 2, answers: true }).await?;
            // A body that overhears it does not get on.
            let _ = saga.step(Telling { number: 3, answers: false }).await;
            assert!(saga.step(Telling { number: 4, answers: true }).await.is_err());
            Ok(())
        })
        .await;
    assert!(told.is_err());
    sagas.idle().await;
    assert_eq!(*TOLD.lock().unwrap(), [30, 2, 1]);
}

#[tokio::test]
async fn an_account_that_another_operation_has_written_since_is_not_put_back() {
    let world = World::new(&Template::make().await, Operation::Create, Drivers::Embedded).await;
    let app = world.live(|journal| journal).await.app;
    let id = "ada-identity".to_owned();
    let account = async || app.systems.identity.get(&id).await.unwrap().unwrap();
    let write = async |name: &str| {
        let from = account().await;
        let to = Account { username: Some(name.to_owned()), mark: Some(name.to_owned()), ..from.clone() };
        let change = ChangeIdentity { id: id.clone(), from, to };
        change.run(&app.systems).await.unwrap();
        change
    };
    let ours = write("ours").await;
    write("theirs").await;
    ours.undo(&app.systems, &()).await.unwrap();
    assert_eq!(account().await.username.as_deref(), Some("theirs"));
}
