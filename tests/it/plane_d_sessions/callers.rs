//! What a caller sees of it: every request about sessions, while each call that it makes to Keycloak meets every fault once.
//! What he is told is so; whoever asks again when Keycloak is well gets what he wanted, and loses nothing by asking.

use std::io::Write;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use user_manager::clock::Clock;

use crate::{
    stories::sessions::{Pair, logs_in},
    twins::fault::{Lands, Lasts, Plan, Row, rows},
    worlds::{PASSWORD, Place, Reply, World},
};

/// Cells that there were when this was written; more asks to raise it.
const FLOOR: usize = 257;

const EMAIL: &str = "ada@example.org";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Request {
    LogIn,
    Refresh,
    RefreshByForm,
    Userinfo,
    List,
    LogOut,
    Revoke,
    RevokeAccess,
    EndOne,
    EndAll,
}

use Request as R;

const REQUESTS: [Request; 10] = [
    R::LogIn,
    R::Refresh,
    R::RefreshByForm,
    R::Userinfo,
    R::List,
    R::LogOut,
    R::Revoke,
    R::RevokeAccess,
    R::EndOne,
    R::EndAll,
];

#[derive(Default)]
struct Account {
    answered: usize,
    failed: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_a_call_a_caller_is_told_the_truth_of_his_sessions() {
    let clock = Clock::system();
    let began = clock.now_ms();
    let accounts = join_all(REQUESTS.map(|request| tokio::spawn(play(request)))).await;
    let (mut answered, mut failed) = (0, 0);
    for account in accounts {
        let account = account.unwrap();
        answered += account.answered;
        failed += account.failed;
    }
    let seconds = (clock.now_ms() - began) as f64 / 1000.0;
    let cells = answered + failed;
    let line = format!(
        "plane D callers: cells {cells}, answered {answered}, told of a failure {failed}, broken 0, skipped 0, seconds {seconds:.1}\n"
    );
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    assert!(cells >= FLOOR, "only {cells} cells, {FLOOR} were there before");
}

/// Every fault at its first call, its second, and so on until it makes no more.
async fn play(request: Request) -> Account {
    let settings =
        [("CALL_TIMEOUT", "500ms"), ("LOGIN_FREE_FAILURES", "1000"), ("LOGIN_FREE_FAILURES_ADDRESS", "1000")];
    let world = World::with(Place::RemoteIdentities, &settings).await;
    world.provider().world().rotates = true;
    let id = world.user(EMAIL).await;
    let mut account = Account::default();
    for row in rows(&[Lands::WhenTold]) {
        for nth in 1.. {
            let name = format!("D/callers/{request:?}/{nth}/{} {}", row.number, row.name);
            let told = Cell::of(&world, &id, request, &name).await.plays(nth, row).await;
            match told {
                None => break,
                Some(reply) if reply.status < 300 => account.answered += 1,
                Some(_) => account.failed += 1,
            }
        }
    }
    world.settled().await;
    account
}

struct Cell<'a> {
    world: &'a World,
    request: Request,
    name: &'a str,
    /// The session that it is about.
    pair: Pair,
    session: String,
    /// Another one of the same person.
    other: String,
}

impl<'a> Cell<'a> {
    async fn of(world: &'a World, id: &str, request: Request, name: &'a str) -> Self {
        let (pair, other) = (logs_in(world, id, EMAIL).await, logs_in(world, id, EMAIL).await);
        let (session, other) = (pair.session(), other.session());
        Self { world, request, name, pair, session, other }
    }

    /// What he was told; nothing where the request makes no such call.
    async fn plays(&self, nth: u64, row: Row) -> Option<Reply> {
        let twin = self.world.provider();
        let sent = self.sent();
        twin.plan(Plan::nth(nth, row.fault, Lasts::Once)).await;
        let told = self.asks().await;
        let struck = twin.struck() > 0;
        twin.mend().await;
        // To be told to wait is to be refused; whatever else happened, it left once.
        let times = self.sent() - sent;
        assert!(times <= 1 || row.number == 8 || !self.refreshes(), "{}: sent {times} times", self.name);
        let well = told.status < 300;
        if !struck {
            assert!(well, "{}: {told:?}", self.name);
            self.is_so(&told).await;
            return None;
        }
        // Whoever says in Keycloak's own words that nobody is there is believed, and is lying here.
        let lies = row.name == "404";
        assert!(well || told.status >= 500 || lies, "{}: {told:?}", self.name);
        if well && !lies {
            self.is_so(&told).await;
        }
        if self.request == R::LogOut || self.request == R::RevokeAccess {
            // Here first, whatever Keycloak was told.
            self.pair.asker(self.world).get("/operations/").await.refuses(401, "token-revoked");
        }
        twin.land_late();
        if self.refreshes() {
            self.comes_again(well).await
        } else {
            self.asks_again().await
        }
        let stands = self.stands(&self.other);
        assert!(stands || self.request == R::EndAll, "{}: another session was ended", self.name);
        Some(told)
    }

