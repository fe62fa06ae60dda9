//! What a password must be, whoever sets it.

use secrecy::{ExposeSecret, SecretString};

use crate::error::{Code, Error};

/// Characters (NIST SP 800-63B 3.1.1.2 asks for at least 8 and recommends 15; the length counts, not the classes).
const SHORTEST: usize = 10;
/// Bytes: more only keeps the hash busy.
const LONGEST: usize = 1024;

/// `password-refused` names the rule, never the password.
pub fn check(password: &SecretString) -> Result<(), Error> {
    let password = password.expose_secret();
    let refused = |rule: String| Err(Error::new(Code::PasswordRefused, rule).field("password"));
    if password.chars().count() < SHORTEST {
        return refused(format!("A password has at least {SHORTEST} characters"));
    }
    if password.len() > LONGEST {
        return refused(format!("A password has at most {LONGEST} bytes"));
    }
    Ok(())
}

/// A password that was made for somebody must not stay his.
pub fn check_changed(current: &SecretString, new: &SecretString) -> Result<(), Error> {
    if current.expose_secret() != new.expose_secret() {
        return Ok(());
    }
    Err(Error::new(Code::PasswordRefused, "The new password is the current one").field("newPassword"))
}
