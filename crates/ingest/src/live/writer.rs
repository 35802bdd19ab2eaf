//! The one thread that writes the log: finds repeats, appends a group, syncs, answers.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use events::{Event, Reject, RejectCode, UtcMicros};
use hashbrown::HashSet;
use store::{
    QuarantineRow, Space, Store,
    wal::{FrameIn, Kind, Wal},
};

use super::{
    Answer, Delivery, LineError, LiveSettings, OnError, Receipt, Refusal,
    applier::Unit,
    delivery::{Incoming, Rejected},
    payload,
    state::{Committed, Shared},
    window::IdWindow,
};
use crate::{dedupe::id_conflict, limits, retention::too_old};

/// Without traffic for this long the log gets a barrier, and the disk is looked at.
const IDLE: Duration = Duration::from_secs(1);
/// The writer waits for a flush at most this long before it goes on.
const STALL_MAX: Duration = Duration::from_secs(2);
/// Deliveries beyond this many bytes are the next group.
const GROUP_BYTES: usize = 4 << 20;

/// Work for the writer.
pub(super) enum Job {
    Delivery {
        delivery: Box<Delivery>,
        on_error: OnError,
        bytes: u64,
        answer: Answer,
    },
    /// Everything up to this sequence is in Parquet.
    Released(u64),
    /// Events were let go, received then and with these ids.
    Forget(Vec<(UtcMicros, u64)>),
    /// Take no more.
    Stop,
    /// The applier has gone: end.
    Ended,
}

/// What a writer is made of.
pub(super) struct Parts {
    pub store: Arc<Store>,
    pub settings: Arc<LiveSettings>,
    pub shared: Arc<Shared>,
    pub wal: Wal,
    pub window: IdWindow,
    pub units: Sender<Unit>,
}

/// See the module.
pub(super) struct Writer {
    parts: Parts,
    last_time: UtcMicros,
    /// Was something written since the last barrier?
    dirty: bool,
    looked_at_disk: Option<Instant>,
}

/// A group on its way into the log.
struct Group {
    recorded_at: UtcMicros,
    /// Payloads of the events frames, with their numbers of events.
    frames: Vec<(Vec<u8>, u32)>,
    events: Vec<Event>,
    ids: Vec<u64>,
    rejects: Vec<QuarantineRow>,
    receipts: Vec<(Receipt, Answer)>,
}

impl Writer {
    pub fn new(parts: Parts) -> Self {
        let last_time = parts.store.version().recorded_at.unwrap_or_default();
        parts.shared.window_moved(&parts.window);
        Writer {
            parts,
            last_time,
            dirty: false,
            looked_at_disk: None,
        }
    }

    /// Works until the applier has gone.
    pub fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            self.look_at_disk();
            match jobs.recv_timeout(IDLE) {
                Ok(Job::Ended) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(job) => {
                    if !self.take(job, jobs) {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.idle(),
            }
        }
        if !self.parts.shared.is_stopped()
            && let Err(error) = self.parts.wal.seal()
        {
            tracing::warn!(%error, "the log could not be ended cleanly");
        }
    }

