//! From the results of a request's queries to its answer.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use events::UtcMicros;
use kpi::{Empty, Goal, Kpi, Targets, Value};

use super::prepare::{Asker, Columns, Query};
use super::{AnsweredKpi, KpiAnswer, KpiRequest, KpiRow};
use crate::EngineError;
use crate::functions::calendar::{Calendar, Grain, parse_zone};

/// One group: values of the dimensions, start of the bucket.
type Key = (Vec<Option<String>>, Option<i64>);
/// A measured KPI over rows up to an end.
type Source = (String, Option<i64>);

/// What one group of a query says about one KPI.
#[derive(Clone, Debug, Default)]
struct Numbers {
    value: Option<f64>,
    parts: Vec<(String, Option<f64>)>,
    currency: Option<String>,
}

/// Collects results and makes the answer.
#[derive(Clone)]
pub(crate) struct Answering {
    /// Those asked for, in their order.
    kpis: Vec<Kpi>,
    /// Those asked for and all their inputs, by id.
    known: BTreeMap<String, Kpi>,
    /// Where the rows of a KPI and its inputs end, by the id asked for.
    ends: BTreeMap<String, Option<i64>>,
    targets: Targets,
    dims: Vec<String>,
    numbers: BTreeMap<Source, BTreeMap<Key, Numbers>>,
    answer: KpiAnswer,
}

impl Answering {
    pub(super) fn new(
        asker: &Asker<'_>,
        request: &KpiRequest,
        zone: &str,
        kpis: Vec<Kpi>,
        answered: Vec<AnsweredKpi>,
        ends: BTreeMap<String, Option<i64>>,
    ) -> Self {
        let mut known = BTreeMap::new();
        let mut open: Vec<&Kpi> = kpis.iter().collect();
        while let Some(kpi) = open.pop() {
            open.extend(kpi.inputs().iter().filter_map(|id| asker.catalogue.get(id)));
            known.insert(kpi.id.clone(), kpi.clone());
        }
        let answer = KpiAnswer {
            rows: Vec::new(),
            kpis: answered,
            from: request.from,
            to: request.to,
            grain: request.grain,
            zone: zone.to_owned(),
            as_of: asker.bounds.as_of,
            horizon: asker.bounds.horizon,
            revision: asker.revision,
            approx: false,
        };
        let targets = asker.targets.clone();
        let dims = request.by.clone();
        Answering {
            kpis,
            known,
            ends,
            targets,
            dims,
            numbers: BTreeMap::new(),
            answer,
        }
    }

    /// Takes one batch of a query's result.
    pub(super) fn take(&mut self, query: &Query, batch: &RecordBatch) -> Result<(), EngineError> {
        let keys = self.keys(batch)?;
        let mut at = self.dims.len() + usize::from(self.answer.grain.is_some());
        for columns in &query.kpis {
            let group = Group::read(columns, batch, &mut at)?;
            let source = (columns.kpi.clone(), query.to);
            let numbers = self.numbers.entry(source).or_default();
            for (row, key) in keys.iter().enumerate() {
                numbers.insert(key.clone(), group.numbers(columns, row)?);
            }
        }
        Ok(())
    }

