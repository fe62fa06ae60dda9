//! The settings of mails: what goes with what. Which driver mails, who sends, where links lead.

use std::path::Path;

use super::{
    Http, Identity, KeycloakMail, Level, Mail, MailWay, Mistake, Note, OwnMail,
    reading::{Noted, Reading},
    resolving::unset,
    settings::EMBEDDED_IDENTITY,
    values,
};

pub struct RawMail {
    pub smtp_url: (Option<String>, Option<String>),
    pub from: Option<String>,
    pub directory: Option<String>,
    pub per_identity: Option<String>,
    pub reset_ttl: Option<String>,
    pub templates_dir: Option<String>,
    pub default_locale: Option<String>,
}

/// Other settings that bear on mails; nothing where one is wrong.
pub struct Around<'a> {
    pub identity: Option<&'a Identity>,
    pub http: Option<&'a Http>,
    pub data_dir: Option<&'a Path>,
    pub admin_email: Option<&'a str>,
}

pub fn mail(r: &mut Reading, raw: RawMail, around: Around<'_>) -> Result<Mail, Noted> {
    let per_identity = r.read("MAIL_PER_IDENTITY", raw.per_identity.clone(), values::rate);
    let own = match around.identity {
        Some(Identity::Embedded { .. }) => own(r, raw, around).map(Some),
        Some(Identity::Keycloak(_)) => {
            not_ours(r, &raw);
            Ok(None)
        }
        None => Err(Noted),
    };
    Ok(Mail { per_identity: per_identity?, own: own? })
}

fn not_ours(r: &mut Reading, raw: &RawMail) {
    let (smtp_url, smtp_url_file) = &raw.smtp_url;
    let given = [
        ("SMTP_URL", smtp_url.is_some() || smtp_url_file.is_some()),
        ("MAIL_FROM", raw.from.is_some()),
        ("MAIL_DIR", raw.directory.is_some()),
        ("RESET_TTL", raw.reset_ttl.is_some()),
        ("TEMPLATES_DIR", raw.templates_dir.is_some()),
        ("DEFAULT_LOCALE", raw.default_locale.is_some()),
    ];
    r.unused(given, EMBEDDED_IDENTITY);
}

fn own(r: &mut Reading, raw: RawMail, around: Around<'_>) -> Result<OwnMail, Noted> {
    let (url, file) = raw.smtp_url;
    let smtp = r.secret_of("SMTP_URL", url, file, values::smtp);
    let nobody = "user-manager@localhost";
    let by_default = around.admin_email.unwrap_or(nobody);
    let from = r.optional("MAIL_FROM", raw.from, values::mailbox, || by_default.to_owned());
    let default_dir = around.data_dir.map(|dir| dir.join("mail")).unwrap_or_default();
    let directory = r.optional("MAIL_DIR", raw.directory, values::path, || default_dir.display().to_string());
    let reset_ttl = r.read("RESET_TTL", raw.reset_ttl, values::some_time);
    let templates_dir = r.optional("TEMPLATES_DIR", raw.templates_dir, values::path, || "built in".to_owned());
    let default_locale = r.read("DEFAULT_LOCALE", raw.default_locale, values::locale);

    let (smtp, from) = (smtp?, from?);
    if smtp.is_some() && from.is_none() && around.admin_email.is_none() {
        return r.noted(Mistake::wrong(
            "MAIL_FROM",
            "it is not set beside SMTP_URL, and neither is ADMIN_EMAIL: a mail needs a sender",
            "such as users@example.org",
        ));
    }
    let from = match (from, values::mailbox(by_default)) {
        (Some(from), _) | (None, Ok(from)) => from,
        (None, Err(wrong)) => return r.noted(Mistake::wrong("MAIL_FROM", wrong.what, wrong.right)),
    };
    if r.mistakes.iter().any(|mistake| mistake.variable == "PUBLIC_URL") {
        return Err(Noted);
    }
    if around.http.is_some_and(|http| http.public_url.is_none() && !http.host.is_loopback()) {
        return r.noted(Mistake::wrong(
            "PUBLIC_URL",
            "it is not set, and others than this machine are listened to: nobody knows where the links in mails lead",
            "such as https://users.example.org",
        ));
    }
    let way = match smtp {
        Some(smtp) => MailWay::Smtp(smtp),
        None => {
            let directory = directory?.unwrap_or(default_dir);
            let sentence =
                format!("SMTP_URL is not set: mails are not sent, they are files in {}", directory.display());
            r.notes.push(Note { level: Level::Warn, sentence });
            MailWay::Files(directory)
        }
    };
    let (templates_dir, default_locale) = (templates_dir?, default_locale?);
    Ok(OwnMail { way, from, reset_ttl: reset_ttl?, templates_dir, default_locale })
}

pub fn keycloak(
    r: &mut Reading,
    client_id: Option<String>,
    redirect_uri: Option<String>,
    lifespan: Option<String>,
) -> Result<KeycloakMail, Noted> {
    let client_id = r.optional("KEYCLOAK_EMAIL_CLIENT_ID", client_id, values::text, unset);
    let redirect_uri = r.optional("KEYCLOAK_EMAIL_REDIRECT_URI", redirect_uri, values::text, unset);
    let lifespan = r.read("KEYCLOAK_EMAIL_LIFESPAN", lifespan, values::some_time);
    let (client_id, redirect_uri) = (client_id?, redirect_uri?);
    if client_id.is_none() && redirect_uri.is_some() {
        let what = "it is set without KEYCLOAK_EMAIL_CLIENT_ID, whose it must be";
        return r.noted(Mistake::wrong("KEYCLOAK_EMAIL_REDIRECT_URI", what, "both, or neither"));
    }
    Ok(KeycloakMail { client_id, redirect_uri, lifespan: lifespan? })
}
