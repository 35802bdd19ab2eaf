//! What the statements of one session may `SET` for those that follow.

use std::collections::BTreeMap;
use std::time::Duration;

use datafusion::common::extensions_options;
use datafusion::config::ConfigExtension;
use datafusion::execution::SessionState;
use datafusion::logical_expr::registry::FunctionRegistry;

use super::compiled::{CATALOGUE, Compiled, SCHEMAS};
use super::pinned::PinnedNow;
use crate::error::EngineError;
use crate::functions;
use crate::functions::calendar::parse_zone;

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

const STRICT: &str = "kpi.strict";
const ZONE: &str = "callgauge.zone";
const TIMEOUT: &str = "callgauge.timeout_ms";
const NATIVE: &str = "callgauge.arrow_native";
const SCHEMA: &str = "schema";
const CATALOG: &str = "catalog";
const SEARCH_PATH: &str = "search_path";

/// Most variables without an effect that a session keeps.
const OTHERS_MAX: usize = 64;
/// Longest name or value of one, in bytes.
const OTHER_BYTES_MAX: usize = 1_024;

/// What the statements of one session have set so far; the engine's settings hold for the rest.
///
/// Whoever has a session (a prompt, a connection) keeps one and passes it with every statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionSettings {
    /// `kpi.strict`: is `SUM(kpi)` refused instead of being read as `MEASURE(kpi)`?
    pub strict: Option<bool>,
    /// `callgauge.zone`: IANA zone of `kpi_bucket` and `kpi()` where they name none, and of the days and
    /// months that models count.
    pub zone: Option<String>,
    /// `schema`: where tables without a schema are looked for.
    pub schema: Option<String>,
    /// `callgauge.timeout_ms`: how long a query may take; never longer than the service allows.
    pub timeout: Option<Duration>,
    /// `callgauge.arrow_native`: are results sent in the engine's types, not in those of the wire?
    pub native: Option<bool>,
    /// Variables that mean nothing here. Tools set them; they are kept and have no effect.
    pub others: BTreeMap<String, String>,
}

impl SessionSettings {
    /// Names of the variables that have an effect.
    pub const NAMES: [&'static str; 6] = [CATALOG, SCHEMA, ZONE, TIMEOUT, NATIVE, STRICT];

    /// Sets a variable by name. Names are read in any case.
    ///
    /// # Errors
    /// A value that the variable cannot have; a name that begins like ours and is none.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), EngineError> {
        if value.eq_ignore_ascii_case("default") {
            return self.reset(Some(name));
        }
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            STRICT => self.strict = Some(flag(STRICT, value)?),
            NATIVE => self.native = Some(flag(NATIVE, value)?),
            ZONE => {
                parse_zone(value).map_err(|e| {
                    EngineError::refused(e.to_string(), "write an IANA zone such as Asia/Shanghai")
                })?;
                self.zone = Some(value.to_owned());
            }
            TIMEOUT => self.timeout = Some(milliseconds(value)?),
            SCHEMA => self.schema = Some(known_schema(value)?),
            SEARCH_PATH => self.schema = first_schema(value)?,
            CATALOG if value == CATALOGUE => {}
            CATALOG => {
                let reason = format!("there is no catalog '{value}'");
                return Err(EngineError::refused(
                    reason,
                    format!("the one is {CATALOGUE}"),
                ));
            }
            _ => self.keep(name, value)?,
        }
        Ok(())
    }

    /// Back to the engine's own setting, of one variable or of all.
    ///
    /// # Errors
    /// A name that begins like ours and is none.
    pub fn reset(&mut self, name: Option<&str>) -> Result<(), EngineError> {
        let Some(name) = name else {
            *self = SessionSettings::default();
            return Ok(());
        };
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            STRICT => self.strict = None,
            NATIVE => self.native = None,
            ZONE => self.zone = None,
            TIMEOUT => self.timeout = None,
            SCHEMA | SEARCH_PATH => self.schema = None,
            CATALOG => {}
            other => {
                not_ours(other)?;
                self.others.remove(other);
            }
        }
        Ok(())
    }

    /// What was set, as text; `None` if it was not.
    pub fn get(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            STRICT => self.strict.map(|on| on.to_string()),
            NATIVE => self.native.map(|on| on.to_string()),
            ZONE => self.zone.clone(),
            TIMEOUT => self.timeout.map(|t| t.as_millis().to_string()),
            SCHEMA | SEARCH_PATH => self.schema.clone(),
            CATALOG => Some(CATALOGUE.to_owned()),
            other => self.others.get(other).cloned(),
        }
    }

    fn keep(&mut self, name: String, value: &str) -> Result<(), EngineError> {
        not_ours(&name)?;
        let full = self.others.len() >= OTHERS_MAX && !self.others.contains_key(&name);
        if full || name.len() > OTHER_BYTES_MAX || value.len() > OTHER_BYTES_MAX {
            let reason = format!("{name} is not kept: the session has too much of its kind");
            let hint = format!("at most {OTHERS_MAX} names, {OTHER_BYTES_MAX} bytes each");
            return Err(EngineError::refused(reason, hint));
        }
        self.others.insert(name, value.to_owned());
        Ok(())
    }

    /// Makes the settings hold in `state`.
    pub(super) fn apply(&self, state: &mut SessionState, compiled: &Compiled) {
        let options = state.config_mut().options_mut();
        if let (Some(strict), Some(kpi)) = (self.strict, options.extensions.get_mut::<KpiOptions>())
        {
            kpi.strict = strict;
        }
        if let Some(schema) = &self.schema {
            options.catalog.default_schema.clone_from(schema);
        }
        if let Some(zone) = self
            .zone
            .as_deref()
            .filter(|zone| *zone != compiled.settings.zone)
        {
            let extensions = &mut state.config_mut().options_mut().extensions;
            if let (Ok(zone), Some(now)) = (parse_zone(zone), extensions.get_mut::<PinnedNow>()) {
                now.0.zone = zone;
            }
            let replaced = state.register_udf(functions::bucket_function(zone));
            debug_assert!(replaced.is_ok(), "a session takes any function");
            state.register_udtf("kpi", compiled.kpi_function(zone));
        }
    }
}

