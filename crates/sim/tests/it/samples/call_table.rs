//! The finished calls of a simulated day as a table, one row a stay in a queue, and what comes out.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
};

use chrono::DateTime;
use chrono_tz::Tz;
use events::{Channel, EndedBy, Event, EventData, Instrument, LeaveReason, Role, Text, VisitKind};
use serde_json::{Value, json};

use super::ratio;

const ZONE: Tz = Tz::Asia__Shanghai;
const HEADER: &str = "call_no,part,customer,queue,queue_time,answer_time,end_time,wrapup_s,agent,\
                      result,reason,resolved,rating,hangup_by";

/// A call with all its rows.
#[derive(Default)]
struct Call {
    customer: Option<Text>,
    reason: Option<Text>,
    parts: usize,
    ended_by: Option<EndedBy>,
}

/// One row, as far as it is known.
#[derive(Default)]
struct Row {
    contact: Text,
    part: usize,
    queue: Text,
    entered: i64,
    answered: Option<i64>,
    ended: Option<i64>,
    wrap_up_s: Option<i64>,
    open: bool,
    agent: Text,
    result: &'static str,
    resolved: Option<bool>,
    rating: Option<i64>,
}

/// The table of a day: calls that were still going on at midnight are not in it.
pub fn table(events: impl Iterator<Item = Event>) -> String {
    let mut rows: Vec<Row> = Vec::new();
    let mut calls: HashMap<Text, Call> = HashMap::new();
    let (mut visits, mut legs) = (HashMap::new(), HashMap::new());
    for event in events {
        let at = event.occurred_at.0 / 1_000_000;
        match event.data {
            EventData::InteractionStarted(e) if e.channel == Channel::Voice => {
                let customer = e.customer_id;
                calls.insert(
                    e.interaction_id,
                    Call {
                        customer,
                        ..Call::default()
                    },
                );
            }
            EventData::InteractionClassified(e) => {
                if let Some(call) = calls.get_mut(&e.interaction_id) {
                    call.reason = Some(e.reason_code);
                }
            }
            EventData::QueueEntered(e) if e.visit_kind == VisitKind::Customer => {
                let Some(call) = calls.get_mut(&e.interaction_id) else {
                    continue;
                };
                call.parts += 1;
                visits.insert(e.visit_id, rows.len());
                let (contact, part) = (e.interaction_id, call.parts);
                let open = true;
                rows.push(Row {
                    contact,
                    part,
                    queue: e.queue_id,
                    entered: at,
                    open,
                    ..Row::default()
                });
            }
            EventData::InteractionEnded(e) => {
                if let Some(call) = calls.get_mut(&e.interaction_id) {
                    call.ended_by = Some(e.ended_by);
                }
            }
            EventData::QueueLeft(e) => {
                let Some(row) = visits.get(&e.visit_id).map(|i: &usize| &mut rows[*i]) else {
                    continue;
                };
                row.result = result(e.reason);
                row.answered = (e.reason == LeaveReason::Answered).then_some(at);
                row.ended = row.answered.is_none().then_some(at);
                row.open = row.answered.is_some();
            }
            EventData::LegConnected(e) if e.role == Role::Primary => {
                let Some(i) = e.visit_id.and_then(|v| visits.get(&v)) else {
                    continue;
                };
                rows[*i].agent = e.agent_id;
                legs.insert(e.leg_id, *i);
            }
            data => leg_event(&mut rows, &legs, at, &data),
        }
    }
    let mut text = format!("{HEADER}\n");
    for row in rows.iter().filter(|r| !r.open && r.ended.is_some()) {
        row.write(&mut text, &calls[&row.contact]);
    }
    text
}

fn leg_event(rows: &mut [Row], legs: &HashMap<Text, usize>, at: i64, data: &EventData) {
    let mut row = |leg: &Text| legs.get(leg).copied();
    match data {
        EventData::LegDisconnected(e) => {
            if let Some(i) = row(&e.leg_id) {
                rows[i].ended = Some(at);
                rows[i].open = false;
            }
        }
        EventData::AcwStarted(e) => {
            if let Some(i) = row(&e.leg_id) {
                rows[i].open = true;
            }
        }
        EventData::AcwEnded(e) => {
            if let Some(i) = row(&e.leg_id) {
                rows[i].open = false;
                rows[i].wrap_up_s = rows[i].ended.map(|ended| at - ended);
            }
        }
        EventData::DispositionSet(e) => {
            if let Some(i) = row(&e.leg_id) {
                rows[i].resolved = e.resolved;
            }
        }
        EventData::SurveyAnswered(e) if e.instrument == Instrument::Csat5 => {
            if let Some(i) = e.leg_id.as_ref().and_then(&mut row) {
                rows[i].rating = Some(e.score);
            }
        }
        _ => {}
    }
}

