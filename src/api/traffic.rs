//! What is known of one connection beside its bytes: whether a request is in progress, whether the other side takes what is
//! written. Shared by those who read, answer and write; all of them run in the one task of the connection.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::places::Rest;

#[derive(Default)]
pub struct Traffic {
    came: AtomicBool,
    worked: AtomicBool,
    running: AtomicBool,
    stuck: AtomicBool,
}

/// A request in progress, until it is dropped.
pub struct Running(Arc<Traffic>);

/// The body of an answer; with its last byte the request is no longer in progress.
pub struct Answered {
    body: Body,
    _running: Running,
}

impl Traffic {
    /// A whole head of a request has come.
    pub fn begins(self: &Arc<Self>) -> Running {
        self.came.store(true, Relaxed);
        self.worked.store(true, Relaxed);
        self.running.store(true, Relaxed);
        Running(self.clone())
    }

    /// Whether a request has begun since this was asked last; it may be answered already.
    pub fn has_worked(&self) -> bool {
        self.worked.swap(false, Relaxed)
    }

    /// Whether something is to be written that the other side does not take.
    pub fn set_stuck(&self, stuck: bool) {
        self.stuck.store(stuck, Relaxed);
    }

    /// Nothing while a request is in progress or its answer is not written whole.
    pub fn rest(&self) -> Option<Rest> {
        if self.running.load(Relaxed) || self.stuck.load(Relaxed) {
            return None;
        }
        Some(if self.came.load(Relaxed) { Rest::Idle } else { Rest::New })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.store(false, Relaxed);
    }
}

impl Running {
    pub fn until_sent(self, body: Body) -> Body {
        Body::new(Answered { body, _running: self })
    }
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
