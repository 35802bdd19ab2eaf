//! Live ingest: what arrives is on the disk before it is acknowledged, and in the facts at once.
//!
//! ```text
//! any thread   Delivery: decode, hide identities, write the bytes for the log
//!    |
//! writer       find repeats -> write-ahead log, one fdatasync per group -> answer
//!    |
//! applier      fold -> commit in memory: queries see it          flusher
//!    |              enough or old enough ---- events to Parquet ---->|
//!    |'--- facts to Parquet, manifest edit: the log can be let go <---'
//!    |
//!    '<---- once a day: contacts that were kept long enough, found beside all of it   retainer
//! ```
//!
//! One delivery is one answer. It comes when everything in it is durable: new events and rejected
//! lines because this call wrote them, duplicates because the first copy is. A group is what
//! arrived while the group before was being synced.

mod applier;
mod behind;
mod delivery;
mod flusher;
mod follow;
mod long_ago;
mod payload;
mod recover;
mod repair;
mod retainer;
mod scrubber;
mod state;
pub(crate) mod window;
mod writer;

use std::{
    fmt,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use events::{RejectCode, Text, UtcMicros};
use facts::{FoldError, FoldSettings, Folder};
use store::{Space, Store, wal::Wal};

pub use delivery::{Delivery, OnError};
pub use follow::{Follow, FollowError, Grammar, Polled};
pub use payload::PayloadError;
pub use recover::{Recovered, Replayed, Watching, recover};
pub use repair::{Findings, Lost, Repaired, examine, repair};
pub use state::LiveState;

use crate::IdentityKey;
use state::Shared;
use writer::Job;

/// Tells the time of receipt.
pub type Clock = Arc<dyn Fn() -> UtcMicros + Send + Sync>;

/// What live ingest has to be told.
#[derive(Clone)]
pub struct LiveSettings {
    /// The tenant that is written to.
    pub tenant_id: Text,
    /// Source of lines that name none.
    pub default_source: Option<Text>,
    /// Key of the tokens that stand for identities.
    pub identity_key: IdentityKey,
    /// How events are folded.
    pub fold: FoldSettings,
    /// Time of receipt.
    pub clock: Clock,
    /// Bytes of events that wait for Parquet: at half of it a flush begins, at all of it the
    /// writer waits, at twice as much deliveries are refused.
    pub budget_bytes: u64,
    /// Bytes of deliveries that wait for the writer; more are refused.
    pub queue_bytes: u64,
    /// Age at which events go to Parquet even if they are few.
    pub flush_age: Duration,
    /// Free bytes of the disk below which nothing is taken: this many, or 5 % if that is more.
    pub disk_reserve_bytes: u64,
    /// Bytes that are kept on the disk to be given up when it is full: what brings events to
    /// Parquet, and so makes room, can go on then.
    pub ballast_bytes: u64,
    /// Days after which rejected lines go, in whole UTC days; `None`: never.
    pub keep_rejected_days: Option<u32>,
    /// Days that contacts are kept after their last event, in whole UTC days; `None`: for ever.
    pub keep_days: Option<u32>,
    /// Time between two looks whether contacts have to go, and before the first one. They go once a
    /// day; a program that starts again and again lets none go.
    pub retain_every: Duration,
    /// How long it takes to compare the hashes of all data files once, in the background.
    pub scrub_period: Duration,
    /// Random bytes, different at each start.
    pub seed: [u8; 32],
}

impl LiveSettings {
    /// Free bytes of a disk below which nothing is taken.
    fn reserve_bytes(&self, disk: Space) -> u64 {
        self.disk_reserve_bytes.max(disk.total / 20)
    }

    /// The usual settings.
    pub fn new(identity_key: IdentityKey, clock: Clock, seed: [u8; 32]) -> Self {
        LiveSettings {
            tenant_id: events::DEFAULT_TENANT.into(),
            default_source: None,
            identity_key,
            fold: FoldSettings::default(),
            clock,
            budget_bytes: 256 << 20,
            queue_bytes: 64 << 20,
            flush_age: Duration::from_secs(30),
            disk_reserve_bytes: 256 << 20,
            ballast_bytes: 64 << 20,
            keep_rejected_days: None,
            keep_days: None,
            retain_every: Duration::from_secs(10 * 60),
            scrub_period: Duration::from_secs(12 * 60 * 60),
            seed,
        }
    }
}

impl fmt::Debug for LiveSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveSettings")
            .field("tenant_id", &self.tenant_id)
            .field("budget_bytes", &self.budget_bytes)
            .field("flush_age", &self.flush_age)
            .finish_non_exhaustive()
    }
}

