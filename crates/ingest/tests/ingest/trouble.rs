//! Operations of the file system that fail, and disks that are full, under live ingest.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use ingest::live::{LiveIngest, LiveSettings};
use store::{LOG, RealIo, Store};

use crate::{
    disk::{Disk, EIO, ENOSPC, Fault, Left, Plan, Random, tries},
    script::{BATCHES, Known, Script},
};

const FAULTS: &str = "CALLGAUGE_STORE_FAULT_SEEDS";
const FULL: &str = "CALLGAUGE_DISK_FULL";
/// Bytes of a disk with room for everything.
const LARGE: u64 = 64 << 20;

/// T4. The short form leaves out operations, evenly and others for each kind of fault.
#[test]
fn no_failed_operation_gives_a_false_acknowledgement_or_a_panic() {
    let seeds = tries(FAULTS, 0);
    let (seeds, step) = match seeds {
        0 => (1, 41),
        more => (more, 1),
    };
    let mut tried = 0;
    for seed in 1..=seeds as u64 {
        let script = Script::new(seed, BATCHES);
        let operations = {
            let disk = Disk::default();
            assert_eq!(script.run(&disk).known.acked, BATCHES);
            disk.operations()
        };
        let mut first = 0;
        for fault in [Fault::Error(EIO), Fault::Error(ENOSPC), Fault::Half] {
            for for_ever in [false, true] {
                for at in (first..operations).step_by(step) {
                    fail_at(
                        &script,
                        Plan {
                            at,
                            fault,
                            for_ever,
                        },
                    );
                    tried += 1;
                }
                first = (first + 7) % step;
            }
        }
    }
    println!("{tried} failed operations; seeds 1 to {seeds}");
}

fn fail_at(script: &Script, plan: Plan) {
    let what = format!("{plan:?}");
    let disk = Disk::default();
    disk.plan(Some(plan));
    let run = script.run(&disk);
    disk.plan(None);
    let state = disk.state();
    let mut random = Random(plan.at as u64);
    // The end of the process, and a power cut.
    let there = script.check(&Disk::of(state.clone()), run.known, &what);
    let cut = state.after_power_cut(Left::any(&mut random), &mut random);
    let sure = Known {
        sent: run.known.sent.max(there),
        ..run.known
    };
    script.check(&Disk::of(cut), sure, &format!("{what}, power cut"));
}

/// T6. Somebody else fills the disk, so that now and then nothing, a write of the log, of a data file
/// or of the manifest fails in the middle.
#[test]
fn a_full_disk_loses_nothing_and_ingest_goes_on_by_itself() {
    let times = tries(FULL, 10);
    let script = Script::new(3, 2 * times);
    let disk = Disk::default();
    disk.set_capacity(Some(LARGE));
    let store = script.open(&disk).expect("the store opens");
    let fill = |bytes| disk.set_capacity(Some(disk.used() + bytes));
    let acked = fill_again_and_again(
        &script,
        store,
        times,
        (&fill, &|| disk.set_capacity(Some(LARGE))),
    );
    script.check(&disk, acked, "after all");
    println!("the disk was full {times} times");
}

/// T6 on a disk that is really full: a small file system of its own.
#[test]
fn a_disk_that_is_really_full_loses_nothing_and_ingest_goes_on_by_itself() {
    let times = tries(FULL, 10);
    let Some(mount) = Mount::new() else {
        println!("skipped: not root, or no file system may be mounted here");
        return;
    };
    let script = Script::new(4, 2 * times);
    let open = || Script::open_at(&mount.path().join("data"), Arc::new(RealIo));
    let store = open().expect("the store opens");
    let room = || store.disk_space().expect("the system tells").free;
    let filler = mount.path().join("filler");
    let fill = |bytes: u64| {
        let taken = vec![7; room().saturating_sub(bytes) as usize];
        // If others were faster, so much the better.
        let _ = std::fs::write(&filler, taken);
    };
    let free = || std::fs::remove_file(&filler).expect("the filler");
    let acked = fill_again_and_again(&script, Arc::clone(&store), times, (&fill, &free));
    drop(store);
    let store = open().expect("the store opens again");
    script.check_store(&store, acked, "after all");
    assert!(store.verify().expect("readable").is_empty());
    println!("the disk was full {times} times");
}

/// A file system in memory, gone with the value.
struct Mount(tempfile::TempDir);

impl Mount {
    /// `None` where none may be mounted.
    fn new() -> Option<Mount> {
        let place = tempfile::tempdir().expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]);
        let done = mount.arg(place.path()).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success())
            .then_some(Mount(place))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Also while a test that failed has files open in it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Delivers, with a disk that is filled but for a few bytes before each of so many deliveries and has
/// room again behind it. `disk`: leaves so many bytes, makes room.
fn fill_again_and_again(
    script: &Script,
    store: Arc<Store>,
    times: usize,
    (fill, make_room): (&dyn Fn(u64), &dyn Fn()),
) -> Known {
    let settings = LiveSettings {
        ballast_bytes: 64 << 10,
        // More than what is let go while the disk is full.
        disk_reserve_bytes: 4 << 20,
        ..Script::settings()
    };
    let (live, _) = LiveIngest::start(Arc::clone(&store), settings).expect("it starts");
    let mut acked = 0;
    for turn in 0..times as u64 {
        fill(turn * 7_919 % (48 << 10));
        // Repeats need no room: once this is stored, it is the look at the disk that says no.
        let begun = Instant::now();
        let mut stored = false;
        while script.deliver(&live, acked).is_ok() {
            stored = true;
            let waited = begun.elapsed();
            assert!(waited < Duration::from_secs(5), "the disk is never full");
        }
        acked += usize::from(stored);
        let version = store.version();
        let batches = store.read(&version, LOG).expect("reading goes on");
        let rows: usize = batches.iter().map(|b| b.num_rows()).sum();
        assert_eq!(rows as u64, version.table(LOG).expect("the log").rows());
        make_room();
        let begun = Instant::now();
        while let Err(refusal) = script.deliver(&live, acked) {
            let waited = begun.elapsed();
            assert!(
                waited < Duration::from_secs(5),
                "after {waited:?}: {refusal}"
            );
        }
        acked += 1;
    }
    live.shut_down().expect("a clean end");
    Known { acked, sent: acked }
}
