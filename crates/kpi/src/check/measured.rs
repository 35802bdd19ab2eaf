//! Checks of a KPI over the rows of one model.

use std::collections::BTreeSet;

use crate::definition::{
    Agg, Bucket, Buckets, Kind, Kpi, Maturity, Measured, ParamKind, Part, Per, Window,
};
use crate::file::{RawBuckets, RawKpi, RawMaturity, RawPart, RawWindow};
use crate::model::{ColumnKind, ModelSpec};
use crate::param::{self, Param};
use crate::place::{At, Pos, Scalar};
use crate::resolve::{Whole, check_id};
use crate::rowsql::{self, SqlError, Used};
use crate::value::{self, Names, Value};
use crate::words;

use super::{Checked, Checker};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// A checked expression with what it reads.
struct Expr {
    name: String,
    agg: Agg,
    sql: String,
    per: Option<Per>,
    used: Used,
    pos: Pos,
}

impl Expr {
    /// The columns that it reads.
    fn columns(&self) -> BTreeSet<String> {
        let per = match &self.per {
            Some(Per::Column(name)) => Some(name.clone()),
            Some(Per::Width { .. }) | None => None,
        };
        self.used.column_names().into_iter().chain(per).collect()
    }
}

impl<'a> Checker<'a> {
    /// A measured KPI: everything but its examples and its hash.
    pub fn measured(&mut self, whole: &Whole) -> Checked<Kpi> {
        let raw = &whole.raw;
        let model = self.model(raw)?;
        self.not_for_measured(raw);
        let time = self.time(raw, model);
        let params = self.params(raw, Some(model))?;
        let filters = self.filters(raw, model, &params);
        let exprs = self.parts(raw, model, &params)?;
        let value = self.value_of_parts(raw, &exprs);
        let dimensions = self.dimensions(raw, model);
        let buckets = self.buckets(raw.buckets.as_ref());
        let grain = self.word(raw.grain.as_ref(), "grain");
        let clock = self.required(raw.clock.as_ref(), "clock").map(|c| c.value);
        let (value, time, filters) = (value?, time?, filters?);
        let exprs = self.only_used(whole, exprs, &value)?;
        self.no_shadow(model, &exprs, &value)?;
        let maturity = self.maturity(raw, model, &params, exprs.iter().chain(&filters))?;
        let read = lineage(&time, filters.iter().chain(&exprs));
        let supporting = self.supporting(raw, model, &time, &read);
        let params = params_read(params, exprs.iter().chain(&filters), &maturity);
        let measured = Measured {
            model: model.name.clone(),
            grain: grain?,
            clock: clock?,
            time,
            filters: filters.into_iter().map(|f| f.sql).collect(),
            parts: exprs.into_iter().map(part).collect(),
        };
        let mut kpi = self.common(whole, Kind::Measured(measured), value, Some(model))?;
        kpi.params = params;
        kpi.maturity = maturity;
        kpi.dimensions = dimensions?;
        kpi.buckets = buckets?;
        kpi.supporting = supporting?;
        kpi.sample = self.sample(whole, &kpi)?;
        Ok(kpi)
    }

    /// An interval is that of a share of things that were drawn.
    fn sample(&mut self, whole: &Whole, kpi: &Kpi) -> Checked<bool> {
        let is_sample = whole.raw.sample.as_ref().filter(|sample| sample.value);
        let Some(sample) = is_sample.filter(|_| !kpi.is_proportion()) else {
            return Ok(is_sample.is_some());
        };
        let message = "`sample` is for ratios that are one count_if part over another";
        if sample.pos.file == self.pos.file {
            let hint = "take it away, or write `sample: false`";
            return Err(self.note(sample.pos, message, hint));
        }
        // A place in a file that is not the author's own would lead astray.
        let extended = whole.raw.extends.as_ref().map(|id| &id.value);
        let from = extended.or(whole.parent.as_ref()).unwrap_or(&self.id);
        let hint = format!("it takes `sample: true` over from `{from}`: write `sample: false`");
        Err(self.note(self.pos, message, hint))
    }

