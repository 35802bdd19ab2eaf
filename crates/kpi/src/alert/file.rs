//! Reads and checks rule files.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{AlertRule, AlertRules, Op, RuleScope};
use crate::catalogue::Catalogue;
use crate::check::limit_value;
use crate::definition::{Kpi, Maturity, Title, UnitKind};
use crate::file::RawTitle;
use crate::place::{At, InFile, Pos, Scalar, no_places, places_in};
use crate::problem::Problem;
use crate::read::{SourceFile, read};
use crate::resolve::check_id;
use crate::words;

const ON_DELAY_S: u32 = 10;
const OFF_DELAY_S: u32 = 30;
const MIN_N: u32 = 10;
/// Longer than a day is a slip of the hand.
const DELAY_S_MAX: u32 = 86_400;

/// A figure of the live board that is no KPI.
struct Figure {
    name: &'static str,
    unit: UnitKind,
    /// It is the begin of something that runs.
    runs: bool,
    /// Is it there for the whole centre?
    total: bool,
}

const fn figure(name: &'static str, unit: UnitKind) -> Figure {
    Figure {
        name,
        unit,
        runs: false,
        total: true,
    }
}

const fn running(name: &'static str) -> Figure {
    Figure {
        runs: true,
        ..figure(name, UnitKind::Duration)
    }
}

/// The figures that a rule may watch, as `docs/live.md` lists them.
const FIGURES: &[Figure] = &[
    figure("waiting", UnitKind::Count),
    running("oldest"),
    figure("in_progress", UnitKind::Count),
    figure("callbacks", UnitKind::Count),
    running("callbacks_oldest"),
    figure("callbacks_overdue", UnitKind::Count),
    figure("agents_available", UnitKind::Count),
    figure("agents_contact", UnitKind::Count),
    figure("agents_acw", UnitKind::Count),
    figure("agents_break", UnitKind::Count),
    figure("agents_other", UnitKind::Count),
    figure("agents_in", UnitKind::Count),
    Figure {
        total: false,
        ..figure("ewt", UnitKind::Duration)
    },
];

/// Figures of boards that nothing feeds so far: a rule about one would never say anything.
const UNFED: [&str; 3] = ["agents_ringing", "agents_hold", "ewt_error"];

/// The dimension that queues are told apart by.
const QUEUE: &str = "queue_id";

/// The spans over which the board has KPIs.
const SPANS: [&str; 2] = ["30m", "today"];

/// A rule file: a list of rules.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct RulesFile(Vec<At<RawRule>>);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    id: At<String>,
    title: At<RawTitle>,
    figure: At<String>,
    scope: At<String>,
    op: At<RawOp>,
    warn: Option<At<Scalar>>,
    critical: Option<At<Scalar>>,
    on_delay_s: Option<At<u32>>,
    off_delay_s: Option<At<u32>>,
    deadband: Option<At<Scalar>>,
    min_n: Option<At<u32>>,
    rearm_min: Option<At<u32>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawOp {
    Above,
    AtLeast,
    Below,
    AtMost,
}

no_places!(RawOp);
places_in!(RawRule: id, title, figure, scope, op, warn, critical, on_delay_s, off_delay_s,
    deadband, min_n, rearm_min);

impl InFile for RulesFile {
    fn set_file(&mut self, file: usize) {
        self.0.set_file(file);
    }
}

impl AlertRules {
    /// The shipped rules.
    ///
    /// # Errors
    /// If they do not fit the catalogue, because an override changed a KPI.
    pub fn builtin(catalogue: &Catalogue, live: &BTreeSet<String>) -> Result<Self, Vec<Problem>> {
        Self::load(&crate::builtin::builtin_alerts(), catalogue, live)
    }

