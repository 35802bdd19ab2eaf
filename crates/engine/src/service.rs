//! The one way from a wire to a query.
//!
//! [`QueryService::plan`] checks and plans a statement and fixes all that a client is told
//! beforehand; [`QueryService::run`] waits for its turn and gives the rows. Every limit holds
//! here, so that no door can forget one: planning has a stack and a deadline of its own; queries
//! work on their own threads and never on the network's; each has a deadline that also holds when
//! it does not listen, a share of the memory, and a bounded channel to its reader. A query ends
//! when its reader is dropped, when it is cancelled, at its deadline, and with the service.
//!
//! Messages of errors hold no value of the data, no path and no plan.

mod clock;
mod counts;
mod error;
mod gate;
mod hazards;
mod limits;
mod listening;
mod memory;
mod params;
mod planned;
mod planners;
mod relations;
mod running;
mod stream;

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arrow::array::ArrayRef;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use futures::FutureExt;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};

use crate::request::{KpiAnswer, KpiRequest};
use crate::session::SessionSettings;
use crate::{Engine, EngineError};
use clock::{Alarm, Clock};
use counts::{Counts, Phase, Phases, Timed};
use gate::Gate;
use limits::{BATCHES_BUFFERED, QUERY_SHARE, STACK_BYTES, WATCH_EVERY};
use memory::{QueryPool, TotalMemory};
use planned::Asked;
use planners::Planners;
use running::{Entry, Held, Reader, Registered, Registry, Stop};
use stream::Sink;

pub use counts::{PhaseTimes, QueryStats};
pub use error::{ErrorKind, Position, QueryError};
pub(crate) use error::{of_schema, unknown_name};
pub use limits::QueryLimits;
pub use planned::Planned;
pub use relations::{Relation, RelationKind};
pub use running::{QueryState, RunningQuery};
pub use stream::ResultStream;

/// Who asks: shown in lists of running queries, and whose queries they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Name of the token, or `local`.
    pub name: Arc<str>,
    /// May others' queries be seen and cancelled?
    pub sees_all: bool,
    /// May lines that were refused be read as they came (`facts.quarantine`)?
    pub sees_raw: bool,
}

/// How a planned statement is to be run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// How long it may take, waiting and reading included; never longer than the service allows.
    pub deadline: Option<Duration>,
    /// The time that `deadline` is the rest of: what whoever asked has set, and is told.
    pub allowed: Option<Duration>,
    /// Rows wanted; more are left out, and the result says so.
    pub rows: Option<u64>,
    /// Give the engine's own types, not those of the wire.
    pub native: bool,
}

/// Plans and runs queries; see the module. Clones share everything.
#[derive(Clone)]
pub struct QueryService {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<Engine>,
    limits: Arc<QueryLimits>,
    /// Always there until the end; see `Drop`.
    runtime: Option<Runtime>,
    clock: Clock,
    planners: Planners,
    gate: Gate,
    registry: Arc<Registry>,
    counts: Arc<Counts>,
    phases: Arc<Phases>,
    total: Arc<TotalMemory>,
    /// Spill folder, caches and object store that all queries share.
    shared: Arc<RuntimeEnv>,
    /// Sequence that the newest version has.
    arrived: watch::Receiver<u64>,
    /// Held, so that the store goes on telling.
    _arrivals: Arc<store::Listener>,
    /// Looks at the memory of the process from time to time.
    watch: Mutex<Option<Alarm>>,
}

impl Drop for Inner {
    /// A runtime must not be waited for where it may be dropped: inside of another.
    fn drop(&mut self) {
        self.registry.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl QueryService {
    /// Starts the threads of queries.
    ///
    /// # Errors
    /// The system gives no thread, or the spill folder cannot be used.
    pub fn start(engine: Arc<Engine>, limits: QueryLimits) -> io::Result<QueryService> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads.max(1))
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .build()?;
        let shared = shared_runtime(&engine, &limits).map_err(io::Error::other)?;
        let (arrived, arrivals) = arrivals(&engine);
        let inner = Arc::new(Inner {
            planners: Planners::new(runtime.handle().clone(), limits.waiting),
            runtime: Some(runtime),
            clock: Clock::start()?,
            gate: Gate::new(limits.running, limits.waiting),
            registry: Arc::default(),
            counts: Arc::default(),
            phases: Arc::default(),
            total: Arc::new(TotalMemory::new(limits.memory_bytes)),
            shared,
            limits: Arc::new(limits),
            engine,
            arrived,
            _arrivals: arrivals,
            watch: Mutex::default(),
        });
        if let Some(max) = inner.limits.process_bytes_max {
            watch_memory(Arc::downgrade(&inner), max);
        }
        Ok(QueryService { inner })
    }

