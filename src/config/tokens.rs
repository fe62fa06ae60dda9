//! The settings of tokens and of the sessions in which they are made: how long, in whose name, who else makes some, and the
//! cookie of a browser.

use std::net::SocketAddr;

use url::Url;

use super::{
    Http, Identity, Level, Mistake, Note, SessionCookie, Token,
    reading::{Noted, Reading},
    resolving::unset,
    values,
};

pub struct RawToken {
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub access_ttl: Option<String>,
    pub idle: Option<String>,
    pub most: Option<String>,
    pub grace: Option<String>,
    pub issuers: Option<String>,
    pub skew: Option<String>,
    pub permissions_claim: Option<String>,
}

pub fn token(r: &mut Reading, http: &Result<Http, Noted>, raw: RawToken) -> Result<Token, Noted> {
    let address = || match http {
        Ok(Http { public_url: Some(url), .. }) => without_closing_slash(url),
        Ok(Http { host, port, .. }) => format!("http://{}", SocketAddr::new(*host, *port)),
        Err(Noted) => unset(),
    };
    let issuer = r.optional("TOKEN_ISSUER", raw.issuer, values::text, address);
    let audience = r.read("TOKEN_AUDIENCE", raw.audience, values::text);
    let access_ttl = r.read("ACCESS_TOKEN_TTL", raw.access_ttl, values::access_token_ttl);
    let refresh_idle = r.read("REFRESH_IDLE", raw.idle, values::some_time);
    let session_max = r.read("SESSION_MAX", raw.most, values::some_time);
    let refresh_grace = r.read("REFRESH_GRACE", raw.grace, values::refresh_grace);
    let lengths = [
        ("ACCESS_TOKEN_TTL", access_ttl.as_ref().ok()),
        ("REFRESH_IDLE", refresh_idle.as_ref().ok()),
        ("SESSION_MAX", session_max.as_ref().ok()),
    ];
    for [(short, less), (long, more)] in lengths.array_windows() {
        if let (Some(less), Some(more)) = (less, more)
            && less > more
        {
            r.noted::<()>(Mistake::wrong(long, format!("it is shorter than {short}"), format!("at least {short}")))?;
        }
    }
    let issuers = r.optional("TOKEN_ISSUERS", raw.issuers, values::issuers, unset).map(Option::unwrap_or_default);
    let clock_skew = r.read("CLOCK_SKEW", raw.skew, values::clock_skew);
    let permissions_claim = r.optional("PERMISSIONS_CLAIM", raw.permissions_claim, values::text, unset);
    let ours = issuer.clone().map(|issuer| issuer.unwrap_or_else(address)).ok();
    if let Ok(issuers) = &issuers
        && issuers.iter().any(|foreign| Some(&foreign.issuer) == ours.as_ref())
    {
        let sentence = "one of them is TOKEN_ISSUER, which is ours";
        r.noted::<()>(Mistake::wrong("TOKEN_ISSUERS", sentence, "another TOKEN_ISSUER, or only others"))?;
    }
    if let (Ok(Some(_)), Ok([])) = (&permissions_claim, issuers.as_deref()) {
        let sentence = "no token has such a claim, as nobody else's tokens count";
        r.noted::<()>(Mistake::wrong("PERMISSIONS_CLAIM", sentence, "set TOKEN_ISSUERS, or unset it"))?;
    }
    Ok(Token {
        issuers: issuers?,
        clock_skew: clock_skew?,
        permissions_claim: permissions_claim?,
        issuer: issuer?,
        audience: audience?,
        access_ttl: access_ttl?,
        refresh_idle: refresh_idle?,
        session_max: session_max?,
        refresh_grace: refresh_grace?,
    })
}

/// A cookie goes where browsers think that we are: that must be known, and nobody must listen on the way.
pub fn session_cookie(
    r: &mut Reading,
    http: &Result<Http, Noted>,
    identity: &Result<Identity, Noted>,
    wanted: Option<String>,
    name: Option<String>,
) -> Result<Option<SessionCookie>, Noted> {
    let wanted = r.read("SESSION_COOKIE", wanted, values::boolean);
    let name = r.read("SESSION_COOKIE_NAME", name, values::cookie_name);
    let (wanted, name) = (wanted?, name?);
    if !wanted {
        return Ok(None);
    }
    if matches!(identity, Ok(Identity::Keycloak(_))) {
        let what = "it is true, and with AUTH_MODULE=keycloak sessions are Keycloak's";
        return r.noted(Mistake::wrong("SESSION_COOKIE", what, "false"));
    }
    let Ok(http) = http else { return Err(Noted) };
    let (encrypted, loopback) = match &http.public_url {
        Some(url) => (url.scheme() == "https", is_loopback(url)),
        None => (false, http.host.is_loopback()),
    };
    if !encrypted && !loopback {
        let what = "SESSION_COOKIE is true, and browsers would send the cookie for all to read";
        return r.noted(Mistake::wrong("PUBLIC_URL", what, "an https:// address"));
    }
    if !encrypted {
        let sentence = "SESSION_COOKIE without TLS: the cookie is not marked Secure, since PUBLIC_URL is this machine";
        r.notes.push(Note { level: Level::Warn, sentence: sentence.to_owned() });
    }
    Ok(Some(SessionCookie { name, secure: encrypted }))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn without_closing_slash(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}
