//! A frame as one board shows it, what has changed before it, and both as events, written once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use engine::live::{Cell, CellKey, Frame};
use serde::Serialize;
use tokio::{runtime::Handle, sync::OnceCell, time::Instant};

use super::{
    board::Board,
    body::{Body, CellBody, KpiBody, Lang, epoch_ms},
};
use crate::limits;

/// Immutable: readers hold it while newer ones come.
pub(crate) struct View {
    pub frame: Arc<Frame>,
    /// Rises when a `tick` is due.
    pub tick: u64,
    lag_ms: u64,
    board: Arc<Board>,
    cells: BTreeMap<CellKey, Arc<Cell>>,
    /// Oldest first.
    changes: VecDeque<Arc<Change>>,
    /// What has changed after this frame is known.
    known_after: u64,
    written: Mutex<Written>,
}

/// Each form is written once, by the first who wants it.
type Written = HashMap<(Lang, Form), Arc<OnceCell<Bytes>>>;

/// What a frame changed.
struct Change {
    seq: u64,
    at: Instant,
    keys: Vec<CellKey>,
}

/// How a view is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// All of it, as JSON.
    Document,
    /// All of it, as an event.
    Snapshot,
    /// What has changed after a frame, as an event.
    Delta(u64),
}

/// A view could not be written: that has panicked, or the server is about to end.
#[derive(Debug)]
pub(crate) struct Unwritten;

/// What was published about a frame beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    pub at: Instant,
    pub tick: u64,
    pub lag_ms: u64,
}

impl View {
    /// What follows `before`, if there is one.
    pub(super) fn new(
        before: Option<&View>,
        board: &Arc<Board>,
        frame: &Arc<Frame>,
        published: Published,
    ) -> View {
        let shown = frame.cells.iter().filter(|(key, _)| board.shows(key));
        let cells: BTreeMap<_, _> = shown
            .map(|(key, cell)| (key.clone(), Arc::clone(cell)))
            .collect();
        let before = before.filter(|view| view.frame.epoch == frame.epoch);
        let (changes, known_after) = match before {
            Some(before) => before.changes_until(&cells, frame.seq, published.at),
            None => (VecDeque::new(), frame.seq),
        };
        View {
            frame: Arc::clone(frame),
            tick: published.tick,
            lag_ms: published.lag_ms,
            board: Arc::clone(board),
            cells,
            changes,
            known_after,
            written: Mutex::default(),
        }
    }

    /// What is known of changes when these cells follow, and since which frame.
    fn changes_until(
        &self,
        cells: &BTreeMap<CellKey, Arc<Cell>>,
        seq: u64,
        at: Instant,
    ) -> (VecDeque<Arc<Change>>, u64) {
        let (mut changes, mut known_after) = (self.changes.clone(), self.known_after);
        while let Some(oldest) = changes.front()
            && at.duration_since(oldest.at) > limits::LIVE_RESUME_MAX
        {
            known_after = oldest.seq;
            changes.pop_front();
        }
        let is_new = |(key, cell): &(&CellKey, &Arc<Cell>)| {
            let old = self.cells.get(*key);
            !old.is_some_and(|old| Arc::ptr_eq(old, cell) || old == *cell)
        };
        let new = cells.iter().filter(is_new).map(|(key, _)| key);
        let gone = self.cells.keys().filter(|key| !cells.contains_key(*key));
        let keys: Vec<CellKey> = new.chain(gone).cloned().collect();
        if !keys.is_empty() {
            changes.push_back(Arc::new(Change { seq, at, keys }));
        }
        (changes, known_after)
    }

    /// The name of the frame as this board shows it: `<epoch>-<seq>-<board>`.
    pub(crate) fn id(&self) -> String {
        let (frame, board) = (&self.frame, &self.board.file.id);
        format!("{}-{}-{board}", frame.epoch, frame.seq)
    }

    /// The frame of a name, if it is one of this board and what has changed since is known.
    pub(crate) fn resume(&self, id: &str) -> Option<u64> {
        let (epoch, rest) = id.split_once('-')?;
        let (seq, board) = rest.split_once('-')?;
        let (epoch, seq): (u64, u64) = (epoch.parse().ok()?, seq.parse().ok()?);
        let is_own = board == self.board.file.id;
        (is_own && self.follows(epoch, seq)).then_some(seq)
    }

    /// Is known what has changed since then?
    pub(super) fn follows(&self, epoch: u64, seq: u64) -> bool {
        epoch == self.frame.epoch && (self.known_after..=self.frame.seq).contains(&seq)
    }

    fn changed_since(&self, seq: u64) -> impl Iterator<Item = &Change> {
        let changes = self.changes.iter().map(AsRef::as_ref);
        changes.filter(move |change| change.seq > seq)
    }

