//! The accept loop: limits, slow callers, draining.

use serde_json::json;

use super::door::{Answer, Door, request};

/// What ends with the connection.
fn assert_closing(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
    assert_eq!(answer.header("x-user-manager-version"), Some(env!("CARGO_PKG_VERSION")));
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn a_head_that_is_too_large_is_told_apart_from_a_target_that_is() {
    let door = Door::with(&[("HEADER_LIMIT", "8KiB")]).await;
    let large = "x".repeat(9000);
    let head = door.ask("GET", "/-/healthz", &[("x-large", &large)], b"").await;
    assert_closing(&head, 431, "head-too-large");
    let target = door.ask("GET", &format!("/-/healthz?{large}"), &[], b"").await;
    assert_closing(&target, 414, "head-too-large");
    let many: Vec<(String, &str)> = (0..150).map(|n| (format!("x-{n}"), "")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_closing(&door.ask("GET", "/-/healthz", &many, b"").await, 431, "head-too-large");
    let fits = "x".repeat(7000);
    assert_eq!(door.ask("GET", "/-/healthz", &[("x-large", &fits)], b"").await.status, 200);
}

#[tokio::test]
async fn a_huge_head_reads_its_answer_although_it_never_ends() {
    let door = Door::open().await;
    let mut line = door.connect().await;
    line.write(format!("GET /-/healthz HTTP/1.1\r\nx: {}", "x".repeat(300_000)).as_bytes()).await;
    assert_closing(&line.read_answer("GET").await.unwrap(), 431, "head-too-large");
}

#[tokio::test]
async fn what_is_no_request_is_answered_and_the_connection_closed() {
    let door = Door::open().await;
    for bytes in [
        "rubbish\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : x\r\n\r\n",
        "GET / HTTP/1.1\r\na\0b: x\r\n\r\n",
        "GET / HTTP/1.1\r\na: x\0y\r\n\r\n",
        "POST /users HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST /users HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        "POST /users HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
    ] {
        let mut line = door.connect().await;
        line.write(bytes.as_bytes()).await;
        let answer = line.read_answer("GET").await.unwrap_or_else(|| panic!("no answer to {bytes:?}"));
        assert_eq!((answer.status, answer.code().as_str()), (400, "ambiguous-header"), "{bytes:?}");
        assert!(line.ended().await, "{bytes:?}");
    }
}

/// RFC 9112 6.3: whoever stands in front may have read the other length, so nothing after it is believed.
#[tokio::test]
async fn after_a_request_with_two_lengths_nothing_more_is_read() {
    let door = Door::open().await;
    let mut line = door.connect().await;
    let head = "POST /oauth/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let smuggled = "GET /-/healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let body = format!("2\r\n{{}}\r\n0\r\n\r\n{smuggled}");
    let lengths = format!("content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n", body.len());
    line.write(format!("{head}{lengths}{body}").as_bytes()).await;
    assert_closing(&line.read_answer("POST").await.unwrap(), 400, "validation-failed");
    assert!(line.ended().await);
}

#[tokio::test]
async fn a_slow_head_and_a_slow_body_are_given_up_and_an_idle_connection_is_closed_silently() {
    let door = Door::with(&[("HEADER_TIMEOUT", "200ms"), ("BODY_TIMEOUT", "200ms")]).await;
    let mut head = door.connect().await;
    head.write(b"GET /-/healthz HTTP/1.1\r\nhost:").await;
    assert_closing(&head.read_answer("GET").await.unwrap(), 408, "too-slow");

    let mut body = door.connect().await;
    body.write(
        b"POST /oauth/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
    )
    .await;
    assert_closing(&body.read_answer("POST").await.unwrap(), 408, "too-slow");
    assert!(body.ended().await);

    let mut idle = door.connect().await;
    assert!(idle.read_answer("GET").await.is_none());
}

#[tokio::test]
async fn a_body_over_its_limit_is_refused_before_it_is_read() {
    let door = Door::with(&[("BODY_LIMIT", "1KiB")]).await;
    let mut announced = door.connect().await;
    let head = "POST /oauth/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    announced.write(format!("{head}expect: 100-continue\r\ncontent-length: 1025\r\n\r\n").as_bytes()).await;
    assert_closing(&announced.read_answer("POST").await.unwrap(), 413, "too-large");

    let mut chunked = door.connect().await;
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    chunked.write(format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n").as_bytes()).await;
    assert_closing(&chunked.read_answer("POST").await.unwrap(), 413, "too-large");

    let fits = format!("{{{:1022}}}", "");
    assert_eq!(
        door.ask("POST", "/oauth/token", &[("content-type", "application/json")], fits.as_bytes()).await.status,
        400
    );
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let door = Door::open().await;
    let mut line = door.connect().await;
    let get = request("GET", "/-/healthz", &[], b"");
    line.write(&[get.as_slice(), &get, b"HEAD /nothing HTTP/1.1\r\nhost: x\r\n\r\n", b"rubbish\r\n\r\n"].concat())
        .await;
    assert_eq!(line.read_answer("GET").await.unwrap().status, 200);
    assert_eq!(line.read_answer("GET").await.unwrap().status, 200);
    assert_eq!(line.read_answer("HEAD").await.unwrap().status, 404);
    assert_closing(&line.read_answer("GET").await.unwrap(), 400, "ambiguous-header");
    assert!(line.ended().await);
}

#[tokio::test]
async fn a_request_that_has_begun_is_finished_before_the_end() {
    let mut door = Door::open().await;
    let mut running = door.connect().await;
    let body = json!({ "username": "root@example.org", "password": super::door::PASSWORD }).to_string();
    let bytes = request("POST", "/oauth/token", &[("content-type", "application/json")], body.as_bytes());
    let (begun, rest) = bytes.split_at(bytes.len() - 5);
    running.write(begun).await;
    let mut idle = door.connect().await;
    idle.write(&request("GET", "/-/ready", &[], b"")).await;
    assert_eq!(idle.read_answer("GET").await.unwrap().status, 200);

    door.begin_to_stop();
    assert!(idle.ended().await, "an idle connection is closed");
    running.write(rest).await;
    let answer = running.read_answer("POST").await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{answer:?}");
    drop((running, idle));
    door.stop().await;
    assert!(tokio::net::TcpStream::connect(door.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn while_draining_only_the_probes_answer() {
    let door = Door::open().await;
    door.app.drain();
    let refused = door.send("GET", "/operations/", Some(&door.admin.token), None).await;
    assert_closing(&refused, 503, "draining");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let ready = door.send("GET", "/-/ready", None, None).await;
    assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("KO")));
    assert_eq!(door.send("GET", "/-/healthz", None, None).await.status, 200);
}

#[tokio::test]
async fn where_a_number_is_given_no_more_requests_are_at_work_and_the_probes_answer_all_the_same() {
    let door = Door::with(&[("MAX_IN_FLIGHT", "1")]).await;
    let mut inside = door.connect().await;
    let body = json!({ "username": "root@example.org", "password": super::door::PASSWORD }).to_string();
    let bytes = request("POST", "/oauth/token", &[("content-type", "application/json")], body.as_bytes());
    let (begun, rest) = bytes.split_at(bytes.len() - 5);
    inside.write(begun).await;
    while door.app.standing().await.requests_in_flight != Some(1) {
        tokio::task::yield_now().await;
    }

    let before = door.snapshot();
    for (method, target) in [("GET", "/users/"), ("POST", "/users/"), ("GET", "/documentation/json")] {
        let token = Some(door.admin.token.as_str());
        let answer = door.send(method, target, token, Some(&json!({ "userGroup": "users" }))).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"), "{target}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(door.snapshot(), before, "nothing was begun");
    for probe in ["/-/healthz", "/-/ready", "/-/check-up"] {
        assert_eq!(door.send("GET", probe, None, None).await.status, 200, "{probe}");
    }

    inside.write(rest).await;
    assert_eq!(inside.read_answer("POST").await.unwrap().status, 200);
    let list = door.send("GET", "/users/", Some(&door.admin.token), None).await;
    assert_eq!(list.status, 200, "whoever was inside has left");
}