    fn model(&mut self, raw: &RawKpi) -> Checked<&'a ModelSpec> {
        let name = self.required(raw.model.as_ref(), "model")?;
        if let Some(model) = self.models.iter().find(|m| m.name == name.value) {
            return Ok(model);
        }
        let known = self.models.iter().map(|m| m.name.as_str());
        let hint = words::suggest(name, known, "models");
        Err(self.note(
            name.pos,
            format!("there is no model `{}`", name.value),
            hint,
        ))
    }

    fn not_for_measured(&mut self, raw: &RawKpi) {
        if let Some(align) = &raw.align {
            self.note(
                align.pos,
                "`align` is for KPIs with `inputs`",
                "take it away",
            );
        }
        if let Some(input) = raw.inputs.iter().flatten().next() {
            let hint = "make it two KPIs: one with parts, one with `inputs`";
            self.note(input.pos, "a KPI has either a `model` or `inputs`", hint);
        }
    }

    pub(super) fn column(&mut self, name: &At<String>, model: &ModelSpec) -> Checked<ColumnKind> {
        if let Some(column) = model.column(name) {
            return Ok(column.kind);
        }
        let message = format!("model `{}` has no column `{}`", model.name, name.value);
        let hint = words::nearest(name, model.names())
            .map_or_else(String::new, |near| format!("did you mean `{near}`?"));
        Err(self.note(name.pos, message, hint))
    }

    fn time(&mut self, raw: &RawKpi, model: &ModelSpec) -> Checked<String> {
        let time = self.required(raw.time.as_ref(), "time")?;
        self.time_column(time, model)?;
        Ok(time.value.clone())
    }

    fn time_column(&mut self, name: &At<String>, model: &ModelSpec) -> Checked<()> {
        if self.column(name, model)? == ColumnKind::Time {
            return Ok(());
        }
        let times = model.columns.iter().filter(|c| c.kind == ColumnKind::Time);
        let times: Vec<_> = times.map(|c| c.name.as_str()).collect();
        let hint = format!("time columns of `{}`: {}", model.name, times.join(", "));
        Err(self.note(
            name.pos,
            format!("column `{}` is not a time", name.value),
            hint,
        ))
    }

    fn filters(&mut self, raw: &RawKpi, model: &ModelSpec, params: &[Param]) -> Checked<Vec<Expr>> {
        let mut checked = Vec::new();
        for filter in raw.filters.iter().flatten() {
            checked.push(self.expr("", Agg::CountIf, filter, model, params));
        }
        checked.into_iter().collect()
    }

    fn parts(&mut self, raw: &RawKpi, model: &ModelSpec, params: &[Param]) -> Checked<Vec<Expr>> {
        let parts = self.required(raw.parts.as_ref(), "parts")?;
        if parts.0.is_empty() {
            let hint = "write `name: { agg: count_if, expr: ... }`";
            return Err(self.note(parts.pos, "there are no parts", hint));
        }
        let mut checked = Vec::new();
        for (name, part) in &parts.0 {
            if let Err((message, hint)) = check_id(name) {
                self.note(part.pos, message, hint);
            }
            let per = self.per(part, model);
            let expr = self.expr(name, part.agg, &part.expr, model, params);
            checked.push(per.and_then(|per| Ok(Expr { per, ..expr? })));
        }
        checked.into_iter().collect()
    }

    /// The column that tells whose latest row counts, or the length of what is added up: of the
    /// aggregates that need it, and of nothing else.
    fn per(&mut self, part: &RawPart, model: &ModelSpec) -> Checked<Option<Per>> {
        let latest = matches!(part.agg, Agg::LastByTime | Agg::MaxLastByTime);
        match &part.per {
            Some(per) if latest => self.per_column(per, model).map(Some),
            Some(per) if part.agg == Agg::Peak => self.per_width(per).map(Some),
            None if latest => {
                let name = if part.agg == Agg::LastByTime {
                    ""
                } else {
                    "max_"
                };
                let message = format!("{name}last_by_time needs `per`: whose latest row counts");
                Err(self.note(part.expr.pos, message, "write `per: customer_id`"))
            }
            None if part.agg == Agg::Peak => {
                let message = "peak needs `per`: how long the stretches are that are added up";
                Err(self.note(part.expr.pos, message, "write `per: 30m`"))
            }
            Some(per) => {
                let message = "`per` is for last_by_time, max_last_by_time and peak";
                Err(self.note(per.pos, message, "take it away"))
            }
            None => Ok(None),
        }
    }

    fn per_column(&mut self, per: &At<String>, model: &ModelSpec) -> Checked<Per> {
        if self.column(per, model)? == ColumnKind::Texts {
            let message = format!("column `{}` is a list", per.value);
            return Err(self.note(per.pos, message, "name a column with one value a row"));
        }
        Ok(Per::Column(per.value.clone()))
    }

    /// Stretches begin at midnight, so a day is a number of them.
    fn per_width(&mut self, per: &At<String>) -> Checked<Per> {
        match param::parse_duration_ms(per) {
            Some(ms) if ms > 0 && ms % MINUTE_MS == 0 && DAY_MS % ms == 0 => Ok(Per::Width { ms }),
            _ => {
                let message = format!("a day is no number of stretches of `{}`", per.value);
                let hint = "write 15m, 30m, 1h or another part of a day in whole minutes";
                Err(self.note(per.pos, message, hint))
            }
        }
    }

    fn expr(
        &mut self,
        name: &str,
        agg: Agg,
        sql: &At<String>,
        model: &ModelSpec,
        params: &[Param],
    ) -> Checked<Expr> {
        let checked = rowsql::used(sql).and_then(|used| {
            rowsql::known_columns(&used, &model.name, &model.names())?;
            known_params(&used, params)?;
            Ok(used)
        });
        match checked {
            Ok(used) => {
                let (name, sql, pos) = (name.to_owned(), sql.value.trim().to_owned(), sql.pos);
                Ok(Expr {
                    name,
                    agg,
                    sql,
                    per: None,
                    used,
                    pos,
                })
            }
            Err(SqlError {
                offset,
                message,
                hint,
            }) => {
                let pos = self.sources.within(sql.pos, sql, offset);
                Err(self.note(pos, message, hint.unwrap_or_default()))
            }
        }
    }

    fn value_of_parts(&mut self, raw: &RawKpi, exprs: &[Expr]) -> Checked<Value> {
        let text = self.required(raw.value.as_ref(), "value")?;
        let named = |histogram: bool| -> Vec<&str> {
            let wanted = exprs
                .iter()
                .filter(|e| (e.agg == Agg::Histogram) == histogram);
            wanted.map(|e| e.name.as_str()).collect()
        };
        let (parts, histograms) = (named(false), named(true));
        self.parse_value(
            text,
            &Names {
                parts: &parts,
                histograms: &histograms,
                kpis: &[],
                params: &[],
            },
        )
    }

    pub(super) fn parse_value(&mut self, text: &At<String>, names: &Names<'_>) -> Checked<Value> {
        value::parse(text, names).map_err(|error| {
            let pos = self.sources.within(text.pos, text, error.offset);
            self.note(pos, error.message, error.hint.unwrap_or_default())
        })
    }

    /// Parts that the value does not read: a slip in a definition of its own, but a variant leaves
    /// behind what it took over and does not need.
    fn only_used(&mut self, whole: &Whole, exprs: Vec<Expr>, value: &Value) -> Checked<Vec<Expr>> {
        let named = value.parts();
        let (used, unused): (Vec<_>, Vec<_>) = exprs
            .into_iter()
            .partition(|e| named.contains(e.name.as_str()));
        match unused.first() {
            Some(expr) if !whole.inherits => {
                let message = format!("`value` does not read the part `{}`", expr.name);
                Err(self.note(expr.pos, message, "use it or take it away"))
            }
            _ => Ok(used),
        }
    }

    /// A KPI column hides the model column of its name, so it has to be the sum of it.
    fn no_shadow(&mut self, model: &ModelSpec, exprs: &[Expr], value: &Value) -> Checked<()> {
        if model.column(&self.id).is_none() {
            return Ok(());
        }
        let adds_it_up = match (value, exprs) {
            (Value::Part(_), [only]) => {
                matches!(only.agg, Agg::CountIf | Agg::Sum) && only.sql == self.id
            }
            _ => false,
        };
        if adds_it_up {
            return Ok(());
        }
        let message = format!(
            "the id hides the column `{}` of model `{}`",
            self.id, model.name
        );
        let hint = "choose another id; only the plain count or sum of a column may have its name";
        Err(self.note(self.pos, message, hint))
    }

    fn maturity<'e>(
        &mut self,
        raw: &RawKpi,
        model: &ModelSpec,
        params: &[Param],
        exprs: impl Iterator<Item = &'e Expr>,
    ) -> Checked<Maturity> {
        let raw = self.required(raw.maturity.as_ref(), "maturity")?;
        let maturity = match &raw.value {
            RawMaturity::Word(word) if word == "none" => Maturity::None,
            RawMaturity::Word(word) if word == "posted" => Maturity::Posted,
            RawMaturity::Word(word) => {
                let hint = "write none, posted or { column: placed_at, window: 7d }";
                return Err(self.note(raw.pos, format!("`{word}` is no maturity"), hint));
            }
            RawMaturity::Window(window) => self.window(window, model, params)?,
        };
        let asks = exprs
            .flat_map(|e| &e.used.functions)
            .any(|(name, _)| name == "matured");
        match (&maturity, asks) {
            (Maturity::Window { .. }, false) => {
                let hint = "write `AND matured(column, :window)` into the parts";
                Err(self.note(raw.pos, "no part asks whether its rows are matured", hint))
            }
            (Maturity::None | Maturity::Posted, true) => {
                let hint = "write `maturity: { column: ..., window: ... }`";
                Err(self.note(
                    raw.pos,
                    "a part calls matured(), but `maturity` has no window",
                    hint,
                ))
            }
            _ => Ok(maturity),
        }
    }

    fn window(
        &mut self,
        raw: &RawWindow,
        model: &ModelSpec,
        params: &[Param],
    ) -> Checked<Maturity> {
        self.time_column(&raw.column, model)?;
        let column = raw.column.value.clone();
        let text = match &raw.window.value {
            Scalar::Text(text) => text.clone(),
            other => other.to_string(),
        };
        if let Some(name) = text.strip_prefix(':') {
            let durations = params.iter().filter(|p| p.kind == ParamKind::Duration);
            let known: Vec<_> = durations.map(|p| p.name.as_str()).collect();
            if known.contains(&name) {
                return Ok(Maturity::Window {
                    column,
                    window: Window::Param(name.to_owned()),
                });
            }
            let hint = words::suggest(name, known, "duration parameters");
            let message = format!("there is no duration parameter `{name}`");
            return Err(self.note(raw.window.pos, message, hint));
        }
        match param::parse_duration_ms(&text) {
            Some(ms) => Ok(Maturity::Window {
                column,
                window: Window::Ms(ms),
            }),
            None => {
                let message = format!("`{text}` is not a duration");
                Err(self.note(raw.window.pos, message, "write 0, 7d or :parameter"))
            }
        }
    }

    fn dimensions(&mut self, raw: &RawKpi, model: &ModelSpec) -> Checked<Vec<String>> {
        let Some(dimensions) = &raw.dimensions else {
            let hint = "add `dimensions: [queue_id, ...]`, or `dimensions: []` for none";
            return Err(self.note(self.pos, "the key `dimensions` is missing", hint));
        };
        let mut names: Vec<String> = Vec::new();
        let mut failed = None;
        for dimension in dimensions {
            match self.column(dimension, model) {
                Err(noted) => failed = Some(noted),
                Ok(ColumnKind::Time | ColumnKind::Decimal | ColumnKind::Texts) => {
                    let message = format!("column `{}` is no dimension", dimension.value);
                    let hint = "a dimension is a text, a flag or a whole number";
                    failed = Some(self.note(dimension.pos, message, hint));
                }
                Ok(_) if names.contains(&dimension.value) => {
                    let message = format!("dimension `{}` stands here twice", dimension.value);
                    failed = Some(self.note(dimension.pos, message, "keep one of them"));
                }
                Ok(_) => names.push(dimension.value.clone()),
            }
        }
        failed.map_or(Ok(names), Err)
    }

    pub(super) fn buckets(&mut self, raw: Option<&At<RawBuckets>>) -> Checked<Buckets> {
        let Some(raw) = raw else {
            return Ok(Buckets {
                min: Bucket::M15,
                default: Bucket::M30,
            });
        };
        let (min, default) = (self.bucket(&raw.min)?, self.bucket(&raw.default)?);
        if default < min {
            let message = format!("the usual bucket {default} is smaller than the smallest {min}");
            return Err(self.note(raw.default.pos, message, "swap them"));
        }
        Ok(Buckets { min, default })
    }

    fn bucket(&mut self, text: &At<String>) -> Checked<Bucket> {
        Bucket::parse(text).ok_or_else(|| {
            let known: Vec<_> = Bucket::ALL.iter().map(|(_, text)| *text).collect();
            let message = format!("`{}` is not a bucket", text.value);
            self.note(text.pos, message, format!("buckets: {}", known.join(", ")))
        })
    }

    fn supporting(
        &mut self,
        raw: &RawKpi,
        model: &ModelSpec,
        time: &str,
        read: &BTreeSet<String>,
    ) -> Checked<Vec<String>> {
        let Some(listed) = &raw.supporting else {
            let rest = read.iter().filter(|c| *c != time).cloned();
            return Ok(std::iter::once(time.to_owned()).chain(rest).collect());
        };
        for column in listed {
            self.column(column, model)?;
        }
        let names: Vec<String> = listed.iter().map(|c| c.value.clone()).collect();
        match read.iter().find(|column| !names.contains(column)) {
            None => Ok(names),
            Some(column) => {
                let pos = listed.first().map_or(self.pos, |c| c.pos);
                let message = format!("`supporting` lacks `{column}`, which the KPI reads");
                Err(self.note(pos, message, "add it, or leave `supporting` out"))
            }
        }
    }
}

