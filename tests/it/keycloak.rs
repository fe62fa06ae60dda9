//! The driver for Keycloak against its twin: what Keycloak does that others do not.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, jwk::JwkSet};
use secrecy::ExposeSecret;
use serde_json::Value;
use user_manager::{
    clock::{Clock, Time},
    config::{self, KeycloakCreate},
    error::{Code, Error},
    identity::{Account, Identity, Login, keycloak::Keycloak as Driver},
    outcome::{Failure, Outcome},
};

use crate::{
    plane_d::patience,
    twins::{
        Twin,
        fault::{Fault, Lasts, Plan},
        keycloak::{self, Keycloak, Person},
    },
};

const ID: &str = "11111111-2222-4333-8444-555555555555";
const PASSWORD: &str = "correct horse";

#[tokio::test]
async fn one_new_token_serves_all_who_wait_for_it() {
    let (twin, clock) = twin().await;
    let driver = open(&twin, &clock, |_| {}).await;
    twin.world().stands(ID, Person::named("ada", "ada@example.org"));
    let id = ID.to_owned();
    let ask = || futures_util::future::join_all((0..8).map(|_| driver.get(&id)));
    let tokens = || twin.log().iter().filter(|line| line.ends_with("/token")).count();
    assert_eq!(tokens(), 1);

    // Shortly before it expires.
    clock.advance(Duration::from_secs(290));
    assert!(ask().await.into_iter().all(|found| found.unwrap().is_some()));
    assert_eq!(tokens(), 2);

    // Refused although it has not expired: the call was not carried out, and is made again.
    twin.world().forget_tokens();
    assert!(driver.get(&id).await.unwrap().is_some());
    assert_eq!(tokens(), 3);
}

#[tokio::test]
async fn a_realm_that_would_drop_the_mark_is_not_written_to() {
    let (twin, clock) = twin().await;
    twin.world().keeps_unmanaged = false;
    let driver = open(&twin, &clock, |_| {}).await;

    let refused = driver.create(None, &ada(), None).await;
    assert_eq!(not_done(refused).code(), Code::UpstreamRefused);
    assert_eq!(not_done(driver.check().await).code(), Code::UpstreamRefused);
    assert!(twin.world().people.is_empty());

    twin.world().keeps_unmanaged = true;
    driver.create(None, &ada(), None).await.unwrap();
    assert_eq!(twin.world().people.len(), 1);
}

#[tokio::test]
async fn how_accounts_are_made_is_found_out() {
    let (twin, clock) = twin().await;
    assert!(open(&twin, &clock, |config| config.create = None).await.choose_id().is_some());

    twin.world().may("manage-realm", false);
    assert_eq!(open(&twin, &clock, |config| config.create = None).await.choose_id(), None);
    twin.world().may("manage-realm", true);

    // While it is away nothing is known, and nothing is sent.
    twin.plan(Plan::nth(1, Fault::Refused, Lasts::On)).await;
    let driver = open(&twin, &clock, |config| config.create = None).await;
    assert_eq!(driver.choose_id(), None);
    assert_eq!(not_done(driver.create(None, &ada(), None).await).code(), Code::UpstreamFailed);
    twin.mend().await;
    let made = driver.create(None, &ada(), None).await.unwrap();
    assert!(twin.world().people.contains_key(&made));
    assert!(driver.choose_id().is_some());
}

#[tokio::test]
async fn a_taken_name_and_a_weak_password_are_told_by_their_field() {
    for mode in [KeycloakCreate::PartialImport, KeycloakCreate::Marker] {
        let (twin, clock) = twin().await;
        twin.world().stands(ID, Person::named("grace", "grace@example.org"));
        let driver = open(&twin, &clock, |config| config.create = Some(mode)).await;
        let before = twin.world().snapshot();
        let check = async |username: Option<&str>, email: &str, password: &str, code, field: &str| {
            let account = Account { username: username.map(str::to_owned), email: Some(email.to_owned()), ..ada() };
            let refused = driver.create(driver.choose_id().as_ref(), &account, Some(&password.into())).await;
            let error = not_done(refused);
            assert_eq!((error.code(), error.field.as_deref()), (code, Some(field)), "{mode:?} {username:?} {email}");
            assert!(!error.message().contains(password));
        };
        check(Some("ada"), "GRACE@example.org", PASSWORD, Code::NameTaken, "email").await;
        check(Some("GRACE"), "ada@example.org", PASSWORD, Code::NameTaken, "username").await;
        check(None, "grace@example.org", PASSWORD, Code::NameTaken, "email").await;
        check(Some("ada"), "ada@example.org", "pony", Code::PasswordRefused, "password").await;
        assert_eq!(twin.world().snapshot(), before);
    }
}

