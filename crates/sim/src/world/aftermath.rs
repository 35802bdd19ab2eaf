//! What follows a contact: surveys, evaluations, and customers who come again.

use events::{
    Channel, Critical, EvaluationCompleted, EvaluationItem, Instrument, SurveyAnswered, SurveySent,
    Text,
};

use super::{Action, Call, Contact, World, demand::Wish};
use crate::{
    centre::{BILLING, CHAT, QUEUES, SUPPORT},
    ids,
    ledger::Note,
};

const HOUR_MS: i64 = 3_600_000;

/// A survey that will be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    contact: u32,
    leg: u8,
    agent: u16,
    queue: Option<u8>,
    instrument: Instrument,
    score: i8,
}

/// A leg that was chosen for an evaluation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    contact: u32,
    leg: u8,
    queue: Option<u8>,
    solved: bool,
}

impl World {
    /// The contact is over at `over`; what does it bring?
    pub(super) fn afterwards(&mut self, contact: &Contact, call: &Call, over: i64, solved: bool) {
        self.report(contact, call, over, solved);
        if !contact.test && self.rng.chance(280) {
            self.survey(contact, call, over, solved);
        }
        if self.rng.chance(15) {
            let at = over + 18 * HOUR_MS + self.rng.between(0, 10 * HOUR_MS);
            let sample = Sample {
                contact: contact.no,
                leg: call.leg,
                queue: call.queue,
                solved,
            };
            self.plan(at, Action::Evaluate(sample));
        }
        let comes_again = self.rng.chance(if solved { 70 } else { 900 });
        if let (true, Some(customer)) =
            (comes_again && contact.callback.is_none(), contact.customer)
        {
            let after = 10 * 60_000 + self.rng.exponential(40.0 * HOUR_MS as f64) as i64;
            let queue = match (contact.channel, self.rng.chance(120)) {
                (Channel::Voice, true) => CHAT,
                (Channel::Chat, _) => CHAT,
                (Channel::Email, _) => SUPPORT,
                _ => call
                    .queue
                    .filter(|q| QUEUES[usize::from(*q)].weight > 0)
                    .unwrap_or(BILLING),
            };
            let wish = Wish {
                queue,
                again: Some((customer, contact.reason)),
            };
            self.plan(over + after, Action::Arrive(wish));
        }
    }

    fn survey(&mut self, contact: &Contact, call: &Call, over: i64, solved: bool) {
        let all = [
            Instrument::Csat5,
            Instrument::Nps,
            Instrument::Ces7,
            Instrument::ResolvedYn,
            Instrument::Csat2,
            Instrument::Ces5,
        ];
        let instrument = all[self.rng.weighted(&[8, 6, 5, 4, 1, 1])];
        let sent = over + self.rng.between(2_000, 90_000);
        let data = SurveySent {
            survey_id: ids::part(contact.no, "s", 1),
            instrument,
            interaction_id: Some(ids::contact(contact.no)),
            leg_id: Some(ids::part(contact.no, "l", call.leg)),
            case_id: None,
            agent_id: Some(self.agent_id(call.agent)),
        };
        self.post(sent, ids::part_event(contact.no, "s", 1, 1), data, None);
        if !self.rng.chance(350) {
            return;
        }
        // Half answer at once, the others when they find the time.
        let mean_ms = if self.rng.chance(500) {
            40_000.0
        } else {
            9.0 * HOUR_MS as f64
        };
        let at = sent + 4_000 + self.rng.exponential(mean_ms) as i64;
        let score = self.score(instrument, solved);
        let (contact, leg, agent, queue) = (contact.no, call.leg, call.agent, call.queue);
        let answer = Answer {
            contact,
            leg,
            agent,
            queue,
            instrument,
            score,
        };
        self.plan(at, Action::Survey(answer));
    }

    fn score(&mut self, instrument: Instrument, solved: bool) -> i8 {
        let draw = |world: &mut World, weights: &[u64]| world.rng.weighted(weights) as i8;
        match (instrument, solved) {
            (Instrument::Csat5, true) => 1 + draw(self, &[2, 4, 10, 39, 45]),
            (Instrument::Csat5, false) => 1 + draw(self, &[25, 25, 25, 15, 10]),
            (Instrument::Nps, true) => draw(self, &[1, 1, 1, 1, 2, 4, 5, 10, 18, 28, 29]),
            (Instrument::Nps, false) => draw(self, &[20, 8, 10, 10, 10, 12, 10, 8, 6, 3, 3]),
            (Instrument::Ces7, true) => 1 + draw(self, &[2, 3, 5, 10, 20, 35, 25]),
            (Instrument::Ces7, false) => 1 + draw(self, &[25, 20, 18, 14, 10, 8, 5]),
            (Instrument::Ces5, true) => 1 + draw(self, &[30, 35, 20, 10, 5]),
            (Instrument::Ces5, false) => 1 + draw(self, &[5, 10, 20, 30, 35]),
            (_, true) => draw(self, &[8, 92]),
            (_, false) => draw(self, &[80, 20]),
        }
    }

    pub(super) fn answer_survey(&mut self, answer: Answer) {
        let Answer {
            contact,
            leg,
            agent,
            queue,
            instrument,
            score,
        } = answer;
        let (at, score) = (self.now, i64::from(score));
        let data = SurveyAnswered {
            survey_id: ids::part(contact, "s", 1),
            instrument,
            interaction_id: Some(ids::contact(contact)),
            leg_id: Some(ids::part(contact, "l", leg)),
            case_id: None,
            agent_id: Some(self.agent_id(agent)),
            score,
        };
        let note = Note::SurveyAnswered {
            contact,
            queue,
            instrument,
            score,
            at,
        };
        self.post(at, ids::part_event(contact, "s", 1, 2), data, Some(note));
    }

    pub(super) fn evaluate(&mut self, sample: Sample) {
        let items = [
            ("greeting", Critical::None, 10, 60),
            ("identification", Critical::Compliance, 20, 15),
            (
                "solution",
                Critical::Customer,
                40,
                if sample.solved { 20 } else { 350 },
            ),
            ("documentation", Critical::Business, 20, 40),
            ("tone", Critical::None, 10, 90),
        ];
        let item = |(id, critical, max_points, errors): (&'static str, _, i64, u64)| {
            let applicable = id != "documentation" || !self.rng.chance(100);
            let error = applicable && self.rng.chance(errors);
            EvaluationItem {
                item_id: Text::new_static(id),
                critical,
                applicable,
                error,
                points: if applicable && !error { max_points } else { 0 },
                max_points: if applicable { max_points } else { 0 },
                weight: 1,
                auto_fail: critical == Critical::Compliance,
            }
        };
        let items = items.map(item).into();
        let data = EvaluationCompleted {
            evaluation_id: ids::part(sample.contact, "e", 1),
            leg_id: ids::part(sample.contact, "l", sample.leg),
            form_id: Text::new_static("standard"),
            form_version: 1,
            evaluator_id: ids::thing("qa", self.rng.below(5) as u32 + 1, 2),
            stratum: None,
            sample_weight: None,
            resolved_judged: Some(sample.solved),
            items,
        };
        let note = Note::Evaluated {
            contact: sample.contact,
            queue: sample.queue,
            at: self.now,
            solved: sample.solved,
        };
        let id = ids::part_event(sample.contact, "e", 1, 1);
        self.post(self.now, id, data, Some(note));
    }
}
