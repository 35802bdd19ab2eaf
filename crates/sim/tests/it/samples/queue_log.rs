//! The voice queues of a simulated day as Asterisk would have logged them, and what comes out.
//!
//! Asterisk writes whole seconds, no wrap-up, and nothing of calls that pass from agent to agent
//! without a queue. Callbacks and voicemails leave its queue by a key.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
};

use events::{
    AgentState, Channel, EndedBy, Event, EventData, LeaveReason, LegConnected, LegDisconnected,
    OfferOutcome, QueueEntered, QueueLeft, Role, Text, TransferCompleted, TransferKind, VisitKind,
};
use serde_json::{Value, json};

use super::ratio;

/// The log of a day.
pub fn log(events: impl Iterator<Item = Event>) -> String {
    let mut writer = Writer::default();
    for event in events {
        if writer.log.is_empty() {
            writer.line(
                event.occurred_at.0 / 1_000_000,
                "NONE|NONE|NONE|QUEUESTART|",
            );
        }
        writer.event(&event);
    }
    writer.settle(i64::MAX);
    writer.log
}

#[derive(Default)]
struct Writer {
    log: String,
    calls: HashMap<Text, Call>,
    visits: HashMap<Text, Visit>,
    legs: HashMap<Text, Leg>,
    rings: HashMap<Text, i64>,
    skills: HashMap<Text, Vec<Text>>,
    paused: HashMap<Text, bool>,
    /// Lines of this instant that the next events of the same instant may still change.
    entering: Option<(i64, Text)>,
    ending: Option<(i64, Text)>,
}

struct Call {
    id: String,
    caller: String,
}

struct Visit {
    call: Text,
    queue: Text,
    entered_s: i64,
    ring_s: i64,
}

struct Leg {
    call: Text,
    queue: Text,
    agent: Text,
    wait_s: i64,
    connected_s: i64,
}

impl Writer {
    fn line(&mut self, at_s: i64, rest: &str) {
        writeln!(self.log, "{at_s}|{rest}").expect("memory");
    }

    fn event(&mut self, event: &Event) {
        let (at_us, at) = (event.occurred_at.0, event.occurred_at.0 / 1_000_000);
        self.settle(at_us);
        match &event.data {
            EventData::InteractionStarted(e) if e.channel == Channel::Voice => {
                let id = format!("{at}.{}", self.calls.len() + 1);
                let customer = e.customer_id.as_deref().unwrap_or("");
                let digits: String = customer.chars().filter(char::is_ascii_digit).collect();
                let anonymous = digits.is_empty();
                let caller = if anonymous {
                    "anonymous".into()
                } else {
                    format!("021{digits:0>8}")
                };
                self.calls
                    .insert(e.interaction_id.clone(), Call { id, caller });
            }
            EventData::QueueEntered(e) => self.enter(e, at_us),
            EventData::QueueLeft(e) => self.left(e, at),
            EventData::LegConnected(e) => self.connect(e, at),
            EventData::TransferCompleted(e) => self.transfer(e, at),
            EventData::LegDisconnected(e) => self.disconnect(e, at_us),
            EventData::InteractionEnded(e) => self.ended(&e.interaction_id, e.ended_by),
            EventData::OfferStarted(e) => {
                self.rings.insert(e.offer_id.clone(), at_us / 1_000);
            }
            EventData::OfferEnded(e) => {
                let began = self
                    .rings
                    .remove(&e.offer_id)
                    .expect("an offer that has begun");
                self.ring(
                    &e.visit_id,
                    &e.agent_id,
                    e.outcome,
                    (at, at_us / 1_000 - began),
                );
            }
            other => self.agent_event(other, at),
        }
    }

    fn enter(&mut self, e: &QueueEntered, at_us: i64) {
        let customer = e.visit_kind == VisitKind::Customer;
        if customer && self.calls.contains_key(&e.interaction_id) {
            let (call, queue) = (e.interaction_id.clone(), e.queue_id.clone());
            let visit = Visit {
                call,
                queue,
                entered_s: at_us / 1_000_000,
                ring_s: 0,
            };
            self.visits.insert(e.visit_id.clone(), visit);
            self.entering = Some((at_us, e.visit_id.clone()));
        }
    }

    /// Writes what nothing of the same instant can change any more.
    fn settle(&mut self, now_us: i64) {
        if self.entering.as_ref().is_some_and(|(at, _)| *at < now_us) {
            self.write_entry();
        }
        if self.ending.as_ref().is_some_and(|(at, _)| *at < now_us) {
            self.write_end("COMPLETEAGENT");
        }
    }

    fn write_entry(&mut self) {
        if let Some((_, visit)) = self.entering.take() {
            let visit = &self.visits[&visit];
            let call = &self.calls[&visit.call];
            let rest = format!(
                "{}|{}|NONE|ENTERQUEUE||{}|1",
                call.id, visit.queue, call.caller
            );
            self.line(visit.entered_s, &rest);
        }
    }

