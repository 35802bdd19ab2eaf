//! The live board: the floor as it is now, and today's KPIs by the same compiled definitions.
//!
//! What is shown is a [`Frame`]: cells of one moment. A [`LiveBoard`] makes frames. It knows no
//! JSON, no wire and no page; a server picks the cells of a board out of it. `docs/live.md` lists
//! the figures.
//!
//! What a board guarantees:
//! - Every cell of a frame is of one version, one `as_of` and one business day.
//! - Nothing is counted by the board itself: all follows from the fact rows of the version, so a
//!   new board over the same store shows the same, and no boundary of a day resets anything.
//! - A KPI cell is what [`Engine::kpi`](crate::Engine::kpi) answers over the same range at the same
//!   moment ([`Engine::with_present`](crate::Engine::with_present)). So an interval from before the
//!   first event has no value, and one in which nothing came while events were taken is 0.
//! - A frame costs what has changed since the last, not what happened today.
//! - All frames of one epoch are of one set of definitions. When the engine adopts others, the
//!   board is made from the store again, and another epoch begins: nothing that was counted by an
//!   old definition is ever added to what a new one counts.

mod cells;
mod day;
mod floor;
mod frame;
mod kpis;
mod lane;
mod mirror;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use events::UtcMicros;
use kpi::{Catalogue, Ewt};
use store::{Change, Follower};
use tokio::sync::Mutex;

pub use frame::{Cell, CellKey, CellValue, Day, Frame, Scope};

use crate::session::Snapshot;
use crate::views::Views;
use crate::{Engine, EngineError, Present};
use cells::Moment;
use day::{Clock, MINUTE, quarter_of};
use floor::Floor;
use kpis::Kpis;
use mirror::Mirror;
use rows::Rows;

/// Fact rows that may wait for a frame; when more have changed the board reads the store anew.
const WAITING_ROWS_MAX: usize = 200_000;

/// How long before the last frame a moment may be and still count as that of the frame.
const OVERTAKEN_MS_MAX: i64 = 5_000;

/// How a board works.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveSettings {
    /// IANA zone of the business day and the intervals.
    pub zone: String,
    /// Minutes after midnight at which a business day begins, in steps of 30.
    pub day_start_minutes: u32,
    /// KPIs to show beside those of the built-in boards. One that the catalogue does not have, or
    /// that cannot be kept live (money, or rows that count only later), is left out.
    pub kpis: Vec<String>,
    /// Since when the board is looked at: what was received before is no update of an interval.
    pub began: UtcMicros,
    /// Which life of the process makes the frames. Other definitions raise it by one.
    pub epoch: u64,
    /// How waits are estimated.
    pub ewt: Ewt,
}

impl Default for LiveSettings {
    fn default() -> Self {
        LiveSettings {
            zone: "UTC".to_owned(),
            day_start_minutes: 0,
            kpis: Vec::new(),
            began: UtcMicros(0),
            epoch: 0,
            ewt: Ewt::QueueLength,
        }
    }
}

/// Ids of the KPIs that a board can have: whose states can be kept from commit to commit, and that
/// count at once.
///
/// # Errors
/// When a definition does not compile.
pub fn possible_kpis(snapshot: &Snapshot) -> Result<BTreeSet<String>, EngineError> {
    possible(snapshot.catalogue(), snapshot.views())
}

/// The same of definitions that no version is read with.
pub(crate) fn possible(
    catalogue: &Catalogue,
    views: &Views,
) -> Result<BTreeSet<String>, EngineError> {
    kpis::possible(catalogue, views)
}

/// Makes frames of what an engine's store has. One at a time; share it.
pub struct LiveBoard {
    engine: Arc<Engine>,
    settings: LiveSettings,
    clock: Clock,
    follower: Option<Arc<Follower>>,
    task: Arc<TaskContext>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    world: Option<World>,
    last: Option<Arc<Frame>>,
    /// The definitions of the last frame, held so that no others lie at the same place.
    views: Option<Arc<Views>>,
    /// How often there were others.
    redefined: u64,
}

impl State {
    /// Counts the definitions of the next frame, if they are others than those of the last.
    fn note(&mut self, views: &Arc<Views>) {
        let last = self.views.replace(Arc::clone(views));
        self.redefined += u64::from(last.is_some_and(|last| !Arc::ptr_eq(&last, views)));
    }
}

