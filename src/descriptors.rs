//! How many files and connections the operating system lets this process hold at once. Knows nothing of what is held.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is held beside connections: our own state, calls to other systems, templates, the log.
const BESIDE: u64 = 100;

/// Raises the limit as far as the operating system lets us where it is too low for so many connections.
/// What remains too low is a sentence for the operator.
pub fn allow(connections: usize) -> Option<String> {
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(BESIDE);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None is no limit.
    if current.is_none_or(|current| current >= needed) {
        return None;
    }
    let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
    let held = match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
        Ok(()) => raised,
        Err(_) => current.unwrap_or_default(),
    };
    (held < needed).then(|| {
        format!(
            "MAX_CONNECTIONS: this process may hold {held} files and connections at once (ulimit -n), and {needed} are \
             needed: raise that limit or lower MAX_CONNECTIONS"
        )
    })
}
