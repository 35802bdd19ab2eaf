//! Business calendars: when a place is open, and how much of a stretch of time that is.
//!
//! A calendar is a history. Each [`Week`] says from a moment on when a place opens and closes on
//! which days of the week, by the clock of its zone; a [`DayHours`] says it for one date. Where
//! nothing was said, or what was said could not be read, nobody knows whether it was open, and what
//! touches such a time has no length in business hours.
//!
//! A stretch belongs to the day on which it begins, also over midnight. Where clocks are set, a place
//! opens as soon as its clock shows the time or has skipped it, and closes when it has shown it for the
//! last time.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// Minutes of a day.
const DAY_MINUTES: u32 = 1_440;
/// Most days that [`Calendar::open_time`] lays out.
pub const OPEN_DAYS_MAX: i64 = 100_000;
const DAY_MICROS: i64 = 86_400_000_000;
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// From one minute of a day to another, which may lie in the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    open: u32,
    close: u32,
}

/// When a place is open by days of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Week {
    zone: Tz,
    /// From Monday.
    days: [Vec<Stretch>; 7],
}

/// When a place is open on one date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayHours {
    /// `None`: as on any such day of the week.
    stretches: Option<Vec<Stretch>>,
}

/// A text that says no hours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` says no opening hours")]
pub struct BadHours(pub String);

impl Week {
    /// Reads `mon-fri 09:00-12:00, 13:00-18:00; sat 22:00-02:00; zone=Asia/Shanghai`. Days that are
    /// not named are closed.
    ///
    /// # Errors
    /// With the first part that is not understood, and where there is no zone.
    pub fn parse(text: &str) -> Result<Week, BadHours> {
        let (mut zone, mut days) = (None, <[Vec<Stretch>; 7]>::default());
        for part in text.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            let bad = || BadHours(part.to_owned());
            if let Some(("zone", name)) = part.split_once('=').map(|(k, v)| (k.trim(), v.trim())) {
                let known = Tz::from_str(name).map_err(|_| bad())?;
                if zone.replace(known).is_some() {
                    return Err(bad());
                }
                continue;
            }
            let (named, hours) = days_and_hours(part).ok_or_else(bad)?;
            for (day, own) in days.iter_mut().enumerate() {
                if named[day] {
                    own.extend(&hours);
                }
            }
        }
        let zone = zone.ok_or_else(|| BadHours(text.trim().to_owned()))?;
        Ok(Week { zone, days })
    }

    /// The zone whose clock it goes by.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    fn on(&self, date: NaiveDate) -> &[Stretch] {
        let day = date.weekday().num_days_from_monday() as usize;
        self.days.get(day).map_or(&[], Vec::as_slice)
    }
}

impl DayHours {
    /// Reads `closed`, `10:00-14:00, 16:00-18:00`, or `usual` for a day like any other.
    ///
    /// # Errors
    /// With the text, if it is none of these.
    pub fn parse(text: &str) -> Result<DayHours, BadHours> {
        let stretches = match text.trim() {
            "usual" => None,
            hours => Some(stretches(hours).ok_or_else(|| BadHours(hours.to_owned()))?),
        };
        Ok(DayHours { stretches })
    }
}

/// Which days a part names, and its hours.
fn days_and_hours(part: &str) -> Option<([bool; 7], Vec<Stretch>)> {
    let hours_at = part
        .find(|c: char| c.is_ascii_digit())
        .or_else(|| part.find("closed"))?;
    let (names, hours) = part.split_at(hours_at);
    let mut named = [false; 7];
    for span in names.split(',') {
        let (first, last) = span.split_once('-').unwrap_or((span, span));
        let (first, last) = (weekday(first)?, weekday(last)?);
        // From Saturday to Monday is over the end of the week.
        for step in 0..=(last + 7 - first) % 7 {
            *named.get_mut((first + step) % 7)? = true;
        }
    }
    Some((named, stretches(hours)?))
}

fn weekday(name: &str) -> Option<usize> {
    WEEKDAYS.iter().position(|day| *day == name.trim())
}

fn stretches(text: &str) -> Option<Vec<Stretch>> {
    if text.trim() == "closed" {
        return Some(Vec::new());
    }
    text.split(',').map(stretch).collect()
}

/// `09:00-18:00`; what closes no later than it opens closes on the next day.
fn stretch(text: &str) -> Option<Stretch> {
    let (open, close) = text.split_once('-')?;
    let (open, mut close) = (minute(open)?, minute(close)?);
    if open == close || open == DAY_MINUTES {
        return None;
    }
    if close < open {
        close += DAY_MINUTES;
    }
    Some(Stretch { open, close })
}

fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.trim().split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute) = (hour.parse::<u32>().ok()?, minute.parse::<u32>().ok()?);
    let at = hour * 60 + minute;
    (minute < 60 && at <= DAY_MINUTES).then_some(at)
}

/// Something that holds from a moment on, up to and without another, in UTC microseconds.
#[derive(Clone, Debug)]
struct Dated<T> {
    from: i64,
    to: i64,
    /// `None`: it was not understood.
    said: Option<T>,
}

/// All that was ever said about when one place is open.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    weeks: Vec<Dated<Week>>,
    days: BTreeMap<NaiveDate, Vec<Dated<DayHours>>>,
}

impl Calendar {
    /// Reads a line for each thing said: from, to (empty: until further notice), zone, date (empty:
    /// a week) and hours, parted by `|`. Times are UTC microseconds; hours that could not be read are
    /// empty. Weeks are in the order of their time.
    ///
    /// # Errors
    /// With the first line that is none.
    pub fn parse(text: &str) -> Result<Calendar, BadHours> {
        let mut calendar = Calendar::default();
        for line in text.lines() {
            calendar
                .line(line)
                .ok_or_else(|| BadHours(line.to_owned()))?;
        }
        calendar.weeks.sort_by_key(|week| week.from);
        Ok(calendar)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let cells: Vec<&str> = line.split('|').collect();
        let [from, to, zone, date, hours] = cells.as_slice() else {
            return None;
        };
        let from = from.parse().ok()?;
        let to = match *to {
            "" => i64::MAX,
            to => to.parse().ok()?,
        };
        let known = !hours.is_empty();
        if date.is_empty() {
            let week = || Week::parse(&format!("{hours}; zone={zone}")).ok();
            let said = if known { Some(week()?) } else { None };
            self.weeks.push(Dated { from, to, said });
        } else {
            let date = NaiveDate::from_str(date).ok()?;
            let day = || DayHours::parse(hours).ok();
            let said = if known { Some(day()?) } else { None };
            let own = self.days.entry(date).or_default();
            own.push(Dated { from, to, said });
        }
        Some(())
    }

    /// Lays out when the place is open between two moments, in UTC microseconds; `None` where
    /// these are more than [`OPEN_DAYS_MAX`] days apart, or beyond all calendars.
    pub fn open_time(&self, from: i64, to: i64) -> Option<OpenTime> {
        if to.checked_sub(from)? / DAY_MICROS > OPEN_DAYS_MAX {
            return None;
        }
        let mut time = OpenTime::default();
        let mut known_to = i64::MIN;
        for week in &self.weeks {
            time.unknown(known_to, week.from);
            known_to = week.to;
            let (begin, end) = (week.from.max(from), week.to.min(to));
            match &week.said {
                None => time.unknown(week.from, week.to),
                Some(said) if begin < end => self.lay_out(said, (begin, end), &mut time)?,
                Some(_) => {}
            }
        }
        time.unknown(known_to, i64::MAX);
        time.finish();
        Some(time)
    }

    /// Adds what one week is open between two moments.
    fn lay_out(&self, week: &Week, (begin, end): (i64, i64), time: &mut OpenTime) -> Option<()> {
        let local = |at: i64| -> Option<NaiveDate> {
            let at: DateTime<Utc> = DateTime::from_timestamp_micros(at)?;
            Some(at.with_timezone(&week.zone).date_naive())
        };
        // What began on the day before may go on.
        let mut date = local(begin)?.pred_opt()?;
        let last = local(end)?;
        while date <= last {
            let next = date.succ_opt()?;
            let starts = first(week.zone, date.and_time(chrono::NaiveTime::MIN))?;
            let stretches: &[Stretch] = match self.said_of(date, starts) {
                None => week.on(date),
                Some(Some(DayHours { stretches: None })) => week.on(date),
                Some(Some(DayHours {
                    stretches: Some(own),
                })) => own,
                Some(None) => {
                    let ends = first(week.zone, next.and_time(chrono::NaiveTime::MIN))?;
                    time.unknown(starts.max(begin), ends.min(end));
                    &[]
                }
            };
            for stretch in stretches {
                let open = first(week.zone, minutes_after(date, stretch.open)?)?;
                let close = last_of(week.zone, minutes_after(date, stretch.close)?)?;
                time.open(open.max(begin), close.min(end));
            }
            date = next;
        }
        Some(())
    }

