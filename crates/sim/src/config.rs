//! What world to simulate.

use chrono_tz::Tz;
use events::{Text, UtcMicros};

use crate::calendar;

/// A world. The same configuration always gives the same events, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Everything random comes from this number.
    pub seed: u64,
    /// Taken back to the local midnight of its day in `zone`.
    pub start: UtcMicros,
    /// Local days to simulate: 1 to [`Config::DAYS_MAX`].
    pub days: u32,
    /// Agents employed: 1 to [`Config::AGENTS_MAX`]. Customers come in proportion.
    pub agents: u32,
    /// Where the centre is: its opening hours and shifts follow these clocks.
    pub zone: Tz,
    /// ISO 4217 code of all money.
    pub currency: Text,
}

impl Config {
    /// Ten years.
    pub const DAYS_MAX: u32 = 3_660;
    /// Agents have four digits.
    pub const AGENTS_MAX: u32 = 9_999;
}

impl Default for Config {
    /// A week from Monday 2026-03-02 on with 30 agents in Shanghai.
    fn default() -> Self {
        Config {
            seed: 1,
            start: UtcMicros(1_772_380_800_000_000),
            days: 7,
            agents: 30,
            zone: Tz::Asia__Shanghai,
            currency: Text::new_static("CNY"),
        }
    }
}

/// Why a world cannot be simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Too few or too many days.
    #[error("days must be 1 to {max}, not {0}", max = Config::DAYS_MAX)]
    Days(u32),
    /// Too few or too many agents.
    #[error("agents must be 1 to {max}, not {0}", max = Config::AGENTS_MAX)]
    Agents(u32),
    /// Times outside the years 1980 to 2200.
    #[error("the start must lie in the years 1980 to 2199, not at {0}")]
    Start(UtcMicros),
    /// Not a currency code.
    #[error("a currency has three capital letters, as CNY, not '{0}'")]
    Currency(Text),
}

impl Config {
    /// Checks the limits.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        const YEAR_1980_US: i64 = 315_532_800_000_000;
        const YEAR_2200_US: i64 = 7_258_118_400_000_000;
        if !(1..=Self::DAYS_MAX).contains(&self.days) {
            return Err(ConfigError::Days(self.days));
        }
        if !(1..=Self::AGENTS_MAX).contains(&self.agents) {
            return Err(ConfigError::Agents(self.agents));
        }
        if !(YEAR_1980_US..YEAR_2200_US).contains(&self.start.0)
            || calendar::local_date(self.zone, self.start.0 / 1_000).is_none()
        {
            return Err(ConfigError::Start(self.start));
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(ConfigError::Currency(self.currency.clone()));
        }
        Ok(())
    }
}
