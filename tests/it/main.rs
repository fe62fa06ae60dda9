//! The stories, the planes and the checks, in one program.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "tests read the environment, measure time, print their counts and ask for one variant among many"
)]

mod api;
mod bad_input;
mod command_line;
mod crud_service;
mod house;
mod keycloak;
mod matrix;
mod plane_d;
mod plane_d_identity;
mod plane_d_store;
mod plane_k;
mod plane_s;
mod recovery;
mod replies;
mod settings;
mod stories;
mod twins;
mod worlds;
