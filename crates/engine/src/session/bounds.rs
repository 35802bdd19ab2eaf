//! What the data of a version cover: `:horizon`, `:history_start`, `:as_of`.
//!
//! A version differs from the one before by a few files and batches, and those never change. So
//! each is read once. What a file said before it was merged into another, the other says too:
//! events are taken away only where contacts are let go, and then all is read anew.
//!
//! Of the log only the watermarks are read, and for the floor's first and last moment those files
//! that may move them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{AsArray, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::physical_plan::collect;
use events::UtcMicros;
use facts::FLOOR_EVENTS;
use serde::Deserialize;
use store::{DataFile, Floors, MemoryRows, TableData, Version};

use super::known::{self, Apart, Told};
use super::{Pinned, Result};
use crate::error::EngineError;
use crate::settings::{LATENESS_MS, Settings};

/// What the data of a version cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The data are complete up to here.
    pub horizon: UtcMicros,
    /// The data begin here.
    pub history_start: UtcMicros,
    /// Of before this moment nothing is known of the floor, of no source: it is that of its first event
    /// ([`facts::FLOOR_EVENTS`]), or an earlier one from which on a source has said that it tells all,
    /// and none before what is kept. Other than `history_start`, which is where the last of the
    /// sources begins. `None`: nothing of the floor is stored at all.
    pub known_from: Option<UtcMicros>,
    /// What counts as now. Of data that were brought here the moment of the floor's newest event, or the
    /// one up to which they are said to be complete: what came after nobody knows. Where events are
    /// taken as they happen it is the present.
    pub as_of: UtcMicros,
    /// From here on nothing is known of the floor: `as_of`, or the moment after it if that was the one of an
    /// event, or is the present.
    pub known_to: UtcMicros,
    /// Contacts that ended before were let go, if any were: what is counted before this moment is
    /// not complete.
    pub kept_from: Option<UtcMicros>,
    /// From when to when other facts than those of the floor tell by themselves.
    pub(crate) told: Told,
}

impl Bounds {
    /// The same at a moment up to which everything was taken as it happened: if nothing came lately,
    /// nothing happened. A source whose clock is ahead does not make its events those of a future.
    pub(crate) fn at(self, now: UtcMicros) -> Bounds {
        Bounds {
            as_of: self.as_of.max(now),
            known_to: self.known_to.max(after(now)),
            told: self.told.up_to(after(now).0),
            ..self
        }
    }

    /// Is nothing in a stretch of time really nothing, and a count of it 0? **The rule of all
    /// answers, here and nowhere else**: it is, if the stretch, half-open, overlaps the time from
    /// `known_from` to `known_to`, or that from which to which the rows tell by themselves (`apart`); to
    /// `counted_to` where rows count no further. A stretch that lies wholly outside is one of which
    /// nothing is known: what counts no row there has no value. What does count some there has its
    /// value: a plan is made for days to come.
    pub(crate) fn covers(
        &self,
        (from, to): (Option<i64>, Option<i64>),
        counted_to: Option<UtcMicros>,
        apart: Apart,
    ) -> bool {
        self.known(apart).any(|(begin, end)| {
            let end = counted_to.map_or(end, |to| to.0.min(end));
            let first = from.map_or(begin, |from| from.max(begin));
            first < end && to.is_none_or(|to| to > begin)
        })
    }

    /// The stretches of which something is known.
    fn known(&self, apart: Apart) -> impl Iterator<Item = (i64, i64)> + '_ {
        let floor = self.known_from.map(|from| (from.0, self.known_to.0));
        floor.into_iter().chain(self.told.stretches(apart))
    }

    /// Where the data begin, if a range begins before.
    pub(crate) fn begins_after(&self, from: Option<UtcMicros>, apart: Apart) -> Option<UtcMicros> {
        let begin = self.known(apart).map(|(begin, _)| UtcMicros(begin)).min();
        begin.filter(|at| from.is_some_and(|from| from < *at))
    }

    /// Where what a range counts becomes complete, if it begins before: contacts of then were let go.
    /// Without a start it has all there is.
    pub(crate) fn incomplete_before(&self, from: Option<UtcMicros>) -> Option<UtcMicros> {
        let begins_before = |at: &UtcMicros| from.is_none_or(|from| from < *at);
        self.kept_from.filter(begins_before)
    }
}

/// The first moment after one.
fn after(at: UtcMicros) -> UtcMicros {
    UtcMicros(at.0.saturating_add(1))
}

/// What one `source.watermark` says.
#[derive(Deserialize)]
struct Watermark {
    complete_until: UtcMicros,
    #[serde(default)]
    history_start: Option<UtcMicros>,
}

/// What one source has said so far.
#[derive(Clone, Copy, Default)]
struct Said {
    horizon: Option<UtcMicros>,
    /// With the time of the event that said so: the latest holds.
    history_start: Option<(i64, UtcMicros)>,
}

