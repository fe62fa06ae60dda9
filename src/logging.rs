//! The log: one line an event, text for people and JSON elsewhere, every line with the spans it happened in (request,
//! operation). Knows nothing of what is logged; that no secret, e-mail or username gets there is up to whoever logs.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    panic,
};

use tracing::{Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    filter::filter_fn,
    fmt::{MakeWriter, format::Writer, time::FormatTime},
    layer::SubscriberExt,
};

use crate::{
    clock::Clock,
    config::{Level, Log, LogFormat, Note},
};

/// From now on everything is logged to the standard error stream. To be called once.
pub fn start(log: &Log, clock: Clock) {
    let text = match log.format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let colour = text && io::stderr().is_terminal();
    // A second start in one process keeps the first log.
    let _ = tracing::subscriber::set_global_default(subscriber(log.level, text, colour, clock, io::stderr));
    panic::set_hook(Box::new(|info| {
        // The message may hold values; where it happened is enough to find it.
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(%place, "a defect of ours: panic");
    }));
}

/// What somebody should know of the settings.
pub fn notes(notes: &[Note]) {
    for Note { level, sentence } in notes {
        match level {
            Level::Info => tracing::info!("{sentence}"),
            Level::Warn => tracing::warn!("{sentence}"),
        }
    }
}

/// Everything below `level` is dropped, but never a span: a warning must carry its request's id too.
fn subscriber<W>(level: LevelFilter, text: bool, colour: bool, clock: Clock, to: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let wanted = filter_fn(move |of: &Metadata<'_>| {
        let ours = of.target().starts_with("user_manager");
        if ours && of.is_span() {
            return *of.level() <= tracing::Level::INFO || *of.level() <= level;
        }
        // What the crates below us have to say in detail may hold what they carry.
        *of.level() <= level && (ours || *of.level() <= tracing::Level::WARN)
    });
    let lines = tracing_subscriber::fmt::layer().with_timer(Stamp(clock)).with_writer(OneLine(to));
    if text {
        Box::new(Registry::default().with(lines.with_ansi(colour).with_target(false).with_filter(wanted)))
    } else {
        let json = lines.json().flatten_event(true).with_current_span(false).with_span_list(true);
        Box::new(Registry::default().with(json.with_filter(wanted)))
    }
}

/// Our own time, so that log and journal agree.
struct Stamp(Clock);

impl FormatTime for Stamp {
    fn format_time(&self, to: &mut Writer<'_>) -> fmt::Result {
        to.write_str(&self.0.now_text())
    }
}

/// An event is written in one piece, and a line break within it would forge a line.
struct OneLine<W>(W);

struct OneLineWriter<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for OneLine<W> {
    type Writer = OneLineWriter<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }
}

impl<W: Write> Write for OneLineWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let body = event.strip_suffix(b"\n").unwrap_or(event);
        let mut line = Vec::with_capacity(event.len());
        for byte in body {
            match byte {
                b'\n' => line.extend_from_slice(b"\\n"),
                b'\r' => line.extend_from_slice(b"\\r"),
                _ => line.push(*byte),
            }
        }
        line.push(b'\n');
        self.0.write_all(&line)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: LevelFilter, text: bool, work: impl FnOnce()) -> String {
        let kept = Kept::default();
        let to = kept.clone();
        let subscriber = subscriber(level, text, false, Clock::system(), move || to.clone());
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        for text in [true, false] {
            let lines = logged(LevelFilter::INFO, text, || {
                tracing::info!(value = "a\nb\u{1b}[31m\r\nc", "one\ntwo");
                tracing::info!("{}", "three\nfour");
            });
            assert_eq!(lines.lines().count(), 2, "{lines}");
            assert!(!lines.contains('\u{1b}'), "{lines:?}");
        }
    }

    #[test]
    fn every_line_has_the_request_whatever_the_level() {
        for (text, level) in [(true, LevelFilter::WARN), (false, LevelFilter::WARN), (false, LevelFilter::TRACE)] {
            let lines = logged(level, text, || {
                let _request = tracing::info_span!("request", id = "r-1").entered();
                let _operation = tracing::info_span!("operation", kind = "create-user").entered();
                tracing::warn!("told");
            });
            assert!(lines.contains("r-1") && lines.contains("create-user"), "{lines}");
        }
    }

    #[test]
    fn details_of_the_crates_below_stay_out() {
        let lines = logged(LevelFilter::TRACE, false, || {
            tracing::debug!(target: "hyper", "a header");
            tracing::warn!(target: "hyper", "a warning");
            tracing::trace!("ours");
        });
        assert_eq!(lines.lines().count(), 2, "{lines}");
        let line: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!((&line["message"], &line["level"]), (&"ours".into(), &"TRACE".into()));
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn silence_is_silent() {
        assert_eq!(logged(LevelFilter::OFF, false, || tracing::error!("x")), "");
    }
}
