//! Executable examples: rows of the models, whole and typed, and the values they must give.

use std::collections::BTreeMap;

use events::{Decimal, UtcMicros};

use crate::model::{ColumnKind, ColumnSpec, ModelSpec};
use crate::param::{ParamValue, parse_duration_ms};
use crate::place::Scalar;

use crate::definition::Place;
use crate::value::Side;

/// One example of a KPI.
#[derive(Clone, Debug)]
pub struct Example {
    /// What it shows.
    pub name: String,
    /// The KPI in whose definition it stands.
    pub kpi: String,
    /// Rows by model; empty if `inputs` are given.
    pub tables: Vec<ExampleTable>,
    /// Values of the inputs of a derived KPI: its value is computed from them alone.
    pub inputs: Vec<(String, f64)>,
    /// With them: what the inputs were in what is compared with.
    pub beside: BTreeMap<(Side, String), f64>,
    /// With them: the length of the time that they are of, in milliseconds.
    pub range_ms: Option<i64>,
    /// Parameters that differ from their defaults, for every KPI that has them.
    pub params: BTreeMap<String, ParamValue>,
    /// Data are complete up to here.
    pub horizon: UtcMicros,
    /// Data begin here.
    pub history_start: UtcMicros,
    /// When the question is asked.
    pub as_of: UtcMicros,
    /// What comes out.
    pub expect: Vec<Expected>,
    /// Where it stands.
    pub place: Place,
}

/// The rows of one model.
#[derive(Clone, Debug)]
pub struct ExampleTable {
    /// The model.
    pub model: String,
    /// Its rows.
    pub rows: Vec<ExampleRow>,
}

/// A row, standing for `times` equal ones.
#[derive(Clone, Debug, PartialEq)]
pub struct ExampleRow {
    /// How many.
    pub times: u64,
    /// One cell for each column of the model, in its order.
    pub cells: Vec<Cell>,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A flag.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A decimal.
    Decimal(Decimal),
    /// A text.
    Text(String),
    /// A moment.
    Time(UtcMicros),
    /// A list of texts.
    Texts(Vec<String>),
}

/// One value that comes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// Of what.
    pub of: ExpectedOf,
    /// The value; None is no value.
    pub value: Option<f64>,
    /// How far off it may be.
    pub tolerance: f64,
}

/// Of what a value is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedOf {
    /// A part of a KPI.
    Part {
        /// The KPI.
        kpi: String,
        /// Its part.
        part: String,
    },
    /// A KPI.
    Kpi(String),
}

impl Expected {
    /// Is this the value?
    pub fn matches(&self, got: Option<f64>) -> bool {
        match (self.value, got) {
            (None, None) => true,
            (Some(want), Some(got)) => (got - want).abs() <= self.tolerance,
            _ => false,
        }
    }
}

/// Written with more decimals than this, an expected number counts as rounded.
const EXACT_DECIMALS: usize = 4;

/// Reads an expected value: a number, `a/b`, a duration, or null.
///
/// Up to four decimals are meant exactly, more are taken as rounded to the last one.
pub(crate) fn expected_value(raw: &Scalar) -> Result<(Option<f64>, f64), String> {
    let exact = |value: f64| (Some(value), 1e-12 * value.abs().max(1.0));
    let text = match raw {
        Scalar::Null => return Ok((None, 0.0)),
        Scalar::Int(n) => return Ok(exact(*n as f64)),
        Scalar::Float(_) | Scalar::Text(_) => raw.to_string(),
        _ => return Err("write a number, a fraction a/b, or null for no value".to_owned()),
    };
    if let Some((a, b)) = text.split_once('/') {
        let (a, b) = (a.trim().parse::<f64>(), b.trim().parse::<f64>());
        return match (a, b) {
            (Ok(a), Ok(b)) if b != 0.0 && a.is_finite() && b.is_finite() => Ok(exact(a / b)),
            _ => Err("write a fraction as 70/96".to_owned()),
        };
    }
    if let Ok(value) = text.parse::<f64>()
        && value.is_finite()
    {
        let decimals = text.split_once('.').map_or(0, |(_, places)| places.len());
        if decimals <= EXACT_DECIMALS {
            return Ok(exact(value));
        }
        let places = i32::try_from(decimals).unwrap_or(i32::MAX);
        return Ok((Some(value), 0.500_001 * 10f64.powi(-places)));
    }
    match parse_duration_ms(&text) {
        Some(ms) => Ok(exact(ms as f64)),
        None => Err("write a number, a fraction a/b, or null for no value".to_owned()),
    }
}

