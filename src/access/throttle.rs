//! How often a password may be tried. Knows neither passwords nor who there is: a name that nobody has is counted like any
//! other.
//!
//! Failures are counted of a name together with the address, so that nobody can shut another person out, and of the address
//! alone, so that nobody can try all names. After the free ones whoever fails waits, twice as long each time.
//!
//! They are counted when it is known that they failed, but no more may try at once than may still fail; the others queue. So
//! many wrong passwords at once are no more tries than one after the other, and many right ones are all let in.

mod law;
mod turns;

use std::{net::IpAddr, sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use tokio::runtime::Handle;

use self::{
    law::Law,
    turns::{Place, Turns},
};
use crate::{
    clock::Clock,
    config::Login,
    error::{self, Code, Error},
    fold::fold,
    state::{
        self, Failures,
        failures::{self, Failed},
    },
};

/// Whose password is tried.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// A username or an e-mail, of somebody or of nobody.
    Name(&'a str),
    /// `authUserId`
    Identity(&'a str),
}

pub struct Throttle {
    store: Arc<dyn Failures>,
    clock: Clock,
    key: hmac::Key,
    of_name: Law,
    of_address: Law,
    turns: Turns,
}

/// A try that was let through. Whoever lets go of it without saying what came of it has failed: else he could hang up before
/// he is told.
#[must_use]
pub struct Attempt(Option<Open>);

struct Open {
    store: Arc<dyn Failures>,
    clock: Clock,
    name: Failed,
    address: Failed,
    /// Whether anything has failed under the name before.
    failed_before: bool,
    places: [Place; 2],
}

impl Throttle {
    /// `key` is one of the state's.
    pub fn new(store: Arc<dyn Failures>, clock: Clock, key: &[u8], settings: &Login) -> Self {
        let Login { free_failures: free, free_failures_address: free_of_address, max_wait: longest } = *settings;
        Self {
            store,
            clock,
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            // The longest wait forgets one failure, so that whoever goes on is not let off.
            of_name: Law::new(free, longest, longest),
            // Many people may share an address: as many more are forgotten as are free.
            of_address: Law::new(free_of_address, longest, longest * free / free_of_address),
            turns: Turns::default(),
        }
    }

    /// Lets a try through, after those before it that may still fail.
    ///
    /// # Errors
    /// `throttled`, with the seconds that are left.
    pub async fn admit(&self, whose: Whose<'_>, address: Option<IpAddr>) -> Result<Attempt, Error> {
        let network = network(address);
        let name = match whose {
            Whose::Name(name) => self.code(&[b"name", fold(name).as_bytes(), &network]),
            Whose::Identity(id) => self.code(&[b"identity", id.as_bytes(), &network]),
        };
        let address = self.code(&[b"address", &network]);
        // The narrower first: whoever waits for one name keeps nobody else at his address waiting.
        let (of_name, failed_before) = self.enter(name, &self.of_name).await?;
        let (of_address, _) = self.enter(address, &self.of_address).await?;
        Ok(Attempt(Some(Open {
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            name: self.of_name.failed(name),
            address: self.of_address.failed(address),
            failed_before,
            places: [of_name, of_address],
        })))
    }

    /// Takes away what counts no more; whether there may be more.
    pub async fn forget(&self, now_ms: i64, most: u32) -> Result<bool, state::Error> {
        self.store.forget(now_ms, most).await
    }

    /// A place under that code, and whether anything is counted there.
    async fn enter(&self, code: failures::Code, law: &Law) -> Result<(Place, bool), Error> {
        let turn = self.turns.of(code);
        let _next = turn.queue.lock().await;
        loop {
            // Before the look: whoever leaves in between has been counted by then.
            let under_way = turn.under_way();
            let tally = self.store.of(&code).await?;
            let now_ms = self.clock.now_ms();
            if let Some(left) = tally.and_then(|tally| law.left(tally, now_ms)) {
                return Err(throttled(left));
            }
            if under_way < law.room(tally, now_ms) {
                return Ok((turn.place(), tally.is_some()));
            }
            turn.left.notified().await;
        }
    }

    fn code(&self, parts: &[&[u8]]) -> failures::Code {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut code = failures::Code::default();
        code.copy_from_slice(context.sign().as_ref());
        code
    }
}

impl Attempt {
    /// The password was wrong, or of no use. Durable once this has answered, also when nobody waits for it any more.
    pub async fn failed(mut self) -> Result<(), Error> {
        let Some(open) = self.0.take() else { return Ok(()) };
        let counted = tokio::spawn(open.count()).await;
        counted.map_err(error::internal)?.map_err(Error::from)
    }

    /// The password was right: what failed before under this name is forgotten, but not what failed at this address.
    pub async fn passed(mut self) -> Result<(), Error> {
        let Some(open) = self.0.take().filter(|open| open.failed_before) else { return Ok(()) };
        Ok(open.store.clear(&open.name.code).await?)
    }

    /// Nobody knows, since something of ours or of others failed.
    pub fn undecided(mut self) {
        self.0 = None;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let (Some(open), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(open.count());
        }
    }
}

impl Open {
    /// The places are left afterwards.
    async fn count(self) -> Result<(), state::Error> {
        let Self { store, clock, name, address, places, .. } = self;
        let counted = store.add(vec![name, address], clock.now_ms()).await;
        drop(places);
        counted
    }
}

/// All addresses of an IPv6 network of 64 bits are one person's.
fn network(address: Option<IpAddr>) -> Vec<u8> {
    match address {
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        Some(IpAddr::V6(address)) => address.octets()[..8].to_vec(),
        None => Vec::new(),
    }
}

fn throttled(left: Duration) -> Error {
    let seconds = left.as_millis().div_ceil(1000).max(1);
    let message = "Too many failed logins: come again when the time in Retry-After has passed";
    Error::new(Code::Throttled, message).retry_after(u64::try_from(seconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
