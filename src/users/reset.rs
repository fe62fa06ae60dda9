//! Choosing a password by a link that was mailed. Where passwords are ours; another provider has pages of its own.

mod code;

use secrecy::SecretString;

pub use self::code::Codes;

use super::{
    User,
    passwords::{self, Rule},
};
use crate::{
    access::{gate::Arrival, sessions},
    app::App,
    error::Error,
    events,
    groups::PasswordPolicy,
    identity::{AuthUserId, Stamp},
    mail::Post,
    outcome::Outcome,
};

/// Somebody who may choose a password.
pub struct Chooser {
    identity: AuthUserId,
    stamp: Stamp,
    user: User,
    policy: PasswordPolicy,
}

/// What became of it.
pub enum Chosen {
    /// It is his password, and every session of his has ended.
    Done,
    Refused(Rule),
    /// The link has died meanwhile.
    LinkDead,
}

/// The code of a link for that person as he stands now; nothing when he is not there or blocked.
pub async fn code(app: &App, post: &Post, identity: &AuthUserId) -> Outcome<Option<String>> {
    let Some(own) = &app.own_identities else { return Ok(None) };
    let stamp = own.stamp(identity).await?;
    Ok(stamp.map(|stamp| post.codes.make(identity, &stamp, app.clock.now_ms())))
}

/// Whose link it is; nothing for every link that does not hold: forged, used, too old, of somebody who is blocked or gone, or
/// whose password or e-mail is another one now.
pub async fn chooser(app: &App, post: &Post, code: &str) -> Result<Option<Chooser>, Error> {
    let (Some(claim), Some(own)) = (Codes::read(code), &app.own_identities) else { return Ok(None) };
    let Some(stamp) = own.stamp(&claim.identity).await? else { return Ok(None) };
    if !post.codes.holds(&claim, &stamp, app.clock.now_ms()) {
        return Ok(None);
    }
    let identity = claim.identity;
    let found = app.systems.store.find(&[("authUserId", &identity)]).await?;
    let until_ms = app.systems.expired_until_ms();
    let Some(user) = found.into_iter().find(|user| !user.identity_blocked(until_ms)) else { return Ok(None) };
    let policy = passwords::policy(app, &user.document).await?;
    Ok(Some(Chooser { identity, stamp, user, policy }))
}

/// The new password in place of whatever there is, if the link still holds at that moment: of two who use it at once only one
/// is done.
pub async fn choose(app: &App, chooser: &Chooser, arrival: &Arrival, new: &SecretString) -> Result<Chosen, Error> {
    if let Some(rule) = passwords::broken(new, chooser.policy) {
        return Ok(Chosen::Refused(rule));
    }
    let Some(own) = &app.own_identities else { return Ok(Chosen::LinkDead) };
    let origin = arrival.origin(chooser.user.id.as_str(), "reset-link");
    let tell = async |outcome| events::tell(app, &origin, "choose-password", outcome, &chooser.user.id).await;
    tell("begun").await?;
    if !own.choose_password(&chooser.identity, &chooser.stamp, new).await? {
        tell("refused").await?;
        return Ok(Chosen::LinkDead);
    }
    sessions::end_for_a_new_password(app, &chooser.identity, origin.clone(), chooser.user.id.to_string()).await;
    // It is chosen, whether that can be told or not; that it was tried stands there already.
    if let Err(error) = tell("done").await {
        tracing::error!(error = error.message(), "that a password was chosen cannot be written");
    }
    Ok(Chosen::Done)
}

impl Chooser {
    /// What he logs in with.
    pub fn name(&self) -> &str {
        self.user.text("username").or(self.user.text("email")).unwrap_or_default()
    }

    pub fn locale(&self) -> Option<&str> {
        self.user.text("locale")
    }

    pub fn shortest(&self) -> usize {
        self.policy.min_length
    }
}