    /// What was said of a date when it began.
    fn said_of(&self, date: NaiveDate, starts: i64) -> Option<Option<&DayHours>> {
        let said = self.days.get(&date)?.iter();
        let mut said = said.filter(|day| day.from <= starts && starts < day.to);
        said.next_back().map(|day| day.said.as_ref())
    }
}

fn minutes_after(date: NaiveDate, minutes: u32) -> Option<NaiveDateTime> {
    let midnight = date.and_time(chrono::NaiveTime::MIN);
    midnight.checked_add_signed(TimeDelta::minutes(i64::from(minutes)))
}

/// When the clock first shows a time or has skipped it.
fn first(zone: Tz, local: NaiveDateTime) -> Option<i64> {
    instant(zone, local, false)
}

/// When the clock shows a time for the last time, or has skipped it.
fn last_of(zone: Tz, local: NaiveDateTime) -> Option<i64> {
    instant(zone, local, true)
}

fn instant(zone: Tz, local: NaiveDateTime, last: bool) -> Option<i64> {
    // Clocks skip minutes, at most the whole day that Samoa skipped in 2011.
    (0..=i64::from(DAY_MINUTES)).find_map(|minutes| {
        let local = local.checked_add_signed(TimeDelta::minutes(minutes))?;
        let found = zone.from_local_datetime(&local);
        let found = if last {
            found.latest()
        } else {
            found.earliest()
        };
        found.map(|at| at.timestamp_micros())
    })
}

/// When a place is open, between the moments that were asked for.
#[derive(Clone, Debug, Default)]
pub struct OpenTime {
    /// In order and apart, once it is finished.
    stretches: Vec<(i64, i64)>,
    /// How long is open before each stretch.
    before: Vec<i64>,
    unknown: Vec<(i64, i64)>,
}

impl OpenTime {
    /// Whole milliseconds of a stretch in which the place is open. `None` where that is not known,
    /// and for what ends before it begins.
    pub fn ms(&self, from: i64, to: i64) -> Option<i64> {
        let unknown =
            |(begin, end): &(i64, i64)| *begin < to.max(from.saturating_add(1)) && from < *end;
        if to < from || self.unknown.iter().any(unknown) {
            return None;
        }
        Some((self.open_before(to) - self.open_before(from)) / 1_000)
    }

    /// How long is open up to a moment.
    fn open_before(&self, at: i64) -> i64 {
        let begun = self.stretches.partition_point(|(open, _)| *open < at);
        let Some(last) = begun.checked_sub(1) else {
            return 0;
        };
        match (self.stretches.get(last), self.before.get(last)) {
            (Some((open, close)), Some(before)) => before + at.min(*close) - open,
            _ => 0,
        }
    }

    fn open(&mut self, open: i64, close: i64) {
        if open < close {
            self.stretches.push((open, close));
        }
    }

    fn unknown(&mut self, from: i64, to: i64) {
        if from < to {
            self.unknown.push((from, to));
        }
    }

