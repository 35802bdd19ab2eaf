//! What the server counts, and the Prometheus text of it and of the pipeline behind it.
//!
//! No label holds anything that a sender chose: routes are those that exist, everything else is
//! `other`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use engine::service::QueryStats;
use ingest::live::LiveState;

use crate::{DefinitionsState, live::LiveStats};

/// Upper bounds of histograms of times, in microseconds.
const BOUNDS_US: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// What is open now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open {
    pub connections: usize,
    /// Tickets and sessions, where there is a Flight door.
    pub flight: Option<(usize, usize)>,
    /// What the live board sends.
    pub live: LiveStats,
    /// Which KPI definitions are in use.
    pub definitions: Option<DefinitionsState>,
}

/// Counters of one server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    acks: Times,
    /// By door and what became of them.
    queries: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    query_times: Times,
    /// How old frames of the live board were when they were sent out.
    live_lags: Times,
    /// Streams whose readers read nothing, or did not go.
    pub live_cut: Counter,
    /// Requests without a valid token.
    pub auth_failures: Counter,
    /// Connections closed to make room for a newer one, or not taken at all.
    pub connections_refused: Counter,
    /// Connections that sent nothing, or too slowly.
    pub connections_expired: Counter,
    /// Connections that did not speak TLS as they should.
    pub tls_failures: Counter,
}

/// A histogram of times.
#[derive(Debug, Default)]
struct Times {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Times {
    fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    fn lines(&self, page: &mut Page, name: &str, help: &str) {
        page.kind(name, "histogram", help);
        let mut count = 0;
        let bounds = BOUNDS_US.into_iter().map(Some).chain([None]);
        for (bucket, bound) in self.buckets.iter().zip(bounds) {
            count += bucket.load(Ordering::Relaxed);
            page.bucket(name, bound, count);
        }
        let sum = self.sum_us.load(Ordering::Relaxed);
        page.line(&format!("{name}_sum"), "", seconds(sum));
        page.line(&format!("{name}_count"), "", count);
    }
}

/// Something that is only counted up.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn up(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// A request was answered.
    pub(crate) fn request(&self, route: &'static str, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route, status)).or_default() += 1;
    }

    /// Events were acknowledged so long after their request began.
    pub(crate) fn acknowledged(&self, after: Duration) {
        self.acks.add(after);
    }

    /// A query of a door (`http`, `flight`) has ended, as `ok` or with the word of its error.
    pub(crate) fn query(&self, door: &'static str, word: &'static str, took: Duration) {
        let mut queries = self.queries.lock().unwrap_or_else(PoisonError::into_inner);
        *queries.entry((door, word)).or_default() += 1;
        drop(queries);
        self.query_times.add(took);
    }

    /// A frame of the live board was sent out, so long after what counted as now in it.
    pub(crate) fn live_lag(&self, lag: Duration) {
        self.live_lags.add(lag);
    }

    /// All of it as Prometheus text.
    pub(crate) fn text(&self, state: &LiveState, queries: &QueryStats, open: Open) -> String {
        let mut page = Page::default();
        page.kind("build_info", "gauge", "the version that runs");
        page.line(
            "build_info",
            &format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")),
            1,
        );
        ingest_lines(&mut page, state);
        storage_lines(&mut page, state);
        self.acks.lines(
            &mut page,
            "ingest_ack_seconds",
            "from the head of a request to its acknowledgement",
        );
        self.query_lines(&mut page, queries);
        self.live_lines(&mut page, &open.live);
        if let Some(state) = &open.definitions {
            definition_lines(&mut page, state);
        }
        self.http_lines(&mut page, open.connections);
        if let Some((tickets, sessions)) = open.flight {
            let about = "results that Flight clients were promised and may read";
            page.gauge("flight_tickets", about, tickets as u64);
            page.gauge(
                "flight_sessions",
                "sessions of Flight clients",
                sessions as u64,
            );
        }
        process_lines(&mut page);
        page.0
    }

    fn query_lines(&self, page: &mut Page, stats: &QueryStats) {
        let name = "queries_total";
        page.kind(name, "counter", "queries by door and what became of them");
        let queries = self.queries.lock().unwrap_or_else(PoisonError::into_inner);
        for ((door, word), count) in queries.iter() {
            let labels = format!("{{door=\"{door}\",code=\"{word}\"}}");
            page.line(name, &labels, count);
        }
        drop(queries);
        self.query_times.lines(
            page,
            "query_seconds",
            "from the head of a request to the last row of its answer",
        );
        phase_lines(page, stats);
        let gauges = [
            ("queries_running", "queries at work", stats.running),
            (
                "queries_waiting",
                "queries that wait for their turn",
                stats.waiting,
            ),
            (
                "query_zombies",
                "queries that were told to end and still work",
                stats.lingering,
            ),
            (
                "query_memory_bytes",
                "memory that queries have reserved",
                stats.memory_bytes,
            ),
            (
                "plan_stuck",
                "planners past their deadline",
                stats.stuck_planners,
            ),
        ];
        for (name, help, value) in gauges {
            page.gauge(name, help, value as u64);
        }
        page.gauge(
            "query_spilled_bytes",
            "bytes that queries have spilled to disk",
            stats.spilled_bytes,
        );
    }

