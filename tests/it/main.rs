//! The stories, the planes and the checks, in one program.

#![expect(clippy::disallowed_methods, reason = "tests measure time and send requests themselves")]

mod api;
mod bad_input;
mod browser;
mod bundles;
mod calls;
mod command_line;
mod crud_service;
mod damage;
mod documented;
mod fuzzed;
mod holding;
mod house;
mod keycloak;
mod matrix;
mod memory;
mod metrics;
mod moments;
mod plane_d;
mod plane_d_identity;
mod plane_d_sessions;
mod plane_d_store;
mod plane_k;
mod plane_s;
mod plane_sessions;
mod queries;
mod recovery;
mod replies;
mod seed;
mod settings;
mod stories;
mod traces;
mod twins;
mod undo;
mod worlds;