#[tokio::test]
async fn without_a_username_the_e_mail_is_it_and_follows() {
    let (twin, clock) = twin().await;
    let driver = open(&twin, &clock, |_| {}).await;
    let account = Account { username: None, ..ada() };
    let id = driver.create(driver.choose_id().as_ref(), &account, None).await.unwrap();
    assert_eq!(twin.world().people[&id].username, "ada@example.org");
    let stands = driver.get(&id).await.unwrap().unwrap();
    assert_eq!(stands, account);

    let moved = Account { email: Some("ada@new.example".to_owned()), mark: Some("op-2".to_owned()), ..account };
    driver.change(&id, &stands, &moved).await.unwrap();
    assert_eq!(twin.world().people[&id].username, "ada@new.example");
    assert_eq!(driver.get(&id).await.unwrap(), Some(moved.clone()));

    // A realm that does not let usernames change refuses it whole.
    twin.world().edit_username_allowed = false;
    let back = Account { mark: Some("op-3".to_owned()), ..stands };
    assert_eq!(not_done(driver.change(&id, &moved, &back).await).code(), Code::UpstreamRefused);
    assert_eq!(driver.get(&id).await.unwrap(), Some(moved));
}

#[tokio::test]
async fn a_mark_torn_by_a_parallel_write_is_written_again() {
    let (twin, clock) = twin().await;
    let driver = open(&twin, &clock, |_| {}).await;
    let id = driver.create(driver.choose_id().as_ref(), &ada(), None).await.unwrap();
    twin.world().rivals = vec!["somebody-else".to_owned(), "op-2".to_owned()];
    let to = Account { email: Some("ada@new.example".to_owned()), mark: Some("op-2".to_owned()), ..ada() };
    driver.change(&id, &ada(), &to).await.unwrap();
    assert_eq!(driver.get(&id).await.unwrap(), Some(to));
    assert_eq!(twin.world().people[&id].attributes["um_operation"], ["op-2"]);
}

#[tokio::test]
async fn what_somebody_else_has_changed_is_left_alone() {
    let (twin, clock) = twin().await;
    let driver = open(&twin, &clock, |_| {}).await;
    let id = driver.create(driver.choose_id().as_ref(), &ada(), None).await.unwrap();
    twin.world().people.get_mut(&id).unwrap().email = Some("ada@elsewhere.example".to_owned());
    let before = twin.world().snapshot();
    let to = Account { enabled: false, mark: Some("op-2".to_owned()), ..ada() };
    assert_eq!(not_done(driver.change(&id, &ada(), &to).await).code(), Code::ChangedMeanwhile);
    assert!(!driver.close_change(&id, &ada(), &to).await.unwrap());
    driver.restore(&id, &ada(), &to).await.unwrap();
    assert_eq!(twin.world().snapshot(), before);
}

#[tokio::test]
async fn a_missing_realm_is_no_missing_person() {
    let (twin, clock) = twin().await;
    let driver = open(&twin, &clock, |_| {}).await;
    twin.plan(Plan::nth(1, Fault::Between(404), Lasts::On)).await;
    assert_eq!(not_done(driver.get(&ID.to_owned()).await).code(), Code::UpstreamRefused);
    assert_eq!(not_done(driver.delete(&ID.to_owned()).await).code(), Code::UpstreamRefused);
    twin.mend().await;
    let elsewhere = open(&twin, &clock, |config| config.realm = "nowhere".to_owned()).await;
    assert_eq!(not_done(elsewhere.get(&ID.to_owned()).await).code(), Code::UpstreamRefused);
}