/// What the versions so far have said, and which of their pieces have been read. Versions are to
/// be shown in their order.
#[derive(Default)]
pub(crate) struct Seen {
    files: HashSet<String>,
    /// Held, so that no other batch can lie at the same place.
    memory: Vec<RecordBatch>,
    /// First and last time of the batches of the log, and of the floor's events in them.
    times: Times,
    /// First and last time of the floor's events in those files that were asked for it.
    floor: HashMap<String, Option<(i64, i64)>>,
    told: BTreeMap<String, Said>,
    /// Before when nothing was kept.
    floors: Floors,
}

/// First and last time of some events.
#[derive(Clone, Copy, Default)]
struct Times {
    all: Option<(i64, i64)>,
    floor: Option<(i64, i64)>,
}

impl Seen {
    /// Settings first, then the watermarks, then the times of the floor's events. History begins no
    /// earlier than what is kept.
    pub(crate) async fn bounds(
        &mut self,
        state: &SessionState,
        version: &Version,
        settings: &Settings,
    ) -> Result<Bounds> {
        if self.floors != version.floors {
            *self = Seen {
                floors: version.floors,
                ..Seen::default()
            };
        }
        if let Some(log) = version.table(store::LOG) {
            self.read_files(state, log).await?;
            self.read_memory(log)?;
            self.read_floor(state, log).await?;
        }
        let covered = self.covered(version);
        let (first, last) = covered.unwrap_or((UtcMicros(0), UtcMicros(0)));
        let horizon = self.told.values().filter_map(|t| t.horizon).min();
        let horizon = horizon.unwrap_or_else(|| last.plus_ms(-LATENESS_MS));
        let horizon = settings.horizon.unwrap_or(horizon);
        let told = self.told.values().filter_map(|t| t.history_start);
        let told: Vec<UtcMicros> = told.map(|(_, start)| start).collect();
        let told_start = told.iter().max().copied();
        let history_start = settings.history_start.or(told_start).unwrap_or(first);
        let floor = self.floor(version).map(|(first, _)| UtcMicros(first));
        let earliest = told.into_iter().chain(floor).min();
        let known_from = settings.history_start.or(earliest);
        // What was let go is not known any more, whatever a source has said.
        let kept_from = version.floors.contacts.map(UtcMicros);
        let history_start = kept_from.map_or(history_start, |from| history_start.max(from));
        let known_from = known_from.map(|at| kept_from.map_or(at, |from| at.max(from)));
        let as_of = settings.as_of.unwrap_or_else(|| last.max(horizon));
        let known_to = settings.as_of.unwrap_or_else(|| after(last).max(horizon));
        let begin = settings.history_start.max(kept_from);
        let within = begin.map_or(i64::MIN, |at| at.0)..settings.as_of.map_or(i64::MAX, |at| at.0);
        Ok(Bounds {
            horizon,
            history_start,
            known_from,
            as_of,
            known_to,
            kept_from,
            told: Told::of(version, within),
        })
    }

    /// Reads the watermarks of files that have not been read.
    async fn read_files(&mut self, state: &SessionState, log: &TableData) -> Result<()> {
        let unread = |file: &&Arc<DataFile>| !self.files.contains(&file.path);
        let files: Vec<_> = log.files.iter().filter(unread).cloned().collect();
        if !files.is_empty() {
            for batch in watermarks_in(state, log, files).await? {
                self.take(&batch)?;
            }
        }
        self.files = log.files.iter().map(|file| file.path.clone()).collect();
        Ok(())
    }

    fn read_memory(&mut self, log: &TableData) -> Result<()> {
        let known: HashSet<usize> = self.memory.iter().filter_map(place_of).collect();
        let batches: Vec<RecordBatch> = log.memory.iter().map(|m| m.rows().into_owned()).collect();
        for batch in &batches {
            if !place_of(batch).is_some_and(|place| known.contains(&place)) {
                self.take(batch)?;
                let floor = floor_times(batch)?;
                let hull = |a: Option<_>, b| widest(a.into_iter().chain(b));
                self.times.all = hull(self.times.all, times_in(log, batch));
                self.times.floor = hull(self.times.floor, floor);
            }
        }
        self.memory = batches;
        Ok(())
    }

    /// Takes what the watermarks among the rows of the log say.
    fn take(&mut self, rows: &RecordBatch) -> Result<()> {
        let (kinds, sources) = (text_of(rows, "event_type")?, text_of(rows, "source")?);
        let (data, times) = (text_of(rows, "data")?, times_of_log(rows)?);
        let marks = (0..rows.num_rows()).filter(|&row| kinds.value(row) == WATERMARK);
        for row in marks {
            let mark: Watermark = serde_json::from_str(data.value(row))
                .map_err(|e| EngineError::Store(format!("a stored watermark: {e}")))?;
            let told = self.told.entry(sources.value(row).to_owned()).or_default();
            told.horizon = told.horizon.max(Some(mark.complete_until));
            let start = mark.history_start.map(|start| (times.value(row), start));
            told.history_start = told.history_start.max(start);
        }
        Ok(())
    }

