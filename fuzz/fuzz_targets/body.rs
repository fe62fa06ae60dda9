//! See `bodies/body.rs`.

#![no_main]

#[path = "../bodies/body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::check(bytes));