    /// The engine that it asks.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.inner.engine
    }

    /// What queries may use.
    pub fn limits(&self) -> &QueryLimits {
        &self.inner.limits
    }

    /// Plans one statement over the newest version, which the result pins. `session` is what
    /// earlier statements of the same session have `SET`.
    ///
    /// # Errors
    /// A statement that does not parse, names what is not there, is refused, or takes too long to
    /// plan; and what reading the newest version can fail with.
    pub async fn plan(
        &self,
        caller: &Caller,
        text: &str,
        session: &SessionSettings,
    ) -> Result<Planned, QueryError> {
        let engine = Arc::clone(&self.inner.engine);
        let asked = Asked {
            caller: caller.clone(),
            text: text.into(),
            session: session.clone(),
        };
        let work = planned::plan(engine, asked);
        self.counted_failure(self.planning(work).await)
    }

    /// Runs a planned statement when its turn has come. `params` has one array of length 1 for
    /// each of `planned.params`, in their order; they are cast here.
    ///
    /// # Errors
    /// Parameters that are missing or cannot be read; too many queries; the deadline or the end
    /// of the service before the first row. What comes later comes with the rows.
    pub async fn run(
        &self,
        planned: &Planned,
        params: &[ArrayRef],
        options: RunOptions,
    ) -> Result<ResultStream, QueryError> {
        self.counted_failure(self.run_now(planned, params, options).await)
    }

    async fn run_now(
        &self,
        planned: &Planned,
        params: &[ArrayRef],
        options: RunOptions,
    ) -> Result<ResultStream, QueryError> {
        if planned.set.is_some() {
            let message = "a SET changes the session and has no rows";
            return Err(QueryError::new(ErrorKind::BadParameter, message));
        }
        let work = Arc::clone(&planned.work);
        let ready = work.ready(params)?;
        let deadline = self.allowed(options.deadline.or(work.asked.session.timeout));
        let time = Time {
            deadline,
            named: options.allowed.unwrap_or(deadline),
        };
        let admitted = self
            .admit(&work.asked.caller, &work.asked.text, time)
            .await?;
        let mut stopped = admitted.entry.stopped();
        let plan = match ready {
            Some(plan) => plan,
            None => {
                let (work, params) = (Arc::clone(&work), params.to_vec());
                let planning = self.planning(async move { work.physical(&params).await });
                tokio::select! {
                    biased;
                    why = stopped.wait() => return Err(why.error()),
                    plan = planning => plan?,
                }
            }
        };
        let plan = hazards::tamed(plan, &admitted.entry)?;
        let schema = match options.native {
            true => Arc::clone(planned.native_schema()),
            false => Arc::clone(&planned.schema),
        };
        let (batches, received) = mpsc::channel(BATCHES_BUFFERED);
        let Admitted {
            entry,
            runtime,
            alarm,
        } = admitted;
        let sink = Sink {
            schema: Arc::clone(&schema),
            native: options.native,
            rows: options.rows,
            limits: Arc::clone(&self.inner.limits),
            entry: Arc::clone(&entry),
            batches,
        };
        let task = work.snapshot.under(runtime).task(work.state());
        let counts = Arc::clone(&self.inner.counts);
        let reader = Reader(entry);
        self.inner
            .spawn(stream::drive(plan, task, sink, alarm, counts));
        Ok(ResultStream::new(schema, received, reader))
    }

    /// Answers a KPI request over the newest version.
    ///
    /// # Errors
    /// As [`Engine::kpi`], and the limits of every query.
    pub async fn kpi(
        &self,
        caller: &Caller,
        request: KpiRequest,
        deadline: Option<Duration>,
    ) -> Result<KpiAnswer, QueryError> {
        self.counted(self.kpi_now(caller, request, deadline).await)
    }

    async fn kpi_now(
        &self,
        caller: &Caller,
        request: KpiRequest,
        deadline: Option<Duration>,
    ) -> Result<KpiAnswer, QueryError> {
        let text: Arc<str> = format!("kpi {}", request.ids.join(", ")).into();
        let deadline = self.allowed(deadline);
        let time = Time {
            deadline,
            named: deadline,
        };
        let Admitted {
            entry,
            runtime,
            alarm,
        } = self.admit(caller, &text, time).await?;
        let reader = Reader(Arc::clone(&entry));
        let engine = Arc::clone(&self.inner.engine);
        let answer = async move {
            let snapshot = engine.snapshot().await?.under(runtime);
            engine.kpi_over(&snapshot, &request).await
        };
        let (send, answered) = oneshot::channel();
        let (mut ended, mut stopped) = (entry.stopped(), entry.stopped());
        self.inner.spawn(async move {
            let answer = AssertUnwindSafe(answer).catch_unwind();
            let done = tokio::select! {
                biased;
                why = ended.wait() => Err(why.error()),
                done = answer => match done {
                    Ok(done) => done.map_err(QueryError::from),
                    Err(_) => Err(QueryError::internal()),
                },
            };
            let _ = send.send(done);
        });
        let answer = tokio::select! {
            biased;
            why = stopped.wait() => Err(why.error()),
            done = answered => done.unwrap_or_else(|_| Err(Stop::Stopped.error())),
        };
        drop(alarm);
        reader.0.set_ended(false);
        answer
    }

    /// What the caller can read, by schema and name.
    ///
    /// # Errors
    /// What planning can fail with.
    pub async fn relations(&self, caller: &Caller) -> Result<Vec<Relation>, QueryError> {
        let engine = Arc::clone(&self.inner.engine);
        let raw = caller.sees_raw;
        let work = async move { relations::relations(&*engine.stored().await?, raw).await };
        // Every view is planned, which is done once: that takes longer than a statement may.
        let (planners, clock) = (&self.inner.planners, &self.inner.clock);
        planners.run(clock, self.inner.limits.deadline, work).await
    }

    /// The queries that the caller may see, oldest first.
    pub fn running(&self, caller: &Caller) -> Vec<RunningQuery> {
        self.inner.registry.shown_to(caller)
    }

    /// Ends a query. True: there is one of that id that the caller may see.
    pub fn cancel(&self, caller: &Caller, id: u64) -> bool {
        self.inner.registry.cancel(caller, id)
    }

    /// The sequence up to which queries see everything, told whenever it rises.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.inner.arrived.clone()
    }

    /// Does work of the house itself on the threads of queries, where it takes nobody's turn.
    /// `None`: the service has ended, or the work has panicked.
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (send, done) = oneshot::channel();
        self.inner.spawn(async move {
            // Nobody waits any more: then it was for nothing.
            let _ = send.send(work.await);
        });
        done.await.ok()
    }

    /// Waits until queries see everything up to a sequence of the log.
    ///
    /// # Errors
    /// The deadline, or the end of the service.
    pub async fn wait_for_seq(&self, seq: u64, deadline: Duration) -> Result<(), QueryError> {
        let mut arrived = self.inner.arrived.clone();
        if *arrived.borrow_and_update() >= seq {
            return Ok(());
        }
        let deadline = self.allowed(Some(deadline));
        let (rings, late) = oneshot::channel();
        let alarm = self.inner.clock.after(deadline, move || {
            let _ = rings.send(());
        });
        let seen = tokio::select! {
            seen = arrived.wait_for(|now| *now >= seq) => seen.is_ok(),
            _ = late => false,
        };
        drop(alarm);
        if seen {
            return Ok(());
        }
        let message = format!(
            "sequence {seq} is not there after {} ms",
            deadline.as_millis()
        );
        Err(QueryError::new(ErrorKind::Deadline, message))
    }

    /// Numbers for the operator.
    pub fn stats(&self) -> QueryStats {
        let inner = &self.inner;
        let (running, lingering) = inner.registry.counted();
        QueryStats {
            outcomes: inner.counts.all(),
            running,
            waiting: inner.gate.waiting(),
            lingering,
            stuck_planners: inner.planners.stuck(),
            memory_bytes: inner.total.used(),
            spilled_bytes: inner.shared.disk_manager.used_disk_space(),
            phases: inner.phases.all(),
        }
    }

    /// Ends all queries and refuses new ones.
    pub fn stop(&self) {
        self.inner.registry.stop();
    }

    /// How long somebody who asks for so long gets: never longer than the limit.
    pub fn allowed(&self, asked: Option<Duration>) -> Duration {
        let most = self.inner.limits.deadline;
        asked.map_or(most, |asked| asked.min(most))
    }

    async fn planning<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        if self.inner.registry.is_stopped() {
            return Err(Stop::Stopped.error());
        }
        let (planners, clock) = (&self.inner.planners, &self.inner.clock);
        let _timed = Timed::begin(&self.inner.phases, Phase::Plan);
        planners
            .run(clock, self.inner.limits.plan_deadline, work)
            .await
    }

    /// Waits for a place among the queries that run.
    async fn admit(
        &self,
        caller: &Caller,
        text: &Arc<str>,
        time: Time,
    ) -> Result<Admitted, QueryError> {
        let inner = &self.inner;
        let registered: Registered = inner.registry.open(caller, text)?;
        let entry = Arc::clone(registered.entry());
        let late = Arc::downgrade(&entry);
        let alarm = inner.clock.after(time.deadline, move || {
            if let Some(entry) = Weak::upgrade(&late) {
                entry.stop(Stop::Deadline(time.named));
            }
        });
        let mut stopped = entry.stopped();
        let waiting = Timed::begin(&inner.phases, Phase::Wait);
        let seat = tokio::select! {
            biased;
            why = stopped.wait() => return Err(why.error()),
            seat = inner.gate.enter() => seat.map_err(|_| QueryError::busy("wait"))?,
        };
        drop(waiting);
        entry.set_running();
        let running = Timed::begin(&inner.phases, Phase::Execute);
        let held = Held::new(registered, seat, running);
        let most = inner.limits.memory_bytes / QUERY_SHARE;
        let pool = QueryPool::new(most, Arc::clone(&inner.total), held);
        let runtime = RuntimeEnv {
            memory_pool: Arc::new(pool),
            ..inner.shared.as_ref().clone()
        };
        let runtime = Arc::new(runtime);
        Ok(Admitted {
            entry,
            runtime,
            alarm,
        })
    }

    fn counted<T>(&self, result: Result<T, QueryError>) -> Result<T, QueryError> {
        self.inner.counts.add(result.as_ref().err().map(|e| e.kind));
        result
    }

    /// A query that has begun is counted when it ends.
    fn counted_failure<T>(&self, result: Result<T, QueryError>) -> Result<T, QueryError> {
        if let Err(error) = &result {
            self.inner.counts.add(Some(error.kind));
        }
        result
    }
}

