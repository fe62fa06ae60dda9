//! Plane D for the identity in Keycloak: what each method reports under each fault is true, and what was left unknown is
//! found out by probe and undo, also when it lands late. There is no fence; what lands is found at the next look.

use std::collections::BTreeMap;

use secrecy::SecretString;
use user_manager::{
    clock::Clock,
    config::{Calls, KeycloakCreate},
    identity::{Account, Identity, Login, keycloak::Keycloak as Driver},
    outcome::Outcome,
};

use crate::{
    plane_d::{Cell, Moment, Play, Token, Told, account, patience, told},
    twins::{
        Twin,
        fault::{Effect, Fault, Lasts, Plan},
        keycloak::{self, Keycloak, Person, REALM},
    },
};

/// Cells that there were when this was written; more asks to raise it.
const FLOOR: usize = 4_690;

/// Who is changed, read or removed, where somebody is.
const SUBJECT: &str = "11111111-2222-4333-8444-555555555555";
const PASSWORD: &str = "correct horse";

/// Every method of the trait that calls, in every situation in which it makes other calls.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Case {
    Create,
    CreateAgain,
    CreateWithTakenEmail,
    CreateWithTakenUsername,
    CreateWithWeakPassword,
    CloseCreate,
    CloseCreateOfNothing,
    Get,
    GetNobody,
    Change,
    ChangeAgain,
    ChangeTorn,
    ChangeToTakenEmail,
    ChangeOfNobody,
    Disable,
    CloseChange,
    CloseChangeOfNothing,
    Restore,
    RestoreDisabled,
    RestoreOfNothing,
    Delete,
    DeleteNobody,
    LogIn,
    LogInWrong,
    LogInDisabled,
    Keys,
    Check,
}

use Case as C;

const CASES: [Case; 27] = [
    C::Create,
    C::CreateAgain,
    C::CreateWithTakenEmail,
    C::CreateWithTakenUsername,
    C::CreateWithWeakPassword,
    C::CloseCreate,
    C::CloseCreateOfNothing,
    C::Get,
    C::GetNobody,
    C::Change,
    C::ChangeAgain,
    C::ChangeTorn,
    C::ChangeToTakenEmail,
    C::ChangeOfNobody,
    C::Disable,
    C::CloseChange,
    C::CloseChangeOfNothing,
    C::Restore,
    C::RestoreDisabled,
    C::RestoreOfNothing,
    C::Delete,
    C::DeleteNobody,
    C::LogIn,
    C::LogInWrong,
    C::LogInDisabled,
    C::Keys,
    C::Check,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_a_call_the_identity_in_keycloak_tells_the_truth() {
    let mut cells = Vec::new();
    for case in CASES {
        for mode in [KeycloakCreate::PartialImport, KeycloakCreate::Marker] {
            // Only making and finding again differ by it.
            if mode == KeycloakCreate::Marker && !case.is_creation() {
                continue;
            }
            for token in [Token::Good, Token::Dropped] {
                // Every call gets its token in the same place: two methods show it.
                if token == Token::Dropped && !matches!(case, C::Create | C::Change) {
                    continue;
                }
                let calls = clean(case, mode, token).await;
                let method = format!("D/identity/{case:?}/keycloak {mode:?}/{token:?}");
                cells.extend(Cell::all(&method, calls, move |play| cell(case, mode, token, play)));
            }
        }
    }
    account("D identity", FLOOR, cells).await;
}

/// Without a fault: the calls that it makes.
async fn clean(case: Case, mode: KeycloakCreate, token: Token) -> u64 {
    let scene = Scene::of(case, mode, token, &patience(30_000)).await;
    let value = scene.run(&scene.faulty).await;
    let made = scene.twin.log().len() - scene.planned_at;
    assert_eq!(told(&value), case.clean(), "{case:?} {mode:?}: {value:?}");
    scene.check_report(&value).unwrap();
    scene.check_bystanders().unwrap();
    assert!(made > 0, "{case:?} makes no call");
    made as u64
}

async fn cell(case: Case, mode: KeycloakCreate, token: Token, play: Play) -> Result<Told, String> {
    let scene = Scene::of(case, mode, token, &play.calls()).await;
    scene.twin.plan(Plan::nth(play.nth, play.row.fault, play.lasts)).await;
    let value = scene.run(&scene.faulty).await;
    if scene.twin.struck() == 0 {
        return Err("the fault did not strike".to_owned());
    }
    scene.twin.mend().await;
    // Somebody who says in his own words that nobody is there, is believed, and is lying here.
    let lies = matches!(play.row.fault, Fault::Status { status: 404, .. });
    if !lies {
        scene.check_report(&value)?;
    }
    scene.check_column(play, &value)?;
    scene.find_out(play, &value).await?;
    scene.check_bystanders()?;
    Ok(told(&value))
}

/// What a method answers, in one form for all.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Nothing,
    Id(Option<String>),
    Account(Option<Account>),
    Landed(bool),
    LoggedIn(bool),
}

