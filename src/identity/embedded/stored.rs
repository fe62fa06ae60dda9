//! Stored hashes of every kind that is understood: ours, and those that other programs made. Theirs open the account once and
//! are ours from then on.

use pbkdf2::{
    Pbkdf2,
    password_hash::{PasswordVerifier, phc::PasswordHash},
};
use scrypt::Scrypt;

use super::phc::{Memory, Phc};

/// What may be asked of this machine for one password; a string that asks for more is none.
const MOST_BCRYPT: u32 = 16;
const MOST_ROUNDS: u32 = 10_000_000;
/// 256 MiB with the usual blocks.
const MOST_SCRYPT: u32 = 18;

/// Bytes.
const BCRYPT_LOOKS_AT: usize = 72;

pub enum Stored {
    Argon2(Phc),
    Bcrypt(String),
    Pbkdf2(PasswordHash),
    Scrypt(PasswordHash),
}

impl Stored {
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(ours) = Phc::parse(text) {
            return Some(Self::Argon2(ours));
        }
        // The versions of bcrypt that hash alike.
        if ["$2a$", "$2b$", "$2y$"].iter().any(|version| text.starts_with(version)) {
            let cost = text.get(4..6)?.parse::<u32>().ok()?;
            let whole = text.len() == 60 && text.is_ascii() && cost <= MOST_BCRYPT;
            return whole.then(|| Self::Bcrypt(text.to_owned()));
        }
        let theirs = PasswordHash::new(text).ok()?;
        // One may name the ways of hashing alone.
        theirs.hash.as_ref()?;
        let cost = |name: &str| theirs.params.get_decimal(name);
        match theirs.algorithm.as_str() {
            "pbkdf2-sha256" | "pbkdf2-sha512" if cost("i")? <= MOST_ROUNDS => Some(Self::Pbkdf2(theirs)),
            "scrypt" if cost("ln")? <= MOST_SCRYPT && cost("r")? <= 8 && cost("p")? <= 4 => Some(Self::Scrypt(theirs)),
            _ => None,
        }
    }

    /// Whether it was made of this password.
    pub fn verify(&self, password: &[u8], memory: &mut Memory) -> Result<bool, String> {
        match self {
            Self::Argon2(ours) => ours.verify(password, memory),
            Self::Bcrypt(text) => bcrypt::verify(password, text).map_err(|error| error.to_string()),
            Self::Pbkdf2(theirs) => Ok(Pbkdf2::default().verify_password(password, theirs).is_ok()),
            Self::Scrypt(theirs) => Ok(Scrypt::default().verify_password(password, theirs).is_ok()),
        }
    }

    /// Whether a new one of this password would be made otherwise.
    pub fn is_outdated(&self, password: &[u8]) -> bool {
        match self {
            Self::Argon2(ours) => ours.is_outdated(),
            // It has looked at the beginning only: what comes after may be anything.
            Self::Bcrypt(_) => password.len() <= BCRYPT_LOOKS_AT,
            Self::Pbkdf2(_) | Self::Scrypt(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by other programs: Python's `hashlib`, the reference implementation of argon2, crypt(3).
    const FOREIGN: [(&str, &str); 5] = [
        (
            "$pbkdf2-sha256$i=1000,l=32$c29tZXNhbHQxNmJ5dGVzIQ$CmqWAu2MeUkBoz0yHQyIlW3jtrBdIf7B/iS/SABRxVU",
            "correct horse",
        ),
        (
            "$pbkdf2-sha512$i=1000,l=32$c29tZXNhbHQxNmJ5dGVzIQ$a10s2rVlqakNLKK6ES3lLFI50MYF4DA12e2kdr5l5AY",
            "correct horse",
        ),
        ("$scrypt$ln=10,r=8,p=1$c29tZXNhbHQxNmJ5dGVzIQ$PyPztoyRDRLHvcfUF/mX5v1MWSh945Ma9yXHT01f89U", "correct horse"),
        ("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"),
        ("$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2", "correct horse"),
    ];

    #[test]
    fn hashes_of_other_programs_know_their_password_and_are_outdated() {
        let mut memory = Memory::default();
        for (text, password) in FOREIGN {
            let stored = Stored::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert!(stored.verify(password.as_bytes(), &mut memory).unwrap(), "{text}");
            assert!(!stored.verify(b"something else", &mut memory).unwrap(), "{text}");
            assert!(stored.is_outdated(password.as_bytes()), "{text}");
        }
        let ours = Phc::hash(b"correct horse", &mut memory).unwrap().to_string();
        assert!(!Stored::parse(&ours).unwrap().is_outdated(b"correct horse"));
    }

    #[test]
    fn what_asks_for_too_much_or_is_cut_is_no_hash() {
        for (text, _) in FOREIGN {
            assert!(Stored::parse(&text[..text.len() / 2]).is_none(), "{text}");
        }
        for text in [
            "$2b$31$abcdefghijklmnopqrstuuJmGJw6ViVNlA9oLQcgkvBUjYtYPWkpK",
            "$2x$05$abcdefghijklmnopqrstuuJmGJw6ViVNlA9oLQcgkvBUjYtYPWkpK",
            "$pbkdf2-sha256$i=99999999,l=32$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$scrypt$ln=30,r=8,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$md5$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ] {
            assert!(Stored::parse(text).is_none(), "{text}");
        }
    }
}
