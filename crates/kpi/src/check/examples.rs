//! Checks of examples. They come last: an example may speak of any KPI of its models.

use std::collections::BTreeMap;

use events::UtcMicros;

use crate::definition::{Kind, Kpi};
use crate::example::{
    Cell, Example, ExampleRow, ExampleTable, Expected, ExpectedOf, USUAL_HISTORY_START,
    USUAL_HORIZON, cell, expected_value, whole_row,
};
use crate::file::RawExample;
use crate::param::{ParamValue, parse_duration_ms};
use crate::place::{At, Named, Pos, Scalar};
use crate::value::Side;
use crate::words;

use super::{Checked, Checker, Noted};

/// Rows repeated more often than this are a slip.
const TIMES_MAX: i64 = 1_000_000;

/// All KPIs by id.
pub(crate) type ById<'k> = BTreeMap<&'k str, &'k Kpi>;

impl Checker<'_> {
    /// The example as it will be run; `kpi` is where it stands.
    pub fn example(&mut self, kpi: &Kpi, raw: &At<RawExample>, all: &ById<'_>) -> Checked<Example> {
        let expect = self.expectations(kpi, raw, all)?;
        let horizon = self.moment(raw.horizon.as_ref(), USUAL_HORIZON)?;
        let concerned = concerned(&expect, all);
        let tables = self.tables(kpi, raw, &concerned)?;
        self.covers(kpi, raw, &tables, &concerned)?;
        Ok(Example {
            name: raw.name.value.clone(),
            kpi: kpi.id.clone(),
            inputs: self.inputs(kpi, raw.inputs.as_ref())?,
            beside: self.beside(kpi, raw)?,
            range_ms: self.range(raw)?,
            params: self.example_params(raw, &concerned)?,
            tables,
            horizon,
            history_start: self.moment(raw.history_start.as_ref(), USUAL_HISTORY_START)?,
            as_of: self.moment(raw.as_of.as_ref(), horizon)?,
            expect,
            place: self.place(raw.pos),
        })
    }

    fn expectations(
        &mut self,
        kpi: &Kpi,
        raw: &RawExample,
        all: &ById<'_>,
    ) -> Checked<Vec<Expected>> {
        if raw.expect.0.is_empty() {
            let hint = format!("write `expect: {{ {}: ... }}`", kpi.id);
            return Err(self.note(raw.expect.pos, "the example expects nothing", hint));
        }
        let mut expect = Vec::new();
        for (name, value) in &raw.expect.0 {
            let of = self.expected_of(kpi, name, value.pos, all)?;
            let (value, tolerance) = expected_value(value).map_err(|hint| {
                self.note(
                    value.pos,
                    format!("`{}` is no expected value", value.value),
                    hint,
                )
            })?;
            expect.push(Expected {
                of,
                value,
                tolerance,
            });
        }
        Ok(expect)
    }

    fn expected_of(
        &mut self,
        kpi: &Kpi,
        name: &str,
        pos: Pos,
        all: &ById<'_>,
    ) -> Checked<ExpectedOf> {
        let part_of = |kpi: &Kpi, part: &str| {
            kpi.part(part).map(|part| ExpectedOf::Part {
                kpi: kpi.id.clone(),
                part: part.name.clone(),
            })
        };
        let found = match name.split_once('.') {
            Some((id, part)) => all.get(id).and_then(|kpi| part_of(kpi, part)),
            None if all.contains_key(name) => Some(ExpectedOf::Kpi(name.to_owned())),
            None => part_of(kpi, name),
        };
        found.ok_or_else(|| {
            if !self.all_sound {
                return Noted;
            }
            let parts = kpi.parts().iter().map(|p| p.name.as_str());
            let hint = words::nearest(name, parts.chain(all.keys().copied())).map_or_else(
                || "expected are KPI ids, parts of this KPI, or `kpi.part`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.note(
                pos,
                format!("`{name}` is neither a KPI nor a part of this one"),
                hint,
            )
        })
    }

    fn tables(
        &mut self,
        kpi: &Kpi,
        raw: &RawExample,
        concerned: &[&Kpi],
    ) -> Checked<Vec<ExampleTable>> {
        let mut tables = Vec::new();
        if let Some(rows) = &raw.rows {
            let Some(model) = kpi.model() else {
                let hint = "write `tables: { model: [...] }`, or `inputs`";
                return Err(self.note(raw.name.pos, "a KPI with `inputs` has no rows", hint));
            };
            tables.push(self.table(model, rows, concerned, raw.name.pos)?);
        }
        for (model, rows) in raw.tables.iter().flat_map(|t| &t.0) {
            tables.push(self.table(model, rows, concerned, rows.pos)?);
        }
        Ok(tables)
    }

    fn table(
        &mut self,
        model: &str,
        rows: &[At<Named<Scalar>>],
        concerned: &[&Kpi],
        pos: Pos,
    ) -> Checked<ExampleTable> {
        let Some(spec) = self.models.iter().find(|m| m.name == model) else {
            let hint = words::suggest(model, self.models.iter().map(|m| m.name.as_str()), "models");
            return Err(self.note(pos, format!("there is no model `{model}`"), hint));
        };
        let of_model = concerned.iter().filter(|k| k.model() == Some(model));
        let times: Vec<&str> = of_model.filter_map(|k| k.time()).collect();
        let mut table = ExampleTable {
            model: model.to_owned(),
            rows: Vec::new(),
        };
        for row in rows {
            let mut cells = BTreeMap::new();
            let mut repeat = 1;
            for (name, value) in &row.0 {
                if name == "times" {
                    repeat = self.repeat(value)?;
                    continue;
                }
                let at = At {
                    value: name.clone(),
                    pos: value.pos,
                };
                self.column(&at, spec)?;
                cells.insert(name.clone(), self.cell(spec.column(name), value)?);
            }
            table.rows.push(ExampleRow {
                times: repeat,
                cells: whole_row(spec, cells, &times),
            });
        }
        Ok(table)
    }

    fn cell(
        &mut self,
        column: Option<&crate::model::ColumnSpec>,
        value: &At<Scalar>,
    ) -> Checked<Cell> {
        let Some(column) = column else {
            return Ok(Cell::Null);
        };
        cell(column, value).map_err(|holds| {
            let message = format!(
                "`{}` does not fit: column `{}` {holds}",
                value.value, column.name
            );
            self.note(value.pos, message, "")
        })
    }

    fn repeat(&mut self, value: &At<Scalar>) -> Checked<u64> {
        match value.value {
            Scalar::Int(n @ 1..=TIMES_MAX) => Ok(n.unsigned_abs()),
            _ => {
                let message = format!("`{}` is no number of rows", value.value);
                Err(self.note(value.pos, message, format!("write 1 to {TIMES_MAX}")))
            }
        }
    }

    /// Has the example data for everything it expects?
    fn covers(
        &mut self,
        kpi: &Kpi,
        raw: &RawExample,
        tables: &[ExampleTable],
        concerned: &[&Kpi],
    ) -> Checked<()> {
        if raw.inputs.is_some() {
            if !tables.is_empty() || concerned.iter().any(|k| k.id != kpi.id) {
                let message = "an example with `inputs` has no rows and speaks of its own KPI only";
                return Err(self.note(raw.name.pos, message, "make it two examples"));
            }
            return Ok(());
        }
        for other in concerned {
            let models: Vec<&str> = match &other.kind {
                Kind::Measured(measured) => vec![&measured.model],
                Kind::Derived(derived) => derived.models.iter().map(String::as_str).collect(),
            };
            if let Some(model) = models
                .iter()
                .find(|m| tables.iter().all(|t| t.model != **m))
            {
                let message = format!("`{}` needs rows of model `{model}`", other.id);
                let hint = format!("add `tables: {{ {model}: [...] }}`; `[]` is no rows");
                return Err(self.note(raw.name.pos, message, hint));
            }
        }
        Ok(())
    }

    /// What the inputs are in what is compared with.
    fn beside(&mut self, kpi: &Kpi, raw: &RawExample) -> Checked<BTreeMap<(Side, String), f64>> {
        let sides = [
            (Side::Baseline, &raw.baseline),
            (Side::Control, &raw.control),
            (Side::ControlBaseline, &raw.control_baseline),
        ];
        let mut beside = BTreeMap::new();
        for (side, given) in sides {
            self.only_of_inputs(raw, side.word(), given.is_some())?;
            let values = self.inputs(kpi, given.as_ref())?.into_iter();
            beside.extend(values.map(|(id, value)| ((side, id), value)));
        }
        Ok(beside)
    }

    fn range(&mut self, raw: &RawExample) -> Checked<Option<i64>> {
        self.only_of_inputs(raw, "range", raw.range.is_some())?;
        let Some(range) = &raw.range else {
            return Ok(None);
        };
        match parse_duration_ms(&range.to_string()).filter(|ms| *ms > 0) {
            Some(ms) => Ok(Some(ms)),
            None => {
                let message = format!("`{}` is not a duration", range.value);
                Err(self.note(range.pos, message, "write it as 30m"))
            }
        }
    }

    /// What goes with values of inputs only: rows have times of their own.
    fn only_of_inputs(&mut self, raw: &RawExample, key: &str, given: bool) -> Checked<()> {
        if !given || raw.inputs.is_some() {
            return Ok(());
        }
        let message = format!("`{key}` goes with `inputs`");
        Err(self.note(raw.name.pos, message, "give the values of the inputs"))
    }

    fn inputs(&mut self, kpi: &Kpi, given: Option<&Named<Scalar>>) -> Checked<Vec<(String, f64)>> {
        let Some(given) = given else {
            return Ok(Vec::new());
        };
        let mut inputs = Vec::new();
        for (id, value) in &given.0 {
            let known = kpi.inputs().iter().map(String::as_str);
            if known.clone().all(|k| k != id) {
                let hint = words::suggest(id, known, "inputs");
                return Err(self.note(value.pos, format!("`{id}` is no input of this KPI"), hint));
            }
            match expected_value(value) {
                Ok((Some(number), _)) => inputs.push((id.clone(), number)),
                Ok((None, _)) => {}
                Err(hint) => {
                    let message = format!("`{}` is no value", value.value);
                    return Err(self.note(value.pos, message, hint));
                }
            }
        }
        Ok(inputs)
    }

    fn example_params(
        &mut self,
        raw: &RawExample,
        concerned: &[&Kpi],
    ) -> Checked<BTreeMap<String, ParamValue>> {
        let mut params = BTreeMap::new();
        for (name, value) in raw.params.iter().flat_map(|p| &p.0) {
            let all = || concerned.iter().flat_map(|k| &k.params);
            let Some(param) = all().find(|p| p.name == *name) else {
                let hint = words::suggest(name, all().map(|p| p.name.as_str()), "parameters");
                return Err(self.note(value.pos, format!("there is no parameter `:{name}`"), hint));
            };
            let parsed = param.parse(&value.to_string());
            let parsed = parsed.map_err(|message| self.note(value.pos, message, ""))?;
            params.insert(name.clone(), parsed);
        }
        Ok(params)
    }

    fn moment(&mut self, text: Option<&At<String>>, usual: UtcMicros) -> Checked<UtcMicros> {
        let Some(text) = text else { return Ok(usual) };
        UtcMicros::parse_rfc3339(text).ok_or_else(|| {
            let message = format!("`{}` is no moment", text.value);
            self.note(text.pos, message, "write it as 2026-01-05T09:00:00Z")
        })
    }
}

/// The KPIs that an example speaks of.
fn concerned<'k>(expect: &[Expected], all: &ById<'k>) -> Vec<&'k Kpi> {
    let id = |expected: &Expected| match &expected.of {
        ExpectedOf::Kpi(id) | ExpectedOf::Part { kpi: id, .. } => id.clone(),
    };
    let mut found: Vec<&Kpi> = Vec::new();
    for id in expect.iter().map(id) {
        if let Some(kpi) = all.get(id.as_str())
            && found.iter().all(|k| k.id != kpi.id)
        {
            found.push(kpi);
        }
    }
    found
}