/// What became of the lines of a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// New events.
    pub accepted: u64,
    /// Events that were stored before, or came twice.
    pub duplicate: u64,
    /// Lines that were not taken.
    pub rejected: u64,
    /// Those of them that are [`RejectCode::TooOld`].
    pub too_old: u64,
    /// The first of them.
    pub errors: Vec<LineError>,
    /// Are there more?
    pub errors_truncated: bool,
    /// Sequence of the log that is durable: queries that wait for it see all of the delivery.
    pub committed_seq: u64,
}

/// A line that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Line of the delivery, from 1.
    pub line: u64,
    /// The event's id, as far as it can be told.
    pub event_id: Option<String>,
    /// What is wrong, in one word.
    pub code: RejectCode,
    /// What is wrong, in a sentence.
    pub reason: String,
}

/// Why a delivery was not taken at all. Nothing of it is stored, or nobody knows: sending it again
/// does no harm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More comes in than can be written.
    #[error("more arrives than can be written: try again in {} s", .retry_after.as_secs())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too little room on the disk.
    #[error("the disk is nearly full: try again in {} s", .retry_after.as_secs())]
    DiskFull {
        /// When to try again.
        retry_after: Duration,
    },
    /// Nothing is taken until the program is started again.
    #[error("ingest has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

/// Why live ingest could not begin.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Earlier events of a contact cannot be had.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The log holds what this program did not write.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Whoever watched the replay has ended it. The log keeps what it had.
    #[error("told to end before the log was replayed")]
    Interrupted,
}

impl LiveError {
    /// Is it a damaged data file? Then nothing can be taken before a repair, and what does not need
    /// the file goes on.
    fn is_data_damage(&self) -> bool {
        let damage = |error: &store::Error| matches!(error, store::Error::Damaged { .. });
        match self {
            LiveError::Store(error) => damage(error),
            LiveError::Fold(FoldError::History(error)) => {
                error.0.downcast_ref::<store::Error>().is_some_and(damage)
            }
            LiveError::Payload(_) | LiveError::Interrupted => false,
        }
    }
}

type Answer = Box<dyn FnOnce(Result<Receipt, Refusal>) + Send>;

/// Takes deliveries. A handle: clones share the same threads.
#[derive(Clone)]
pub struct LiveIngest {
    settings: Arc<LiveSettings>,
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    /// Threads that nobody sends anything end when these go.
    ends: Arc<Mutex<Vec<mpsc::Sender<()>>>>,
}

/// What the data that queries see are to what was confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was ever taken here: all there is was brought.
    Unused,
    /// Events are taken: what is not there has not happened, but for the moment that a fold takes.
    Taking,
    /// Nothing is taken until the next start, and everything that was confirmed is there.
    Stopped,
    /// Nothing is taken until the next start, and some of what was confirmed is only in the log.
    Behind,
}

/// What a start has brought together.
struct Begun {
    wal: Wal,
    folder: Folder,
    window: window::IdWindow,
    recovered: Recovered,
}

