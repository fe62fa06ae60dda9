//! Plane D for the sessions at Keycloak and the links that it mails: what each method reports under each fault is true. A
//! refresh is never sent a second time by us, since the realm here ends the session of whoever brings a token twice, nor is a
//! mail; to end a session again is harmless, also when the first time lands late.

mod callers;

use std::collections::BTreeSet;

use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use user_manager::{
    clock::Clock,
    config::{Calls, KeycloakCreate},
    identity::{Identity, Login, TheirSession, keycloak::Keycloak as Driver},
    outcome::{Failure, Outcome},
};

use crate::{
    plane_d::{Cell, Moment, Play, Token, Told, account, patience, told},
    twins::{
        Asked, Model, Twin,
        fault::{Effect, Fault, Lasts, Plan},
        keycloak::{self, CLIENT, Keycloak, LOGIN, Person, REALM},
    },
};

/// Cells that there were when this was written; more asks to raise it.
const FLOOR: usize = 2_680;

const ADA: &str = "11111111-2222-4333-8444-555555555555";
const GRACE: &str = "00000000-0000-4000-8000-bbbbbbbbbb00";
const PASSWORD: &str = "correct horse";

/// Every method of the trait that is about sessions or mails, in every situation in which it makes other calls or answers otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Case {
    LogIn,
    Refresh,
    /// In a realm where a token is good as often as one likes.
    RefreshUnrotated,
    /// The session has been ended.
    RefreshEnded,
    /// The account is disabled.
    RefreshDisabled,
    RefreshForged,
    Revoke,
    RevokeEnded,
    RevokeForged,
    Claims,
    /// The session has been ended.
    ClaimsEnded,
    /// The token was given for less.
    ClaimsNarrow,
    Sessions,
    SessionsOfNobody,
    End,
    EndEnded,
    Mail,
    MailToNobody,
    /// The realm names no mail server.
    MailWithoutServer,
}

use Case as C;

