//! From the end of a body to the end of the operation: commit and keep the promises, or go back. Shared by living sagas and
//! by recovery, which starts from the rows of the journal alone.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Notify, oneshot};

use super::{
    Answer, Engine, Key, Saga,
    kinds::{AnyPromise, AnyStep, Revived},
    outcome_pending,
};
use crate::{
    clock, crash,
    error::{self, Error},
    metrics::{self, OfKind},
    outcome::{Failure, Outcome},
    state::journal::{Appended, Entry, Happened, Origin, Parts, Record, State},
};

/// After so many plain refusals of one undo or promise somebody should look.
const REFUSALS: u32 = 5;
/// So often in a row what landed is put back; if something still stands there then, we pause first.
const LOOKS: u32 = 8;
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// How often the parts of an operation are looked at, which another process may be settling.
const PARTS_AGAIN: Duration = Duration::from_secs(1);

/// A step as it stands in the journal.
pub(super) struct Laid {
    seq: u32,
    step: Box<dyn AnyStep>,
    happened: Happened,
    /// Some call of it went unanswered, forward or back: where no fence is final it is looked at a second time.
    unsure: bool,
    failures: u32,
}

impl Laid {
    /// A step of which nobody knows whether it has run.
    pub fn new(seq: u32, revived: Box<dyn AnyStep>) -> Self {
        Self { seq, step: revived, happened: Happened::Unknown, unsure: true, failures: 0 }
    }

    pub fn happened(&mut self, happened: Happened) {
        self.unsure = matches!(happened, Happened::Found(_) | Happened::Unknown);
        self.happened = happened;
    }
}

pub(super) struct Promised {
    seq: u32,
    promise: Box<dyn AnyPromise>,
    failures: u32,
}

/// An operation whose body has ended.
pub(super) struct Settling {
    engine: Arc<Engine>,
    operation: String,
    pending: Vec<Record>,
    laid: Vec<Laid>,
    promises: Vec<(u32, &'static str, Value)>,
    quiet_until_ms: i64,
    began_ms: i64,
    nudge: Arc<Notify>,
    remark: Option<String>,
    origin: Origin,
    counted: OfKind,
    /// For the sentence of a failed call.
    doing: &'static str,
    key: Option<Key>,
}

/// A caller who hears once, or nobody.
struct Waiting(Option<Box<Reply>>);

type Reply = dyn FnOnce(Result<(), Error>) + Send;

impl Waiting {
    fn new(reply: impl FnOnce(Result<(), Error>) + Send + 'static) -> Self {
        Self(Some(Box::new(reply)))
    }

    fn nobody() -> Self {
        Self(None)
    }

    fn tell(&mut self, result: Result<(), Error>) {
        if let Some(reply) = self.0.take() {
            reply(result);
        }
    }
}

/// The journal is another's now, or cannot be written: not one more effect, not even an undo.
struct Lost;

impl Settling {
    pub fn living(saga: Saga, origin: Origin, counted: OfKind, doing: &'static str, key: Option<Key>) -> Self {
        let Saga { engine, operation, pending, laid, promises, quiet_until_ms, remark, .. } = saga;
        Self {
            doing,
            key,
            remark,
            counted,
            ..Self::of(engine, operation, origin, pending, laid, promises, quiet_until_ms)
        }
    }

    /// From the journal.
    pub fn found(engine: Arc<Engine>, entry: &Entry) -> Result<(Self, Vec<Promised>), String> {
        let mut laid = Vec::new();
        let mut promised = Vec::new();
        for step in &entry.steps {
            if step.promise {
                if !step.settled {
                    promised.push(promised_by(&engine, step.seq, &step.name, step.body.clone())?);
                }
                continue;
            }
            let Revived::Step(revived) = engine.kinds.revive(&step.name, step.body.clone())? else {
                return Err(format!("{} is not a step", step.name));
            };
            let mut found = Laid::new(step.seq, revived);
            found.happened(step.happened.clone());
            // Whoever went back before us may have been cut off while he put this one back.
            let late = found.step.late(&engine.systems);
            found.unsure |= entry.state == State::RollingBack && found.happened != Happened::NotDone && !late.is_zero();
            laid.push(found);
        }
        let operation = entry.id.clone();
        let counted = engine.systems.metrics.operations.of(&entry.kind);
        let mut settling =
            Self::of(engine, operation, entry.origin.clone(), Vec::new(), laid, Vec::new(), entry.quiet_until_ms);
        settling.counted = counted;
        settling.began_ms = entry.began_ms;
        // The commit tells how long to be quiet. Before it the journal does not tell when the last unanswered call was made.
        if entry.state != State::Committed {
            for at in 0..settling.laid.len() {
                if settling.laid[at].unsure {
                    settling.unanswered(settling.laid[at].step.late(&settling.engine.systems));
                }
            }
        }
        Ok((settling, promised))
    }

