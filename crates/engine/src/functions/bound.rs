//! `:horizon`, `:history_start` and `:as_of` in compiled KPIs, `:horizon` and `:known_from` in models.
//!
//! A KPI is compiled once, for all versions. So a bound is a call that the optimiser replaces by
//! the instant that the session has pinned, before files are pruned by it. It is not registered
//! where queries are planned: only compiled KPIs and models contain it.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::{instant, instant_type};
use crate::session::now_of;

/// Which bound of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bound {
    /// Data are complete up to here.
    Horizon,
    /// Data begin here.
    HistoryStart,
    /// What counts as now.
    AsOf,
    /// Of before this moment nothing is known, of no source. Models only.
    KnownFrom,
}

/// The bounds that a model's SELECT may name, and what each becomes: a call without arguments.
const OF_MODELS: [(&str, &str); 2] = [(":horizon", "horizon()"), (":known_from", "known_from()")];

/// A model's SELECT with calls in place of the bounds that it names.
pub(crate) fn with_calls(select: &str) -> String {
    let called = |text: String, (name, call): &(&str, &str)| text.replace(name, call);
    OF_MODELS.iter().fold(select.to_owned(), called)
}

/// The functions behind those calls, for the session that plans the models only.
pub(crate) fn model_functions() -> [Arc<ScalarUDF>; 2] {
    [udf(Bound::Horizon, 0), udf(Bound::KnownFrom, 0)]
}

/// The instant of a bound, less some milliseconds.
pub(crate) fn bound(which: Bound, less_ms: i64) -> Expr {
    static PLAIN: LazyLock<[Arc<ScalarUDF>; 3]> = LazyLock::new(|| {
        [Bound::Horizon, Bound::HistoryStart, Bound::AsOf].map(|which| udf(which, 0))
    });
    let function = match less_ms {
        0 => Arc::clone(&PLAIN[which as usize]),
        ms => udf(which, ms),
    };
    function.call(Vec::new())
}

/// Is it the function behind a bound? Then it cannot fail.
pub(super) fn is_bound(function: &ScalarUDF) -> bool {
    function.inner().is::<BoundOfData>()
}

fn udf(which: Bound, less_ms: i64) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(BoundOfData {
        which,
        less_ms,
        signature: Signature::nullary(Volatility::Stable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BoundOfData {
    which: Bound,
    less_ms: i64,
    signature: Signature,
}

impl BoundOfData {
    fn micros(&self, options: &ConfigOptions) -> Result<i64> {
        let bounds = now_of(options)?.bounds;
        let at = match self.which {
            Bound::Horizon => bounds.horizon,
            Bound::HistoryStart => bounds.history_start,
            Bound::AsOf => bounds.as_of,
            // Nothing is stored at all: then there are no rows that this could cut.
            Bound::KnownFrom => bounds.known_from.unwrap_or(bounds.history_start),
        };
        Ok(at.0.saturating_sub(self.less_ms.saturating_mul(1_000)))
    }
}

impl ScalarUDFImpl for BoundOfData {
    fn name(&self) -> &str {
        match self.which {
            Bound::Horizon => "horizon",
            Bound::HistoryStart => "history_start",
            Bound::AsOf => "as_of",
            Bound::KnownFrom => "known_from",
        }
    }

    fn display_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.text())
    }

    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.text())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the field says more")
    }

    /// Never NULL: a KPI's column is as nullable as it would be with a literal.
    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), instant_type(), false)))
    }

    fn simplify(&self, _: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let at = instant(self.micros(context.config_options())?);
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(at, None)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(instant(
            self.micros(&args.config_options)?,
        )))
    }
}

impl BoundOfData {
    /// Two bounds with different names are two expressions, also where only names are compared.
    fn text(&self) -> String {
        match self.less_ms {
            0 => format!(":{}", self.name()),
            ms => format!(":{} - {ms} ms", self.name()),
        }
    }
}
