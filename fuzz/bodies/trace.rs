//! What a caller says of his trace, `traceparent` in the first line and a `tracestate` in each further one: what is taken is
//! passed on so that whoever hears it takes it too.

use user_manager::{clock::Clock, trace::Trace};

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let Some(trace) = Trace::of(lines.next().unwrap_or_default(), lines) else { return };
    let (parent, state) = (trace.parent(&Clock::system()), trace.state().unwrap_or_default().to_owned());
    for said in [&parent, &state] {
        assert!(said.len() <= 512 && said.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{said:?}");
    }
    assert_eq!(Trace::of(&parent, [state.as_str()]), Some(trace), "{parent:?} {state:?}");
}
