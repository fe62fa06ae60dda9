//! The fault layer: stands before a store and an identity provider, counts every call, and does to the nth what the script
//! says.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Map, Value};
use tokio::sync::Notify;
use user_manager::{
    error::{Code, Fault as Wrong, Upstream, upstream},
    identity::{Account, AuthUserId, Identity, Issuer, Login, PasswordChange, Standing, TheirSession},
    outcome::{Failure, Outcome},
    query::{Filter, Query},
    state::{
        self, Commits, Grants, Mails, Timer, Timers,
        mails::{Due, Limit, Mail},
    },
    store::{Landed, Store, Write},
    users::{Change, Revision, State, User, UserId},
};

use super::time::{Closed, Hand};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Refused: nothing happens.
    Refused,
    /// Carried out; the answer is lost.
    LostDone,
    /// Lost before it was carried out.
    LostNot,
    /// Unanswered; carried out before the nth next call.
    LateBefore(u32),
    /// Unanswered; carried out after so long.
    LateAfter(Duration),
    /// Unanswered; carried out when everything is over. Only for systems whose fences are final.
    LateAtTheEnd,
    /// Carried out, then whoever asked panics.
    Panic,
    /// Carried out, then the process dies.
    Crash,
}

impl Fault {
    /// What is tried first: every outcome with every truth and moment.
    pub const FENCED: [Self; 9] = [
        Self::Refused,
        Self::LostDone,
        Self::LostNot,
        Self::LateBefore(1),
        Self::LateBefore(2),
        Self::LateBefore(3),
        Self::LateAfter(Duration::from_secs(5)),
        Self::LateAtTheEnd,
        Self::Panic,
    ];
    /// The same where no fence is final: what is late lands inside the window, at its very end too.
    pub const UNFENCED: [Self; 9] = [
        Self::Refused,
        Self::LostDone,
        Self::LostNot,
        Self::LateBefore(1),
        Self::LateBefore(2),
        Self::LateBefore(3),
        Self::LateAfter(Duration::from_secs(5)),
        Self::LateAfter(Duration::from_millis(299_000)),
        Self::Panic,
    ];
}

/// What a planted panic says.
pub const PLANTED: &str = "a driver's defect, planted";

/// What befalls the calls after the first fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Well,
    /// The next three go unanswered too, not carried out.
    SameAgain,
    /// So many calls later another fault.
    Second(u32, Fault),
    /// Nothing answers any more until so much time has passed.
    Away(Duration),
}

type Effect = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Counts calls and says what happens to each.
pub struct Script {
    hand: Hand,
    calls: AtomicU32,
    plan: Mutex<Plan>,
    /// What is under way, and before which call it lands.
    under_way: Mutex<Vec<(u32, Effect)>>,
    /// The calls whose effects no fence closes.
    unfenced: Mutex<Vec<u32>>,
    /// The process has died.
    pub crashed: Notify,
}

#[derive(Default)]
struct Plan {
    /// The call and what happens to it, from 1.
    faults: Vec<(u32, Fault)>,
    /// From this call on, until this time.
    away: Option<(u32, Duration, Option<i64>)>,
}

impl Script {
    pub fn new(hand: Hand) -> Arc<Self> {
        Arc::new(Self {
            hand,
            calls: AtomicU32::new(0),
            plan: Mutex::default(),
            under_way: Mutex::default(),
            unfenced: Mutex::default(),
            crashed: Notify::new(),
        })
    }

    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether that call had an effect that no fence closes.
    pub fn is_unfenced(&self, nth: u32) -> bool {
        self.unfenced.lock().unwrap().contains(&nth)
    }

    pub fn plan(&self, nth: u32, fault: Fault, then: Then) {
        let mut plan = self.plan.lock().unwrap();
        plan.faults = vec![(nth, fault)];
        match then {
            Then::Well => {}
            Then::SameAgain => plan.faults.extend((1..=3).map(|more| (nth + more, Fault::LostNot))),
            Then::Second(later, fault) => plan.faults.push((nth + later, fault)),
            Then::Away(length) => plan.away = Some((nth + 1, length, None)),
        }
    }

    /// Whether some call is planned to land after it went unanswered.
    pub fn lets_land(&self) -> bool {
        let late = |fault: &Fault| matches!(fault, Fault::LateBefore(_) | Fault::LateAfter(_) | Fault::LateAtTheEnd);
        self.plan.lock().unwrap().faults.iter().any(|(_, fault)| late(fault))
    }

    /// The process dies after it has carried out that call.
    pub fn crash_at(&self, nth: u32) {
        self.plan.lock().unwrap().faults.push((nth, Fault::Crash));
    }