    /// Handles a job and the deliveries that have arrived behind it; `false` at the end.
    fn take(&mut self, first: Job, jobs: &Receiver<Job>) -> bool {
        let mut deliveries = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Delivery {
                    delivery,
                    on_error,
                    bytes: queued,
                    answer,
                } => {
                    bytes += delivery.bytes();
                    deliveries.push((*delivery, on_error, queued, answer));
                }
                Job::Released(seq) => self.release(seq),
                Job::Forget(ids) => self.parts.window.forget(&ids),
                Job::Stop => {
                    self.commit(std::mem::take(&mut deliveries));
                    // If the applier has gone, its last message is on the way.
                    let _ = self.parts.units.send(Unit::Stop);
                }
                Job::Ended => {
                    self.commit(deliveries);
                    return false;
                }
            }
            next = (bytes < GROUP_BYTES)
                .then(|| jobs.try_recv().ok())
                .flatten();
        }
        self.commit(deliveries);
        true
    }

    fn idle(&mut self) {
        if self.dirty && !self.parts.shared.is_stopped() {
            match self.parts.wal.barrier() {
                Ok(_) => self.dirty = false,
                // The log goes on in a new segment.
                Err(error) => tracing::warn!(%error, "no barrier in the log"),
            }
        }
    }

    fn release(&mut self, seq: u64) {
        if let Err(error) = self.parts.wal.release(seq) {
            tracing::warn!(%error, "segments of the log that are not needed stay");
        }
        let wal = &self.parts.wal;
        self.parts
            .shared
            .released(wal.bytes(), wal.segments() as u64);
    }

    fn look_at_disk(&mut self) {
        if self.looked_at_disk.is_some_and(|at| at.elapsed() < IDLE) {
            return;
        }
        self.looked_at_disk = Some(Instant::now());
        let Parts {
            store, settings, ..
        } = &self.parts;
        let space = store.disk_space();
        let low = space.is_some_and(|s| s.free < settings.reserve_bytes(s));
        self.parts.shared.disk(space.map(|s| s.free), low);
        let ballast = settings.ballast_bytes;
        // Only where it does not take what it was given up for.
        let is_room = |s: Space| s.free > settings.reserve_bytes(s).saturating_add(2 * ballast);
        if ballast > 0
            && space.is_some_and(is_room)
            && let Err(error) = store.take_ballast(ballast)
        {
            tracing::warn!(%error, "no ballast");
        }
    }

    /// Strictly later than everything before, whatever the clock does.
    fn next_time(&mut self) -> UtcMicros {
        let now = (self.parts.settings.clock)();
        self.last_time = now.max(UtcMicros(self.last_time.0.saturating_add(1)));
        self.last_time
    }

    fn commit(&mut self, deliveries: Vec<(Delivery, OnError, u64, Answer)>) {
        if deliveries.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.parts.shared);
        shared.wait_for_room(STALL_MAX);
        let mut group = Group::new(self.next_time());
        self.parts.window.expire(group.recorded_at);
        shared.window_moved(&self.parts.window);
        for (delivery, on_error, queued, answer) in deliveries {
            shared.leave(queued);
            if shared.is_stopped() {
                answer(Err(shared.stopped_refusal()));
                continue;
            }
            match self.add(delivery, on_error, &mut group) {
                Ok(receipt) => group.receipts.push((receipt, answer)),
                Err(error) => answer(Err(Refusal::Stopped {
                    reason: error.to_string(),
                })),
            }
        }
        self.write(group);
    }

    /// Puts what is new of a delivery into the group.
    fn add(
        &mut self,
        delivery: Delivery,
        on_error: OnError,
        group: &mut Group,
    ) -> store::Result<Receipt> {
        let mut long_ago = delivery.long_ago;
        // Nothing to do, but for a day that has left the window since the delivery was queued.
        let before = self.parts.window.long_ago();
        long_ago.look_up(&self.parts.store, &delivery.events, before)?;
        let floors = self.parts.store.version().floors;
        let mut receipt = Receipt::default();
        let mut fresh = Vec::new();
        let mut own: HashSet<u64> = HashSet::new();
        let mut own_repeats = 0;
        let mut bad: Vec<(LineError, Option<QuarantineRow>)> = Vec::new();
        for rejected in delivery.rejects {
            bad.push(self.bad(rejected, None, group.recorded_at));
        }
        for incoming in delivery.events {
            let find = |id| self.parts.window.find(id).or_else(|| long_ago.find(id));
            let known = find(incoming.id_hash);
            let row_is_known = incoming.row.is_some_and(|last| find(last).is_some());
            if known == Some(incoming.content) || row_is_known {
                receipt.duplicate += 1;
                own_repeats += u64::from(own.contains(&incoming.id_hash));
                continue;
            }
            let reject = match known {
                Some(_) => Some(id_conflict(&incoming.event)),
                None => too_old(&incoming.event, floors),
            };
            if let Some(reject) = reject {
                let rejected = refused(&incoming, &delivery.encoded, reject);
                let source = incoming.event.source.clone();
                bad.push(self.bad(rejected, Some(source), group.recorded_at));
                continue;
            }
            let Incoming {
                id_hash, content, ..
            } = incoming;
            self.parts
                .window
                .insert(group.recorded_at, id_hash, content);
            own.insert(id_hash);
            fresh.push(incoming);
        }
        receipt.rejected = bad.len() as u64;
        let too_old = |(error, _): &&(LineError, _)| error.code == RejectCode::TooOld;
        receipt.too_old = bad.iter().filter(too_old).count() as u64;
        bad.sort_by_key(|(error, _)| error.line);
        let (errors, rows): (Vec<_>, Vec<_>) = bad.into_iter().unzip();
        if on_error == OnError::RejectAll && !errors.is_empty() {
            // Their first copies are in this delivery, and are not stored.
            receipt.duplicate -= own_repeats;
            fresh
                .iter()
                .for_each(|i| self.parts.window.remove(i.id_hash));
        } else {
            receipt.accepted = fresh.len() as u64;
            group.rejects.extend(rows.into_iter().flatten());
            group.take(fresh, &delivery.encoded);
        }
        receipt.errors_truncated = errors.len() > limits::RECEIPT_ERRORS_MAX;
        receipt.errors = errors;
        receipt.errors.truncate(limits::RECEIPT_ERRORS_MAX);
        Ok(receipt)
    }

    /// What the sender is told of a line, and what is kept of it: nothing if it is of what was let go.
    fn bad(
        &self,
        rejected: Rejected,
        source: Option<events::Text>,
        received_at: UtcMicros,
    ) -> (LineError, Option<QuarantineRow>) {
        let is_kept = rejected.reject.code.is_kept();
        let error = rejected.error();
        (
            error,
            is_kept.then(|| self.row(rejected, source, received_at)),
        )
    }

    fn row(
        &self,
        rejected: Rejected,
        source: Option<events::Text>,
        received_at: UtcMicros,
    ) -> QuarantineRow {
        let settings = &self.parts.settings;
        QuarantineRow {
            tenant_id: settings.tenant_id.clone(),
            source: source
                .or_else(|| settings.default_source.clone())
                .unwrap_or_default(),
            line: i64::try_from(rejected.line).ok(),
            file: None,
            received_at,
            reason: rejected.reject.code.as_str().into(),
            detail: crate::quarantine::detail(&rejected.reject),
            raw: rejected.raw,
        }
    }

    /// Makes the group durable, answers, and hands it on.
    fn write(&mut self, mut group: Group) {
        if group.is_empty() {
            return self.answer(group.receipts, self.parts.wal.last_seq());
        }
        let rejects = reject_payloads(&group.rejects);
        let events = group.frames.iter().map(|payload| (Kind::Events, payload));
        let rejects = rejects.iter().map(|payload| (Kind::Rejects, payload));
        let payloads: Vec<(Kind, u32, [&[u8]; 1])> = events
            .chain(rejects)
            .map(|(kind, (payload, rows))| (kind, *rows, [&payload[..]]))
            .collect();
        let frames: Vec<FrameIn<'_>> = payloads
            .iter()
            .map(|(kind, rows, payload)| FrameIn {
                kind: *kind,
                rows: *rows,
                payload,
            })
            .collect();
        let begun = Instant::now();
        let bytes: u64 = payloads.iter().map(|(.., p)| p[0].len() as u64).sum();
        match self.parts.wal.append(&frames) {
            Ok(seq) => {
                self.dirty = true;
                self.note(&group, seq, bytes, begun.elapsed());
                let receipts = std::mem::take(&mut group.receipts);
                self.answer(receipts, seq);
                let unit = Unit::Group {
                    seq,
                    bytes,
                    recorded_at: group.recorded_at,
                    events: group.events,
                    rejects: group.rejects,
                };
                // Without an applier the ingest has stopped; the log has it all.
                let _ = self.parts.units.send(unit);
            }
            Err(error) => self.refuse(group, &error),
        }
    }

    fn note(&self, group: &Group, seq: u64, bytes: u64, sync: Duration) {
        let Parts { wal, window, .. } = &self.parts;
        self.parts.shared.committed(&Committed {
            seq,
            accepted: group.events.len() as u64,
            duplicate: 0,
            rejected: 0,
            bytes,
            sync,
            wal_bytes: wal.bytes(),
            wal_segments: wal.segments() as u64,
            wal_poisoned: wal.poisoned(),
            window_ids: window.len() as u64,
            window_bytes: window.bytes() as u64,
        });
    }

    fn answer(&self, receipts: Vec<(Receipt, Answer)>, seq: u64) {
        for (mut receipt, answer) in receipts {
            self.parts
                .shared
                .answered(receipt.duplicate, receipt.rejected);
            receipt.committed_seq = seq;
            answer(Ok(receipt));
        }
    }

    /// The log could not be written: nobody may be told that anything is stored.
    fn refuse(&mut self, group: Group, error: &store::Error) {
        group
            .ids
            .iter()
            .for_each(|id| self.parts.window.remove(*id));
        tracing::warn!(%error, "a group could not be written");
        if self.parts.wal.stopped().is_some() {
            self.parts.shared.stop(&error.to_string());
        }
        let refusal = match error {
            store::Error::DiskFull { .. } => Refusal::DiskFull {
                retry_after: Duration::from_secs(5),
            },
            _ => Refusal::Stopped {
                reason: error.to_string(),
            },
        };
        for (_, answer) in group.receipts {
            answer(Err(refusal.clone()));
        }
    }
}

