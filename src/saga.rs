//! How an operation is carried out: steps, each with its undo, recorded in the journal before they run; the `Ok` at the end
//! of an operation's body is the commit. Knows nothing of users, and of a call only done, not done or unknown.

pub mod kinds;
pub mod recovery;
mod settle;

pub use kinds::{Kind, Promise, Step};

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use serde::Serialize;
use serde_json::Value;
use tokio::{
    sync::{Notify, oneshot},
    task::JoinSet,
};
use tracing::Instrument;

use crate::{
    clock::after,
    crash,
    error::{self, Code, Error},
    metrics::Outcome,
    outcome::Failure,
    saga::{
        kinds::{Kinds, Revived},
        settle::{Laid, Settling},
    },
    state::{
        Journal,
        journal::{Appended, Begun, Happened, New, Origin, Record},
        ledger,
    },
    systems::{Systems, View},
    trace::Trace,
};

/// A call that went unanswered is made again after these pauses.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(400)];
/// How often a name that another process holds is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Runs operations and finishes what is left of them.
pub struct Sagas {
    engine: Arc<Engine>,
    /// Dropped with us: what was running is then found by recovery.
    tasks: Mutex<JoinSet<()>>,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Then the caller is told `outcome-pending`; the operation goes on.
    pub answer_within: Duration,
    /// Then `operation-in-progress`.
    pub names_wait: Duration,
    /// Unsettled for so long = shown as needs-attention.
    pub attention_after: Duration,
}

struct Engine {
    journal: Arc<dyn Journal>,
    systems: Systems,
    kinds: Kinds,
    limits: Limits,
    interrupted: Box<Interrupted>,
    /// The operations that a task of ours is at work on; notified to try again at once.
    alive: Mutex<HashMap<String, Arc<Notify>>>,
    /// Those which this program cannot read.
    set_aside: Mutex<HashSet<String>>,
    /// Some names were released, or some operation has ended.
    released: Notify,
    stopping: AtomicBool,
}

/// What is asked for, by whom.
#[derive(Debug, Clone)]
pub struct Asked {
    pub kind: &'static str,
    /// For the sentence of a failed call: `creating user`.
    pub doing: &'static str,
    pub origin: Origin,
    /// `_id` of the person.
    pub subject: Option<String>,
    /// What nobody else may touch meanwhile: `user:<id>`, `email:<folded>`.
    pub names: Vec<String>,
    /// Is told the operation's id as soon as there is one.
    pub begun: Arc<OnceLock<String>>,
    pub answer: Answer,
    /// The request that asks for it, where it is to be carried out once.
    pub key: Option<Key>,
}

/// A request under an idempotency key. What it is answered is written with what it has done, before anybody hears of it.
#[derive(Clone)]
pub struct Key {
    pub key: ledger::Key,
    pub answering: Arc<dyn Answering>,
}

/// How an answer is kept.
pub trait Answering: Send + Sync {
    /// A success. `operation` is the one that was carried out, where one was.
    ///
    /// # Errors
    /// That is not what whoever asks expects: a defect of ours.
    fn success(&self, operation: Option<&str>, value: Value) -> Result<String, Error>;
    fn failure(&self, operation: Option<&str>, error: &Error) -> String;
}

/// The same for an operation whose process has ended, so that only the journal knows who asked.
pub type Interrupted = dyn Fn(&str, &Origin, Result<&Value, &Error>) -> String + Send + Sync;

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.key.slot).finish()
    }
}

/// When the caller hears of a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// As soon as nothing can turn it back.
    AtCommit,
    /// After the promises have been tried once: a failure is told as `resumable`.
    AfterPromises,
}

/// Names the body's future, so that `Send` can be asked of it; `AsyncFnOnce` has no stable way to say that.
pub trait Body<'a, T>: FnOnce(&'a mut Saga) -> Self::Future {
    type Future: Future<Output = Result<T, Error>> + Send + 'a;
}

