//! A KPI definition becomes a plan: the only form in which KPI arithmetic exists.
//!
//! A [`KpiPlan`] holds, for every part, the row expressions and the aggregate, and the value as
//! a tree over the parts. SQL views, `MEASURE`, grain views and requests are built from it and
//! from nothing else. Row expressions stay typed DataFusion expressions over the model's columns;
//! parameters and the bounds of the data are literals by then.

mod currency;
mod rows;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable};
use kpi::{Agg, Catalogue, Empty, Kind, Kpi, ParamInForce, Per, Value};

use crate::error::EngineError;
use crate::functions;
use crate::settings::Settings;

pub(crate) use currency::two_currencies;
pub(crate) use rows::matured_function;
pub(crate) use value::ValueNode;

/// Type of exact sums of money.
pub(crate) const MONEY_SUM: DataType = DataType::Decimal128(38, 4);

/// One compiled KPI.
#[derive(Clone, Debug)]
pub struct KpiPlan {
    /// The definition.
    pub kpi: Arc<Kpi>,
    /// The model whose rows it counts.
    pub model: String,
    /// The time columns that decide the bucket; more than one only below a derived KPI.
    pub time: String,
    /// Its parts; of a derived KPI those of its inputs, named `<input>.<part>`.
    pub parts: Vec<PartPlan>,
    /// Parameters in force.
    pub params: BTreeMap<String, ParamInForce>,
    /// Type of the KPI's column: that of the part if the value is one part, else Float64.
    pub data_type: DataType,
    /// Hash of the definition's meaning.
    pub hash: String,
    pub(crate) value: ValueNode,
}

/// One part: which rows count, what of them, and how it is aggregated.
#[derive(Clone, Debug)]
pub struct PartPlan {
    /// Its name in the definition.
    pub name: String,
    /// The aggregate.
    pub agg: Agg,
    /// What is aggregated; absent for `count_if`.
    pub arg: Option<Expr>,
    /// Which rows count: the part's condition, the KPI's filters, and a time that is not NULL.
    pub filter: Option<Expr>,
    /// Type of the aggregate.
    pub data_type: DataType,
}

/// Compiles against one model.
pub(crate) struct Compiler<'a> {
    pub state: &'a SessionState,
    pub schema: &'a DFSchema,
    pub settings: &'a Settings,
}

