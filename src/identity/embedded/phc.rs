//! Argon2id (RFC 9106) and the PHC strings that its results are stored as. Knows nothing of who waits for them.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

/// 19 MiB, two passes, one lane: OWASP's first choice. What is stored keeps the parameters that it was made with.
const COST: Cost = Cost { memory: Params::DEFAULT_M_COST, passes: 2, lanes: 1 };

const SALT: usize = 16;
const OUTPUT: usize = 32;
/// Of a hash that others made: a shorter one would be met by chance.
const SHORTEST_OUTPUT: usize = 16;

/// A stored string may ask for at most so much; more is no string that we take.
const MOST: Cost = Cost { memory: 256 * 1024, passes: 16, lanes: 8 };

/// Where a thread hashes. Reused, since faulting 19 MiB in takes as long as hashing them.
#[derive(Default)]
pub struct Memory {
    blocks: Vec<Block>,
    /// So many hashes were computed.
    #[cfg(test)]
    pub computed: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

/// A hash, and all that is needed to make it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phc {
    cost: Cost,
    salt: Vec<u8>,
    output: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    /// KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    fn is_bearable(self) -> bool {
        self.memory <= MOST.memory && self.passes <= MOST.passes && self.lanes <= MOST.lanes
    }
}

impl Memory {
    pub fn is_released(&self) -> bool {
        self.blocks.capacity() == 0
    }

    /// Back to the operating system.
    pub fn release(&mut self) {
        self.blocks = Vec::new();
    }

    fn blocks(&mut self, count: usize) -> &mut [Block] {
        // The C library keeps what is freed below 32 MiB; above, it is mapped and unmapped. Only what is used is ever
        // touched, so the rest costs nothing but addresses.
        const MAPPED: usize = 40 * 1024;
        if self.blocks.len() < count {
            self.release();
            self.blocks.reserve_exact(count.max(MAPPED));
            self.blocks.resize(count, Block::new());
        }
        &mut self.blocks[..count]
    }
}

impl Phc {
    /// Of a new password, with a fresh salt.
    pub fn hash(password: &[u8], memory: &mut Memory) -> Result<Self, String> {
        let mut salt = vec![0; SALT];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| "the system gives no random bytes".to_owned())?;
        let output = compute(COST, password, &salt, OUTPUT, memory)?;
        Ok(Self { cost: COST, salt, output })
    }

    /// What is computed where there is nothing to compare with, so that it takes as long.
    pub fn dummy() -> Self {
        Self { cost: COST, salt: vec![0; SALT], output: vec![0; OUTPUT] }
    }

    /// Whether it was made of this password.
    pub fn verify(&self, password: &[u8], memory: &mut Memory) -> Result<bool, String> {
        let output = compute(self.cost, password, &self.salt, self.output.len(), memory)?;
        Ok(aws_lc_rs::constant_time::verify_slices_are_equal(&output, &self.output).is_ok())
    }

    /// Whether a new one would cost something else.
    pub fn is_outdated(&self) -> bool {
        self.cost != COST
    }

    /// `$argon2id$v=19$m=…,t=…,p=…$salt$hash`, base64 without padding.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
        let (costs, salt, output) = (parts.next()?, parts.next()?, parts.next()?);
        let mut costs = costs.split(',');
        let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.parse::<u32>().ok();
        let cost = Cost { memory: cost("m=")?, passes: cost("t=")?, lanes: cost("p=")? };
        let whole = parts.next().is_none() && costs.next().is_none() && cost.is_bearable();
        let bytes = |text: &str| STANDARD_NO_PAD.decode(text).ok();
        let (salt, output) = (bytes(salt)?, bytes(output)?);
        (whole && output.len() >= SHORTEST_OUTPUT).then_some(Self { cost, salt, output })
    }
}

impl std::fmt::Display for Phc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Cost { memory, passes, lanes } = self.cost;
        let (salt, output) = (STANDARD_NO_PAD.encode(&self.salt), STANDARD_NO_PAD.encode(&self.output));
        write!(f, "$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${output}")
    }
}

fn compute(cost: Cost, password: &[u8], salt: &[u8], length: usize, memory: &mut Memory) -> Result<Vec<u8>, String> {
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(length)).map_err(|error| error.to_string())?;
    #[cfg(test)]
    memory.computed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let blocks = memory.blocks(params.block_count());
    let mut output = vec![0; length];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, &mut output, blocks)
        .map_err(|error| error.to_string())?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_its_text_and_knows_its_password() {
        let mut memory = Memory::default();
        let made = Phc::hash(b"correct horse", &mut memory).unwrap();
        let text = made.to_string();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let read = Phc::parse(&text).unwrap();
        assert_eq!(read, made);
        assert!(read.verify(b"correct horse", &mut memory).unwrap());
        assert!(!read.verify(b"correct horsf", &mut memory).unwrap());
        assert!(!Phc::dummy().verify(b"", &mut memory).unwrap());
    }

    /// Made by the reference implementation: `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32 -e`, as its
    /// own tests list it.
    #[test]
    fn a_hash_of_another_implementation_is_understood() {
        let theirs = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let mut memory = Memory::default();
        assert!(Phc::parse(theirs).unwrap().verify(b"password", &mut memory).unwrap());
    }

    #[test]
    fn anything_else_is_no_hash() {
        for text in [
            "",
            "secret",
            "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=65536,t=2$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ",
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$!$",
            "$argon2id$v=19$m=65536,t=4294967295,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ] {
            assert_eq!(Phc::parse(text), None, "{text}");
        }
    }
}
