//! How long a start takes when nothing of the log is in Parquet.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use events::UtcMicros;
use sim::{Config, World};
use store::{
    Store,
    wal::{FrameIn, Kind},
};

/// Bytes of a frame's payload.
const FRAME_BYTES: usize = 4 << 20;

/// Fills a log of so many MiB, leaves it as a kill does, and starts.
pub fn run(mib: u64, agents: u64) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let filled = fill(&data, mib << 20, u32::try_from(agents)?)?;
    let size = filled.bytes as f64 / f64::from(1 << 20);
    println!("{} events, {size:.0} MiB of log", filled.events);

    let begin = Instant::now();
    let rows = read_log(&data)?;
    let alone = begin.elapsed().as_secs_f64();
    ensure!(rows == filled.events, "{rows} rows were read");
    println!(
        "reading the log alone: {alone:.2} s, {:.0} MiB/s",
        size / alone
    );

    let (begin, cpu) = (Instant::now(), super::cpu_seconds());
    let store = Arc::new(Store::create_or_open(&data)?);
    let live = crate::live::live_ingest(&store, filled.newest)?;
    let ready = begin.elapsed().as_secs_f64();
    let cpu = super::cpu_seconds() - cpu;
    let state = live.state();
    ensure!(
        state.caught_up && state.committed_seq == filled.events,
        "{state:?}"
    );
    println!(
        "ready after {ready:.2} s with {cpu:.1} s of CPU: {:.0} MiB/s, {:.0} events/s",
        size / ready,
        filled.events as f64 / ready
    );
    println!("peak memory {} MiB", super::peak_mib());
    Ok(live.shut_down()?)
}

struct Filled {
    events: u64,
    bytes: u64,
    newest: UtcMicros,
}

/// Writes the frames that live ingest would write, without folding what is in them.
fn fill(data: &Path, bytes: u64, agents: u32) -> Result<Filled> {
    let config = Config {
        days: 3_650,
        agents,
        ..Config::default()
    };
    let store = Store::create_or_open(data)?;
    let (mut wal, _) = store.open_wal([7; 32])?;
    let mut filled = Filled {
        events: 0,
        bytes: 0,
        newest: UtcMicros(0),
    };
    let mut world = World::new(&config)?.peekable();
    while filled.bytes < bytes && world.peek().is_some() {
        let mut lines = Vec::with_capacity(FRAME_BYTES + 4_096);
        let mut rows = 0;
        while lines.len() < FRAME_BYTES
            && let Some(event) = world.next()
        {
            filled.newest = filled.newest.max(event.occurred_at);
            event.write_json_line(&mut lines);
            lines.push(b'\n');
            rows += 1;
        }
        let received = filled.newest.0.to_le_bytes();
        wal.append(&[FrameIn {
            kind: Kind::Events,
            rows,
            payload: &[&received, &lines],
        }])?;
        filled.events += u64::from(rows);
        filled.bytes += (received.len() + lines.len()) as u64;
    }
    // Not sealed: the process ends here, as far as the folder knows.
    drop(wal);
    Ok(filled)
}

/// Reads every frame and its checksum.
fn read_log(data: &Path) -> Result<u64> {
    let store = Store::open_read_only(data)?;
    let frames = store.read_wal()?.context("there is no log")?;
    let mut rows = 0;
    for frame in frames {
        let frame = frame?;
        if frame.kind == Kind::Events {
            rows += u64::from(frame.rows);
        }
    }
    Ok(rows)
}