struct Scene {
    case: Case,
    twin: Twin<Keycloak>,
    /// The one that meets the fault.
    faulty: Driver,
    /// The one that finds out afterwards; his token is good.
    healthy: Driver,
    chosen: Option<String>,
    before: BTreeMap<String, Person>,
    /// How much of the twin's log is from before the method.
    planned_at: usize,
}

impl Case {
    fn is_creation(self) -> bool {
        matches!(
            self,
            C::Create
                | C::CreateAgain
                | C::CreateWithTakenEmail
                | C::CreateWithTakenUsername
                | C::CreateWithWeakPassword
                | C::CloseCreate
                | C::CloseCreateOfNothing
        )
    }

    fn clean(self) -> Told {
        let refused = [
            C::CreateWithTakenEmail,
            C::CreateWithTakenUsername,
            C::CreateWithWeakPassword,
            C::ChangeToTakenEmail,
            C::ChangeOfNobody,
        ];
        if refused.contains(&self) { Told::NotDone } else { Told::Done }
    }

    /// Whether the subject bears the change when the method begins.
    fn begins_changed(self) -> bool {
        matches!(self, C::ChangeAgain | C::ChangeTorn | C::CloseChange | C::Restore | C::RestoreDisabled)
    }

    fn begins_with_subject(self) -> bool {
        !self.is_creation() && !matches!(self, C::GetNobody | C::ChangeOfNobody | C::DeleteNobody | C::RestoreOfNothing)
    }

    /// What is to be made.
    fn new_account(self) -> Account {
        let username = if self == C::CreateWithTakenUsername { "Grace" } else { "ada" };
        let email = if self == C::CreateWithTakenEmail { "GRACE@example.org" } else { "Ada@example.org" };
        written(username, email, true, "op-1")
    }

    fn password(self) -> &'static str {
        if self == C::CreateWithWeakPassword { "short" } else { PASSWORD }
    }

    fn to(self) -> Account {
        if matches!(self, C::Disable | C::RestoreDisabled) {
            return written("ada", "ada@example.org", false, "op-1");
        }
        if self == C::ChangeToTakenEmail {
            return written("ada", "grace@example.org", true, "op-1");
        }
        written("lovelace", "ada.new@example.org", true, "op-1")
    }
}

fn from() -> Account {
    written("ada", "ada@example.org", true, "op-0")
}

fn written(username: &str, email: &str, enabled: bool, mark: &str) -> Account {
    Account {
        username: Some(username.to_owned()),
        email: Some(email.to_owned()),
        enabled,
        mark: Some(mark.to_owned()),
        revision: None,
    }
}

/// The subject as he is before anything, with things that are not ours.
fn ada() -> Person {
    let mut person = Person::named("ada", "ada@example.org");
    person.first_name = Some("Ada".to_owned());
    person.last_name = Some("Lovelace".to_owned());
    person.email_verified = true;
    person.attributes.insert("um_operation".to_owned(), vec!["op-0".to_owned()]);
    person.attributes.insert("shoe-size".to_owned(), vec!["38".to_owned(), "39".to_owned()]);
    person.password = Some(PASSWORD.to_owned());
    person.sessions.insert("session-1".to_owned());
    person.offline.insert("some-app".to_owned());
    person
}

/// Everybody whom nothing may touch: names like ours, our mark in another case, our mark in another attribute.
fn bystanders() -> Vec<(String, Person)> {
    let mut grace = Person::named("grace", "grace@example.org");
    grace.password = Some("another horse".to_owned());
    grace.attributes.insert("um_operation".to_owned(), vec!["OP-1".to_owned()]);
    let mut longer = Person::named("ada2", "ada@example.org.test");
    longer.attributes.insert("other".to_owned(), vec!["op-1".to_owned()]);
    let mut disabled = Person::named("xada", "xada@example.org");
    disabled.enabled = false;
    disabled.offline.insert("some-app".to_owned());
    let bare = Person { username: "nobody".to_owned(), ..Person::default() };
    let all = [grace, longer, disabled, bare];
    all.into_iter()
        .enumerate()
        .map(|(n, person)| (format!("00000000-0000-4000-8000-bbbbbbbbbb{n:02}"), person))
        .collect()
}

