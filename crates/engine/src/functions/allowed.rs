//! Which functions a query may call.
//!
//! DataFusion's own functions are let in by name, so that a new version of it brings nothing in
//! unseen: a test fails on a name that is in no list. Left out is what reads a random source,
//! what shows files, and what could forge the marks of KPI columns. What can build far more than
//! it is given comes with a limit ([`super::capped`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::TableFunction;
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::sql::sqlparser::keywords::{RESERVED_FOR_COLUMN_ALIAS, RESERVED_FOR_TABLE_ALIAS};

use super::{capped, erlang};

const NUMERIC: &[&str] = &[
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "cos",
    "cosh",
    "cot",
    "degrees",
    "exp",
    "factorial",
    "floor",
    "gcd",
    "isnan",
    "iszero",
    "lcm",
    "ln",
    "log",
    "log10",
    "log2",
    "nanvl",
    "pi",
    "power",
    "radians",
    "round",
    "signum",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
];

const STRING: &[&str] = &[
    "ascii",
    "bit_length",
    "btrim",
    "character_length",
    "chr",
    "concat",
    "concat_ws",
    "contains",
    "decode",
    "encode",
    "ends_with",
    "find_in_set",
    "initcap",
    "left",
    "levenshtein",
    "lower",
    "lpad",
    "ltrim",
    "octet_length",
    "overlay",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    "repeat",
    "replace",
    "reverse",
    "right",
    "rpad",
    "rtrim",
    "split_part",
    "starts_with",
    "strpos",
    "substr",
    "substr_index",
    "to_hex",
    "translate",
    "upper",
];

/// The built-in `to_timestamp` is replaced by our own.
const DATETIME: &[&str] = &[
    "current_date",
    "current_time",
    "date_bin",
    "date_part",
    "date_trunc",
    "from_unixtime",
    "make_date",
    "make_time",
    "now",
    "to_char",
    "to_date",
    "to_local_time",
    "to_time",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_nanos",
    "to_timestamp_seconds",
    "to_unixtime",
];

const SYSTEM: &[&str] = &[
    "arrow_field",
    "arrow_metadata",
    "arrow_typeof",
    "coalesce",
    "greatest",
    "least",
    "nullif",
    "nvl",
    "nvl2",
];

/// Of lists, maps and structs.
const NESTED: &[&str] = &[
    "array_add",
    "array_any_value",
    "array_append",
    "array_avg",
    "array_compact",
    "array_concat",
    "array_dims",
    "array_distance",
    "array_distinct",
    "array_element",
    "array_except",
    "array_has",
    "array_has_all",
    "array_has_any",
    "array_intersect",
    "array_length",
    "array_max",
    "array_min",
    "array_ndims",
    "array_normalize",
    "array_pop_back",
    "array_pop_front",
    "array_position",
    "array_positions",
    "array_prepend",
    "array_product",
    "array_remove",
    "array_remove_all",
    "array_remove_n",
    "array_repeat",
    "array_replace",
    "array_replace_all",
    "array_replace_n",
    "array_resize",
    "array_reverse",
    "array_scale",
    "array_slice",
    "array_sort",
    "array_subtract",
    "array_sum",
    "array_to_string",
    "array_union",
    "arrays_zip",
    "cardinality",
    "cosine_distance",
    "empty",
    "flatten",
    "generate_series",
    "get_field",
    "inner_product",
    "make_array",
    "map",
    "map_entries",
    "map_extract",
    "map_keys",
    "map_values",
    "named_struct",
    "range",
    "string_to_array",
    "struct",
    "union_extract",
    "union_tag",
];

const AGGREGATE: &[&str] = &[
    "any_value",
    "approx_distinct",
    "approx_median",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "first_value",
    "grouping",
    "last_value",
    "max",
    "median",
    "min",
    "nth_value",
    "percentile_cont",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "string_agg",
    "sum",
    "var",
    "var_pop",
];

const WINDOW: &[&str] = &[
    "cume_dist",
    "dense_rank",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "nth_value",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
];

/// Built in and not let in, with the reason.
#[cfg(test)]
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "approx_percentile_cont",
        "takes memory for as many points as it is told; ours are exact",
    ),
    (
        "approx_percentile_cont_with_weight",
        "takes memory for as many points as it is told; ours are exact",
    ),
    ("arrow_cast", "makes values of any size asked for"),
    ("arrow_try_cast", "makes values of any size asked for"),
    ("cast_to_type", "makes values of any size asked for"),
    ("file_row_index", "shows how rows lie in files"),
    ("input_file_name", "shows the names of files"),
    ("random", "two doors would give two answers"),
    (
        "to_timestamp",
        "our own reads PostgreSQL's patterns and texts without a zone",
    ),
    ("try_cast_to_type", "makes values of any size asked for"),
    ("uuid", "two doors would give two answers"),
    ("version", "our own names this engine"),
    ("with_metadata", "could mark a column as a KPI"),
];

/// Our own scalar functions by kind.
const OWN_NUMERIC: &[&str] = &["histogram_count", "percentile", "share_within"];
const OWN_DATETIME: &[&str] = &[
    "business_ms",
    "day",
    "dayofmonth",
    "hour",
    "interval_times",
    "kpi_bucket",
    "minute",
    "month",
    "ms_between",
    "quarter",
    "second",
    "timestampadd",
    "timestampdiff",
    "to_timestamp",
    "year",
];
const OWN_SYSTEM: &[&str] = &["current_database", "current_schema", "version"];

