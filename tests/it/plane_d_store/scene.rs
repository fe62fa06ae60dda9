//! The world of one cell: the subject, the bystanders, and what must be true of them after a report and after asking again.

use serde_json::Value;
use user_manager::{
    outcome::{Failure, Outcome},
    query::Filter,
    store::{Landed, Store, Write, crud_service::CrudService},
    users::{Change, METADATA, Revision, State, UserId},
};

use super::{
    Case, Kind, Reply,
    documents::{ADA, Documents},
};
use crate::{
    plane_d::{Moment, Play, patience},
    twins::{
        Twin,
        crud::{Crud, Row},
        fault::{Fault, Lands, Lasts, Plan},
    },
};

const SUBJECT: &str = "650000000000000000000001";
/// Of an earlier insert that was given up.
const FENCE: &str = "650000000000000000000009";

pub struct Scene {
    pub documents: Documents,
    case: Case,
    pub twin: Twin<Crud>,
    pub healthy: CrudService,
    pub id: UserId,
    /// The revision that writes are bound to.
    pub at: Revision,
    subject: Option<Row>,
    bystanders: Vec<Row>,
}

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => { if !$holds { return Err(format!($($why)+)); } };
}

impl Scene {
    pub async fn of(documents: Documents, case: Case) -> Self {
        let mut crud = documents.crud();
        let others = [
            ("PUBLIC", "ada2@example.org", "ada2"),
            ("PUBLIC", "ADA@example.org", "Ada"),
            ("DRAFT", "ada@example.com", "ada.2"),
            ("TRASH", "ada@example.or", "ad"),
            ("DELETED", "da@example.org", "adaa"),
        ];
        for (n, (state, name, username)) in others.into_iter().enumerate() {
            let fields = documents.document(name, username);
            crud.put(&format!("65000000000000000000000{}", n + 2), state, Value::Object(fields));
        }
        if case == Case::ListMany {
            for n in 0..200 {
                crud.put(&format!("{:024x}", 0x66 + n), "PUBLIC", documents.one_of_a_crowd(n));
            }
        }
        if matches!(case, Case::List | Case::ListMany | Case::Count) {
            crud.put(FENCE, "DELETED", documents.fence(FENCE));
        }
        match case {
            Case::InsertClosed | Case::CloseAgain => crud.put(SUBJECT, "DELETED", documents.fence(SUBJECT)),
            Case::Insert | Case::InsertTaken | Case::Close | Case::CloseOverLate => {}
            Case::GetNobody | Case::DeleteNobody => {}
            _ => crud.put(SUBJECT, "PUBLIC", Value::Object(documents.document(ADA, "ada"))),
        }
        let text = |row: &Row| row["updatedAt"].as_str().unwrap().to_owned();
        let at = match case {
            Case::ChangeElsewhere | Case::StateElsewhere => Some("2020-01-01T00:00:00.000Z".to_owned()),
            _ => crud.rows.get(SUBJECT).map(text),
        };
        let twin = Twin::start(crud).await;
        let healthy = documents.driver(&twin.url(), &patience(30_000));
        let mut scene = Self {
            documents,
            case,
            twin,
            healthy,
            id: UserId::parse(SUBJECT).unwrap(),
            at: Revision(at.unwrap_or_default()),
            subject: None,
            bystanders: Vec::new(),
        };
        scene.send_late_ones().await;
        scene.subject = scene.now();
        scene.bystanders = scene.others();
        scene
    }

    /// What is still under way when the method is called, in the cases that are about that.
    async fn send_late_ones(&self) {
        let cut = |nth| Plan::nth(nth, Fault::CutLate(Lands::WhenTold), Lasts::Once);
        match self.case {
            Case::CloseOverLate => {
                self.twin.plan(cut(2)).await;
                let sent = self.healthy.insert(&self.id, &self.fields(), "tester").await;
                assert!(matches!(sent, Err(Failure::Unknown(_))), "{sent:?}");
            }
            Case::TouchOverLate => {
                self.twin.plan(cut(1)).await;
                let sent =
                    self.healthy.change(&self.id, &self.at, &self.documents.change(Case::ChangeField), "tester").await;
                assert!(matches!(sent, Err(Failure::Unknown(_))), "{sent:?}");
            }
            _ => return,
        }
        self.twin.mend().await;
    }

    fn now(&self) -> Option<Row> {
        self.twin.world().rows.get(SUBJECT).cloned()
    }

