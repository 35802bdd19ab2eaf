//! Checks of unit, target and thresholds.

use crate::definition::{Direction, UnitKind};
use crate::file::{RawKpi, RawThresholds};
use crate::model::{ColumnKind, ModelSpec};
use crate::param;
use crate::place::{At, Pos, Scalar};
use crate::status::{Limit, Thresholds};
use crate::unit::{Show, Unit};
use crate::words;

use super::{Checked, Checker};

impl Checker<'_> {
    pub(super) fn unit(
        &mut self,
        raw: &RawKpi,
        model: Option<&ModelSpec>,
        inputs: &[String],
    ) -> Checked<Unit> {
        let raw = self.required(raw.unit.as_ref(), "unit")?;
        let kind = raw.kind.value;
        let of = match (&raw.of, kind) {
            (None, UnitKind::Currency) => {
                let hint = "add `of:` with the currency column, or with the input that is money";
                return Err(self.note(raw.pos, "money needs its currency", hint));
            }
            (Some(of), UnitKind::Currency) => Some(self.currency(of, model, inputs)?),
            (Some(of), _) => {
                return Err(self.note(of.pos, "`of` is for money", "take it away"));
            }
            (None, _) => None,
        };
        let show = match &raw.show {
            None => Show::usual(kind),
            Some(show) => Show::parse(show, kind).map_err(|hint| {
                self.note(
                    show.pos,
                    format!("cannot show values as `{}`", show.value),
                    hint,
                )
            })?,
        };
        Ok(Unit { kind, of, show })
    }

    fn currency(
        &mut self,
        of: &At<String>,
        model: Option<&ModelSpec>,
        inputs: &[String],
    ) -> Checked<String> {
        let known: Vec<&str> = match model {
            Some(model) => {
                let texts = model.columns.iter().filter(|c| c.kind == ColumnKind::Text);
                texts.map(|c| c.name.as_str()).collect()
            }
            None => inputs.iter().map(String::as_str).collect(),
        };
        if known.contains(&of.value.as_str()) {
            return Ok(of.value.clone());
        }
        let what = if model.is_some() {
            "text column"
        } else {
            "input"
        };
        let hint = words::suggest(of, known, "known here");
        Err(self.note(of.pos, format!("there is no {what} `{}`", of.value), hint))
    }

    pub(super) fn goal(
        &mut self,
        raw: &RawKpi,
        unit: &Unit,
        direction: Direction,
    ) -> Checked<(Option<f64>, Thresholds)> {
        let none = RawThresholds::default();
        let thresholds = raw.thresholds.as_ref().map_or(&none, |t| &t.value);
        let (good, warn) = (thresholds.good.as_ref(), thresholds.warn.as_ref());
        let target_pos = raw.target.as_ref().map(|t| t.pos);
        let target = raw.target.as_ref().filter(|t| t.value != Scalar::Null);
        let target = target.map(|t| self.number(t, unit)).transpose()?;
        let mut limit =
            |raw: Option<&At<Scalar>>| raw.map(|raw| self.limit(raw, unit, direction)).transpose();
        let checked = Thresholds {
            good: limit(good)?,
            warn: limit(warn)?,
            min_n: min_n(thresholds),
        };
        let pos = warn
            .or(good)
            .map(|at| at.pos)
            .or(target_pos)
            .unwrap_or(self.pos);
        self.agree(pos, target, &checked, direction)?;
        Ok((target, checked))
    }

    fn number(&mut self, raw: &At<Scalar>, unit: &Unit) -> Checked<f64> {
        limit_value(&raw.value, unit.kind).map_err(|hint| {
            self.note(
                raw.pos,
                format!("`{}` is no value of this KPI", raw.value),
                hint,
            )
        })
    }

    fn limit(&mut self, raw: &At<Scalar>, unit: &Unit, direction: Direction) -> Checked<Limit> {
        limit(&raw.value, unit, direction)
            .map_err(|(message, hint)| self.note(raw.pos, message, hint))
    }

    fn agree(
        &mut self,
        pos: Pos,
        target: Option<f64>,
        thresholds: &Thresholds,
        direction: Direction,
    ) -> Checked<()> {
        match agreement(target, thresholds, direction) {
            Ok(()) => Ok(()),
            Err((message, hint)) => Err(self.note(pos, message, hint)),
        }
    }
}

