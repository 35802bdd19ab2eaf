//! Checks of a KPI over other KPIs.

use crate::definition::{Bucket, Buckets, Derived, Kind, Kpi, Maturity};
use crate::file::RawKpi;
use crate::place::Pos;
use crate::resolve::Whole;
use crate::value::{Names, Value};

use super::{Checked, Checker};

impl Checker<'_> {
    /// A derived KPI; `inputs` are checked already and stand in the order of the file.
    pub fn derived(&mut self, whole: &Whole, inputs: &[&Kpi]) -> Checked<Kpi> {
        let raw = &whole.raw;
        self.nothing_of_a_model(raw);
        let value = self.value_of_inputs(raw, inputs)?;
        let mut models: Vec<String> = inputs.iter().flat_map(|k| models_of(k)).collect();
        models.sort();
        models.dedup();
        let ids = inputs.iter().map(|k| k.id.clone()).collect();
        let buckets = self.aligned_buckets(raw, inputs);
        let kind = Kind::Derived(Derived {
            inputs: ids,
            models,
        });
        let mut kpi = self.common(whole, kind, value, None)?;
        kpi.buckets = buckets?;
        kpi.dimensions = shared_dimensions(inputs);
        kpi.maturity = Maturity::Common;
        Ok(kpi)
    }

    fn nothing_of_a_model(&mut self, raw: &RawKpi) {
        let keys: [(&str, Option<Pos>); 11] = [
            ("model", raw.model.as_ref().map(|v| v.pos)),
            ("grain", raw.grain.as_ref().map(|v| v.pos)),
            ("clock", raw.clock.as_ref().map(|v| v.pos)),
            ("time", raw.time.as_ref().map(|v| v.pos)),
            ("params", raw.params.as_ref().map(|v| v.pos)),
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

    fn value_of_inputs(&mut self, raw: &RawKpi, inputs: &[&Kpi]) -> Checked<Value> {
        let text = self.required(raw.value.as_ref(), "value")?;
        let ids: Vec<&str> = inputs.iter().map(|k| k.id.as_str()).collect();
        let value = self.parse_value(
            text,
            &Names {
                parts: &[],
                histograms: &[],
                kpis: &ids,
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
