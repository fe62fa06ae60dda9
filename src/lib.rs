//! user-manager keeps a person's **user** (a document in a store) and his **identity** (an account at an identity
//! provider) in step, whatever fails on the way.
//!
//! The modules in reading order. Imports run downwards.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// Who asks.
pub mod access;
pub mod admin;
pub mod admission;
pub mod api;
pub mod app;
pub mod check;
pub mod health;

// What happens.
pub mod crash;
pub mod documents;
pub mod events;
pub mod groups;
pub mod idempotency;
pub mod mail;
pub mod operations;
pub mod proxy;
pub mod retention;
pub mod roles;
pub mod saga;
pub mod users;

// To whom it happens: a trait each, a file a driver.
pub mod identity;
pub mod store;
pub mod systems;

// What they stand on.
pub mod clock;
pub mod config;
pub mod descriptors;
pub mod error;
pub mod fold;
pub mod lately;
pub mod line;
pub mod logging;
pub mod metrics;
pub mod outcome;
pub mod patch;
pub mod query;
pub mod remote;
pub mod state;
pub mod supervisor;
pub mod trace;
