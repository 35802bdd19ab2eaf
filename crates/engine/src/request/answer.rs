//! From the results of a request's queries to its answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use chrono_tz::Tz;
use events::UtcMicros;
use kpi::{Clock, Empty, Goal, Kpi, ParamInForce, Share, Side, Targets, UnitKind, Value};

use super::beside::Beside;
use super::posted::{Posted, Stretch, is_posted};
use super::prepare::{Asker, Columns, Query};
use super::{AnsweredKpi, KpiAnswer, KpiRequest, KpiRow};
use crate::compile::two_currencies;
use crate::functions::calendar::Calendar;
use crate::session::{Apart, Bounds};
use crate::{EngineError, UsedKpi};

/// Values of the dimensions of one group.
pub(super) type Dims = Vec<Option<String>>;
/// One group: values of the dimensions, start of the bucket.
type Key = (Dims, Option<i64>);
/// A measured KPI over rows up to an end.
type Source = (String, Option<i64>);

/// What one group of a query says about one KPI.
#[derive(Clone, Debug, Default)]
struct Numbers {
    value: Option<f64>,
    parts: Vec<(String, Option<f64>)>,
    currency: Option<String>,
}

/// A KPI that was asked for.
#[derive(Clone)]
pub(super) struct Asked {
    pub kpi: Arc<Kpi>,
    pub about: AnsweredKpi,
    /// Where the rows of the KPI and its inputs end.
    pub to: Option<i64>,
}

/// Where a number is made: the group, the end of its rows, and the inputs that have no value
/// there because not all of their days are posted.
struct Spot<'a> {
    key: &'a Key,
    end: Option<i64>,
    /// Where rows are no longer mature.
    matured_to: Option<i64>,
    /// Is something known of it? Else there is no value, whatever nothing means for the KPI.
    known: bool,
    withheld: Vec<&'a str>,
}

impl<'a> Spot<'a> {
    fn new(key: &'a Key, asked: &Asked) -> Self {
        Spot {
            key,
            end: asked.to,
            matured_to: asked.about.matured_to.map(|to| to.0),
            known: true,
            withheld: Vec::new(),
        }
    }
}

/// What a row says: all of it absent where nothing is known.
#[derive(Default)]
struct Figures {
    value: Option<f64>,
    numerator: Option<f64>,
    denominator: Option<f64>,
    n: Option<f64>,
    parts: Vec<(String, Option<f64>)>,
}

/// Most rows of a KPI whose every value is a sum over many states of a queue.
const COSTLY_ROWS_MAX: usize = 10_000;

/// A quarter of an hour, in microseconds: what time is cut into that is spread over buckets.
const QUARTER: i64 = 900_000_000;

/// Most rows of an answer that has every bucket.
const FILLED_ROWS_MAX: usize = 200_000;

/// Collects results and makes the answer.
#[derive(Clone)]
pub(crate) struct Answering {
    /// Those asked for, in their order.
    asked: Vec<Asked>,
    /// Those asked for and all their inputs, by id.
    known: BTreeMap<String, Arc<Kpi>>,
    /// Parameters of those over other KPIs, by id.
    params: BTreeMap<String, BTreeMap<String, ParamInForce>>,
    beside: Arc<Beside>,
    /// Of which time the rows of the measured ones among them can tell.
    apart: BTreeMap<String, Apart>,
    targets: Arc<Targets>,
    dims: Vec<String>,
    posted: Posted,
    buckets: Option<Calendar>,
    /// Starts of the buckets that get a row whatever there is in them.
    every: Vec<i64>,
    numbers: BTreeMap<Source, BTreeMap<Key, Numbers>>,
    /// Measured KPIs that could not be computed, and why.
    failed: BTreeMap<String, Arc<EngineError>>,
    answer: KpiAnswer,
}

