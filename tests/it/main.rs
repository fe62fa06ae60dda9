//! The stories.

mod settings;