/// Names of what SQL has here, sorted, for clients that ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionNames {
    /// Words that must be quoted to be a name.
    pub keywords: Vec<String>,
    /// Functions of numbers.
    pub numeric: Vec<String>,
    /// Functions of texts.
    pub string: Vec<String>,
    /// Functions about types, NULL and the session.
    pub system: Vec<String>,
    /// Functions of times.
    pub datetime: Vec<String>,
}

/// The scalar functions that a query may call, by kind, and the reserved words.
pub fn names_by_kind() -> FunctionNames {
    let sorted = |lists: &[&[&str]]| -> Vec<String> {
        let all: BTreeSet<&str> = lists.iter().flat_map(|l| l.iter().copied()).collect();
        all.into_iter().map(str::to_owned).collect()
    };
    let reserved = RESERVED_FOR_COLUMN_ALIAS
        .iter()
        .chain(RESERVED_FOR_TABLE_ALIAS);
    let keywords: BTreeSet<String> = reserved.map(|word| format!("{word:?}")).collect();
    FunctionNames {
        keywords: keywords.into_iter().collect(),
        numeric: sorted(&[NUMERIC, OWN_NUMERIC, &erlang::names().collect::<Vec<_>>()]),
        string: sorted(&[STRING]),
        system: sorted(&[SYSTEM, OWN_SYSTEM]),
        datetime: sorted(&[DATETIME, OWN_DATETIME]),
    }
}

fn is_scalar(name: &str) -> bool {
    [NUMERIC, STRING, DATETIME, SYSTEM, NESTED]
        .iter()
        .any(|list| list.contains(&name))
}

/// The built-in scalar functions that are let in.
pub(crate) fn builtin_scalars() -> Vec<Arc<ScalarUDF>> {
    let all = SessionStateDefaults::default_scalar_functions().into_iter();
    all.filter(|f| is_scalar(f.name()))
        .map(capped::scalar)
        .collect()
}

/// The built-in aggregates that are let in.
pub(crate) fn builtin_aggregates() -> Vec<Arc<AggregateUDF>> {
    let all = SessionStateDefaults::default_aggregate_functions().into_iter();
    all.filter(|f| AGGREGATE.contains(&f.name()))
        .map(capped::aggregate)
        .collect()
}

/// The built-in window functions that are let in.
pub(crate) fn builtin_windows() -> Vec<Arc<WindowUDF>> {
    let all = SessionStateDefaults::default_window_functions().into_iter();
    all.filter(|f| WINDOW.contains(&f.name())).collect()
}

/// The built-in table functions: series of numbers and times, with a limit.
pub(crate) fn builtin_tables() -> Vec<Arc<TableFunction>> {
    let all = SessionStateDefaults::default_table_functions();
    all.iter().map(capped::table).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that DataFusion has and no list knows, and names in a list that it does not have.
    fn difference(builtin: &[String], listed: &[&str]) -> (Vec<String>, Vec<String>) {
        let left_out = |name: &str| LEFT_OUT.iter().any(|(n, _)| *n == name);
        let unknown = builtin
            .iter()
            .filter(|n| !listed.contains(&n.as_str()) && !left_out(n));
        let gone = listed.iter().filter(|n| !builtin.iter().any(|b| b == *n));
        (
            unknown.cloned().collect(),
            gone.map(|n| (*n).to_owned()).collect(),
        )
    }

    #[test]
    fn every_built_in_function_is_let_in_or_left_out_by_name() {
        let none = (Vec::new(), Vec::new());
        let names: Vec<String> = SessionStateDefaults::default_scalar_functions()
            .iter()
            .map(|f| f.name().to_owned())
            .collect();
        let listed = [NUMERIC, STRING, DATETIME, SYSTEM, NESTED].concat();
        assert_eq!(difference(&names, &listed), none);
        let names: Vec<String> = SessionStateDefaults::default_aggregate_functions()
            .iter()
            .map(|f| f.name().to_owned())
            .collect();
        assert_eq!(difference(&names, AGGREGATE), none);
        let names: Vec<String> = SessionStateDefaults::default_window_functions()
            .iter()
            .map(|f| f.name().to_owned())
            .collect();
        assert_eq!(difference(&names, WINDOW), none);
        let tables: Vec<String> = SessionStateDefaults::default_table_functions()
            .iter()
            .map(|f| f.name().to_owned())
            .collect();
        assert_eq!(tables, ["generate_series", "range"]);
        assert_eq!(
            SessionStateDefaults::default_higher_order_functions().len(),
            4
        );
    }

    #[test]
    fn the_lists_for_clients_name_our_own_functions() {
        let own: BTreeSet<String> = super::super::scalar_functions("UTC")
            .iter()
            .flat_map(|f| std::iter::once(f.name()).chain(f.aliases().iter().map(String::as_str)))
            .map(str::to_owned)
            .collect();
        let listed = [OWN_NUMERIC, OWN_DATETIME, OWN_SYSTEM].concat();
        for name in listed {
            assert!(own.contains(name), "{name} is listed and does not exist");
        }
        let names = names_by_kind();
        let all = [
            &names.numeric,
            &names.string,
            &names.system,
            &names.datetime,
        ];
        let all: BTreeSet<&String> = all.into_iter().flatten().collect();
        for name in &own {
            assert!(
                all.contains(name) || name == "current_catalog",
                "{name} is in no list"
            );
        }
        assert!(
            names.keywords.iter().any(|k| k == "SELECT"),
            "{:?}",
            names.keywords
        );
    }
}