    fn keys(&self, batch: &RecordBatch) -> Result<Vec<Key>, EngineError> {
        let dims: Vec<StringArray> = (0..self.dims.len())
            .map(|i| {
                Ok(as_type(batch.column(i), &DataType::Utf8)?
                    .as_string::<i32>()
                    .clone())
            })
            .collect::<Result<_, EngineError>>()?;
        let periods = match self.answer.grain {
            Some(_) => batch
                .column(dims.len())
                .as_primitive_opt::<TimestampMicrosecondType>(),
            None => None,
        };
        let text = |column: &StringArray, row: usize| {
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        let key = |row: usize| {
            let period = periods.filter(|p| p.is_valid(row)).map(|p| p.value(row));
            (
                dims.iter().map(|column| text(column, row)).collect(),
                period,
            )
        };
        Ok((0..batch.num_rows()).map(key).collect())
    }

    /// The answer, once every result was taken.
    pub(super) fn finish(mut self) -> Result<KpiAnswer, EngineError> {
        let mut rows = Vec::new();
        for kpi in &self.kpis {
            let end = self.ends.get(&kpi.id).copied().flatten();
            for key in self.keys_of(kpi, end) {
                rows.push(self.row(kpi, end, &key)?);
            }
        }
        self.answer.rows = rows;
        Ok(self.answer)
    }

    /// Every group in which the KPI or one of its inputs has a row.
    fn keys_of(&self, kpi: &Kpi, end: Option<i64>) -> BTreeSet<Key> {
        if kpi.measured().is_some() {
            let numbers = self.numbers.get(&(kpi.id.clone(), end));
            return numbers
                .into_iter()
                .flat_map(|n| n.keys().cloned())
                .collect();
        }
        let inputs = kpi.inputs().iter().filter_map(|id| self.known.get(id));
        inputs.flat_map(|input| self.keys_of(input, end)).collect()
    }

    fn row(&self, kpi: &Kpi, end: Option<i64>, key: &Key) -> Result<KpiRow, EngineError> {
        let value = self.value(kpi, end, key);
        let operands = operands(&kpi.value);
        let numerator = operands.and_then(|(a, _)| self.eval(kpi, a, end, key));
        let denominator = operands.and_then(|(_, b)| self.eval(kpi, b, end, key));
        let parts = self
            .numbers_of(kpi, end, key)
            .map_or(Vec::new(), |n| n.parts.clone());
        let n = denominator.or_else(|| histogram_size(kpi, &parts));
        let dims: Vec<_> = self
            .dims
            .iter()
            .cloned()
            .zip(key.0.iter().cloned())
            .collect();
        let goal = self.goal(kpi, &dims, key.1);
        Ok(KpiRow {
            kpi: kpi.id.clone(),
            period_start: key.1.map(UtcMicros),
            value,
            numerator,
            denominator,
            n,
            currency: self.currency(kpi, end, key)?,
            target: goal.target,
            status: kpi::status(value, n, &goal, kpi.direction),
            previous: None,
            unit: kpi.unit.clone(),
            version: kpi.version,
            hash: kpi.hash.clone(),
            dims,
            parts,
        })
    }

    fn numbers_of(&self, kpi: &Kpi, end: Option<i64>, key: &Key) -> Option<&Numbers> {
        self.numbers.get(&(kpi.id.clone(), end))?.get(key)
    }

    /// The value of a KPI in a group; where it has no row, what nothing means for it.
    fn value(&self, kpi: &Kpi, end: Option<i64>, key: &Key) -> Option<f64> {
        let value = if kpi.measured().is_some() {
            self.numbers_of(kpi, end, key).and_then(|n| n.value)
        } else {
            self.eval(kpi, &kpi.value, end, key)
        };
        value.or((kpi.empty == Empty::Zero).then_some(0.0))
    }

    fn eval(&self, kpi: &Kpi, value: &Value, end: Option<i64>, key: &Key) -> Option<f64> {
        value.eval(&mut |leaf| match leaf {
            Value::Part(name) => {
                let parts = &self.numbers_of(kpi, end, key)?.parts;
                parts.iter().find(|(part, _)| part == name)?.1
            }
            Value::Kpi(id) => self.value(self.known.get(id)?, end, key),
            _ => None,
        })
    }

    fn goal(&self, kpi: &Kpi, dims: &[(String, Option<String>)], period: Option<i64>) -> Goal {
        let named: Vec<(&str, &str)> = dims
            .iter()
            .filter_map(|(d, v)| Some((d.as_str(), v.as_deref()?)))
            .collect();
        let at = period
            .map(UtcMicros)
            .or(self.answer.from)
            .unwrap_or(self.answer.as_of);
        self.targets.goal(kpi, &named, at)
    }

    /// The one currency behind a KPI of money.
    fn currency(
        &self,
        kpi: &Kpi,
        end: Option<i64>,
        key: &Key,
    ) -> Result<Option<String>, EngineError> {
        if kpi.measured().is_some() {
            return Ok(self
                .numbers_of(kpi, end, key)
                .and_then(|n| n.currency.clone()));
        }
        let mut found: Option<String> = None;
        for input in kpi.inputs().iter().filter_map(|id| self.known.get(id)) {
            match (self.currency(input, end, key)?, &found) {
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

/// The operands of a value's division, a constant factor left aside.
fn operands(value: &Value) -> Option<(&Value, &Value)> {
    match value {
        Value::Div(a, b) if matches!(**b, Value::Number(_)) => operands(a),
        Value::Div(a, b) => Some((a, b)),
        Value::Mul(a, b) if matches!(**a, Value::Number(_)) => operands(b),
        Value::Mul(a, b) if matches!(**b, Value::Number(_)) => operands(a),
        _ => None,
    }
}

/// The values behind a percentile.
fn histogram_size(kpi: &Kpi, parts: &[(String, Option<f64>)]) -> Option<f64> {
    let histogram = kpi.parts().iter().find(|p| p.agg == kpi::Agg::Histogram)?;
    parts.iter().find(|(name, _)| *name == histogram.name)?.1
}

fn two_currencies(kpi: &str, one: &str, other: &str) -> EngineError {
    EngineError::refused(
        format!("{kpi} would add {one} and {other}: money of two currencies is not added"),
        "filter by currency, or group so that each group has one",
    )
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

impl KpiAnswer {
    /// Puts the values of the period before, asked from `before` on, beside those of this one:
    /// first bucket beside first bucket.
    pub(super) fn compare(
        &mut self,
        previous: &KpiAnswer,
        before: Option<UtcMicros>,
        grain: Option<Grain>,
    ) -> Result<(), EngineError> {
        let zone = parse_zone(&self.zone).map_err(|e| EngineError::Invalid(e.to_string()))?;
        let calendar = grain.map(|grain| Calendar::new(grain, zone));
        let (to, from) = (self.to, self.from);
        let positions = |from: Option<UtcMicros>, to: Option<UtcMicros>| -> BTreeMap<i64, usize> {
            match (&calendar, from, to) {
                (Some(c), Some(from), Some(to)) => c.starts(from.0, to.0).zip(0..).collect(),
                _ => BTreeMap::new(),
            }
        };
        let (now, then) = (positions(from, to), positions(before, from));
        let position = |of: &BTreeMap<i64, usize>, row: &KpiRow| {
            row.period_start.map(|at| of.get(&at.0).copied())
        };
        let old: BTreeMap<_, _> = previous
            .rows
            .iter()
            .map(|row| ((&row.kpi, &row.dims, position(&then, row)), row.value))
            .collect();
        for row in &mut self.rows {
            let same = (&row.kpi, &row.dims, position(&now, row));
            row.previous = old.get(&same).copied().flatten();
        }
        Ok(())
    }
}
