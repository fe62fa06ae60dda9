//! See `bodies/cookie.rs`.

#![no_main]

#[path = "../bodies/cookie.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::check(bytes));
