//! Comparing the hashes of all files again and again, for damage that nobody has asked about.

use std::time::Duration;

use events::UtcMicros;

use super::Store;
use crate::Error;

/// Goes through all data files, evenly over a period. The caller asks for the next step again and
/// again; one step reads one file.
#[derive(Debug)]
pub struct Scrub {
    period_micros: i64,
    pass: Option<Pass>,
}

/// One way through the files.
#[derive(Debug)]
struct Pass {
    began: UtcMicros,
    /// Bytes of all files, and of those that are done.
    total: u64,
    done: u64,
    /// Paths and sizes, the next one last.
    waiting: Vec<(String, u64)>,
}

/// What a step has found.
#[derive(Clone, Debug)]
pub enum Scrubbed {
    /// The file is as it was written.
    Whole,
    /// It is not: it is quarantined now.
    Damaged(Error),
    /// The system could not read it; the next pass tries again.
    Unreadable(Error),
}

impl Scrub {
    /// Begins with the first step; a pass takes so long, twice as long if the clock is set back.
    pub fn new(period: Duration) -> Self {
        Scrub {
            period_micros: i64::try_from(period.as_micros()).unwrap_or(i64::MAX).max(1),
            pass: None,
        }
    }

    /// Looks at the next file, if it is due at `now`.
    pub fn step(&mut self, store: &Store, now: UtcMicros) -> Option<Scrubbed> {
        let files = store.files()?;
        let period = self.period_micros;
        let is_over = |pass: &Pass| pass.waiting.is_empty() && pass.share_micros(now) >= period;
        if self.pass.as_ref().is_none_or(is_over) {
            let mut waiting = files.paths();
            waiting.reverse();
            self.pass = Some(Pass {
                began: now,
                total: waiting.iter().map(|(_, bytes)| bytes).sum::<u64>().max(1),
                done: 0,
                waiting,
            });
        }
        let pass = self.pass.as_mut()?;
        pass.began = pass.began.min(now);
        let due = i128::from(period) * i128::from(pass.done) / i128::from(pass.total);
        if i128::from(pass.share_micros(now)) < due {
            return None;
        }
        while let Some((path, bytes)) = pass.waiting.pop() {
            pass.done += bytes;
            match files.check_again(&path) {
                Ok(()) => return Some(Scrubbed::Whole),
                // It is needed no more.
                Err(Error::Gone { .. }) => {}
                Err(error @ Error::Damaged { .. }) => return Some(Scrubbed::Damaged(error)),
                Err(error) => return Some(Scrubbed::Unreadable(error)),
            }
        }
        None
    }
}

impl Pass {
    fn share_micros(&self, now: UtcMicros) -> i64 {
        now.0.saturating_sub(self.began.0)
    }
}
