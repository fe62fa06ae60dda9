//! A journal that cannot be written for a while, as on a full disk: the operation whose task lost it is left alone and
//! settled when somebody looks for such operations again.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use async_trait::async_trait;
use user_manager::state::{
    Error, Journal, Ledger, SessionStore,
    journal::{Appended, Begun, Entry, ListQuery, New, Record, Unsettled},
};

use crate::{
    matrix::{Drivers, Operation, Template, World, judge},
    plane_s::{Tally, clean, shards},
};

const FLOOR: usize = 300;

#[test]
fn an_operation_that_lost_the_journal_is_settled_when_it_can_be_written_again() {
    let tally = shards(|template, operation, drivers, tally| async move {
        sweep(&template, operation, drivers, &tally).await;
    });
    tally.account("journal refuses", FLOOR);
}

async fn sweep(template: &Template, operation: Operation, drivers: Drivers, tally: &Mutex<Tally>) {
    let (before, after) = clean(template, operation, drivers).await;
    for nth in 1.. {
        // For one write; for that and all that come until somebody looks.
        for length in [1, u32::MAX - nth] {
            let world = World::new(template, operation, drivers).await;
            let refusing = Arc::new(Refusing { from: nth, until: nth + length, ..Refusing::default() });
            let life = world.live(|inner| Arc::new(RefusingJournal { inner, refusing: refusing.clone() })).await;
            let told = operation.ask(&life.app).await;
            life.app.sagas.idle().await;
            if refusing.writes.load(Ordering::SeqCst) < nth {
                return;
            }
            refusing.over.store(true, Ordering::SeqCst);
            life.app.sagas.recover().await.unwrap();
            life.app.sagas.idle().await;
            let name = format!("{operation:?}/{drivers:?}/write {nth}/{length}");
            tally.lock().unwrap().count(&name, judge(&world, &before, &after, Some(&told)));
        }
    }
}

#[derive(Default)]
struct Refusing {
    from: u32,
    until: u32,
    writes: AtomicU32,
    over: AtomicBool,
}

struct RefusingJournal {
    inner: Arc<dyn Journal>,
    refusing: Arc<Refusing>,
}

impl RefusingJournal {
    fn write(&self) -> Result<(), Error> {
        let Refusing { from, until, writes, over } = &*self.refusing;
        let nth = writes.fetch_add(1, Ordering::SeqCst) + 1;
        let refused = !over.load(Ordering::SeqCst) && (*from..*until).contains(&nth);
        if refused { Err(Error::Unavailable("database or disk is full".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl Journal for RefusingJournal {
    async fn begin(&self, new: New) -> Result<Begun, Error> {
        self.write()?;
        self.inner.begin(new).await
    }

    async fn append(&self, operation: &str, records: Vec<Record>) -> Result<Appended, Error> {
        self.write()?;
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
