//! Whole jobs, timed with the machine's own limits beside them in the same run.
//!
//! ```text
//! cargo run --release -p benches -- import [--days N] [--agents N]
//! cargo run --release -p benches -- queries [--visits N] [--python PATH]
//! cargo run --release -p benches -- live [--days N] [--agents N] [--seconds N]
//! cargo run --release -p benches -- board [--agents N] [--seconds N]
//! cargo run --release -p benches -- recover [--mib N] [--agents N]
//! cargo run --release -p benches -- flight [--visits N] [--python PATH]
//! ```
//!
//! `import`: NDJSON of a simulated voice centre into an empty data folder. Beside it, on one
//! thread: decoding alone, and encoding the same rows to Parquet alone.
//! `queries`: the queries of `sql/bench` over ten million queue visits, each run in turn here and
//! in DuckDB over the same Parquet files; `--python` names a Python that has `duckdb`.
//! `live`: a server and its clients in this process, over loopback; bodies of 1,000 events as fast
//! as they are acknowledged, then bodies of 10 at 20,000 events/s while two analysts query.
//! `board`: a server with 50 screens of the live board and 2,000 events/s: the time from sending an
//! event to the screen that shows it.
//! `recover`: a log of 1 GiB of which nothing is in Parquet, as a kill leaves it: the time until a
//! start is ready, and that of reading the log alone.
//! `flight`: ten million queue visits streamed over Flight SQL to the client of `arrow-flight` and
//! to the ADBC driver, beside pyarrow reading the same Parquet files; what planning a KPI query
//! takes, and how soon a KPI of one day comes to 8 clients. `--python` names a Python that has
//! `adbc-driver-flightsql` and `pyarrow`.

mod board;
mod flight;
mod import;
mod live;
mod queries;
mod recover;
mod visits;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let python = text(&args, "--python").unwrap_or_else(|| "python3".to_owned());
    match args.first().map(String::as_str) {
        Some("import") => import::run(
            number(&args, "--days", 30)?,
            number(&args, "--agents", 120)?,
        ),
        Some("queries") => queries::run(number(&args, "--visits", 10_000_000)?, &python),
        Some("live") => live::run(
            number(&args, "--days", 30)?,
            number(&args, "--agents", 120)?,
            number(&args, "--seconds", 20)?,
        ),
        Some("board") => board::run(
            number(&args, "--agents", 2_000)?,
            number(&args, "--seconds", 30)?,
        ),
        Some("recover") => recover::run(
            number(&args, "--mib", 1_024)?,
            number(&args, "--agents", 120)?,
        ),
        Some("flight") => flight::run(number(&args, "--visits", 10_000_000)?, &python),
        _ => bail!(
            "usage: jobs import [--days N] [--agents N] | queries [--visits N] [--python P] | \
             live [--days N] [--agents N] [--seconds N] | board [--agents N] [--seconds N] | \
             recover [--mib N] [--agents N] | flight [--visits N] [--python P]"
        ),
    }
}

fn text(args: &[String], name: &str) -> Option<String> {
    let at = args.iter().position(|a| a == name)?;
    args.get(at + 1).cloned()
}

fn number(args: &[String], name: &str, default: u64) -> Result<u64> {
    text(args, name).map_or(Ok(default), |value| Ok(value.parse()?))
}

/// CPU that this process has used on all its threads, in seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name of the program, which may hold anything; in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The most memory this process has held, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|l| l.starts_with("VmHWM:"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}
