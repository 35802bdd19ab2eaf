//! Built-in functions that can build far more than they are given, with a limit.
//!
//! `repeat('abcdefgh', 250000000)` asks the allocator for two gigabytes, which ends the process.
//! Each function here is the built-in one behind a check of what the call asks for: the sizes of
//! its arguments tell a bound on the size of its result.

mod collecting;
mod series;

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::compute::kernels::length::length;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};

use crate::error::EngineError;
use crate::guard::{BATCH_BYTES_MAX, BATCH_STEPS_MAX, VALUE_BYTES_MAX};

pub(super) use collecting::aggregate;
pub(super) use series::table;

/// Name of the function that `a || b` becomes.
pub(super) const TEXT_CONCAT: &str = "text_concat";

/// The function itself, or with a limit where it needs one. Those that take patterns of times
/// know PostgreSQL's.
pub(super) fn scalar(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    let function = super::time::with_patterns(function);
    match Size::of(function.name()) {
        None => function,
        Some(size) => Arc::new(ScalarUDF::from(Capped { function, size })),
    }
}

/// How large a call's result can be, by the sizes of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Size {
    /// `repeat(text, n)`
    Repeated,
    /// `lpad(text, n)`
    Padded,
    /// `array_repeat(x, n)`
    RepeatedItem,
    /// `array_resize(list, n)`
    Resized,
    /// `replace(text, from, to)`
    Replaced,
    /// `regexp_replace(text, pattern, to)`
    RegexReplaced,
    /// `concat(a, b, ...)`
    Together,
    /// `array_concat(a, b, ...)`
    ItemsTogether,
    /// `concat_ws(sign, a, b, ...)`
    Joined,
    /// `array_to_string(list, sign)`
    ItemsJoined,
    /// `to_char(time, pattern)`
    Written,
    /// `generate_series(from, to, step)`
    Series,
    /// `levenshtein(a, b)`: in steps, not in bytes.
    Compared,
}

impl Size {
    fn of(name: &str) -> Option<Size> {
        Some(match name {
            "repeat" => Size::Repeated,
            "lpad" | "rpad" => Size::Padded,
            "array_repeat" => Size::RepeatedItem,
            "array_resize" => Size::Resized,
            "replace" => Size::Replaced,
            "regexp_replace" => Size::RegexReplaced,
            "concat" | TEXT_CONCAT => Size::Together,
            "array_concat" | "array_append" | "array_prepend" => Size::ItemsTogether,
            "concat_ws" => Size::Joined,
            "array_to_string" => Size::ItemsJoined,
            "to_char" => Size::Written,
            "generate_series" | "range" => Size::Series,
            "levenshtein" => Size::Compared,
            _ => return None,
        })
    }

    /// Bytes (or steps) of the result for one row.
    fn of_row(self, args: &[Measured], row: usize) -> u64 {
        let size = |i: usize| args.get(i).map_or(0, |a| a.size(row));
        let number = |i: usize| args.get(i).map_or(0, |a| a.number(row));
        let sum =
            |from: usize| (from..args.len()).fold(0_u64, |sum, i| sum.saturating_add(size(i)));
        match self {
            Size::Repeated | Size::RepeatedItem => size(0).max(1).saturating_mul(number(1)),
            Size::Padded => number(1),
            Size::Resized => number(1).saturating_mul(8),
            Size::Replaced => {
                let matches = if size(1) == 0 {
                    size(0) + 1
                } else {
                    size(0) / size(1)
                };
                size(0).saturating_add(matches.saturating_mul(size(2)))
            }
            // A group may hold the whole text, and be named by every second sign.
            Size::RegexReplaced => (size(0) + 1)
                .saturating_mul(size(2).max(1))
                .saturating_add(size(0).saturating_mul(size(2) / 2)),
            Size::Together => sum(0),
            Size::ItemsTogether => sum(0).saturating_mul(8),
            Size::Joined => {
                let signs = (args.len() as u64).saturating_mul(size(0));
                sum(1).saturating_add(signs)
            }
            Size::ItemsJoined => size(0).saturating_mul(size(1)),
            // The longest sign of a pattern, %c, writes 24 characters.
            Size::Written => size(1).saturating_mul(12),
            Size::Series => number(0),
            Size::Compared => size(0).saturating_mul(size(1)),
        }
    }
}

