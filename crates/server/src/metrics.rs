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

use ingest::live::LiveState;

/// Upper bounds of the acknowledgement histogram, in microseconds.
const ACK_BOUNDS_US: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// Counters of one server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    acks: [AtomicU64; ACK_BOUNDS_US.len() + 1],
    acks_us: AtomicU64,
    /// Requests without a valid token.
    pub auth_failures: Counter,
    /// Connections closed to make room for a newer one, or not taken at all.
    pub connections_refused: Counter,
    /// Connections that sent nothing, or too slowly.
    pub connections_expired: Counter,
}

/// Something that is only counted up.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
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
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        let bucket = ACK_BOUNDS_US.partition_point(|bound| *bound < micros);
        self.acks[bucket].fetch_add(1, Ordering::Relaxed);
        self.acks_us.fetch_add(micros, Ordering::Relaxed);
    }

    /// All of it as Prometheus text.
    pub(crate) fn text(&self, state: &LiveState, connections: usize) -> String {
        let mut page = Page::default();
        page.kind("build_info", "gauge", "the version that runs");
        page.line(
            "build_info",
            &format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")),
            1,
        );
        ingest_lines(&mut page, state);
        storage_lines(&mut page, state);
        self.ack_lines(&mut page);
        self.http_lines(&mut page, connections);
        process_lines(&mut page);
        page.0
    }

    fn ack_lines(&self, page: &mut Page) {
        let name = "ingest_ack_seconds";
        page.kind(
            name,
            "histogram",
            "from the head of a request to its acknowledgement",
        );
        let mut count = 0;
        for (bucket, bound) in self
            .acks
            .iter()
            .zip(ACK_BOUNDS_US.map(Some).iter().chain([&None]))
        {
            count += bucket.load(Ordering::Relaxed);
            page.bucket(name, *bound, count);
        }
        let sum = self.acks_us.load(Ordering::Relaxed);
        page.line(&format!("{name}_sum"), "", seconds(sum));
        page.line(&format!("{name}_count"), "", count);
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
        ];
        for (name, help, counter) in counters {
            page.counter(name, help, counter.get());
        }
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
    page.kind(
        "wal_fsync_seconds",
        "histogram",
        "time of one sync of the log",
    );
    let mut count = 0;
    for (bound_us, so_far) in &state.sync_micros {
        count = *so_far;
        if *bound_us != u64::MAX {
            page.bucket("wal_fsync_seconds", Some(*bound_us), count);
        }
    }
    page.bucket("wal_fsync_seconds", None, count);
    page.line("wal_fsync_seconds_count", "", count);
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
    page.gauge("files", "data files", state.files);
    page.gauge(
        "quarantined_files",
        "data files set aside as damaged",
        state.quarantined_files,
    );
    if let Some(free) = state.disk_free_bytes {
        page.gauge(
            "disk_free_bytes",
            "free space of the data folder's disk",
            free,
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
