//! Plane D for the store in a crud-service, in each of its collections: what each method reports under each fault is true,
//! and what was left unknown is found out by probe and fence, also when it lands late.

#![expect(clippy::wildcard_enum_match_arm, reason = "most cases are ordinary, and say so by not being named")]

mod documents;
mod scene;

use user_manager::{
    outcome::Outcome,
    query::Filter,
    store::{Landed, Store, Write, crud_service::CrudService},
    users::{State, User},
};

use crate::{
    plane_d::{Cell, Play, Told, account, told},
    twins::fault::{Fault, Lasts, Plan},
};
use documents::Documents;
use scene::Scene;

/// Cells that there were when this was written; more asks to raise it.
const FLOOR: usize = 9045;

/// Every method of the trait, in every situation in which it makes other calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Case {
    Insert,
    InsertAgain,
    InsertTaken,
    InsertClosed,
    Close,
    CloseLanded,
    CloseAgain,
    /// While an insert is still under way.
    CloseOverLate,
    Get,
    GetNobody,
    Find,
    List,
    /// More than one page.
    ListMany,
    Count,
    ChangeField,
    ChangeName,
    ChangeTaken,
    ChangeElsewhere,
    Touch,
    /// While a change is still under way.
    TouchOverLate,
    ToDraft,
    ToTrash,
    StateElsewhere,
    Delete,
    DeleteNobody,
    Check,
}

impl Case {
    const ALL: [Self; 26] = [
        Self::Insert,
        Self::InsertAgain,
        Self::InsertTaken,
        Self::InsertClosed,
        Self::Close,
        Self::CloseLanded,
        Self::CloseAgain,
        Self::CloseOverLate,
        Self::Get,
        Self::GetNobody,
        Self::Find,
        Self::List,
        Self::ListMany,
        Self::Count,
        Self::ChangeField,
        Self::ChangeName,
        Self::ChangeTaken,
        Self::ChangeElsewhere,
        Self::Touch,
        Self::TouchOverLate,
        Self::ToDraft,
        Self::ToTrash,
        Self::StateElsewhere,
        Self::Delete,
        Self::DeleteNobody,
        Self::Check,
    ];

    /// What the cases of one kind have in common: what a late effect would be, and how it is closed.
    pub fn kind(self) -> Kind {
        match self {
            Self::Insert | Self::InsertAgain | Self::InsertTaken | Self::InsertClosed => Kind::Insert,
            Self::Close | Self::CloseLanded | Self::CloseAgain | Self::CloseOverLate => Kind::Close,
            Self::Get | Self::GetNobody | Self::Find | Self::Check => Kind::Read,
            Self::List | Self::ListMany | Self::Count => Kind::Read,
            Self::ChangeField | Self::ChangeName | Self::ChangeTaken | Self::ChangeElsewhere => Kind::Write,
            Self::Touch | Self::TouchOverLate => Kind::Write,
            Self::ToDraft | Self::ToTrash | Self::StateElsewhere => Kind::Write,
            Self::Delete | Self::DeleteNobody => Kind::Delete,
        }
    }

    /// Where a transition goes, in the cases that are one.
    pub fn state(self) -> Option<State> {
        match self {
            Self::ToDraft | Self::StateElsewhere => Some(State::Draft),
            Self::ToTrash => Some(State::Trash),
            _ => None,
        }
    }

    /// What a clean run reports.
    fn clean(self) -> Told {
        match self {
            Self::InsertTaken | Self::InsertClosed | Self::ChangeTaken => Told::NotDone,
            _ => Told::Done,
        }
    }

    /// Which call is the effect itself, where a clean run has one: there the matrix says what must be reported.
    fn effect_call(self) -> Option<u64> {
        match self {
            Self::Insert | Self::Close => Some(2),
            Self::ChangeField | Self::ChangeName | Self::Touch => Some(1),
            Self::ToDraft | Self::ToTrash | Self::Delete => Some(1),
            _ => None,
        }
    }

