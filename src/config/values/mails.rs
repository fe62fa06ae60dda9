//! The values of the settings of mails.

use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::{Host, Url};

use super::{
    super::{Rate, Smtp, SmtpTls},
    Value, some_time, whole_number, wrong,
};

/// An address, with or without a name in front.
pub fn mailbox(text: &str) -> Value<Mailbox> {
    let right = "such as admin@example.org or Users <admin@example.org>";
    text.parse().or_else(|_| wrong("this is not the sender of a mail", right))
}

/// `5/1h`
pub fn rate(text: &str) -> Value<Rate> {
    let parts = text.split_once('/').and_then(|(most, within)| Some((whole_number(most)?, some_time(within).ok()?)));
    match parts {
        Some((most, within)) if most > 0 && u32::try_from(most).is_ok() => {
            Ok(Rate { most: u32::try_from(most).unwrap_or(u32::MAX), within })
        }
        Some(_) | None => wrong(format!("{text:?} is not so many within a time"), "such as 5/1h"),
    }
}

/// As directories of templates are named.
pub fn locale(text: &str) -> Value<String> {
    let parts = |text: &str| text.split('-').all(|part| (1..=8).contains(&part.len()) && ascii(part));
    match parts(text) {
        true => Ok(text.to_owned()),
        false => wrong(format!("{text:?} is not a language"), "such as en or de-AT"),
    }
}

fn ascii(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A server that takes mails. What was given is not repeated: there may be a password in it.
pub fn smtp(text: &str) -> Value<Smtp> {
    let right = "smtp://host:port or smtps://user:password@host:port";
    let Ok(url) = Url::parse(text) else { return wrong("this is no URL", right) };
    let (true, Some(host)) = (matches!(url.scheme(), "smtp" | "smtps"), url.host()) else {
        return wrong("this is no server that takes mails", right);
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return wrong("a path, a query or a fragment is no part of it", right);
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).ok();
    let login = match (decoded(url.username()), decoded(url.password().unwrap_or_default())) {
        (Some(user), Some(password)) if !user.is_empty() => Some((user, SecretString::from(password))),
        (Some(_), Some(password)) if password.is_empty() => None,
        _ => return wrong("its user or password cannot be read", right),
    };
    let host = match host {
        // Of a scheme that is not the web's it stands as it was written.
        Host::Domain(name) => name.to_ascii_lowercase(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    let (tls, port) = match (url.scheme(), &login) {
        ("smtps", _) => (SmtpTls::Implicit, 465),
        (_, Some(_)) => (SmtpTls::Required, 587),
        (_, None) => (SmtpTls::Offered, 25),
    };
    Ok(Smtp { host, port: url.port().unwrap_or(port), tls, login })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn servers_that_take_mails() {
        let check = |text: &str, host: &str, port: u16, tls: SmtpTls, user: Option<&str>| {
            let smtp = smtp(text).unwrap();
            assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), (host, port, tls), "{text}");
            assert_eq!(smtp.login.map(|(user, _)| user).as_deref(), user, "{text}");
        };
        check("smtp://relay", "relay", 25, SmtpTls::Offered, None);
        check("smtp://[::1]:2525/", "::1", 2525, SmtpTls::Offered, None);
        check("smtp://u%40x:p@mail.example.org", "mail.example.org", 587, SmtpTls::Required, Some("u@x"));
        check("smtps://u:p@Mail.example.org", "mail.example.org", 465, SmtpTls::Implicit, Some("u"));
        for bad in ["relay", "http://relay", "smtp://", "smtp://relay?tls=none", "smtp://relay/x", "smtp://:p@relay"] {
            assert!(smtp(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn so_many_within_a_time() {
        assert_eq!(rate("5/1h").unwrap(), Rate { most: 5, within: Duration::from_hours(1) });
        for bad in ["5", "0/1h", "5/0s", "/1h", "5/", "-1/1h", "5/1h/2", "4294967296/1h"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn languages() {
        for good in ["en", "de-AT", "zh-Hant-TW"] {
            assert!(locale(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "e/n", "de_AT", "-", "deutschdeutsch"] {
            assert!(locale(bad).is_err(), "{bad}");
        }
    }
}
