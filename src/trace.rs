//! Which trace a piece of work belongs to (W3C Trace Context, level 1): from a request to the operation that it begins, and on
//! to every call that is made for it. Nothing is recorded here. Knows neither requests nor calls.

use std::{fmt, sync::Arc};

use crate::clock::Clock;

pub const PARENT: &str = "traceparent";
pub const STATE: &str = "tracestate";

/// What must be passed on of a `tracestate` at least (3.3.1.5), and here at most.
const LONGEST_STATE: usize = 512;
const MOST_MEMBERS: usize = 32;

tokio::task_local! {
    static CURRENT: Trace;
}

/// A trace. Cheap to copy.
#[derive(Clone, PartialEq, Eq)]
pub struct Trace {
    /// 32 hex digits in lower case, not all of them 0.
    id: Arc<str>,
    sampled: bool,
    /// What others want to be passed on.
    state: Option<Arc<str>>,
}

impl Trace {
    /// What a caller said; nothing where that is not what the recommendation says, which is as though he had said nothing.
    pub fn of<'a>(parent: &str, states: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let (version, rest) = parent.split_at_checked(2)?;
        // Later versions may say more behind it.
        let known = match version {
            "00" => parent.len() == 55,
            "ff" => false,
            _ => parent.len() == 55 || parent.as_bytes().get(55) == Some(&b'-'),
        };
        let mut parts = rest.get(..53)?.split('-');
        let (before, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let whole = before.is_empty() && parts.next().is_none() && id.len() == 32 && span.len() == 16;
        let sound = [version, id, span, flags].into_iter().all(is_hex);
        if !(known && whole && sound) || is_zero(id) || is_zero(span) {
            return None;
        }
        // Of the flags that nobody has given a meaning none is passed on (3.2.2.5.2).
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        Some(Self { id: id.into(), sampled, state: state(states) })
    }

    /// One that begins here.
    pub fn fresh(clock: &Clock) -> Self {
        Self { id: clock.uuid().simple().to_string().into(), sampled: false, state: None }
    }

    /// The one that the work at hand belongs to, where it belongs to one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// `traceparent` of one more call, with a parent id of its own.
    pub fn parent(&self, clock: &Clock) -> String {
        // The half of it that is random; it is never 0, since the variant stands in it.
        let (_, span) = clock.uuid().as_u64_pair();
        format!("00-{}-{span:016x}-{:02x}", self.id, u8::from(self.sampled))
    }

    /// `tracestate` of every call.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The work belongs to it.
    pub fn carry<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.id).finish()
    }
}

/// For work that goes on in a task of its own: it belongs to the trace that the work at hand does.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let current = Trace::current();
    async move {
        match current {
            Some(trace) => trace.carry(work).await,
            None => work.await,
        }
    }
}

/// As much of it as is passed on: what is too long ends earlier, and what makes no sense is dropped as a whole.
fn state<'a>(states: impl IntoIterator<Item = &'a str>) -> Option<Arc<str>> {
    let mut whole = String::new();
    let members = states.into_iter().flat_map(|line| line.split(',')).map(str::trim);
    for (nth, member) in members.filter(|member| !member.is_empty()).enumerate() {
        let sound = member.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !sound || member.split_once('=').is_none_or(|(key, value)| key.is_empty() || value.is_empty()) {
            return None;
        }
        if nth == MOST_MEMBERS || whole.len() + 1 + member.len() > LONGEST_STATE {
            break;
        }
        if !whole.is_empty() {
            whole.push(',');
        }
        whole.push_str(member);
    }
    (!whole.is_empty()).then(|| whole.into())
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn what_a_caller_says_is_taken_where_it_is_sound() {
        let check = |parent: &str, sampled: Option<bool>| {
            let trace = Trace::of(parent, []);
            assert_eq!(trace.as_ref().map(|trace| trace.sampled), sampled, "{parent}");
            assert!(trace.is_none_or(|trace| trace.id() == ID), "{parent}");
        };
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some(true));
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", Some(false));
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", Some(true));
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some(true));
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-will-be", Some(true));
        for bad in [
            "",
            "00",
            "ü",
            "00-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47-3600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
            "00 4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7 01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn what_others_want_to_be_passed_on_is_bounded() {
        let check = |states: &[&str], passed: Option<&str>| {
            assert_eq!(state(states.iter().copied()).as_deref(), passed, "{states:?}");
        };
        check(&[], None);
        check(&["", " , "], None);
        check(&["a=1 , b@x=2", "c=3"], Some("a=1,b@x=2,c=3"));
        check(&["a=1,b"], None);
        check(&["a=1,=2"], None);
        check(&["a=\u{e9}"], None);
        let long = format!("a={}", "x".repeat(400));
        check(&[&long, "b=1", &long, "c=2"], Some(&format!("{long},b=1")));
        check(&[&format!("a={}", "x".repeat(600))], None);
        let many = (0..40).map(|n| format!("k{n}=v")).collect::<Vec<_>>();
        check(&[&many.join(",")], Some(&many[..32].join(",")));
    }

    #[test]
    fn what_we_send_is_sound_and_each_time_another() {
        let clock = Clock::system();
        let trace = Trace::of(&format!("00-{ID}-00f067aa0ba902b7-01"), ["a=1"]).unwrap();
        let (one, other) = (trace.parent(&clock), trace.parent(&clock));
        assert_ne!(one, other);
        for parent in [one, other] {
            assert_eq!(Trace::of(&parent, ["a=1"]), Some(trace.clone()), "{parent}");
        }
        let fresh = Trace::fresh(&clock);
        assert_eq!(Trace::of(&fresh.parent(&clock), []), Some(fresh));
    }
}