    fn live_lines(&self, page: &mut Page, stats: &LiveStats) {
        page.kind(
            "sse_clients",
            "gauge",
            "streams of live boards: up to date, or with full buffers",
        );
        for (state, count) in [("live", stats.live), ("behind", stats.behind)] {
            page.line("sse_clients", &format!("{{state=\"{state}\"}}"), count);
        }
        page.counter(
            "sse_clients_cut_total",
            "streams that were cut because nobody read them",
            self.live_cut.get(),
        );
        self.live_lags.lines(
            page,
            "live_lag_seconds",
            "from what counted as now in a frame to its sending out",
        );
        if let Some(age) = stats.watermark_age {
            let name = "watermark_age_seconds";
            page.kind(
                name,
                "gauge",
                "time since the newest event of the live board",
            );
            page.line(name, "", age.as_secs_f64());
        }
    }

    fn http_lines(&self, page: &mut Page, connections: usize) {
        page.kind(
            "http_requests_total",
            "counter",
            "requests by route and status",
        );
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for ((route, status), count) in requests.iter() {
            let labels = format!("{{route=\"{route}\",status=\"{status}\"}}");
            page.line("http_requests_total", &labels, count);
        }
        let limited: u64 = requests
            .iter()
            .filter(|((_, status), _)| *status == 429)
            .map(|(_, count)| count)
            .sum();
        page.counter("rate_limited_total", "requests told to come later", limited);
        page.gauge("http_connections", "open connections", connections as u64);
        let counters = [
            (
                "auth_failures_total",
                "requests without a valid token",
                &self.auth_failures,
            ),
            (
                "http_connections_refused_total",
                "connections closed to make room",
                &self.connections_refused,
            ),
            (
                "http_connections_expired_total",
                "connections that were too slow or rested too long",
                &self.connections_expired,
            ),
            (
                "tls_failures_total",
                "connections without a good TLS handshake",
                &self.tls_failures,
            ),
        ];
        for (name, help, counter) in counters {
            page.counter(name, help, counter.get());
        }
    }
}

fn phase_lines(page: &mut Page, stats: &QueryStats) {
    let name = "query_phase_seconds";
    let help =
        "queries by phase: planning, waiting for a turn, from that to the last operator's end";
    page.kind(name, "histogram", help);
    for times in &stats.phases {
        let phase = times.phase;
        for (bound, count) in &times.micros {
            let bound = match *bound {
                u64::MAX => "+Inf".to_owned(),
                bound => seconds(bound).to_string(),
            };
            let labels = format!("{{phase=\"{phase}\",le=\"{bound}\"}}");
            page.line(&format!("{name}_bucket"), &labels, count);
        }
        let labels = format!("{{phase=\"{phase}\"}}");
        page.line(&format!("{name}_sum"), &labels, seconds(times.sum_us));
        let count = times.micros.last().map_or(0, |(_, count)| *count);
        page.line(&format!("{name}_count"), &labels, count);
    }
}

fn definition_lines(page: &mut Page, state: &DefinitionsState) {
    let name = "definitions_info";
    page.kind(name, "gauge", "the KPI definitions in use");
    page.line(name, &format!("{{hash=\"{}\"}}", state.hash), 1);
    let name = "definitions_since_seconds";
    let about = "when they came into use, in seconds since 1970";
    page.kind(name, "gauge", about);
    page.line(name, "", state.since.0 as f64 / 1e6);
    page.gauge(
        "definitions_stale",
        "1 while the newest definition files cannot be used",
        u64::from(state.problem.is_some()),
    );
    let name = "definitions_reloads_total";
    page.kind(
        name,
        "counter",
        "changed definition files by what became of them",
    );
    for (result, count) in [("taken", state.taken), ("refused", state.refused)] {
        page.line(name, &format!("{{result=\"{result}\"}}"), count);
    }
}

fn ingest_lines(page: &mut Page, state: &LiveState) {
    page.kind(
        "ingest_events_total",
        "counter",
        "events by what became of them",
    );
    let results = [
        ("accepted", state.accepted),
        ("duplicate", state.duplicate),
        ("rejected", state.rejected),
    ];
    for (result, count) in results {
        page.line(
            "ingest_events_total",
            &format!("{{result=\"{result}\"}}"),
            count,
        );
    }
    page.gauge(
        "ingest_pressure_state",
        "0 none, 1 flushing, 2 stalling, 3 rejecting",
        u64::from(state.pressure),
    );
    page.gauge(
        "committed_seq",
        "newest durable commit",
        state.committed_seq,
    );
    page.gauge(
        "applied_seq",
        "newest commit that queries see",
        state.applied_seq,
    );
    if let Some(age_ms) = state.last_commit_age_ms {
        page.kind(
            "last_commit_age_seconds",
            "gauge",
            "time since the last commit",
        );
        page.line(
            "last_commit_age_seconds",
            "",
            seconds(age_ms.saturating_mul(1_000)),
        );
    }
}

