//! One rule over one scope, from reading to reading.

use events::UtcMicros;

use super::AlertRule;

/// What a rule says about a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is wrong.
    Ok,
    /// Worth a look.
    Warn,
    /// Needs somebody.
    Critical,
    /// Nobody can tell: the data are stale, there is no value, or it is about too few things.
    Unknown,
}

impl State {
    /// The word in events, SQL and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }

    /// Reads [`State::word`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Ok, Self::Warn, Self::Critical, Self::Unknown]
            .into_iter()
            .find(|state| state.word() == word)
    }

    fn level(self) -> Option<Level> {
        match self {
            Self::Ok => Some(Level::Ok),
            Self::Warn => Some(Level::Warn),
            Self::Critical => Some(Level::Critical),
            Self::Unknown => None,
        }
    }
}

/// A state that is known; a later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Ok,
    Warn,
    Critical,
}

impl Level {
    const ALL: [Level; 3] = [Level::Ok, Level::Warn, Level::Critical];

    fn state(self) -> State {
        match self {
            Level::Ok => State::Ok,
            Level::Warn => State::Warn,
            Level::Critical => State::Critical,
        }
    }
}

/// A figure at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// In the unit of the figure.
    pub value: Option<f64>,
    /// How many things it is about; unknown is enough.
    pub n: Option<f64>,
    /// Do the data no longer follow what happens?
    pub stale: bool,
}

/// A figure that is, or was, on the bad side.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// When it was raised.
    pub since: UtcMicros,
    /// What it is now; [`State::Ok`] when it is over.
    pub state: State,
    /// Since when it is that.
    pub state_since: UtcMicros,
    /// The last state that was known: what is unknown is taken to be as bad as it was.
    pub held: State,
    /// At the last change.
    pub value: Option<f64>,
    /// The worst value so far.
    pub peak: Option<f64>,
    /// How many things the value is about.
    pub n: Option<f64>,
    /// When somebody saw it, and what it was then; gone when it gets worse or is raised again.
    pub acknowledged: Option<(UtcMicros, State)>,
}

/// Something changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// As it is now.
    pub alert: Alert,
    /// It has been acknowledged and goes on: it is raised again, in the state it had.
    pub rearmed: bool,
}

/// A rule over one scope.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// What it is now; nothing is known at first.
    state: Option<State>,
    alert: Option<Alert>,
    /// Since when every reading asked for this level or a worse one.
    at_least: [Option<UtcMicros>; 3],
    /// Since when every reading asked for this level or a better one.
    at_most: [Option<UtcMicros>; 3],
    unknown: Option<UtcMicros>,
}

impl Watch {
    /// Goes on where another stopped: with its alert, or with none. Delays begin anew.
    pub fn resume(alert: Option<Alert>) -> Self {
        let alert = alert.filter(|alert| alert.state != State::Ok);
        Self {
            state: alert.as_ref().map(|alert| alert.state),
            alert,
            ..Self::default()
        }
    }

    /// What it is now.
    pub fn state(&self) -> State {
        self.state.unwrap_or(State::Unknown)
    }

    /// The alert that is open.
    pub fn alert(&self) -> Option<&Alert> {
        self.alert.as_ref()
    }

    /// Takes the reading of a moment. Readings hold until the next one. When the clock was put
    /// back, what goes on counts from there: an hour that comes twice delays nothing by an hour.
    ///
    /// While no alert is open, going from ok to unknown and back is no news and no change.
    pub fn step(&mut self, rule: &AlertRule, now: UtcMicros, reading: &Reading) -> Option<Change> {
        let held = self.held();
        let asked = rule.asks(held, reading);
        self.note(asked, now);
        let value = reading.value.filter(|_| asked.is_some());
        if let (Some(alert), Some(value)) = (&mut self.alert, value) {
            let peak = alert.peak.map_or(value, |peak| rule.op.worse(peak, value));
            alert.peak = Some(peak);
        }
        match self.due(rule, held, now) {
            Some(state) => self.enter(state, now, value, reading.n),
            None => self.rearm(rule, now),
        }
    }

    /// Somebody has seen the alert when it was `seen`; it counts unless the alert got worse
    /// meanwhile. `None`: none is open.
    pub fn acknowledge(&mut self, now: UtcMicros, seen: State) -> Option<&Alert> {
        let alert = self.alert.as_mut()?;
        if alert.held.level() <= seen.level() {
            alert.acknowledged = Some((now, seen));
        }
        Some(alert)
    }

