//! The embedded provider: one namespace, passwords, fences, sessions.

use super::*;
use crate::{
    query::Query,
    state::{Commits, sqlite::Sqlite},
};

struct World {
    _directory: tempfile::TempDir,
    state: Arc<Sqlite>,
    identity: Embedded,
}

impl World {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = Sqlite::open(&directory.path().join("state.db"), Clock::system()).unwrap();
        let identity = Embedded::open(state.clone(), Clock::system(), 2, 4).await.unwrap();
        Self { _directory: directory, state, identity }
    }

    async fn create(&self, account: &Account, password: Option<&str>) -> AuthUserId {
        let id = self.identity.choose_id();
        self.identity.create(id.as_ref(), account, password.map(SecretString::from).as_ref()).await.unwrap()
    }

    async fn account(&self, id: &AuthUserId) -> Account {
        self.identity.get(id).await.unwrap().unwrap()
    }

    async fn logs_in(&self, name: &str, password: &str) -> bool {
        match self.identity.log_in(name, &password.into()).await.unwrap() {
            Login::Verified { .. } => true,
            Login::Refused => false,
            Login::Token { .. } => panic!("it makes no tokens"),
        }
    }

    async fn standing(&self, id: &AuthUserId) -> Standing {
        self.identity.standing(id).await.unwrap().unwrap()
    }
}

fn ada() -> Account {
    Account {
        username: Some("ada".to_owned()),
        email: Some("Ada@x.org".to_owned()),
        enabled: true,
        mark: Some("operation-1".to_owned()),
        revision: None,
    }
}

fn named(name: &str) -> Account {
    Account { username: Some(name.to_owned()), email: None, ..ada() }
}

fn code<T: std::fmt::Debug>(outcome: Outcome<T>) -> Code {
    let Err(Failure::NotDone(reason)) = outcome else { panic!("{outcome:?}") };
    reason.into_error().code()
}

#[tokio::test]
async fn either_name_logs_in_and_everything_else_is_refused_alike() {
    let world = World::start().await;
    let id = world.create(&ada(), Some("correct horse")).await;
    world.create(&named("eve"), None).await;
    for name in ["ada", "ADA", "ada@X.org"] {
        assert!(world.logs_in(name, "correct horse").await, "{name}");
    }
    for (name, password) in [("ada", "wrong"), ("nobody", "correct horse"), ("eve", ""), ("", "")] {
        assert!(!world.logs_in(name, password).await, "{name}");
    }
    let before = world.account(&id).await;
    let blocked = Account { enabled: false, mark: Some("operation-2".to_owned()), ..before.clone() };
    world.identity.change(&id, &before, &blocked).await.unwrap();
    assert!(!world.logs_in("ada", "correct horse").await);
    world.identity.delete(&id).await.unwrap();
    world.identity.delete(&id).await.unwrap();
    assert!(!world.logs_in("ada", "correct horse").await);
    assert_eq!(world.identity.standing(&id).await.unwrap(), None);
}

#[tokio::test]
async fn nobody_gets_a_name_that_another_has_as_username_or_email() {
    let world = World::start().await;
    world.create(&ada(), None).await;
    for taken in [named("ADA"), named("ada@x.org"), Account { email: Some("ada".to_owned()), ..named("bob") }] {
        let refused = world.identity.create(world.identity.choose_id().as_ref(), &taken, None).await;
        assert_eq!(code(refused), Code::NameTaken);
    }
    let bob = world.create(&named("bob"), None).await;
    let before = world.account(&bob).await;
    let renamed = Account { username: Some("Ada".to_owned()), ..before.clone() };
    assert_eq!(code(world.identity.change(&bob, &before, &renamed).await), Code::NameTaken);
    assert_eq!(world.account(&bob).await, before);
}

