//! `callgauge check`: is what is on disk what was written?

use anyhow::Result;

use store::Store;

use super::open_to_read;
use crate::{
    Outcome,
    args::Check,
    output::{grouped, progress},
};

/// What is wrong with the write-ahead log: only what is not in files yet counts.
fn check_log(store: &Store) -> Result<Option<store::Error>> {
    match store.read_wal() {
        Ok(None) => Ok(None),
        Ok(Some(mut frames)) => Ok(frames.find_map(Result::err)),
        Err(error @ store::Error::WalDamaged { .. }) => Ok(Some(error)),
        Err(error) => Err(error.into()),
    }
}

/// Reads every file of the folder and compares it with the manifest.
pub fn run(args: &Check) -> Result<Outcome> {
    let store = open_to_read(&args.data.dir)?;
    let spinner = progress::spinner("reading every file");
    let store::Verified {
        mut errors,
        reused_ids,
    } = store.verify_all()?;
    errors.extend(check_log(&store)?);
    spinner.finish_and_clear();
    let version = store.version();
    for table in version.tables().filter(|t| !t.files.is_empty()) {
        let rows: u64 = table.files.iter().map(|f| f.rows).sum();
        let bytes: u64 = table.files.iter().map(|f| f.bytes).sum();
        println!(
            "{:<14} {:>4} file(s) {:>14} rows {:>14} bytes",
            table.name,
            table.files.len(),
            grouped(rows),
            grouped(bytes)
        );
    }
    if let Some(floor) = version.floors.contacts {
        println!("contacts are kept from {}", events::UtcMicros(floor));
    }
    for file in store.unknown_files() {
        println!("not ours, left alone: {}", file.display());
    }
    if reused_ids > 0 {
        println!(
            "remark: {} event(s) have the id of another event with other content; ids may be used \
             again after seven days",
            grouped(reused_ids)
        );
    }
    for error in &errors {
        println!("damaged: {error}");
    }
    if errors.is_empty() {
        println!(
            "clean: {} at commit {}",
            args.data.dir.display(),
            version.committed_seq
        );
        return Ok(Outcome::Clean);
    }
    Ok(Outcome::Findings)
}
