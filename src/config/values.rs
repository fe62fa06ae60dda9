//! How the text of a variable becomes a value. Pure, and each says what would be right when it is not.

mod mails;

pub use mails::{locale, mailbox, rate, smtp};

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use jsonwebtoken::Algorithm;
use tracing_subscriber::filter::LevelFilter;
use url::Url;

use super::{
    Compat, Ephemeral, Expiry, ForeignIssuer, KeycloakCreate, LogFormat, PublicUnblocks, SelfProtect, UniqueScope,
    gateway::{Anonymous, GatewayPermissions, Routes, UserIs},
};

/// What is wrong with a text, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub what: String,
    pub right: String,
}

pub type Value<T> = Result<T, Wrong>;

pub fn wrong<T>(what: impl Into<String>, right: impl Into<String>) -> Value<T> {
    Err(Wrong { what: what.into(), right: right.into() })
}

/// One of these words.
fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Value<T> {
    let list = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(*value),
        None => wrong(format!("{text:?} is not understood"), format!("one of {list}")),
    }
}

pub fn text(text: &str) -> Value<String> {
    Ok(text.to_owned())
}

pub fn boolean(text: &str) -> Value<bool> {
    word(text, &[("true", true), ("false", false)])
}

pub fn compat(text: &str) -> Value<Compat> {
    word(text, &[("strict", Compat::Strict), ("original", Compat::Original)])
}

pub fn upstream_status(text: &str) -> Value<bool> {
    word(text, &[("500", false), ("precise", true)])
}

pub fn expiry(text: &str) -> Value<Expiry> {
    word(text, &[("on", Expiry::On), ("timer-service", Expiry::TimerService)])
}

pub fn self_protect(text: &str) -> Value<SelfProtect> {
    word(
        text,
        &[("on", SelfProtect::On), ("unless-backoffice", SelfProtect::UnlessBackoffice), ("off", SelfProtect::Off)],
    )
}

pub fn unique_scope(text: &str) -> Value<UniqueScope> {
    word(text, &[("all", UniqueScope::All), ("identities", UniqueScope::Identities)])
}

pub fn ephemeral(text: &str) -> Value<Ephemeral> {
    word(text, &[("accept", Ephemeral::Accept), ("warn", Ephemeral::Warn), ("refuse", Ephemeral::Refuse)])
}

pub fn public_unblocks(text: &str) -> Value<PublicUnblocks> {
    word(text, &[("own", PublicUnblocks::Own), ("always", PublicUnblocks::Always)])
}

/// Of a password that is made for somebody. What is too short is for others to raise.
pub fn password_length(text: &str) -> Value<usize> {
    match whole_number(text).and_then(|number| usize::try_from(number).ok()) {
        Some(length) if length <= 128 => Ok(length),
        Some(_) | None => wrong(format!("{text:?} is no length of a password"), "a whole number from 15 to 128"),
    }
}

/// `driver` is 401 for both providers that this version has.
pub fn login_refused_status(text: &str) -> Value<u16> {
    word(text, &[("401", 401), ("403", 403), ("driver", 401)])
}

pub fn log_level(text: &str) -> Value<LevelFilter> {
    word(
        text,
        &[
            ("error", LevelFilter::ERROR),
            ("warn", LevelFilter::WARN),
            ("info", LevelFilter::INFO),
            ("debug", LevelFilter::DEBUG),
            ("trace", LevelFilter::TRACE),
            ("fatal", LevelFilter::ERROR),
            ("silent", LevelFilter::OFF),
        ],
    )
}

