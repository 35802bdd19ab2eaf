//! What importing files does to the store.

use std::path::{Path, PathBuf};

use ingest::{
    Importer,
    asterisk::QueueLogSettings,
    csv_mapping::Mapping,
    formats::{CsvLines, Inputs, Made, QueueLogLines},
};
use store::Store;

use crate::{
    ARRIVAL, assert_same_rows, count, import, import_file, import_text, no_time, received, rows,
    settings, world,
};

fn imported(batch_events: usize, text: impl Into<Vec<u8>>) -> Store {
    let store = Store::in_memory();
    let report = import_text(&store, batch_events, text);
    assert_eq!(report.rejected, 0, "{:#?}", report.first_errors);
    store
}

#[test]
fn every_line_of_a_simulated_day_is_accepted() {
    let lines = world::lines(1, 8);
    let store = Store::in_memory();
    let report = import_text(&store, 1000, world::text(&lines));
    assert_eq!(report.accepted, lines.len() as u64);
    assert_eq!((report.lines, report.duplicate), (lines.len() as u64, 0));
    assert_eq!(report.commits, report.accepted.div_ceil(1000));
    assert_eq!(count(&store, "log"), report.accepted);
    assert!(count(&store, "queue_visits") > 0);
}

#[test]
fn the_order_of_the_lines_does_not_matter() {
    let mut lines = world::lines(2, 6);
    let forwards = imported(500, world::text(&lines));
    lines.reverse();
    let backwards = imported(500, world::text(&lines));
    assert_same_rows(&forwards, &backwards, ARRIVAL);
}

#[test]
fn the_size_of_the_batches_does_not_matter() {
    let text = world::text(&world::lines(3, 6));
    let large = imported(100_000, text.as_str());
    for batch_events in [7, 333] {
        assert_same_rows(&large, &imported(batch_events, text.as_str()), ARRIVAL);
    }
}

#[test]
fn importing_a_file_twice_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut lines = world::lines(4, 6);
    let events = lines.len() as u64;
    lines.insert(5, "{\"event_id\":".to_owned());
    lines.push("not an event".to_owned());
    let path = folder.path().join("day.ndjson");
    std::fs::write(&path, world::text(&lines)).expect("the file is written");
    let data = folder.path().join("data");
    let first = {
        let store = Store::create_or_open(&data).expect("a store");
        assert_eq!(import_file(&store, 700, &path).accepted, events);
        (store.version().committed_seq, rows(&store, &[]))
    };
    let store = Store::create_or_open(&data).expect("a store");
    for batch_events in [700, 123] {
        let report = import_file(&store, batch_events, &path);
        assert_eq!(
            (report.accepted, report.duplicate, report.rejected),
            (0, events, 2)
        );
        assert_eq!(report.commits, 0);
    }
    assert_eq!((store.version().committed_seq, rows(&store, &[])), first);
}

#[test]
fn overlapping_files_add_what_is_new() {
    let lines = world::lines(5, 6);
    let (third, two_thirds) = (lines.len() / 3, lines.len() * 2 / 3);
    let whole = imported(400, world::text(&lines));
    let parts = Store::in_memory();
    let late = import_text(&parts, 400, world::text(&lines[third..]));
    let early = import_text(&parts, 400, world::text(&lines[..two_thirds]));
    assert_eq!(late.accepted + early.accepted, lines.len() as u64);
    assert_eq!(early.duplicate, (two_thirds - third) as u64);
    // What becomes known of an agent later is not written into rows of contacts that are closed.
    let profile = [
        "team_id",
        "first_team_id",
        "site_id",
        "tenure_band",
        "slots",
    ];
    assert_same_rows(&whole, &parts, &[ARRIVAL, &profile].concat());
}

#[test]
fn an_import_goes_on_after_a_restart_with_contacts_that_are_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = world::lines(6, 6);
    let whole = imported(100_000, world::text(&lines));
    for part in lines.chunks(lines.len() / 5 + 1) {
        let store = Store::create_or_open(folder.path()).expect("a store");
        assert_eq!(
            import_text(&store, 150, world::text(part)).accepted,
            part.len() as u64
        );
    }
    let parts = Store::create_or_open(folder.path()).expect("a store");
    assert_same_rows(&whole, &parts, ARRIVAL);
    assert!(parts.verify().expect("readable").is_empty());
}