const CASES: [Case; 19] = [
    C::LogIn,
    C::Refresh,
    C::RefreshUnrotated,
    C::RefreshEnded,
    C::RefreshDisabled,
    C::RefreshForged,
    C::Revoke,
    C::RevokeEnded,
    C::RevokeForged,
    C::Claims,
    C::ClaimsEnded,
    C::ClaimsNarrow,
    C::Sessions,
    C::SessionsOfNobody,
    C::End,
    C::EndEnded,
    C::Mail,
    C::MailToNobody,
    C::MailWithoutServer,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_a_call_the_sessions_at_keycloak_are_told_truly() {
    let mut cells = Vec::new();
    for case in CASES {
        for token in [Token::Good, Token::Dropped] {
            // The others need none.
            if token == Token::Dropped && !case.is_of_the_service_account() {
                continue;
            }
            let calls = clean(case, token).await;
            let method = format!("D/sessions/{case:?}/keycloak/{token:?}");
            cells.extend(Cell::all(&method, calls, move |play| cell(case, token, play)));
        }
    }
    account("D sessions", FLOOR, cells).await;
}

/// Without a fault: the calls that it makes.
async fn clean(case: Case, token: Token) -> u64 {
    let scene = Scene::of(case, token, &patience(30_000)).await;
    let value = scene.run(&scene.faulty).await;
    let made = scene.made();
    assert_eq!(told(&value), case.clean(), "{case:?}: {value:?}");
    scene.check_report(&value).unwrap();
    scene.check_bystanders().unwrap();
    assert!(made > 0, "{case:?} makes no call");
    made as u64
}

async fn cell(case: Case, token: Token, play: Play) -> Result<Told, String> {
    let scene = Scene::of(case, token, &play.calls()).await;
    scene.twin.plan(Plan::nth(play.nth, play.row.fault, play.lasts)).await;
    let value = scene.run(&scene.faulty).await;
    if scene.twin.struck() == 0 {
        return Err("the fault did not strike".to_owned());
    }
    let made = scene.made();
    scene.twin.mend().await;
    // Somebody who says in his own words that nobody is there, is believed, and is lying here.
    let lies = matches!(play.row.fault, Fault::Status { status: 404, .. });
    if !lies {
        scene.check_report(&value)?;
    }
    scene.check_column(play, &value)?;
    // To be told to wait is to be refused; whatever else happened, it left once.
    let alone = !case.is_of_the_service_account();
    if case.is_good_once() && alone && play.row.number != 8 && made > 1 {
        return Err(format!("sent {made} times"));
    }
    scene.find_out(play, &value).await?;
    scene.check_bystanders()?;
    Ok(told(&value))
}

/// What a method answers, in one form for all.
#[derive(Debug, Clone)]
enum Said {
    Nothing,
    Refused,
    /// Refresh token.
    Tokens(SecretString),
    /// `sub`, where there are claims.
    Claims(Option<String>),
    Sessions(BTreeSet<String>),
    Mailed(bool),
}

impl Case {
    fn is_of_the_service_account(self) -> bool {
        matches!(
            self,
            C::Sessions | C::SessionsOfNobody | C::End | C::EndEnded | C::Mail | C::MailToNobody | C::MailWithoutServer
        )
    }

    /// Sent twice it is something else.
    fn is_good_once(self) -> bool {
        matches!(self, C::LogIn | C::Refresh | C::RefreshUnrotated | C::Mail)
    }

    fn ends(self) -> bool {
        matches!(self, C::Revoke | C::End)
    }

    fn clean(self) -> Told {
        if matches!(self, C::ClaimsNarrow | C::MailWithoutServer) { Told::NotDone } else { Told::Done }
    }

    fn begins_ended(self) -> bool {
        matches!(self, C::RefreshEnded | C::RevokeEnded | C::ClaimsEnded | C::EndEnded)
    }
}

struct Scene {
    case: Case,
    twin: Twin<Keycloak>,
    /// The one that meets the fault.
    faulty: Driver,
    /// The one that finds out afterwards; his token is good.
    healthy: Driver,
    /// Of the session that it is about.
    access: SecretString,
    refresh: SecretString,
    session: String,
    before: State,
    /// How much of the twin's log is from before the method.
    planned_at: usize,
}

/// What a method may change: whose sessions stand, whether the refresh token is good, how many mails were sent.
#[derive(Debug, Clone, PartialEq)]
struct State {
    adas: BTreeSet<String>,
    graces: BTreeSet<String>,
    good: bool,
    mails: usize,
}

impl Scene {
    async fn of(case: Case, token: Token, calls: &Calls) -> Self {
        let clock = Clock::system();
        let twin = Twin::start(Keycloak::new(clock.clone())).await;
        for (id, name) in [(ADA, "ada"), (GRACE, "grace")] {
            let mut person = Person::named(name, &format!("{name}@example.org"));
            person.password = Some(PASSWORD.to_owned());
            person.sessions.insert(format!("{name}s-other"));
            twin.world().stands(id, person);
        }
        twin.world().rotates = case != C::RefreshUnrotated;
        twin.world().has_mail_server = case != C::MailWithoutServer;
        let config = keycloak::config(twin.url(), KeycloakCreate::Marker);
        let healthy = Driver::open(config.clone(), &patience(30_000), clock.clone()).await.unwrap();
        let Login::Token { access_token, refresh_token, .. } = log_in(&healthy).await.unwrap() else {
            panic!("refused")
        };
        let session = twin.world().people[ADA].sessions.iter().find(|id| *id != "adas-other").unwrap().clone();
        let refresh = refresh_token.unwrap();
        let access = if case == C::ClaimsNarrow { narrow(&twin) } else { access_token };
        let faulty = Driver::open(config, calls, clock).await.unwrap();
        if token == Token::Dropped {
            twin.world().forget_tokens_of(CLIENT.0);
        }
        {
            let mut world = twin.world();
            let ada = world.people.get_mut(ADA).unwrap();
            if case.begins_ended() {
                ada.sessions.remove(&session);
            }
            ada.enabled = case != C::RefreshDisabled;
        }
        let state = State { adas: BTreeSet::new(), graces: BTreeSet::new(), good: false, mails: 0 };
        let mut scene = Self { case, twin, faulty, healthy, access, refresh, session, before: state, planned_at: 0 };
        scene.before = scene.state();
        scene.planned_at = scene.twin.log().len();
        scene
    }

    async fn run(&self, driver: &Driver) -> Outcome<Said> {
        let forged = SecretString::from("a.b.c");
        let (ada, nobody) = (ADA.to_owned(), "nobody".to_owned());
        match self.case {
            C::LogIn => log_in(driver).await.map(said),
            C::Refresh | C::RefreshUnrotated | C::RefreshEnded | C::RefreshDisabled => {
                driver.refresh(&self.refresh).await.map(said)
            }
            C::RefreshForged => driver.refresh(&forged).await.map(said),
            C::Revoke | C::RevokeEnded => driver.revoke(&self.refresh).await.map(|()| Said::Nothing),
            C::RevokeForged => driver.revoke(&forged).await.map(|()| Said::Nothing),
            C::Claims | C::ClaimsEnded | C::ClaimsNarrow => {
                let claims = driver.claims(&ada, Some(&self.access)).await?;
                Ok(Said::Claims(claims.map(|claims| claims["sub"].as_str().unwrap_or_default().to_owned())))
            }
            C::Sessions => driver.sessions(&ada).await.map(listed),
            C::SessionsOfNobody => driver.sessions(&nobody).await.map(listed),
            C::End | C::EndEnded => driver.end_session(&self.session).await.map(|()| Said::Nothing),
            C::Mail | C::MailWithoutServer => driver.mail_link(&ada).await.map(Said::Mailed),
            C::MailToNobody => driver.mail_link(&nobody).await.map(Said::Mailed),
        }
    }

    /// What the report says is so.
    fn check_report(&self, value: &Outcome<Said>) -> Result<(), String> {
        match (told(value), value) {
            (Told::Done, Ok(said)) => self.is_true(said),
            (Told::NotDone, _) if self.state() == self.before => Ok(()),
            (Told::NotDone, _) => Err(format!("told not done, but {:?}", self.state())),
            _ => Ok(()),
        }
    }

    fn is_true(&self, said: &Said) -> Result<(), String> {
        let (now, before) = (self.state(), &self.before);
        let opened = now.adas.len() - before.adas.intersection(&now.adas).count();
        let holds = match (self.case, said) {
            (C::LogIn, Said::Tokens(token)) => opened == 1 && self.is_good(token),
            (C::Refresh, Said::Tokens(token)) => !now.good && now.adas == before.adas && self.is_good(token),
            (C::RefreshUnrotated, Said::Tokens(token)) => now == *before && self.is_good(token),
            (C::RefreshEnded | C::RefreshDisabled | C::RefreshForged, Said::Refused) => now == *before,
            (C::Revoke | C::End, Said::Nothing) => !now.adas.contains(&self.session) && !now.good,
            (C::RevokeEnded | C::RevokeForged | C::EndEnded, Said::Nothing) => now == *before,
            (C::Claims, Said::Claims(Some(sub))) => sub == ADA,
            (C::ClaimsEnded, Said::Claims(None)) => true,
            (C::Sessions, Said::Sessions(sessions)) => *sessions == before.adas,
            (C::SessionsOfNobody, Said::Sessions(sessions)) => sessions.is_empty(),
            (C::Mail, Said::Mailed(true)) => now.mails == 1,
            (C::MailToNobody, Said::Mailed(false)) => now == *before,
            _ => false,
        };
        holds.then_some(()).ok_or_else(|| format!("answered {said:?}, but {now:?}"))
    }

    /// The matrix's column of outcomes, where the truth alone leaves a choice.
    fn check_column(&self, play: Play, value: &Outcome<Said>) -> Result<(), String> {
        let told = told(value);
        let once = play.lasts == Lasts::Once;
        if play.row.number == 15 && play.lasts != Lasts::ThenRefused && told != self.case.clean() {
            return Err(format!("slow, but told {told:?}"));
        }
        let plain = match play.row.number {
            1 => true,
            8 => !matches!(play.row.fault, Fault::Status { wait: Some(0), .. }),
            10 => once,
            _ => false,
        };
        if plain && told == Told::Unknown {
            return Err(format!("plainly refused, but told {value:?}"));
        }
        // What may have opened or ended something and was not answered, nobody can tell of, nor what was refused with a
        // conflict, since there is nothing to be in conflict with. Of its token alone everybody can.
        let effect = self.case.ends() || self.case.is_good_once();
        let riddle = matches!(play.row.number, 2..=7 | 9 | 11 | 12);
        let leaves = self.twin.log()[self.planned_at..].get(usize::try_from(play.nth).unwrap() - 1).cloned();
        let of_the_service =
            leaves.is_some_and(|line| self.case.is_of_the_service_account() && line.ends_with("/token"));
        if effect && riddle && !of_the_service && told != Told::Unknown {
            return Err(format!("a riddle, but told {value:?}"));
        }
        Ok(())
    }

    /// What there is afterwards, and what asking again does, with the late effect before, between and after.
    async fn find_out(&self, play: Play, value: &Outcome<Said>) -> Result<(), String> {
        let late = matches!(play.row.fault.effect(), Effect::Late(_));
        if late && told(value) == Told::NotDone {
            // A look that went unanswered, before anything was sent.
            self.twin.land_late();
            return (self.state() == self.before).then_some(()).ok_or_else(|| format!("landed: {:?}", self.state()));
        }
        if play.moment == Moment::BeforeProbe {
            self.twin.land_late();
        }
        if self.case.is_good_once() { self.goes_on(play, value).await } else { self.asks_again(play).await }
    }

    /// Nothing of ours has ended the session, and whoever was told so goes on with what he has.
    async fn goes_on(&self, play: Play, value: &Outcome<Said>) -> Result<(), String> {
        if play.moment != Moment::BeforeProbe {
            self.twin.land_late();
        }
        let now = self.state();
        if !now.adas.is_superset(&self.before.adas) || now.mails > 1 {
            return Err(format!("a session was ended, or somebody was mailed twice: {now:?}"));
        }
        if self.case == C::Mail {
            return Ok(());
        }
        let holds = match value {
            Ok(Said::Tokens(token)) => Some(token),
            Ok(_) => return Err("neither tokens nor an error".to_owned()),
            // He is told that he may come again with the one that he has.
            Err(Failure::NotDone(_)) => Some(&self.refresh),
            Err(Failure::Unknown(_)) => None,
        };
        let Some(token) = holds else { return Ok(()) };
        let next = self.healthy.refresh(token).await.map(said);
        matches!(next, Ok(Said::Tokens(_))).then_some(()).ok_or_else(|| format!("and then {next:?}"))
    }

    /// As often as one likes, and it is so.
    async fn asks_again(&self, play: Play) -> Result<(), String> {
        for look in 0..3 {
            let value = self.run(&self.healthy).await;
            if told(&value) != self.case.clean() {
                return Err(format!("look {look}: {value:?}"));
            }
            self.check_report(&value)?;
            let moment = if look == 0 { Moment::BeforeFence } else { Moment::AfterFence };
            if play.moment == moment {
                self.twin.land_late();
            }
        }
        let (now, mut wanted) = (self.state(), self.before.clone());
        if self.case.ends() {
            wanted.good = false;
            wanted.adas.remove(&self.session);
        }
        (now == wanted).then_some(()).ok_or_else(|| format!("in the end {now:?}, not {wanted:?}"))
    }

    fn check_bystanders(&self) -> Result<(), String> {
        let now = self.state();
        let stand = now.graces == self.before.graces && now.adas.contains("adas-other");
        stand.then_some(()).ok_or_else(|| format!("another session was touched: {now:?}"))
    }

    fn state(&self) -> State {
        let world = self.twin.world();
        State {
            adas: world.people[ADA].sessions.clone(),
            graces: world.people[GRACE].sessions.clone(),
            good: world.is_good(self.refresh.expose_secret()),
            mails: world.mails.len(),
        }
    }

    fn is_good(&self, token: &SecretString) -> bool {
        self.twin.world().is_good(token.expose_secret())
    }

    fn made(&self) -> usize {
        self.twin.log().len() - self.planned_at
    }
}

/// A token of a login without `openid`.
fn narrow(twin: &Twin<Keycloak>) -> SecretString {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs([("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)]);
    form.extend_pairs([("client_id", LOGIN.0), ("client_secret", LOGIN.1)]);
    let asked = Asked {
        method: Method::POST,
        path: format!("/realms/{REALM}/protocol/openid-connect/token"),
        query: Vec::new(),
        headers: [(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))].into_iter().collect(),
        body: form.finish().into(),
    };
    let answer: Value = serde_json::from_slice(&twin.world().answer(&asked).body).unwrap();
    answer["access_token"].as_str().unwrap().into()
}

async fn log_in(driver: &Driver) -> Outcome<Login> {
    driver.log_in("ada@example.org", &PASSWORD.into()).await
}

fn said(login: Login) -> Said {
    match login {
        Login::Token { refresh_token, .. } => Said::Tokens(refresh_token.unwrap()),
        Login::Refused => Said::Refused,
        Login::Verified { .. } => panic!("Keycloak makes its own tokens"),
    }
}

fn listed(sessions: Vec<TheirSession>) -> Said {
    Said::Sessions(sessions.into_iter().map(|session| session.id).collect())
}
