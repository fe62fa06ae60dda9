//! The mails of a world whose mails are files, as somebody who gets them reads them.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::World;

/// A mail, without the encoding that it came in.
#[derive(Debug, Clone)]
pub struct Mail {
    pub file: PathBuf,
    /// By name in small letters.
    pub headers: BTreeMap<String, String>,
    pub text: String,
}

impl Mail {
    /// Where its link leads, without the host.
    #[track_caller]
    pub fn link(&self) -> String {
        let line = self.text.lines().find(|line| line.starts_with("http"));
        let line = line.unwrap_or_else(|| panic!("no link: {}", self.text));
        let (_, rest) = line.split_once("://").unwrap();
        rest[rest.find('/').unwrap()..].to_owned()
    }

    /// The code in its link.
    #[track_caller]
    pub fn code(&self) -> String {
        self.link().split_once("code=").unwrap().1.to_owned()
    }

    fn read(file: PathBuf) -> Self {
        let whole = fs::read_to_string(&file).unwrap();
        let (head, text) = whole.split_once("\r\n\r\n").unwrap();
        let headers = head.replace("\r\n ", " ");
        let headers = headers.lines().map(|line| line.split_once(": ").unwrap());
        let headers: BTreeMap<String, String> =
            headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let text = match headers["content-transfer-encoding"].as_str() {
            "7bit" => text.to_owned(),
            "quoted-printable" => decoded(text),
            other => panic!("{other}: {whole}"),
        };
        Self { file, headers, text }
    }
}

/// Quoted-printable (RFC 2045 6.7).
fn decoded(text: &str) -> String {
    let mut parts = text.split('=');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        let rest = part.strip_prefix("\r\n").unwrap_or_else(|| {
            bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
            &part[2..]
        });
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

impl World {
    /// Those which lie there, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        let Ok(files) = fs::read_dir(self.mail_dir()) else { return Vec::new() };
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "eml"));
        files.sort();
        files.into_iter().map(Mail::read).collect()
    }

    pub fn mail_dir(&self) -> PathBuf {
        self.directory.path().join("mail")
    }

    /// The last one, once there are so many.
    pub async fn mailed(&self, count: usize) -> Mail {
        self.until(&format!("there are {count} mails"), async || self.mails().len() >= count).await;
        let mails = self.mails();
        assert_eq!(mails.len(), count, "{mails:#?}");
        mails.into_iter().next_back().unwrap()
    }
}
