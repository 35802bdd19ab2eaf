//! The books of a day: its cost lines and its watermark.

use events::{
    AllocateBy, CostPool, CostPosted, CostPurpose, Decimal, Money, SourceWatermark, Text, UtcMicros,
};

use super::World;
use crate::{ids, ledger::Note};

impl World {
    /// Posts the cost of the day that begins now; the lines come out in its last second, the
    /// watermark at its end.
    pub(super) fn close_books(&mut self) {
        let day = (self.day.start, self.day.end);
        let [calls, chats, mails] = &self.day.shifts;
        let shifts = (calls.len() + chats.len() + mails.len()) as i64;
        let employed = self.agents.len() as i64;
        let lines = [
            (CostPool::Labour, CostPurpose::Service, shifts * 8 * 3_125),
            (CostPool::Labour, CostPurpose::Sales, shifts * 8 * 1_375),
            (CostPool::Telecom, CostPurpose::Service, shifts * 2_213),
            (CostPool::Telecom, CostPurpose::Sales, shifts * 987),
            (CostPool::Licence, CostPurpose::Service, employed * 1_167),
            (CostPool::Facility, CostPurpose::Service, employed * 2_033),
            (CostPool::Management, CostPurpose::Service, employed * 1_850),
            (CostPool::Management, CostPurpose::Sales, employed * 650),
            (CostPool::Media, CostPurpose::Sales, employed * 4_000),
        ];
        for (pool, purpose, cents) in lines {
            let cents = (cents as f64 * self.rng.noise(0.03)) as i64;
            self.cost_line(day, pool, purpose, cents);
        }
        self.watermark(day.1);
    }

    fn cost_line(&mut self, day: (i64, i64), pool: CostPool, purpose: CostPurpose, cents: i64) {
        self.counters.cost += 1;
        let no = self.counters.cost;
        let data = CostPosted {
            cost_id: ids::thing("k", no, 6),
            pool,
            purpose,
            period_start: UtcMicros(day.0 * 1_000),
            period_end: UtcMicros(day.1 * 1_000),
            zone: Text::new(self.zone.name()),
            amount: Money {
                amount: Decimal(i128::from(cents) * 100),
                currency: self.currency.clone(),
            },
            site_id: None,
            queue_id: None,
            channel: None,
            campaign: None,
            allocate_by: AllocateBy::None,
        };
        let note = Note::CostPosted {
            day,
            pool,
            purpose,
            cents,
        };
        self.post(
            day.1 - 1_000 + i64::from(no % 900),
            ids::thing_event("k", no, 6, 1),
            data,
            Some(note),
        );
    }

    fn watermark(&mut self, at: i64) {
        let complete_until = UtcMicros(at * 1_000);
        let first = self.day.start == self.start;
        let history_start = first.then_some(UtcMicros(self.start * 1_000));
        let day = self.day.date.to_epoch_days().unsigned_abs();
        let id = ids::thing("w", day, 6);
        let data = SourceWatermark {
            complete_until,
            history_start,
        };
        if at == self.end {
            self.closing = Some(self.event(at, id, data.into()));
        } else {
            self.post(at, id, data, None);
        }
    }
}