fn known_params(used: &Used, params: &[Param]) -> Result<(), SqlError> {
    for (name, offset) in &used.params {
        if params.iter().all(|p| p.name != *name) {
            let engine = rowsql::ENGINE_PARAMS;
            let known = params.iter().map(|p| p.name.as_str()).chain(engine);
            let hint = words::suggest(name, known, "parameters here");
            let message = format!("there is no parameter `:{name}`");
            return Err(SqlError {
                offset: *offset,
                message,
                hint: Some(hint),
            });
        }
    }
    Ok(())
}

fn part(expr: Expr) -> Part {
    let (columns, params) = (
        expr.columns().into_iter().collect(),
        expr.used.param_names(),
    );
    Part {
        name: expr.name,
        agg: expr.agg,
        expr: expr.sql,
        per: expr.per,
        columns,
        params,
    }
}

/// Every column that the KPI reads.
fn lineage<'e>(time: &str, exprs: impl Iterator<Item = &'e Expr>) -> BTreeSet<String> {
    let mut read: BTreeSet<String> = exprs.flat_map(Expr::columns).collect();
    read.insert(time.to_owned());
    read
}

/// The parameters that are read, and those that they take their default from.
fn params_read<'e>(
    params: Vec<Param>,
    exprs: impl Iterator<Item = &'e Expr>,
    maturity: &Maturity,
) -> Vec<Param> {
    let mut names: BTreeSet<String> = exprs.flat_map(|e| e.used.param_names()).collect();
    if let Maturity::Window {
        window: Window::Param(name),
        ..
    } = maturity
    {
        names.insert(name.clone());
    }
    used_params(params, names)
}

/// The parameters of these names, and those that they take their default from.
pub(super) fn used_params(params: Vec<Param>, mut names: BTreeSet<String>) -> Vec<Param> {
    loop {
        let behind = params
            .iter()
            .filter(|p| names.contains(&p.name))
            .filter_map(Param::same_as);
        let new: Vec<String> = behind
            .filter(|n| !names.contains(*n))
            .map(str::to_owned)
            .collect();
        if new.is_empty() {
            break;
        }
        names.extend(new);
    }
    params
        .into_iter()
        .filter(|p| names.contains(&p.name))
        .collect()
}