impl Scene {
    async fn of(case: Case, mode: KeycloakCreate, token: Token, calls: &Calls) -> Self {
        let clock = Clock::system();
        let twin = Twin::start(Keycloak::new(clock.clone())).await;
        for (id, person) in bystanders() {
            twin.world().stands(&id, person);
        }
        if case.begins_with_subject() {
            twin.world().stands(SUBJECT, ada());
        }
        let config = keycloak::config(twin.url(), mode);
        let faulty = Driver::open(config.clone(), calls, clock.clone()).await.unwrap();
        if token == Token::Dropped {
            twin.world().forget_tokens();
        }
        let healthy = Driver::open(config, &patience(30_000), clock).await.unwrap();
        let chosen = healthy.choose_id();
        let mut scene = Self { case, twin, faulty, healthy, chosen, before: BTreeMap::new(), planned_at: 0 };
        scene.prepare().await;
        scene.before = scene.twin.world().snapshot();
        scene.planned_at = scene.twin.log().len();
        scene
    }

    async fn prepare(&self) {
        let case = self.case;
        if matches!(case, C::CreateAgain | C::CloseCreate) {
            let new = case.new_account();
            self.healthy.create(self.chosen.as_ref(), &new, Some(&PASSWORD.into())).await.unwrap();
        }
        if case.begins_changed() {
            self.healthy.change(&SUBJECT.to_owned(), &from(), &case.to()).await.unwrap();
        }
        if case == C::LogInDisabled {
            self.twin.world().people.get_mut(SUBJECT).unwrap().enabled = false;
        }
        if self.case == C::ChangeTorn {
            let mut world = self.twin.world();
            let subject = world.people.get_mut(SUBJECT).unwrap();
            subject.attributes.get_mut("um_operation").unwrap().push("op-0".to_owned());
        }
    }

    async fn run(&self, driver: &Driver) -> Outcome<Said> {
        let id = SUBJECT.to_owned();
        let (to, new) = (self.case.to(), self.case.new_account());
        let log_in = async |password: &str| {
            let login = driver.log_in("Ada@example.org", &SecretString::from(password)).await?;
            Ok(Said::LoggedIn(matches!(login, Login::Token { .. })))
        };
        match self.case {
            C::Create
            | C::CreateAgain
            | C::CreateWithTakenEmail
            | C::CreateWithTakenUsername
            | C::CreateWithWeakPassword => {
                let password = self.case.password().into();
                let made = driver.create(self.chosen.as_ref(), &new, Some(&password)).await?;
                Ok(Said::Id(Some(made)))
            }
            C::CloseCreate | C::CloseCreateOfNothing => {
                driver.close_create(self.chosen.as_ref(), &new).await.map(Said::Id)
            }
            C::Get | C::GetNobody => driver.get(&id).await.map(Said::Account),
            C::Change | C::ChangeAgain | C::ChangeTorn | C::ChangeToTakenEmail | C::ChangeOfNobody | C::Disable => {
                driver.change(&id, &from(), &to).await.map(|()| Said::Nothing)
            }
            C::CloseChange | C::CloseChangeOfNothing => driver.close_change(&id, &from(), &to).await.map(Said::Landed),
            C::Restore | C::RestoreDisabled | C::RestoreOfNothing => {
                driver.restore(&id, &from(), &to).await.map(|()| Said::Nothing)
            }
            C::Delete | C::DeleteNobody => driver.delete(&id).await.map(|()| Said::Nothing),
            C::LogIn | C::LogInDisabled => log_in(PASSWORD).await,
            C::LogInWrong => log_in("wrong").await,
            C::Keys => driver.keys().await.map(|keys| Said::LoggedIn(keys["keys"].is_array())),
            C::Check => driver.check().await.map(|()| Said::Nothing),
        }
    }

    /// What the report says is so.
    fn check_report(&self, value: &Outcome<Said>) -> Result<(), String> {
        match (told(value), value) {
            (Told::Done, Ok(said)) => {
                let expected = self.truth();
                if *said != expected {
                    return Err(format!("answered {said:?}, true is {expected:?}"));
                }
                self.is_done().then_some(()).ok_or_else(|| format!("told done, but {}", self.subjects()))
            }
            (Told::NotDone, _) => self.is_untouched(),
            _ => Ok(()),
        }
    }

