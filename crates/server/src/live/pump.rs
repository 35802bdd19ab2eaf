//! Asks for frames: at once when something has happened, else each second. At most eight a second, and
//! fewer where that would take more than a third of a core.

use std::{io, pin::Pin, sync::Arc, thread};

use engine::{
    EngineError,
    live::{Frame, LiveBoard},
    service::QueryService,
};
use events::UtcMicros;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

use super::Frames;
use crate::limits;

/// Where frames come from.
pub trait FrameSource: Send + Sync + 'static {
    /// The floor at this moment.
    fn frame(
        self: Arc<Self>,
        now: UtcMicros,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<Frame>, EngineError>> + Send>>;
}

impl FrameSource for LiveBoard {
    fn frame(
        self: Arc<Self>,
        now: UtcMicros,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<Frame>, EngineError>> + Send>> {
        Box::pin(async move { LiveBoard::frame(&self, now).await })
    }
}

/// A pump at work; it ends when it is dropped, or when nobody looks at its frames any more.
#[derive(Debug)]
pub struct FramePump {
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl FramePump {
    /// Begins. Frames are computed on the threads of queries; the thread of the pump only waits.
    /// The receiver has `None` until the first frame.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        source: Arc<dyn FrameSource>,
        queries: QueryService,
        now: Arc<dyn Fn() -> UtcMicros + Send + Sync>,
    ) -> io::Result<(FramePump, Frames)> {
        let (frames, receiver) = watch::channel(None);
        let (stop, stopping) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let pump = Pump {
            source,
            queries,
            now,
            frames,
        };
        let thread = thread::Builder::new()
            .name("live".to_owned())
            .spawn(move || runtime.block_on(pump.run(stopping)))?;
        let thread = Some(thread);
        Ok((FramePump { stop, thread }, receiver))
    }
}

impl Drop for FramePump {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the live board has panicked");
        }
    }
}

/// Making frames takes at most one part in so many of the time.
const FRAME_SHARE: u32 = 3;

struct Pump {
    source: Arc<dyn FrameSource>,
    queries: QueryService,
    now: Arc<dyn Fn() -> UtcMicros + Send + Sync>,
    frames: watch::Sender<Option<Arc<Frame>>>,
}

impl Pump {
    async fn run(self, mut stopping: watch::Receiver<bool>) {
        let mut arrivals = self.queries.arrivals();
        let mut failing = false;
        loop {
            let begun = Instant::now();
            let idle_until = begun + limits::LIVE_TICK_EVERY;
            // Seen: what arrives from here on is in the next frame.
            arrivals.borrow_and_update();
            let frame = Arc::clone(&self.source).frame((self.now)());
            let made = tokio::select! {
                made = self.queries.aside(frame) => made,
                _ = stopping.wait_for(|stop| *stop) => return,
            };
            match made {
                Some(Ok(frame)) => {
                    failing = false;
                    if self.frames.send(Some(frame)).is_err() {
                        return;
                    }
                }
                // The board grows old, and those who look at it see that it does.
                failed => {
                    let error = failed.and_then(Result::err);
                    if !failing {
                        // Without an error it was a panic, of which the log has the place.
                        let error = error.map(|error| error.to_string());
                        tracing::error!(error, "the live board cannot be computed");
                    }
                    failing = true;
                }
            }
            let next = begun + limits::LIVE_FRAME_EVERY.max(begun.elapsed() * FRAME_SHARE);
            let something_new = async {
                sleep_until(next).await;
                let _ = timeout_at(idle_until, arrivals.changed()).await;
            };
            tokio::select! {
                () = something_new => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    }
}
