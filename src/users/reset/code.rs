//! The code in a link: whose it is and until when, under a key of the state. It is stored nowhere, and dies with whatever it
//! is bound to.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    clock,
    identity::{AuthUserId, Stamp},
};

/// Makes codes and reads them.
pub struct Codes {
    key: hmac::Key,
    life: Duration,
}

/// What a code says of itself. Nothing of it holds before [`Claim::holds`] has said so.
pub struct Claim {
    pub identity: AuthUserId,
    expires_ms: i64,
    tag: Vec<u8>,
}

/// Bytes of the time and of the tag, HMAC with SHA-256, in front of the identity.
const TIME: usize = 8;
const TAG: usize = 32;

impl Codes {
    pub fn new(key: &[u8], life: Duration) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), life }
    }

    pub fn make(&self, identity: &AuthUserId, stamp: &Stamp, now_ms: i64) -> String {
        let expires_ms = clock::after(now_ms, self.life);
        let tag = hmac::sign(&self.key, &bound(identity, stamp, expires_ms));
        let code = [&expires_ms.to_be_bytes(), tag.as_ref(), identity.as_bytes()].concat();
        URL_SAFE_NO_PAD.encode(code)
    }

    /// Nothing of what can be none of ours.
    pub fn read(code: &str) -> Option<Claim> {
        let bytes = URL_SAFE_NO_PAD.decode(code).ok()?;
        let (time, rest) = bytes.split_first_chunk::<TIME>()?;
        let (tag, identity) = rest.split_at_checked(TAG)?;
        let identity = String::from_utf8(identity.to_vec()).ok()?;
        Some(Claim { identity, expires_ms: i64::from_be_bytes(*time), tag: tag.to_vec() })
    }

    /// Whether we have made it, its time is not over and all that it is bound to is as it was.
    pub fn holds(&self, claim: &Claim, stamp: &Stamp, now_ms: i64) -> bool {
        let bound = bound(&claim.identity, stamp, claim.expires_ms);
        hmac::verify(&self.key, &bound, &claim.tag).is_ok() && now_ms < claim.expires_ms
    }
}

fn bound(identity: &AuthUserId, stamp: &Stamp, expires_ms: i64) -> Vec<u8> {
    [b"reset-password".as_slice(), &expires_ms.to_be_bytes(), stamp.as_bytes(), identity.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_239_840_123;

    fn codes() -> Codes {
        Codes::new(&[7; 32], Duration::from_hours(1))
    }

    #[test]
    fn a_code_holds_for_its_identity_its_stamp_and_its_time() {
        let (codes, ada, stamp) = (codes(), "ada".to_owned(), Stamp::of(&[b"one"]));
        let claim = Codes::read(&codes.make(&ada, &stamp, NOW)).unwrap();
        assert_eq!(claim.identity, ada);
        assert!(codes.holds(&claim, &stamp, NOW) && codes.holds(&claim, &stamp, NOW + 3_599_999));
        assert!(!codes.holds(&claim, &stamp, NOW + 3_600_000), "its time is over");
        assert!(!codes.holds(&claim, &Stamp::of(&[b"two"]), NOW), "something else stands there");
        assert!(!codes.holds(&Claim { identity: "eve".to_owned(), ..claim }, &stamp, NOW), "it is another's");
        let other = Codes::new(&[8; 32], Duration::from_hours(1));
        let claim = Codes::read(&other.make(&ada, &stamp, NOW)).unwrap();
        assert!(!codes.holds(&claim, &stamp, NOW), "it was made under another key");
    }

    #[test]
    fn no_bit_of_a_code_may_differ() {
        let (codes, stamp) = (codes(), Stamp::of(&[b"one"]));
        let code = URL_SAFE_NO_PAD.decode(codes.make(&"ada".to_owned(), &stamp, NOW)).unwrap();
        for bit in 0..code.len() * 8 {
            let mut torn = code.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            let claim = Codes::read(&URL_SAFE_NO_PAD.encode(torn));
            assert!(!claim.is_some_and(|claim| codes.holds(&claim, &stamp, NOW)), "bit {bit}");
        }
        for cut in 0..code.len() {
            let claim = Codes::read(&URL_SAFE_NO_PAD.encode(&code[..cut]));
            assert!(!claim.is_some_and(|claim| codes.holds(&claim, &stamp, NOW)), "cut after {cut}");
        }
    }
}