    /// The matrix's column of outcomes, where the truth alone leaves a choice.
    fn check_column(&self, play: Play, value: &Outcome<Said>) -> Result<(), String> {
        let told = told(value);
        if play.row.number == 15 && play.lasts != Lasts::ThenRefused && told != self.case.clean() {
            return Err(format!("slow, but told {told:?}"));
        }
        // What was plainly refused is no riddle. Where something had left before it, a look was refused, which says nothing.
        let plain = match play.row.number {
            1 => true,
            // Told to come again at once, for ever: the patience may end in the middle of a call.
            8 => !matches!(play.row.fault, Fault::Status { wait: Some(0), .. }),
            10 | 12 => play.lasts == Lasts::Once,
            _ => false,
        };
        let earlier = usize::try_from(play.nth).unwrap() - 1;
        let is_effect = |line: &&String| !line.starts_with("GET ") && !line.ends_with("/token");
        let first = self.twin.log()[self.planned_at..].iter().take(earlier).find(is_effect).is_none();
        let plain = plain && first && self.case != C::ChangeTorn;
        if plain && told == Told::Unknown && self.is_untouched().is_ok() && !self.is_done() {
            return Err(format!("plainly refused, but told {value:?}"));
        }
        Ok(())
    }

    /// What probe, undo and a repetition say and do afterwards, with the late effect before, between and after.
    async fn find_out(&self, play: Play, value: &Outcome<Said>) -> Result<(), String> {
        let late = matches!(play.row.fault.effect(), Effect::Late(_));
        if late && told(value) == Told::NotDone {
            // A look that went unanswered, before anything was sent.
            self.twin.land_late();
            return self.is_untouched();
        }
        if play.moment == Moment::BeforeProbe {
            self.twin.land_late();
        }
        if self.case.is_creation() { self.take_back_creation(play).await } else { self.take_back_change(play).await }
    }

    async fn take_back_creation(&self, play: Play) -> Result<(), String> {
        let new = self.case.new_account();
        let bystanders: Vec<String> = bystanders().into_iter().map(|(id, _)| id).collect();
        for look in 0..3 {
            let found = self.healthy.close_create(self.chosen.as_ref(), &new).await.map_err(|e| format!("{e:?}"))?;
            let there = self.twin.world().people.keys().find(|id| !bystanders.contains(id)).cloned();
            if found != there {
                return Err(format!("look {look} found {found:?}, there is {there:?}"));
            }
            if look == 0 && play.moment == Moment::BeforeFence {
                self.twin.land_late();
            }
            let undone = found.unwrap_or_else(|| SUBJECT.to_owned());
            self.healthy.delete(&undone).await.map_err(|e| format!("{e:?}"))?;
            if look == 0 && play.moment == Moment::AfterFence {
                self.twin.land_late();
            }
        }
        let left = self.twin.world().people.len() - bystanders.len();
        (left == 0).then_some(()).ok_or_else(|| "something stayed behind".to_owned())
    }

    async fn take_back_change(&self, play: Play) -> Result<(), String> {
        let (id, to) = (SUBJECT.to_owned(), self.case.to());
        for look in 0..3 {
            let landed = self.healthy.close_change(&id, &from(), &to).await.map_err(|e| format!("{e:?}"))?;
            let bears = |person: &Person| person.attributes["um_operation"].contains(&"op-1".to_owned());
            let there = self.twin.world().people.get(SUBJECT).is_some_and(bears);
            if landed != there {
                return Err(format!("look {look} says landed: {landed}, true is {there}"));
            }
            if look == 0 && play.moment == Moment::BeforeFence {
                self.twin.land_late();
            }
            self.healthy.restore(&id, &from(), &to).await.map_err(|e| format!("{e:?}"))?;
            if look == 0 && play.moment == Moment::AfterFence {
                self.twin.land_late();
            }
        }
        let world = self.twin.world();
        let Some(subject) = world.people.get(SUBJECT) else {
            let may_be_gone = !self.case.begins_with_subject() || self.case == C::Delete;
            return may_be_gone.then_some(()).ok_or_else(|| "the subject is gone".to_owned());
        };
        let mut expected = Person { created_ms: subject.created_ms, realm_roles: subject.realm_roles.clone(), ..ada() };
        let mut subject = subject.clone();
        if self.case == C::LogInDisabled {
            expected.enabled = false;
        }
        // Sessions that were opened or ended stay so.
        subject.not_before = 0;
        subject.sessions.clone_from(&expected.sessions);
        subject.offline.clone_from(&expected.offline);
        (subject == expected).then_some(()).ok_or_else(|| format!("not as before: {subject:?}"))
    }

