//! Tokens of ours (EdDSA JWT, `at+jwt`, RFC 9068) and the verification of them and of the provider's.

/// Signs and verifies.
pub struct Tokens;