pub fn log_format(text: &str) -> Value<LogFormat> {
    word(text, &[("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)])
}

pub fn keycloak_create(text: &str) -> Value<KeycloakCreate> {
    word(text, &[("partial-import", KeycloakCreate::PartialImport), ("marker", KeycloakCreate::Marker)])
}

pub fn address(text: &str) -> Value<IpAddr> {
    text.parse().or_else(|_| wrong(format!("{text:?} is not an IP address"), "such as 127.0.0.1 or 0.0.0.0"))
}

/// `127.0.0.1:9090`, `[::]:9090`
pub fn address_and_port(text: &str) -> Value<SocketAddr> {
    let right = "such as 127.0.0.1:9090 or [::]:9090";
    text.parse().or_else(|_| wrong(format!("{text:?} is not an IP address and a port"), right))
}

pub fn port(text: &str) -> Value<u16> {
    whole_number(text)
        .and_then(|number| u16::try_from(number).ok())
        .map_or_else(|| wrong(format!("{text:?} is not a port"), "a number from 0 to 65535"), Ok)
}

/// Failed logins that are free.
pub fn failures(text: &str) -> Value<u32> {
    match whole_number(text).and_then(|number| u32::try_from(number).ok()) {
        Some(number @ 1..=1_000_000) => Ok(number),
        Some(_) | None => wrong(format!("{text:?} is not a number of failures"), "a whole number from 1 to 1000000"),
    }
}

pub fn login_max_wait(text: &str) -> Value<Duration> {
    let length = duration(text)?;
    if (Duration::from_secs(1)..=Duration::from_hours(24)).contains(&length) {
        return Ok(length);
    }
    wrong(format!("{text:?} is out of range"), "1s to 1d")
}

/// `none`, or addresses and ranges of them.
pub fn networks(text: &str) -> Value<Vec<IpNet>> {
    let network = |item: String| match item.parse::<IpNet>().or_else(|_| item.parse::<IpAddr>().map(IpNet::from)) {
        Ok(network) => Ok(network.trunc()),
        Err(_) => wrong(format!("{item:?} is no address and no range"), "such as 10.0.0.5, 10.0.0.0/8 or fc00::/7"),
    };
    if text == "none" { Ok(Vec::new()) } else { list(text)?.into_iter().map(network).collect() }
}

/// As browsers write them (RFC 6454 6.2): scheme, host and, where it is not the usual one, port.
pub fn origins(text: &str) -> Value<Vec<String>> {
    let origin = |item: String| match Url::parse(&item) {
        Ok(url) if url.origin().is_tuple() && url.origin().ascii_serialization() == item => Ok(item),
        Ok(_) | Err(_) => wrong(
            format!("{item:?} is no origin"),
            "such as https://app.example.org, with nothing behind the host or port",
        ),
    };
    list(text)?.into_iter().map(origin).collect()
}

/// At least one.
pub fn count(text: &str) -> Value<usize> {
    match whole_number(text).and_then(|number| usize::try_from(number).ok()) {
        Some(number) if number > 0 => Ok(number),
        Some(_) | None => wrong(format!("{text:?} is not a number of things"), "a whole number, at least 1"),
    }
}

/// `_SECONDS`: a bare whole number.
pub fn seconds(text: &str) -> Value<Duration> {
    match whole_number(text) {
        Some(number) if number <= LONGEST.as_secs() => Ok(Duration::from_secs(number)),
        Some(_) | None => wrong(format!("{text:?} is not a number of seconds"), "a bare whole number, such as 10"),
    }
}

const LONGEST: Duration = Duration::from_secs(36_500 * 24 * 3600);

/// `250ms`, `30s`, `10m`, `24h`, `14d`; a bare number is seconds.
pub fn duration(text: &str) -> Value<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let milliseconds_each: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    let length = whole_number(number)
        .filter(|_| milliseconds_each > 0)
        .and_then(|number| number.checked_mul(milliseconds_each))
        .map(Duration::from_millis)
        .filter(|length| *length <= LONGEST);
    match length {
        Some(length) => Ok(length),
        None => wrong(format!("{text:?} is not a duration"), "such as 250ms, 30s, 10m, 24h or 14d"),
    }
}

/// A duration that is not zero.
pub fn some_time(text: &str) -> Value<Duration> {
    match duration(text)? {
        Duration::ZERO => wrong(format!("{text:?} leaves no time"), "a duration above zero, such as 10s"),
        length => Ok(length),
    }
}

pub fn access_token_ttl(text: &str) -> Value<Duration> {
    let length = duration(text)?;
    if (Duration::from_secs(60)..=Duration::from_secs(3600)).contains(&length) {
        return Ok(length);
    }
    wrong(format!("{text:?} is out of range"), "1m to 1h")
}

pub fn refresh_grace(text: &str) -> Value<Duration> {
    let length = duration(text)?;
    if length <= Duration::from_secs(120) {
        return Ok(length);
    }
    wrong(format!("{text:?} is out of range"), "0s to 2m")
}

pub fn gateway_permissions(text: &str) -> Value<GatewayPermissions> {
    word(text, &[("roles", GatewayPermissions::Roles), ("none", GatewayPermissions::None)])
}

pub fn gateway_anonymous(text: &str) -> Value<Anonymous> {
    word(text, &[("refuse", Anonymous::Refuse), ("public", Anonymous::Public)])
}

pub fn gateway_user_id(text: &str) -> Value<UserIs> {
    word(text, &[("authUserId", UserIs::AuthUserId), ("_id", UserIs::Id)])
}

/// `all`, or names of routes.
pub fn gateway_routes(text: &str) -> Value<Vec<Routes>> {
    if text == "all" {
        return Ok(Routes::ALL.iter().map(|(_, routes)| *routes).collect());
    }
    list(text)?.iter().map(|name| word(name, &Routes::ALL)).collect()
}

/// RFC 9110 5.1: a token, compared without case.
pub fn header_name(text: &str) -> Value<String> {
    if is_token(text) {
        return Ok(text.to_ascii_lowercase());
    }
    wrong(format!("{text:?} can be no name of a header"), "letters, digits, - and _")
}

pub fn clock_skew(text: &str) -> Value<Duration> {
    let length = duration(text)?;
    if length <= Duration::from_mins(5) {
        return Ok(length);
    }
    wrong(format!("{text:?} is out of range"), "0s to 5m")
}

/// A JSON list of [`ForeignIssuer`].
pub fn issuers(text: &str) -> Value<Vec<ForeignIssuer>> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    const RIGHT: &str = r#"such as [{"issuer":"https://id.example.org","jwks":"https://id.example.org/keys","audience":"users","algorithms":["RS256"]}]"#;
    // With a shared secret whoever verifies could sign too (RFC 8725 3.1).
    const PUBLIC: [Algorithm; 9] = [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA];
    let issuers: Vec<ForeignIssuer> = match serde_json::from_str(text) {
        Ok(issuers) => issuers,
        Err(error) => return wrong(format!("it cannot be read: {error}"), RIGHT),
    };
    for (n, one) in issuers.iter().enumerate() {
        let of = |what: &str| format!("entry {}: {what}", n + 1);
        if [&one.issuer, &one.audience, &one.identity_claim].iter().any(|text| text.is_empty()) {
            return wrong(of("a text is empty"), RIGHT);
        }
        if ["iss", "aud", "azp", "sid", "typ", "exp", "iat", "nbf"].contains(&one.identity_claim.as_str()) {
            return wrong(of("its identityClaim names no person"), "a claim such as sub");
        }
        if !["http", "https"].contains(&one.jwks.scheme()) || one.jwks.host().is_none() {
            return wrong(of("jwks is no address of the web"), RIGHT);
        }
        if one.algorithms.is_empty() || one.algorithms.iter().any(|algorithm| !PUBLIC.contains(algorithm)) {
            let right = "at least one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA";
            return wrong(of("algorithms must be those of key pairs"), right);
        }
        if issuers[..n].iter().any(|other| other.issuer == one.issuer) {
            return wrong(of("its issuer stands there already"), "each issuer once");
        }
    }
    Ok(issuers)
}

/// RFC 6265 4.1.1: a token.
pub fn cookie_name(text: &str) -> Value<String> {
    if is_token(text) {
        return Ok(text.to_owned());
    }
    wrong(format!("{text:?} can be no name of a cookie"), "letters, digits, - and _")
}

/// RFC 9110 5.6.2.
fn is_token(text: &str) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(sound)
}