/// How long a query may take, and how long it is told that it may.
#[derive(Clone, Copy)]
struct Time {
    deadline: Duration,
    named: Duration,
}

/// A query that may run: dropped with its runtime environment, its place is free.
struct Admitted {
    entry: Arc<Entry>,
    runtime: Arc<RuntimeEnv>,
    alarm: Alarm,
}

impl Inner {
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(work);
        }
    }
}

/// What queries share but their memory.
fn shared_runtime(engine: &Engine, limits: &QueryLimits) -> Result<Arc<RuntimeEnv>, EngineError> {
    let mut builder = RuntimeEnvBuilder::from_runtime_env(engine.runtime());
    if let Some(folder) = &engine.settings().spill_dir {
        builder = builder.with_temp_file_path(folder);
    }
    let builder = builder.with_max_temp_directory_size(limits.spill_bytes);
    Ok(builder.build_arc()?)
}

/// The sequence of the newest version, told by the store whenever there is one.
fn arrivals(engine: &Engine) -> (watch::Receiver<u64>, Arc<store::Listener>) {
    let (sender, receiver) = watch::channel(0);
    let tell = move |version: &store::Version| {
        sender.send_modify(|known| *known = (*known).max(version.arrived_seq));
    };
    let listener: Arc<store::Listener> = Arc::new(tell);
    engine.on_version(&listener);
    // What came before the store was asked to tell.
    listener(&engine.version());
    (receiver, listener)
}

/// Looks now and then whether the process has too much memory.
fn watch_memory(inner: Weak<Inner>, max: u64) {
    let Some(strong) = inner.upgrade() else {
        return;
    };
    if memory::process_bytes().is_some_and(|bytes| bytes > max) {
        strong.registry.stop_largest();
    }
    let again = inner.clone();
    let alarm = strong
        .clock
        .after(WATCH_EVERY, move || watch_memory(again, max));
    *strong.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(alarm);
}

#[cfg(test)]
mod tests;