impl Begun {
    fn begin(
        store: &Store,
        settings: &Arc<LiveSettings>,
        watching: Watching<'_>,
    ) -> Result<Self, LiveError> {
        let is_low = |disk: Space| disk.free < settings.reserve_bytes(disk);
        if store.disk_space().is_some_and(is_low) {
            store.free_ballast();
        }
        let (now, seq) = ((settings.clock)(), store.version().committed_seq);
        // Before the log is opened, and lets go what is in files: they may be damaged.
        let mut window = window::IdWindow::default();
        window.load(store, 0, now)?;
        let (wal, folder, recovered) = recover::replay(store, settings, watching)?;
        window.load(store, seq, now)?;
        Ok(Begun {
            wal,
            folder,
            window,
            recovered,
        })
    }
}

impl fmt::Debug for LiveIngest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveIngest").finish_non_exhaustive()
    }
}

impl LiveIngest {
    /// Replays what the write-ahead log has and Parquet has not, then takes deliveries. If a
    /// damaged data file is in the way, it starts all the same and refuses deliveries: queries
    /// that do not need the file may go on, unless the log has what they would lack
    /// ([`Standing::Behind`]).
    ///
    /// # Errors
    /// When the store or its log cannot be read; a damaged log says what is lost and how to go on.
    pub fn start(
        store: Arc<Store>,
        settings: LiveSettings,
    ) -> Result<(LiveIngest, Recovered), LiveError> {
        LiveIngest::start_watched(store, settings, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`LiveIngest::start`], for somebody who wants to know how far the replay is, and may end it.
    ///
    /// # Errors
    /// As there; [`LiveError::Interrupted`] if it was ended.
    pub fn start_watched(
        store: Arc<Store>,
        settings: LiveSettings,
        watching: Watching<'_>,
    ) -> Result<(LiveIngest, Recovered), LiveError> {
        let settings = Arc::new(settings);
        match Begun::begin(&store, &settings, watching) {
            Ok(begun) => Ok(LiveIngest::run(&store, &settings, begun)),
            Err(error) if error.is_data_damage() => {
                let last_row = recover::last_row(&store);
                let found = Recovered {
                    last_seq: last_row.unwrap_or_else(|| store.version().arrived_seq),
                    ..Recovered::default()
                };
                let shared = Shared::new(&store, settings.budget_bytes, &found, None);
                shared.unfinished(last_row);
                shared.stop(&error.to_string());
                let live = LiveIngest {
                    settings,
                    shared: Arc::new(shared),
                    jobs: mpsc::channel().0,
                    threads: Arc::default(),
                    ends: Arc::default(),
                };
                Ok((live, found))
            }
            Err(error) => Err(error),
        }
    }

    fn run(
        store: &Arc<Store>,
        settings: &Arc<LiveSettings>,
        begun: Begun,
    ) -> (LiveIngest, Recovered) {
        let found = begun.recovered;
        let budget = settings.budget_bytes;
        let shared = Arc::new(Shared::new(store, budget, &found, Some(&begun.wal)));
        let (jobs, job_queue) = mpsc::channel();
        let (units, unit_queue) = mpsc::channel();
        let (tasks, task_queue) = mpsc::channel();
        let (scrub, scrub_end) = mpsc::channel();
        let mut ends = vec![scrub];
        let writer = writer::Writer::new(writer::Parts {
            store: Arc::clone(store),
            settings: Arc::clone(settings),
            shared: Arc::clone(&shared),
            wal: begun.wal,
            window: begun.window,
            units: units.clone(),
        });
        let applier = applier::Applier::new(applier::Parts {
            store: Arc::clone(store),
            settings: Arc::clone(settings),
            shared: Arc::clone(&shared),
            folder: begun.folder,
            tasks,
            jobs: jobs.clone(),
            buffered: found.buffered_bytes,
        });
        let retainer = settings.keep_days.map(|keep_days| retainer::Retainer {
            store: Arc::clone(store),
            shared: Arc::clone(&shared),
            settings: Arc::clone(settings),
            units: units.clone(),
            jobs: jobs.clone(),
            keep_days,
        });
        let flusher = flusher::Flusher {
            store: Arc::clone(store),
            shared: Arc::clone(&shared),
            settings: Arc::clone(settings),
            answers: units,
        };
        let scrubber = scrubber::Scrubber {
            store: Arc::clone(store),
            shared: Arc::clone(&shared),
            settings: Arc::clone(settings),
        };
        let mut threads = vec![
            spawn("wal-writer", &shared, move || writer.run(&job_queue)),
            spawn("fold", &shared, move || applier.run(&unit_queue)),
            spawn("flush", &shared, move || flusher.run(&task_queue)),
            spawn("scrub", &shared, move || scrubber.run(&scrub_end)),
        ];
        if let Some(retainer) = retainer {
            let (end, ended) = mpsc::channel();
            ends.push(end);
            threads.push(spawn("retain", &shared, move || retainer.run(&ended)));
        }
        let live = LiveIngest {
            settings: Arc::clone(settings),
            shared,
            jobs,
            threads: Arc::new(Mutex::new(threads)),
            ends: Arc::new(Mutex::new(ends)),
        };
        (live, found)
    }

    /// An empty delivery.
    pub fn delivery(&self) -> Delivery {
        Delivery::new(Arc::clone(&self.settings))
    }

    /// Queues a delivery, once the files were asked for its events of long ago; `answer` is called
    /// from another thread once it is durable, or at once from this one if it is refused.
    pub fn deliver(&self, mut delivery: Delivery, on_error: OnError, answer: Answer) {
        let bytes = delivery.bytes() as u64;
        if let Err(refusal) = self.shared.admit(bytes, &self.settings) {
            return answer(Err(refusal));
        }
        if let Err(error) = self.shared.look_up(&mut delivery) {
            self.shared.leave(bytes);
            let reason = error.to_string();
            return answer(Err(Refusal::Stopped { reason }));
        }
        let job = Job::Delivery {
            delivery: Box::new(delivery),
            on_error,
            bytes,
            answer,
        };
        if let Err(mpsc::SendError(Job::Delivery { answer, .. })) = self.jobs.send(job) {
            self.shared.leave(bytes);
            answer(Err(self.shared.stopped_refusal()));
        }
    }

    /// As [`LiveIngest::deliver`], waiting for the answer.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn deliver_and_wait(
        &self,
        delivery: Delivery,
        on_error: OnError,
    ) -> Result<Receipt, Refusal> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let answer = Box::new(move |result| {
            // Nobody waits any more: the program is ending.
            let _ = sender.send(result);
        });
        self.deliver(delivery, on_error, answer);
        receiver
            .recv()
            .unwrap_or_else(|_| Err(self.shared.stopped_refusal()))
    }

    /// What may be said about what queries see. Cheap: for every query.
    pub fn standing(&self) -> Standing {
        self.shared.standing()
    }

    /// How it is doing.
    pub fn state(&self) -> LiveState {
        self.shared.snapshot()
    }

    /// Waits until queries see everything up to a sequence; `false` if they do not in time.
    pub fn wait_applied(&self, seq: u64, at_most: Duration) -> bool {
        self.shared.wait_applied(seq, at_most)
    }

    /// Takes no more, writes everything to Parquet and ends the log cleanly. Blocks until done.
    ///
    /// # Errors
    /// [`Refusal::Stopped`] if that was not possible; what was acknowledged is in the log.
    pub fn shut_down(&self) -> Result<(), Refusal> {
        self.shared.close();
        self.ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        // A writer that has gone already needs no telling.
        let _ = self.jobs.send(Job::Stop);
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                self.shared.panicked();
            }
        }
        self.shared.outcome()
    }
}

/// Says so when a thread ends in a panic: nobody must wait for it.
struct StopOnPanic(Arc<Shared>);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked();
        }
    }
}

fn spawn(name: &str, shared: &Arc<Shared>, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let guard = StopOnPanic(Arc::clone(shared));
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let _guard = guard;
            work();
        })
        .expect("the system can start a thread")
}
