//! What the statements of one session may `SET` for those that follow: `kpi.strict`.

use datafusion::common::extensions_options;
use datafusion::config::ConfigExtension;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, Statement};

use crate::error::EngineError;

extensions_options! {
    /// Options of KPI queries.
    pub struct KpiOptions {
        /// Is `SUM(kpi)` refused instead of being read as `MEASURE(kpi)`?
        pub strict: bool, default = false
    }
}

impl ConfigExtension for KpiOptions {
    const PREFIX: &'static str = "kpi";
}

/// The one variable that can be set.
const STRICT: &str = "kpi.strict";

/// What the statements of one session have set so far; the engine's settings hold for the rest.
///
/// Whoever has a session (a prompt, a connection) keeps one and passes it with every statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionSettings {
    /// Set by `SET kpi.strict = true|false`.
    pub strict: Option<bool>,
}

impl SessionSettings {
    /// Makes the settings hold in `state`.
    pub(super) fn apply(self, state: &mut SessionState) {
        let options = state.config_mut().options_mut();
        if let (Some(strict), Some(kpi)) = (self.strict, options.extensions.get_mut::<KpiOptions>())
        {
            kpi.strict = strict;
        }
    }

    /// Takes what the statement sets. False: it sets nothing that a session can have.
    pub(super) fn take(&mut self, plan: &LogicalPlan) -> Result<bool, EngineError> {
        let LogicalPlan::Statement(Statement::SetVariable(set)) = plan else {
            return Ok(false);
        };
        if set.variable != STRICT {
            return Ok(false);
        }
        self.strict = match set.value.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                return Err(EngineError::refused(
                    format!("{STRICT} is true or false, not '{}'", set.value),
                    format!("write SET {STRICT} = true"),
                ));
            }
        };
        Ok(true)
    }
}
