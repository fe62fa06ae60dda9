//! More connections than there are places for, and callers who hold theirs for nothing.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use super::door::{Door, Line, PASSWORD, request};
use crate::command_line::program::{Program, State};

/// What nobody who is served waits for, and everybody who waits for a time-out does.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn ten_thousand_idle_connections_keep_nobody_out() {
    let door = Door::with(&[("MAX_CONNECTIONS", "64")]).await;
    a_crowd_keeps_nobody_out(&door, 400).await;
}

/// Only where this process may hold so many.
#[tokio::test]
async fn ten_thousand_idle_connections_at_once_keep_nobody_out() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if maximum.is_some_and(|maximum| maximum < 16_000) {
        return;
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    a_crowd_keeps_nobody_out(&Door::open().await, 10_000).await;
}

async fn a_crowd_keeps_nobody_out(door: &Door, held: usize) {
    let get = request("GET", "/-/healthz", &[], b"");
    let (begun, rest) = log_in_in_two_parts();
    let mut working = door.connect().await;
    working.write(&begun).await;

    let mut crowd = VecDeque::new();
    for nth in 0..10_000 {
        let mut line = door.connect().await;
        match nth % 3 {
            0 => {}
            1 => line.write(b"GET /-/healthz HTTP/1.1\r\nhost:").await,
            _ => line.write(&get).await,
        }
        crowd.push_back(line);
        if crowd.len() > held {
            crowd.pop_front();
        }
        if nth % 500 == 499 {
            let began = Instant::now();
            assert_eq!(door.ask("GET", "/-/healthz", &[], b"").await.status, 200);
            assert!(began.elapsed() < AT_ONCE, "after {nth}: {:?}", began.elapsed());
        }
    }

    working.write(&rest).await;
    assert_eq!(working.read_answer("POST").await.unwrap().status, 200);
}

#[tokio::test]
async fn whoever_never_asked_anything_goes_before_whoever_did_and_whoever_is_served_stays() {
    let door = Door::with(&[("MAX_CONNECTIONS", "3"), ("HEADER_TIMEOUT", "1h")]).await;
    let get = request("GET", "/-/healthz", &[], b"");
    let (begun, rest) = log_in_in_two_parts();
    let mut working = door.connect().await;
    working.write(&begun).await;
    let mut regular = door.connect().await;
    regular.write(&get).await;
    assert_eq!(regular.read_answer("GET").await.unwrap().status, 200);
    let mut silent = door.connect().await;
    silent.write(b"GET /-/healthz HTTP/1.1\r\n").await;
    for _ in 0..3 {
        // Meanwhile the server sees whoever is silent.
        regular.write(&get).await;
        assert_eq!(regular.read_answer("GET").await.unwrap().status, 200);
    }

    let mut further = door.connect().await;
    assert!(silent.ended().await);
    further.write(&get).await;
    assert_eq!(further.read_answer("GET").await.unwrap().status, 200);
    regular.write(&get).await;
    assert_eq!(regular.read_answer("GET").await.unwrap().status, 200, "it kept its place");

    let _one_more = door.connect().await;
    assert!(further.ended().await, "it has rested longest");
    regular.write(&get).await;
    assert_eq!(regular.read_answer("GET").await.unwrap().status, 200);
    working.write(&rest).await;
    assert_eq!(working.read_answer("POST").await.unwrap().status, 200);
}

#[tokio::test]
async fn where_all_are_served_a_further_one_waits_and_gets_the_place_of_the_first_that_is_done() {
    let door = Door::with(&[("MAX_CONNECTIONS", "1"), ("HEADER_TIMEOUT", "1h"), ("BODY_TIMEOUT", "300ms")]).await;
    let began = Instant::now();
    let (begun, _) = log_in_in_two_parts();
    let mut first = door.connect().await;
    first.write(&begun).await;
    let mut second = door.connect().await;
    second.write(&request("GET", "/-/healthz", &[], b"")).await;
    assert_eq!(second.read_answer("GET").await.unwrap().status, 200);
    assert!(began.elapsed() >= Duration::from_millis(300), "the first was served until its time was up");
    assert_eq!(first.read_answer("POST").await.unwrap().status, 408);
}

/// Else the one place of this server would be taken for ever.
#[tokio::test]
async fn whoever_does_not_read_his_answers_is_given_up() {
    let door = Door::with(&[("MAX_CONNECTIONS", "1"), ("BODY_TIMEOUT", "300ms")]).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut deaf = socket.connect(door.address).await.unwrap();
    let get = request("GET", "/documentation/json", &[], b"");
    let asks_on = async { while deaf.write_all(&get).await.is_ok() {} };
    tokio::time::timeout(AT_ONCE, asks_on).await.expect("he was never given up");
    assert_eq!(door.ask("GET", "/-/healthz", &[], b"").await.status, 200);
}

#[tokio::test]
async fn connections_that_are_closed_for_others_are_not_worth_a_line() {
    let state = State::new();
    let server = Program::start(&state, &[("MAX_CONNECTIONS", "4"), ("HEADER_TIMEOUT", "1h")]);
    let mut lines = JoinSet::new();
    for _ in 0..100 {
        let mut line = Line(TcpStream::connect(server.address()).await.unwrap());
        line.write(b"GET /-/healthz HTTP/1.1\r\nhost: x\r\n").await;
        lines.spawn(async move { line.ended().await });
    }
    for _ in 0..96 {
        assert!(lines.join_next().await.unwrap().unwrap());
    }
    let told = server.stop().err;
    let after = told.iter().skip_while(|line| !line.contains(r#""message":"listening""#)).skip(1);
    let after: Vec<_> = after.map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].clone()).collect();
    assert_eq!(after, ["stopping", "stopped"]);
}

/// Enough to be begun, and the rest of it.
fn log_in_in_two_parts() -> (Vec<u8>, Vec<u8>) {
    let body = json!({ "username": "root@example.org", "password": PASSWORD }).to_string();
    let mut begun = request("POST", "/oauth/token", &[("content-type", "application/json")], body.as_bytes());
    let rest = begun.split_off(begun.len() - 5);
    (begun, rest)
}