    fn write_end(&mut self, how: &str) {
        if let Some((at_us, leg)) = self.ending.take() {
            let leg = self.legs.remove(&leg).expect("a leg that has begun");
            let at = at_us / 1_000_000;
            let numbers = format!("{}|{}|1", leg.wait_s, at - leg.connected_s);
            self.of_agent(at, &leg, how, &numbers);
        }
    }

    fn of_agent(&mut self, at: i64, leg: &Leg, how: &str, data: &str) {
        let call = &self.calls[&leg.call].id;
        let rest = format!("{call}|{}|SIP/{}|{how}|{data}", leg.queue, leg.agent);
        self.line(at, &rest);
    }

    fn left(&mut self, e: &QueueLeft, at: i64) {
        use LeaveReason as R;
        let Some(visit) = self.visits.get(&e.visit_id) else {
            return;
        };
        let wait = at - visit.entered_s;
        let name = match e.reason {
            R::Answered => return,
            R::Abandoned | R::Error => format!("ABANDON|1|1|{wait}"),
            R::Timeout | R::Overflow | R::Moved => format!("EXITWITHTIMEOUT|1|1|{wait}"),
            R::LeaveEmpty => format!("EXITEMPTY|1|1|{wait}"),
            R::KeyExit => format!("EXITWITHKEY|0|1|1|{wait}"),
            R::Callback => format!("EXITWITHKEY|1|1|1|{wait}"),
            R::Voicemail => format!("EXITWITHKEY|2|1|1|{wait}"),
            R::Full => "FULL|".into(),
            R::Closed => "CLOSED|".into(),
            R::JoinEmpty => "JOINEMPTY|".into(),
        };
        let rest = format!("{}|{}|NONE|{name}", self.calls[&visit.call].id, visit.queue);
        if matches!(e.reason, R::Full | R::Closed | R::JoinEmpty) {
            self.entering = None;
        } else {
            self.write_entry();
        }
        self.line(at, &rest);
    }

    fn ring(&mut self, visit: &Text, agent: &Text, outcome: OfferOutcome, (at, ms): (i64, i64)) {
        self.write_entry();
        let Some(visit) = self.visits.get_mut(visit) else {
            return;
        };
        let name = match outcome {
            OfferOutcome::Accepted => {
                visit.ring_s = ms / 1_000;
                return;
            }
            OfferOutcome::NoAnswer | OfferOutcome::Rejected => "RINGNOANSWER",
            OfferOutcome::Rescinded | OfferOutcome::CallerGone => "RINGCANCELED",
        };
        let call = &self.calls[&visit.call].id;
        let rest = format!("{call}|{}|SIP/{agent}|{name}|{ms}", visit.queue);
        self.line(at, &rest);
    }

    fn connect(&mut self, e: &LegConnected, at: i64) {
        let visit = e.visit_id.as_ref().and_then(|v| self.visits.get(v));
        let Some(visit) = visit.filter(|_| e.role == Role::Primary) else {
            return;
        };
        let wait_s = at - visit.entered_s;
        let (call, queue) = (visit.call.clone(), visit.queue.clone());
        let leg = Leg {
            call,
            queue,
            agent: e.agent_id.clone(),
            wait_s,
            connected_s: at,
        };
        let data = format!("{wait_s}|{at}.9{}|{}", self.legs.len(), visit.ring_s);
        self.of_agent(at, &leg, "CONNECT", &data);
        self.legs.insert(e.leg_id.clone(), leg);
    }

    fn transfer(&mut self, e: &TransferCompleted, at: i64) {
        let Some(leg) = self.legs.remove(&e.from_leg_id) else {
            return;
        };
        let numbers = format!("{}|{}|1", leg.wait_s, at - leg.connected_s);
        match e.kind {
            TransferKind::Blind => {
                let data = format!("{}|from-queue|{numbers}", e.to_id);
                self.of_agent(at, &leg, "BLINDTRANSFER", &data);
            }
            TransferKind::Consult => {
                let data = format!("BRIDGE|{at}.8|{numbers}");
                self.of_agent(at, &leg, "ATTENDEDTRANSFER", &data);
            }
        }
    }

    fn disconnect(&mut self, e: &LegDisconnected, at_us: i64) {
        if self.legs.contains_key(&e.leg_id) {
            self.write_end("COMPLETEAGENT");
            self.ending = Some((at_us, e.leg_id.clone()));
        }
    }

    fn ended(&mut self, call: &Text, by: EndedBy) {
        let ours = |(_, leg): &(i64, Text)| self.legs[leg].call == *call;
        if self.ending.as_ref().is_some_and(ours) {
            let by_customer = by == EndedBy::Customer;
            self.write_end(if by_customer {
                "COMPLETECALLER"
            } else {
                "COMPLETEAGENT"
            });
        }
    }

