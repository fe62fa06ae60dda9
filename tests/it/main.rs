//! The stories.

mod plane_d;
mod plane_d_store;
mod settings;
mod twins;
