//! Checks of parameters.

use crate::definition::ParamKind;
use crate::file::{RawKpi, RawParam};
use crate::model::{ColumnKind, ModelSpec};
use crate::param::{Param, ParamDefault, ParamValue};
use crate::place::{At, Scalar};
use crate::resolve::check_id;
use crate::rowsql::ENGINE_PARAMS;
use crate::words;

use super::{Checked, Checker};

impl Checker<'_> {
    /// The parameters of a definition; without a model, of one over other KPIs.
    pub(super) fn params(
        &mut self,
        raw: &RawKpi,
        model: Option<&ModelSpec>,
    ) -> Checked<Vec<Param>> {
        let entries = raw.params.as_ref().map_or(&[][..], |params| &params.0);
        let mut params = Vec::new();
        for (name, param) in entries {
            params.push(self.param(name, param, model));
        }
        let params: Vec<Param> = params.into_iter().collect::<Checked<_>>()?;
        for ((_, raw), param) in entries.iter().zip(&params) {
            self.same_as(raw, param, &params)?;
        }
        Ok(params)
    }

    fn param(
        &mut self,
        name: &str,
        raw: &At<RawParam>,
        model: Option<&ModelSpec>,
    ) -> Checked<Param> {
        if let Err((message, hint)) = check_id(name) {
            return Err(self.note(raw.pos, message, hint));
        }
        if ENGINE_PARAMS.contains(&name) {
            let message = format!("`:{name}` is given by the engine");
            return Err(self.note(raw.pos, message, "choose another name"));
        }
        let default = match &raw.default.value {
            Scalar::Text(text) if text.starts_with(':') => {
                ParamDefault::SameAs(text[1..].to_owned())
            }
            _ => ParamDefault::Value(self.param_value(raw.kind, &raw.default)?),
        };
        let by = self.differs_by(name, raw, model)?;
        let mut bound = |v: &Option<At<Scalar>>| {
            v.as_ref()
                .map(|v| self.param_value(raw.kind, v))
                .transpose()
        };
        let (min, max) = (bound(&raw.min)?, bound(&raw.max)?);
        let description = raw.description.clone().unwrap_or_default();
        let param = Param {
            name: name.to_owned(),
            kind: raw.kind,
            default,
            min,
            max,
            by,
            description,
            rules: Vec::new(),
        };
        self.param_bounds(raw, param)
    }

    /// The dimensions that a parameter may differ by: rows have them, the total of an input has not.
    fn differs_by(
        &mut self,
        name: &str,
        raw: &At<RawParam>,
        model: Option<&ModelSpec>,
    ) -> Checked<Vec<String>> {
        let mut by = Vec::new();
        if model.is_none() && raw.kind == ParamKind::Text {
            let message = format!("`:{name}` is a text, and nothing is computed with one here");
            return Err(self.note(raw.pos, message, "take a duration, an integer or a number"));
        }
        for dimension in raw.by.iter().flatten() {
            let Some(model) = model else {
                let message = format!("`:{name}` of a KPI with `inputs` is one for all rows");
                return Err(self.note(dimension.pos, message, "take `by` away"));
            };
            if self.column(dimension, model)? != ColumnKind::Text {
                let message = format!("`{}` is not a text", dimension.value);
                let hint = "a parameter may differ by columns of text";
                return Err(self.note(dimension.pos, message, hint));
            }
            by.push(dimension.value.clone());
        }
        Ok(by)
    }

    fn param_value(&mut self, kind: ParamKind, value: &At<Scalar>) -> Checked<ParamValue> {
        // `0` is a duration too, but any other bare number leaves its unit open.
        ParamValue::parse(kind, &value.to_string())
            .map_err(|message| self.note(value.pos, message, ""))
    }

    fn param_bounds(&mut self, raw: &RawParam, param: Param) -> Checked<Param> {
        let checked = [
            (raw.max.as_ref().map(|m| m.pos), param.max.clone()),
            (
                Some(raw.default.pos),
                match &param.default {
                    ParamDefault::Value(value) => Some(value.clone()),
                    ParamDefault::SameAs(_) => None,
                },
            ),
        ];
        for (pos, value) in checked {
            if let (Some(pos), Some(value)) = (pos, value)
                && let Err(message) = param.in_bounds(&value)
            {
                return Err(self.note(pos, message, "change the value or the bounds"));
            }
        }
        Ok(param)
    }

    fn same_as(&mut self, raw: &RawParam, param: &Param, params: &[Param]) -> Checked<()> {
        let mut at = param;
        for _ in 0..=params.len() {
            let Some(other) = at.same_as() else {
                return Ok(());
            };
            let Some(next) = params.iter().find(|p| p.name == other) else {
                let known = params.iter().map(|p| p.name.as_str());
                let hint = words::suggest(other, known, "parameters here");
                let message = format!("there is no parameter `:{other}`");
                return Err(self.note(raw.default.pos, message, hint));
            };
            if next.kind != param.kind {
                let message = format!("parameter `:{other}` is of another type");
                return Err(self.note(raw.default.pos, message, "make the types equal"));
            }
            at = next;
        }
        let message = "the defaults refer to each other in a circle";
        Err(self.note(raw.default.pos, message, "give one of them a value"))
    }
}
