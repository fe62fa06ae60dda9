//! user-manager keeps a person's **user** (a document in a store) and his **identity** (an account at an identity
//! provider) in step, whatever fails on the way.
//!
//! The modules in reading order. Imports run downwards.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

// Who asks.
pub mod app;
pub mod api;
pub mod access;
pub mod admin;

// What happens.
pub mod users;
pub mod groups;
pub mod operations;
pub mod saga;
pub mod crash;

// To whom it happens: a trait each, a file a driver.
pub mod systems;
pub mod store;
pub mod identity;

// What they stand on.
pub mod state;
pub mod remote;
pub mod query;
pub mod config;
pub mod outcome;
pub mod error;
pub mod clock;
pub mod fold;
