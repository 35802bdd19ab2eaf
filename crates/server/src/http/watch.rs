//! How long a connection may take for what it is doing.
//!
//! Time runs while a request's head is awaited and between requests; a request at work has limits
//! of its own. The connection's task waits for [`Watch::expired`] beside the connection itself.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
    time::{Instant, Sleep, sleep, timeout_at},
};

use crate::limits;

/// What a connection is doing.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// A head is awaited; `begun` when some of it has come.
    Head { until: Instant, begun: bool },
    /// Requests are at work, or their answers on the way.
    Busy { requests: usize },
    /// Between requests.
    Idle { until: Instant },
    /// It was told to go.
    Ended,
}

/// The clock of one connection.
#[derive(Debug)]
pub(crate) struct Watch {
    phase: Mutex<Phase>,
    /// The connection ends then if its client has read nothing of an answer up to then.
    stalled_until: Mutex<Option<Instant>>,
    /// The phase may end earlier than it did.
    changed: Notify,
    /// Bytes that come between requests need not be the head of one (HTTP/2).
    multiplexed: AtomicBool,
    /// A stream without an end begins: its socket is to keep little, and to give up soon.
    streams: AtomicBool,
    times: WatchTimes,
}

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WatchTimes {
    pub header: Duration,
    pub idle: Duration,
    pub write_stall: Duration,
}

/// A request at work, or its answer on the way; dropped when it is over.
#[derive(Debug)]
pub(crate) struct AtWork(Arc<Watch>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.over();
    }
}

impl Watch {
    /// For a connection that was just made.
    pub(crate) fn new(times: WatchTimes) -> Arc<Self> {
        let until = Instant::now() + times.header;
        Arc::new(Watch {
            phase: Mutex::new(Phase::Head {
                until,
                begun: false,
            }),
            stalled_until: Mutex::default(),
            changed: Notify::new(),
            multiplexed: AtomicBool::new(false),
            streams: AtomicBool::new(false),
            times,
        })
    }

    /// It speaks HTTP/2: several requests at once, and signs of life in between.
    pub(crate) fn multiplexed(&self) {
        self.multiplexed.store(true, Ordering::Relaxed);
    }

