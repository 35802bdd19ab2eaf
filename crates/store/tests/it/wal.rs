//! The write-ahead log as its owner uses it.

use std::sync::Arc;

use store::{
    Error, Io, RealIo,
    wal::{FrameIn, Kind, MAX_PAYLOAD_BYTES, Settings, Wal, read},
};

use crate::{
    disk::{Disk, EIO, ENOSPC, Fault, Left, Plan, Random},
    wal_world::{
        Known, SEGMENT_BYTES, Sent, World, check, folder, open, open_and_check, replayed, settings,
    },
};

fn frame<'a>(rows: u32, payload: &'a [&'a [u8]]) -> FrameIn<'a> {
    FrameIn {
        kind: Kind::Events,
        rows,
        payload,
    }
}

fn opened() -> World {
    let mut world = World::new(Disk::default(), Known::default(), 1);
    let recovery = world.open().unwrap();
    assert!(recovery.clean && recovery.last_seq == 0);
    world
}

fn append(world: &mut World, rows: u32, bytes: usize) -> Result<(), Error> {
    let payload = vec![world.known.acked.len() as u8 + 1; bytes];
    world.append(vec![Sent {
        kind: Kind::Events,
        rows,
        payload,
    }])
}

/// The number that the next operation of the disk will have, and those after it.
fn fail_next(world: &World, skip: usize, fault: Fault, for_ever: bool) {
    let at = world.disk.operations() + skip;
    world.disk.plan(Some(Plan {
        at,
        fault,
        for_ever,
    }));
}

#[test]
fn frames_come_back_in_order_over_segments_from_any_row() {
    let mut world = opened();
    for _ in 0..60 {
        let frames = world.random_frames();
        world.append(frames).unwrap();
    }
    let wal = world.wal.as_ref().unwrap();
    assert!(wal.segments() > 3, "{}", wal.segments());
    assert!(wal.bytes() >= wal.segments() as u64 * SEGMENT_BYTES);
    let all = replayed(wal, 1);
    assert_eq!(all.len(), world.known.acked.len());
    check(&all, wal.last_seq(), &world.known).unwrap();
    for from in 1..=wal.last_seq() + 1 {
        let part = replayed(wal, from);
        let needed = |f: &&store::wal::Frame| f.first_seq + u64::from(f.rows) > from;
        assert!(part.iter().eq(all.iter().filter(needed)), "from {from}");
    }
}

#[test]
fn a_clean_stop_is_known_and_leaves_nothing_preallocated() {
    let mut world = opened();
    append(&mut world, 3, 1000).unwrap();
    world.wal.as_mut().unwrap().seal().unwrap();
    assert!(world.wal.as_ref().unwrap().bytes() < 3 * 4096);
    let before = world.disk.state();
    let recovery = world.open().unwrap();
    assert!(recovery.clean);
    assert_eq!(
        (recovery.frames, recovery.rows, recovery.last_seq),
        (1, 3, 3)
    );
    assert_eq!(recovery.segments, 1);
    let path = &before.paths()[0];
    assert_eq!(world.disk.state().bytes(path), before.bytes(path));
    // A stop that was not clean is none, and loses nothing.
    append(&mut world, 3, 1000).unwrap();
    let recovery = world.open().unwrap();
    assert!(!recovery.clean && recovery.cut_at.is_none());
    assert_eq!((recovery.frames, recovery.last_seq), (2, 6));
    assert!(world.open().unwrap().clean);
}

#[test]
fn one_group_is_one_write_and_one_sync() {
    let mut world = opened();
    append(&mut world, 1, 10).unwrap();
    let before = world.disk.operations();
    let frames = world.random_frames();
    assert!(frames.len() > 1);
    world.append(frames).unwrap();
    assert_eq!(world.disk.operations() - before, 2);
}

#[test]
fn a_frame_beyond_a_limit_is_refused_and_changes_nothing() {
    let mut world = opened();
    let wal = world.wal.as_mut().unwrap();
    let large = vec![1; MAX_PAYLOAD_BYTES];
    let pieces: [&[u8]; 2] = [&large, b"x"];
    let refused = [
        frame(1, &pieces),
        frame(0, &pieces[1..]),
        FrameIn {
            kind: Kind::Seal,
            ..frame(1, &pieces[1..])
        },
    ];
    for input in refused {
        assert!(matches!(wal.append(&[input]), Err(Error::Frame { .. })));
    }
    assert_eq!((wal.last_seq(), wal.segments()), (0, 0));
    assert_eq!(wal.append(&[]).unwrap(), 0);
    // The largest that is allowed does not fit a segment: it gets a larger one.
    assert_eq!(wal.append(&[frame(2, &[&large])]).unwrap(), 2);
    assert_eq!(wal.append(&[frame(1, &[b"small"])]).unwrap(), 3);
    let frames = replayed(wal, 1);
    assert_eq!(frames[0].payload, large);
    assert_eq!(frames[1].payload, b"small".as_slice());
}

#[test]
fn what_is_in_files_is_released_but_never_the_active_segment() {
    let mut world = opened();
    for _ in 0..12 {
        append(&mut world, 10, 9000).unwrap();
    }
    let wal = world.wal.as_mut().unwrap();
    let segments = wal.segments();
    assert_eq!(wal.release(0).unwrap(), 0);
    assert_eq!(wal.release(wal.last_seq()).unwrap(), segments - 1);
    assert_eq!(wal.release(wal.last_seq()).unwrap(), 0);
    assert_eq!(world.disk.state().paths().len(), 1);
    world.known.flushed_seq = 120;
    // Once it is no longer active it goes too, and rows go on from there.
    let recovery = world.open().unwrap();
    assert_eq!((recovery.segments, recovery.last_seq), (0, 120));
    assert_eq!(world.disk.state().paths().len(), 0);
    append(&mut world, 10, 10).unwrap();
    assert_eq!(world.wal.as_ref().unwrap().last_seq(), 130);
}

#[test]
fn a_failed_sync_moves_the_group_to_a_new_segment() {
    for fault in [Fault::Error(EIO), Fault::Half] {
        for first_group in [true, false] {
            let mut world = opened();
            if !first_group {
                append(&mut world, 5, 100).unwrap();
            }
            // A segment is made by 6 operations; then come the write and the sync.
            let skip = if first_group { 7 } else { 1 };
            fail_next(&world, skip, fault, false);
            append(&mut world, 5, 200).unwrap();
            append(&mut world, 5, 300).unwrap();
            let expected = if first_group { 2 } else { 3 };
            for power in [false, true] {
                let mut state = world.disk.state();
                if power {
                    state = state.after_power_cut(Left::Nothing, &mut Random(1));
                }
                let mut known = world.known.clone();
                let (_, frames) = open_and_check(&Disk::of(state), &mut known, "reopened");
                assert_eq!(frames.len(), expected);
            }
        }
    }
}

#[test]
fn a_segment_that_may_have_been_begun_ends_the_one_before() {
    for fault in [Fault::Error(EIO), Fault::Half] {
        let mut world = opened();
        append(&mut world, 5, 30_000).unwrap();
        // The last of the 6 operations: the new segment is there, with the end of the first.
        fail_next(&world, 5, fault, false);
        append(&mut world, 5, 20_000).unwrap_err();
        // It would fit the first.
        append(&mut world, 5, 10).unwrap();
        for power in [false, true] {
            let mut state = world.disk.state();
            if power {
                state = state.after_power_cut(Left::Nothing, &mut Random(1));
            }
            let mut known = world.known.clone();
            let (_, frames) = open_and_check(&Disk::of(state), &mut known, "opened");
            assert_eq!(frames.len(), 2);
        }
    }
}

#[test]
fn a_second_failure_stops_writing_and_reads_go_on() {
    let mut world = opened();
    append(&mut world, 5, 100).unwrap();
    fail_next(&world, 1, Fault::Error(EIO), true);
    let error = append(&mut world, 5, 200).unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    world.disk.plan(None);
    let wal = world.wal.as_mut().unwrap();
    let before = world.disk.operations();
    let again = wal.append(&[frame(1, &[b"x"])]);
    assert!(matches!(again, Err(Error::Stopped { .. })));
    assert!(wal.barrier().is_err() && wal.seal().is_err() && wal.stopped().is_some());
    assert_eq!(world.disk.operations(), before);
    assert_eq!(replayed(wal, 1).len(), 1);
    open_and_check(&world.disk, &mut world.known, "opened again");
}

#[test]
fn a_full_disk_stops_nothing_for_good() {
    let mut world = opened();
    append(&mut world, 5, 100).unwrap();
    for _ in 0..3 {
        // Rotation, and an append to a segment that is there.
        fail_next(&world, 0, Fault::Error(ENOSPC), true);
        for bytes in [30_000, 40_000, 10] {
            let error = append(&mut world, 5, bytes).unwrap_err();
            assert!(matches!(error, Error::DiskFull { .. }), "{error}");
        }
        world.disk.plan(None);
        append(&mut world, 5, 30_000).unwrap();
    }
    let (wal, frames) = open_and_check(&world.disk.clone(), &mut world.known, "opened");
    assert_eq!((wal.last_seq(), frames.len()), (20, 4));
}

#[test]
fn text_that_imitates_a_frame_is_none() {
    // Frames with proofs that all before them was synced, from a segment like the one attacked.
    let mut model = opened();
    (0..6).for_each(|_| append(&mut model, 5, 100).unwrap());
    let path = &model.disk.state().paths()[0];
    let text = model.disk.state().bytes(path)[4160..4160 + 6 * 144].to_vec();
    let mut world = opened();
    let other = Settings {
        seed: [8; 32],
        ..settings()
    };
    let (wal, _) = Wal::open(world.disk.io(), &folder(), 0, 1, other).unwrap();
    world.wal = Some(wal);
    append(&mut world, 5, 100).unwrap();
    let acknowledged = world.known.clone();
    let imitation = Sent {
        kind: Kind::Events,
        rows: 5,
        payload: text.clone(),
    };
    world.append(vec![imitation]).unwrap();
    let mut known = world.known.clone();
    let (_, frames) = open_and_check(&Disk::of(world.disk.state()), &mut known, "whole");
    assert_eq!(frames[1].payload, text);
    // Its own frame is torn, before it was acknowledged: the text inside proves nothing.
    let mut state = world.disk.state().settled();
    let mut bytes = state.bytes(path);
    bytes[4160 + 144 + 8] ^= 1;
    state.damage(path, bytes);
    let mut known = Known {
        sent: known.sent,
        ..acknowledged
    };
    let (wal, frames) = open_and_check(&Disk::of(state), &mut known, "torn");
    assert_eq!((wal.last_seq(), frames.len()), (5, 1));
}

#[test]
fn a_reader_beside_the_writer_sees_whole_frames_and_changes_nothing() {
    let mut world = opened();
    let seen = |world: &World, flushed| {
        let before = world.disk.state().paths();
        let frames = read(world.disk.io(), &folder(), flushed).unwrap();
        let frames: Vec<_> = frames.collect::<Result<_, _>>().unwrap();
        assert_eq!(world.disk.state().paths(), before);
        frames
    };
    assert_eq!(seen(&world, 0).len(), 0);
    for n in 1..40 {
        let frames = world.random_frames();
        world.append(frames).unwrap();
        if n % 7 == 0 {
            world.wal.as_mut().unwrap().barrier().unwrap();
        }
        let wal = world.wal.as_ref().unwrap();
        assert_eq!(seen(&world, 0), replayed(wal, 1));
        let middle = wal.last_seq() / 2;
        assert_eq!(seen(&world, middle), replayed(wal, middle + 1));
    }
    // It goes on with what it has found while segments are added, and says so if they go.
    let mut reader = read(world.disk.io(), &folder(), 0).unwrap();
    let first = reader.next().unwrap().unwrap();
    assert_eq!(first.first_seq, 1);
    let last = world.wal.as_ref().unwrap().last_seq();
    world.flush(last).unwrap();
    let rest: Result<Vec<_>, _> = reader.collect();
    assert!(matches!(rest, Err(Error::Gone { .. })));
    let too_old = read(world.disk.io(), &folder(), 0);
    assert!(matches!(too_old, Err(Error::Gone { .. })));
    assert_eq!(seen(&world, last).len(), 0);
}

#[test]
fn a_reader_stops_before_a_frame_that_is_being_written_and_names_damage() {
    let mut world = opened();
    (0..4).for_each(|_| append(&mut world, 5, 100).unwrap());
    let path = world.disk.state().paths()[0].clone();
    let torn_at = |number: usize| {
        let mut state = world.disk.state().settled();
        let mut bytes = state.bytes(&path);
        bytes[4160 + number * 144 + 60] ^= 1;
        state.damage(&path, bytes);
        let frames = read(Disk::of(state).io(), &folder(), 0).unwrap();
        frames.collect::<Result<Vec<_>, _>>()
    };
    assert_eq!(torn_at(3).unwrap().len(), 3);
    assert!(matches!(torn_at(2), Err(Error::WalDamaged { .. })));
}

#[test]
fn rows_of_a_bulk_import_are_skipped() {
    let mut world = opened();
    append(&mut world, 5, 100).unwrap();
    world.known.flushed_seq = 1000;
    world.wal.as_mut().unwrap().skip_to(1000);
    append(&mut world, 5, 100).unwrap();
    assert_eq!(world.wal.as_ref().unwrap().last_seq(), 1005);
    let (wal, frames) = open_and_check(&world.disk.clone(), &mut world.known, "opened");
    assert_eq!((wal.last_seq(), frames.len()), (1005, 1));
}

#[test]
fn files_that_are_not_ours_are_reported_and_left_alone() {
    let world = opened();
    let strange = folder().join("wal-notes.seg");
    let begun = folder().join("wal-00000000000000000001-0.seg.tmp");
    for path in [&strange, &begun] {
        world.disk.create_new(path).unwrap();
    }
    let (_, recovery) = open(&world.disk, &world.known).unwrap();
    assert_eq!(recovery.unknown.first(), Some(&strange));
    assert_eq!(world.disk.state().paths(), [strange]);
}

#[test]
fn the_log_works_on_the_real_file_system() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("wal");
    let io: Arc<dyn Io> = Arc::new(RealIo);
    let open = |epoch| Wal::open(Arc::clone(&io), &folder, 0, epoch, settings()).unwrap();
    let (mut wal, _) = open(1);
    let payload = vec![3; 10_000];
    for n in 1..=20u64 {
        assert_eq!(wal.append(&[frame(2, &[&payload, b"end"])]).unwrap(), 2 * n);
    }
    assert!(wal.segments() >= 5);
    drop(wal);
    let (mut wal, recovery) = open(2);
    assert_eq!((recovery.rows, recovery.clean), (40, false));
    wal.append(&[frame(2, &[b"more"])]).unwrap();
    wal.seal().unwrap();
    let on_disk: u64 = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().len())
        .sum();
    assert_eq!(wal.bytes(), on_disk);
    drop(wal);
    let (mut wal, recovery) = open(3);
    assert!(recovery.clean);
    assert_eq!(replayed(&wal, 1).len(), 21);
    let frames = read(Arc::clone(&io), &folder, 40).unwrap();
    assert_eq!(frames.map(|f| f.unwrap().payload.len()).sum::<usize>(), 4);
    assert_eq!(wal.release(42).unwrap(), recovery.segments);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}