    /// Asks those files for the times of the floor's events that reach further than what is known.
    async fn read_floor(&mut self, state: &SessionState, log: &TableData) -> Result<()> {
        self.floor.retain(|path, _| self.files.contains(path));
        let mut known = widest(
            self.floor
                .values()
                .flatten()
                .copied()
                .chain(self.times.floor),
        );
        let mut files: Vec<&Arc<DataFile>> = log.files.iter().collect();
        // Those that begin first, then those that end last: after a few no other reaches further.
        for of_end in [false, true] {
            files.sort_by_key(|file| match of_end {
                false => file.time_min,
                true => file.time_max.map(i64::saturating_neg),
            });
            for file in &files {
                let Some((first, last)) = file.time_min.zip(file.time_max) else {
                    continue;
                };
                if known.is_some_and(|(a, b)| if of_end { last <= b } else { first >= a }) {
                    break;
                }
                if !self.floor.contains_key(&file.path) {
                    let times = floor_times_in(state, log, file).await?;
                    self.floor.insert(file.path.clone(), times);
                    known = widest(known.into_iter().chain(times));
                }
            }
        }
        Ok(())
    }

    /// First and last time of the floor's events in the log; without such events, of its facts.
    fn floor(&self, version: &Version) -> Option<(i64, i64)> {
        let log = version.table(store::LOG).filter(|log| log.rows() > 0);
        if log.is_none() {
            // Rows that nobody has told of: all are of one time.
            return self.everything(version);
        }
        let files = self.floor.values().flatten().copied();
        widest(files.chain(self.times.floor)).or_else(|| known::floor_of(version))
    }

    /// The same; without anything of the floor, of everything in the log or in the fact tables.
    fn covered(&self, version: &Version) -> Option<(UtcMicros, UtcMicros)> {
        let (first, last) = self.floor(version).or_else(|| self.everything(version))?;
        Some((UtcMicros(first), UtcMicros(last)))
    }

    fn everything(&self, version: &Version) -> Option<(i64, i64)> {
        let log = version
            .table(store::LOG)
            .and_then(|log| widest(times_of_files(log).chain(self.times.all)));
        log.or_else(|| widest(version.tables().filter_map(times_of)))
    }
}

/// Type of the events that say up to where a source is complete.
const WATERMARK: &str = "source.watermark";

async fn watermarks_in(
    state: &SessionState,
    log: &TableData,
    files: Vec<Arc<DataFile>>,
) -> Result<Vec<RecordBatch>> {
    let text = format!(
        "SELECT event_type, source, data, occurred_at FROM events.log WHERE event_type = '{WATERMARK}'"
    );
    rows_in(state, log, files, &text).await
}