    /// Reads rule files. An empty list is no rule at all. `live` are the ids of the KPIs that the
    /// live board can have: a rule about another one would never say anything.
    ///
    /// # Errors
    /// Everything that is wrong, by file, line and column.
    pub fn load(
        files: &[SourceFile],
        catalogue: &Catalogue,
        live: &BTreeSet<String>,
    ) -> Result<Self, Vec<Problem>> {
        let known = Figures { catalogue, live };
        let (mut rules, mut problems) = (Self::default(), Vec::new());
        for source in files {
            let raw = match read::<RulesFile>(source, 0) {
                Ok(file) => file.0,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            for raw in raw {
                let checked = rule(&raw, known).and_then(|rule| rules.add(rule, raw.id.pos));
                if let Err((pos, message, hint)) = checked {
                    problems.push(Problem {
                        file: source.name.clone(),
                        line: pos.line,
                        column: pos.column,
                        kpi: Some(raw.id.value.clone()),
                        message,
                        hint: Some(hint),
                    });
                }
            }
        }
        match problems.is_empty() {
            true => Ok(rules),
            false => Err(problems),
        }
    }

    fn add(&mut self, rule: AlertRule, pos: Pos) -> Result<(), Refusal> {
        if self.get(&rule.id).is_some() {
            let message = format!("there are two rules `{}`", rule.id);
            return Err((pos, message, "give one of them another id".to_owned()));
        }
        self.all.push(rule);
        Ok(())
    }
}

/// Why a rule is refused: where, what, what to do.
type Refusal = (Pos, String, String);

fn refuse<T>(pos: Pos, message: impl Into<String>, hint: impl Into<String>) -> Result<T, Refusal> {
    Err((pos, message.into(), hint.into()))
}

/// What there is to be watched.
#[derive(Clone, Copy)]
struct Figures<'a> {
    catalogue: &'a Catalogue,
    /// Ids of the KPIs that the live board can have.
    live: &'a BTreeSet<String>,
}

fn rule(raw: &RawRule, known: Figures<'_>) -> Result<AlertRule, Refusal> {
    let id = &raw.id;
    check_id(id).map_err(|(message, hint)| (id.pos, message, hint))?;
    let figure = known.figure(&raw.figure)?;
    let scope = scope(&raw.scope, &figure, &raw.figure)?;
    let limit = |raw: &Option<At<Scalar>>| {
        let number = |at: &At<Scalar>| value(at, figure.unit);
        raw.as_ref().map(number).transpose()
    };
    let op = match raw.op.value {
        RawOp::Above => Op::Above,
        RawOp::AtLeast => Op::AtLeast,
        RawOp::Below => Op::Below,
        RawOp::AtMost => Op::AtMost,
    };
    let (warn, critical) = (limit(&raw.warn)?, limit(&raw.critical)?);
    check_limits(raw, op, warn, critical)?;
    let deadband = limit(&raw.deadband)?.unwrap_or(0.0);
    if let (true, Some(at)) = (deadband < 0.0, &raw.deadband) {
        let hint = "it is a distance from the limit, on its good side";
        return refuse(at.pos, "the dead band is negative", hint);
    }
    if let (Some(at), false) = (&raw.min_n, figure.sampled) {
        let hint = "take it away: `min_n` is for ratios and averages";
        return refuse(at.pos, "the figure is no ratio and no average", hint);
    }
    let min_n = raw.min_n.as_ref().map_or(MIN_N, |n| n.value);
    Ok(AlertRule {
        id: id.value.clone(),
        title: title(&raw.title)?,
        figure: raw.figure.value.clone(),
        unit: figure.unit,
        runs: figure.runs,
        scope,
        op,
        warn,
        critical,
        on_delay_s: delay(raw.on_delay_s.as_ref(), ON_DELAY_S)?,
        off_delay_s: delay(raw.off_delay_s.as_ref(), OFF_DELAY_S)?,
        deadband,
        min_n: if figure.sampled { min_n } else { 0 },
        rearm_min: raw.rearm_min.as_ref().map(|m| m.value).filter(|m| *m > 0),
    })
}

fn title(raw: &At<RawTitle>) -> Result<Title, Refusal> {
    Title::of(raw).ok_or_else(|| {
        let message = "the English title is empty".to_owned();
        (raw.pos, message, "add `en: ...`".to_owned())
    })
}

/// What a figure is.
struct Known {
    unit: UnitKind,
    runs: bool,
    total: bool,
    /// Is it there for each queue?
    queues: bool,
    /// Is it about a number of things, of which there may be too few?
    sampled: bool,
}

