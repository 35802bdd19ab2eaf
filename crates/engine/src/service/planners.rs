//! Planning, on threads with a large stack and under a deadline of its own.
//!
//! Planning does not listen: it cannot be ended. So a planner that is late is left behind and
//! counted, and when too many are, no statement is planned until one of them is through.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::clock::{Alarm, Clock};
use super::gate::{Gate, Seat};
use super::limits::{PLANNERS, STACK_BYTES, STUCK_MAX};
use super::{ErrorKind, QueryError};

/// See the module.
pub(super) struct Planners {
    handle: Handle,
    gate: Gate,
    stuck: Arc<AtomicUsize>,
}

/// A planner that works, or is late.
struct Job<T> {
    state: Mutex<State<T>>,
    stuck: Arc<AtomicUsize>,
}

struct State<T> {
    /// Taken by whoever answers: the planner or the clock.
    answer: Option<oneshot::Sender<Result<T, QueryError>>>,
    seat: Option<Seat>,
    /// Rings whether or not somebody still waits for the answer.
    alarm: Option<Alarm>,
}

impl<T> Job<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The planner is through; if it was late, one less is stuck.
    fn done(&self, result: Result<T, QueryError>) {
        let mut state = self.state();
        let alarm = state.alarm.take();
        match state.answer.take() {
            Some(answer) => {
                state.seat = None;
                let _ = answer.send(result);
            }
            None => {
                self.stuck.fetch_sub(1, Ordering::Relaxed);
            }
        }
        drop(state);
        // Its act holds this job.
        drop(alarm);
    }

    /// Others may plan while this one goes on.
    fn late(&self, deadline: Duration) {
        let mut state = self.state();
        if let Some(answer) = state.answer.take() {
            self.stuck.fetch_add(1, Ordering::Relaxed);
            state.seat = None;
            let message = format!("planning took longer than {} ms", deadline.as_millis());
            let error = QueryError::new(ErrorKind::TooComplex, message);
            let _ = answer.send(Err(
                error.with_hint("split the statement, or make it simpler")
            ));
        }
    }
}

impl Planners {
    pub(super) fn new(handle: Handle, waiting: usize) -> Planners {
        Planners {
            handle,
            gate: Gate::new(PLANNERS, waiting),
            stuck: Arc::default(),
        }
    }

    /// Planners that are late and still at work.
    pub(super) fn stuck(&self) -> usize {
        self.stuck.load(Ordering::Relaxed)
    }

    /// Does `work` on a thread of its own.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        clock: &Clock,
        deadline: Duration,
        work: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        if self.stuck() >= STUCK_MAX {
            return Err(QueryError::busy("are being planned"));
        }
        let seat = self
            .gate
            .enter()
            .await
            .map_err(|_| QueryError::busy("wait to be planned"))?;
        let (answer, answered) = oneshot::channel();
        let job = Arc::new(Job {
            state: Mutex::new(State {
                answer: Some(answer),
                seat: Some(seat),
                alarm: None,
            }),
            stuck: Arc::clone(&self.stuck),
        });
        let late = Arc::clone(&job);
        let alarm = clock.after(deadline, move || late.late(deadline));
        job.state().alarm = Some(alarm);
        if let Err(error) = self.spawn(Arc::clone(&job), work) {
            job.done(Err(error));
        }
        let result = answered.await;
        result.unwrap_or_else(|_| Err(QueryError::internal()))
    }

    fn spawn<T: Send + 'static>(
        &self,
        job: Arc<Job<T>>,
        work: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<(), QueryError> {
        let handle = self.handle.clone();
        let thread = std::thread::Builder::new()
            .name("query-planner".to_owned())
            .stack_size(STACK_BYTES);
        let spawned = thread.spawn(move || {
            let done = std::panic::catch_unwind(AssertUnwindSafe(|| handle.block_on(work)));
            job.done(done.unwrap_or_else(|_| Err(QueryError::internal())));
        });
        spawned.map(|_| ()).map_err(|error| {
            tracing::error!(%error, "no thread to plan on");
            QueryError::busy("are being planned")
        })
    }
}
