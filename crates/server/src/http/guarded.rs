//! A body that keeps its connection at work until it is sent or given up.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::watch::AtWork;

/// The body of an answer. Dropped when the last of it is with the system, or the client has gone.
#[derive(Debug)]
pub(super) struct Guarded {
    pub body: Body,
    #[expect(dead_code, reason = "its drop tells the watch")]
    pub at_work: AtWork,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