    /// Writes it, unless it is written already; `None` if there is nothing to say.
    pub(crate) async fn written(
        self: &Arc<Self>,
        lang: Lang,
        form: Form,
        decoders: &Handle,
    ) -> Result<Option<Bytes>, Unwritten> {
        if let Form::Delta(seq) = form
            && self.changed_since(seq).next().is_none()
        {
            return Ok(None);
        }
        let once = {
            let mut all = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry((lang, form)).or_default())
        };
        let write = async || {
            let view = Arc::clone(self);
            decoders.spawn(async move { view.write(lang, form) }).await
        };
        let written = once.get_or_try_init(write).await;
        written.cloned().map(Some).map_err(|_| Unwritten)
    }

    fn write(&self, lang: Lang, form: Form) -> Bytes {
        match form {
            Form::Document => json(&self.whole(lang)).into(),
            Form::Snapshot => event("snapshot", &self.id(), &self.whole(lang)),
            Form::Delta(seq) => event("delta", &self.id(), &self.delta(lang, seq)),
        }
    }

    fn whole(&self, lang: Lang) -> Body<'_> {
        let kpis = self.frame.kpis.iter();
        let kpis = kpis.filter(|kpi| self.board.has_kpi(&kpi.id));
        Body {
            kpis: Some(kpis.map(KpiBody::from).collect()),
            ..self.body(lang, self.cells.iter().map(CellBody::of).collect())
        }
    }

    fn delta(&self, lang: Lang, seq: u64) -> Body<'_> {
        let keys: BTreeSet<&CellKey> = self.changed_since(seq).flat_map(|c| &c.keys).collect();
        let cells = keys.iter().filter_map(|key| self.cells.get_key_value(*key));
        let gone = keys.iter().filter(|key| !self.cells.contains_key(**key));
        Body {
            gone: Some(gone.map(|key| key.to_string()).collect()),
            ..self.body(lang, cells.map(CellBody::of).collect())
        }
    }

    fn body<'a>(&'a self, lang: Lang, cells: Vec<CellBody<'a>>) -> Body<'a> {
        Body::new(&self.frame, (&self.board, lang), self.lag_ms, cells)
    }

    /// That the board is alive.
    pub(crate) fn tick_event(&self) -> Bytes {
        event(
            "tick",
            &self.id(),
            &Tick {
                as_of: epoch_ms(self.frame.as_of),
                watermark: self.frame.watermark.map(epoch_ms),
                lag_ms: self.lag_ms,
            },
        )
    }
}

#[derive(Serialize)]
struct Tick {
    as_of: i64,
    watermark: Option<i64>,
    lag_ms: u64,
}

pub(super) fn json(data: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(data).expect("texts and numbers always serialise")
}

/// One event of a stream; without an id it does not count as a place to go on from.
pub(super) fn event(name: &str, id: &str, data: &impl Serialize) -> Bytes {
    let mut head = String::new();
    if !id.is_empty() {
        // Writing to a text does not fail.
        let _ = writeln!(head, "id: {id}");
    }
    let _ = write!(head, "event: {name}\ndata: ");
    let mut bytes = head.into_bytes();
    bytes.extend(json(data));
    bytes.extend(b"\n\n");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use engine::live::Day;
    use events::UtcMicros;

    use super::{super::board::Boards, *};

    fn view() -> Arc<View> {
        let models = engine::model_specs().expect("the models plan");
        let catalogue = kpi::Catalogue::builtin(&models).expect("a sound catalogue");
        let boards = Boards::open(None, &catalogue).expect("sound boards");
        let frame = Arc::new(Frame {
            epoch: 1,
            seq: 1,
            as_of: UtcMicros(0),
            watermark: None,
            revision: 1,
            zone: "UTC".into(),
            day: Day {
                date: "1970-01-01".to_owned(),
                start: UtcMicros(0),
                end: UtcMicros(1),
            },
            kpis: Arc::from([]),
            cells: BTreeMap::new(),
        });
        let published = Published {
            at: Instant::now(),
            tick: 1,
            lag_ms: 0,
        };
        let board = boards.get("now").expect("a built-in board");
        Arc::new(View::new(None, board, &frame, published))
    }

    #[test]
    fn what_cannot_be_written_is_not_taken_for_nothing_to_say() {
        let build = || {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .build()
        };
        let (ended, runtime) = (build().expect("threads"), build().expect("threads"));
        let decoders = ended.handle().clone();
        ended.shutdown_background();
        let view = view();
        let written = |form| runtime.block_on(view.written(Lang::En, form, &decoders));
        assert!(matches!(written(Form::Snapshot), Err(Unwritten)));
        assert!(matches!(written(Form::Delta(1)), Ok(None)));
    }
}
