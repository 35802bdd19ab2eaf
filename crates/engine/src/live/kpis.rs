//! Today's KPIs: which of them a board can have, their part states, and their numbers by scope.
//!
//! A number is made as the answer to a request is: the same questions are prepared once, the same
//! code makes values, operands, targets and status of the aggregates. Only the aggregates come
//! from kept states instead of a scan. So nothing is planned while the board runs, and there is
//! no second arithmetic.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, Volatility};
use events::UtcMicros;
use kpi::{Catalogue, Empty, Kpi, Maturity, UnitKind};

use super::LiveSettings;
use super::day::{Clock, MINUTE, minute_of};
use super::frame::Day;
use super::lane::{CHANNEL, Lane, QUEUE, arrow, columns_of};
use super::mirror::Mirror;
use crate::functions::calendar::Grain;
use crate::request::{Asker, Posted, Prepared};
use crate::session::{Apart, Bounds, Snapshot};
use crate::views::{Views, row_argument};
use crate::{EngineError, KpiPlan, KpiRequest, KpiRow, UsedKpi};

/// The KPIs that built-in boards show; those that the catalogue does not have are left out.
const SHOWN: [&str; 16] = [
    "offered",
    "answered",
    "abandoned",
    "short_abandoned",
    "service_level",
    "answer_rate",
    "abandon_rate",
    "asa",
    "wait_p90",
    "longest_wait",
    "aht",
    "avg_talk",
    "avg_hold",
    "avg_acw",
    "handled",
    "avg_patience",
];

/// What KPIs are cut by.
const CUTS: [&[&str]; 3] = [&[], &[CHANNEL], &[QUEUE]];

/// Minutes of the short window, the running one included.
const RECENT_MINUTES: i64 = 30;

/// How long after its end an interval may still change without being marked: who waited or talked
/// over its end changes it as a matter of course.
const SETTLING: i64 = 15 * MINUTE;

type Source = (String, String);

/// See the module.
pub(super) struct Kpis {
    lanes: BTreeMap<Source, Lane>,
    cuts: Vec<Cut>,
    used: Arc<[UsedKpi]>,
    clock: Clock,
    /// What was received before is no update.
    began: i64,
    /// Is there nothing of before?
    fresh: bool,
    day: Option<Day>,
    minute: i64,
    /// Where the data began, and whether they go on to the present: nothing outside is not 0.
    begin: (Option<UtcMicros>, bool),
    numbers: Numbers,
}

/// The questions about one cut.
struct Cut {
    by: &'static [&'static str],
    whole: Prepared,
    /// By half hours; none of a KPI that has no such buckets.
    halves: Option<Prepared>,
}

/// The numbers of a moment; every row names its dimensions.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Of the business day: in all, by channel, by queue.
    pub today: Vec<KpiRow>,
    /// Of the last 30 minutes: in all and by queue.
    pub recent: Vec<KpiRow>,
    /// Of each half hour of the day so far, by its start: in all and by queue.
    pub halves: BTreeMap<i64, Half>,
    /// The KPIs of which nothing is 0, rather than no value.
    pub nothing_is_zero: BTreeSet<String>,
}

/// The numbers of one half hour.
#[derive(Debug, Default)]
pub(super) struct Half {
    pub rows: Vec<KpiRow>,
    /// Is something known of it, and so a count of nothing 0?
    pub known: bool,
    /// Has it changed when it was long over, and looked at already?
    pub updated: bool,
}

/// The range that `@30m` means at a moment: whole minutes, the running one included.
pub(super) fn recent(now: UtcMicros) -> Range<i64> {
    let end = minute_of(now.0) + MINUTE;
    end - RECENT_MINUTES * MINUTE..end
}

