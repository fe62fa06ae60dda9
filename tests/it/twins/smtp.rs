//! A server that takes mails (RFC 5321), as far as our client needs one: keeps each with its envelope, or refuses it for now.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// `MAIL` and `RCPT`, and the text.
pub type Taken = (Vec<String>, String);

#[derive(Default)]
struct Inside {
    taken: Vec<Taken>,
    to_refuse: u32,
    refused: u32,
}

pub struct MailServer {
    pub url: String,
    inside: Arc<Mutex<Inside>>,
    _tasks: JoinSet<()>,
}

impl MailServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let inside = Arc::new(Mutex::new(Inside::default()));
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&inside);
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                converse(stream, &shared).await;
            }
        });
        Self { url, inside, _tasks: tasks }
    }

    /// So many of the next ones.
    pub fn refuses(&self, mails: u32) {
        self.inside.lock().unwrap().to_refuse = mails;
    }

    pub fn refused(&self) -> u32 {
        self.inside.lock().unwrap().refused
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.inside.lock().unwrap().taken.clone()
    }
}

async fn converse(stream: TcpStream, inside: &Mutex<Inside>) {
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading).lines();
    let mut envelope = Vec::new();
    writing.write_all(b"220 twin\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        let command = line.split(' ').next().unwrap().to_uppercase();
        let answer = match command.as_str() {
            "EHLO" => "250 twin",
            "MAIL" | "RCPT" => {
                envelope.push(line);
                let mut inside = inside.lock().unwrap();
                if command == "RCPT" && inside.to_refuse > 0 {
                    inside.to_refuse -= 1;
                    inside.refused += 1;
                    "451 not now"
                } else {
                    "250 fine"
                }
            }
            "DATA" => {
                writing.write_all(b"354 go on\r\n").await.unwrap();
                let mut text = String::new();
                while let Some(line) = lines.next_line().await.unwrap().filter(|line| line != ".") {
                    text += &format!("{line}\r\n");
                }
                inside.lock().unwrap().taken.push((std::mem::take(&mut envelope), text));
                "250 taken"
            }
            "RSET" => "250 forgotten",
            "QUIT" => "221 bye",
            _ => "500 what?",
        };
        if writing.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
