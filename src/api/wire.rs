//! One connection's bytes. hyper answers by itself, without a body, when it cannot read the head of a request; those answers
//! are held back here, so that the caller gets the ones that `server` writes. And it waits for ever for somebody who does not
//! read his answer; here he is given up.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::traffic::Traffic;
use crate::clock::Clock;

pub struct Wire<C> {
    connection: C,
    traffic: Arc<Traffic>,
    clock: Clock,
    /// How long the other side may take nothing of an answer.
    patience: Duration,
    /// The end of it, while nothing is taken.
    waiting: Option<Wait>,
    gave_up: bool,
}

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<C> Wire<C> {
    pub fn new(connection: C, traffic: Arc<Traffic>, clock: Clock, patience: Duration) -> Self {
        Self { connection, traffic, clock, patience, waiting: None, gave_up: false }
    }

    /// Whether the other side took nothing for so long that no more is to be written.
    pub fn gave_up(&self) -> bool {
        self.gave_up
    }

    pub fn into_inner(self) -> C {
        self.connection
    }

    fn taken(&mut self) {
        self.waiting = None;
        self.traffic.set_stuck(false);
    }

    fn not_taken(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.traffic.set_stuck(true);
        let waiting = self.waiting.get_or_insert_with(|| {
            let (clock, patience) = (self.clock.clone(), self.patience);
            Box::pin(async move { clock.deadline(patience).await })
        });
        waiting.as_mut().poll(cx).map(|()| {
            self.gave_up = true;
            io::Error::new(io::ErrorKind::TimedOut, "the answer was not read")
        })
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Wire<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(cx, buf)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Wire<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // What stands before an automatic answer is the end of one of ours.
        let ours = &bytes[..automatic(bytes).unwrap_or(bytes.len())];
        if ours.is_empty() {
            return Poll::Ready(Ok(bytes.len()));
        }
        match Pin::new(&mut self.connection).poll_write(cx, ours) {
            Poll::Ready(written) => {
                self.taken();
                Poll::Ready(written)
            }
            Poll::Pending => self.not_taken(cx).map(Err),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

/// Where an automatic answer begins in what hyper writes. It is the last that is ever written to the connection, has no body,
/// and bears no `x-request-id`, which every answer of ours does.
fn automatic(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let start = last(bytes, b"HTTP/1.1 4")?;
    let ours = last(&bytes[start..], b"x-request-id").is_some();
    (!ours).then_some(start)
}

fn last(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).rposition(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::atomic::{AtomicU8, Ordering::Relaxed},
    };

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::clock::Time;

    /// How often somebody began to wait; the second one's time is up at once.
    #[derive(Clone, Default)]
    struct Waits(Arc<AtomicU8>);

    impl Time for Waits {
        fn now_ms(&self) -> i64 {
            0
        }
        fn pause(&self, _: Duration) -> Wait {
            Box::pin(pending())
        }
        fn deadline(&self, _: Duration) -> Wait {
            if self.0.fetch_add(1, Relaxed) == 1 { Box::pin(ready(())) } else { Box::pin(pending()) }
        }
    }

    #[tokio::test]
    async fn patience_begins_anew_with_every_byte_that_is_taken() {
        let (near, mut far) = tokio::io::duplex(4);
        let (waits, traffic) = (Waits::default(), Arc::new(Traffic::default()));
        let mut wire = Wire::new(near, traffic.clone(), Clock::new(waits.clone()), Duration::from_secs(1));
        wire.write_all(b"abcd").await.unwrap();
        for _ in 0..3 {
            assert!(wire.write(b"e").now_or_never().is_none());
        }
        assert_eq!((waits.0.load(Relaxed), traffic.rest()), (1, None));
        far.read_exact(&mut [0; 2]).await.unwrap();
        wire.write_all(b"ef").await.unwrap();
        assert!(traffic.rest().is_some() && !wire.gave_up());
        let given_up = wire.write(b"g").await.unwrap_err();
        assert_eq!((given_up.kind(), wire.gave_up()), (io::ErrorKind::TimedOut, true));
    }

    #[test]
    fn only_answers_that_are_not_ours_are_held_back() {
        let theirs = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let ours = "HTTP/1.1 404 Not Found\r\nx-request-id: 1\r\ncontent-length: 2\r\n\r\n{}";
        let empty = "HTTP/1.1 204 No Content\r\nx-request-id: 1\r\n\r\n";
        let head = "HTTP/1.1 401 Unauthorized\r\nx-request-id: 1\r\ncontent-length: 9\r\n\r\n";
        assert_eq!(automatic(theirs.as_bytes()), Some(0));
        for (before, whole) in [(ours, format!("{ours}{theirs}")), (empty, format!("{empty}{theirs}"))] {
            assert_eq!(automatic(whole.as_bytes()), Some(before.len()));
        }
        for kept in [ours, empty, head, "", "\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
            assert_eq!(automatic(kept.as_bytes()), None, "{kept}");
        }
    }
}
