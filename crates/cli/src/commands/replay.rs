//! A simulated day as if it were now: a clock that may run faster, and events as they come due.

use std::{
    iter::Peekable,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use chrono::{DateTime, NaiveTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;
use events::UtcMicros;
use sim::{World, write_ndjson};

use super::{post::Poster, serve::Signals};

/// Events of one request.
const POST_EVENTS: usize = 1_000;
/// Between two looks at the clock.
const LOOK_MIN: Duration = Duration::from_millis(50);
const LOOK_MAX: Duration = Duration::from_secs(1);
/// Hours of the day in which enough happens to be looked at.
const BUSY_HOURS: std::ops::Range<u32> = 9..19;
/// What the clocks show instead at other hours.
const USUAL: (u32, u32) = (10, 30);

/// The clock of a centre: it begins somewhere and may run faster than ours.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    begin: UtcMicros,
    begun: Instant,
    speed: f64,
}

impl Clock {
    /// Shows `begin` now; 0 stands still.
    pub fn start(begin: UtcMicros, speed: f64) -> Self {
        Clock {
            begin,
            begun: Instant::now(),
            speed,
        }
    }

    /// What it shows.
    pub fn now(&self) -> UtcMicros {
        let past_us = self.begun.elapsed().as_micros() as f64 * self.speed;
        UtcMicros(self.begin.0 + past_us as i64)
    }

    /// As servers read it.
    pub fn shared(self) -> Arc<dyn Fn() -> UtcMicros + Send + Sync> {
        Arc::new(move || self.now())
    }

    /// How long it takes to show `at`, within the times between two looks.
    fn until(&self, at: UtcMicros) -> Duration {
        let us = (at.0 - self.now().0).max(0) as f64 / self.speed;
        Duration::try_from_secs_f64(us / 1e6).map_or(LOOK_MAX, |d| d.clamp(LOOK_MIN, LOOK_MAX))
    }
}

/// When a live day begins: the last moment up to `now` at which the clocks of `zone` show `wanted`;
/// without it `now`, if the centre is at work, else the usual time of day.
pub fn begin(zone: Tz, now: UtcMicros, wanted: Option<NaiveTime>) -> Result<UtcMicros> {
    let local = at(zone, now)?;
    let usual = NaiveTime::from_hms_opt(USUAL.0, USUAL.1, 0).context("the usual time")?;
    let time = match wanted {
        Some(time) => time,
        None if BUSY_HOURS.contains(&local.hour()) => return Ok(now),
        None => usual,
    };
    let shown = |days: i64| {
        let day = local.date_naive() - TimeDelta::days(days);
        zone.from_local_datetime(&day.and_time(time)).earliest()
    };
    // A day whose clocks skip that time has none of it.
    let moment = (0..3).filter_map(shown).find(|moment| *moment <= local);
    let moment = moment.context("no clock ever shows that time")?;
    Ok(UtcMicros(moment.timestamp_micros()))
}

/// A moment on the clocks of a zone.
pub fn at(zone: Tz, moment: UtcMicros) -> Result<DateTime<Tz>> {
    let utc = DateTime::from_timestamp_micros(moment.0).context("a time beyond the calendar")?;
    Ok(utc.with_timezone(&zone))
}

/// Sends the events of a world when its clock shows their time, until a signal comes; its name.
///
/// # Errors
/// The server refuses them.
pub fn replay(
    world: &mut Peekable<World>,
    clock: &Clock,
    poster: &Poster,
    signals: &mut Signals,
) -> Result<&'static str> {
    loop {
        let now = clock.now();
        let mut due = Vec::new();
        let mut count = 0;
        while count < POST_EVENTS
            && let Some(event) = world.next_if(|event| event.occurred_at <= now)
        {
            write_ndjson(&event, &mut due)?;
            count += 1;
        }
        if count > 0 {
            poster.post(&due)?;
        }
        let wait = match world.peek() {
            Some(_) if count == POST_EVENTS => Duration::ZERO,
            Some(next) => clock.until(next.occurred_at),
            None => LOOK_MAX,
        };
        if let Some(name) = signals.wait_at_most(wait) {
            return Ok(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHANGHAI: Tz = Tz::Asia__Shanghai;

    fn moment(text: &str) -> UtcMicros {
        UtcMicros::parse_rfc3339(text).expect("a time")
    }

    fn begun(now: &str, wanted: Option<(u32, u32)>) -> UtcMicros {
        let wanted = wanted.and_then(|(h, m)| NaiveTime::from_hms_opt(h, m, 0));
        begin(SHANGHAI, moment(now), wanted).expect("a beginning")
    }

    #[test]
    fn a_live_day_begins_now_while_the_centre_is_at_work() {
        let now = "2026-11-20T06:12:13Z";
        assert_eq!(begun(now, None), moment(now));
    }

    #[test]
    fn at_night_it_begins_at_the_last_time_at_which_much_happened() {
        let morning = moment("2026-11-20T02:30:00Z");
        assert_eq!(begun("2026-11-20T13:00:00Z", None), morning);
        assert_eq!(begun("2026-11-20T20:00:00Z", None), morning);
    }

    #[test]
    fn a_wanted_time_is_never_in_the_future() {
        let now = "2026-11-20T06:00:00Z";
        assert_eq!(begun(now, Some((13, 59))), moment("2026-11-20T05:59:00Z"));
        assert_eq!(begun(now, Some((14, 1))), moment("2026-11-19T06:01:00Z"));
    }

    #[test]
    fn a_clock_that_stands_still_is_looked_at_now_and_then() {
        let clock = Clock::start(moment("2026-11-20T06:00:00Z"), 0.0);
        assert_eq!(clock.now(), clock.begin);
        assert_eq!(clock.until(UtcMicros(clock.begin.0 + 1)), LOOK_MAX);
        assert_eq!(clock.until(clock.begin), LOOK_MAX);
    }
}