    /// Whatever is under way lands.
    pub async fn land_all(&self) {
        let effects = std::mem::take(&mut *self.under_way.lock().unwrap());
        for (_, effect) in effects {
            effect.await;
        }
    }

    /// The fault of the call that comes now, if any.
    async fn next(&self) -> Option<Fault> {
        let nth = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        loop {
            let due = {
                let mut under_way = self.under_way.lock().unwrap();
                let at = under_way.iter().position(|(before, _)| *before <= nth);
                at.map(|at| under_way.remove(at))
            };
            let Some((_, effect)) = due else { break };
            effect.await;
        }
        let mut plan = self.plan.lock().unwrap();
        if let Some((from, length, until)) = &mut plan.away
            && nth >= *from
        {
            let until = *until.get_or_insert(self.hand.now_ms() + i64::try_from(length.as_millis()).unwrap());
            if self.hand.now_ms() < until {
                return Some(Fault::LostNot);
            }
        }
        plan.faults.iter().find(|(at, _)| *at == nth).map(|(_, fault)| *fault)
    }

    fn lands_before<T: Send + 'static>(&self, nth: u32, call: impl Future<Output = Outcome<T>> + Send + 'static) {
        self.under_way.lock().unwrap().push((nth, unheard(call)));
    }

    /// Carries the call out as the script says. `call` is the whole call, able to be carried out later.
    async fn pass<T: Send + 'static>(&self, call: impl Future<Output = Outcome<T>> + Send + 'static) -> Outcome<T> {
        self.carry(Closed::ByAFence, call).await
    }

    async fn carry<T: Send + 'static>(
        &self,
        closed: Closed,
        call: impl Future<Output = Outcome<T>> + Send + 'static,
    ) -> Outcome<T> {
        let fault = self.next().await;
        let nth = self.calls();
        if closed == Closed::ByTime {
            self.unfenced.lock().unwrap().push(nth);
        }
        let Some(fault) = fault else { return call.await };
        match fault {
            Fault::Refused => return Err(Failure::not_done(told(Wrong::Status(403)))),
            Fault::LostNot => {}
            Fault::LostDone => {
                let _ = call.await;
            }
            Fault::Panic => {
                let _ = call.await;
                panic!("{PLANTED}");
            }
            Fault::Crash => {
                let _ = call.await;
                self.crashed.notify_one();
                return std::future::pending().await;
            }
            Fault::LateBefore(more) => self.lands_before(nth + more, call),
            Fault::LateAtTheEnd => self.lands_before(u32::MAX, call),
            Fault::LateAfter(length) => {
                let at_ms = self.hand.now_ms() + i64::try_from(length.as_millis()).unwrap();
                self.hand.lands_at(at_ms, closed, unheard(call));
            }
        }
        Err(Failure::unknown(told(Wrong::NoAnswer)))
    }
}

/// The call, whose answer nobody hears.
fn unheard<T: Send + 'static>(call: impl Future<Output = Outcome<T>> + Send + 'static) -> Effect {
    Box::pin(async move {
        let _ = call.await;
    })
}

fn told(fault: Wrong) -> user_manager::error::Error {
    upstream(Code::UpstreamFailed, Upstream { system: "Test", method: "CALL", template: "/".to_owned(), fault })
}

pub struct FaultyStore {
    pub inner: Arc<dyn Store>,
    pub script: Arc<Script>,
}

/// The call with everything it needs of its own, so that it may land when nobody waits for it any more.
macro_rules! pass {
    ($self:ident . $method:ident ( $($argument:ident),* )) => {{
        let inner = Arc::clone(&$self.inner);
        $(let $argument = $argument.to_owned();)*
        $self.script.pass(async move { inner.$method($(&$argument),*).await }).await
    }};
}

#[async_trait]
impl Store for FaultyStore {
    async fn insert(&self, id: &UserId, fields: &Map<String, Value>, by: &str) -> Outcome<()> {
        pass!(self.insert(id, fields, by))
    }

    async fn close(&self, id: &UserId, fields: &Map<String, Value>) -> Outcome<Landed> {
        pass!(self.close(id, fields))
    }

    async fn get(&self, id: &UserId, rows: &Filter) -> Outcome<Option<User>> {
        pass!(self.get(id, rows))
    }

    async fn find(&self, any: &[(&str, &str)]) -> Outcome<Vec<User>> {
        let inner = Arc::clone(&self.inner);
        let any: Vec<(String, String)> = any.iter().map(|(f, v)| ((*f).to_owned(), (*v).to_owned())).collect();
        let call = async move {
            let any: Vec<(&str, &str)> = any.iter().map(|(f, v)| (f.as_str(), v.as_str())).collect();
            inner.find(&any).await
        };
        self.script.pass(call).await
    }