    /// The answer that comes now is a stream of small things that lasts.
    pub(crate) fn streams(&self) {
        self.streams.store(true, Ordering::Relaxed);
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes to another phase, but never back from the end.
    fn change(&self, next: impl FnOnce(Phase) -> Option<Phase>) {
        let mut phase = self.phase();
        if !matches!(*phase, Phase::Ended)
            && let Some(next) = next(*phase)
        {
            *phase = next;
            self.changed.notify_one();
        }
    }

    /// A request begins to be worked on.
    pub(crate) fn busy(self: &Arc<Self>) -> AtWork {
        self.change(|phase| {
            let others = match phase {
                Phase::Busy { requests } => requests,
                _ => 0,
            };
            let requests = others + 1;
            Some(Phase::Busy { requests })
        });
        AtWork(Arc::clone(self))
    }

    fn over(&self) {
        let until = Instant::now() + self.times.idle;
        self.change(|phase| match phase {
            Phase::Busy { requests } if requests > 1 => Some(Phase::Busy {
                requests: requests - 1,
            }),
            _ => Some(Phase::Idle { until }),
        });
    }

    /// The connection is to go at once.
    pub(crate) fn end(&self) {
        self.change(|_| Some(Phase::Ended));
    }

    /// Is a request at work?
    pub(crate) fn is_busy(&self) -> bool {
        matches!(*self.phase(), Phase::Busy { .. })
    }

    /// Was nothing ever asked?
    pub(crate) fn is_unused(&self) -> bool {
        matches!(*self.phase(), Phase::Head { begun: false, .. })
    }

    /// Is nothing at all under way?
    pub(crate) fn is_quiet(&self) -> bool {
        let at_work = matches!(
            *self.phase(),
            Phase::Busy { .. } | Phase::Head { begun: true, .. }
        );
        !at_work && self.stalled().is_none()
    }

    /// Bytes came in.
    fn read(&self) {
        if self.multiplexed.load(Ordering::Relaxed) {
            return;
        }
        let until = Instant::now() + self.times.header;
        self.change(|phase| match phase {
            Phase::Idle { .. } => Some(Phase::Head { until, begun: true }),
            Phase::Head {
                until,
                begun: false,
            } => Some(Phase::Head { until, begun: true }),
            _ => None,
        });
    }

    /// Bytes of an answer were taken by the system, or were not because the client reads nothing.
    fn written(&self, taken: bool) {
        let mut stalled = self.stalled();
        match (taken, *stalled) {
            (true, _) => *stalled = None,
            (false, None) => {
                *stalled = Some(Instant::now() + self.times.write_stall);
                self.changed.notify_one();
            }
            (false, Some(_)) => {}
        }
    }

    fn stalled(&self) -> MutexGuard<'_, Option<Instant>> {
        self.stalled_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the time of a phase is over.
    pub(crate) async fn expired(&self) {
        loop {
            match self.ends_at() {
                Some(until) => {
                    let over = timeout_at(until, self.changed.notified()).await.is_err();
                    if over && self.ends_at().is_some_and(|until| until <= Instant::now()) {
                        return;
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// When the connection ends if nothing happens before.
    fn ends_at(&self) -> Option<Instant> {
        let phase = match *self.phase() {
            Phase::Head { until, .. } | Phase::Idle { until } => Some(until),
            Phase::Ended => Some(Instant::now()),
            Phase::Busy { .. } => None,
        };
        let stalled = *self.stalled();
        phase.into_iter().chain(stalled).min()
    }
}

/// A connection that tells its watch when bytes come in.
#[derive(Debug)]
pub(crate) struct Watched {
    stream: TcpStream,
    watch: Arc<Watch>,
    /// Nothing more is said; until then the client is still listened to.
    leaves: Option<Pin<Box<Sleep>>>,
    /// Bytes that it has read away since.
    unheard: usize,
}

impl Watched {
    pub(crate) fn new(stream: TcpStream, watch: Arc<Watch>) -> Self {
        Watched {
            stream,
            watch,
            leaves: None,
            unheard: 0,
        }
    }

    /// A stream shows what is now: what its reader has not taken is stale before it arrives. So the
    /// system keeps little of it, and gives up on a reader that confirms nothing.
    fn narrow(&self) {
        if !self.watch.streams.swap(false, Ordering::Relaxed) {
            return;
        }
        let socket = SockRef::from(&self.stream);
        let given_up = socket.set_tcp_user_timeout(Some(limits::LIVE_UNCONFIRMED_MAX));
        // Other answers share the connection of HTTP/2, and its own windows keep a stream small.
        let kept = match self.watch.multiplexed.load(Ordering::Relaxed) {
            true => Ok(()),
            false => socket.set_send_buffer_size(limits::LIVE_SEND_BUFFER_BYTES),
        };
        if let Err(error) = given_up.and(kept) {
            tracing::debug!(%error, "a stream with the usual buffers");
        }
    }
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
        self.narrow();
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch.written(polled.is_ready());
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Says that nothing more is sent, then reads away what the client still sends.
    ///
    /// A socket that is closed with bytes unread resets the connection, and a reset takes away from
    /// the client what it has not read yet: the end of the last answer. Who sends on and on all the same
    /// is not listened to for long, and is reset.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.leaves.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.leaves = Some(Box::pin(sleep(limits::LAST_WORDS)));
        }
        let Watched {
            stream,
            leaves,
            unheard: read,
            ..
        } = &mut *self;
        let leaves = leaves.as_mut().expect("set above");
        let mut unheard = [0; 4096];
        loop {
            if leaves.as_mut().poll(cx).is_ready() || *read > limits::UNHEARD_BYTES_MAX {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut unheard);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *read += buffer.filled().len(),
                // The client has left.
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.narrow();
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch.written(polled.is_ready());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