fn storage_lines(page: &mut Page, state: &LiveState) {
    page.times(
        "wal_fsync_seconds",
        "time of one sync of the log",
        &state.sync_micros,
    );
    page.times(
        "flush_seconds",
        "time of bringing events from memory to data files",
        &state.flush_micros,
    );
    page.times(
        "compaction_seconds",
        "time of putting small data files together",
        &state.compaction_micros,
    );
    page.gauge(
        "wal_writable",
        "1 if events can be made durable",
        u64::from(state.wal_writable),
    );
    page.gauge("wal_bytes", "bytes of the log", state.wal_bytes);
    page.gauge("wal_segments", "segments of the log", state.wal_segments);
    page.counter(
        "wal_poisoned_total",
        "segments given up after a failed sync",
        state.wal_poisoned,
    );
    page.gauge(
        "buffer_bytes",
        "bytes not yet in data files",
        state.buffer_bytes,
    );
    let about = "ids in the window of repeats";
    page.gauge("window_ids", about, state.window_ids);
    let about = "memory of the window of repeats";
    page.gauge("window_bytes", about, state.window_bytes);
    let about = "edits of the manifest, all counted";
    page.gauge("manifest_version", about, state.manifest_version);
    file_lines(page, state);
    page.counter(
        "let_go_events_total",
        "events of contacts that were kept long enough and went",
        state.let_go,
    );
    if let Some(from) = state.kept_from {
        let name = "kept_from_timestamp_seconds";
        page.kind(name, "gauge", "contacts that ended before are let go");
        page.line(name, "", from.0 as f64 / 1e6);
    }
    if let Some(free) = state.disk_free_bytes {
        page.gauge(
            "disk_free_bytes",
            "free space of the data folder's disk",
            free,
        );
    }
}

fn file_lines(page: &mut Page, state: &LiveState) {
    let large = state
        .files
        .saturating_sub(state.files_hot + state.files_small);
    let levels = [
        ("hot", state.files_hot),
        ("small", state.files_small),
        ("large", large),
    ];
    page.kind(
        "files",
        "gauge",
        "data files: of open entities, to be put together, full",
    );
    for (level, count) in levels {
        page.line("files", &format!("{{level=\"{level}\"}}"), count);
    }
    page.gauge(
        "quarantined_files",
        "data files set aside as damaged",
        state.quarantined_files,
    );
    page.kind(
        "scrub_files_total",
        "counter",
        "data files whose checksum was compared in the background",
    );
    let results = [
        ("whole", state.scrubbed_whole),
        ("damaged", state.scrubbed_damaged),
        ("unreadable", state.scrubbed_unreadable),
    ];
    for (result, count) in results {
        page.line(
            "scrub_files_total",
            &format!("{{result=\"{result}\"}}"),
            count,
        );
    }
}

/// What the operating system tells about this process; nothing where it does not tell.
fn process_lines(page: &mut Page) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    if let Some(kib) = resident {
        page.gauge(
            "process_resident_bytes",
            "memory of the process",
            kib * 1_024,
        );
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        page.gauge(
            "process_open_files",
            "open files and sockets",
            files.count() as u64,
        );
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn kind(&mut self, name: &str, kind: &str, help: &str) {
        let text = &mut self.0;
        let _ = writeln!(text, "# HELP callgauge_{name} {help}");
        let _ = writeln!(text, "# TYPE callgauge_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "callgauge_{name}{labels} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.kind(name, "gauge", help);
        self.line(name, "", value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.kind(name, "counter", help);
        self.line(name, "", value);
    }

    /// A histogram from upper bounds in microseconds and how many were at most that long.
    fn times(&mut self, name: &str, help: &str, micros: &[(u64, u64)]) {
        self.kind(name, "histogram", help);
        for (bound, count) in micros.iter().filter(|(bound, _)| *bound != u64::MAX) {
            self.bucket(name, Some(*bound), *count);
        }
        let count = micros.last().map_or(0, |(_, count)| *count);
        self.bucket(name, None, count);
        self.line(&format!("{name}_count"), "", count);
    }

    /// `None` is the last bucket, that has everything.
    fn bucket(&mut self, name: &str, bound_us: Option<u64>, count: u64) {
        let bound = bound_us.map_or("+Inf".to_owned(), |bound| seconds(bound).to_string());
        self.line(
            &format!("{name}_bucket"),
            &format!("{{le=\"{bound}\"}}"),
            count,
        );
    }
}