#[test]
fn events_can_come_without_lines() {
    let config = sim::Config {
        seed: 7,
        days: 1,
        agents: 6,
        ..sim::Config::default()
    };
    let made = Store::in_memory();
    let events = sim::World::new(&config).expect("a valid configuration");
    let report = import(&made, 1000, &mut Made::new(events));
    assert_eq!(report.rejected, 0, "{:#?}", report.first_errors);
    let read = imported(1000, world::text(&world::lines(7, 6)));
    assert_same_rows(&made, &read, &[]);
}

#[test]
fn progress_is_told_after_every_batch() {
    let text = world::text(&world::lines(8, 6));
    let bytes = text.len() as u64;
    let store = Store::in_memory();
    let mut importer = Importer::new(&store, settings(500)).expect("a store");
    let inputs = ingest::formats::Inputs::stream(None, std::io::Cursor::new(text));
    let mut lines = ingest::ndjson::Ndjson::new(inputs, crate::intake());
    let mut seen = Vec::new();
    let report = importer
        .run(&mut lines, &no_time, &mut |p| seen.push(*p))
        .expect("it runs");
    assert_eq!(seen.len() as u64, report.commits);
    let seqs: Vec<Option<u64>> = seen.iter().map(|p| p.committed).collect();
    assert_eq!(seqs, (1..=report.commits).map(Some).collect::<Vec<_>>());
    assert_eq!(
        seen.last().map(|p| (p.bytes, p.accepted)),
        Some((bytes, report.accepted))
    );
}

/// A file of the samples that come with the project.
fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../data-samples")
        .join(name)
}

#[test]
fn a_queue_log_and_a_table_go_the_same_way_and_change_nothing_the_second_time() {
    let mapping = std::fs::read_to_string(sample("mappings/calls.yml")).expect("the mapping");
    let mapping = Mapping::parse("calls.yml", &mapping).expect("a valid mapping");
    let log_settings = || QueueLogSettings {
        tenant_id: "default".into(),
        source: "pbx".into(),
        recorded_at: received(),
        clock: None,
    };
    let store = Store::in_memory();
    let import_both = || {
        let log = Inputs::files(vec![sample("queue_log")]);
        let log = import(&store, 500, &mut QueueLogLines::new(log, log_settings()));
        let table = Inputs::files(vec![sample("calls.csv")]);
        let tenant = "default".into();
        let mut rows = CsvLines::new(table, &mapping, tenant, received());
        [log, import(&store, 500, &mut rows)]
    };
    let first = import_both();
    let version = store.version().committed_seq;
    let second = import_both();
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.rejected, 0, "{:#?}", first.first_errors);
        assert!(first.accepted > 500 && first.duplicate == 0, "{first:#?}");
        assert_eq!((second.accepted, second.duplicate), (0, first.accepted));
    }
    assert_eq!(store.version().committed_seq, version);
    assert!(count(&store, "queue_visits") > 200);
}

#[test]
fn a_table_without_the_columns_of_its_mapping_is_an_error_that_names_them() {
    let mapping = std::fs::read_to_string(sample("mappings/calls.yml")).expect("the mapping");
    let mapping = Mapping::parse("calls.yml", &mapping).expect("a valid mapping");
    let store = Store::in_memory();
    let table = Inputs::stream(Some("t.csv".into()), std::io::Cursor::new("a,b\n1,2\n"));
    let mut rows = CsvLines::new(table, &mapping, "default".into(), received());
    let mut importer = Importer::new(&store, settings(10)).expect("a store");
    let error = importer
        .run(&mut rows, &no_time, &mut |_| {})
        .expect_err("columns are missing");
    assert!(
        error.to_string().contains("t.csv") && error.to_string().contains("call_no"),
        "{error}"
    );
}