/// 2026-01-05T09:00:00Z, a Monday: when rows of examples happen that say no time.
pub(crate) const USUAL_MOMENT: UtcMicros = UtcMicros(1_767_603_600_000_000);
/// 2026-07-01T00:00:00Z: everything of the usual moment is matured.
pub(crate) const USUAL_HORIZON: UtcMicros = UtcMicros(1_782_864_000_000_000);
/// 2025-01-01T00:00:00Z.
pub(crate) const USUAL_HISTORY_START: UtcMicros = UtcMicros(1_735_689_600_000_000);

/// What a column holds that a row does not name; others hold NULL, an empty text, 0 or false.
const NEUTRAL: [(&str, &str, &str); 47] = [
    ("queue_visits", "visit_kind", "customer"),
    ("queue_visits", "channel", "voice"),
    ("queue_visits", "direction", "inbound"),
    ("queue_visits", "visit_no", "1"),
    ("legs", "role", "primary"),
    ("legs", "initiation", "queue"),
    ("legs", "channel", "voice"),
    ("legs", "direction", "inbound"),
    ("interactions", "channel", "voice"),
    ("interactions", "direction", "inbound"),
    ("orders", "kind", "new"),
    ("orders", "lines", "1"),
    ("orders", "units", "1"),
    ("costs", "pool", "labour"),
    ("costs", "purpose", "service"),
    ("costs", "currency", "EUR"),
    ("callbacks", "kind", "callback"),
    ("evaluations", "status", "final"),
    ("repeat_links", "scope", "issue"),
    ("repeat_links", "channel", "voice"),
    ("leg_shares", "role", "primary"),
    ("leg_shares", "initiation", "queue"),
    ("leg_shares", "channel", "voice"),
    ("leg_shares", "direction", "inbound"),
    ("self_service", "kind", "ivr"),
    ("contact_reasons", "channel", "voice"),
    ("contact_reasons", "direction", "inbound"),
    ("customer_contacts", "channel", "voice"),
    ("customer_contacts", "direction", "inbound"),
    ("order_contacts", "kind", "new"),
    ("order_contacts", "lines", "1"),
    ("order_contacts", "units", "1"),
    ("schedules", "activity", "queue"),
    ("forecasts", "channel", "voice"),
    ("forecasts", "version", "1"),
    ("open_snapshots", "kind", "visit"),
    ("open_snapshots", "channel", "voice"),
    ("complaint_links", "channel", "voice"),
    ("complaint_links", "direction", "inbound"),
    ("customer_months", "month_ends_at", "2026-02-01T00:00:00Z"),
    ("contact_costs", "pool", "labour"),
    ("contact_costs", "purpose", "service"),
    ("contact_costs", "currency", "EUR"),
    ("contact_costs", "contact_no", "1"),
    ("*", "tenant_id", "default"),
    ("*", "source", "example"),
    ("*", "fact_rev", "1"),
];

/// The flags of a queue visit and the outcome that goes with each.
const OUTCOMES: [(&str, &str); 5] = [
    ("waiting", "waiting"),
    ("answered", "answered"),
    ("abandoned", "abandoned"),
    ("flowed_out", "overflow"),
    ("blocked", "full"),
];

/// A row in the making: cells by column name.
type Cells = BTreeMap<String, Cell>;

/// The whole row: named cells, then what follows from them, then neutral values. `times` are the
/// columns that get the usual moment.
pub(crate) fn whole_row(model: &ModelSpec, mut cells: Cells, times: &[&str]) -> Vec<Cell> {
    for column in &model.columns {
        let is_clock = column.kind == ColumnKind::Time && times.contains(&column.name.as_str());
        if is_clock && column.name != "left_at" && !cells.contains_key(&column.name) {
            cells.insert(column.name.clone(), Cell::Time(USUAL_MOMENT));
        }
    }
    match model.name.as_str() {
        "queue_visits" => derive_visit(&mut cells),
        "legs" | "leg_shares" => derive_leg(&mut cells),
        _ => {}
    }
    let cell = |c: &ColumnSpec| {
        cells
            .remove(&c.name)
            .unwrap_or_else(|| neutral(&model.name, c))
    };
    model.columns.iter().map(cell).collect()
}