    fn agent_event(&mut self, data: &EventData, at: i64) {
        match data {
            EventData::AgentProfileChanged(e) => {
                let of_calls = |q: &&Text| !["chat", "mail"].contains(&q.as_str());
                let skills = e
                    .skills
                    .iter()
                    .flatten()
                    .filter(of_calls)
                    .cloned()
                    .collect();
                self.skills.insert(e.agent_id.clone(), skills);
            }
            EventData::AgentSessionStarted(e) => self.member(at, &e.agent_id, "ADDMEMBER"),
            EventData::AgentSessionEnded(e) => self.member(at, &e.agent_id, "REMOVEMEMBER"),
            EventData::AgentStateChanged(e) if !self.skills[&e.agent_id].is_empty() => {
                let pause = e.state != AgentState::Available;
                let was = self
                    .paused
                    .insert(e.agent_id.clone(), pause)
                    .unwrap_or(false);
                let agent = &e.agent_id;
                match (was, pause) {
                    (_, true) => {
                        self.line(at, &format!("NONE|NONE|SIP/{agent}|PAUSEALL|{}", e.state));
                    }
                    (true, false) => self.line(at, &format!("NONE|NONE|SIP/{agent}|UNPAUSEALL|")),
                    (false, false) => {}
                }
            }
            _ => {}
        }
    }

    fn member(&mut self, at: i64, agent: &Text, what: &str) {
        self.paused.remove(agent);
        for queue in self.skills[agent].clone() {
            self.line(at, &format!("NONE|{queue}|SIP/{agent}|{what}|"));
        }
    }
}

/// Counted from the lines alone, by queue; waits and talk in seconds.
pub fn figures(log: &str) -> Value {
    let mut queues: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut entered: HashMap<(&str, &str), i64> = HashMap::new();
    let (mut total, mut lines) = (Tally::default(), BTreeMap::<&str, i64>::new());
    for line in log.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let (at, call, queue, event) = (fields[0], fields[1], fields[2], fields[4]);
        let at: i64 = at.parse().expect("a time");
        *lines.entry(event).or_default() += 1;
        let before = entered.get(&(call, queue)).copied();
        if event == "ENTERQUEUE" {
            entered.insert((call, queue), at);
        }
        let talk = if event.starts_with("COMPLETE") {
            fields[6].parse().ok()
        } else if event == "BLINDTRANSFER" || event == "ATTENDEDTRANSFER" {
            fields[8].parse().ok()
        } else {
            None
        };
        if call != "NONE" {
            let wait = before.map_or(0, |since| at - since);
            for tally in [&mut total, queues.entry(queue).or_default()] {
                tally.add(event, wait, talk);
            }
        }
    }
    let queues: BTreeMap<&str, Value> = queues.iter().map(|(q, t)| (*q, t.json())).collect();
    json!({ "lines": lines, "total": total.json(), "queues": queues })
}

#[derive(Default)]
struct Tally {
    offered: i64,
    blocked: i64,
    answered: i64,
    within_20: i64,
    abandoned: i64,
    abandoned_from_5: i64,
    others: i64,
    missed: i64,
    wait_s: i64,
    ended: i64,
    talk_s: i64,
}

impl Tally {
    fn add(&mut self, event: &str, wait_s: i64, talk_s: Option<i64>) {
        match event {
            "ENTERQUEUE" => self.offered += 1,
            "CONNECT" => {
                self.answered += 1;
                self.within_20 += i64::from(wait_s <= 20);
                self.wait_s += wait_s;
            }
            "ABANDON" => {
                self.abandoned += 1;
                self.abandoned_from_5 += i64::from(wait_s >= 5);
            }
            "EXITWITHTIMEOUT" | "EXITEMPTY" | "EXITWITHKEY" => self.others += 1,
            "FULL" | "CLOSED" | "JOINEMPTY" => self.blocked += 1,
            "RINGNOANSWER" => self.missed += 1,
            _ => {}
        }
        if let Some(talk_s) = talk_s {
            self.ended += 1;
            self.talk_s += talk_s;
        }
    }

    fn json(&self) -> Value {
        json!({
            "offered": self.offered,
            "blocked": self.blocked,
            "answered": self.answered,
            "abandoned": self.abandoned,
            "flowed_out": self.others,
            "offers_missed": self.missed,
            "service_level": ratio(self.within_20, self.answered + self.abandoned_from_5),
            "abandon_rate": ratio(self.abandoned_from_5, self.answered + self.abandoned_from_5),
            "asa_s": ratio(self.wait_s, self.answered),
            "avg_talk_s": ratio(self.talk_s, self.ended),
        })
    }
}