    /// Puts together what overlaps.
    fn finish(&mut self) {
        let mut all = std::mem::take(&mut self.stretches);
        all.sort_unstable();
        let mut open = 0;
        for (begin, end) in all {
            match self.stretches.last_mut() {
                Some((_, last)) if begin <= *last => {
                    open += (end - *last).max(0);
                    *last = end.max(*last);
                }
                _ => {
                    self.before.push(open);
                    self.stretches.push((begin, end));
                    open += end - begin;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        let at = DateTime::parse_from_rfc3339(text);
        at.expect(text).timestamp_micros()
    }

    const MINUTE: i64 = 60_000_000;
    const ALWAYS: &str = "-9000000000000000|";

    /// Open minutes of a stretch, counted both ways: by the layout, and minute by minute.
    #[track_caller]
    fn minutes(lines: &[String], from: &str, to: &str) -> Option<i64> {
        let calendar = Calendar::parse(&lines.join("\n")).expect("lines");
        let (from, to) = (at(from), at(to));
        let time = calendar.open_time(from, to).expect("near enough");
        let ms = time.ms(from, to)?;
        let each = (from..to).step_by(MINUTE as usize);
        let each: i64 = each.filter_map(|t| time.ms(t, t + MINUTE)).sum();
        assert_eq!(ms, each, "the sum of its minutes");
        Some(ms / 60_000)
    }

    fn week(hours: &str, zone: &str) -> String {
        format!("{ALWAYS}|{zone}||{hours}")
    }

    fn day(date: &str, hours: &str) -> String {
        format!("{ALWAYS}||{date}|{hours}")
    }

    #[test]
    fn texts_of_weeks_are_read_or_their_bad_part_is_told() {
        let good = "mon-fri 09:00-12:00, 13:00-18:00; sat,sun 22:00-02:00; zone=Asia/Shanghai";
        let week = Week::parse(good).expect("good");
        let stretch = |open, close| Stretch { open, close };
        assert_eq!(week.days[4], [stretch(540, 720), stretch(780, 1_080)]);
        assert_eq!(week.days[6], [stretch(1_320, 1_560)]);
        let over = Week::parse("sat-mon 00:00-24:00; sun closed; zone=UTC").expect("over");
        let open: Vec<bool> = over.days.iter().map(|day| !day.is_empty()).collect();
        assert_eq!(open, [true, false, false, false, false, true, true]);
        for (text, part) in [
            ("mon 09:00-18:00", "mon 09:00-18:00"),
            ("mon 9-18; zone=UTC", "mon 9-18"),
            ("mon 09:00-09:00; zone=UTC", "mon 09:00-09:00"),
            ("mon 24:00-25:00; zone=UTC", "mon 24:00-25:00"),
            ("mon 09:60-10:00; zone=UTC", "mon 09:60-10:00"),
            ("moon 09:00-10:00; zone=UTC", "moon 09:00-10:00"),
            ("mon 09:00; zone=UTC", "mon 09:00"),
            ("zone=Mars/Olympus", "zone=Mars/Olympus"),
            ("zone=UTC; zone=Asia/Tokyo", "zone=Asia/Tokyo"),
            ("always; zone=UTC", "always"),
        ] {
            assert_eq!(Week::parse(text), Err(BadHours(part.to_owned())), "{text}");
        }
        assert!(DayHours::parse("closed").is_ok() && DayHours::parse("usual").is_ok());
        assert!(DayHours::parse("10:00-14:00, 20:00-01:00").is_ok());
        assert!(DayHours::parse("").is_err() && DayHours::parse("mon 10:00-12:00").is_err());
    }

    #[test]
    fn only_open_hours_count_over_nights_weekends_and_lunch() {
        let shop = [week("mon-fri 09:00-12:00, 13:00-18:00", "Asia/Shanghai")];
        let count = |from, to| minutes(&shop, from, to);
        // Friday 17:30 to Monday 09:30 in Shanghai.
        let weekend = count("2026-03-06T09:30:00Z", "2026-03-09T01:30:00Z");
        assert_eq!(weekend, Some(60));
        let lunch = count("2026-03-06T11:50:00+08:00", "2026-03-06T13:10:00+08:00");
        assert_eq!(lunch, Some(20));
        let night = count("2026-03-06T19:00:00+08:00", "2026-03-07T08:00:00+08:00");
        assert_eq!(night, Some(0));
        let month = count("2026-03-02T00:00:00+08:00", "2026-03-30T00:00:00+08:00");
        assert_eq!(month, Some(20 * 8 * 60));
        let nothing = count("2026-03-06T10:00:00Z", "2026-03-06T10:00:00Z");
        assert_eq!(nothing, Some(0));
        assert_eq!(count("2026-03-06T10:00:00Z", "2026-03-05T10:00:00Z"), None);
    }

    #[test]
    fn a_night_belongs_to_the_day_it_begins_and_overlaps_count_once() {
        let night = [
            week("fri 22:00-06:00; sat 05:00-07:00", "UTC"),
            day("2026-03-14", "closed"),
        ];
        let count = |from, to| minutes(&night, from, to);
        let night_of_6th = count("2026-03-06T00:00:00Z", "2026-03-08T00:00:00Z");
        assert_eq!(night_of_6th, Some(9 * 60));
        assert_eq!(
            count("2026-03-07T03:00:00Z", "2026-03-07T06:30:00Z"),
            Some(210)
        );
        // The Saturday is a holiday, and the night of Friday goes on into it.
        let into_holiday = count("2026-03-13T00:00:00Z", "2026-03-15T00:00:00Z");
        assert_eq!(into_holiday, Some(8 * 60));
    }

    #[test]
    fn days_on_which_clocks_are_set_have_the_hours_their_clocks_show() {
        let zone = "America/New_York";
        let all = [week("mon-sun 00:00-24:00", zone)];
        let spring = ("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z");
        assert_eq!(minutes(&all, spring.0, spring.1), Some(23 * 60));
        let autumn = ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z");
        assert_eq!(minutes(&all, autumn.0, autumn.1), Some(25 * 60));
        // 02:00 to 03:00 is skipped in spring; 01:00 to 02:00 is shown twice in autumn.
        let early = [week("sun 02:30-04:00", zone)];
        assert_eq!(minutes(&early, spring.0, spring.1), Some(60));
        let twice = [week("sun 01:30-02:00", zone)];
        assert_eq!(minutes(&twice, autumn.0, autumn.1), Some(90));
        let skipped = [week("sun 02:00-03:00", zone)];
        assert_eq!(minutes(&skipped, spring.0, spring.1), Some(0));
    }

    #[test]
    fn holidays_have_hours_of_their_own_once_they_are_announced() {
        let usual = week("mon-fri 09:00-18:00", "UTC");
        let from = at("2026-03-04T00:00:00Z");
        let to = at("2026-03-04T00:00:01Z");
        let lines = [
            usual,
            day("2026-03-03", "closed"),
            format!("{from}|{to}||2026-03-04|10:00-11:00, 12:00-12:30"),
            // Too late: the day had begun.
            format!("{to}|||2026-03-04|closed"),
            day("2026-03-05", "usual"),
            day("2026-03-07", "08:00-09:00"),
        ];
        let of = |date: &str| {
            let next = NaiveDate::from_str(date).expect("a date").succ_opt();
            let next = next.expect("a next day");
            minutes(
                &lines,
                &format!("{date}T00:00:00Z"),
                &format!("{next}T00:00:00Z"),
            )
        };
        let dates = [
            "2026-03-02",
            "2026-03-03",
            "2026-03-04",
            "2026-03-05",
            "2026-03-07",
        ];
        assert_eq!(dates.map(of), [540, 0, 90, 540, 60].map(Some));
    }

    #[test]
    fn a_calendar_that_changes_counts_each_time_by_its_own_hours() {
        let (noon, night) = (at("2026-03-04T12:00:00Z"), at("2026-03-05T00:00:00Z"));
        let lines = [
            format!(
                "{}|{noon}|UTC||mon-fri 09:00-18:00",
                at("2026-03-02T00:00:00Z")
            ),
            format!("{noon}|{night}|UTC||mon-fri 14:00-20:00"),
            format!("{night}||Asia/Tokyo||mon-fri 09:00-10:00"),
        ];
        let count = |from, to| minutes(&lines, from, to);
        let change = count("2026-03-04T00:00:00Z", "2026-03-05T00:00:00Z");
        assert_eq!(change, Some((3 + 6) * 60));
        let week = count("2026-03-02T00:00:00Z", "2026-03-07T00:00:00Z");
        assert_eq!(week, Some((9 + 9 + 3 + 6 + 2) * 60));
        // Before the first, nobody knows.
        assert_eq!(count("2026-03-01T23:59:00Z", "2026-03-04T00:00:00Z"), None);
    }

    #[test]
    fn what_was_not_understood_is_not_known_and_nothing_else() {
        let (from, to) = (at("2026-03-03T00:00:00Z"), at("2026-03-04T00:00:00Z"));
        let lines = [
            format!("{ALWAYS}{from}|UTC||mon-fri 09:00-18:00"),
            format!("{from}|{to}|||"),
            format!("{to}||UTC||mon-fri 09:00-18:00"),
            day("2026-03-10", ""),
        ];
        let count = |from, to| minutes(&lines, from, to);
        let before = count("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z");
        assert_eq!(before, Some(540));
        assert_eq!(count("2026-03-02T00:00:00Z", "2026-03-03T00:01:00Z"), None);
        let after = count("2026-03-04T00:00:00Z", "2026-03-05T00:00:00Z");
        assert_eq!(after, Some(540));
        assert_eq!(count("2026-03-09T10:00:00Z", "2026-03-11T10:00:00Z"), None);
        let none = Calendar::default().open_time(0, MINUTE).expect("near");
        assert_eq!(none.ms(0, MINUTE), None);
        assert_eq!(none.ms(0, 0), None);
    }

    #[test]
    fn foreign_lines_and_far_times_are_refused_and_no_panic() {
        for line in [
            "",
            "a|b|c|d|e",
            "0|||",
            "0||UTC||mon",
            "0||||mon 09:00-10:00",
            "0||UTC|x|closed",
        ] {
            let parsed = Calendar::parse(&format!("{line}\n"));
            assert!(parsed.is_err(), "{line}");
        }
        let calendar = Calendar::parse(&week("mon-sun 00:00-24:00", "UTC")).expect("a line");
        assert!(calendar.open_time(i64::MIN, i64::MAX).is_none());
        assert!(calendar.open_time(i64::MAX - 5, i64::MAX).is_none());
        let far = calendar.open_time(i64::MIN, i64::MIN + 5);
        assert!(far.is_some_and(|time| time.ms(i64::MIN, i64::MIN).is_none()));
    }
}