/// First and last time of the floor's events in one file of the log.
async fn floor_times_in(
    state: &SessionState,
    log: &TableData,
    file: &Arc<DataFile>,
) -> Result<Option<(i64, i64)>> {
    let types = FLOOR_EVENTS.join("', '");
    let text = format!(
        "SELECT min(occurred_at), max(occurred_at) FROM events.log WHERE event_type IN ('{types}')"
    );
    let batches = rows_in(state, log, vec![Arc::clone(file)], &text).await?;
    let ends = batches.iter().flat_map(|batch| {
        let columns = batch.columns().iter();
        let times = columns.filter_map(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        times.flat_map(|times| times.iter().flatten())
    });
    Ok(widest(ends.map(|at| (at, at))))
}

/// The answer to a query over some files of the log.
async fn rows_in(
    state: &SessionState,
    log: &TableData,
    files: Vec<Arc<DataFile>>,
    text: &str,
) -> Result<Vec<RecordBatch>> {
    let mut state = state.clone();
    let table = Arc::clone(&log.name);
    Arc::new(Pinned::Files { table, files }).pin(&mut state);
    let plan = state.create_logical_plan(text).await?;
    let plan = state.create_physical_plan(&plan).await?;
    Ok(collect(plan, state.task_ctx()).await?)
}

/// First and last time of the floor's events among rows of the log.
fn floor_times(rows: &RecordBatch) -> Result<Option<(i64, i64)>> {
    let (kinds, times) = (text_of(rows, "event_type")?, times_of_log(rows)?);
    let mut found: Option<(i64, i64)> = None;
    for (row, at) in times.values().iter().enumerate() {
        // Looking at a time is cheaper than at a name.
        let widens = found.is_none_or(|(first, last)| *at < first || *at > last);
        if widens && FLOOR_EVENTS.contains(&kinds.value(row)) {
            found = widest(found.into_iter().chain([(*at, *at)]));
        }
    }
    Ok(found)
}

fn text_of<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a StringArray> {
    let column = rows.column_by_name(name);
    let texts = column.and_then(|column| column.as_string_opt::<i32>());
    texts.ok_or_else(|| EngineError::Internal(format!("the log has no texts in {name}")))
}

fn times_of_log(rows: &RecordBatch) -> Result<&TimestampMicrosecondArray> {
    let column = rows.column_by_name("occurred_at");
    let times = column.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    times.ok_or_else(|| EngineError::Internal("the log has no times".to_owned()))
}

/// Where the rows lie; as long as they are held no other rows lie there.
fn place_of(batch: &RecordBatch) -> Option<usize> {
    let first = batch.columns().first()?;
    Some(Arc::as_ptr(first).cast::<()>() as usize)
}

pub(super) fn widest(times: impl Iterator<Item = (i64, i64)>) -> Option<(i64, i64)> {
    times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// First and last time of a table.
pub(super) fn times_of(table: &TableData) -> Option<(i64, i64)> {
    widest(times_of_files(table).chain(times_of_memory(table)))
}

fn times_of_files(table: &TableData) -> impl Iterator<Item = (i64, i64)> {
    let times = |file: &Arc<DataFile>| Some((file.time_min?, file.time_max?));
    table.files.iter().filter_map(times)
}

fn times_of_memory(table: &TableData) -> impl Iterator<Item = (i64, i64)> {
    table
        .memory
        .iter()
        .filter_map(|rows| times_of_rows(table, rows))
}

fn times_of_rows(table: &TableData, rows: &MemoryRows) -> Option<(i64, i64)> {
    let time = table.schema.index_of(table.time.as_deref()?).ok()?;
    times_in(table, &rows.project(&[time]).ok()?)
}

fn times_in(table: &TableData, batch: &RecordBatch) -> Option<(i64, i64)> {
    let column = batch.column_by_name(table.time.as_deref()?)?;
    let times = column.as_primitive_opt::<TimestampMicrosecondType>()?;
    let known = || times.iter().flatten();
    Some((known().min()?, known().max()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(from: i64, to: i64) -> Bounds {
        Bounds {
            horizon: UtcMicros(to),
            history_start: UtcMicros(from),
            known_from: Some(UtcMicros(from)),
            as_of: UtcMicros(to),
            known_to: UtcMicros(to),
            kept_from: None,
            told: Told::default(),
        }
    }

    #[test]
    fn nothing_is_known_of_a_stretch_that_is_wholly_before_or_after_the_data() {
        let bounds = known(10, 20);
        let covers = |from, to| bounds.covers((from, to), None, Apart::FLOOR);
        assert!(!covers(Some(0), Some(10)), "it ends where they begin");
        assert!(covers(Some(0), Some(11)), "a part of it");
        assert!(covers(Some(12), Some(13)));
        assert!(covers(Some(19), Some(40)), "a part of it");
        assert!(!covers(Some(20), Some(40)), "it begins where they end");
        assert!(covers(Some(0), Some(40)) && covers(None, None));
        assert!(!covers(None, Some(10)) && !covers(Some(20), None));
    }

    #[test]
    fn rows_that_count_only_later_end_it_before() {
        let covers = |from, to, counted_to| {
            known(10, 20).covers((from, to), Some(UtcMicros(counted_to)), Apart::FLOOR)
        };
        assert!(covers(Some(12), Some(14), 13));
        assert!(
            !covers(Some(13), Some(14), 13),
            "none of its rows counts yet"
        );
        assert!(!covers(None, None, 10), "no row at all does");
        assert!(covers(Some(15), Some(40), 30));
    }

    #[test]
    fn at_the_present_there_is_the_running_moment_and_nothing_later() {
        let bounds = known(10, 20).at(UtcMicros(30));
        assert_eq!(bounds.as_of, UtcMicros(30));
        assert!(bounds.covers((Some(30), Some(40)), None, Apart::FLOOR));
        assert!(!bounds.covers((Some(31), Some(40)), None, Apart::FLOOR));
        let ahead = known(10, 20).at(UtcMicros(15));
        assert_eq!(
            ahead,
            known(10, 20),
            "the newest event is ahead of the clock"
        );
    }

    #[test]
    fn without_any_event_nothing_is_known() {
        let empty = Bounds {
            known_from: None,
            ..known(0, 0)
        };
        assert!(
            !empty
                .at(UtcMicros(30))
                .covers((None, None), None, Apart::FLOOR)
        );
        assert!(!empty.covers((Some(0), Some(40)), None, Apart::FLOOR));
    }
}
