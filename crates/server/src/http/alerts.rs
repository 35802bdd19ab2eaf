//! Alerts: `GET /api/v1/alerts`, `POST /api/v1/alerts/{id}/acknowledge` (W12).

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, Request, State},
    response::Response,
};
use kpi::alert::{AlertRule, Op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{App, body};
use crate::{
    access::Identity,
    alerts::{AlertValue, Alerts},
    error::{ApiError, Code},
    limits,
};

/// What is wrong, and what is watched.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Alerts")]
pub(super) struct Body {
    /// Open, or ended in the last 24 hours; the newest first.
    alerts: Vec<AlertValue>,
    /// In the order of their file.
    rules: Vec<Rule>,
}

/// A rule.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertRule")]
struct Rule {
    id: String,
    title: Titles,
    /// As a cell of the live board has it.
    figure: String,
    /// `total`, `each queue`, or `queue` and an id.
    scope: String,
    /// Which side of a limit is bad: `above`, `at_least`, `below`, `at_most`.
    op: &'static str,
    /// Limit of a warning: durations in milliseconds, ratios 0 to 1.
    warn: Option<f64>,
    /// Limit of what is critical.
    critical: Option<f64>,
}

/// What people call it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertTitles")]
struct Titles {
    en: String,
    #[serde(rename = "zh-CN")]
    zh_cn: String,
    #[serde(rename = "zh-TW")]
    zh_tw: String,
}

/// What somebody says about an alert that they have seen.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AlertNote")]
pub(super) struct Note {
    /// At most 1,000 characters.
    note: Option<String>,
}

/// Lists alerts and rules.
pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let alerts = watched(&app)?;
    Ok(super::answer(&Body {
        alerts: alerts.list(),
        rules: alerts.rules.iter().map(Rule::from).collect(),
    }))
}

/// Notes that somebody has seen an alert.
pub(super) async fn acknowledge(
    State(app): State<Arc<App>>,
    Extension(identity): Extension<Identity>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes_max = limits::ALERT_BODY_BYTES_MAX;
    let received = body::read(&app, &parts.headers, body, bytes_max).await?;
    let shape = "{\"note\": \"...\"}, or {} without a note";
    let said: Note = body::json(&parts.headers, &received, "an acknowledgement", shape)?;
    drop(received);
    let note = said.note.as_deref().map(str::trim).unwrap_or_default();
    if note.chars().count() > limits::ALERT_NOTE_CHARS_MAX {
        let message = format!(
            "a note has at most {} characters",
            limits::ALERT_NOTE_CHARS_MAX
        );
        return Err(ApiError::new(Code::BadParameter, message));
    }
    let note = (!note.is_empty()).then(|| note.to_owned());
    let alerts = Arc::clone(watched(&app)?);
    // In a task of its own: what is stored is also noted, even if the connection ends.
    let work = async move {
        alerts
            .acknowledge(&id, &identity.name, note.as_deref())
            .await
    };
    let seen = tokio::spawn(work).await;
    let seen = seen.unwrap_or_else(|_| Err(ApiError::internal()))?;
    Ok(super::answer(&seen))
}

fn watched(app: &App) -> Result<&Arc<Alerts>, ApiError> {
    app.alerts.as_ref().ok_or_else(|| {
        ApiError::new(Code::NotFound, "this server watches no figures")
            .hint("`callgauge serve` does, with the rules of --alerts")
    })
}

impl From<&AlertRule> for Rule {
    fn from(rule: &AlertRule) -> Self {
        Rule {
            id: rule.id.clone(),
            title: Titles {
                en: rule.title.en.clone(),
                zh_cn: rule.title.zh_cn.clone(),
                zh_tw: rule.title.zh_tw.clone(),
            },
            figure: rule.figure.clone(),
            scope: rule.scope.to_string(),
            op: match rule.op {
                Op::Above => "above",
                Op::AtLeast => "at_least",
                Op::Below => "below",
                Op::AtMost => "at_most",
            },
            warn: rule.warn,
            critical: rule.critical,
        }
    }
}
