//! Where a request ends and which HTTP it speaks: HTTP/1.0, a missing host, broken chunks, bodies without end.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::door::{Door, Line};
use crate::command_line::program::{Program, State};

#[tokio::test]
async fn http_1_0_is_answered_in_its_own_way() {
    let door = Door::open().await;
    for target in ["/-/healthz", "/documentation/json", "/nothing"] {
        let mut line = door.connect().await;
        line.write(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes()).await;
        let mut whole = String::new();
        line.0.read_to_string(&mut whole).await.unwrap();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("http/1.0 "), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(!head.contains("transfer-encoding") && !head.contains("keep-alive"), "{head}");
    }
}

#[tokio::test]
async fn an_http_1_0_connection_is_kept_where_that_is_asked_for() {
    let door = Door::open().await;
    let mut line = door.connect().await;
    for _ in 0..2 {
        line.write(b"GET /-/healthz HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await;
        let answer = line.read_answer("GET").await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("keep-alive")));
    }
    line.write(b"GET /-/healthz HTTP/1.0\r\n\r\n").await;
    let last = line.read_answer("GET").await.unwrap();
    assert_eq!(last.status, 200);
    assert_ne!(last.header("connection"), Some("keep-alive"));
    assert!(line.ended().await);
}

#[tokio::test]
async fn http_1_1_without_a_host_is_refused_and_nothing_is_carried_out() {
    let door = Door::open().await;
    let before = door.snapshot();
    for target in ["/users/", "http://um/users/"] {
        let mut line = door.connect().await;
        line.write(creation(&door, target, "", &plain(&ada())).as_bytes()).await;
        let answer = line.read_answer("POST").await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (400, "ambiguous-header"), "{answer:?}");
    }
    assert_eq!(door.snapshot(), before);
}

#[tokio::test]
async fn a_body_whose_chunks_are_broken_is_not_carried_out_although_all_of_it_is_there() {
    let door = Door::open().await;
    let before = door.snapshot();
    let whole = format!("{:x}\r\n{}\r\n", ada().len(), ada());
    let endless = format!("0;{}", "x".repeat(100_000));
    for end in [
        "z\r\n",
        "-1\r\n",
        "\r\n",
        "ffffffffffffffffff\r\n",
        "10000000000000000\r\n",
        "0x0\r\n\r\n",
        "1\r\n \r",
        "1\r\n   \r\n0\r\n\r\n",
        "0\r\nx: y",
        "0\r\n",
        "1\r\n",
        "",
        endless.as_str(),
    ] {
        let mut line = door.connect().await;
        let body = format!("transfer-encoding: chunked\r\n\r\n{whole}{end}");
        line.write(creation(&door, "/users/", "host: um\r\n", &body).as_bytes()).await;
        // What is not there yet does not come.
        line.0.shutdown().await.ok();
        if let Some(answer) = line.read_answer("POST").await {
            assert_eq!(answer.status, 400, "{end:.20}: {answer:?}");
        }
        assert!(line.ended().await, "{end:.20}");
        assert_eq!(door.snapshot(), before, "{end:.20}");
    }

    let mut line = door.connect().await;
    let body = format!("transfer-encoding: chunked\r\n\r\n{whole}0;a=b\r\n\r\n");
    line.write(creation(&door, "/users/", "host: um\r\n", &body).as_bytes()).await;
    assert_eq!(line.read_answer("POST").await.unwrap().status, 200, "with its end it is a creation");
    assert_ne!(door.snapshot(), before);
}

/// `Content-Length` and chunks, sent until nobody takes them any more.
#[tokio::test]
async fn a_body_of_a_gigabyte_is_refused_and_takes_no_memory() {
    let state = State::new();
    let server = Program::start(&state, &[]);
    let head = "POST /oauth/token HTTP/1.1\r\nhost: um\r\ncontent-type: application/json\r\n";
    let part = "x".repeat(65_536);
    let chunk = format!("10000\r\n{part}\r\n");
    let bodies = [
        (format!("content-length: {}\r\n\r\n", 1 << 30), part),
        ("transfer-encoding: chunked\r\n\r\n".to_owned(), chunk),
    ];
    let before = most_memory(&server);
    for (framing, part) in bodies {
        let stream = std::net::TcpStream::connect(server.address()).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut speaks = TcpStream::from_std(stream.try_clone().unwrap()).unwrap();
        let mut hears = Line(TcpStream::from_std(stream).unwrap());
        let sent = async {
            speaks.write_all(format!("{head}{framing}").as_bytes()).await.unwrap();
            let mut sent = 0;
            while sent < 1 << 30 && speaks.write_all(part.as_bytes()).await.is_ok() {
                sent += part.len();
            }
            sent
        };
        let (sent, answer) = tokio::join!(sent, hears.read_answer("POST"));
        assert_eq!(answer.map(|answer| (answer.status, answer.code())), Some((413, "too-large".to_owned())));
        assert!(sent < 1 << 30, "all of it was taken");
        assert!(hears.ended().await);
    }
    let grown = most_memory(&server) - before;
    assert!(grown < 8 * 1024, "{grown} KiB");
    server.stop();
}

/// Most that it ever held, in KiB.
fn most_memory(server: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn ada() -> String {
    json!({ "userGroup": "users", "email": "ada@example.org", "password": super::door::PASSWORD }).to_string()
}

fn plain(body: &str) -> String {
    format!("content-length: {}\r\n\r\n{body}", body.len())
}

fn creation(door: &Door, target: &str, host: &str, body: &str) -> String {
    let token = &door.admin.token;
    let head = format!("POST {target} HTTP/1.1\r\n{host}authorization: Bearer {token}\r\n");
    format!("{head}content-type: application/json\r\n{body}")
}
