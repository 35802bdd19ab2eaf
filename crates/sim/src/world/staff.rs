//! What the employees say: once a week each is asked two questions about the work.
//!
//! The answers have dice of their own: all else is the same whatever the employees say.

use events::{Instrument, SurveyAnswered, SurveySent, Text};

use super::{Action, World};
use crate::{calendar, ids, ledger::Note};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// The questions go out between ten and four o'clock.
const TEN: i64 = 10 * 60;
const QUESTIONS: [Instrument; 2] = [Instrument::Enps, Instrument::Esat5];

/// An employee's answer on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    survey: u32,
    /// `None` if it is given without a name.
    agent: Option<u16>,
    instrument: Instrument,
    score: i8,
}

impl World {
    /// Asks those whose day of the week it is, whether they work today or not.
    pub(super) fn ask_employees(&mut self) {
        let weekday = calendar::weekday(self.day.date);
        let ten = calendar::wall_clock(self.zone, self.day.date, TEN);
        for agent in (weekday as u16..self.agents.len() as u16).step_by(7) {
            let at = ten + self.staff_rng.between(0, 6 * HOUR_MS);
            let agent = self.staff_rng.chance(850).then_some(agent);
            for instrument in QUESTIONS {
                self.ask_employee(agent, instrument, at);
            }
        }
    }

    fn ask_employee(&mut self, agent: Option<u16>, instrument: Instrument, at: i64) {
        self.counters.staff_survey += 1;
        let survey = self.counters.staff_survey;
        let data = SurveySent {
            survey_id: survey_id(survey),
            instrument,
            interaction_id: None,
            leg_id: None,
            case_id: None,
            agent_id: agent.map(|a| self.agent_id(a)),
        };
        self.post(at, ids::thing_event("es", survey, 6, 1), data, None);
        if !self.staff_rng.chance(720) {
            return;
        }
        let weights: &[u64] = match instrument {
            Instrument::Enps => &[2, 1, 2, 2, 3, 8, 9, 17, 24, 18, 14],
            _ => &[0, 5, 10, 22, 40, 23],
        };
        let score = self.staff_rng.weighted(weights) as i8;
        let ms = MINUTE_MS + self.staff_rng.exponential(14.0 * HOUR_MS as f64) as i64;
        let answer = Answer {
            survey,
            agent,
            instrument,
            score,
        };
        self.plan(at + ms, Action::StaffAnswer(answer));
    }

    pub(super) fn answer_of_employee(&mut self, answer: Answer) {
        let (at, score, instrument) = (self.now, i64::from(answer.score), answer.instrument);
        let data = SurveyAnswered {
            survey_id: survey_id(answer.survey),
            instrument,
            interaction_id: None,
            leg_id: None,
            case_id: None,
            agent_id: answer.agent.map(|a| self.agent_id(a)),
            score,
        };
        let note = Note::EmployeeAnswered {
            instrument,
            score,
            at,
        };
        let id = ids::thing_event("es", answer.survey, 6, 2);
        self.post(at, id, data, Some(note));
    }
}

fn survey_id(survey: u32) -> Text {
    ids::thing("es", survey, 6)
}
