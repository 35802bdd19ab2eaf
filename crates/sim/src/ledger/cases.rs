//! Cases and what employees say, which no queue stands behind.

use events::Instrument;

use super::{
    Ledger, Note, Sink,
    records::{get, put},
};

#[derive(Clone, Debug, Default)]
pub(super) struct Case {
    /// When it was solved, as long as it has not been opened again.
    solved: Option<i64>,
    /// Part of another case.
    merged: bool,
    contacts: u32,
    replies: u32,
}

/// An employee's answer.
#[derive(Clone, Debug)]
pub(super) struct Opinion {
    instrument: Instrument,
    score: i64,
    at: i64,
}

impl Ledger {
    pub(super) fn take_case(&mut self, note: Note) {
        let cases = &mut self.cases;
        match note {
            Note::CaseOpened { case, by_contact } => {
                let contacts = by_contact.into();
                put(
                    cases,
                    case,
                    Case {
                        contacts,
                        ..Case::default()
                    },
                );
            }
            Note::CaseContact { case } => get(cases, case).contacts += 1,
            Note::CaseReplied { case } => get(cases, case).replies += 1,
            Note::CaseSolved { case, at } => get(cases, case).solved = Some(at),
            Note::CaseReopened { case, by_contact } => {
                let c = get(cases, case);
                c.solved = None;
                c.contacts += u32::from(by_contact);
            }
            Note::CaseMerged { case } => get(cases, case).merged = true,
            Note::CaseClosed { case, at } => {
                // What nobody has called solved is so when it is closed.
                get(cases, case).solved.get_or_insert(at);
            }
            _ => {}
        }
    }

    pub(super) fn take_opinion(&mut self, note: Note) {
        if let Note::EmployeeAnswered {
            instrument,
            score,
            at,
        } = note
        {
            let opinion = Opinion {
                instrument,
                score,
                at,
            };
            self.opinions.push(opinion);
        }
    }
}

/// The solved cases of which `above` holds, of all solved cases.
fn solved(l: &Ledger, s: &mut Sink, above: fn(&Case) -> bool) {
    for c in l.cases.iter().flatten().filter(|c| !c.merged) {
        s.share(None, c.solved, above(c), true);
    }
}

pub(super) fn in_one_contact(l: &Ledger, s: &mut Sink) {
    solved(l, s, |c| c.contacts == 1);
}

pub(super) fn in_one_touch(l: &Ledger, s: &mut Sink) {
    solved(l, s, |c| c.replies <= 1);
}

fn opinions(l: &Ledger, s: &mut Sink, instrument: Instrument, above: fn(i64) -> i64) {
    for o in l.opinions.iter().filter(|o| o.instrument == instrument) {
        s.add(None, Some(o.at), above(o.score), 1);
    }
}

/// Employees who would recommend the work, less those who would not.
pub(super) fn recommend(l: &Ledger, s: &mut Sink) {
    opinions(l, s, Instrument::Enps, |score| match score {
        0..=6 => -1,
        7 | 8 => 0,
        _ => 1,
    });
}

pub(super) fn content(l: &Ledger, s: &mut Sink) {
    opinions(l, s, Instrument::Esat5, |score| (score >= 4).into());
}