    /// The rule or what it watched is no more: its alert, if one is open, is over.
    pub fn end(&mut self, now: UtcMicros) -> Option<Change> {
        self.alert.as_ref()?;
        self.enter(State::Ok, now, None, None)
    }

    fn held(&self) -> Level {
        let held = self.alert.as_ref().and_then(|alert| alert.held.level());
        held.unwrap_or(Level::Ok)
    }

    fn note(&mut self, asked: Option<Level>, now: UtcMicros) {
        let keep = |since: &mut Option<UtcMicros>, holds: bool| match holds {
            true => *since = Some(since.map_or(now, |since| since.min(now))),
            false => *since = None,
        };
        keep(&mut self.unknown, asked.is_none());
        for (at, level) in Level::ALL.into_iter().enumerate() {
            keep(&mut self.at_least[at], asked.is_some_and(|a| a >= level));
            keep(&mut self.at_most[at], asked.is_some_and(|a| a <= level));
        }
    }

    /// The state that has been asked for long enough, if it is another.
    fn due(&self, rule: &AlertRule, held: Level, now: UtcMicros) -> Option<State> {
        let lasted = |since: Option<UtcMicros>, delay_s: u32| {
            since.is_some_and(|since| now.ms_since(since) >= i64::from(delay_s) * 1_000)
        };
        let is_known = self.state.is_some_and(|state| state != State::Unknown);
        if self.unknown.is_some() {
            let due = is_known && lasted(self.unknown, rule.on_delay_s);
            return due.then_some(State::Unknown);
        }
        let levels = || Level::ALL.into_iter().enumerate();
        let worse = levels()
            .rev()
            .find(|(at, level)| *level > held && lasted(self.at_least[*at], rule.on_delay_s));
        let better = levels()
            .find(|(at, level)| *level < held && lasted(self.at_most[*at], rule.off_delay_s));
        if let Some((_, level)) = worse.or(better) {
            return Some(level.state());
        }
        // It is known again, and as bad as it was before; what is better has to last longer.
        let again = !is_known && lasted(self.at_least[held as usize], rule.on_delay_s);
        again.then(|| held.state())
    }

    fn enter(
        &mut self,
        state: State,
        now: UtcMicros,
        value: Option<f64>,
        n: Option<f64>,
    ) -> Option<Change> {
        self.state = Some(state);
        if self.alert.is_none() && matches!(state, State::Ok | State::Unknown) {
            return None;
        }
        let mut alert = self.alert.take().unwrap_or(Alert {
            since: now,
            state,
            state_since: now,
            held: state,
            value,
            peak: value,
            n,
            acknowledged: None,
        });
        if alert.state != state {
            alert.state_since = now;
        }
        alert.state = state;
        alert.value = value;
        alert.n = n;
        if let Some(level) = state.level() {
            alert.held = state;
            let is_worse = |(_, seen): &(UtcMicros, State)| seen.level().is_some_and(|s| level > s);
            alert.acknowledged = alert.acknowledged.filter(|seen| !is_worse(seen));
        }
        if state != State::Ok {
            self.alert = Some(alert.clone());
        }
        Some(Change {
            alert,
            rearmed: false,
        })
    }

    /// Raises an alert again that was seen a while ago and goes on.
    fn rearm(&mut self, rule: &AlertRule, now: UtcMicros) -> Option<Change> {
        let alert = self.alert.as_mut()?;
        let (at, seen) = alert.acknowledged?;
        let at = at.min(now);
        alert.acknowledged = Some((at, seen));
        let after_ms = i64::from(rule.rearm_min?) * 60_000;
        if alert.state == State::Unknown || now.ms_since(at) < after_ms {
            return None;
        }
        alert.acknowledged = None;
        Some(Change {
            alert: alert.clone(),
            rearmed: true,
        })
    }
}

impl AlertRule {
    /// The level that a reading asks for while `held` is the level; `None`: nobody can tell.
    fn asks(&self, held: Level, reading: &Reading) -> Option<Level> {
        let value = reading.value.filter(|v| v.is_finite() && !reading.stale)?;
        if reading.n.is_some_and(|n| n < f64::from(self.min_n)) {
            return None;
        }
        let asks = |level: Level, limit: Option<f64>| {
            // A level is left only beyond its dead band.
            let band = if held >= level { self.deadband } else { 0.0 };
            limit.is_some_and(|limit| self.op.is_bad(value, self.op.relaxed(limit, band)))
        };
        if asks(Level::Critical, self.critical) {
            Some(Level::Critical)
        } else if asks(Level::Warn, self.warn) {
            Some(Level::Warn)
        } else {
            Some(Level::Ok)
        }
    }
}