#[tokio::test]
async fn a_login_answers_keycloaks_own_token_and_every_refusal_alike() {
    let (twin, clock) = twin().await;
    let driver = open(&twin, &clock, |_| {}).await;
    let id = driver.create(driver.choose_id().as_ref(), &ada(), Some(&PASSWORD.into())).await.unwrap();
    let log_in = async |name: &str, password: &str| driver.log_in(name, &password.into()).await;

    for name in ["ada", "ADA", "Ada@example.org"] {
        let Login::Token { access_token, expires_at_ms, .. } = log_in(name, PASSWORD).await.unwrap() else {
            panic!("{name} was refused")
        };
        assert_eq!(expires_at_ms, clock.now_ms() + 300_000);
        let issuer = driver.issuer().unwrap();
        let claims = verified(&driver.keys().await.unwrap(), access_token.expose_secret());
        assert_eq!((&claims["sub"], &claims["iss"]), (&Value::from(id.clone()), &Value::from(issuer.issuer)));
        assert_eq!(claims["azp"], Value::from(issuer.audience));
    }

    let refused = |login: Outcome<Login>| assert!(matches!(login, Ok(Login::Refused)), "{login:?}");
    refused(log_in("ada", "wrong").await);
    refused(log_in("nobody", PASSWORD).await);
    refused(log_in("ada", "").await);
    refused(log_in("", PASSWORD).await);
    let as_if = |change: fn(&mut Person)| {
        let mut world = twin.world();
        change(world.people.get_mut(&id).unwrap());
    };
    as_if(|ada| ada.locked = true);
    refused(log_in("ada", PASSWORD).await);
    as_if(|ada| (ada.locked, ada.enabled) = (false, false));
    refused(log_in("ada", PASSWORD).await);
    as_if(|ada| (ada.enabled, ada.required_actions) = (true, vec!["UPDATE_PASSWORD".to_owned()]));
    refused(log_in("ada", PASSWORD).await);

    // Our own credentials are wrong: that is nobody's password.
    let wrong = open(&twin, &clock, |config| config.login_client_secret = Some("not-it".into())).await;
    assert_eq!(not_done(wrong.log_in("ada", &PASSWORD.into()).await).code(), Code::UpstreamRefused);
    let unknown = open(&twin, &clock, |config| config.login_client_id = "not-there".to_owned()).await;
    assert_eq!(not_done(unknown.log_in("ada", &PASSWORD.into()).await).code(), Code::UpstreamRefused);
}

fn ada() -> Account {
    Account {
        username: Some("ada".to_owned()),
        email: Some("ada@example.org".to_owned()),
        enabled: true,
        mark: Some("op-1".to_owned()),
        revision: None,
    }
}

async fn twin() -> (Twin<Keycloak>, Shifted) {
    let clock = Shifted::default();
    (Twin::start(Keycloak::new(Clock::new(clock.clone()))).await, clock)
}

async fn open(twin: &Twin<Keycloak>, clock: &Shifted, but: impl FnOnce(&mut config::Keycloak)) -> Driver {
    let mut config = keycloak::config(twin.url(), KeycloakCreate::PartialImport);
    but(&mut config);
    Driver::open(config, &patience(30_000), Clock::new(clock.clone())).await.unwrap()
}

fn not_done<T: std::fmt::Debug>(outcome: Outcome<T>) -> Error {
    match outcome {
        Err(Failure::NotDone(reason)) => reason.into_error(),
        other => panic!("{other:?}"),
    }
}

/// The claims of a token that one of these keys has signed.
fn verified(keys: &Value, token: &str) -> Value {
    let keys: JwkSet = serde_json::from_value(keys.clone()).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_aud = false;
    validation.validate_exp = false;
    decode(token, &key, &validation).unwrap().claims
}

/// A clock that stands still until it is moved; deadlines are real, since the sockets are.
#[derive(Clone, Default)]
struct Shifted(Arc<AtomicI64>);

impl Shifted {
    fn now_ms(&self) -> i64 {
        1_795_239_840_000 + self.0.load(Ordering::SeqCst)
    }

    fn advance(&self, length: Duration) {
        self.0.fetch_add(i64::try_from(length.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Time for Shifted {
    fn now_ms(&self) -> i64 {
        self.now_ms()
    }

    fn pause(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.advance(length);
        Box::pin(std::future::ready(()))
    }

    fn deadline(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = Clock::system();
        Box::pin(async move { clock.deadline(length).await })
    }
}
