//! The stories.

mod api;
mod bad_input;
mod crud_service;
mod keycloak;
mod matrix;
mod plane_d;
mod plane_d_identity;
mod plane_d_store;
mod plane_k;
mod plane_s;
mod settings;
mod stories;
mod twins;
mod worlds;
