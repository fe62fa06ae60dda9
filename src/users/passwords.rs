//! What a password must be, whoever sets it.

mod guessed;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::{
    access::Caller,
    app::App,
    error::{self, Code, Error},
    groups::{Group, PasswordPolicy},
    query::Filter,
};

/// Bytes: more only keeps the hash busy.
const LONGEST: usize = 1024;

/// Of a password that is made: 20 small letters, 20 capitals, 8 digits, 16 others, so that a random byte gives one without a
/// bias. None that is mistaken for another.
const CHARACTERS: &[u8; 64] = b"abcdefghjkmnpqrstuvxABCDEFGHJKLMNPQRSTUV23456789!#$%&*+-./:;=?@_";

/// What the identity of a new person gets: what was given, else a random one where the provider wants one.
pub fn of_new(app: &App, group: &Group, given: Option<SecretString>) -> Result<Option<SecretString>, Error> {
    match given {
        Some(given) => check(&given, policy_of(app, group)).map(|()| Some(given)),
        None if app.systems.identity.wants_password() => random(app.config.random_password_length).map(Some),
        None => Ok(None),
    }
}

/// One of each kind of character is in it, as many providers ask.
pub fn random(length: usize) -> Result<SecretString, Error> {
    let kinds: [fn(&u8) -> bool; 4] =
        [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit, u8::is_ascii_punctuation];
    let mut random = vec![0; length.max(kinds.len())];
    loop {
        aws_lc_rs::rand::fill(&mut random).map_err(|_| error::internal("no random numbers"))?;
        let made: Vec<u8> = random.iter().map(|byte| CHARACTERS[usize::from(*byte) % CHARACTERS.len()]).collect();
        // Thrown away whole and not mended, so that none is likelier than another.
        if kinds.iter().all(|kind| made.iter().any(kind)) {
            return String::from_utf8(made).map(SecretString::from).map_err(error::internal);
        }
    }
}

/// What a group asks of the passwords of its users, where passwords are ours; elsewhere the provider asks more.
fn policy_of(app: &App, group: &Group) -> PasswordPolicy {
    if app.own_identities.is_some() {
        group.password_policy()
    } else {
        PasswordPolicy { refuse_common: false, ..PasswordPolicy::default() }
    }
}

/// The same of such a user's group.
pub async fn policy(app: &App, fields: &Map<String, Value>) -> Result<PasswordPolicy, Error> {
    match app.groups.of(fields).await {
        Ok(group) => Ok(policy_of(app, &group)),
        // Nobody shall be without a password since somebody has spoiled a document.
        Err(error) if matches!(error.code(), Code::GroupUnknown | Code::GroupUnusable) => Ok(PasswordPolicy::default()),
        Err(error) => Err(error),
    }
}

/// The same for the caller himself.
pub async fn own_policy(app: &App, caller: &Caller) -> Result<PasswordPolicy, Error> {
    let id = caller.user.as_ref().ok_or_else(error::user_not_found)?;
    let user = app.systems.store.get(id, &Filter::Everything).await?.ok_or_else(error::user_not_found)?;
    policy(app, &user.document).await
}

/// What a password breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Characters that it has at least.
    Shortest(usize),
    /// None that everybody would try first.
    Common,
    /// Bytes that it has at most.
    Longest(usize),
}

/// The first rule that it breaks, if any.
pub fn broken(password: &SecretString, policy: PasswordPolicy) -> Option<Rule> {
    let password = password.expose_secret();
    let shortest = policy.min_length;
    if password.chars().count() < shortest {
        return Some(Rule::Shortest(shortest));
    }
    if policy.refuse_common && guessed::comes_first(password) {
        return Some(Rule::Common);
    }
    (password.len() > LONGEST).then_some(Rule::Longest(LONGEST))
}

/// `password-refused` names the rule, never the password.
pub fn check(password: &SecretString, policy: PasswordPolicy) -> Result<(), Error> {
    let rule = match broken(password, policy) {
        None => return Ok(()),
        Some(Rule::Shortest(shortest)) => format!("A password has at least {shortest} characters"),
        Some(Rule::Common) => "A password is none that everybody would try first".to_owned(),
        Some(Rule::Longest(longest)) => format!("A password has at most {longest} bytes"),
    };
    Err(Error::new(Code::PasswordRefused, rule).field("password"))
}

/// A password that was made for somebody must not stay his.
pub fn check_changed(current: &SecretString, new: &SecretString) -> Result<(), Error> {
    if current.expose_secret() != new.expose_secret() {
        return Ok(());
    }
    Err(Error::new(Code::PasswordRefused, "The new password is the current one").field("newPassword"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn random_passwords_differ_are_as_long_as_asked_and_have_every_kind_of_character() {
        assert_eq!(CHARACTERS.iter().collect::<BTreeSet<_>>().len(), CHARACTERS.len());
        let made: Vec<SecretString> = (0..200).map(|_| random(15).unwrap()).collect();
        for password in &made {
            check(password, PasswordPolicy::default()).unwrap();
            let text = password.expose_secret();
            assert_eq!(text.len(), 15);
            let has = |kind: fn(&char) -> bool| text.chars().any(|c| kind(&c));
            assert!(has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase));
            assert!(has(char::is_ascii_digit) && has(char::is_ascii_punctuation));
        }
        assert_eq!(made.iter().map(ExposeSecret::expose_secret).collect::<BTreeSet<_>>().len(), 200);
    }
}
