//! One mail as it leaves (RFC 5322): to whom, from whom, what it says.

use std::time::{Duration, SystemTime};

use lettre::{
    Address, Message,
    message::{
        Body, Mailbox,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};

use super::{Post, templates};
use crate::{
    error::{self, Error},
    state::mails::Mail,
};

impl Post {
    /// Nothing where the address is none that a mail can be sent to.
    pub fn letter(
        &self,
        mail: &Mail,
        name: &str,
        email: &str,
        code: &str,
        now_ms: i64,
    ) -> Result<Option<Message>, Error> {
        let Ok(to) = email.parse::<Address>() else { return Ok(None) };
        let link = format!("{}/reset-password?code={code}", self.pages_url);
        let minutes = self.settings.reset_ttl.as_secs().div_ceil(60);
        // What somebody is called must not look like lines of ours.
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        let letter = templates::Letter { name: &name, link: &link, minutes };
        let (subject, text) = self.templates.letter(mail.locale.as_deref(), mail.kind, letter)?;

        let message = Message::builder()
            .from(self.settings.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .date(SystemTime::UNIX_EPOCH + Duration::from_millis(now_ms.unsigned_abs()))
            .message_id(Some(format!("<{}@{}>", mail.id, self.settings.from.email.domain())))
            // RFC 3834: nobody's absence is told to it.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(body(&text));
        message.map(Some).map_err(error::internal)
    }
}

/// Encoded only where it must be (RFC 2045 2.7): who opens a file without a mail reader can copy the link as it stands there.
fn body(text: &str) -> Body {
    let lines = || text.lines();
    let plain = text.is_ascii() && lines().all(|line| line.len() <= 998 && !line.contains(['\r', '\0']));
    if !plain {
        return Body::new(text.to_owned());
    }
    let lines: String = lines().map(|line| format!("{line}\r\n")).collect();
    Body::dangerous_pre_encoded(lines.into_bytes(), ContentTransferEncoding::SevenBit)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{
        config::Config,
        mail::{Way, templates::Templates},
        state::mails::Kind,
        users::reset::Codes,
    };

    fn written(name: &str, email: &str) -> Option<String> {
        let settings = Config::resolve([]).unwrap().config.mail.own.clone().unwrap();
        let post = Post {
            templates: Templates::load(None, "en").unwrap(),
            codes: Codes::new(&[7; 32], settings.reset_ttl),
            settings,
            pages_url: "https://users.example.org".to_owned(),
            way: Way::Files(PathBuf::new()),
        };
        let mail = Mail { id: "1".to_owned(), identity: "ada".to_owned(), kind: Kind::Reset, locale: None };
        let letter = post.letter(&mail, name, email, "code", 1_795_239_840_123).unwrap()?;
        Some(String::from_utf8(letter.formatted()).unwrap())
    }

    #[test]
    fn nobody_writes_lines_of_a_mail_by_what_he_is_called() {
        let told = written("ada\r\nBcc: eve@example.org\r\n\r\nhttps://evil.example.net", "ada@example.org").unwrap();
        let (head, text) = told.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("evil") && !head.contains("eve"), "{head}");
        assert!(!text.lines().any(|line| line.starts_with("Bcc") || line.starts_with("https://evil")), "{text}");
        assert!(head.contains("Date: Sat, 21 Nov 2026 "), "{head}");
    }

    #[test]
    fn what_is_no_address_is_written_to_by_nobody() {
        for email in [
            "ada@example.org\r\nBcc: eve@example.org",
            "ada@example.org\n",
            "ada@example.org, eve@example.org",
            "Ada <ada@example.org>",
            "ada",
            "",
        ] {
            assert_eq!(written("ada", email), None, "{email:?}");
        }
        assert!(written("ada", "ada+x@example.org").is_some_and(|told| told.contains("To: ada+x@example.org\r\n")));
    }
}
