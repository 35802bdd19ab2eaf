//! Frames as JSON.

use std::{borrow::Cow, sync::Arc};

use engine::{
    UsedKpi,
    live::{Cell, CellKey, CellValue, Day, Frame},
};
use events::UtcMicros;
use kpi::{Status, UnitKind};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::board::Board;
use crate::alerts::AlertValue;

/// A language of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lang {
    En,
    ZhCn,
    ZhTw,
}

impl Lang {
    /// As requests name them.
    pub(crate) const WORDS: &'static [&'static str] = &["en", "zh-CN", "zh-TW"];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Lang::En => Lang::WORDS[0],
            Lang::ZhCn => Lang::WORDS[1],
            Lang::ZhTw => Lang::WORDS[2],
        }
    }

    /// English for everything else.
    pub(crate) fn of(word: Option<&str>) -> Lang {
        let all = [Lang::ZhCn, Lang::ZhTw];
        let found = all.into_iter().find(|lang| Some(lang.word()) == word);
        found.unwrap_or(Lang::En)
    }
}

/// A frame as one board shows it, or what has changed in it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LiveFrame")]
pub(crate) struct Body<'a> {
    /// Another one after each start of the server, and when KPI definitions are others.
    pub epoch: u64,
    /// Rises with each frame.
    pub seq: u64,
    /// What counted as now, in milliseconds since 1970.
    pub as_of: i64,
    /// When the newest event in it was received.
    pub watermark: Option<i64>,
    /// How old `as_of` was when the frame was sent out.
    pub lag_ms: u64,
    /// Commit sequence of what it was computed from.
    pub revision: u64,
    /// IANA zone of day and intervals.
    pub zone: &'a str,
    /// The day that `@today` means.
    pub day: DayBody<'a>,
    pub board: &'a str,
    pub lang: &'static str,
    /// Another one when pages must be loaded anew.
    pub build: &'a str,
    pub cells: Vec<CellBody<'a>>,
    /// Of changes: cells that are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone: Option<Vec<String>>,
    /// Of a whole frame: definitions its KPI cells were computed by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kpis: Option<Vec<KpiBody<'a>>>,
    /// Of a snapshot: the alerts that are not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alerts: Option<Vec<AlertValue>>,
}

/// A business day, half-open; times in milliseconds since 1970.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LiveDay")]
pub(crate) struct DayBody<'a> {
    date: &'a str,
    start: i64,
    end: i64,
}

/// A definition.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LiveKpi")]
pub(crate) struct KpiBody<'a> {
    id: &'a str,
    version: u32,
    hash: &'a str,
}

/// One figure; members without a value are left out, but for `v`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LiveCell")]
pub(crate) struct CellBody<'a> {
    /// `<scope>.<figure>`.
    k: String,
    v: ValueBody<'a>,
    /// `count`, `ratio`, `ms`, `money:CNY`, `number`, `epoch_ms`, `text`, `series`.
    #[serde(skip_serializing_if = "Option::is_none")]
    u: Option<Cow<'static, str>>,
    /// `good`, `warn`, `bad`, `too_few`.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    den: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Number>,
}

/// A value of a cell.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "LiveValue")]
enum ValueBody<'a> {
    Nothing,
    Whole(i64),
    Number(Number),
    Text(&'a str),
    Series(Vec<Option<Number>>),
}

/// Whole numbers are written without a point: most cells are counts.
#[derive(Clone, Copy, JsonSchema)]
#[schemars(transparent)]
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match self.0 {
            whole if whole.fract() == 0.0 && whole.abs() <= EXACT => {
                serializer.serialize_i64(whole as i64)
            }
            number => serializer.serialize_f64(number),
        }
    }
}

/// As pages count time.
pub(crate) fn epoch_ms(time: UtcMicros) -> i64 {
    time.0.div_euclid(1_000)
}

impl<'a> Body<'a> {
    /// Everything but what differs between a whole frame and changes.
    pub(super) fn new(
        frame: &'a Frame,
        (board, lang): (&'a Board, Lang),
        lag_ms: u64,
        cells: Vec<CellBody<'a>>,
    ) -> Self {
        Body {
            epoch: frame.epoch,
            seq: frame.seq,
            as_of: epoch_ms(frame.as_of),
            watermark: frame.watermark.map(epoch_ms),
            lag_ms,
            revision: frame.revision,
            zone: &frame.zone,
            day: DayBody::from(&frame.day),
            board: &board.file.id,
            lang: lang.word(),
            build: &board.build,
            cells,
            gone: None,
            kpis: None,
            alerts: None,
        }
    }
}

impl<'a> From<&'a Day> for DayBody<'a> {
    fn from(day: &'a Day) -> Self {
        DayBody {
            date: &day.date,
            start: epoch_ms(day.start),
            end: epoch_ms(day.end),
        }
    }
}

impl<'a> From<&'a UsedKpi> for KpiBody<'a> {
    fn from(kpi: &'a UsedKpi) -> Self {
        KpiBody {
            id: &kpi.id,
            version: kpi.version,
            hash: &kpi.hash,
        }
    }
}

impl<'a> CellBody<'a> {
    pub(super) fn of((key, cell): (&CellKey, &'a Arc<Cell>)) -> Self {
        let (v, u) = value(&cell.value);
        let s = match cell.status {
            Status::Good => Some("good"),
            Status::Warn => Some("warn"),
            Status::Bad => Some("bad"),
            Status::TooFew => Some("too_few"),
            Status::None => None,
        };
        CellBody {
            k: key.to_string(),
            v,
            u,
            s,
            n: cell.n.map(Number),
            num: cell.numerator.map(Number),
            den: cell.denominator.map(Number),
            target: cell.target.map(Number),
        }
    }
}

fn value(value: &CellValue) -> (ValueBody<'_>, Option<Cow<'static, str>>) {
    match value {
        CellValue::Nothing => (ValueBody::Nothing, None),
        CellValue::Number(number, unit) => {
            let word = match (unit.kind, &unit.of) {
                (UnitKind::Currency, Some(of)) => format!("money:{of}").into(),
                (kind, _) => kind.word().into(),
            };
            (ValueBody::Number(Number(*number)), Some(word))
        }
        CellValue::Since(time) => (ValueBody::Whole(epoch_ms(*time)), Some("epoch_ms".into())),
        CellValue::Text(text) => (ValueBody::Text(text), Some("text".into())),
        CellValue::Series(values) => {
            let values = values.iter().map(|value| value.map(Number));
            (ValueBody::Series(values.collect()), Some("series".into()))
        }
    }
}