    fn others(&self) -> Vec<Row> {
        self.twin.world().rows.iter().filter(|(id, _)| *id != SUBJECT).map(|(_, row)| row.clone()).collect()
    }

    pub fn check_bystanders(&self) -> Result<(), String> {
        ensure!(self.others() == self.bystanders, "bystanders: {:?}", self.others());
        Ok(())
    }

    /// What was reported is so, and what was reported as not done cannot happen any more.
    pub fn check_report(&self, play: Option<Play>, reply: &Outcome<Reply>) -> Result<(), String> {
        let now = self.now();
        // The system itself said that it is not there: that must be believed.
        let lied = play.is_some_and(|play| play.row.name == "404");
        match reply {
            Ok(reply) => self.check_value(reply, now.as_ref(), lied)?,
            Err(Failure::Unknown(_)) => return Ok(()),
            Err(Failure::NotDone(_)) => {
                ensure!(now == self.subject, "not done, but there is {now:?}");
                if !self.late_before() {
                    self.twin.land_late();
                    ensure!(self.now() == self.subject, "not done, but it landed");
                }
            }
        }
        if self.case.kind() == Kind::Read {
            ensure!(now == self.subject, "a read that wrote: {now:?}");
        }
        Ok(())
    }

    fn check_value(&self, reply: &Reply, now: Option<&Row>, lied: bool) -> Result<(), String> {
        let user = now.filter(|row| !self.is_fence(row));
        match reply {
            Reply::Nothing => match self.case.kind() {
                Kind::Insert => ensure!(user.is_some_and(|row| self.inserted(row)), "inserted, but there is {now:?}"),
                Kind::Delete => ensure!(now.is_none() || lied, "deleted, but there is {now:?}"),
                Kind::Read | Kind::Close | Kind::Write => {}
            },
            Reply::Landed(Landed::There) => ensure!(user.is_some(), "there, but there is {now:?}"),
            Reply::Landed(Landed::Never) => {
                ensure!(now.is_some_and(|row| self.is_fence(row)), "closed, but there is {now:?}");
                self.twin.land_late();
                ensure!(self.now().as_ref().is_some_and(|row| self.is_fence(row)), "closed, but it landed");
            }
            Reply::User(found) => {
                let found = found.as_ref().map(|user| &user.document);
                ensure!(found == user || (lied && found.is_none()), "read {found:?}, but there is {now:?}");
            }
            Reply::Users(found) => {
                let ids: Vec<_> = found.iter().map(|user| user.id.as_str()).collect();
                ensure!(ids == self.meant(), "found {ids:?}");
            }
            Reply::Count(count) => ensure!(*count == self.meant().len() as u64, "counted {count}"),
            Reply::Write(Write::Now(written)) => {
                ensure!(Some(&written.document) == now, "wrote {written:?}, but there is {now:?}");
                ensure!(written.revision != self.at, "the revision has not moved");
                ensure!(self.written(&written.document), "the change does not show: {now:?}");
                self.twin.land_late();
                ensure!(self.now().as_ref() == now, "what was under way landed over a moved revision");
            }
            Reply::Write(Write::Elsewhere) => {
                ensure!(now == self.subject.as_ref(), "elsewhere, but there is {now:?}");
            }
        }
        Ok(())
    }

    /// Afterwards, with everything well again: probe, fence and undo.
    pub async fn find_out(&self, moment: Moment, reply: &Outcome<Reply>) -> Result<(), String> {
        let sure = |error: Failure| error.sentence().to_owned();
        if moment == Moment::BeforeProbe {
            self.twin.land_late();
        }
        let found = self.healthy.get(&self.id, &Filter::Everything).await.map_err(sure)?.map(|user| user.document);
        let now = self.now().filter(|row| !self.is_fence(row));
        ensure!(found == now, "the probe says {found:?}, there is {now:?}");
        if moment == Moment::BeforeFence {
            self.twin.land_late();
        }
        match self.case.kind() {
            Kind::Read => Ok(()),
            Kind::Insert | Kind::Close => self.close_and_undo().await,
            Kind::Write => self.touch_and_undo().await,
            Kind::Delete => {
                self.healthy.delete(&self.id, State::Public).await.map_err(sure)?;
                self.twin.land_late();
                ensure!(self.now().is_none(), "deleted twice and still there after {reply:?}");
                Ok(())
            }
        }
    }