    async fn list(&self, query: &Query) -> Outcome<Vec<User>> {
        pass!(self.list(query))
    }

    async fn count(&self, query: &Query) -> Outcome<u64> {
        pass!(self.count(query))
    }

    async fn change(&self, id: &UserId, at: &Revision, change: &Change, by: &str) -> Outcome<Write> {
        pass!(self.change(id, at, change, by))
    }

    async fn set_state(&self, id: &UserId, at: &Revision, to: State, by: &str) -> Outcome<Write> {
        let inner = Arc::clone(&self.inner);
        let (id, at, by) = (id.clone(), at.clone(), by.to_owned());
        self.script.pass(async move { inner.set_state(&id, &at, to, &by).await }).await
    }

    async fn delete(&self, id: &UserId, state: State) -> Outcome<()> {
        let inner = Arc::clone(&self.inner);
        let id = id.clone();
        self.script.pass(async move { inner.delete(&id, state).await }).await
    }

    fn late(&self) -> Duration {
        self.inner.late()
    }

    async fn check(&self) -> Outcome<()> {
        self.inner.check().await
    }

    fn commits(&self) -> Option<Commits> {
        self.inner.commits()
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }
}

pub struct FaultyIdentity {
    pub inner: Arc<dyn Identity>,
    pub script: Arc<Script>,
}

impl FaultyIdentity {
    /// What changes something: over a provider without fences it may land until its time is over.
    async fn change_something<T: Send + 'static>(
        &self,
        call: impl Future<Output = Outcome<T>> + Send + 'static,
    ) -> Outcome<T> {
        let closed = if self.inner.late().is_zero() { Closed::ByAFence } else { Closed::ByTime };
        self.script.carry(closed, call).await
    }
}

#[async_trait]
impl Identity for FaultyIdentity {
    fn choose_id(&self) -> Option<AuthUserId> {
        self.inner.choose_id()
    }

    async fn create(
        &self,
        chosen: Option<&AuthUserId>,
        account: &Account,
        _password: Option<&SecretString>,
    ) -> Outcome<AuthUserId> {
        let inner = Arc::clone(&self.inner);
        let (chosen, account) = (chosen.cloned(), account.clone());
        self.change_something(async move { inner.create(chosen.as_ref(), &account, None).await }).await
    }

    async fn close_create(&self, chosen: Option<&AuthUserId>, account: &Account) -> Outcome<Option<AuthUserId>> {
        let inner = Arc::clone(&self.inner);
        let (chosen, account) = (chosen.cloned(), account.clone());
        self.script.pass(async move { inner.close_create(chosen.as_ref(), &account).await }).await
    }

    async fn get(&self, id: &AuthUserId) -> Outcome<Option<Account>> {
        pass!(self.get(id))
    }

    async fn change(&self, id: &AuthUserId, from: &Account, to: &Account) -> Outcome<()> {
        let inner = Arc::clone(&self.inner);
        let (id, from, to) = (id.clone(), from.clone(), to.clone());
        self.change_something(async move { inner.change(&id, &from, &to).await }).await
    }

    async fn close_change(&self, id: &AuthUserId, from: &Account, to: &Account) -> Outcome<bool> {
        pass!(self.close_change(id, from, to))
    }

    async fn restore(&self, id: &AuthUserId, from: &Account, to: &Account) -> Outcome<()> {
        let inner = Arc::clone(&self.inner);
        let (id, from, to) = (id.clone(), from.clone(), to.clone());
        self.change_something(async move { inner.restore(&id, &from, &to).await }).await
    }

    async fn delete(&self, id: &AuthUserId) -> Outcome<()> {
        let inner = Arc::clone(&self.inner);
        let id = id.clone();
        self.change_something(async move { inner.delete(&id).await }).await
    }

    fn wants_password(&self) -> bool {
        self.inner.wants_password()
    }

    fn late(&self) -> Duration {
        self.inner.late()
    }

    async fn log_in(&self, name: &str, password: &SecretString) -> Outcome<Login> {
        self.inner.log_in(name, password).await
    }

    async fn claims(&self, id: &AuthUserId, token: Option<&SecretString>) -> Outcome<Option<Map<String, Value>>> {
        self.inner.claims(id, token).await
    }

    async fn refresh(&self, token: &SecretString) -> Outcome<Login> {
        self.inner.refresh(token).await
    }

    async fn revoke(&self, token: &SecretString) -> Outcome<()> {
        self.inner.revoke(token).await
    }

