//! Alarms, on a thread of their own.
//!
//! A deadline must hold when every query thread is busy with work that does not listen, so no
//! runtime's timer is used.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type Act = Box<dyn FnOnce() + Send>;

/// Calls back when it is time.
pub(super) struct Clock {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    due: Mutex<Due>,
    changed: Condvar,
}

#[derive(Default)]
struct Due {
    next: u64,
    acts: BTreeMap<(Instant, u64), Act>,
    ended: bool,
}

/// An alarm that has been set; dropped, it does not ring.
pub(super) struct Alarm {
    shared: Arc<Shared>,
    key: (Instant, u64),
}

impl Clock {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start() -> io::Result<Clock> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("query-clock".to_owned());
        thread.spawn(move || own.run())?;
        Ok(Clock { shared })
    }

    /// Calls `act` after a time, once. It is to be quick.
    pub(super) fn after(&self, time: Duration, act: impl FnOnce() + Send + 'static) -> Alarm {
        let mut due = self.shared.due();
        // A time that no clock reaches: a day is as good, nothing takes that long.
        let at = Instant::now();
        let at = at
            .checked_add(time)
            .unwrap_or(at + Duration::from_secs(86_400));
        let key = (at, due.next);
        due.next += 1;
        due.acts.insert(key, Box::new(act));
        self.shared.changed.notify_one();
        let shared = Arc::clone(&self.shared);
        Alarm { shared, key }
    }
}

impl Shared {
    /// Acts are run outside of the lock, and a panic leaves the map whole.
    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut due = self.due();
        while !due.ended {
            let now = Instant::now();
            let next = due.acts.first_key_value().map(|((at, _), _)| *at);
            due = match next {
                None => self
                    .changed
                    .wait(due)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(at) if at > now => {
                    let waited = self.changed.wait_timeout(due, at - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    let act = due.acts.pop_first();
                    drop(due);
                    if let Some((_, act)) = act {
                        act();
                    }
                    self.due()
                }
            };
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let mut due = self.shared.due();
        due.ended = true;
        // What the acts hold may hold alarms.
        let acts = std::mem::take(&mut due.acts);
        drop(due);
        self.shared.changed.notify_all();
        drop(acts);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let act = self.shared.due().acts.remove(&self.key);
        drop(act);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn alarms_ring_in_the_order_of_their_times_and_those_dropped_do_not() {
        let clock = Clock::start().expect("a thread");
        let (send, rung) = mpsc::channel();
        let alarm = |ms: u64, name: &'static str| {
            let send = send.clone();
            clock.after(Duration::from_millis(ms), move || {
                let _ = send.send(name);
            })
        };
        let _late = alarm(40, "late");
        let _early = alarm(10, "early");
        drop(alarm(20, "dropped"));
        let first = rung.recv_timeout(Duration::from_secs(10));
        assert_eq!(first, Ok("early"));
        assert_eq!(rung.recv_timeout(Duration::from_secs(10)), Ok("late"));
    }
}