fn derive_visit(cells: &mut Cells) {
    let flag = |cells: &Cells, name: &str| cells.get(name) == Some(&Cell::Bool(true));
    let outcome = OUTCOMES.iter().find(|(name, _)| flag(cells, name));
    if let Some((_, outcome)) = outcome {
        set(cells, "outcome", Cell::Text((*outcome).to_owned()));
    }
    if flag(cells, "blocked") || flag(cells, "flowed_out") || flag(cells, "abandoned") {
        set(cells, "wait_ms", Cell::Int(0));
    }
    if let Some(Cell::Int(wait_ms)) = cells.get("wait_ms").cloned() {
        set(
            cells,
            "wait_up_s",
            Cell::Int(wait_ms.div_euclid(1000) + i64::from(wait_ms % 1000 != 0)),
        );
        set(cells, "wait_down_s", Cell::Int(wait_ms.div_euclid(1000)));
        let entered = match cells.get("entered_at") {
            Some(Cell::Time(entered)) => *entered,
            _ => USUAL_MOMENT,
        };
        set(cells, "left_at", Cell::Time(entered.plus_ms(wait_ms)));
    }
}

fn derive_leg(cells: &mut Cells) {
    let is_primary = match cells.get("role") {
        Some(Cell::Text(role)) => role == "primary",
        _ => true,
    };
    set(cells, "handled", Cell::Bool(is_primary));
    let ms = |name: &str| match cells.get(name) {
        Some(Cell::Int(ms)) => *ms,
        _ => 0,
    };
    let handle_ms = ["dial_ms", "talk_ms", "hold_ms", "acw_ms"]
        .map(ms)
        .iter()
        .sum();
    set(cells, "handle_ms", Cell::Int(handle_ms));
}

fn set(cells: &mut Cells, name: &str, cell: Cell) {
    cells.entry(name.to_owned()).or_insert(cell);
}

fn neutral(model: &str, column: &ColumnSpec) -> Cell {
    let known = NEUTRAL
        .iter()
        .find(|(m, c, _)| (*m == model || *m == "*") && *c == column.name)
        .map(|(_, _, text)| Scalar::Text((*text).to_owned()));
    if let Some(cell) = known.and_then(|text| cell(column, &text).ok()) {
        return cell;
    }
    match column.kind {
        _ if column.nullable => Cell::Null,
        ColumnKind::Text => Cell::Text(String::new()),
        ColumnKind::Int => Cell::Int(0),
        ColumnKind::Bool => Cell::Bool(false),
        ColumnKind::Time => Cell::Time(USUAL_MOMENT),
        ColumnKind::Decimal => Cell::Decimal(Decimal(0)),
        ColumnKind::Texts => Cell::Texts(Vec::new()),
    }
}

/// A cell of a column from what the file says.
///
/// # Errors
/// What the column holds.
pub(crate) fn cell(column: &ColumnSpec, raw: &Scalar) -> Result<Cell, &'static str> {
    match (column.kind, raw) {
        (_, Scalar::Null) if column.nullable => Ok(Cell::Null),
        (_, Scalar::Null) => Err("is never NULL"),
        (ColumnKind::Bool, Scalar::Bool(flag)) => Ok(Cell::Bool(*flag)),
        (ColumnKind::Bool, _) => Err("holds true or false"),
        (ColumnKind::Int, raw) => int_cell(column, raw),
        (ColumnKind::Decimal, raw) => Decimal::parse(&raw.to_string())
            .map(Cell::Decimal)
            .ok_or("holds decimals"),
        (ColumnKind::Time, raw) => UtcMicros::parse_rfc3339(&raw.to_string())
            .map(Cell::Time)
            .ok_or("holds times such as 2026-01-05T09:00:00Z"),
        (ColumnKind::Texts, Scalar::List(items)) => {
            Ok(Cell::Texts(items.iter().map(ToString::to_string).collect()))
        }
        (ColumnKind::Texts, _) => Err("holds lists of text"),
        (ColumnKind::Text, Scalar::List(_)) => Err("holds text"),
        (ColumnKind::Text, raw) => Ok(Cell::Text(raw.to_string())),
    }
}

fn int_cell(column: &ColumnSpec, raw: &Scalar) -> Result<Cell, &'static str> {
    let is_ms = column.name.ends_with("_ms");
    match raw {
        Scalar::Int(n) => Ok(Cell::Int(*n)),
        Scalar::Text(text) => {
            let ms = parse_duration_ms(text).filter(|_| is_ms);
            ms.or_else(|| text.parse().ok())
                .map(Cell::Int)
                .ok_or(if is_ms {
                    "holds milliseconds: write a whole number or a duration such as 3d"
                } else {
                    "holds whole numbers"
                })
        }
        _ => Err("holds whole numbers"),
    }
}
