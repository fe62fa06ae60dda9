//! What whoever started us tells in the environment. These are no settings of ours.

use std::{env, ffi::OsString};

/// Where it wants to hear when we are ready and when we stop (sd_notify(3)).
pub fn notify_socket() -> Option<OsString> {
    env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())
}
