//! What counts as a failure, and who waits for whom.

use futures_util::future::join_all;

use super::*;
use crate::{error::Code, state::sqlite::Sqlite};

struct World {
    _directory: tempfile::TempDir,
    throttle: Throttle,
}

impl World {
    fn start(free: u32, free_of_address: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = Sqlite::open(&directory.path().join("state.db"), Clock::system()).unwrap();
        let max_wait = Duration::from_mins(15);
        let settings = Login { free_failures: free, free_failures_address: free_of_address, max_wait };
        Self { _directory: directory, throttle: Throttle::new(state, Clock::system(), b"key", &settings) }
    }

    async fn admit(&self, name: &str, address: &str) -> Result<Attempt, Code> {
        let admitted = self.throttle.admit(Whose::Name(name), Some(address.parse().unwrap())).await;
        admitted.map_err(|error| error.code())
    }

    /// Whether it came to that.
    async fn fails(&self, name: &str, address: &str) -> bool {
        match self.admit(name, address).await {
            Ok(attempt) => attempt.failed().await.is_ok(),
            Err(code) => {
                assert_eq!(code, Code::Throttled);
                false
            }
        }
    }
}

#[tokio::test]
async fn so_many_at_once_are_no_more_tries_than_one_after_the_other() {
    let world = World::start(5, 50);
    let failed = join_all((0..64).map(|_| world.fails("ada", "10.0.0.1"))).await;
    assert_eq!(failed.iter().filter(|failed| **failed).count(), 5);
}

#[tokio::test]
async fn right_ones_at_once_are_all_let_in() {
    let world = World::start(5, 8);
    let enter = async || {
        let attempt = world.admit("ada", "10.0.0.1").await.unwrap();
        tokio::task::yield_now().await;
        attempt.passed().await.unwrap();
    };
    join_all((0..64).map(|_| enter())).await;
    assert!(world.throttle.turns.is_empty());
}

#[tokio::test]
async fn whoever_lets_go_of_his_try_has_failed() {
    let world = World::start(2, 50);
    for _ in 0..2 {
        drop(world.admit("ada", "10.0.0.1").await.unwrap());
    }
    // Waits until both are counted.
    assert_eq!(world.admit("ada", "10.0.0.1").await.err(), Some(Code::Throttled));
}

#[tokio::test]
async fn nobody_pays_for_what_others_could_not_do() {
    let world = World::start(1, 1);
    for _ in 0..5 {
        world.admit("ada", "10.0.0.1").await.unwrap().undecided();
    }
    assert!(world.fails("ada", "10.0.0.1").await);
}

#[tokio::test]
async fn names_count_folded_and_with_the_address_and_addresses_of_a_network_together() {
    let world = World::start(1, 3);
    assert!(world.fails("Ada", "10.0.0.1").await && !world.fails("ADA", "10.0.0.1").await);
    assert!(world.fails("ada", "10.0.0.2").await && world.fails("eve", "10.0.0.1").await);
    let throttle = &world.throttle;
    let own = throttle.admit(Whose::Identity("ada"), Some("10.0.0.1".parse().unwrap())).await;
    own.unwrap().failed().await.unwrap();
    assert!(!world.fails("bob", "10.0.0.1").await, "three have failed at this address");

    assert!(world.fails("ada", "2001:db8:0:1::1").await && !world.fails("ada", "2001:db8:0:1:ffff::2").await);
    assert!(world.fails("ada", "2001:db8:0:2::1").await);
}

#[tokio::test]
async fn a_right_password_clears_the_name_and_not_the_address() {
    let world = World::start(3, 4);
    for _ in 0..2 {
        assert!(world.fails("ada", "10.0.0.1").await && world.fails("ada", "10.0.0.1").await);
        match world.admit("ada", "10.0.0.1").await {
            Ok(attempt) => attempt.passed().await.unwrap(),
            Err(code) => assert_eq!(code, Code::Throttled),
        }
    }
    assert_eq!(world.admit("ada", "10.0.0.1").await.err(), Some(Code::Throttled), "four have failed at this address");
    assert!(world.fails("ada", "10.0.0.2").await);
}

#[tokio::test]
async fn what_is_forgotten_goes() {
    let world = World::start(5, 50);
    let store = &world.throttle.store;
    let code = world.throttle.code(&[b"address", &network(Some("10.0.0.1".parse().unwrap()))]);
    assert!(world.fails("ada", "10.0.0.1").await);
    let tally = store.of(&code).await.unwrap().unwrap();
    assert_eq!(tally.clear_ms - tally.failed_ms, 90_000, "fifty are forgotten while five of a name are");
    assert!(!world.throttle.forget(tally.clear_ms - 1, 10).await.unwrap());
    assert_eq!(store.of(&code).await.unwrap(), Some(tally));
    assert!(world.throttle.forget(tally.clear_ms, 1).await.unwrap());
    assert_eq!(store.of(&code).await.unwrap(), None);
}