    async fn sessions(&self, id: &AuthUserId) -> Outcome<Vec<TheirSession>> {
        self.inner.sessions(id).await
    }

    async fn end_session(&self, session: &str) -> Outcome<()> {
        self.inner.end_session(session).await
    }

    async fn standing(&self, id: &AuthUserId) -> Outcome<Option<Standing>> {
        self.inner.standing(id).await
    }

    fn issuer(&self) -> Option<Issuer> {
        self.inner.issuer()
    }

    async fn change_password(
        &self,
        id: &AuthUserId,
        current: &SecretString,
        new: &SecretString,
    ) -> Outcome<PasswordChange> {
        self.inner.change_password(id, current, new).await
    }

    async fn check(&self) -> Outcome<()> {
        self.inner.check().await
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }
}

pub struct FaultyGrants {
    pub inner: Arc<dyn Grants>,
    pub script: Arc<Script>,
}

pub struct FaultyTimers {
    pub inner: Arc<dyn Timers>,
    pub script: Arc<Script>,
}

impl Script {
    /// Of our own state: whatever becomes of a write there is known at once, or the process ends. So all that can befall a
    /// call is to be refused, to be carried out by a process that dies, or to be lost with it.
    async fn pass_own<T>(&self, call: impl Future<Output = Result<T, state::Error>>) -> Result<T, state::Error> {
        match self.next().await {
            Some(Fault::Refused) => Err(state::Error::Unavailable("refused".to_owned())),
            Some(Fault::LostNot | Fault::LateBefore(_) | Fault::LateAfter(_) | Fault::LateAtTheEnd) => {
                Err(state::Error::Fatal("nobody can say".to_owned()))
            }
            Some(Fault::LostDone) => {
                call.await?;
                Err(state::Error::Fatal("nobody can say".to_owned()))
            }
            Some(Fault::Panic) => {
                call.await?;
                panic!("{PLANTED}");
            }
            Some(Fault::Crash) => {
                call.await?;
                self.crashed.notify_one();
                std::future::pending().await
            }
            None => call.await,
        }
    }
}

#[async_trait]
impl Timers for FaultyTimers {
    async fn of(&self, user: &str) -> Result<Option<Timer>, state::Error> {
        self.script.pass_own(self.inner.of(user)).await
    }

    async fn set(&self, user: &str, timer: Option<Timer>) -> Result<(), state::Error> {
        self.script.pass_own(self.inner.set(user, timer)).await
    }

    async fn due(&self, by_ms: i64, except: Vec<String>, most: usize) -> Result<Vec<String>, state::Error> {
        self.script.pass_own(self.inner.due(by_ms, except, most)).await
    }

    async fn next(&self, after_ms: i64) -> Result<Option<i64>, state::Error> {
        self.script.pass_own(self.inner.next(after_ms)).await
    }
}

pub struct FaultyMails {
    pub inner: Arc<dyn Mails>,
    pub script: Arc<Script>,
}

/// Only an operation's own write goes wrong: nobody sends what is kept.
#[async_trait]
impl Mails for FaultyMails {
    async fn put(&self, mail: Mail, limit: Limit, now_ms: i64) -> Result<bool, state::Error> {
        self.script.pass_own(self.inner.put(mail, limit, now_ms)).await
    }

    async fn due(&self, by_ms: i64, most: u32) -> Result<Vec<Due>, state::Error> {
        self.inner.due(by_ms, most).await
    }

    async fn next(&self) -> Result<Option<i64>, state::Error> {
        self.inner.next().await
    }

    async fn try_again(&self, id: &str, at_ms: i64) -> Result<(), state::Error> {
        self.inner.try_again(id, at_ms).await
    }

    async fn end(&self, id: &str, sent_ms: Option<i64>) -> Result<(), state::Error> {
        self.inner.end(id, sent_ms).await
    }

    async fn forget(&self, created_before_ms: i64, most: u32) -> Result<bool, state::Error> {
        self.inner.forget(created_before_ms, most).await
    }
}

#[async_trait]
impl Grants for FaultyGrants {
    async fn of(&self, user: &str) -> Result<Vec<String>, state::Error> {
        self.script.pass_own(self.inner.of(user)).await
    }

    async fn grant(&self, user: &str, permissions: &[String]) -> Result<Vec<String>, state::Error> {
        self.script.pass_own(self.inner.grant(user, permissions)).await
    }

    async fn revoke(&self, user: &str, permissions: &[String]) -> Result<(), state::Error> {
        self.script.pass_own(self.inner.revoke(user, permissions)).await
    }

    async fn holders(&self, permission: &str) -> Result<Vec<String>, state::Error> {
        self.script.pass_own(self.inner.holders(permission)).await
    }
}