impl Group {
    fn new(recorded_at: UtcMicros) -> Self {
        Group {
            recorded_at,
            frames: Vec::new(),
            events: Vec::new(),
            ids: Vec::new(),
            rejects: Vec::new(),
            receipts: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.rejects.is_empty()
    }

    /// Takes events with their lines.
    fn take(&mut self, fresh: Vec<Incoming>, encoded: &[u8]) {
        for incoming in fresh {
            let line = &encoded[incoming.start..incoming.end];
            let full = |(payload, _): &(Vec<u8>, u32)| payload.len() + line.len() > GROUP_BYTES;
            if self.frames.last().is_none_or(full) {
                let mut payload = Vec::with_capacity(encoded.len().min(GROUP_BYTES) + 8);
                payload::begin_events(&mut payload, self.recorded_at);
                self.frames.push((payload, 0));
            }
            if let Some((payload, rows)) = self.frames.last_mut() {
                payload.extend_from_slice(line);
                *rows += 1;
            }
            let mut event = incoming.event;
            event.recorded_at = self.recorded_at;
            self.ids.push(incoming.id_hash);
            self.events.push(event);
        }
    }
}

/// Payloads of the rejects frames, with their numbers of lines.
fn reject_payloads(rows: &[QuarantineRow]) -> Vec<(Vec<u8>, u32)> {
    let mut payloads: Vec<(Vec<u8>, u32)> = Vec::new();
    for row in rows {
        if payloads.last().is_none_or(|(p, _)| p.len() > GROUP_BYTES) {
            payloads.push((Vec::new(), 0));
        }
        if let Some((payload, rows)) = payloads.last_mut() {
            payload::write_reject(payload, row);
            *rows += 1;
        }
    }
    payloads
}

fn refused(incoming: &Incoming, encoded: &[u8], reject: Reject) -> Rejected {
    let raw = &encoded[incoming.start..incoming.end];
    Rejected {
        line: incoming.line,
        event_id: Some(incoming.event.event_id.to_string()),
        raw: raw.trim_ascii_end().to_vec(),
        reject,
    }
}
