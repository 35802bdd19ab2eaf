//! Checks of a KPI over other KPIs.

use crate::definition::{Bucket, Buckets, Derived, Kind, Kpi, Maturity, UnitKind};
use crate::file::RawKpi;
use crate::param::{Param, parse_duration_ms};
use crate::place::Pos;
use crate::resolve::Whole;
use crate::value::{Names, Value};

use super::measured::used_params;
use super::{Checked, Checker};

impl Checker<'_> {
    /// A derived KPI; `inputs` are checked already and stand in the order of the file.
    pub fn derived(&mut self, whole: &Whole, inputs: &[&Kpi]) -> Checked<Kpi> {
        let raw = &whole.raw;
        self.nothing_of_a_model(raw);
        let params = self.params(raw, None)?;
        let value = self.value_of_inputs(raw, inputs, &params)?;
        let params = self.params_used(whole, params, &value)?;
        self.no_money_beside(raw, inputs, &value)?;
        let longest_ms = self.longest(raw)?;
        let mut models: Vec<String> = inputs.iter().flat_map(|k| models_of(k)).collect();
        models.sort();
        models.dedup();
        let ids = inputs.iter().map(|k| k.id.clone()).collect();
        let buckets = self.aligned_buckets(raw, inputs);
        let kind = Kind::Derived(Derived {
            inputs: ids,
            models,
            longest_ms,
        });
        let mut kpi = self.common(whole, kind, value, None)?;
        kpi.params = params;
        kpi.buckets = buckets?;
        kpi.dimensions = shared_dimensions(inputs);
        kpi.maturity = Maturity::Common;
        Ok(kpi)
    }

    fn nothing_of_a_model(&mut self, raw: &RawKpi) {
        let keys: [(&str, Option<Pos>); 10] = [
            ("model", raw.model.as_ref().map(|v| v.pos)),
            ("grain", raw.grain.as_ref().map(|v| v.pos)),
            ("clock", raw.clock.as_ref().map(|v| v.pos)),
            ("time", raw.time.as_ref().map(|v| v.pos)),
            (
                "filters",
                raw.filters
                    .as_ref()
                    .map(|v| v.first().map_or(self.pos, |f| f.pos)),
            ),
            ("parts", raw.parts.as_ref().map(|v| v.pos)),
            ("maturity", raw.maturity.as_ref().map(|v| v.pos)),
            ("sample", raw.sample.as_ref().map(|v| v.pos)),
            (
                "dimensions",
                raw.dimensions
                    .as_ref()
                    .map(|v| v.first().map_or(self.pos, |d| d.pos)),
            ),
            (
                "supporting",
                raw.supporting
                    .as_ref()
                    .map(|v| v.first().map_or(self.pos, |s| s.pos)),
            ),
        ];
        for (key, pos) in keys {
            if let Some(pos) = pos {
                let message = format!("a KPI with `inputs` takes `{key}` from them");
                self.note(pos, message, format!("take `{key}` away"));
            }
        }
    }

    fn value_of_inputs(
        &mut self,
        raw: &RawKpi,
        inputs: &[&Kpi],
        params: &[Param],
    ) -> Checked<Value> {
        let text = self.required(raw.value.as_ref(), "value")?;
        let ids: Vec<&str> = inputs.iter().map(|k| k.id.as_str()).collect();
        let params: Vec<&str> = params.iter().map(|p| p.name.as_str()).collect();
        let value = self.parse_value(
            text,
            &Names {
                parts: &[],
                histograms: &[],
                kpis: &ids,
                params: &params,
            },
        )?;
        let read = value.kpis();
        for input in raw.inputs.iter().flatten() {
            if !read.contains(input.value.as_str()) {
                let message = format!("`value` does not read the input `{}`", input.value);
                return Err(self.note(input.pos, message, "use it or take it away"));
            }
        }
        Ok(value)
    }

    /// Parameters that the value does not read: a slip in a definition of its own, left behind by a
    /// variant.
    fn params_used(
        &mut self,
        whole: &Whole,
        params: Vec<Param>,
        value: &Value,
    ) -> Checked<Vec<Param>> {
        let names = value.params().into_iter().map(str::to_owned);
        let given = params.len();
        let used = used_params(params, names.collect());
        let entries = whole.raw.params.iter().flat_map(|params| &params.0);
        let read = |name: &str| used.iter().any(|param| param.name == name);
        let unread = entries.into_iter().find(|(name, _)| !read(name));
        match unread {
            Some((name, raw)) if used.len() < given && !whole.inherits => {
                let message = format!("`value` does not read the parameter `:{name}`");
                Err(self.note(raw.pos, message, "use it or take it away"))
            }
            _ => Ok(used),
        }
    }

    /// The amounts of another period may be of another currency, which a number does not tell.
    fn no_money_beside(&mut self, raw: &RawKpi, inputs: &[&Kpi], value: &Value) -> Checked<()> {
        let is_money = |id: &str| {
            let mut inputs = inputs.iter();
            inputs.any(|k| k.id == id && k.unit.kind == UnitKind::Currency)
        };
        match value.beside().into_iter().find(|(_, id)| is_money(id)) {
            Some((side, id)) => {
                let pos = raw.value.as_ref().map_or(self.pos, |value| value.pos);
                let message = format!("{}({id}) may be money of another currency", side.word());
                Err(self.note(pos, message, "compare numbers that are no money"))
            }
            None => Ok(()),
        }
    }

    fn longest(&mut self, raw: &RawKpi) -> Checked<Option<i64>> {
        let Some(longest) = raw.align.as_ref().and_then(|align| align.longest.as_ref()) else {
            return Ok(None);
        };
        match parse_duration_ms(&longest.to_string()).filter(|ms| *ms > 0) {
            Some(ms) => Ok(Some(ms)),
            None => {
                let message = format!("`{}` is not a duration", longest.value);
                Err(self.note(longest.pos, message, "write `longest: 1h`"))
            }
        }
    }

    fn aligned_buckets(&mut self, raw: &RawKpi, inputs: &[&Kpi]) -> Checked<Buckets> {
        let min = inputs
            .iter()
            .map(|k| k.buckets.min)
            .max()
            .unwrap_or(Bucket::M15);
        let default = inputs
            .iter()
            .map(|k| k.buckets.default)
            .max()
            .unwrap_or(Bucket::M30);
        let Some(given) = raw.align.as_ref().and_then(|a| a.buckets.as_ref()) else {
            return Ok(Buckets { min, default });
        };
        let buckets = self.buckets(Some(given))?;
        if buckets.min < min {
            let message = format!("its inputs have no bucket smaller than {min}");
            return Err(self.note(given.min.pos, message, format!("write `min: {min}`")));
        }
        Ok(buckets)
    }
}

fn models_of(kpi: &Kpi) -> Vec<String> {
    match &kpi.kind {
        Kind::Measured(measured) => vec![measured.model.clone()],
        Kind::Derived(derived) => derived.models.clone(),
    }
}

fn shared_dimensions(inputs: &[&Kpi]) -> Vec<String> {
    let Some((first, rest)) = inputs.split_first() else {
        return Vec::new();
    };
    let shared = |d: &&String| rest.iter().all(|k| k.dimensions.contains(d));
    first.dimensions.iter().filter(shared).cloned().collect()
}