impl Compiler<'_> {
    /// Compiles a KPI that counts rows of this model.
    pub(crate) fn measured(&self, kpi: &Kpi) -> Result<KpiPlan, EngineError> {
        let Kind::Measured(measured) = &kpi.kind else {
            return Err(about(kpi, "", "it is derived from other KPIs"));
        };
        let none = BTreeMap::new();
        let params = kpi.params_in_force(self.settings.params.get(&kpi.id).unwrap_or(&none));
        let filter = self.common_filter(kpi, &measured.time, &measured.filters, &params)?;
        let mut parts = measured
            .parts
            .iter()
            .map(|part| self.part(kpi, part, filter.as_ref(), &params))
            .collect::<Result<Vec<_>, _>>()?;
        let guards = self.guard_money(&mut parts);
        let value = ValueNode::resolve(&kpi.value, &mut |leaf| {
            let Value::Part(name) = leaf else { return None };
            let part = measured.parts.iter().position(|p| p.name == *name)?;
            Some(ValueNode::part(&kpi.id, part, guards[part]))
        });
        let value = value.map_err(|e| about(kpi, &kpi.value.to_string(), e))?;
        self.plan(
            kpi,
            measured.model.clone(),
            measured.time.clone(),
            parts,
            params,
            value,
        )
    }

    fn plan(
        &self,
        kpi: &Kpi,
        model: String,
        time: String,
        parts: Vec<PartPlan>,
        params: BTreeMap<String, ParamInForce>,
        value: ValueNode,
    ) -> Result<KpiPlan, EngineError> {
        let value = match kpi.empty {
            Empty::Zero => ValueNode::OrZero(Box::new(value)),
            Empty::NoValue => value,
        };
        let data_type = value.data_type(&parts);
        let hash = kpi.hash.clone();
        Ok(KpiPlan {
            kpi: Arc::new(kpi.clone()),
            model,
            time,
            parts,
            params,
            data_type,
            hash,
            value,
        })
    }

    /// Compiles a derived KPI all of whose inputs count rows of this model by the same time.
    ///
    /// `None` when they do not, or when its value reads more than rows say: such a KPI has no column
    /// in a view.
    pub(crate) fn derived(
        &self,
        kpi: &Kpi,
        catalogue: &Catalogue,
    ) -> Result<Option<KpiPlan>, EngineError> {
        let inputs = catalogue.inputs_of(kpi);
        let Some(first) = inputs.first() else {
            return Ok(None);
        };
        if depends_on_the_question(kpi, catalogue) {
            return Ok(None);
        }
        let (Some(model), Some(time)) = (first.model(), first.time()) else {
            return Ok(None);
        };
        if inputs
            .iter()
            .any(|i| i.model() != Some(model) || i.time() != Some(time))
        {
            return Ok(None);
        }
        let mut parts = Vec::new();
        let mut params = BTreeMap::new();
        let value = self.input_value(kpi, catalogue, &mut parts, &mut params)?;
        self.plan(kpi, model.to_owned(), time.to_owned(), parts, params, value)
            .map(Some)
    }

    /// The value of a KPI with every input replaced by its own value over `parts`.
    fn input_value(
        &self,
        kpi: &Kpi,
        catalogue: &Catalogue,
        parts: &mut Vec<PartPlan>,
        params: &mut BTreeMap<String, ParamInForce>,
    ) -> Result<ValueNode, EngineError> {
        if matches!(kpi.kind, Kind::Measured(_)) {
            let plan = self.measured(kpi)?;
            let offset = parts.len();
            for part in plan.parts {
                parts.push(PartPlan {
                    name: format!("{}.{}", kpi.id, part.name),
                    ..part
                });
            }
            params.extend(
                plan.params
                    .into_iter()
                    .map(|(k, v)| (format!("{}.{k}", kpi.id), v)),
            );
            return Ok(plan.value.shifted(offset));
        }
        let mut failed = None;
        let value = ValueNode::resolve(&kpi.value, &mut |leaf| {
            let Value::Kpi(id) = leaf else { return None };
            match self.input_value(catalogue.get(id)?, catalogue, parts, params) {
                Ok(node) => Some(node),
                Err(e) => {
                    failed = Some(e);
                    None
                }
            }
        });
        match (failed, value) {
            (Some(error), _) => Err(error),
            (None, Ok(value)) => Ok(value),
            (None, Err(e)) => Err(about(kpi, &kpi.value.to_string(), e)),
        }
    }

    /// The KPI's filters and, where its time may be NULL, that it is not: such a row is in no
    /// bucket and so in no total either.
    fn common_filter(
        &self,
        kpi: &Kpi,
        time: &str,
        filters: &[String],
        params: &BTreeMap<String, ParamInForce>,
    ) -> Result<Option<Expr>, EngineError> {
        let column = self.row_expr(kpi, time, params)?;
        let nullable = column
            .nullable(self.schema)
            .map_err(|e| about(kpi, time, e))?;
        let mut all: Vec<Expr> = Vec::new();
        for filter in filters {
            all.push(self.condition(kpi, filter, params)?);
        }
        if nullable {
            all.push(column.is_not_null());
        }
        Ok(all.into_iter().reduce(Expr::and))
    }

    fn part(
        &self,
        kpi: &Kpi,
        part: &kpi::Part,
        common: Option<&Expr>,
        params: &BTreeMap<String, ParamInForce>,
    ) -> Result<PartPlan, EngineError> {
        let and_common = |own: Option<Expr>| match (own, common) {
            (Some(own), Some(common)) => Some(common.clone().and(own)),
            (own, common) => own.or_else(|| common.cloned()),
        };
        let (arg, filter) = match part.agg {
            Agg::CountIf => (
                None,
                and_common(Some(self.condition(kpi, &part.expr, params)?)),
            ),
            _ => {
                let (arg, when) = rows::split_case(self.row_expr(kpi, &part.expr, params)?);
                (Some(arg), and_common(when))
            }
        };
        let data_type = self.part_type(kpi, part, arg.as_ref())?;
        let arg = arg.map(|value| self.taken(kpi, part, value, params));
        let arg = arg.transpose()?;
        Ok(PartPlan {
            name: part.name.clone(),
            agg: part.agg,
            arg,
            filter,
            data_type,
        })
    }

    /// What the aggregate takes of a row: its value, for some together with its time.
    fn taken(
        &self,
        kpi: &Kpi,
        part: &kpi::Part,
        value: Expr,
        params: &BTreeMap<String, ParamInForce>,
    ) -> Result<Expr, EngineError> {
        let time = || self.row_expr(kpi, kpi.time().unwrap_or_default(), params);
        Ok(match &part.per {
            Some(Per::Column(per)) => {
                functions::latest_row(value, time()?, self.row_expr(kpi, per, params)?)
            }
            Some(Per::Width { ms }) => functions::stretch_row(value, time()?, *ms),
            None if part.agg == Agg::PeakOpen => functions::open_row(time()?, value),
            None => value,
        })
    }

    /// Type of the aggregate; refuses what cannot be summed exactly.
    fn part_type(
        &self,
        kpi: &Kpi,
        part: &kpi::Part,
        arg: Option<&Expr>,
    ) -> Result<DataType, EngineError> {
        let of = match arg {
            Some(arg) => arg
                .get_type(self.schema)
                .map_err(|e| about(kpi, &part.expr, e))?,
            None => DataType::Boolean,
        };
        match (part.agg, &of) {
            (Agg::CountIf | Agg::Distinct, _) => Ok(DataType::Int64),
            (Agg::Sum, DataType::Int64) => Ok(DataType::Int64),
            (Agg::Sum, DataType::Decimal128(_, _)) => Ok(MONEY_SUM),
            (Agg::Min | Agg::Max, DataType::Int64 | DataType::Decimal128(_, _)) => Ok(of),
            (Agg::Histogram, DataType::Int64) => Ok(DataType::Binary),
            (Agg::LastByTime | Agg::MaxLastByTime | Agg::Peak, DataType::Int64)
            | (Agg::PeakOpen, DataType::Timestamp(_, _)) => Ok(DataType::Int64),
            (Agg::TimeWeighted, _) => {
                Err(about(kpi, &part.expr, "this aggregate is not built yet"))
            }
            (agg, _) => {
                let needs = match agg {
                    Agg::PeakOpen => "a time",
                    Agg::Sum | Agg::Min | Agg::Max => "a whole number or a decimal",
                    _ => "a whole number",
                };
                let text = format!("{agg:?} needs {needs}, this is {of}");
                Err(about(kpi, &part.expr, text))
            }
        }
    }
}

/// Does a KPI, or one that it is made of, read more than rows say: how long the time is that the
/// question is of, parameters at its begin, what it is compared with?
pub(crate) fn depends_on_the_question(kpi: &Kpi, catalogue: &Catalogue) -> bool {
    let mut all = catalogue.made_of(kpi).into_iter();
    all.any(|kpi| !kpi.value.is_plain() || kpi.longest_ms().is_some())
}

/// An error about one expression of one KPI.
pub(crate) fn about(kpi: &Kpi, expr: &str, problem: impl std::fmt::Display) -> EngineError {
    let place = &kpi.place;
    let at = format!("{}:{}:{}: {}", place.file, place.line, place.column, kpi.id);
    EngineError::Definitions(vec![if expr.is_empty() {
        format!("{at}: {problem}")
    } else {
        format!("{at}: `{expr}`: {problem}")
    }])
}