impl Answering {
    pub(super) fn new(
        asker: &Asker<'_>,
        request: &KpiRequest,
        zone: Tz,
        asked: Vec<Asked>,
        posted: Posted,
        every: Vec<i64>,
    ) -> Self {
        let mut known = BTreeMap::new();
        let mut params = BTreeMap::new();
        for kpi in asked.iter().flat_map(|a| asker.catalogue.made_of(&a.kpi)) {
            known.insert(kpi.id.clone(), Arc::new(kpi.clone()));
            let own = asker.views.params_of(&kpi.id);
            params.extend(own.map(|own| (kpi.id.clone(), own.clone())));
        }
        let answer = KpiAnswer {
            rows: Vec::new(),
            kpis: Vec::new(),
            from: request.from,
            to: request.to,
            compared: None,
            grain: request.grain,
            zone: zone.name().to_owned(),
            as_of: asker.bounds.as_of,
            horizon: asker.bounds.horizon,
            revision: asker.revision,
            approx: false,
            incomplete_before: asker.bounds.incomplete_before(request.from),
            bounds: asker.bounds,
        };
        let apart = known
            .values()
            .filter_map(|kpi| Some((kpi.id.clone(), asker.apart(kpi)?)));
        Answering {
            asked,
            apart: apart.collect(),
            known,
            params,
            beside: Arc::default(),
            targets: Arc::clone(asker.targets),
            dims: request.by.clone(),
            posted,
            buckets: request.grain.map(|grain| Calendar::new(grain, zone)),
            every,
            numbers: BTreeMap::new(),
            failed: BTreeMap::new(),
            answer,
        }
    }

    /// The same question of another range and other bounds, with what was taken so far.
    /// `every` are starts of buckets that get a row whatever there is in them.
    pub(super) fn over(
        &self,
        (from, to): (UtcMicros, UtcMicros),
        bounds: Bounds,
        every: Vec<i64>,
    ) -> Self {
        let mut again = self.clone();
        (again.answer.from, again.answer.to) = (Some(from), Some(to));
        (again.answer.as_of, again.answer.horizon) = (bounds.as_of, bounds.horizon);
        again.answer.incomplete_before = bounds.incomplete_before(Some(from));
        again.answer.bounds = bounds;
        again.every = every;
        again
    }

    /// What inputs were in what the question compares with.
    pub(super) fn stand_beside(&mut self, beside: &Arc<Beside>) {
        self.beside = Arc::clone(beside);
    }

    /// The KPIs asked for.
    pub(super) fn used(&self) -> Vec<UsedKpi> {
        let used = |asked: &Asked| UsedKpi {
            id: asked.about.id.clone(),
            version: asked.about.version,
            hash: asked.about.hash.clone(),
            params: asked.about.params.clone(),
        };
        self.asked.iter().map(used).collect()
    }

    /// Takes one batch of a query's result.
    pub(super) fn take(&mut self, query: &Query, batch: &RecordBatch) -> Result<(), EngineError> {
        let keys = self.keys(batch)?;
        let mut at = self.dims.len() + usize::from(self.answer.grain.is_some());
        for columns in &query.kpis {
            let group = Group::read(columns, batch, &mut at)?;
            let source = (columns.kpi.clone(), query.to());
            let numbers = self.numbers.entry(source).or_default();
            for (row, key) in keys.iter().enumerate() {
                match group.numbers(columns, row) {
                    Ok(of_group) => numbers.insert(key.clone(), of_group),
                    Err(error) => {
                        self.failed.insert(columns.kpi.clone(), Arc::new(error));
                        break;
                    }
                };
            }
        }
        Ok(())
    }

    /// The KPIs of a query have no number because of `error`.
    pub(super) fn fail(&mut self, query: &Query, error: EngineError) {
        let error = Arc::new(error);
        for columns in &query.kpis {
            let why = match &*error {
                EngineError::Overflow(text) => {
                    Arc::new(EngineError::Overflow(format!("{}: {text}", columns.kpi)))
                }
                _ => Arc::clone(&error),
            };
            self.failed.insert(columns.kpi.clone(), why);
        }
    }

    fn keys(&self, batch: &RecordBatch) -> Result<Vec<Key>, EngineError> {
        let dims = dims_of(batch, self.dims.len())?;
        let periods = match self.answer.grain {
            Some(_) => batch
                .column(self.dims.len())
                .as_primitive_opt::<TimestampMicrosecondType>(),
            None => None,
        };
        let period = |row: usize| periods.filter(|p| p.is_valid(row)).map(|p| p.value(row));
        let keys = dims.into_iter().enumerate();
        Ok(keys.map(|(row, dims)| (dims, period(row))).collect())
    }