impl Kpis {
    /// Prepares the KPIs of built-in boards and those of the settings, and an empty mirror for each
    /// table that they read.
    pub fn new(
        snapshot: &Snapshot,
        settings: &LiveSettings,
        clock: &Clock,
        task: &Arc<TaskContext>,
    ) -> Result<(Kpis, BTreeMap<String, Mirror>), EngineError> {
        let (catalogue, views) = (snapshot.catalogue(), snapshot.views());
        let more = settings.kpis.iter().map(String::as_str);
        let ids = SHOWN.iter().copied().chain(more);
        let mut kpis: Vec<&Kpi> = Vec::new();
        for kpi in ids.filter_map(|id| catalogue.get(id)) {
            if fits(kpi, catalogue, views)? && !kpis.iter().any(|k| k.id == kpi.id) {
                kpis.push(kpi);
            }
        }
        let (lanes, mirrors) = lanes(&kpis, snapshot, task)?;
        let mut cuts = Vec::new();
        for by in CUTS {
            cuts.extend(cut(by, &kpis, snapshot, clock)?);
        }
        let zero = kpis.iter().filter(|kpi| kpi.empty == Empty::Zero);
        let numbers = Numbers {
            nothing_is_zero: zero.map(|kpi| kpi.id.clone()).collect(),
            ..Numbers::default()
        };
        let used = cuts.first().map(|cut| cut.whole.used());
        let kpis = Kpis {
            lanes,
            cuts,
            used: used.unwrap_or_default().into(),
            clock: clock.clone(),
            began: settings.began.0,
            fresh: true,
            day: None,
            minute: 0,
            begin: (None, false),
            numbers,
        };
        Ok((kpis, mirrors))
    }

    /// The definitions.
    pub fn used(&self) -> Arc<[UsedKpi]> {
        Arc::clone(&self.used)
    }

    /// Forgets states before `start`, the start of a quarter of an hour.
    pub fn forget(&mut self, start: i64) {
        self.lanes.values_mut().for_each(|lane| lane.forget(start));
    }

    /// The numbers of the moment. Only what changed rows or the clock can have changed is made
    /// anew.
    pub async fn numbers(
        &mut self,
        mirrors: &mut BTreeMap<String, Mirror>,
        (now, day): (UtcMicros, &Day),
        bounds: Bounds,
    ) -> Result<&Numbers, EngineError> {
        let mut touched = BTreeSet::new();
        for ((model, _), lane) in &mut self.lanes {
            if let Some(mirror) = mirrors.get_mut(model) {
                touched.extend(lane.refresh(mirror).await?);
            }
        }
        let same_day = self.day.as_ref() == Some(day);
        let minute = minute_of(now.0);
        // An event from before all others, or the first that is taken here: what had no value may be 0
        // now.
        let known = (bounds.known_from, bounds.known_to > now);
        self.fresh |= std::mem::replace(&mut self.begin, known) != known;
        if self.fresh || !same_day || !touched.is_empty() {
            let range = day.start.0..day.end.0;
            self.numbers.today = self.rows(&range, bounds, &CUTS).await?;
        }
        if self.fresh || minute != self.minute || !touched.is_empty() {
            let range = recent(now);
            self.numbers.recent = self.rows(&range, bounds, &[&[], &[QUEUE]]).await?;
        }
        if self.fresh || !same_day {
            self.numbers.halves.clear();
        }
        let stale = self.stale_halves(&touched, now, day);
        if !stale.is_empty() {
            let halves = self.halves(&stale, bounds).await?;
            self.numbers.halves.extend(halves);
        }
        (self.fresh, self.minute, self.day) = (false, minute, Some(day.clone()));
        Ok(&self.numbers)
    }

    /// The half hours of the day so far that have changed or are new.
    fn stale_halves(&self, touched: &BTreeSet<i64>, now: UtcMicros, day: &Day) -> Vec<i64> {
        let until = UtcMicros(day.end.0.min(now.0 + 1));
        let all = self.clock.halves(day.start, until);
        let changed: BTreeSet<i64> = touched.iter().map(|at| self.clock.half(*at).0).collect();
        let known = &self.numbers.halves;
        all.filter(|start| changed.contains(start) || !known.contains_key(start))
            .collect()
    }

    async fn halves(
        &self,
        starts: &[i64],
        bounds: Bounds,
    ) -> Result<BTreeMap<i64, Half>, EngineError> {
        let mut halves: BTreeMap<i64, Half> = BTreeMap::new();
        let ranges = starts.iter().map(|start| {
            let (_, end) = self.clock.half(*start);
            *start..end
        });
        let ranges: Vec<Range<i64>> = ranges.collect();
        for range in &ranges {
            let known = bounds.covers((Some(range.start), Some(range.end)), None, Apart::FLOOR);
            let half = Half {
                known,
                ..Half::default()
            };
            halves.insert(range.start, half);
        }
        for cut in self.cuts.iter().filter(|cut| cut.by != [CHANNEL]) {
            let Some(asked) = &cut.halves else {
                continue;
            };
            for row in self.answer(asked, cut.by, &ranges, bounds, true).await? {
                let half = row.period_start.and_then(|start| halves.get_mut(&start.0));
                half.into_iter()
                    .for_each(|half| half.rows.push(row.clone()));
            }
        }
        for lane in self.lanes.values() {
            for (start, at) in lane.over(&ranges, &[], true).await?.received() {
                let settled = self.clock.half(start).1 + SETTLING;
                let late = at > settled.max(self.began);
                let half = halves.get_mut(&start);
                half.into_iter().for_each(|half| half.updated |= late);
            }
        }
        Ok(halves)
    }

