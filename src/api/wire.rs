//! One connection's bytes. hyper answers by itself, without a body, when it cannot read the head of a request; those answers
//! are held back here, so that the caller gets the ones that `server` writes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub struct Wire<C>(pub C);

impl<C: AsyncRead + Unpin> AsyncRead for Wire<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Wire<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match automatic(bytes) {
            Some(0) => Poll::Ready(Ok(bytes.len())),
            // What stands before it is the end of an answer of ours.
            Some(start) => Pin::new(&mut self.0).poll_write(cx, &bytes[..start]),
            None => Pin::new(&mut self.0).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
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
    use super::automatic;

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