    /// The answer, once every result was taken. `whole`: no KPI may be missing.
    pub(super) fn finish(mut self, whole: bool) -> Result<KpiAnswer, EngineError> {
        let mut failures = Vec::new();
        for asked in std::mem::take(&mut self.asked) {
            let mut about = asked.about.clone();
            match self.rows_of(&asked, &mut about) {
                Ok(rows) => self.answer.rows.extend(rows),
                Err(error) => {
                    about.failed = Some(error.to_string());
                    failures.push(error);
                }
            }
            self.answer.kpis.push(about);
            if self.answer.rows.len() > FILLED_ROWS_MAX && !self.every.is_empty() {
                return Err(EngineError::refused(
                    format!(
                        "every bucket of every group would be more than {FILLED_ROWS_MAX} rows"
                    ),
                    "ask for a shorter range, larger buckets or fewer dimensions",
                ));
            }
        }
        if (whole || failures.len() == self.answer.kpis.len())
            && let Some(first) = failures.into_iter().next()
        {
            return Err(first);
        }
        Ok(self.answer)
    }

    fn rows_of(&self, asked: &Asked, about: &mut AnsweredKpi) -> Result<Vec<KpiRow>, EngineError> {
        let (kpi, end) = (&asked.kpi, asked.to);
        let inputs = self.measured_below(kpi);
        if let Some(error) = inputs.iter().find_map(|input| self.failed.get(&input.id)) {
            return Err(error.again());
        }
        let mut keys = self.keys_of(kpi, end);
        self.fill(&mut keys);
        self.refuse_too_many(kpi, keys.len())?;
        about.note = self.not_named(kpi);
        let mut rows = Vec::new();
        for key in keys {
            let mut spot = Spot::new(&key, asked);
            spot.known = self.is_known(asked, &inputs, &spot);
            if spot.known && about.note.is_none() {
                about.note = self.too_long_below(kpi, &key);
            }
            let withheld = self.withheld(asked, &inputs, &key);
            if let Some(input) = withheld.first()
                && spot.known
                && self.value(kpi, &spot).is_some()
            {
                about.note = Some(not_all_posted(&kpi.id, input));
            }
            spot.withheld = withheld;
            rows.push(self.row(kpi, &spot)?);
        }
        Ok(rows)
    }

    /// Who asks for very many values that take long each keeps a thread for all that time.
    fn refuse_too_many(&self, kpi: &Kpi, rows: usize) -> Result<(), EngineError> {
        let costly = || self.made_of(kpi).iter().any(|kpi| kpi.value.is_costly());
        if rows <= COSTLY_ROWS_MAX || !costly() {
            return Ok(());
        }
        Err(EngineError::refused(
            format!("{} would be computed for {rows} groups and buckets", kpi.id),
            format!("at most {COSTLY_ROWS_MAX}: ask for a shorter range or fewer dimensions"),
        ))
    }

    /// Why there is no value at all: the question does not name what the value reads.
    fn not_named(&self, kpi: &Kpi) -> Option<String> {
        let all = self.made_of(kpi);
        let mut read = all.iter().flat_map(|kpi| kpi.value.beside());
        let (side, _) = read.find(|(side, _)| !self.beside.has(*side))?;
        let id = &kpi.id;
        Some(match side {
            Side::Baseline => format!("{id} needs a baseline: --compare FROM..TO"),
            Side::Control => format!("{id} needs a control group: --control CONDITION"),
            Side::ControlBaseline => {
                format!("{id} needs a baseline and a control group: --compare, --control")
            }
        })
    }

    /// Why there is no value: the time is longer than that of one value.
    fn too_long_below(&self, kpi: &Kpi, key: &Key) -> Option<String> {
        let all = self.made_of(kpi);
        let too_long = all.iter().find(|kpi| self.is_too_long(kpi, key))?;
        let longest = kpi::duration_text(too_long.longest_ms()?);
        Some(format!(
            "{} has no value over more than {longest}: ask for smaller buckets, as --grain 30m; the \
             mean of a day is not that of its busy hours",
            kpi.id
        ))
    }

    fn is_too_long(&self, kpi: &Kpi, key: &Key) -> bool {
        let Some(longest) = kpi.longest_ms() else {
            return false;
        };
        let bounds = &self.answer.bounds;
        let (from, to) = self.answer.stretch(self.buckets.as_ref(), key.1);
        let from = from.or(bounds.known_from.map(|at| at.0));
        let to = to.unwrap_or(bounds.as_of.0);
        from.is_some_and(|from| to.saturating_sub(from) / 1_000 > longest)
    }

    /// A KPI and those that it is made of.
    fn made_of<'a>(&'a self, kpi: &'a Kpi) -> Vec<&'a Kpi> {
        let inputs = kpi.inputs().iter().filter_map(|id| self.known.get(id));
        let below = inputs.flat_map(|input| self.made_of(input));
        std::iter::once(kpi).chain(below).collect()
    }