/// What is kept of the fact rows of one version.
struct World {
    /// The definitions that it was made for.
    views: Arc<Views>,
    revision: u64,
    /// Rows of before are not kept, in UTC microseconds.
    start: i64,
    floor: Floor,
    mirrors: BTreeMap<String, Mirror>,
    kpis: Kpis,
}

impl LiveBoard {
    /// A board over what the engine reads. It is empty-handed until the first frame, which reads
    /// today's rows from the store.
    ///
    /// # Errors
    /// An unknown zone, or a day that does not begin on a half hour.
    pub fn new(engine: Arc<Engine>, settings: LiveSettings) -> Result<LiveBoard, EngineError> {
        let clock = Clock::new(&settings.zone, settings.day_start_minutes)?;
        let task = TaskContext::default().with_runtime(Arc::clone(engine.runtime()));
        Ok(LiveBoard {
            follower: engine.follow(WAITING_ROWS_MAX),
            engine,
            settings,
            clock,
            task: Arc::new(task),
            state: Mutex::default(),
        })
    }

    /// The frame of the newest version at the moment `now`. `seq` rises with each. A moment
    /// shortly before that of the last frame counts as that: callers may overtake each other.
    ///
    /// # Errors
    /// When a KPI definition does not compile or stored data cannot be read. The next call tries
    /// again from the store.
    pub async fn frame(&self, now: UtcMicros) -> Result<Arc<Frame>, EngineError> {
        let mut state = self.state.lock().await;
        let last = state.last.as_ref().map_or(now, |last| last.as_of);
        // Taken out: what an error leaves half done is not used again.
        let known = state.world.take();
        // Of a clock that was put back, what was forgotten is needed again.
        let known = known.filter(|_| last.ms_since(now) <= OVERTAKEN_MS_MAX);
        let now = known.as_ref().map_or(now, |_| now.max(last));
        let (mut world, snapshot) = self.current(known, now).await?;
        let day = self.clock.day(now);
        let bounds = match self.engine.present() {
            Some(Present::Unknown) => snapshot.bounds,
            _ => snapshot.bounds.at(now),
        };
        let moment = (now, &day);
        let numbers = world.kpis.numbers(&mut world.mirrors, moment, bounds);
        let numbers = numbers.await?;
        let moment = Moment {
            now: now.0,
            day: &day,
            version: &snapshot.version,
            floor: &world.floor,
            numbers,
            ewt: self.settings.ewt,
        };
        let cells = shared(moment.cells(), state.last.as_deref());
        state.note(snapshot.views());
        let frame = Arc::new(Frame {
            epoch: self.settings.epoch.wrapping_add(state.redefined),
            seq: state.last.as_ref().map_or(1, |last| last.seq + 1),
            as_of: now,
            watermark: snapshot.version.recorded_at,
            revision: snapshot.version.committed_seq,
            zone: self.clock.zone().into(),
            day,
            kpis: world.kpis.used(),
            cells,
        });
        state.world = Some(world);
        state.last = Some(Arc::clone(&frame));
        Ok(frame)
    }

    /// What was kept, brought to the newest version; made from the store if that cannot be done.
    async fn current(
        &self,
        known: Option<World>,
        now: UtcMicros,
    ) -> Result<(World, Arc<Snapshot>), EngineError> {
        let snapshot = self.engine.snapshot().await?;
        let revision = snapshot.version.committed_seq;
        let start = self.start(now);
        let changes = match &self.follower {
            Some(follower) => follower.take(revision),
            None => Some(Vec::new()),
        };
        if let (Some(mut world), Some(changes)) = (known, changes)
            && Arc::ptr_eq(&world.views, snapshot.views())
            && world.start <= start
            && (self.follower.is_some() || world.revision == revision)
        {
            world.apply(&changes)?;
            world.forget(start, now)?;
            world.revision = revision;
            return Ok((world, snapshot));
        }
        // Pinned after the changes were given up: none is missed.
        let snapshot = self.engine.snapshot().await?;
        let world = self.rebuilt(&snapshot, start).await?;
        if let Some(follower) = &self.follower {
            // What the version has already. Should they be lost just now, the next frame reads
            // the store again.
            if follower.take(snapshot.version.committed_seq).is_none() {
                return Box::pin(self.current(None, now)).await;
            }
        }
        Ok((world, snapshot))
    }