#[tokio::test]
async fn a_creation_is_recognised_and_once_given_up_never_lands() {
    let world = World::start().await;
    let id = world.create(&ada(), Some("correct horse")).await;
    assert_eq!(world.identity.create(Some(&id), &ada(), None).await.unwrap(), id);
    let theirs = Account { mark: Some("operation-9".to_owned()), ..ada() };
    assert!(world.identity.create(Some(&id), &theirs, None).await.is_err());
    assert_eq!(world.identity.close_create(Some(&id), &theirs).await.unwrap(), None);

    assert_eq!(world.identity.close_create(Some(&id), &ada()).await.unwrap(), Some(id.clone()));
    world.identity.delete(&id).await.unwrap();
    assert_eq!(world.identity.close_create(Some(&id), &ada()).await.unwrap(), None);
    assert_eq!(code(world.identity.create(Some(&id), &ada(), None).await), Code::OperationSettled);
    assert_eq!(world.identity.get(&id).await.unwrap(), None);
}

#[tokio::test]
async fn a_change_is_recognised_put_back_and_once_closed_never_lands() {
    let world = World::start().await;
    let id = world.create(&ada(), None).await;
    let from = world.account(&id).await;
    let to = Account { email: Some("new@x.org".to_owned()), mark: Some("operation-2".to_owned()), ..from.clone() };

    assert!(!world.identity.close_change(&id, &from, &to).await.unwrap());
    assert_eq!(code(world.identity.change(&id, &from, &to).await), Code::ChangedMeanwhile);

    let from = world.account(&id).await;
    world.identity.change(&id, &from, &to).await.unwrap();
    world.identity.change(&id, &from, &to).await.unwrap();
    assert_eq!(world.account(&id).await.email, to.email);
    assert!(world.identity.close_change(&id, &from, &to).await.unwrap());
    for _ in 0..2 {
        world.identity.restore(&id, &from, &to).await.unwrap();
        let restored = world.account(&id).await;
        assert_eq!(Account { revision: None, ..restored }, Account { revision: None, ..from.clone() });
    }
    assert_eq!(code(world.identity.change(&id, &from, &to).await), Code::ChangedMeanwhile);

    let nobody = "nobody".to_owned();
    assert_eq!(code(world.identity.change(&nobody, &from, &to).await), Code::IdentityUnknown);
    assert!(!world.identity.close_change(&nobody, &from, &to).await.unwrap());
    world.identity.restore(&nobody, &from, &to).await.unwrap();
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_every_session() {
    let world = World::start().await;
    let id = world.create(&ada(), Some("correct horse")).await;
    assert!(world.identity.require_password_change(&id).await.unwrap());
    let before = world.standing(&id).await;
    assert_eq!(before, Standing { enabled: true, not_before_ms: 0, must_change_password: true });
    let account = world.account(&id).await;
    let change = async |current: &str, new: &str| {
        world.identity.change_password(&id, &current.into(), &new.into()).await.unwrap()
    };

    assert_eq!(change("wrong", "battery staple").await, PasswordChange::Wrong);
    assert_eq!(world.standing(&id).await, before);
    let now = Clock::system().now_ms();
    assert_eq!(change("correct horse", "battery staple").await, PasswordChange::Changed);
    let after = world.standing(&id).await;
    assert!(after.not_before_ms > now && !after.must_change_password, "{after:?}");
    assert!(!world.logs_in("ada", "correct horse").await && world.logs_in("ada", "battery staple").await);
    assert_eq!(world.account(&id).await, account, "an operation that read the account earlier is not disturbed");

    let new = SecretString::from("third one");
    assert!(world.identity.set_password(&id, &new, Password::MustChange).await.unwrap());
    assert!(world.standing(&id).await.must_change_password && world.logs_in("ada", "third one").await);
    assert!(world.standing(&id).await.not_before_ms > after.not_before_ms);
    assert!(!world.identity.set_password(&"nobody".to_owned(), &new, Password::Lasting).await.unwrap());
}

#[tokio::test]
async fn blocking_ends_every_session_and_unblocking_brings_none_back() {
    let world = World::start().await;
    let id = world.create(&ada(), None).await;
    let from = world.account(&id).await;
    let to = Account { enabled: false, mark: Some("operation-2".to_owned()), ..from.clone() };
    world.identity.change(&id, &from, &to).await.unwrap();
    let blocked = world.standing(&id).await;
    assert!(!blocked.enabled && blocked.not_before_ms > 0);
    world.identity.restore(&id, &from, &to).await.unwrap();
    assert_eq!(world.standing(&id).await, Standing { enabled: true, ..blocked });
}

#[tokio::test]
async fn more_than_may_wait_are_told_to_come_back() {
    let world = World::start().await;
    world.create(&ada(), Some("correct horse")).await;
    let password = SecretString::from("correct horse");
    let mut attempts: Vec<_> = (0..20).map(|_| Box::pin(world.identity.log_in("ada", &password))).collect();
    let mut told = futures_util::future::join_all(attempts.iter_mut()).await;
    assert!(told.iter().filter(|outcome| outcome.is_ok()).count() >= 6);
    told.retain(Result::is_err);
    let Some(Err(Failure::NotDone(reason))) = told.pop() else { panic!("only six may wait or run") };
    let busy = reason.into_error();
    assert_eq!((busy.code(), busy.retry_after), (Code::Busy, Some(1)));
    assert!(world.logs_in("ada", "correct horse").await);
}

#[tokio::test]
async fn a_stored_identity_holds_no_password() {
    let world = World::start().await;
    let id = world.create(&ada(), Some("correct horse")).await;
    let document = world.state.get(&world.identity.identities, &id).await.unwrap().unwrap();
    let text = serde_json::to_string(&document.body).unwrap();
    assert!(!text.contains("correct") && text.contains("$argon2id$"), "{text}");
    let without = world.create(&named("eve"), None).await;
    let document = world.state.get(&world.identity.identities, &without).await.unwrap().unwrap();
    assert!(!document.body.contains_key("password"));
}

/// A clock that stands still: everything happens in one millisecond.
struct Still;

impl crate::clock::Time for Still {
    fn now_ms(&self) -> i64 {
        1_795_000_000_000
    }

    fn pause(&self, _length: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }

    fn deadline(&self, _length: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_login_before_a_change_of_password_ends_with_it_and_one_after_it_holds_even_in_the_same_millisecond() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(&directory.path().join("state.db"), Clock::new(Still)).unwrap();
    let identity = Embedded::open(state, Clock::new(Still), 2, 4).await.unwrap();
    let (old, new) = (SecretString::from("the old password"), SecretString::from("the new password"));
    let id = identity.create(identity.choose_id().as_ref(), &ada(), Some(&old)).await.unwrap();
    let at_ms = async |password: &SecretString| match identity.log_in("ada", password).await.unwrap() {
        Login::Verified { at_ms, .. } => at_ms,
        Login::Refused | Login::Token { .. } => panic!("the password is right"),
    };
    let before = at_ms(&old).await;
    assert_eq!(identity.change_password(&id, &old, &new).await.unwrap(), PasswordChange::Changed);
    let standing = identity.standing(&id).await.unwrap().unwrap();
    assert!(before < standing.not_before_ms && at_ms(&new).await >= standing.not_before_ms);
}

#[tokio::test]
async fn a_hash_of_another_program_opens_the_account_once_and_is_ours_from_then_on() {
    let world = World::start().await;
    let id = world.create(&ada(), Some("correct horse battery")).await;
    let foreign = "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2";
    let put = |record: &mut Record| {
        record.password = Some(foreign.to_owned());
        Edit::Write(())
    };
    world.identity.edit(&id, put).await.unwrap().unwrap();
    let stored = async || world.identity.record(&id).await.unwrap().unwrap().password.unwrap();

    assert!(!world.logs_in("ada", "correct horse battery").await);
    assert_eq!(stored().await, foreign, "a wrong password changes nothing");
    let standing = world.standing(&id).await;
    assert!(world.logs_in("ada", "correct horse").await);
    let anew = stored().await;
    assert!(anew.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{anew}");
    assert_eq!(world.standing(&id).await, standing, "no session ends");
    assert!(world.logs_in("ada", "correct horse").await);
    assert_eq!(stored().await, anew);
}

/// Counts what is asked of the state.
struct Counted {
    state: Arc<Sqlite>,
    asked: std::sync::Mutex<Vec<&'static str>>,
}

impl Counted {
    fn asked(&self, what: &'static str) -> &Sqlite {
        self.asked.lock().unwrap().push(what);
        &self.state
    }
}

#[async_trait]
impl Documents for Counted {
    fn commits(&self) -> Option<Commits> {
        self.state.commits()
    }

    async fn define(&self, collection: Collection) -> Result<Arc<Collection>, state::Error> {
        self.state.define(collection).await
    }

    async fn insert(&self, into: &Arc<Collection>, id: &str, body: Body) -> Result<Insert, state::Error> {
        self.asked("insert").insert(into, id, body).await
    }

    async fn replace(&self, of: &Arc<Collection>, id: &str, at: i64, body: Body) -> Result<Replace, state::Error> {
        self.asked("replace").replace(of, id, at, body).await
    }

    async fn touch(&self, of: &Arc<Collection>, id: &str, at: i64) -> Result<Replace, state::Error> {
        self.asked("touch").touch(of, id, at).await
    }

    async fn delete(
        &self,
        from: &Arc<Collection>,
        id: &str,
        member: Option<(&'static str, Value)>,
    ) -> Result<bool, state::Error> {
        self.asked("delete").delete(from, id, member).await
    }

    async fn close(&self, of: &Arc<Collection>, id: &str) -> Result<Option<Document>, state::Error> {
        self.asked("close").close(of, id).await
    }

    async fn get(&self, of: &Arc<Collection>, id: &str) -> Result<Option<Document>, state::Error> {
        self.asked("get").get(of, id).await
    }

    async fn find(&self, of: &Arc<Collection>, field: &str, value: &str) -> Result<Vec<Document>, state::Error> {
        self.asked("find").find(of, field, value).await
    }

    async fn list(&self, of: &Arc<Collection>, query: &Query, within: Duration) -> Result<Vec<Body>, state::Error> {
        self.asked("list").list(of, query, within).await
    }

    async fn count(&self, of: &Arc<Collection>, query: &Query, within: Duration) -> Result<u64, state::Error> {
        self.asked("count").count(of, query, within).await
    }

    async fn find_unique(
        &self,
        of: &Arc<Collection>,
        field: &str,
        value: &str,
    ) -> Result<Option<Document>, state::Error> {
        self.asked("find_unique").find_unique(of, field, value).await
    }
}

type Body = serde_json::Map<String, Value>;

#[tokio::test]
async fn whatever_a_login_is_refused_for_costs_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let state = Sqlite::open(&directory.path().join("state.db"), Clock::system()).unwrap();
    let counted = Arc::new(Counted { state, asked: std::sync::Mutex::default() });
    let identity = Embedded::open(counted.clone(), Clock::system(), 2, 4).await.unwrap();
    let password = SecretString::from("correct horse");
    let create = async |account: &Account, password: Option<&SecretString>| {
        identity.create(identity.choose_id().as_ref(), account, password).await.unwrap()
    };
    create(&ada(), Some(&password)).await;
    create(&Account { enabled: false, ..named("bob") }, Some(&password)).await;
    create(&named("eve"), None).await;

    let cost = async |name: &str, password: &str| {
        counted.asked.lock().unwrap().clear();
        let before = identity.hashing.computed();
        let login = identity.log_in(name, &password.into()).await.unwrap();
        assert!(matches!(login, Login::Refused), "{name} with {password:?}");
        (identity.hashing.computed() - before, counted.asked.lock().unwrap().clone())
    };
    let wrong = cost("ada", "wrong").await;
    assert_eq!(wrong, (1, vec!["find_unique", "get"]));
    for (what, name, password) in [
        ("nobody has the name", "nobody", "correct horse"),
        ("no name at all", "", ""),
        ("blocked, and the password is wrong", "bob", "wrong"),
        ("blocked, and the password is right", "bob", "correct horse"),
        ("no password", "eve", "correct horse"),
    ] {
        assert_eq!(cost(name, password).await, wrong, "{what}");
    }
}