    /// The KPIs over rows that a KPI is made of; itself, if it is one.
    fn measured_below<'a>(&'a self, kpi: &'a Kpi) -> Vec<&'a Kpi> {
        let all = self.made_of(kpi).into_iter();
        all.filter(|kpi| kpi.measured().is_some()).collect()
    }

    /// Is something known of a group: of its stretch of time, or does a row count there anyway? Of what
    /// is made of facts that are told at other times, all of them must be known: contacts of before the
    /// first are not none beside orders that there were.
    fn is_known(&self, asked: &Asked, inputs: &[&Kpi], spot: &Spot<'_>) -> bool {
        let stretch = self.answer.stretch(self.buckets.as_ref(), spot.key.1);
        let counts = |numbers: &Numbers| {
            let mut values = numbers.parts.iter().filter_map(|(_, value)| *value);
            values.any(|value| value != 0.0)
        };
        let counted = |input: &&Kpi| self.numbers_of(input, spot).is_some_and(counts);
        let about = &asked.about;
        about.apart.iter().all(|apart| {
            let mut of_it = inputs.iter().copied();
            self.answer.bounds.covers(stretch, about.matured_to, *apart)
                || of_it.any(|input| self.apart.get(&input.id) == Some(apart) && counted(&input))
        })
    }