    fn of(
        engine: Arc<Engine>,
        operation: String,
        origin: Origin,
        pending: Vec<Record>,
        laid: Vec<Laid>,
        promises: Vec<(u32, &'static str, Value)>,
        quiet_until_ms: i64,
    ) -> Self {
        let nudge = engine.alive().get(&operation).cloned().unwrap_or_default();
        let began_ms = engine.systems.clock.now_ms();
        // A call that was cut off, by a crash or a panic, counts as unanswered from now on.
        let cut_off = laid.iter().filter(|laid| laid.happened == Happened::Unknown);
        let late = cut_off.map(|laid| later(began_ms, laid.step.late(&engine.systems))).max();
        let quiet_until_ms = quiet_until_ms.max(late.unwrap_or_default());
        Self {
            counted: engine.systems.metrics.operations.of(""),
            engine,
            operation,
            pending,
            laid,
            promises,
            quiet_until_ms,
            began_ms,
            nudge,
            remark: None,
            origin,
            doing: "",
            key: None,
        }
    }

    /// The point of no return, then the promises.
    pub async fn commit<T: Serialize + Send + 'static>(
        mut self,
        value: T,
        answer: Answer,
        reply: oneshot::Sender<Result<T, Error>>,
    ) {
        let promises = std::mem::take(&mut self.promises);
        let revive = |(seq, name, body): &(u32, &str, Value)| promised_by(&self.engine, *seq, name, body.clone());
        let revived = promises.iter().map(revive).collect();
        let promised: Vec<Promised> = match revived {
            Ok(promised) => promised,
            Err(error) => return self.roll_back(error::internal(error), reply).await,
        };
        let kept = match self.success(&value) {
            Ok(kept) => kept,
            Err(error) => return self.roll_back(error, reply).await,
        };
        let ends = promised.is_empty() && !self.must_wait();
        if let Some(text) = self.remark.take() {
            self.pending.push(Record::Remark { text });
        }
        self.pending.push(Record::Commit { promises });
        if let Some(text) = kept {
            self.pending.push(Record::Answer { text });
            if answer == Answer::AtCommit {
                self.pending.push(Record::Answered);
            }
        }
        if self.must_wait() {
            self.pending.push(Record::Quiet { until_ms: self.quiet_until_ms });
        }
        if ends {
            self.pending.push(Record::End);
        }
        if self.write().await.is_err() {
            self.counted.ended(metrics::Outcome::Left);
            let _ = reply.send(Err(outcome_pending()));
            return;
        }
        self.counted.ended(metrics::Outcome::Done);
        crash::point("commit-written");
        let mut caller = Waiting::new(move |result| {
            let _ = reply.send(result.map(|()| value));
        });
        if answer == Answer::AtCommit || ends {
            caller.tell(Ok(()));
        }
        if ends {
            return;
        }
        let _ = self.keep(promised, &mut caller).await;
    }

    /// What a committed operation that was found still owes.
    pub async fn keep_found(mut self, promised: Vec<Promised>) {
        // Whoever kept them before us may have been cut off at any of them.
        for Promised { promise, .. } in &promised {
            self.unanswered(promise.late(&self.engine.systems));
        }
        let _ = self.keep(promised, &mut Waiting::nobody()).await;
    }

