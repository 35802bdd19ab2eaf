//! One row of the log, its fields read but not yet understood.

use chrono::NaiveDateTime;
use events::{Reject, RejectCode, UtcMicros};

use crate::local_time::LocalClock;

/// `time|call|queue|agent|event|data…`.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub at: UtcMicros,
    call: &'a str,
    pub queue: &'a str,
    agent: &'a str,
    pub event: &'a str,
    data: Vec<&'a str>,
}

impl<'a> Row<'a> {
    /// Splits a line and reads its time.
    pub fn parse(text: &'a str, clock: Option<&LocalClock>) -> Result<Self, Reject> {
        let mut fields = text.split('|').map(str::trim);
        let mut field = |name: &str| {
            fields.next().ok_or_else(|| {
                let detail = "is missing; a row is time|call|queue|agent|event|data…";
                Reject::new(RejectCode::BadLine, name, detail)
            })
        };
        let at = parse_time(field("time")?, clock)?;
        let (call, queue) = (field("call")?, field("queue")?);
        let (agent, event) = (field("agent")?, field("event")?);
        if event.is_empty() {
            return Err(Reject::new(RejectCode::MissingField, "event", "is empty"));
        }
        Ok(Row {
            at,
            call,
            queue,
            agent,
            event,
            data: fields.collect(),
        })
    }

    /// The call's id, if the row is about a call.
    pub fn call(&self) -> Result<&'a str, Reject> {
        known(self.call).ok_or_else(|| missing("call", self.event))
    }

    /// The queue's name, if the row is about a queue.
    pub fn queue(&self) -> Result<&'a str, Reject> {
        known(self.queue).ok_or_else(|| missing("queue", self.event))
    }

    /// The agent, unless the log says `NONE`.
    pub fn agent(&self) -> Option<&'a str> {
        known(self.agent)
    }

    /// Data field `i`, counted from 0, unless it is empty.
    pub fn data(&self, i: usize) -> Option<&'a str> {
        self.data.get(i).copied().filter(|text| !text.is_empty())
    }

    /// Data field `i` as whole seconds, in milliseconds.
    pub fn seconds(&self, i: usize) -> Result<Option<i64>, Reject> {
        Ok(self.number(i)?.map(|seconds| seconds.saturating_mul(1_000)))
    }

    /// Data field `i` as a number that is not negative.
    pub fn number(&self, i: usize) -> Result<Option<i64>, Reject> {
        let Some(text) = self.data(i) else {
            return Ok(None);
        };
        let field = format!("data{}", i + 1);
        match text.parse::<i64>() {
            Ok(number) if number < 0 => {
                let detail = format!("of {} is below zero: {number}", self.event);
                Err(Reject::new(RejectCode::NegativeDuration, field, detail))
            }
            Ok(number) => Ok(Some(number)),
            Err(_) => {
                let detail = format!("of {} is not a whole number: '{text}'", self.event);
                Err(Reject::new(RejectCode::BadType, field, detail))
            }
        }
    }
}

fn known(text: &str) -> Option<&str> {
    Some(text).filter(|text| !matches!(*text, "" | "NONE" | "MANAGER" | "REALTIME"))
}

fn missing(field: &str, event: &str) -> Reject {
    Reject::new(
        RejectCode::MissingField,
        field,
        format!("is empty or NONE in a row {event}"),
    )
}

/// Epoch seconds with an optional fraction, or a local clock if there is one.
fn parse_time(text: &str, clock: Option<&LocalClock>) -> Result<UtcMicros, Reject> {
    if let Some(at) = parse_epoch(text) {
        return Ok(at);
    }
    let local = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    match (local, clock) {
        (Some(local), Some(clock)) => clock.to_utc(local),
        (Some(_), None) => Err(Reject::new(
            RejectCode::LocalTime,
            "time",
            "is a local clock; say which zone it shows (--zone)",
        )),
        (None, _) => {
            let detail = format!("is neither epoch seconds nor a local time: '{text}'");
            Err(Reject::new(RejectCode::BadLine, "time", detail))
        }
    }
}

fn parse_epoch(text: &str) -> Option<UtcMicros> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let micros: i64 = format!("{fraction:0<6}")[..6].parse().ok()?;
    Some(UtcMicros(
        seconds.checked_mul(1_000_000)?.checked_add(micros)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_time::{MissingHour, RepeatedHour};

    #[test]
    fn epoch_times_may_have_a_fraction() {
        assert_eq!(
            parse_epoch("1266833911"),
            Some(UtcMicros(1_266_833_911_000_000))
        );
        assert_eq!(
            parse_epoch("1266833911.25"),
            Some(UtcMicros(1_266_833_911_250_000))
        );
        assert_eq!(
            parse_epoch("1266833911.1234567"),
            Some(UtcMicros(1_266_833_911_123_456))
        );
        for text in ["", "12.", ".5", "-5", "1e9", "99999999999999999999"] {
            assert_eq!(parse_epoch(text), None, "{text}");
        }
    }

    #[test]
    fn a_local_time_needs_a_zone() {
        let reject = parse_time("2013-11-08 09:53:09.948070", None).expect_err("no zone");
        assert_eq!(reject.code, RejectCode::LocalTime);
        let clock = LocalClock::new(
            "America/Montreal",
            RepeatedHour::Earlier,
            MissingHour::Reject,
        )
        .expect("zone");
        let at = parse_time("2013-11-08 09:53:09.948070", Some(&clock)).expect("time");
        assert_eq!(at.to_string(), "2013-11-08T14:53:09.948070Z");
    }
}
