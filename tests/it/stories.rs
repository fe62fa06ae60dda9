//! What people do and what becomes of it, in every world.

mod adopted;
mod changes;
mod cookies;
pub mod events;
mod expiry;
mod failures;
mod group_documents;
mod groups;
mod hang_up;
mod history;
mod keys;
mod last_admin;
mod life;
mod lists;
mod many;
mod names;
mod passwords;
mod pending;
mod registered;
mod role_catalogue;
mod rows;
mod sessions;
mod sessions_end;
mod states;
mod takeover;
mod userinfo;