    async fn keep(&mut self, promised: Vec<Promised>, caller: &mut Waiting) -> Result<(), Lost> {
        for mut promised in promised {
            let mut pause = SHORTEST_PAUSE;
            while let Err(failure) = self.keep_one(promised.promise.as_ref()).await {
                if matches!(failure, Failure::Unknown(_)) {
                    self.unanswered(promised.promise.late(&self.engine.systems));
                }
                promised.failures += 1;
                self.counted.promise_failed();
                self.failed(promised.seq, promised.failures, &failure).await?;
                caller.tell(Err(failure.into_error().resumable()));
                self.wait(&mut pause).await;
            }
            crash::point("promise-kept");
            self.pending.push(Record::Settled { seq: promised.seq });
        }
        self.tell(Ok(()), caller).await?;
        self.be_quiet().await?;
        self.end().await
    }

    /// What somebody hears who waits still is what the same request hears from then on.
    async fn tell(&mut self, result: Result<(), Error>, caller: &mut Waiting) -> Result<(), Lost> {
        if self.key.is_some() && caller.0.is_some() {
            self.pending.push(Record::Answered);
            self.write().await?;
        }
        caller.tell(result);
        Ok(())
    }

    fn success<T: Serialize>(&self, value: &T) -> Result<Option<String>, Error> {
        let Some(key) = &self.key else { return Ok(None) };
        let value = serde_json::to_value(value).map_err(error::internal)?;
        key.answering.success(Some(&self.operation), value).map(Some)
    }

    /// As [`Settling::put_back`], of a panic too.
    async fn keep_one(&self, promise: &dyn AnyPromise) -> Outcome<()> {
        let kept = AssertUnwindSafe(promise.keep(&self.engine.systems)).catch_unwind().await;
        kept.unwrap_or_else(|_| Err(Failure::unknown(error::internal("keeping a promise panicked"))))
    }

    /// Puts every step back, last first; then, where an unanswered call may still land, waits until it cannot and looks a
    /// second time.
    pub async fn roll_back<T: Send + 'static>(mut self, error: Error, reply: oneshot::Sender<Result<T, Error>>) {
        let mut caller = Waiting::new(move |result: Result<(), Error>| {
            let _ = reply.send(Err(result.err().unwrap_or_else(outcome_pending)));
        });
        if self.is_made_of_others() {
            return self.cut_off(&mut caller).await;
        }
        self.pending.push(Record::RollBack { error: error.message().to_owned() });
        let error = error.doing(self.doing);
        if let Some(key) = &self.key {
            let text = key.answering.failure(Some(&self.operation), &error);
            self.pending.push(Record::Answer { text });
        }
        if self.laid.iter().all(|laid| laid.happened == Happened::NotDone) {
            self.pending.push(Record::End);
            let written = self.write().await;
            crash::point("end-written");
            self.counted.ended(went(&written));
            return caller.tell(Err(if written.is_ok() { error } else { outcome_pending() }));
        }
        if self.write().await.is_err() {
            self.counted.ended(metrics::Outcome::Left);
            return caller.tell(Err(outcome_pending()));
        }
        crash::point("rollback-written");
        let back = self.go_back(&error, &mut caller).await;
        self.counted.ended(went(&back));
    }

    /// Whether what it has done stands, each part by itself.
    pub fn is_made_of_others(&self) -> bool {
        self.laid.iter().any(|laid| laid.step.cut_off(0).is_some())
    }

    /// Ends an operation that is made of others as far as it has come, once each of them is settled. Begins no more.
    pub async fn cut_off_found(mut self) {
        self.cut_off(&mut Waiting::nobody()).await;
    }