    async fn close_and_undo(&self) -> Result<(), String> {
        let sure = |error: Failure| error.sentence().to_owned();
        let there = self.now().is_some_and(|row| !self.is_fence(&row));
        let landed = self.healthy.close(&self.id, &self.fields()).await.map_err(sure)?;
        ensure!((landed == Landed::There) == there, "the fence says {landed:?}, there is {:?}", self.now());
        let closed = self.now();
        self.twin.land_late();
        ensure!(self.now() == closed, "it landed behind the fence");
        // The undo, which touches no fence.
        self.healthy.delete(&self.id, State::Public).await.map_err(sure)?;
        let left = self.now();
        ensure!(left == closed.filter(|row| self.is_fence(row)), "the undo left {left:?}");
        let found = self.healthy.get(&self.id, &Filter::Everything).await.map_err(sure)?;
        ensure!(found.is_none(), "the fence row was taken for somebody: {found:?}");
        if landed == Landed::Never {
            let again = self.healthy.insert(&self.id, &self.documents.fields(Case::Insert), "tester").await;
            ensure!(matches!(again, Err(Failure::NotDone(_))), "inserted over the fence: {again:?}");
        }
        Ok(())
    }

    async fn touch_and_undo(&self) -> Result<(), String> {
        let sure = |error: Failure| error.sentence().to_owned();
        let before = self.now();
        let touched = self.healthy.change(&self.id, &self.at, &Default::default(), "tester").await.map_err(sure)?;
        let now = self.now();
        match touched {
            Write::Elsewhere => ensure!(now == before, "elsewhere, but there is {now:?}"),
            Write::Now(user) => {
                ensure!(user.revision != self.at && Some(&user.document) == now.as_ref(), "a fence that did not move");
            }
        }
        self.twin.land_late();
        ensure!(self.now() == now, "it landed behind the fence");
        // The undo: what shows is put back, and only that.
        let mut user = self.healthy.get(&self.id, &Filter::Everything).await.map_err(sure)?.ok_or("gone")?;
        let way_back: &[State] = match user.state {
            State::Trash => &[State::Draft, State::Public],
            State::Draft => &[State::Public],
            State::Public | State::Deleted => &[],
        };
        for &to in way_back {
            let back = self.healthy.set_state(&self.id, &user.revision, to, "tester").await.map_err(sure)?;
            let Write::Now(now) = back else { return Err("the undo of a state met nobody".to_owned()) };
            user = *now;
        }
        let original = self.subject.clone().unwrap_or_default();
        let change =
            if self.case == Case::TouchOverLate { self.documents.change(Case::ChangeField) } else { self.change() };
        if !change.is_empty() && change.shows_in(&user.document) {
            let inverse = change.inverse(&original);
            let back = self.healthy.change(&self.id, &user.revision, &inverse, "tester").await.map_err(sure)?;
            ensure!(matches!(back, Write::Now(_)), "the undo of a change met nobody");
        }
        ensure!(self.now().map(own_fields) == Some(own_fields(original)), "the undo left {:?}", self.now());
        Ok(())
    }

    /// Who is found, in this order.
    fn meant(&self) -> Vec<String> {
        let world = self.twin.world();
        let meant = world.rows.values().filter(|row| self.documents.means(self.case, row));
        meant.map(|row| row["_id"].as_str().unwrap().to_owned()).collect()
    }

    fn is_fence(&self, row: &Row) -> bool {
        self.documents.is_fence(row)
    }

    fn fields(&self) -> Row {
        self.documents.fields(self.case)
    }

    fn change(&self) -> Change {
        self.documents.change(self.case)
    }

    /// Something else than the method's own call may land.
    fn late_before(&self) -> bool {
        matches!(self.case, Case::CloseOverLate | Case::TouchOverLate)
    }

    fn inserted(&self, row: &Row) -> bool {
        row["__STATE__"] == "PUBLIC" && self.fields().iter().all(|(field, value)| row.get(field) == Some(value))
    }

    fn written(&self, row: &Row) -> bool {
        let state = self.case.state().is_none_or(|state| row["__STATE__"] == state.as_str());
        state && self.change().shows_in(row) && row["updaterId"] == "tester"
    }
}

/// With the state, without the other metadata.
fn own_fields(mut row: Row) -> Row {
    row.retain(|field, _| field == "__STATE__" || !METADATA.contains(&field.as_str()));
    row
}
