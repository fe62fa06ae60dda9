//! Settings of the gateway mode: who may speak for others, how, and what answers him.

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Level, Mistake, Note,
    reading::{Noted, Reading},
    resolving::unset,
    values,
};

/// An API gateway in front has found out who asks, and says so in headers (`ACCESS=gateway`).
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Whose headers count by their address.
    pub peers: Vec<IpNet>,
    /// Whose count by what they bring: `x-gateway-secret`.
    pub secret: Option<SecretString>,
    /// Names the user. In small letters.
    pub user_header: String,
    pub user_is: UserIs,
    /// Says that a back office asks.
    pub backoffice_header: String,
    pub permissions: GatewayPermissions,
    pub anonymous: Anonymous,
    /// What answers beside what the service that we replace has.
    pub routes: Vec<Routes>,
}

/// What the header names the user by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserIs {
    AuthUserId,
    Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayPermissions {
    /// Those of the user whom it names.
    Roles,
    /// The gateway has decided: nothing is asked.
    None,
}

/// A request that the gateway vouches for, and that names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    Refuse,
    /// Somebody called `public`.
    Public,
}

/// Routes that go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routes {
    UmsConfig,
    Roles,
    Operations,
    Events,
    Restore,
    /// Logging out, revoking, sessions, one's own password.
    Sessions,
    /// What others need to verify our tokens.
    Keys,
    /// The page behind a mailed link.
    Pages,
    Documentation,
    Metrics,
}

impl Routes {
    pub const ALL: [(&str, Self); 10] = [
        ("ums-config", Self::UmsConfig),
        ("roles", Self::Roles),
        ("operations", Self::Operations),
        ("events", Self::Events),
        ("restore", Self::Restore),
        ("sessions", Self::Sessions),
        ("keys", Self::Keys),
        ("pages", Self::Pages),
        ("documentation", Self::Documentation),
        ("metrics", Self::Metrics),
    ];
}

pub struct RawGateway {
    pub access: Option<String>,
    pub permissions: Option<String>,
    pub anonymous: Option<String>,
    pub secret: (Option<String>, Option<String>),
    pub routes: Option<String>,
    pub user_id: Option<String>,
    pub user_header: Option<String>,
    pub backoffice_header: Option<String>,
    /// Whether `TRUSTED_PROXIES` was given.
    pub proxies_given: bool,
}

pub const DRIVER: &str = "gateway mode";

/// Nothing where every request brings a token.
pub fn gateway(r: &mut Reading, raw: RawGateway, proxies: Option<&Vec<IpNet>>) -> Result<Option<Gateway>, Noted> {
    let mode = r.read("ACCESS", raw.access, |text| match text {
        "token" => Ok(false),
        "gateway" => Ok(true),
        other => values::wrong(format!("{other:?} is not understood"), "one of token, gateway"),
    })?;
    if !mode {
        let given = [
            ("GATEWAY_PERMISSIONS", raw.permissions.is_some()),
            ("GATEWAY_ANONYMOUS", raw.anonymous.is_some()),
            ("GATEWAY_SECRET", raw.secret.0.is_some() || raw.secret.1.is_some()),
            ("GATEWAY_ROUTES", raw.routes.is_some()),
            ("GATEWAY_USER_ID", raw.user_id.is_some()),
            ("USERID_HEADER_KEY", raw.user_header.is_some()),
            ("BACKOFFICE_HEADER_KEY", raw.backoffice_header.is_some()),
        ];
        r.unused(given, DRIVER);
        return Ok(None);
    }
    let permissions = r.read("GATEWAY_PERMISSIONS", raw.permissions, values::gateway_permissions);
    let anonymous = r.read("GATEWAY_ANONYMOUS", raw.anonymous, values::gateway_anonymous);
    let secret = r.secret("GATEWAY_SECRET", raw.secret.0, raw.secret.1, unset);
    let routes = r.optional("GATEWAY_ROUTES", raw.routes, values::gateway_routes, unset);
    let user_is = r.read("GATEWAY_USER_ID", raw.user_id, values::gateway_user_id);
    let user_header = r.read("USERID_HEADER_KEY", raw.user_header, values::header_name);
    let backoffice_header = r.read("BACKOFFICE_HEADER_KEY", raw.backoffice_header, values::header_name);
    let secret = secret?;
    if secret.as_ref().is_some_and(|secret| secret.expose_secret().len() < SHORTEST) {
        let right = format!("at least {SHORTEST} characters");
        r.noted::<()>(Mistake::wrong("GATEWAY_SECRET", "it can be guessed", right))?;
    }
    // Ranges that nobody has chosen are not trusted beside a secret that somebody has.
    let by_address = raw.proxies_given || secret.is_none();
    let peers = proxies.filter(|_| by_address).cloned().unwrap_or_default();
    if peers.is_empty() && secret.is_none() && proxies.is_some() {
        let sentence = "with ACCESS=gateway somebody must be trusted, and nobody is";
        let right = "TRUSTED_PROXIES with the addresses of the gateway, or GATEWAY_SECRET";
        r.noted::<()>(Mistake::wrong("TRUSTED_PROXIES", sentence, right))?;
    }
    let (user_header, backoffice_header) = (user_header?, backoffice_header?);
    if user_header == backoffice_header {
        let sentence = "it is the name of USERID_HEADER_KEY too";
        r.noted::<()>(Mistake::wrong("BACKOFFICE_HEADER_KEY", sentence, "another name"))?;
    }
    let gateway = Gateway {
        peers,
        secret,
        user_header,
        user_is: user_is?,
        backoffice_header,
        permissions: permissions?,
        anonymous: anonymous?,
        routes: routes?.unwrap_or_default(),
    };
    r.notes.push(Note { level: Level::Warn, sentence: gateway.told() });
    Ok(Some(gateway))
}

/// Characters of a secret.
const SHORTEST: usize = 16;

impl Gateway {
    pub fn answers(&self, routes: Routes) -> bool {
        self.routes.contains(&routes)
    }

    /// Who may call, what answers, which rules sleep.
    fn told(&self) -> String {
        let peers: Vec<String> = self.peers.iter().map(ToString::to_string).collect();
        let who = match (peers.is_empty(), &self.secret) {
            (true, _) => "whoever brings GATEWAY_SECRET".to_owned(),
            (false, None) => format!("whoever connects from {}", peers.join(", ")),
            (false, Some(_)) => format!("whoever brings GATEWAY_SECRET or connects from {}", peers.join(", ")),
        };
        let names = Routes::ALL.iter().filter(|(_, routes)| self.answers(*routes)).map(|(name, _)| *name);
        let names: Vec<&str> = names.collect();
        let more = if names.is_empty() { String::new() } else { format!(" and {}", names.join(", ")) };
        let rules = match self.permissions {
            GatewayPermissions::Roles => "he may do what that user's roles give",
            GatewayPermissions::None => {
                "no permission is asked, nobody stands above another, and the last administrator can be taken away"
            }
        };
        format!("ACCESS=gateway: {who} speaks for the user whom he names; {rules}; what answers is the basic set{more}")
    }
}
