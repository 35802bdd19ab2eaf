//! The definition hash: two definitions with the same hash give the same numbers.

use serde_json::{Value as Json, json};

use crate::definition::{Derived, Kind, Kpi, Maturity, Measured, Window};
use crate::param::{Param, ParamDefault};
use crate::read::SourceFile;
use crate::rowsql;

/// Blake3 in hex over the texts of files in their order, whatever the files are called.
pub fn texts_hash<'a>(files: impl Iterator<Item = &'a SourceFile>) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(&(file.text.len() as u64).to_le_bytes());
        hasher.update(file.text.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Blake3 in hex over everything that can change a number, in one canonical form. Titles, examples,
/// targets and presentation are not in it. `inputs` are the hashes of the input KPIs by id, `made_by` is
/// what the rows of its model are made by.
pub(crate) fn of(kpi: &Kpi, inputs: &[(String, String)], made_by: &str) -> String {
    let mut params: Vec<Json> = kpi.params.iter().map(param).collect();
    params.sort_by_key(Json::to_string);
    let canonical = json!({
        "format": 2,
        "over": match &kpi.kind {
            Kind::Measured(measured) => over_model(measured),
            Kind::Derived(derived) => over_kpis(derived, inputs),
        },
        "params": params,
        "value": kpi.value.to_string(),
        "empty": format!("{:?}", kpi.empty),
        "maturity": maturity(&kpi.maturity),
        "rows": made_by,
        "unit": [format!("{:?}", kpi.unit.kind), kpi.unit.of.clone().unwrap_or_default()],
    });
    blake3::hash(canonical.to_string().as_bytes())
        .to_hex()
        .to_string()
}

/// The same as before there were longest stretches, for what has none.
fn over_kpis(derived: &Derived, inputs: &[(String, String)]) -> Json {
    match derived.longest_ms {
        None => json!(inputs),
        Some(ms) => json!({ "inputs": inputs, "longest_ms": ms }),
    }
}

fn over_model(measured: &Measured) -> Json {
    let parts = measured.parts.iter().map(|part| {
        let mut said = vec![
            part.name.clone(),
            format!("{:?}", part.agg),
            rowsql::canonical(&part.expr),
        ];
        said.extend(part.per.as_ref().map(ToString::to_string));
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