/// The words of the table for the ways out of a queue.
fn result(reason: LeaveReason) -> &'static str {
    match reason {
        LeaveReason::Answered => "接通",
        LeaveReason::Abandoned => "放弃",
        LeaveReason::Overflow | LeaveReason::Moved => "溢出",
        LeaveReason::Callback => "回拨",
        LeaveReason::Voicemail => "留言",
        LeaveReason::Timeout => "超时",
        LeaveReason::Full => "忙线",
        LeaveReason::Closed | LeaveReason::JoinEmpty => "非工作时间",
        LeaveReason::LeaveEmpty | LeaveReason::KeyExit | LeaveReason::Error => "其他",
    }
}

impl Row {
    fn write(&self, out: &mut String, call: &Call) {
        let clock = |at: i64| {
            let at = DateTime::from_timestamp(at, 0).expect("a time of the sample");
            at.with_timezone(&ZONE)
                .format("%Y-%m-%d %H:%M:%S")
                .to_string()
        };
        let number = |n: Option<i64>| n.map_or(String::new(), |n| n.to_string());
        let resolved = self.resolved.map_or("", |yes| if yes { "Y" } else { "N" });
        let ended = self.ended.expect("only finished rows are written");
        let hangup_by = match call.ended_by.filter(|_| self.part == call.parts) {
            Some(EndedBy::Customer) => "客户",
            Some(EndedBy::Agent) => "坐席",
            Some(EndedBy::System | EndedBy::ThirdParty | EndedBy::Telecom) => "系统",
            None => "",
        };
        writeln!(
            out,
            "{},{},{},{},{},{},{},{},{},{},{},{resolved},{},{hangup_by}",
            self.contact,
            self.part,
            call.customer.as_deref().unwrap_or(""),
            self.queue,
            clock(self.entered),
            self.answered.map_or(String::new(), clock),
            clock(ended),
            number(self.wrap_up_s),
            self.agent,
            self.result,
            call.reason.as_deref().unwrap_or(""),
            number(self.rating),
        )
        .expect("memory");
    }
}

/// Counted from the rows alone, by queue; times in seconds.
pub fn figures(table: &str) -> Value {
    let mut queues: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut total = Tally::default();
    for line in table.lines().skip(1) {
        let row: Vec<&str> = line.split(',').collect();
        total.add(&row);
        queues.entry(row[3]).or_default().add(&row);
    }
    let queues: BTreeMap<&str, Value> = queues.iter().map(|(q, t)| (*q, t.json())).collect();
    json!({ "rows": table.lines().count() - 1, "total": total.json(), "queues": queues })
}

#[derive(Default)]
struct Tally {
    rows: i64,
    blocked: i64,
    answered: i64,
    within_20: i64,
    abandoned: i64,
    abandoned_from_5: i64,
    wait_s: i64,
    talk_s: i64,
    wrap_up_s: i64,
    resolved: (i64, i64),
    satisfied: (i64, i64),
}

impl Tally {
    fn add(&mut self, row: &[&str]) {
        let seconds = |text: &str| {
            let format = "%Y-%m-%d %H:%M:%S";
            let local = chrono::NaiveDateTime::parse_from_str(text, format).expect("a time");
            local.and_utc().timestamp()
        };
        let (entered, ended) = (seconds(row[4]), seconds(row[6]));
        self.rows += 1;
        self.blocked += i64::from(["忙线", "非工作时间"].contains(&row[9]));
        if row[9] == "接通" {
            let answered = seconds(row[5]);
            self.answered += 1;
            self.within_20 += i64::from(answered - entered <= 20);
            self.wait_s += answered - entered;
            self.talk_s += ended - answered;
            self.wrap_up_s += row[7].parse().unwrap_or(0);
        }
        if row[9] == "放弃" {
            self.abandoned += 1;
            self.abandoned_from_5 += i64::from(ended - entered >= 5);
        }
        if !row[11].is_empty() {
            self.resolved.0 += i64::from(row[11] == "Y");
            self.resolved.1 += 1;
        }
        if let Ok(rating) = row[12].parse::<i64>() {
            self.satisfied.0 += i64::from(rating >= 4);
            self.satisfied.1 += 1;
        }
    }

    fn json(&self) -> Value {
        let worked_s = self.talk_s + self.wrap_up_s;
        json!({
            "offered": self.rows - self.blocked,
            "answered": self.answered,
            "abandoned": self.abandoned,
            "service_level": ratio(self.within_20, self.answered + self.abandoned_from_5),
            "abandon_rate": ratio(self.abandoned_from_5, self.answered + self.abandoned_from_5),
            "asa_s": ratio(self.wait_s, self.answered),
            "aht_s": ratio(worked_s, self.answered),
            "fcr_agent_flag": ratio(self.resolved.0, self.resolved.1),
            "csat": ratio(self.satisfied.0, self.satisfied.1),
        })
    }
}