    async fn run(self, scene: &Scene, store: &CrudService) -> Outcome<Reply> {
        let (id, at, documents) = (&scene.id, &scene.at, &scene.documents);
        match self.kind() {
            Kind::Insert => store.insert(id, &documents.fields(self), "tester").await.map(|()| Reply::Nothing),
            Kind::Close => store.close(id, &documents.fields(self)).await.map(Reply::Landed),
            Kind::Read if self == Self::Find => store.find(&documents.wanted()).await.map(Reply::Users),
            Kind::Read if self == Self::List => store.list(&documents.query(self)).await.map(Reply::Users),
            Kind::Read if self == Self::ListMany => store.list(&documents.query(self)).await.map(Reply::Users),
            Kind::Read if self == Self::Count => store.count(&documents.query(self)).await.map(Reply::Count),
            Kind::Read if self == Self::Check => store.check().await.map(|()| Reply::Nothing),
            Kind::Read => store.get(id, &Filter::Everything).await.map(Reply::User),
            Kind::Write => match self.state() {
                Some(to) => store.set_state(id, at, to, "tester").await.map(Reply::Write),
                None => store.change(id, at, &documents.change(self), "tester").await.map(Reply::Write),
            },
            Kind::Delete => store.delete(id, State::Public).await.map(|()| Reply::Nothing),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Insert,
    Close,
    Read,
    Write,
    Delete,
}

/// What a method answers, in one form for all.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Nothing,
    Landed(Landed),
    User(Option<User>),
    Users(Vec<User>),
    Count(u64),
    Write(Write),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_a_call_the_store_in_a_crud_service_tells_the_truth() {
    let mut cells = Vec::new();
    for documents in Documents::ALL {
        for case in Case::ALL {
            let calls = clean(documents, case).await;
            let method = format!("D/store/{:?}/{case:?}/crud-service", documents.of);
            cells.extend(Cell::all(&method, calls, move |play| cell(documents, case, play)));
        }
    }
    account("D store", FLOOR, cells).await;
}

/// Without a fault: the calls that it makes.
async fn clean(documents: Documents, case: Case) -> u64 {
    let scene = Scene::of(documents, case).await;
    let before = scene.twin.log().len();
    let reply = case.run(&scene, &scene.healthy).await;
    let made = scene.twin.log().len() - before;
    assert_eq!(told(&reply), case.clean(), "{:?}/{case:?}: {reply:?}", documents.of);
    scene.check_report(None, &reply).unwrap();
    scene.check_bystanders().unwrap();
    u64::try_from(made).unwrap()
}

async fn cell(documents: Documents, case: Case, play: Play) -> Result<Told, String> {
    let scene = Scene::of(documents, case).await;
    let faulty = documents.driver(&scene.twin.url(), &play.calls());
    scene.twin.plan(Plan::nth(play.nth, play.row.fault, play.lasts)).await;
    let reply = case.run(&scene, &faulty).await;
    if scene.twin.struck() == 0 {
        return Err("the fault did not strike".to_owned());
    }
    scene.twin.mend().await;
    check_column(case, play, told(&reply)).map_err(|why| format!("{why}: {reply:?}"))?;
    scene.check_report(Some(play), &reply)?;
    scene.find_out(play.moment, &reply).await?;
    scene.check_bystanders()?;
    Ok(told(&reply))
}

/// The outcome that the matrix asks for, where the fault strikes the effect itself and nothing else.
fn check_column(case: Case, play: Play, reported: Told) -> Result<(), String> {
    // What may be sent again is sent again, and then nothing but a lasting fault is seen.
    let again = case.kind() == Kind::Delete;
    let lasts = if again && matches!(play.row.number, 2..=4 | 7) { Lasts::On } else { Lasts::Once };
    let refused = play.row.fault == Fault::Refused;
    if case.effect_call() != Some(play.nth) || (play.lasts != lasts && !refused) {
        return Ok(());
    }
    let told_again = play.row.name == "429 wait short";
    let (done, not_done, unknown) = (Told::Done, Told::NotDone, Told::Unknown);
    let allowed: &[Told] = match play.row.number {
        1 => &[not_done],
        8 if told_again && play.lasts == Lasts::Once => &[done],
        8 => &[not_done],
        // A document that is not there, in the words of a conditional write or of a removal.
        10 if play.row.fault != Fault::Between(404) && matches!(case.kind(), Kind::Write | Kind::Delete) => &[done],
        10 | 12 => &[not_done],
        11 => &[unknown, done],
        14 if again => &[unknown, done],
        15 => &[done],
        2..=7 | 9 | 13 | 14 => &[unknown],
        number => return Err(format!("row {number} has no column")),
    };
    if allowed.contains(&reported) { Ok(()) } else { Err(format!("{allowed:?} expected")) }
}