    async fn cut_off(&mut self, caller: &mut Waiting) {
        let engine = Arc::clone(&self.engine);
        let done = loop {
            let released = engine.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            let alone = engine.alive().len() < 2;
            match engine.journal.parts(&self.operation, &self.origin.request_id).await {
                Ok(Parts { done, open: 0 }) => break done,
                // Nobody is at work on them: who looks for them finds us too.
                Ok(_) if alone => {
                    self.counted.ended(metrics::Outcome::Left);
                    return caller.tell(Err(outcome_pending()));
                }
                Ok(_) => caller.tell(Err(outcome_pending())),
                Err(error) => {
                    tracing::error!(operation = %self.operation, %error, "the parts of an operation cannot be read now");
                }
            }
            tokio::select! {
                biased;
                () = released => {}
                () = engine.systems.clock.pause(PARTS_AGAIN) => {}
            }
        };
        let Some(told) = self.laid.iter().find_map(|laid| laid.step.cut_off(done)) else { return };
        let text = match (&self.key, &told) {
            (Some(key), Err(error)) => key.answering.failure(Some(&self.operation), error),
            (_, told) => (engine.interrupted)(&self.operation, &self.origin, told.as_ref()),
        };
        if let Err(error) = &told {
            self.pending.push(Record::Remark { text: error.message().to_owned() });
        }
        self.pending.push(Record::Commit { promises: Vec::new() });
        self.pending.push(Record::Answer { text });
        self.pending.push(Record::End);
        let written = self.write().await.is_ok();
        self.counted.ended(if written { metrics::Outcome::Done } else { metrics::Outcome::Left });
        crash::point("end-written");
        // Whoever waits still has no use for a value of which only the journal knows.
        caller.tell(Err(told.err().filter(|_| written).unwrap_or_else(outcome_pending)));
    }

    /// As [`Settling::roll_back`], for an operation that was found. `answer`: what its request will be answered, where that
    /// is not known yet.
    pub async fn roll_back_found(mut self, answer: Option<String>) {
        if let Some(text) = answer {
            self.pending.push(Record::RollBack { error: "the process that ran it ended".to_owned() });
            self.pending.push(Record::Answer { text });
            if self.write().await.is_err() {
                self.counted.ended(metrics::Outcome::Left);
                return;
            }
            crash::point("rollback-written");
        }
        let back = self.go_back(&outcome_pending(), &mut Waiting::nobody()).await;
        self.counted.ended(went(&back));
    }

    /// The caller hears `error` once everything is put back, or earlier that this is not so yet.
    async fn go_back(&mut self, error: &Error, caller: &mut Waiting) -> Result<(), Lost> {
        self.pass(false, caller).await?;
        self.tell(Err(error.clone()), caller).await?;
        // Decided by "some step is unsure", not by the clock: a long way back may have outlasted the window.
        while self.must_wait() {
            self.be_quiet().await?;
            for laid in &mut self.laid {
                laid.unsure &= !laid.step.late(&self.engine.systems).is_zero();
            }
            let looked = self.quiet_until_ms;
            self.pass(true, caller).await?;
            if self.quiet_until_ms == looked {
                break;
            }
        }
        self.end().await
    }

    async fn pass(&mut self, only_unsure: bool, caller: &mut Waiting) -> Result<(), Lost> {
        for at in (0..self.laid.len()).rev() {
            if only_unsure && !self.laid[at].unsure {
                continue;
            }
            let mut pause = SHORTEST_PAUSE;
            while let Err(failure) = self.put_back(at).await {
                if matches!(failure, Failure::Unknown(_)) {
                    self.laid[at].unsure = true;
                    let late = self.laid[at].step.late(&self.engine.systems);
                    self.unanswered(late);
                }
                self.laid[at].failures += 1;
                self.counted.undo_failed();
                let (seq, failures) = (self.laid[at].seq, self.laid[at].failures);
                self.failed(seq, failures, &failure).await?;
                caller.tell(Err(outcome_pending()));
                self.wait(&mut pause).await;
            }
            crash::point("put-back");
            self.pending.push(Record::Settled { seq: self.laid[at].seq });
        }
        Ok(())
    }

    /// A panic tells nothing of how far it came: that is tried again like a call that went unanswered.
    async fn put_back(&self, at: usize) -> Outcome<()> {
        let undone = AssertUnwindSafe(self.undo(at)).catch_unwind().await;
        undone.unwrap_or_else(|_| Err(Failure::unknown(error::internal("an undo panicked"))))
    }

    async fn undo(&self, at: usize) -> Outcome<()> {
        let Laid { step, happened, unsure, .. } = &self.laid[at];
        let to = &self.engine.systems;
        match happened {
            Happened::NotDone => Ok(()),
            Happened::Done(made) if !unsure => step.undo(to, made).await,
            Happened::Done(made) | Happened::Found(made) => {
                step.undo(to, made).await?;
                Self::fence_and_undo(step.as_ref(), to).await
            }
            Happened::Unknown => Self::fence_and_undo(step.as_ref(), to).await,
        }
    }

