//! Looking for what nobody is at work on, while somebody begins.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use tokio::sync::Notify;
use user_manager::state::{
    Error, Journal, Ledger, SessionStore,
    journal::{Appended, Begun, Entry, ListQuery, New, Record, Unsettled},
};

use crate::matrix::{Drivers, Operation, Seen, Template, World, judge};
use crate::plane_s::clean;

#[tokio::test]
async fn an_operation_that_begins_while_others_are_looked_for_is_left_alone() {
    let template = Template::make().await;
    let (before, after) = clean(&template, Operation::Create, Drivers::Embedded).await;
    let world = World::new(&template, Operation::Create, Drivers::Embedded).await;
    let meeting = Arc::new(Meeting::default());
    let life = world.live(|inner| Arc::new(Gate { inner, meeting: meeting.clone() })).await;

    let looking = async {
        let found = life.app.sagas.recover().await.unwrap();
        meeting.looked.notify_one();
        found
    };
    let asking = async {
        meeting.looking.notified().await;
        Operation::Create.ask(&life.app).await
    };
    let (found, told) = tokio::join!(looking, asking);
    life.app.sagas.idle().await;
    assert_eq!(found, 0);
    assert_eq!(judge(&world, &before, &after, Some(&told)), Seen::After, "{told:?}");
    assert!(told.is_ok(), "{told:?}");
}

/// Who waits for whom: the look begins, then the operation; the look ends while the operation is at its third write.
#[derive(Default)]
struct Meeting {
    looking: Notify,
    begun: Notify,
    looked: Notify,
    appended: AtomicU32,
}

struct Gate {
    inner: Arc<dyn Journal>,
    meeting: Arc<Meeting>,
}

#[async_trait]
impl Journal for Gate {
    async fn begin(&self, new: New) -> Result<Begun, Error> {
        self.inner.begin(new).await
    }

    async fn append(&self, operation: &str, records: Vec<Record>) -> Result<Appended, Error> {
        if self.meeting.appended.fetch_add(1, Ordering::SeqCst) == 2 {
            self.meeting.begun.notify_one();
            self.meeting.looked.notified().await;
        }
        self.inner.append(operation, records).await
    }

    async fn take_over(&self, alive: Vec<String>) -> Result<Vec<Unsettled>, Error> {
        self.meeting.looking.notify_one();
        self.meeting.begun.notified().await;
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