    async fn rows(
        &self,
        range: &Range<i64>,
        bounds: Bounds,
        cuts: &[&[&str]],
    ) -> Result<Vec<KpiRow>, EngineError> {
        let mut rows = Vec::new();
        for cut in self.cuts.iter().filter(|cut| cuts.contains(&cut.by)) {
            let asked = &cut.whole;
            let ranges = std::slice::from_ref(range);
            rows.extend(self.answer(asked, cut.by, ranges, bounds, false).await?);
        }
        Ok(rows)
    }

    /// Answers prepared questions over the states of one range, or of `each` of several. A KPI that
    /// the data do not let be computed has no rows.
    async fn answer(
        &self,
        asked: &Prepared,
        by: &[&str],
        ranges: &[Range<i64>],
        bounds: Bounds,
        each: bool,
    ) -> Result<Vec<KpiRow>, EngineError> {
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
            return Ok(Vec::new());
        };
        let (from, to) = (UtcMicros(first.start), UtcMicros(last.end));
        // Groups come and go with their rows: only the whole has a row where there is nothing.
        let fill = each && by.is_empty();
        let every = ranges.iter().filter(|_| fill).map(|range| range.start);
        let every: Vec<i64> = every.collect();
        let mut answering = asked.over((from, to), bounds, every);
        for query in asked.queries() {
            let (model, time) = query.source();
            let lane = self.lanes.get(&(model.to_owned(), time.to_owned()));
            let lane = lane
                .ok_or_else(|| EngineError::Internal(format!("{model} by {time} is not kept")))?;
            let ids = query.kpis.iter().map(|columns| columns.kpi.as_str());
            match batch(lane, ids, by, ranges, each).await {
                Ok(batch) => answering.take(query, &[batch])?,
                Err(error) if error.is_about_the_data() => answering.fail(query, error),
                Err(error) => return Err(error),
            }
        }
        match answering.answer() {
            Ok(answer) => Ok(answer.rows),
            Err(error) if error.is_about_the_data() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// Dimensions, the period if there is one, and each KPI's columns: as a query's result.
async fn batch(
    lane: &Lane,
    kpis: impl Iterator<Item = &str>,
    by: &[&str],
    ranges: &[Range<i64>],
    each: bool,
) -> Result<RecordBatch, EngineError> {
    let values = lane.over(ranges, by, each).await?;
    let mut columns: Vec<ArrayRef> = values.groups.clone();
    for kpi in kpis {
        columns.extend(lane.columns(kpi, &values)?);
    }
    let field = |(i, c): (usize, &ArrayRef)| Field::new(i.to_string(), c.data_type().clone(), true);
    let fields: Vec<Field> = columns.iter().enumerate().map(field).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(arrow)
}

/// Ids of the KPIs that can be kept as states.
pub(super) fn possible(
    catalogue: &Catalogue,
    views: &Views,
) -> Result<BTreeSet<String>, EngineError> {
    let mut ids = BTreeSet::new();
    for kpi in catalogue.iter() {
        if fits(kpi, catalogue, views)? {
            ids.insert(kpi.id.clone());
        }
    }
    Ok(ids)
}

/// Can the KPI be kept as states? Its rows must be of fact tables, count at once, and not depend
/// on up to where data are complete; money is not shown live.
fn fits(kpi: &Kpi, catalogue: &Catalogue, views: &Views) -> Result<bool, EngineError> {
    if kpi.maturity != Maturity::None {
        return Ok(false);
    }
    for input in catalogue.inputs_of(kpi) {
        let plan = views.plan_of(&input.id);
        let (Some(plan), Maturity::None) = (plan, &input.maturity) else {
            return Ok(false);
        };
        if !is_of_table(plan)? || input.unit.kind == UnitKind::Currency || !is_lasting(plan)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Does the KPI read columns of a fact table only, none that its model adds to them?
fn is_of_table(plan: &Arc<KpiPlan>) -> Result<bool, EngineError> {
    let table = facts::FactRows::TABLES
        .iter()
        .find(|t| t.name == plan.model);
    let Some(table) = table else {
        return Ok(false);
    };
    let columns = columns_of(&[plan])?;
    let mut read = columns.iter().chain([&plan.time]);
    Ok(read.all(|name| table.column(name).is_some()))
}

/// Does what a row counts for depend on the row alone?
fn is_lasting(plan: &KpiPlan) -> Result<bool, EngineError> {
    let mut lasting = true;
    for part in &plan.parts {
        row_argument(part)?.apply(|expr| {
            if let Expr::ScalarFunction(call) = expr {
                lasting &= call.func.signature().volatility == Volatility::Immutable;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(lasting)
}

type Lanes = (BTreeMap<Source, Lane>, BTreeMap<String, Mirror>);

/// The lanes of the KPIs and the mirrors of their tables.
fn lanes(
    kpis: &[&Kpi],
    snapshot: &Snapshot,
    task: &Arc<TaskContext>,
) -> Result<Lanes, EngineError> {
    let mut plans: BTreeMap<Source, Vec<&Arc<KpiPlan>>> = BTreeMap::new();
    for kpi in kpis {
        for input in snapshot.catalogue().inputs_of(kpi) {
            let Some(plan) = snapshot.views().plan_of(&input.id) else {
                continue;
            };
            let own = plans.entry((plan.model.clone(), plan.time.clone()));
            let own = own.or_default();
            if !own.iter().any(|known| known.kpi.id == input.id) {
                own.push(plan);
            }
        }
    }
    let mut needs: BTreeMap<&str, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for ((model, time), plans) in &plans {
        let (columns, times) = needs.entry(model).or_default();
        columns.extend(columns_of(plans)?);
        columns.extend([QUEUE, CHANNEL, time].map(str::to_owned));
        times.insert(time.clone());
    }
    let mut schemas: BTreeMap<&str, SchemaRef> = BTreeMap::new();
    let mut mirrors = BTreeMap::new();
    for (model, (columns, times)) in &needs {
        let all = store::table_schema(model)
            .ok_or_else(|| EngineError::Internal(format!("{model} is no table")))?;
        let kept = all.fields().iter().filter(|f| columns.contains(f.name()));
        let kept: SchemaRef = Arc::new(Schema::new(kept.cloned().collect::<Vec<_>>()));
        mirrors.insert((*model).to_owned(), Mirror::new(Arc::clone(&kept), times));
        schemas.insert(model, kept);
    }
    let state = snapshot.state();
    let mut lanes = BTreeMap::new();
    for ((model, time), plans) in &plans {
        let schema = &schemas[model.as_str()];
        let lane = Lane::new((model, time), plans, schema, &state, Arc::clone(task))?;
        lanes.insert((model.clone(), time.clone()), lane);
    }
    Ok((lanes, mirrors))
}

/// Prepares the questions of one cut; `None` if no KPI has its dimensions.
fn cut(
    by: &'static [&'static str],
    kpis: &[&Kpi],
    snapshot: &Snapshot,
    clock: &Clock,
) -> Result<Option<Cut>, EngineError> {
    let has = |kpi: &&&Kpi| {
        by.iter()
            .all(|d| kpi.dimensions.iter().any(|known| known == d))
    };
    let own: Vec<&Kpi> = kpis.iter().filter(has).copied().collect();
    if own.is_empty() {
        return Ok(None);
    }
    let asker = Asker {
        catalogue: snapshot.catalogue(),
        targets: snapshot.targets(),
        views: snapshot.views(),
        bounds: snapshot.bounds,
        default_zone: clock.zone(),
        revision: 0,
    };
    let prepare = |kpis: Vec<&Kpi>, grain: Option<Grain>| {
        let request = KpiRequest {
            ids: kpis.iter().map(|kpi| kpi.id.clone()).collect(),
            by: by.iter().map(|d| (*d).to_owned()).collect(),
            grain,
            ..KpiRequest::default()
        };
        asker.prepare(&request, Posted::unknown(asker.zone(&request)?), None)
    };
    let whole = prepare(own.clone(), None)?;
    let halves = own.into_iter().filter(|kpi| kpi.buckets.min <= Grain::M30);
    let halves: Vec<&Kpi> = halves.collect();
    let halves = match halves.is_empty() {
        true => None,
        false => Some(prepare(halves, Some(Grain::M30))?),
    };
    Ok(Some(Cut { by, whole, halves }))
}