/// What one `SET` or `RESET` does. Sessions may be changed by several statements at a time, so a
/// statement brings its change, not the session that it would have been alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionChange {
    /// A variable gets a value.
    Set {
        /// In lower case: `kpi.strict`.
        name: String,
        /// The text of the value, without quotes.
        value: String,
    },
    /// A variable is as if never set.
    Reset {
        /// In lower case; `None` is all of them.
        name: Option<String>,
    },
}

impl SessionChange {
    /// Makes the change.
    ///
    /// # Errors
    /// A name or value that cannot be; nothing has changed then.
    pub fn make(&self, session: &mut SessionSettings) -> Result<(), EngineError> {
        match self {
            SessionChange::Set { name, value } => session.set(name, value),
            SessionChange::Reset { name } => session.reset(name.as_deref()),
        }
    }
}

fn flag(name: &str, value: &str) -> Result<bool, EngineError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "on" => Ok(true),
        "false" | "off" => Ok(false),
        _ => Err(EngineError::refused(
            format!("{name} is true or false, not '{value}'"),
            format!("write SET {name} = true"),
        )),
    }
}

fn milliseconds(value: &str) -> Result<Duration, EngineError> {
    match value.parse::<u64>() {
        Ok(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err(EngineError::refused(
            format!("{TIMEOUT} is a number of milliseconds, not '{value}'"),
            format!("write SET {TIMEOUT} = 5000"),
        )),
    }
}

fn known_schema(value: &str) -> Result<String, EngineError> {
    let known = SCHEMAS.iter().find(|schema| **schema == value);
    known.map(|schema| (*schema).to_owned()).ok_or_else(|| {
        let reason = format!("there is no schema '{value}'");
        EngineError::refused(reason, format!("the schemas are {}", SCHEMAS.join(", ")))
    })
}

/// Of a list, as PostgreSQL has it, the first schema that is here. Its own two names are in every
/// list, and alone they leave everything as it is.
fn first_schema(list: &str) -> Result<Option<String>, EngineError> {
    let names = || list.split(',').map(|name| name.trim().trim_matches('"'));
    let others = |name: &&str| !matches!(*name, "" | "$user" | "public");
    match names().find_map(|name| known_schema(name).ok()) {
        Some(known) => Ok(Some(known)),
        None => names().find(others).map(known_schema).transpose(),
    }
}

/// A slip in one of our names would have no effect and nobody would know.
fn not_ours(name: &str) -> Result<(), EngineError> {
    if name.starts_with("kpi.") || name.starts_with("callgauge.") {
        let hint = format!("there are {}", SessionSettings::NAMES.join(", "));
        return Err(EngineError::refused(
            format!("there is no variable {name}"),
            hint,
        ));
    }
    Ok(())
}