fn min_n(thresholds: &RawThresholds) -> Option<u64> {
    thresholds.min_n.as_ref().map(|n| n.value)
}

pub(crate) fn limit(
    raw: &Scalar,
    unit: &Unit,
    direction: Direction,
) -> Result<Limit, (String, String)> {
    let number = |raw: &Scalar| {
        let fail = |hint| (format!("`{raw}` is no value of this KPI"), hint);
        limit_value(raw, unit.kind).map_err(fail)
    };
    match (raw, direction) {
        (_, Direction::Neutral) => {
            let message = "a neutral KPI has no thresholds".to_owned();
            Err((
                message,
                "take them away, or choose another direction".to_owned(),
            ))
        }
        (Scalar::List(ends), Direction::Band) if ends.len() == 2 => {
            let (from, to) = (number(&ends[0])?, number(&ends[1])?);
            if from > to {
                return Err((
                    format!("the band {raw} is empty"),
                    "swap its ends".to_owned(),
                ));
            }
            Ok(Limit::Between(from, to))
        }
        (_, Direction::Band) => Err((
            format!("`{raw}` is no band"),
            "write `[from, to]`".to_owned(),
        )),
        (Scalar::List(_), _) => {
            let hint = "write one number; `[from, to]` is for `direction: band`";
            Err((format!("`{raw}` is no limit"), hint.to_owned()))
        }
        _ => number(raw).map(Limit::At),
    }
}

/// A number in the unit of a KPI: durations are written with their unit.
pub(crate) fn limit_value(raw: &Scalar, kind: UnitKind) -> Result<f64, String> {
    let duration = "write a duration such as 28s or 5m";
    match (raw, kind) {
        (Scalar::Text(text), UnitKind::Duration) => param::parse_duration_ms(text)
            .map(|ms| ms as f64)
            .ok_or_else(|| duration.to_owned()),
        (Scalar::Int(0), UnitKind::Duration) => Ok(0.0),
        (_, UnitKind::Duration) => Err(duration.to_owned()),
        (Scalar::Int(n), _) => Ok(*n as f64),
        (Scalar::Float(x), _) if x.is_finite() => Ok(*x),
        (Scalar::Text(text), _) => {
            let number = text.parse::<f64>().ok().filter(|x| x.is_finite());
            number.ok_or_else(|| "write a number".to_owned())
        }
        _ => Err("write a number".to_owned()),
    }
}

/// Do target and limits fit the direction?
pub(crate) fn agreement(
    target: Option<f64>,
    thresholds: &Thresholds,
    direction: Direction,
) -> Result<(), (String, String)> {
    let order = "put the limit of good on the better side of the limit of warning";
    match (thresholds.good, thresholds.warn) {
        (None, Some(_)) if target.is_none() => {
            return Err((
                "there is `warn` but no `good`".to_owned(),
                "add `good:`".to_owned(),
            ));
        }
        (Some(Limit::At(good)), Some(Limit::At(warn))) => {
            let (wrong, word) = match direction {
                Direction::Lower => (good > warn, "lower"),
                _ => (good < warn, "higher"),
            };
            if wrong {
                let message = format!("good {good} and warn {warn} do not fit `{word}` is better");
                return Err((message, order.to_owned()));
            }
        }
        (Some(Limit::Between(a, b)), Some(Limit::Between(c, d))) if c > a || d < b => {
            let message =
                format!("the warning band [{c}, {d}] does not hold the good band [{a}, {b}]");
            return Err((message, "widen the warning band".to_owned()));
        }
        _ => {}
    }
    let (Some(target), Some(Limit::At(warn))) = (target, thresholds.warn) else {
        return Ok(());
    };
    let worse = match direction {
        Direction::Lower => target > warn,
        _ => target < warn,
    };
    if worse {
        let message = format!("the target {target} is worse than the limit of warning {warn}");
        return Err((message, "change one of them".to_owned()));
    }
    Ok(())
}
