//! Rows that hold for a time: each until the next begins.

use events::UtcMicros;

use crate::{Agent, CalendarHours, CodeMeaning, Customer};

/// A row that holds from a moment until another.
pub(super) trait Dated {
    /// Where it says when it begins and when it ends.
    fn span(&mut self) -> (&mut UtcMicros, &mut Option<UtcMicros>);
}

impl Dated for Customer {
    fn span(&mut self) -> (&mut UtcMicros, &mut Option<UtcMicros>) {
        (&mut self.valid_from, &mut self.valid_to)
    }
}

impl Dated for Agent {
    fn span(&mut self) -> (&mut UtcMicros, &mut Option<UtcMicros>) {
        (&mut self.valid_from, &mut self.valid_to)
    }
}

impl Dated for CodeMeaning {
    fn span(&mut self) -> (&mut UtcMicros, &mut Option<UtcMicros>) {
        (&mut self.valid_from, &mut self.valid_to)
    }
}

impl Dated for CalendarHours {
    fn span(&mut self) -> (&mut UtcMicros, &mut Option<UtcMicros>) {
        (&mut self.valid_from, &mut self.valid_to)
    }
}

/// Adds the row that follows; of rows that begin at one moment the last counts.
pub(super) fn follow<R: Dated>(rows: &mut Vec<R>, mut row: R) {
    let begin = *row.span().0;
    if let Some(last) = rows.last_mut() {
        let (last_begin, last_end) = last.span();
        if *last_begin == begin {
            *last = row;
            return;
        }
        *last_end = Some(begin);
    }
    rows.push(row);
}
