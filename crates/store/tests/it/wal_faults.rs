//! Every operation of the log fails, once and from then on: nothing is acknowledged that is not on
//! the disk, nothing panics, and the log opens again.

use store::Error;

use crate::{
    disk::{Disk, EIO, ENOSPC, Fault, Left, Plan, Random, tries},
    wal_world::{Known, World, open_and_check},
};

const SEEDS: &str = "CALLGAUGE_WAL_FAULT_SEEDS";

const FAULTS: [Fault; 3] = [Fault::Error(EIO), Fault::Error(ENOSPC), Fault::Half];

/// Runs a history; what fails is passed over, a log that stopped is opened again.
fn run(seed: u64, plan: Option<Plan>) -> World {
    let disk = Disk::default();
    disk.plan(plan);
    let mut world = World::new(disk, Known::default(), seed);
    let mut opened = world.open();
    for _ in 0..30 {
        if let Err(error) = opened {
            let damage = matches!(error, Error::WalDamaged { .. } | Error::NewerFormat { .. });
            assert!(!damage, "seed {seed}, {plan:?}: {error}");
            opened = world.open();
            continue;
        }
        if let Err(error) = world.step() {
            assert!(plan.is_some(), "seed {seed}: {error}");
            let stopped = matches!(error, Error::Stopped { .. });
            if stopped || world.wal.is_none() {
                opened = world.open();
            }
        }
    }
    world
}

/// Both after the end of the process and after a power cut.
fn check_rest(world: World, random: &mut Random, what: &str) {
    let known = world.known;
    let state = world.disk.state();
    drop(world.wal);
    for left in [None, Some(Left::Nothing), Some(Left::Blocks(512))] {
        let state = match left {
            Some(left) => state.after_power_cut(left, random),
            None => state.clone(),
        };
        let disk = Disk::of(state);
        let what = format!("{what}, {left:?}");
        let mut known = known.clone();
        let (wal, frames) = open_and_check(&disk, &mut known, &what);
        drop(wal);
        let disk = Disk::of(disk.state().after_power_cut(Left::Nothing, random));
        let (wal, again) = open_and_check(&disk, &mut known, &what);
        assert_eq!(again, frames, "{what}");
        let mut world = World::new(disk, known, 1);
        world.wal = Some(wal);
        let frames = world.random_frames();
        world.append(frames).unwrap();
        drop(world.wal);
        open_and_check(&world.disk, &mut world.known, &what);
    }
}

#[test]
fn no_failed_operation_gives_a_false_acknowledgement() {
    let seeds = tries(SEEDS, 2) as u64;
    let mut tried = 0u64;
    for seed in 1..=seeds {
        let operations = run(seed, None).disk.operations();
        for at in 0..operations {
            for fault in FAULTS {
                for for_ever in [false, true] {
                    let plan = Plan {
                        at,
                        fault,
                        for_ever,
                    };
                    let world = run(seed, Some(plan));
                    let what = format!("seed {seed}, {plan:?}");
                    check_rest(world, &mut Random(at as u64), &what);
                    tried += 1;
                }
            }
        }
    }
    println!("{tried} failed operations; seeds 1 to {seeds}");
    assert!(tried > 300 * seeds);
}
