//! Alerts: rules over the figures of the live board, and what they say from moment to moment.
//!
//! A rule file is read as the other definition files are: [`AlertRules::load`] names everything
//! that is wrong with its place. A [`Watch`] is one rule over one scope: it is shown readings with
//! their times and says when something changed. It knows no clock and stores nothing; what it must
//! know after a restart is one [`Alert`].
//!
//! A state is taken when every reading for a while has asked for it: `on_delay_s` for a worse
//! state and for `unknown`, `off_delay_s` for a better one, and a level is left only beyond its
//! dead band. So a figure that trembles at its limit rings once.

mod file;
mod rule;
mod watch;

pub use rule::{AlertRule, AlertRules, Op, RuleScope};
pub use watch::{Alert, Change, Reading, State, Watch};

use events::UtcMicros;

/// The id of an alert: hexadecimal digits that are the same for the same rule, scope and begin.
pub fn alert_id(rule: &str, scope: &str, since: UtcMicros) -> String {
    let mut hasher = blake3::Hasher::new();
    // The separator cannot stand in an id of a rule.
    for part in [rule.as_bytes(), b"\0", scope.as_bytes(), b"\0"] {
        hasher.update(part);
    }
    hasher.update(&since.0.to_le_bytes());
    hasher.finalize().to_hex()[..20].to_owned()
}