/// With commas between; of nothing, none.
pub fn names(text: &str) -> Value<Vec<String>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return wrong(format!("{text:?} has an empty name in it"), "names with commas between");
    }
    Ok(names)
}

/// Bytes, or `KiB`, `MiB`, `GiB`.
pub fn size(text: &str) -> Value<usize> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let bytes_each: u64 = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => 0,
    };
    let bytes = whole_number(number)
        .filter(|_| bytes_each > 0)
        .and_then(|number| number.checked_mul(bytes_each))
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| *bytes > 0);
    match bytes {
        Some(bytes) => Ok(bytes),
        None => wrong(format!("{text:?} is not a size"), "bytes above zero, or such as 32KiB, 1MiB, 1GiB"),
    }
}

/// The server reads heads in pieces of 8 KiB and takes no smaller limit.
pub fn header_limit(text: &str) -> Value<usize> {
    match size(text)? {
        bytes if bytes < 8192 => wrong(format!("{text:?} is too small"), "at least 8KiB"),
        bytes => Ok(bytes),
    }
}

/// Comma-separated, blanks around items dropped.
pub fn list(text: &str) -> Value<Vec<String>> {
    let items = text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>();
    if items.iter().any(String::is_empty) {
        return wrong(format!("{text:?} has an empty item"), "items separated by single commas");
    }
    Ok(items)
}

