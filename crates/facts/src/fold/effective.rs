//! Which events count, and in which order: duplicates and corrections.

use events::{CorrectionOp, Event, Text, UtcMicros};
use hashbrown::HashMap;

/// An event that counts, at its place in the order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effective<'a> {
    pub at: UtcMicros,
    /// The content that counts: the event itself or what replaced it.
    pub event: &'a Event,
    seq: i64,
    rank: u8,
    /// Of the corrected event, so that a replaced event keeps its place among its equals.
    id: &'a Text,
}

/// What is left of some events after duplicates and corrections.
#[derive(Debug, Default)]
pub(crate) struct Known<'a> {
    /// In the order of the fold: time, source sequence, rank of the type, id.
    pub events: Vec<Effective<'a>>,
    /// Were there corrections? What is left may then be more than one entity.
    pub corrected: bool,
    /// Corrections that go round in a circle.
    pub circular: Vec<&'a Event>,
    /// Corrections of an event that is not there (yet).
    pub waiting: Vec<&'a Event>,
}

/// Sorts events and lets corrections take effect. The order of the input does not matter: of
/// several corrections of one event the one with the latest `recorded_at` counts.
pub(crate) fn effective<'a>(events: impl Iterator<Item = &'a Event>) -> Known<'a> {
    let mut corrected = false;
    let mut known = Known::default();
    known.events.extend(events.map(|event| {
        corrected |= event.correction.is_some();
        Effective::new(event, event)
    }));
    sort(&mut known.events);
    known
        .events
        .dedup_by(|a, b| a.id == b.id && a.event.source == b.event.source);
    if corrected {
        known = Corrections::new(&known.events).apply();
        sort(&mut known.events);
    }
    known
}

fn sort(events: &mut [Effective<'_>]) {
    events.sort_unstable_by(|a, b| {
        (a.at, a.seq, a.rank)
            .cmp(&(b.at, b.seq, b.rank))
            .then_with(|| a.id.cmp(b.id))
            .then_with(|| a.event.source.cmp(&b.event.source))
            .then_with(|| a.event.recorded_at.cmp(&b.event.recorded_at))
    });
}

impl<'a> Effective<'a> {
    fn new(place: &'a Event, content: &'a Event) -> Self {
        Effective {
            at: content.occurred_at,
            event: content,
            seq: place.source_seq.or(content.source_seq).unwrap_or(i64::MIN),
            rank: content.data.rank(),
            id: &place.event_id,
        }
    }
}

/// Events with the corrections that name them.
struct Corrections<'a> {
    events: Vec<&'a Event>,
    /// Corrections of each event, by arrival.
    of: Vec<Vec<usize>>,
    missing: Vec<usize>,
}

impl<'a> Corrections<'a> {
    fn new(known: &[Effective<'a>]) -> Self {
        let events: Vec<&Event> = known.iter().map(|k| k.event).collect();
        let ids = events.iter().enumerate();
        let by_id: HashMap<_, _> = ids
            .map(|(at, e)| ((e.source.as_str(), e.event_id.as_str()), at))
            .collect();
        let mut of = vec![Vec::new(); events.len()];
        let mut missing = Vec::new();
        for (at, event) in events.iter().enumerate() {
            if let Some(correction) = &event.correction {
                match by_id.get(&(event.source.as_str(), correction.of.as_str())) {
                    Some(target) => of[*target].push(at),
                    None => missing.push(at),
                }
            }
        }
        for list in &mut of {
            list.sort_by_key(|&at| (events[at].recorded_at, &events[at].event_id));
        }
        Corrections {
            events,
            of,
            missing,
        }
    }

    fn apply(self) -> Known<'a> {
        let roots = (0..self.events.len()).filter(|&at| self.events[at].correction.is_none());
        let mut reached = self.reach(roots.clone().collect());
        let mut stands = vec![None; self.events.len()];
        for &at in reached.iter().rev() {
            stands[at] = self.content(at, &stands);
        }
        let events = roots
            .filter_map(|at| Some((at, stands[at]?)))
            .map(|(at, content)| Effective::new(self.events[at], self.events[content]))
            .collect();
        let waiting = self.reach(self.missing.clone());
        reached.extend(&waiting);
        reached.sort_unstable();
        let circular = (0..self.events.len()).filter(|at| reached.binary_search(at).is_err());
        Known {
            events,
            corrected: true,
            circular: circular.map(|at| self.events[at]).collect(),
            waiting: waiting.iter().map(|&at| self.events[at]).collect(),
        }
    }

    /// Some events and all corrections of them, a target before its corrections.
    fn reach(&self, mut found: Vec<usize>) -> Vec<usize> {
        let mut next = 0;
        while let Some(&at) = found.get(next) {
            found.extend(&self.of[at]);
            next += 1;
        }
        found
    }

    /// The event whose content stands for this one; `None` if it is taken back.
    fn content(&self, at: usize, stands: &[Option<usize>]) -> Option<usize> {
        let correction = self.of[at]
            .iter()
            .rev()
            .find_map(|&correction| stands[correction]);
        match correction {
            None => Some(at),
            Some(content) if self.takes_back(content) => None,
            Some(content) => Some(content),
        }
    }

    fn takes_back(&self, at: usize) -> bool {
        self.events[at]
            .correction
            .as_ref()
            .is_some_and(|c| c.op == CorrectionOp::Retract)
    }
}