    /// The inputs without a value in a group, because their days are not all posted.
    fn withheld<'a>(&self, asked: &Asked, inputs: &[&'a Kpi], key: &Key) -> Vec<&'a str> {
        let bucket = self.buckets.as_ref().zip(key.1);
        let bucket = bucket.map(|(calendar, at)| calendar.bucket(at));
        let from = self.answer.from.map(|t| t.0);
        let ends = [asked.to, asked.about.matured_to.map(|t| t.0)];
        let to = ends.into_iter().flatten().chain(bucket.map(|b| b.end));
        let rows = Stretch {
            from: from.max(bucket.map(|b| b.start)),
            to: to.min().unwrap_or(i64::MIN),
        };
        let uncovered = |input: &&&Kpi| {
            let beside = inputs.iter().copied().filter(|kpi| !is_posted(kpi));
            is_posted(input)
                && match asked.kpi.measured() {
                    Some(_) => !self.posted.covers_sum(input, rows),
                    None => !self.posted.covers_quotient(input, beside, &key.0, rows),
                }
        };
        let withheld = inputs.iter().filter(uncovered);
        withheld.map(|input| input.id.as_str()).collect()
    }

    /// Adds the buckets without rows to each set of dimension values; without dimensions there is
    /// one set, also if there is no row at all.
    fn fill(&self, keys: &mut BTreeSet<Key>) {
        let mut groups: BTreeSet<Dims> = keys.iter().map(|(dims, _)| dims.clone()).collect();
        if self.dims.is_empty() {
            groups.insert(Vec::new());
        }
        for start in &self.every {
            keys.extend(groups.iter().map(|dims| (dims.clone(), Some(*start))));
        }
    }

    /// Every group in which the KPI or one of its inputs has a row.
    fn keys_of(&self, kpi: &Kpi, end: Option<i64>) -> BTreeSet<Key> {
        let of_input = |input: &Kpi| self.numbers.get(&(input.id.clone(), end));
        let inputs = self.measured_below(kpi).into_iter().filter_map(of_input);
        inputs.flat_map(|n| n.keys().cloned()).collect()
    }

    fn row(&self, kpi: &Kpi, spot: &Spot<'_>) -> Result<KpiRow, EngineError> {
        let key = spot.key;
        let Figures {
            value,
            numerator,
            denominator,
            n,
            parts,
        } = self.figures(kpi, spot);
        let share = numerator.zip(denominator).filter(|_| kpi.sample);
        let share = share.and_then(|(hits, of)| Share::new(hits, of));
        let dims: Vec<_> = self
            .dims
            .iter()
            .cloned()
            .zip(key.0.iter().cloned())
            .collect();
        let goal = self.goal(kpi, &dims, key.1);
        let is_money = kpi.unit.kind == UnitKind::Currency;
        Ok(KpiRow {
            kpi: kpi.id.clone(),
            period_start: key.1.map(UtcMicros),
            value,
            numerator,
            denominator,
            n,
            interval: share.map(Share::interval),
            // Money over money is a plain number.
            currency: self.currency(kpi, spot)?.filter(|_| is_money),
            target: goal.target,
            status: kpi::status(value, n, &goal, kpi.direction),
            previous: None,
            difference: None,
            unit: kpi.unit.clone(),
            version: kpi.version,
            hash: kpi.hash.clone(),
            dims,
            parts,
        })
    }

    fn figures(&self, kpi: &Kpi, spot: &Spot<'_>) -> Figures {
        if !spot.known {
            return Figures::default();
        }
        let operands = kpi.value.ratio();
        let denominator = operands.and_then(|(_, b)| self.eval(kpi, b, spot));
        let numbers = self.numbers_of(kpi, spot);
        let parts = numbers.map_or(Vec::new(), |n| n.parts.clone());
        Figures {
            value: self.value(kpi, spot).filter(|_| spot.withheld.is_empty()),
            numerator: operands.and_then(|(a, _)| self.eval(kpi, a, spot)),
            denominator,
            n: match operands {
                Some((_, below)) => denominator.filter(|_| self.counts(kpi, below)),
                None => histogram_size(kpi, &parts),
            },
            parts,
        }
    }

    /// Is an operand a number of things, and no sum of times, points or money?
    fn counts(&self, kpi: &Kpi, operand: &Value) -> bool {
        match operand {
            Value::Part(name) => kpi
                .part(name)
                .is_some_and(|part| matches!(part.agg, kpi::Agg::CountIf | kpi::Agg::Distinct)),
            Value::Kpi(id) => {
                let input = self.known.get(id);
                input.is_some_and(|input| input.unit.kind == kpi::UnitKind::Count)
            }
            Value::Add(a, b) | Value::Sub(a, b) => self.counts(kpi, a) && self.counts(kpi, b),
            _ => false,
        }
    }

    fn numbers_of(&self, kpi: &Kpi, spot: &Spot<'_>) -> Option<&Numbers> {
        self.numbers.get(&(kpi.id.clone(), spot.end))?.get(spot.key)
    }

    /// The value of a KPI in a group; where it has no row, what nothing means for it.
    fn value(&self, kpi: &Kpi, spot: &Spot<'_>) -> Option<f64> {
        if spot.withheld.contains(&kpi.id.as_str()) || self.is_too_long(kpi, spot.key) {
            return None;
        }
        let value = if kpi.measured().is_some() {
            self.numbers_of(kpi, spot).and_then(|n| n.value)
        } else {
            self.eval(kpi, &kpi.value, spot)
        };
        value.or((kpi.empty == Empty::Zero).then_some(0.0))
    }

    fn eval(&self, kpi: &Kpi, value: &Value, spot: &Spot<'_>) -> Option<f64> {
        value.eval(&mut |leaf| match leaf {
            Value::Part(name) => {
                let parts = &self.numbers_of(kpi, spot)?.parts;
                parts.iter().find(|(part, _)| part == name)?.1
            }
            Value::Kpi(id) => self.value(self.known.get(id)?, spot),
            Value::Beside(side, id) => {
                let input = self.known.get(id)?;
                self.beside.value(*side, input, spot.key)
            }
            Value::Param(name) => {
                let param = self.params.get(&kpi.id)?.get(name)?;
                param.at(self.moment(spot.key.1)).number()
            }
            Value::RangeMs => self.range_ms(kpi, spot),
            _ => None,
        })
    }

    /// The length of the time that a value is of, as far as something is known of it. Where all inputs
    /// are time that is spread, those quarters are meant that begin in the range: they count whole.
    fn range_ms(&self, kpi: &Kpi, spot: &Spot<'_>) -> Option<f64> {
        let bounds = &self.answer.bounds;
        let (from, to) = self.answer.stretch(self.buckets.as_ref(), spot.key.1);
        let mut measured = self.measured_below(kpi).into_iter();
        let is_spread = measured.all(|k| k.measured().is_some_and(|m| m.clock == Clock::Spread));
        let next = |at: i64| match is_spread {
            true => (at.saturating_sub(1).div_euclid(QUARTER) + 1).saturating_mul(QUARTER),
            false => at,
        };
        let known_from = bounds.known_from?.0;
        let from = from.map_or(known_from, |from| next(from).max(known_from));
        let ends = [to.map(next), spot.matured_to, Some(bounds.as_of.0)];
        let to = ends.into_iter().flatten().min()?;
        (from < to).then(|| (to - from) as f64 / 1_000.0)
    }

    /// The moment that decides what holds for a bucket.
    fn moment(&self, period: Option<i64>) -> UtcMicros {
        let start = period.map(UtcMicros).or(self.answer.from);
        start.unwrap_or(self.answer.as_of)
    }

    fn goal(&self, kpi: &Kpi, dims: &[(String, Option<String>)], period: Option<i64>) -> Goal {
        let named: Vec<(&str, &str)> = dims
            .iter()
            .filter_map(|(d, v)| Some((d.as_str(), v.as_deref()?)))
            .collect();
        self.targets.goal(kpi, &named, self.moment(period))
    }

    /// The one currency behind a KPI of money.
    fn currency(&self, kpi: &Kpi, spot: &Spot<'_>) -> Result<Option<String>, EngineError> {
        let mut found: Option<String> = None;
        for input in self.measured_below(kpi) {
            let currency = self
                .numbers_of(input, spot)
                .and_then(|n| n.currency.clone());
            match (currency, &found) {
                (Some(new), Some(old)) if new != *old => {
                    return Err(two_currencies(&kpi.id, old, &new));
                }
                (Some(new), None) => found = Some(new),
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Values of the first `count` columns, row by row.
pub(super) fn dims_of(batch: &RecordBatch, count: usize) -> Result<Vec<Dims>, EngineError> {
    let columns: Vec<StringArray> = (0..count)
        .map(|i| {
            Ok(as_type(batch.column(i), &DataType::Utf8)?
                .as_string::<i32>()
                .clone())
        })
        .collect::<Result<_, EngineError>>()?;
    let text = |column: &StringArray, row: usize| {
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let row = |row: usize| columns.iter().map(|column| text(column, row)).collect();
    Ok((0..batch.num_rows()).map(row).collect())
}

/// Why a KPI has no value although there are rows.
fn not_all_posted(kpi: &str, input: &str) -> String {
    let of = if kpi == input {
        String::new()
    } else {
        format!(" of {input}")
    };
    format!(
        "{kpi} has no value where not every day{of} is posted; days are those of the zone in \
         which the lines were posted"
    )
}

/// The values behind a percentile.
fn histogram_size(kpi: &Kpi, parts: &[(String, Option<f64>)]) -> Option<f64> {
    let histogram = kpi.parts().iter().find(|p| p.agg == kpi::Agg::Histogram)?;
    parts.iter().find(|(name, _)| *name == histogram.name)?.1
}

/// The columns of one KPI in one batch.
struct Group {
    value: Float64Array,
    parts: Vec<Float64Array>,
    currencies: Option<[StringArray; 2]>,
}

impl Group {
    /// Reads the columns from position `at` on and moves it behind them.
    fn read(columns: &Columns, batch: &RecordBatch, at: &mut usize) -> Result<Self, EngineError> {
        let mut next = || {
            *at += 1;
            batch.columns().get(*at - 1).ok_or_else(|| {
                EngineError::Internal(format!("the result lacks a column of {}", columns.kpi))
            })
        };
        let mut number = || -> Result<Float64Array, EngineError> {
            Ok(as_type(next()?, &DataType::Float64)?.as_primitive().clone())
        };
        let value = number()?;
        let parts = columns
            .parts
            .iter()
            .map(|_| number())
            .collect::<Result<_, _>>()?;
        let mut text = || -> Result<StringArray, EngineError> {
            Ok(as_type(next()?, &DataType::Utf8)?
                .as_string::<i32>()
                .clone())
        };
        let currencies = if columns.currency {
            Some([text()?, text()?])
        } else {
            None
        };
        Ok(Group {
            value,
            parts,
            currencies,
        })
    }

    fn numbers(&self, columns: &Columns, row: usize) -> Result<Numbers, EngineError> {
        let number = |column: &Float64Array| column.is_valid(row).then(|| column.value(row));
        let parts = columns.parts.iter().zip(&self.parts);
        let currency = match &self.currencies {
            Some([first, last]) if first.is_valid(row) && last.is_valid(row) => {
                let (first, last) = (first.value(row), last.value(row));
                if first != last {
                    return Err(two_currencies(&columns.kpi, first, last));
                }
                Some(first.to_owned())
            }
            _ => None,
        };
        let parts = parts
            .map(|(name, column)| (name.clone(), number(column)))
            .collect();
        Ok(Numbers {
            value: number(&self.value),
            parts,
            currency,
        })
    }
}

fn as_type(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, EngineError> {
    cast(column, to).map_err(|e| EngineError::Internal(e.to_string()))
}