    async fn asks(&self) -> Reply {
        let Self { world, pair, .. } = self;
        let revoke = async |token: &str| world.nobody().sends_form("/oauth/revoke", &[("token", token)]).await;
        let end = async |path: &str| world.admin().ask(Method::DELETE, path, None).await;
        let path = format!("/users/{}/sessions", pair.id);
        match self.request {
            R::LogIn => world.nobody().logs_in(EMAIL, PASSWORD).await,
            R::Refresh => pair.refreshes(world).await,
            R::RefreshByForm => {
                let fields = [("grant_type", "refresh_token"), ("refresh_token", pair.refresh.as_str())];
                world.nobody().sends_form("/oauth/token", &fields).await
            }
            R::Userinfo => pair.asker(world).get("/userinfo").await,
            R::List => world.get(&path).await,
            R::LogOut => pair.asker(world).post("/logout", json!({})).await,
            R::Revoke => revoke(&pair.refresh).await,
            R::RevokeAccess => revoke(&pair.access).await,
            R::EndOne => end(&format!("{path}/{}", self.session)).await,
            R::EndAll => end(&path).await,
        }
    }

    /// What a good answer says is so.
    async fn is_so(&self, told: &Reply) {
        let Self { world, pair, name, .. } = self;
        match self.request {
            R::LogIn | R::Refresh => {
                let next = Pair::of(&pair.id, told);
                next.next(world).await.asker(world).get("/operations/").await.is(200);
            }
            R::RefreshByForm => {
                let (access, refresh) = (told.text("access_token"), told.text("refresh_token"));
                Pair { id: pair.id.clone(), access, refresh }.next(world).await;
            }
            R::Userinfo => assert_eq!(told.text("email"), EMAIL, "{name}"),
            R::List => {
                let shown = |row: &Value| row["sid"] == json!(self.session);
                assert!(told.body.as_array().unwrap().iter().any(shown), "{name}: {told:?}");
            }
            R::LogOut | R::Revoke | R::RevokeAccess | R::EndOne | R::EndAll => {
                assert!(!self.stands(&self.session), "{name}: told {}, and it stands", told.status);
            }
        }
    }

    /// He who was not answered brings the same token again, within the time that is meant for that: nothing is used up by it.
    async fn comes_again(&self, well: bool) {
        let again = self.asks().await;
        assert!(again.status < 300 || (!well && again.status >= 500), "{}: again {again:?}", self.name);
        assert!(self.stands(&self.session), "{}: the session was ended", self.name);
    }

    /// Until there is nothing left to ask for.
    async fn asks_again(&self) {
        let Self { world, pair, name, .. } = self;
        let again = self.asks().await;
        match self.request {
            R::LogIn | R::Userinfo | R::List => {
                let again = again.is(200);
                self.is_so(&again).await;
            }
            R::Revoke | R::EndAll => assert!(again.status < 300, "{name}: again {again:?}"),
            R::EndOne if again.status == 404 => drop(again.refuses(404, "session-not-found")),
            R::EndOne => drop(again.is(204)),
            // He is out already, and cannot ask: an administrator has Keycloak told again.
            R::LogOut | R::RevokeAccess => {
                drop(
                    world
                        .admin()
                        .ask(Method::DELETE, &format!("/users/{}/sessions/{}", pair.id, self.session), None)
                        .await,
                );
            }
            R::Refresh | R::RefreshByForm => panic!("is not asked for like that"),
        }
        if matches!(self.request, R::LogOut | R::Revoke | R::RevokeAccess | R::EndOne | R::EndAll) {
            assert!(!self.stands(&self.session), "{name}: it stands");
            pair.refreshes(world).await.refuses(401, "refresh-refused");
        }
    }

    fn refreshes(&self) -> bool {
        matches!(self.request, R::Refresh | R::RefreshByForm)
    }

    /// At Keycloak.
    fn stands(&self, session: &str) -> bool {
        self.world.provider().world().people.values().any(|person| person.sessions.contains(session))
    }

    /// How often its token endpoint was asked.
    fn sent(&self) -> usize {
        self.world.provider().log().iter().filter(|line| line.ends_with("/openid-connect/token")).count()
    }
}