/// Sizes of one argument: of its only value, or row by row. NULL has none.
enum Measured {
    One(i64, i64),
    Each(Option<Int64Array>, Option<Int64Array>),
}

impl Measured {
    fn of(value: &ColumnarValue) -> Result<Measured> {
        let array = match value {
            ColumnarValue::Scalar(scalar) => scalar.to_array()?,
            ColumnarValue::Array(array) => Arc::clone(array),
        };
        let int64 = |array: &dyn Array| -> Option<Int64Array> {
            Some(
                cast(array, &DataType::Int64)
                    .ok()?
                    .as_primitive::<Int64Type>()
                    .clone(),
            )
        };
        let sizes = length(array.as_ref()).ok().and_then(|a| int64(a.as_ref()));
        let numeric = array.data_type().is_numeric();
        let numbers = numeric.then(|| int64(array.as_ref())).flatten();
        Ok(match value {
            ColumnarValue::Array(_) => Measured::Each(sizes, numbers),
            ColumnarValue::Scalar(_) => {
                let first = |of: Option<Int64Array>, else_: i64| {
                    of.map_or(else_, |a| if a.is_null(0) { 0 } else { a.value(0) })
                };
                Measured::One(first(sizes, 8), first(numbers, 0))
            }
        })
    }

    /// Bytes of a text, items of a list, 8 of anything else.
    fn size(&self, row: usize) -> u64 {
        match self {
            Measured::One(size, _) => u64::try_from(*size).unwrap_or(0),
            Measured::Each(sizes, _) => sizes.as_ref().map_or(8, |s| at(s, row)),
        }
    }

    /// A whole number; what is below 0 is 0.
    fn number(&self, row: usize) -> u64 {
        match self {
            Measured::One(_, number) => u64::try_from(*number).unwrap_or(0),
            Measured::Each(_, numbers) => numbers.as_ref().map_or(0, |n| at(n, row)),
        }
    }
}

fn at(array: &Int64Array, row: usize) -> u64 {
    if array.is_null(row) {
        0
    } else {
        u64::try_from(array.value(row)).unwrap_or(0)
    }
}

/// A built-in function behind its limit.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Capped {
    function: Arc<ScalarUDF>,
    size: Size,
}

impl Capped {
    fn check(&self, args: &ScalarFunctionArgs) -> Result<()> {
        let constant = args
            .args
            .iter()
            .all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let measured = match self.size {
            Size::Series => vec![series::measured(&args.args, rows)?],
            _ => args.args.iter().map(Measured::of).collect::<Result<_>>()?,
        };
        let all = (0..rows).fold(0_u64, |sum, row| {
            sum.saturating_add(self.size.of_row(&measured, row))
        });
        let most = match (self.size, constant) {
            (Size::Compared, _) => BATCH_STEPS_MAX,
            (Size::Series | Size::RepeatedItem | Size::Resized, true) => 8 * VALUE_BYTES_MAX,
            (_, true) => VALUE_BYTES_MAX,
            (_, false) => BATCH_BYTES_MAX,
        };
        if all <= most {
            Ok(())
        } else {
            Err(self.too_large(constant, most))
        }
    }

    fn too_large(&self, constant: bool, most: u64) -> datafusion::common::DataFusionError {
        let name = self.function.name();
        let text = match (self.size, constant) {
            (Size::Compared, _) => format!("{name}: the texts are too long to compare"),
            (_, true) => format!("{name}: the result may be at most {most} bytes"),
            (_, false) => format!(
                "{name}: the results of one batch of rows may be at most {most} bytes together"
            ),
        };
        EngineError::BadValue(text).into()
    }
}

/// Everything but the call is the built-in function's. It is not simplified: what it would become
/// has no limit.
impl ScalarUDFImpl for Capped {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.function.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.function.inner().return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.function.return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(arg_types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.check(&args)?;
        self.function.invoke_with_args(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}

/// The value of a literal argument.
fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}
