//! The live board on the wire.
//!
//! Frames come in over a [`LiveFeed`]; one task makes of each frame what every board shows of it
//! (a `View`), and readers take it from there. What is serialised is serialised once for each board
//! and language, and the bytes are shared. `docs/live.md` is what clients are promised.

mod alert;
mod board;
mod body;
mod figures;
mod pump;
mod readers;
mod stream;
mod view;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::body::Body as HttpBody;
use engine::live::Frame;
use events::UtcMicros;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

pub use self::{
    alert::AlertNews,
    board::{BoardError, Boards},
    pump::{FramePump, FrameSource},
};
pub(crate) use self::{
    board::{Board, BoardFile, Titles},
    body::{Body, Lang, epoch_ms},
    view::{Form, View},
};
use self::{
    readers::{Counted, Readers},
    stream::{Sources, Stream, Times},
    view::Published,
};
use crate::{
    access::{Identity, Right},
    http::{App, seats::Seat},
    limits,
    settings::Settings,
};

/// The newest picture of the floor, told whenever there is another; `None` before the first.
pub type Frames = watch::Receiver<Option<Arc<Frame>>>;

/// Where the live board gets from what it shows. Clones share everything.
#[derive(Clone, Debug)]
pub struct LiveFeed {
    /// The boards there are.
    pub boards: Arc<Boards>,
    /// The newest frame; `None` until there is one.
    pub frames: Frames,
    /// What is known of alerts.
    pub alerts: AlertNews,
}

impl LiveFeed {
    /// Without alerts so far: who has some tells them to [`LiveFeed::alerts`].
    pub fn new(boards: Boards, frames: Frames) -> Self {
        LiveFeed {
            boards: Arc::new(boards),
            frames,
            alerts: AlertNews::default(),
        }
    }
}

/// What a stream is about.
pub(crate) struct Wanted<'a> {
    pub board: &'a str,
    pub lang: Lang,
    pub last_event_id: Option<&'a str>,
}

/// How the live board is doing, for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LiveStats {
    pub live: usize,
    pub behind: usize,
    /// Of the newest frame: how old its newest event was.
    pub watermark_age: Option<Duration>,
}

/// All views, and all who read them.
pub(crate) struct Live {
    pub feed: LiveFeed,
    views: BTreeMap<String, watch::Sender<Option<Arc<View>>>>,
    readers: Arc<Readers>,
}

impl Live {
    pub(crate) fn new(feed: LiveFeed, settings: &Settings) -> Self {
        let ids = feed.boards.iter().map(|board| board.file.id.clone());
        Live {
            views: ids.map(|id| (id, watch::Sender::new(None))).collect(),
            readers: Readers::new(settings.live_streams_max),
            feed,
        }
    }

    /// What a board shows now; `None` before the first frame.
    pub(crate) fn view(&self, board: &Board) -> Option<Arc<View>> {
        self.views.get(&board.file.id)?.borrow().clone()
    }

    /// A stream for one more reader; `None` if there are as many as there may be.
    pub(crate) fn stream(
        &self,
        app: &App,
        wanted: &Wanted<'_>,
        identity: Identity,
        seat: &Arc<Seat>,
    ) -> Option<HttpBody> {
        let views = self.views.get(wanted.board)?.subscribe();
        let place = self.readers.enter(identity, Arc::clone(seat))?;
        let sources = Sources {
            views,
            alerts: self.feed.alerts.listen(),
            stopping: app.stopping(),
            decoders: app.decoders.clone(),
        };
        let times = Times {
            heart_beat: app.settings.live_heart_beat,
            until: Instant::now() + app.settings.live_age_max,
        };
        let stream = Stream::new(sources, place, wanted.lang, wanted.last_event_id, times);
        seat.watch.streams();
        Some(stream.into_body())
    }

    pub(crate) fn stats(&self, now: UtcMicros) -> LiveStats {
        let Counted { live, behind } = self.readers.counted();
        let frame = self.feed.frames.borrow();
        let watermark = frame.as_ref().and_then(|frame| frame.watermark);
        let age =
            watermark.map(|at| Duration::from_micros(now.0.saturating_sub(at.0).max(0) as u64));
        LiveStats {
            live,
            behind,
            watermark_age: age,
        }
    }

    fn publish(&self, frame: &Arc<Frame>, published: Published) {
        for board in self.feed.boards.iter() {
            let Some(views) = self.views.get(&board.file.id) else {
                continue;
            };
            let view = {
                let before = views.borrow();
                View::new(before.as_deref(), board, frame, published)
            };
            views.send_replace(Some(Arc::new(view)));
        }
    }
}

/// Makes views of frames, until there are no more frames.
pub(crate) async fn publish(app: Arc<App>) {
    let live = &app.live;
    let mut frames = live.feed.frames.clone();
    let mut pace = interval(app.settings.live_frame_every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut tick, mut ticked) = (0, None::<Instant>);
    loop {
        pace.tick().await;
        let frame = frames.borrow_and_update().clone();
        if let Some(frame) = frame {
            let at = Instant::now();
            if ticked.is_none_or(|ticked| at - ticked >= TICK_AFTER) {
                (tick, ticked) = (tick + 1, Some(at));
            }
            let late = (app.surroundings.now)()
                .0
                .saturating_sub(frame.as_of.0)
                .max(0) as u64;
            app.metrics.live_lag(Duration::from_micros(late));
            let published = Published {
                at,
                tick,
                lag_ms: late / 1_000,
            };
            live.publish(&frame, published);
        }
        if frames.changed().await.is_err() {
            return;
        }
    }
}

/// A little less than a second: the frame that comes after a second is not to be missed by a hair.
const TICK_AFTER: Duration = limits::LIVE_TICK_EVERY.saturating_sub(Duration::from_millis(100));

/// Looks after readers, for ever.
pub(crate) async fn watch_readers(app: Arc<App>) {
    let stall_max = app.settings.live_stall_max;
    let often = (stall_max / 10).min(limits::LIVE_LOOK_EVERY);
    let mut pace = interval(often.max(Duration::from_millis(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let may = |identity: &Identity| app.still_may(identity, Right::Live);
        let cut = app
            .live
            .readers
            .look(stall_max, limits::LIVE_LEAVE_MAX, may);
        app.metrics.live_cut.add(cut);
    }
}
