//! What inputs were in the period or the group that a question compares with: for values that read
//! `baseline(input)`, `control(input)` or `control_baseline(input)`.
//!
//! Each is the answer to a question of its own, about the inputs alone, asked as any is. Here stands
//! where in those answers a group of this one finds its counterpart.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use kpi::{Kpi, Side};

use super::answer::Dims;
use super::compare::{counterparts, mean};
use super::{Asker, Calendar, Compare, KpiAnswer, KpiRequest, KpiRow};
use crate::EngineError;

/// The inputs that the KPIs of a request read in what it compares with.
pub(super) type Read = BTreeMap<Side, BTreeSet<String>>;

/// Values of inputs in what is compared with.
#[derive(Default)]
pub(super) struct Beside(BTreeMap<Side, Vec<Period>>);

/// The answer about one period or group.
pub(super) struct Period {
    answer: KpiAnswer,
    buckets: Option<Calendar>,
    /// By the start of a bucket of the question, that of the bucket compared with.
    counterparts: BTreeMap<i64, i64>,
    /// Where the row of a KPI, a group and a bucket is.
    places: BTreeMap<(String, Dims, Option<i64>), usize>,
}

impl Period {
    pub fn new(
        request: &KpiRequest,
        answer: KpiAnswer,
        compare: Option<Compare>,
        zone: Tz,
    ) -> Self {
        let buckets = request.grain.map(|grain| Calendar::new(grain, zone));
        let ranges = [(request.from, request.to), (answer.from, answer.to)];
        let counterparts = buckets
            .as_ref()
            .map(|calendar| counterparts(calendar, compare, ranges, zone));
        let key = |row: &KpiRow| {
            let dims = row.dims.iter().map(|(_, value)| value.clone()).collect();
            (row.kpi.clone(), dims, row.period_start.map(|at| at.0))
        };
        let places = answer.rows.iter().enumerate();
        let places = places.map(|(place, row)| (key(row), place)).collect();
        Period {
            answer,
            buckets,
            counterparts: counterparts.unwrap_or_default(),
            places,
        }
    }

    fn row(&self, kpi: &str, dims: &Dims, start: Option<i64>) -> Option<&KpiRow> {
        let key = (kpi.to_owned(), dims.clone(), start);
        self.answer.rows.get(*self.places.get(&key)?)
    }

    /// The value of a KPI in a group; without a row, what nothing means there.
    fn value(&self, kpi: &str, dims: &Dims, start: Option<i64>) -> Option<f64> {
        let about = self.answer.kpis.iter().find(|about| about.id == kpi)?;
        match self.row(kpi, dims, start) {
            Some(row) => row.value,
            None if about.failed.is_some() => None,
            None => {
                let stretch = self.answer.stretch(self.buckets.as_ref(), start);
                self.answer.nothing(about, stretch)
            }
        }
    }
}

impl Beside {
    pub fn add(&mut self, side: Side, periods: Vec<Period>) {
        self.0.insert(side, periods);
    }

    /// Does the question name it?
    pub fn has(&self, side: Side) -> bool {
        self.0.contains_key(&side)
    }

    /// The value of a KPI beside that of a group; of several periods their mean, as of a comparison.
    pub fn value(&self, side: Side, kpi: &Kpi, (dims, start): &(Dims, Option<i64>)) -> Option<f64> {
        let counterpart = |period: &Period| match start {
            None => Some(None),
            Some(at) => period.counterparts.get(at).map(|at| Some(*at)),
        };
        match self.0.get(&side)?.as_slice() {
            [only] => only.value(&kpi.id, dims, counterpart(only)?),
            several if kpi.value.ratio().is_some() => {
                let row = |period| Period::row(period, &kpi.id, dims, counterpart(period)?);
                let rows: Vec<_> = several.iter().map(row).collect();
                mean(kpi, &rows)
            }
            several => {
                let value = |period| Period::value(period, &kpi.id, dims, counterpart(period)?);
                let values: Vec<f64> = several.iter().filter_map(value).collect();
                let count = values.len();
                (count > 0).then(|| values.into_iter().sum::<f64>() / count as f64)
            }
        }
    }
}

impl Asker<'_> {
    /// What the KPIs of a request read in what it compares with.
    ///
    /// # Errors
    /// Values over more than their bucket cannot.
    pub(super) fn read_beside(&self, request: &KpiRequest) -> Result<Read, EngineError> {
        let mut read = Read::new();
        for kpi in self.kpis(request)? {
            for below in self.catalogue.made_of(kpi) {
                for (side, id) in below.value.beside() {
                    read.entry(side).or_default().insert(id.to_owned());
                }
            }
            if request.over.is_some() && !read.is_empty() {
                return Err(EngineError::refused(
                    format!(
                        "{} compares buckets, and is neither rolling nor running",
                        kpi.id
                    ),
                    "leave rolling and running out",
                ));
            }
        }
        Ok(read)
    }

    /// Does every KPI of a request read the control group in the value itself?
    pub(super) fn all_read_control(&self, request: &KpiRequest) -> Result<bool, EngineError> {
        let reads = |kpi: &Kpi| {
            let mut all = self.catalogue.made_of(kpi).into_iter();
            all.any(|below| {
                below
                    .value
                    .beside()
                    .iter()
                    .any(|(side, _)| side.is_control())
            })
        };
        Ok(self.kpis(request)?.into_iter().all(reads))
    }
}