    /// What landed is put back, until nothing is there and, where the fence is final, nothing more can come.
    async fn fence_and_undo(step: &dyn AnyStep, to: &crate::systems::Systems) -> Outcome<()> {
        for _ in 0..LOOKS {
            let Some(made) = step.fence(to).await? else { return Ok(()) };
            step.undo(to, &made).await?;
        }
        Err(Failure::unknown(error::internal("an undo succeeds and leaves what it was to put back")))
    }

    /// Some call may still land, since no fence of its step is final.
    fn must_wait(&self) -> bool {
        self.quiet_until_ms > 0
            && self.laid.iter().any(|laid| laid.unsure && !laid.step.late(&self.engine.systems).is_zero())
    }

    /// The names stay held until what is under way can land no more.
    async fn be_quiet(&mut self) -> Result<(), Lost> {
        loop {
            let left_ms = self.quiet_until_ms.saturating_sub(self.engine.systems.clock.now_ms());
            let Ok(left_ms @ 1..) = u64::try_from(left_ms) else { return Ok(()) };
            self.pending.push(Record::Quiet { until_ms: self.quiet_until_ms });
            self.write().await?;
            crash::point("quiet-written");
            self.engine.systems.clock.pause(Duration::from_millis(left_ms)).await;
        }
    }

    async fn end(&mut self) -> Result<(), Lost> {
        self.pending.push(Record::End);
        self.write().await?;
        crash::point("end-written");
        Ok(())
    }

    fn unanswered(&mut self, late: Duration) {
        if !late.is_zero() {
            self.quiet_until_ms = self.quiet_until_ms.max(later(self.engine.systems.clock.now_ms(), late));
        }
    }

    async fn failed(&mut self, seq: u32, failures: u32, failure: &Failure) -> Result<(), Lost> {
        let waited_ms = self.engine.systems.clock.now_ms() - self.began_ms;
        let refused = matches!(failure, Failure::NotDone(_)) && failures >= REFUSALS;
        let attention =
            refused || Duration::from_millis(waited_ms.unsigned_abs()) >= self.engine.limits.attention_after;
        let error = failure.sentence().to_owned();
        tracing::warn!(operation = %self.operation, seq, failures, attention, %error, "an undo or a promise failed; it will be tried again");
        self.pending.push(Record::Failed { seq, error, attention });
        if self.quiet_until_ms > 0 {
            self.pending.push(Record::Quiet { until_ms: self.quiet_until_ms });
        }
        self.write().await
    }

    /// Until the next try; somebody who asks for it may shorten the pause.
    async fn wait(&self, pause: &mut Duration) {
        let nudged = self.nudge.notified();
        tokio::select! {
            biased;
            () = nudged => {}
            () = self.engine.systems.clock.pause(*pause) => {}
        }
        *pause = (*pause * 2).min(LONGEST_PAUSE);
    }

    async fn write(&mut self) -> Result<(), Lost> {
        let records = std::mem::take(&mut self.pending);
        match self.engine.journal.append(&self.operation, records).await {
            Ok(Appended::Written) => Ok(()),
            Ok(Appended::TakenOver | Appended::Held) => Err(Lost),
            Err(error) => {
                tracing::error!(operation = %self.operation, %error, "the journal cannot be written; the operation waits for recovery");
                Err(Lost)
            }
        }
    }
}

fn promised_by(engine: &Engine, seq: u32, name: &str, body: Value) -> Result<Promised, String> {
    match engine.kinds.revive(name, body)? {
        Revived::Promise(promise) => Ok(Promised { seq, promise, failures: 0 }),
        Revived::Step(_) => Err(format!("{name} is not a promise")),
    }
}

/// What became of an operation on its way back.
fn went(back: &Result<(), Lost>) -> metrics::Outcome {
    match back {
        Ok(()) => metrics::Outcome::Undone,
        Err(Lost) => metrics::Outcome::Left,
    }
}

pub(super) fn later(now_ms: i64, by: Duration) -> i64 {
    if by.is_zero() { 0 } else { clock::after(now_ms, by) }
}