impl Figures<'_> {
    fn figure(self, name: &At<String>) -> Result<Known, Refusal> {
        if let Some(figure) = FIGURES.iter().find(|figure| figure.name == name.value) {
            return Ok(Known {
                unit: figure.unit,
                runs: figure.runs,
                total: figure.total,
                queues: true,
                sampled: false,
            });
        }
        if UNFED.contains(&name.as_str()) {
            let hint = "docs/live.md says which figures have no data source yet";
            let message = format!("the live board has no `{}` so far", name.value);
            return refuse(name.pos, message, hint);
        }
        let kpi = name
            .split_once('@')
            .filter(|(_, span)| SPANS.contains(span))
            .and_then(|(id, _)| self.catalogue.get(id));
        let Some(kpi) = kpi else {
            return self.unknown(name);
        };
        if !self.live.contains(&kpi.id) {
            let message = format!("the live board cannot have `{}`", kpi.id);
            return refuse(name.pos, message, self.why_not(kpi));
        }
        Ok(Known {
            unit: kpi.unit.kind,
            runs: false,
            total: true,
            queues: kpi.dimensions.iter().any(|dimension| dimension == QUEUE),
            sampled: kpi.unit.kind != UnitKind::Count,
        })
    }

    fn why_not(self, kpi: &Kpi) -> &'static str {
        let inputs = || self.catalogue.inputs_of(kpi).into_iter();
        if inputs().any(|input| input.unit.kind == UnitKind::Currency) {
            return "money is not shown live: watch a count, a ratio or a time";
        }
        if kpi.maturity != Maturity::None || inputs().any(|i| i.maturity != Maturity::None) {
            return "it counts only when it is mature: ask for it in a report";
        }
        "it cannot be kept from commit to commit: ask for it in a report"
    }

    fn unknown<T>(self, name: &At<String>) -> Result<T, Refusal> {
        let of_kpi = |id: &String| SPANS.map(|span| format!("{id}@{span}"));
        let kpis: Vec<String> = self.live.iter().flat_map(of_kpi).collect();
        let known = FIGURES.iter().map(|figure| figure.name);
        let known = known.chain(kpis.iter().map(String::as_str));
        let hint = match words::nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "docs/live.md lists them; a KPI is written as `service_level@30m` or \
                     `service_level@today`"
                .to_owned(),
        };
        let message = format!("there is no figure `{}`", name.value);
        refuse(name.pos, message, hint)
    }
}

fn scope(raw: &At<String>, figure: &Known, name: &str) -> Result<RuleScope, Refusal> {
    let scope = match raw.value.split_once(' ') {
        None if raw.value == "total" => RuleScope::Total,
        Some(("each", "queue")) => RuleScope::EachQueue,
        Some(("queue", id)) if !id.trim().is_empty() => RuleScope::Queue(id.trim().to_owned()),
        _ => {
            let hint = "write `total`, `each queue`, or `queue` and the id of one";
            return refuse(raw.pos, format!("`{}` is no scope", raw.value), hint);
        }
    };
    if scope == RuleScope::Total && !figure.total {
        let hint = "write `each queue`";
        return refuse(
            raw.pos,
            format!("`{name}` is a figure of queues only"),
            hint,
        );
    }
    if scope != RuleScope::Total && !figure.queues {
        let hint = "write `total`: the KPI has no dimension `queue_id`";
        let message = format!("`{name}` is not known of queues");
        return refuse(raw.pos, message, hint);
    }
    Ok(scope)
}

fn value(raw: &At<Scalar>, unit: UnitKind) -> Result<f64, Refusal> {
    limit_value(&raw.value, unit).map_err(|hint| {
        let message = format!("`{}` is no value of this figure", raw.value);
        (raw.pos, message, hint)
    })
}

fn check_limits(
    raw: &RawRule,
    op: Op,
    warn: Option<f64>,
    critical: Option<f64>,
) -> Result<(), Refusal> {
    match (warn, critical) {
        (None, None) => refuse(
            raw.id.pos,
            "the rule has no limit",
            "add `warn:`, `critical:` or both",
        ),
        // What is critical must be worth a warning too.
        (Some(warn), Some(critical)) if op.worse(warn, critical) != critical => {
            let at = raw.critical.as_ref().map_or(raw.id.pos, |at| at.pos);
            let message = format!("critical {critical} is reached before warn {warn}");
            refuse(at, message, "swap them, or turn `op` round")
        }
        _ => Ok(()),
    }
}

fn delay(raw: Option<&At<u32>>, usual: u32) -> Result<u32, Refusal> {
    let Some(raw) = raw else { return Ok(usual) };
    if raw.value > DELAY_S_MAX {
        let message = format!("{} seconds are more than a day", raw.value);
        return refuse(raw.pos, message, "delays are seconds");
    }
    Ok(raw.value)
}