impl<'a, T, F, Fut> Body<'a, T> for F
where
    F: FnOnce(&'a mut Saga) -> Fut,
    Fut: Future<Output = Result<T, Error>> + Send + 'a,
{
    type Future = Fut;
}

/// Carries operations out: each in a task of its own, or as parts of another one.
pub trait Carries: Sync {
    /// As [`Sagas::run`].
    fn run<T, B>(&self, asked: Asked, body: B) -> impl Future<Output = Result<T, Error>> + Send
    where
        B: for<'a> Body<'a, T> + Send + 'static,
        T: Serialize + Send + 'static;
}

impl Carries for Sagas {
    async fn run<T, B>(&self, asked: Asked, body: B) -> Result<T, Error>
    where
        B: for<'a> Body<'a, T> + Send + 'static,
        T: Serialize + Send + 'static,
    {
        Sagas::run(self, asked, body).await
    }
}

/// Carries out the parts of an operation. Whoever waits for one waits until it is settled.
#[derive(Clone)]
pub struct Parts {
    engine: Arc<Engine>,
    /// Whose parts they are.
    of: String,
}

impl Carries for Parts {
    async fn run<T, B>(&self, mut asked: Asked, body: B) -> Result<T, Error>
    where
        B: for<'a> Body<'a, T> + Send + 'static,
        T: Serialize + Send + 'static,
    {
        self.engine.open_for_more()?;
        asked.origin.part_of = Some(self.of.clone());
        let doing = asked.doing;
        let (reply, mut answer) = oneshot::channel();
        let id = self.engine.systems.clock.uuid().to_string();
        let span = tracing::info_span!("operation", id = %id, kind = asked.kind, part_of = %self.of);
        Arc::clone(&self.engine).carry_out(id, asked, body, reply).instrument(span).await;
        match answer.try_recv() {
            Ok(result) => result.map_err(|error| error.doing(doing)),
            Err(_) => Err(outcome_pending()),
        }
    }
}

impl Parts {
    /// How many of them are done; nothing where one is not known to have gone one way to its end: nobody is at work on it.
    pub async fn done(&self, request: &str) -> Option<u64> {
        let parts = self.engine.journal.parts(&self.of, request).await.ok()?;
        (parts.open == 0).then_some(parts.done)
    }
}

impl Sagas {
    pub fn new(
        journal: Arc<dyn Journal>,
        systems: Systems,
        kinds: &'static [Kind],
        limits: Limits,
        interrupted: Box<Interrupted>,
    ) -> Self {
        let engine = Engine {
            journal,
            systems,
            kinds: Kinds(kinds),
            limits,
            interrupted,
            alive: Mutex::default(),
            set_aside: Mutex::default(),
            released: Notify::new(),
            stopping: AtomicBool::new(false),
        };
        Self { engine: Arc::new(engine), tasks: Mutex::default() }
    }

    /// Carries the operation out in a task of its own: a caller who hangs up stops nothing.
    ///
    /// Either the body's `Ok` is durable and everything it did stands, or all of it is put back and the body's error is
    /// answered; or it is not settled in time: `outcome-pending`.
    pub async fn run<T, B>(&self, asked: Asked, body: B) -> Result<T, Error>
    where
        B: for<'a> Body<'a, T> + Send + 'static,
        T: Serialize + Send + 'static,
    {
        self.engine.open_for_more()?;
        let doing = asked.doing;
        let (reply, answer) = oneshot::channel();
        let engine = Arc::clone(&self.engine);
        let id = self.engine.systems.clock.uuid().to_string();
        // Of a request, or one that begins here.
        let current = Trace::current();
        let trace = current.clone().unwrap_or_else(|| Trace::fresh(&self.engine.systems.clock));
        let begun = current.is_none().then(|| trace.id());
        let span = tracing::info_span!("operation", id = %id, kind = asked.kind, trace = begun);
        let carried = trace.carry(engine.carry_out(id, asked, body, reply));
        self.spawn(carried.instrument(span).in_current_span());
        let within = self.engine.limits.answer_within + self.engine.limits.names_wait;
        match self.engine.systems.clock.within(within, answer).await {
            Some(Ok(result)) => result.map_err(|error| error.doing(doing)),
            // Too late, or the task ended without a word because the journal was lost.
            None | Some(Err(_)) => Err(outcome_pending()),
        }
    }

    /// Tries an unsettled operation again at once. Whether a task of ours is at work on it.
    pub fn nudge(&self, operation: &str) -> bool {
        self.engine.set_aside().remove(operation);
        let alive = self.engine.alive();
        let task = alive.get(operation);
        if let Some(task) = task {
            task.notify_one();
        }
        task.is_some()
    }

    /// No new operations; what runs gets so long to finish. What does not stays in the journal.
    pub async fn stop(&self, patience: Duration) {
        self.engine.stopping.store(true, Ordering::SeqCst);
        self.engine.systems.clock.within(patience, self.idle()).await;
        lock(&self.tasks).abort_all();
    }

    /// When no task of ours is at work on any operation.
    pub async fn idle(&self) {
        loop {
            let released = self.engine.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            if self.engine.alive().is_empty() {
                return;
            }
            released.await;
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

impl Engine {
    async fn carry_out<T, B>(
        self: Arc<Self>,
        id: String,
        asked: Asked,
        body: B,
        reply: oneshot::Sender<Result<T, Error>>,
    ) where
        B: for<'a> Body<'a, T> + Send + 'static,
        T: Serialize + Send + 'static,
    {
        let Some(_alive) = Alive::enter(&self, &id) else { return };
        let counted = self.systems.metrics.operations.of(asked.kind);
        if let Err(error) = self.begin(&id, &asked).await {
            counted.ended(Outcome::Refused);
            // The caller may have gone; nothing has begun.
            let _ = reply.send(Err(error));
            return;
        }
        let _ = asked.begun.set(id.clone());
        crash::point("begun");

        let mut saga = Saga {
            engine: Arc::clone(&self),
            operation: id.clone(),
            pending: Vec::new(),
            laid: Vec::new(),
            promises: Vec::new(),
            quiet_until_ms: 0,
            remark: None,
            poison: None,
            lost: false,
        };
        let result = AssertUnwindSafe(body(&mut saga)).catch_unwind().await;
        if saga.lost {
            // Not one more effect: whoever holds the journal now, or recovery, goes on from what stands there.
            counted.ended(Outcome::Left);
            return;
        }
        let result = match result {
            Ok(Ok(value)) => saga.poison.take().map_or(Ok(value), Err),
            Ok(Err(error)) => Err(error),
            Err(_panic) => Err(error::internal("an operation panicked")),
        };
        let settling = Settling::living(saga, asked.origin, counted, asked.doing, asked.key);
        match result {
            Ok(value) => settling.commit(value, asked.answer, reply).await,
            Err(error) => settling.roll_back(error, reply).await,
        }
    }

    /// All names, or `operation-in-progress` when others keep one for too long.
    async fn begin(&self, id: &str, asked: &Asked) -> Result<(), Error> {
        let clock = &self.systems.clock;
        let until_ms = after(clock.now_ms(), self.limits.names_wait);
        let mut names = asked.names.clone();
        names.sort();
        names.dedup();
        loop {
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            let new = New {
                id: id.to_owned(),
                kind: asked.kind.to_owned(),
                origin: asked.origin.clone(),
                subject: asked.subject.clone(),
                names: names.clone(),
                began_ms: clock.now_ms(),
                key: asked.key.as_ref().map(|key| key.key.clone()),
            };
            match self.journal.begin(new).await? {
                Begun::Fresh => return Ok(()),
                Begun::Repeat => return Err(error::idempotency_running()),
                Begun::Held if clock.now_ms() >= until_ms => return Err(in_progress()),
                Begun::Held => tokio::select! {
                    () = released => {}
                    () = clock.pause(LOOK_AGAIN) => {}
                },
            }
        }
    }

    fn open_for_more(&self) -> Result<(), Error> {
        match self.stopping.load(Ordering::SeqCst) {
            true => Err(Error::new(Code::Draining, "The service is shutting down").retry_after(1)),
            false => Ok(()),
        }
    }

    fn alive(&self) -> MutexGuard<'_, HashMap<String, Arc<Notify>>> {
        lock(&self.alive)
    }

    fn set_aside(&self) -> MutexGuard<'_, HashSet<String>> {
        lock(&self.set_aside)
    }
}

/// An operation while its body runs.
pub struct Saga {
    engine: Arc<Engine>,
    operation: String,
    /// Goes out with the next write: outcomes wait for it, since a lost one reads as unknown, which is what a crash after
    /// the effect leaves anyway.
    pending: Vec<Record>,
    laid: Vec<Laid>,
    promises: Vec<(u32, &'static str, Value)>,
    quiet_until_ms: i64,
    /// What went wrong, though it is not put back.
    remark: Option<String>,
    /// A call stayed unanswered: no further step, and `Ok` becomes a rollback.
    poison: Option<Error>,
    /// The journal is another's now, or cannot be written: the task ends without one more effect.
    lost: bool,
}

impl Saga {
    /// The operation's id: the mark that our effects bear.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// What carries out the parts of this operation.
    pub fn parts(&self) -> Parts {
        Parts { engine: Arc::clone(&self.engine), of: self.operation.clone() }
    }

    /// Stands beside the success, for whoever reads the log of operations.
    pub fn remark(&mut self, text: String) {
        self.remark = Some(text);
    }

    /// Ends here, without a word: recovery finds it as it stands.
    pub fn leave(&mut self) -> Error {
        self.lost = true;
        outcome_pending()
    }

    /// What may be read of the systems; effects leave by steps only.
    pub fn view(&self) -> View<'_> {
        self.engine.systems.view()
    }

    /// Writes the step to the journal, then runs it.
    ///
    /// `Err` after a refusal: nothing of this step happened, and the body may go on another way. `Err` after an unanswered
    /// call: nobody knows, and the operation can only go back.
    pub async fn step<S: Step>(&mut self, step: S) -> Result<S::Output, Error> {
        if let Some(poison) = &self.poison {
            return Err(poison.clone());
        }
        let body = serde_json::to_value(&step).map_err(error::internal)?;
        // What undo will use is what the journal can give back: a step that is not listed fails here, before its effect.
        let Revived::Step(revived) = self.engine.kinds.revive(S::NAME, body.clone()).map_err(error::internal)? else {
            return Err(error::internal(format!("{} is a promise", S::NAME)));
        };
        let seq = self.next_seq();
        self.pending.push(Record::Intent { seq, name: S::NAME, body });
        self.write().await?;
        crash::point("intent-written");

        // Laid before it runs: should it panic, it stands as one of which nobody knows.
        self.laid.push(Laid::new(seq, revived));
        let (happened, result) = self.attempt(&step).await;
        crash::point("effect-done");
        self.pending.push(Record::Outcome { seq, happened: happened.clone() });
        if let Some(laid) = self.laid.last_mut() {
            laid.happened(happened);
        }
        result
    }

    /// Promised: kept after the commit, retried until it is.
    pub fn on_commit<P: Promise>(&mut self, promise: P) -> Result<(), Error> {
        let body = serde_json::to_value(&promise).map_err(error::internal)?;
        let Revived::Promise(_) = self.engine.kinds.revive(P::NAME, body.clone()).map_err(error::internal)? else {
            return Err(error::internal(format!("{} is a step", P::NAME)));
        };
        let seq = self.next_seq();
        self.promises.push((seq, P::NAME, body));
        Ok(())
    }

    /// Further names. Never waits: two operations that each want what the other has would wait in a circle.
    pub async fn hold(&mut self, names: Vec<String>) -> Result<(), Error> {
        let before = self.pending.clone();
        self.pending.push(Record::Hold { names });
        let held = self.write().await;
        if held.is_err() {
            // Refused as a whole: the outcome that waited to be written waits on.
            self.pending = before;
        }
        held
    }

    async fn attempt<S: Step>(&mut self, step: &S) -> (Happened, Result<S::Output, Error>) {
        let mut unanswered = false;
        let mut pauses = AGAIN_AFTER.iter();
        loop {
            let failure = match step.run(&self.engine.systems).await {
                Ok(output) => return done(output, unanswered),
                Err(failure) => failure,
            };
            match failure {
                Failure::NotDone(reason) if !unanswered => return (Happened::NotDone, Err(reason.into_error())),
                // Unanswered and then refused: the first call may still land.
                Failure::NotDone(reason) => return self.poisoned(reason.into_error()),
                Failure::Unknown(reason) => {
                    unanswered = true;
                    self.quiet_after(step.late(&self.engine.systems));
                    match pauses.next() {
                        Some(pause) => self.engine.systems.clock.pause(*pause).await,
                        None => return self.poisoned(reason.into_error()),
                    }
                }
            }
        }
    }

    fn poisoned<T>(&mut self, error: Error) -> (Happened, Result<T, Error>) {
        self.poison = Some(error.clone());
        (Happened::Unknown, Err(error))
    }

    fn quiet_after(&mut self, late: Duration) {
        let now_ms = self.engine.systems.clock.now_ms();
        self.quiet_until_ms = self.quiet_until_ms.max(settle::later(now_ms, late));
    }

    fn next_seq(&self) -> u32 {
        u32::try_from(self.laid.len() + self.promises.len()).unwrap_or(u32::MAX)
    }

    async fn write(&mut self) -> Result<(), Error> {
        let records = std::mem::take(&mut self.pending);
        match self.engine.journal.append(&self.operation, records).await {
            Ok(Appended::Written) => Ok(()),
            Ok(Appended::Held) => Err(in_progress()),
            Ok(Appended::TakenOver) => {
                self.lost = true;
                Err(outcome_pending())
            }
            Err(error) => {
                self.lost = true;
                Err(error.into())
            }
        }
    }
}

fn done<T: serde::Serialize>(output: T, unanswered: bool) -> (Happened, Result<T, Error>) {
    match serde_json::to_value(&output) {
        Ok(value) if unanswered => (Happened::Found(value), Ok(output)),
        Ok(value) => (Happened::Done(value), Ok(output)),
        Err(error) => (Happened::Unknown, Err(error::internal(error))),
    }
}

/// That a task is at work on an operation, for as long as this lives.
struct Alive {
    engine: Arc<Engine>,
    operation: String,
}

impl Alive {
    /// Nothing where another task is at work on it.
    fn enter(engine: &Arc<Engine>, operation: &str) -> Option<Self> {
        match engine.alive().entry(operation.to_owned()) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(place) => place.insert(Arc::default()),
        };
        Some(Self { engine: Arc::clone(engine), operation: operation.to_owned() })
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.engine.alive().remove(&self.operation);
        self.engine.released.notify_waiters();
    }
}

pub fn outcome_pending() -> Error {
    Error::new(Code::OutcomePending, "The outcome is not known yet; the operation goes on by itself").retry_after(5)
}

fn in_progress() -> Error {
    Error::new(Code::OperationInProgress, "Another operation is at work on this person or name").retry_after(1)
}

/// A lock that a panic in another task does not make useless: what it guards is changed in one go.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
