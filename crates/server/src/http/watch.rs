//! How long a connection may take for what it is doing.
//!
//! Time runs while a request's head is awaited and between requests; a request at work has limits
//! of its own. The connection's task waits for [`Watch::expired`] beside the connection itself.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
    time::{Instant, timeout_at},
};

/// What a connection is doing.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// A head is awaited; `begun` when some of it has come.
    Head { until: Instant, begun: bool },
    /// A request is at work.
    Busy,
    /// Between requests.
    Idle { until: Instant },
    /// It was told to go.
    Ended,
}

/// The clock of one connection.
#[derive(Debug)]
pub(crate) struct Watch {
    phase: Mutex<Phase>,
    /// The phase may end earlier than it did.
    changed: Notify,
    header_timeout: Duration,
    idle_timeout: Duration,
}

impl Watch {
    /// For a connection that was just made.
    pub(crate) fn new(header_timeout: Duration, idle_timeout: Duration) -> Arc<Self> {
        let until = Instant::now() + header_timeout;
        Arc::new(Watch {
            phase: Mutex::new(Phase::Head {
                until,
                begun: false,
            }),
            changed: Notify::new(),
            header_timeout,
            idle_timeout,
        })
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes to another phase, but never back from the end.
    fn set(&self, next: Phase) {
        let mut phase = self.phase();
        if !matches!(*phase, Phase::Ended) {
            *phase = next;
            self.changed.notify_one();
        }
    }

    /// A request begins to be worked on.
    pub(crate) fn busy(&self) {
        self.set(Phase::Busy);
    }

    /// The request's answer is there.
    pub(crate) fn idle(&self) {
        let until = Instant::now() + self.idle_timeout;
        self.set(Phase::Idle { until });
    }

    /// The connection is to go at once.
    pub(crate) fn end(&self) {
        self.set(Phase::Ended);
    }

    /// Is a request at work?
    pub(crate) fn is_busy(&self) -> bool {
        matches!(*self.phase(), Phase::Busy)
    }

    /// Is nothing at all under way?
    pub(crate) fn is_quiet(&self) -> bool {
        !matches!(*self.phase(), Phase::Busy | Phase::Head { begun: true, .. })
    }

    /// Bytes came in.
    fn read(&self) {
        let phase = *self.phase();
        match phase {
            Phase::Idle { .. } => self.set(Phase::Head {
                until: Instant::now() + self.header_timeout,
                begun: true,
            }),
            Phase::Head {
                until,
                begun: false,
            } => self.set(Phase::Head { until, begun: true }),
            _ => {}
        }
    }

    /// Returns when the time of a phase is over.
    pub(crate) async fn expired(&self) {
        loop {
            let phase = *self.phase();
            match phase {
                Phase::Ended => return,
                Phase::Busy => self.changed.notified().await,
                Phase::Head { until, .. } | Phase::Idle { until } => {
                    let over = timeout_at(until, self.changed.notified()).await.is_err();
                    if over && self.is_over() {
                        return;
                    }
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        match *self.phase() {
            Phase::Head { until, .. } | Phase::Idle { until } => until <= Instant::now(),
            Phase::Ended => true,
            Phase::Busy => false,
        }
    }
}

/// A connection that tells its watch when bytes come in.
#[derive(Debug)]
pub(crate) struct Watched {
    pub stream: TcpStream,
    pub watch: Arc<Watch>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.watch.read();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
