//! The KPI catalogue: definition files become validated definitions.
//!
//! A KPI is data. One file gives its parts (a row expression and a mergeable aggregate each), the
//! scalar over them, titles, limits and executable examples; SQL, HTTP, roll-ups and wallboard are
//! all made from the one [`Kpi`]. Files are read in two stages: the raw form with spots, then the
//! checked form, after which nothing is checked again.
//!
//! This crate does no I/O, knows no SQL engine and no clock. Row expressions stay SQL text: what
//! needs an engine (does it parse, what type has it, do the examples come out) is checked there.

pub mod alert;
mod builtin;
mod catalogue;
mod check;
mod definition;
pub mod erlang;
mod ewt;
mod example;
mod file;
mod hash;
mod interval;
mod matches;
mod model;
mod page;
mod param;
mod place;
mod problem;
mod read;
mod resolve;
pub mod rowsql;
mod status;
mod targets;
mod unit;
mod value;
mod words;

pub use builtin::{builtin_files, builtin_targets};
pub use catalogue::Catalogue;
pub use definition::{
    Additivity, Agg, Bucket, Buckets, Clock, Derived, Direction, Empty, Kind, Kpi, Lifecycle,
    Maturity, Measured, ParamKind, Part, Per, Place, Source, Title, UnitKind, Window,
};
pub use ewt::{Ahead, Ewt};
pub use example::{Cell, Example, ExampleRow, ExampleTable, Expected, ExpectedOf};
pub use file::json_schema;
pub use hash::texts_hash;
pub use interval::{Interval, LEVEL, Share};
pub use model::{ColumnKind, ColumnSpec, ModelSpec};
pub use page::{index, page};
pub use param::{
    Param, ParamDefault, ParamInForce, ParamRule, ParamValue, duration_text, parse_duration_ms,
};
pub use problem::{Problem, UnknownKpi};
pub use read::SourceFile;
pub use status::{Goal, Limit, Status, Thresholds, status};
pub use targets::{Target, Targets};
pub use unit::{Show, Unit};
pub use value::{Function, Side, Value};
pub use words::{nearest, suggest};
