//! Refresh tokens: 256 bits that only whoever was given them knows, and beside them what they are of. We keep a digest of the
//! one that counts; its successor is made of that digest and a key of the state, so that the same token always has the same
//! one, also after a crash.

use aws_lc_rs::{constant_time, hmac, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    access::tokens::sha256,
    error::{self, Error},
    state::sessions::Digest,
};

const SECRET: usize = 32;
/// Of the tag that tells a token of ours from an invented one, before anything is looked up.
const TAG: usize = 16;
const LENGTH: usize = 16 + 4 + SECRET + TAG;

/// Makes and reads them.
pub struct Maker(hmac::Key);

/// One of ours, though perhaps not one that counts.
pub struct RefreshToken {
    pub session: Uuid,
    /// How many came before it.
    pub turn: u32,
    secret: Zeroizing<[u8; SECRET]>,
}

impl Maker {
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The first of a session.
    pub fn first(&self, session: Uuid) -> Result<RefreshToken, Error> {
        let mut secret = Zeroizing::new([0; SECRET]);
        rand::fill(secret.as_mut()).map_err(|_| error::internal("no random numbers"))?;
        Ok(RefreshToken { session, turn: 0, secret })
    }

    pub fn successor(&self, of: &RefreshToken) -> RefreshToken {
        let turn = of.turn.saturating_add(1);
        let made = self.code("successor", of.session, turn, &of.digest());
        let mut secret = Zeroizing::new([0; SECRET]);
        secret.copy_from_slice(made.as_ref());
        RefreshToken { session: of.session, turn, secret }
    }

    /// For what of an answer looks random and must be the same when it is given again.
    pub fn random_of(&self, session: Uuid, turn: u32) -> [u8; 10] {
        let mut random = [0; 10];
        random.copy_from_slice(&self.code("answer", session, turn, &[]).as_ref()[..10]);
        random
    }

    pub fn text(&self, token: &RefreshToken) -> SecretString {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        bytes.extend_from_slice(token.session.as_bytes());
        bytes.extend_from_slice(&token.turn.to_be_bytes());
        bytes.extend_from_slice(token.secret.as_ref());
        bytes.extend_from_slice(&self.tag(token));
        URL_SAFE_NO_PAD.encode(bytes.as_slice()).into()
    }

    /// Nothing for what we never made.
    pub fn read(&self, text: &str) -> Option<RefreshToken> {
        // Longer ones are not even decoded.
        if text.len() != LENGTH.div_ceil(3) * 4 - (3 - LENGTH % 3) % 3 {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let (session, rest) = bytes.split_first_chunk::<16>()?;
        let (turn, rest) = rest.split_first_chunk::<4>()?;
        let (secret, tag) = rest.split_first_chunk::<SECRET>()?;
        let token = RefreshToken {
            session: Uuid::from_bytes(*session),
            turn: u32::from_be_bytes(*turn),
            secret: Zeroizing::new(*secret),
        };
        constant_time::verify_slices_are_equal(tag, &self.tag(&token)).ok().map(|()| token)
    }

    fn tag(&self, token: &RefreshToken) -> [u8; TAG] {
        let mut tag = [0; TAG];
        tag.copy_from_slice(&self.code("tag", token.session, token.turn, token.secret.as_ref()).as_ref()[..TAG]);
        tag
    }

    fn code(&self, purpose: &str, session: Uuid, turn: u32, of: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        // None of the parts but the last has a length that varies, once the purpose has ended.
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(session.as_bytes());
        context.update(&turn.to_be_bytes());
        context.update(of);
        context.sign()
    }
}

impl RefreshToken {
    pub fn digest(&self) -> Digest {
        sha256(self.secret.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_made_and_no_other_is() {
        let maker = Maker::new(&[7; 32]);
        let first = maker.first(Uuid::from_u128(5)).unwrap();
        let second = maker.successor(&first);
        for token in [&first, &second] {
            let text = maker.text(token);
            let text = text.expose_secret();
            let read = maker.read(text).unwrap();
            assert_eq!((read.session, read.turn, read.digest()), (token.session, token.turn, token.digest()));
            assert!(Maker::new(&[8; 32]).read(text).is_none(), "under another key");
            for at in 0..text.len() {
                let mut other = text.as_bytes().to_vec();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                assert!(maker.read(std::str::from_utf8(&other).unwrap()).is_none(), "changed at {at}");
                assert!(maker.read(&text[..at]).is_none(), "cut at {at}");
            }
            for other in [format!("{text}A"), format!("{text}="), format!(" {text}"), text.to_uppercase()] {
                assert!(maker.read(&other).is_none(), "{other}");
            }
        }
    }

    #[test]
    fn a_token_has_one_successor_and_no_two_have_the_same() {
        let maker = Maker::new(&[7; 32]);
        let [one, other] = [5, 5].map(|session| maker.first(Uuid::from_u128(session)).unwrap());
        assert_ne!(one.digest(), other.digest());
        assert_eq!(maker.successor(&one).digest(), maker.successor(&one).digest());
        assert_ne!(maker.successor(&one).digest(), maker.successor(&other).digest());
        assert_ne!(maker.successor(&one).digest(), one.digest());
        let twice = maker.successor(&maker.successor(&one));
        assert_eq!(twice.turn, 2);
        assert_ne!(twice.digest(), maker.successor(&one).digest());
    }
}