    /// The true answer of a method that is done.
    fn truth(&self) -> Said {
        let world = self.twin.world();
        let subject = world.people.get(SUBJECT);
        match self.case {
            C::Create
            | C::CreateAgain
            | C::CreateWithTakenEmail
            | C::CreateWithTakenUsername
            | C::CreateWithWeakPassword
            | C::CloseCreate
            | C::CloseCreateOfNothing => Said::Id(self.ours(&world).map(|(id, _)| id)),
            C::Get | C::GetNobody => Said::Account(subject.map(|_| from())),
            C::CloseChange => Said::Landed(true),
            C::CloseChangeOfNothing => Said::Landed(false),
            C::LogIn | C::Keys => Said::LoggedIn(true),
            C::LogInWrong | C::LogInDisabled => Said::LoggedIn(false),
            C::Change
            | C::ChangeAgain
            | C::ChangeTorn
            | C::ChangeToTakenEmail
            | C::ChangeOfNobody
            | C::Disable
            | C::Restore
            | C::RestoreDisabled
            | C::RestoreOfNothing
            | C::Delete
            | C::DeleteNobody
            | C::Check => Said::Nothing,
        }
    }

    /// The whole effect stands.
    fn is_done(&self) -> bool {
        let world = self.twin.world();
        let subject = world.people.get(SUBJECT);
        let marked = |person: &Person, mark: &str| person.attributes["um_operation"] == [mark.to_owned()];
        match self.case {
            C::Create | C::CreateAgain => {
                let Some((id, person)) = self.ours(&world) else { return false };
                let wanted = Person {
                    created_ms: person.created_ms,
                    realm_roles: [format!("default-roles-{REALM}")].into(),
                    attributes: [("um_operation".to_owned(), vec!["op-1".to_owned()])].into(),
                    password: Some(PASSWORD.to_owned()),
                    ..Person::named("ada", "ada@example.org")
                };
                world.people.len() == bystanders().len() + 1 && !id.is_empty() && person == wanted
            }
            C::Change | C::ChangeAgain | C::ChangeTorn => subject.is_some_and(|person| {
                let kept = person.attributes["shoe-size"].len() == 2 && person.first_name.as_deref() == Some("Ada");
                let named = person.username == "lovelace" && person.email.as_deref() == Some("ada.new@example.org");
                kept && named && marked(person, "op-1") && !person.email_verified && person.enabled
            }),
            C::Disable => subject.is_some_and(|person| {
                !person.enabled && person.sessions.is_empty() && person.offline.is_empty() && marked(person, "op-1")
            }),
            C::Restore | C::RestoreDisabled => subject.is_some_and(|person| {
                let same = Person { created_ms: person.created_ms, realm_roles: person.realm_roles.clone(), ..ada() };
                let sessions = (person.sessions.clone(), person.offline.clone(), person.not_before);
                *person == Person { sessions: sessions.0, offline: sessions.1, not_before: sessions.2, ..same }
            }),
            C::Delete | C::DeleteNobody => subject.is_none(),
            C::CreateWithTakenEmail
            | C::CreateWithTakenUsername
            | C::CreateWithWeakPassword
            | C::ChangeToTakenEmail
            | C::ChangeOfNobody => false,
            C::CloseCreate
            | C::CloseCreateOfNothing
            | C::Get
            | C::GetNobody
            | C::CloseChange
            | C::CloseChangeOfNothing
            | C::RestoreOfNothing
            | C::LogIn
            | C::LogInWrong
            | C::LogInDisabled
            | C::Keys
            | C::Check => true,
        }
    }

    fn is_untouched(&self) -> Result<(), String> {
        let world = self.twin.world();
        let mut now = world.snapshot();
        if let (Some(now), Some(before)) = (now.get_mut(SUBJECT), self.before.get(SUBJECT))
            && matches!(self.case, C::LogIn)
        {
            now.sessions.clone_from(&before.sessions);
        }
        (now == self.before).then_some(()).ok_or_else(|| format!("told not done, but {now:?}"))
    }

    fn ours(&self, world: &Keycloak) -> Option<(String, Person)> {
        let bystanders = bystanders();
        let mut others = world.people.iter().filter(|(id, _)| bystanders.iter().all(|(one, _)| one != *id));
        others.next().map(|(id, person)| (id.clone(), person.clone()))
    }

    fn subjects(&self) -> String {
        format!("{:?}", self.ours(&self.twin.world()))
    }

    fn check_bystanders(&self) -> Result<(), String> {
        let world = self.twin.world();
        for (id, _) in bystanders() {
            if world.people.get(&id) != self.before.get(&id) {
                return Err(format!("the bystander {id} was touched"));
            }
        }
        Ok(())
    }
}
