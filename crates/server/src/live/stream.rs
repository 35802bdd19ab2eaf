//! One stream: what its reader gets, in which order, and when it ends.
//!
//! Nothing is queued. Whenever the reader has room, it gets what follows the frame that it has: the
//! same bytes as everybody who has that frame, or one delta over all that it has missed.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use serde::Serialize;
use tokio::{
    runtime::Handle,
    sync::watch::Receiver,
    time::{Instant, timeout_at},
};

use super::{
    alert::AlertLog,
    body::Lang,
    readers::{Bye, Place},
    view::{Form, View, event},
};
use crate::limits;

/// What a stream needs of the server.
pub(super) struct Sources {
    pub views: Receiver<Option<Arc<View>>>,
    pub alerts: Receiver<AlertLog>,
    pub stopping: Receiver<bool>,
    pub decoders: Handle,
}

/// When things happen in a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// After so long of silence there is a comment.
    pub heart_beat: std::time::Duration,
    /// It ends then.
    pub until: Instant,
}

/// A stream at work.
pub(super) struct Stream {
    sources: Sources,
    place: Place,
    lang: Lang,
    times: Times,
    /// The frame that the reader has: epoch and number.
    has: Option<(u64, u64)>,
    tick: u64,
    /// Number of the newest alert that it has.
    heard: Option<u64>,
    /// What it is about to take.
    next: VecDeque<Bytes>,
    said: Instant,
    over: bool,
}

#[derive(Serialize)]
struct ByeBody {
    reason: &'static str,
    retry_ms: u64,
}

impl Stream {
    pub(super) fn new(
        sources: Sources,
        place: Place,
        lang: Lang,
        last_event_id: Option<&str>,
        times: Times,
    ) -> Self {
        let view = sources.views.borrow().clone();
        let resumed = view.zip(last_event_id).and_then(|(view, id)| {
            let seq = view.resume(id)?;
            Some((view.frame.epoch, seq))
        });
        let retry = format!("retry: {}\n\n", limits::LIVE_RETRY.as_millis());
        Stream {
            sources,
            place,
            lang,
            times,
            has: resumed,
            tick: 0,
            heard: None,
            next: VecDeque::from([retry.into()]),
            said: Instant::now(),
            over: false,
        }
    }

    /// As the body of an answer.
    pub(super) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(self, async |mut stream| {
            let bytes = stream.next().await?;
            Some((Ok::<_, Infallible>(bytes), stream))
        }))
    }

    /// The next piece; `None` after the last.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.piece() {
                self.place.reader.takes();
                self.said = Instant::now();
                return Some(piece);
            }
            if self.over {
                return None;
            }
            if let Some(bye) = self.bye() {
                self.next.push_back(self.farewell(bye));
                self.over = true;
                continue;
            }
            self.gather().await;
            if self.next.is_empty() {
                self.place.reader.waits();
                self.wait().await;
                if self.said.elapsed() >= self.times.heart_beat {
                    self.next.push_back(Bytes::from_static(b":\n\n"));
                }
            }
        }
    }

    /// What fits into the buffers of a connection, so that one large event is not copied whole.
    fn piece(&mut self) -> Option<Bytes> {
        let mut first = self.next.pop_front()?;
        if first.len() > limits::LIVE_PIECE_BYTES {
            let rest = first.split_off(limits::LIVE_PIECE_BYTES);
            self.next.push_front(rest);
        }
        Some(first)
    }

    fn bye(&self) -> Option<Bye> {
        let told = *self.place.reader.told.borrow();
        match told {
            _ if *self.sources.stopping.borrow() => Some(Bye::Closing),
            Some((bye, _)) => Some(bye),
            None if Instant::now() >= self.times.until => Some(Bye::Age),
            None => None,
        }
    }

    fn farewell(&self, bye: Bye) -> Bytes {
        let retry = limits::LIVE_RETRY.as_millis() as u64;
        // Not all at once: a thousand screens come back after a restart.
        let later = self.place.reader.id * 97 % retry;
        let body = ByeBody {
            reason: bye.word(),
            retry_ms: retry + later,
        };
        event("bye", "", &body)
    }

    /// Takes what is new.
    async fn gather(&mut self) {
        let Some(view) = self.sources.views.borrow_and_update().clone() else {
            return;
        };
        let now = (view.frame.epoch, view.frame.seq);
        if self.has != Some(now) {
            let form = match self.has {
                Some((epoch, seq)) if view.follows(epoch, seq) => Form::Delta(seq),
                _ => Form::Snapshot,
            };
            let written = view.written(self.lang, form, &self.sources.decoders).await;
            // What could not be written the reader does not have: the next frame is over both.
            if let Ok(written) = written {
                self.next.extend(written);
                self.has = Some(now);
            }
        }
        if self.tick != view.tick {
            self.tick = view.tick;
            self.next.push_back(view.tick_event());
        }
        let alerts = self.sources.alerts.borrow_and_update();
        let (events, heard) = alerts.since(self.heard);
        drop(alerts);
        self.heard = Some(heard);
        self.next.extend(events);
    }

    /// Returns when there may be something to do.
    async fn wait(&mut self) {
        let until = (self.said + self.times.heart_beat).min(self.times.until);
        let mut told = self.place.reader.told.subscribe();
        let sources = &mut self.sources;
        let news = async {
            tokio::select! {
                _ = sources.views.changed() => {}
                _ = sources.alerts.changed() => {}
                _ = sources.stopping.wait_for(|stop| *stop) => {}
                _ = told.wait_for(Option::is_some) => {}
            }
        };
        // Over or not: what is due is looked for.
        let _ = timeout_at(until, news).await;
    }
}