pub fn unique_fields(text: &str) -> Value<Vec<String>> {
    let mut fields = list(text)?;
    fields.sort();
    if fields == ["email", "username"] {
        return Ok(fields);
    }
    wrong(format!("{text:?} is not what this version holds unique"), "email,username")
}

pub fn path(text: &str) -> Value<PathBuf> {
    if text.contains('\0') {
        return wrong("there is a NUL in it", "a path");
    }
    Ok(PathBuf::from(text))
}

/// `/users`: begins with a slash, does not end with one.
pub fn route(text: &str) -> Value<String> {
    let segment = |segment: &str| {
        !segment.is_empty()
            && !matches!(segment, "." | "..")
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    match text.strip_prefix('/') {
        Some(rest) if rest.split('/').all(segment) => Ok(text.to_owned()),
        Some(_) | None => wrong(
            format!("{text:?} is not a path"),
            "a leading slash, no closing one, segments of letters, digits, '-', '.', '_' and '~'; such as /ums",
        ),
    }
}

/// A route that leaves `/-/...` alone.
pub fn prefix(text: &str) -> Value<String> {
    let route = route(text)?;
    if route == "/-" || route.starts_with("/-/") {
        return wrong(format!("{text:?} covers our own routes below /-/"), "such as /ums");
    }
    Ok(route)
}

/// `name`, `name:port` or a URL; without a scheme `http://`. The result has no closing slash but that of an empty path.
pub fn host(text: &str) -> Value<Url> {
    let right = "a name, name:port, or a URL such as https://example.org:8443";
    let given = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let Ok(mut url) = Url::parse(&given) else {
        return wrong(format!("{text:?} is no host"), right);
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return wrong(format!("{text:?} is no host that speaks HTTP"), right);
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        // The text may hold a password: it is not repeated.
        return wrong("a query, a fragment or credentials are no part of a host", right);
    }
    let trimmed = url.path().trim_end_matches('/').to_owned();
    url.set_path(&trimmed);
    Ok(url)
}

/// A whole URL.
pub fn url(text: &str) -> Value<Url> {
    if !text.contains("://") {
        return wrong(format!("{text:?} is not a URL"), "such as https://users.example.org");
    }
    host(text)
}

pub fn email(text: &str) -> Value<String> {
    let sides = text.split_once('@').filter(|(name, domain)| !name.is_empty() && !domain.is_empty());
    match sides {
        Some((_, domain)) if !domain.contains('@') && !text.contains(char::is_whitespace) => Ok(text.to_owned()),
        Some(_) | None => wrong("this is not an e-mail address", "such as admin@example.org"),
    }
}

fn whole_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, wanted: Option<u64>| {
            assert_eq!(duration(text).ok().map(|length| length.as_millis() as u64), wanted, "{text}");
        };
        check("250ms", Some(250));
        check("30s", Some(30_000));
        check("30", Some(30_000));
        check("10m", Some(600_000));
        check("24h", Some(86_400_000));
        check("14d", Some(1_209_600_000));
        check("0", Some(0));
        for bad in [
            "",
            "s",
            "1.5s",
            "-1s",
            "+1s",
            " 1s",
            "1 s",
            "1S",
            "1w",
            "99999999999999999999",
            "18446744073709551615d",
            "40000d",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn sizes() {
        let check = |text: &str, wanted: Option<usize>| assert_eq!(size(text).ok(), wanted, "{text}");
        check("1", Some(1));
        check("32KiB", Some(32 * 1024));
        check("1MiB", Some(1024 * 1024));
        check("1GiB", Some(1024 * 1024 * 1024));
        for bad in ["", "0", "0MiB", "1MB", "1k", "1.5MiB", "-1", "18446744073709551615GiB"] {
            check(bad, None);
        }
    }

    #[test]
    fn lists() {
        assert_eq!(list(" a , b,c ").unwrap(), ["a", "b", "c"]);
        for bad in ["a,,b", ",a", "a,", ","] {
            assert!(list(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_are_as_browsers_write_them() {
        let both = "https://app.example.org, http://localhost:5173";
        assert_eq!(origins(both).unwrap(), ["https://app.example.org", "http://localhost:5173"]);
        for bad in [
            "*",
            "null",
            "app.example.org",
            "https://app.example.org/",
            "https://app.example.org:443",
            "https://App.example.org",
            "https://app.example.org/x",
            "https://u@app.example.org",
            "file:///x",
            "https://a.example,,https://b.example",
        ] {
            assert!(origins(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_of_systems() {
        let check = |text: &str, wanted: Option<&str>| {
            assert_eq!(host(text).ok().map(|url| url.to_string()).as_deref(), wanted, "{text}");
        };
        check("crud-service", Some("http://crud-service/"));
        check("crud-service:3000", Some("http://crud-service:3000/"));
        check("http://crud-service/", Some("http://crud-service/"));
        check("https://kc.example.org/auth/", Some("https://kc.example.org/auth"));
        check("[::1]:8080", Some("http://[::1]:8080/"));
        for bad in ["ftp://x", "http://", "http://u:p@x", "x?y", "x#y", "a b", "x:99999"] {
            check(bad, None);
        }
    }

    #[test]
    fn routes() {
        for good in ["/users", "/v1/users", "/a.b_c~d-e"] {
            assert!(route(good).is_ok(), "{good}");
        }
        for bad in ["users", "/", "/users/", "//users", "/a b", "/a/../b", "/ä"] {
            assert!(route(bad).is_err(), "{bad}");
        }
        assert!(prefix("/-/x").is_err());
    }

    #[test]
    fn networks_of_proxies() {
        let check = |text: &str, wanted: &[&str]| {
            let networks = networks(text).unwrap();
            assert_eq!(networks.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted, "{text}");
        };
        check("none", &[]);
        check("10.0.0.5, 10.1.2.3/8,::1,fe80::1/10", &["10.0.0.5/32", "10.0.0.0/8", "::1/128", "fe80::/10"]);
        for bad in ["", "10.0.0.0/33", "10.0.0.0-10.0.0.9", "proxy", "10.0.0.1,", "none,10.0.0.1", "10.0.0.1:80"] {
            assert!(super::networks(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_of_people() {
        assert!(email("ada@example.org").is_ok());
        for bad in ["ada", "@x", "a@", "a@b@c", "a b@c"] {
            assert!(email(bad).is_err(), "{bad}");
        }
    }
}
