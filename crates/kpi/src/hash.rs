//! The definition hash: two definitions with the same hash give the same numbers.

use serde_json::{Value as Json, json};

use crate::definition::{Kind, Kpi, Maturity, Measured, Window};
use crate::param::{Param, ParamDefault};
use crate::rowsql;

/// Blake3 in hex over everything that can change a number, in one canonical form. Titles, examples,
/// targets and presentation are not in it. `inputs` are the hashes of the input KPIs by id.
pub(crate) fn of(kpi: &Kpi, inputs: &[(String, String)]) -> String {
    let mut params: Vec<Json> = kpi.params.iter().map(param).collect();
    params.sort_by_key(Json::to_string);
    let canonical = json!({
        "format": 1,
        "over": match &kpi.kind {
            Kind::Measured(measured) => over_model(measured),
            Kind::Derived(_) => json!(inputs),
        },
        "params": params,
        "value": kpi.value.to_string(),
        "empty": format!("{:?}", kpi.empty),
        "maturity": maturity(&kpi.maturity),
        "unit": [format!("{:?}", kpi.unit.kind), kpi.unit.of.clone().unwrap_or_default()],
    });
    blake3::hash(canonical.to_string().as_bytes())
        .to_hex()
        .to_string()
}

fn over_model(measured: &Measured) -> Json {
    let parts = measured.parts.iter().map(|part| {
        let mut said = vec![
            part.name.clone(),
            format!("{:?}", part.agg),
            rowsql::canonical(&part.expr),
        ];
        said.extend(part.per.clone());
        json!(said)
    });
    let mut parts: Vec<Json> = parts.collect();
    parts.sort_by_key(Json::to_string);
    let mut filters: Vec<_> = measured
        .filters
        .iter()
        .map(|f| rowsql::canonical(f))
        .collect();
    filters.sort();
    json!({
        "model": measured.model,
        "grain": measured.grain,
        "clock": format!("{:?}", measured.clock),
        "time": measured.time,
        "filters": filters,
        "parts": parts,
    })
}

fn param(param: &Param) -> Json {
    let default = match &param.default {
        ParamDefault::Value(value) => value.to_string(),
        ParamDefault::SameAs(other) => format!(":{other}"),
    };
    json!([param.name, format!("{:?}", param.kind), default])
}

fn maturity(maturity: &Maturity) -> Json {
    match maturity {
        Maturity::None => json!("none"),
        Maturity::Posted => json!("posted"),
        Maturity::Common => json!("common"),
        Maturity::Window {
            column,
            window: Window::Param(name),
        } => json!([column, name]),
        Maturity::Window {
            column,
            window: Window::Ms(ms),
        } => json!([column, ms]),
    }
}