    /// The earliest moment that a frame shows something of, at the start of a quarter of an hour.
    fn start(&self, now: UtcMicros) -> i64 {
        quarter_of(self.clock.day(now).start.0.min(kpis::recent(now).start))
    }

    async fn rebuilt(&self, snapshot: &Snapshot, start: i64) -> Result<World, EngineError> {
        let (kpis, mirrors) = Kpis::new(snapshot, &self.settings, &self.clock, &self.task)?;
        let mut world = World {
            views: Arc::clone(snapshot.views()),
            revision: snapshot.version.committed_seq,
            start,
            floor: Floor::new(start),
            mirrors,
            kpis,
        };
        for (table, condition) in world.wanted() {
            let text = format!("SELECT * FROM facts.{table} WHERE {condition}");
            for batch in snapshot.sql(&text).await?.batches {
                world.add(&table, &batch)?;
            }
        }
        Ok(world)
    }
}

impl World {
    /// The tables that it is made from, and which of their rows.
    fn wanted(&self) -> Vec<(String, String)> {
        let start = format!("TIMESTAMP '{}'", UtcMicros(self.start));
        let mut wanted: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (table, condition) in floor::TABLES {
            let condition = condition.replace("{start}", &start);
            wanted.entry(table).or_default().push(condition);
        }
        for (table, mirror) in &self.mirrors {
            let times = mirror.times().map(|time| format!("{time} >= {start}"));
            wanted.entry(table).or_default().extend(times);
        }
        let joined = |(table, all): (&str, Vec<String>)| (table.to_owned(), all.join(" OR "));
        wanted.into_iter().map(joined).collect()
    }

    fn apply(&mut self, changes: &[Arc<Change>]) -> Result<(), EngineError> {
        for table in changes.iter().flat_map(|change| &change.tables) {
            for key in &table.removed {
                self.floor.remove(table.table, key);
                if let Some(mirror) = self.mirrors.get_mut(table.table) {
                    mirror.remove(key);
                }
            }
            if let Some(batch) = &table.added {
                self.add(table.table, batch)?;
            }
        }
        Ok(())
    }

    /// Takes rows of a table; tests are of no interest.
    fn add(&mut self, table: &str, batch: &RecordBatch) -> Result<(), EngineError> {
        let on_floor = floor::TABLES.iter().any(|(name, _)| *name == table);
        let mirror = self.mirrors.get_mut(table);
        if !on_floor && mirror.is_none() {
            return Ok(());
        }
        let keys = store::row_keys(table, batch).map_err(|e| EngineError::Store(e.to_string()))?;
        let rows = Rows(batch);
        let keys: Vec<Option<Vec<u8>>> = keys
            .into_iter()
            .enumerate()
            .map(|(row, key)| (!rows.flag("is_test", row)).then_some(key))
            .collect();
        if let Some(mirror) = mirror {
            mirror.add(batch, &keys, self.start).map_err(lane::arrow)?;
        }
        if on_floor {
            for (row, key) in keys.into_iter().enumerate() {
                if let Some(key) = key {
                    self.floor.add(table, key, batch, row);
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self, start: i64, now: UtcMicros) -> Result<(), EngineError> {
        let stays_from = now.0 - (floor::MARKS as i64 + 1) * MINUTE;
        self.floor.forget(start, stays_from);
        if start > self.start {
            self.start = start;
            self.kpis.forget(start);
            for mirror in self.mirrors.values_mut() {
                mirror.forget(start).map_err(lane::arrow)?;
            }
        }
        Ok(())
    }
}

/// The cells, those that are as in the last frame in its allocation.
fn shared(cells: BTreeMap<CellKey, Cell>, last: Option<&Frame>) -> BTreeMap<CellKey, Arc<Cell>> {
    let known = |key: &CellKey| last.and_then(|last| last.cells.get(key));
    let share = |(key, cell): (CellKey, Cell)| match known(&key) {
        Some(same) if **same == cell => (key, Arc::clone(same)),
        _ => (key, Arc::new(cell)),
    };
    cells.into_iter().map(share).collect()
}
