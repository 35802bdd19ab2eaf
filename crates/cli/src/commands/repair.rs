//! `callgauge repair`: going on past damage.

use anyhow::Result;
use ingest::live::{Findings, examine, repair};
use store::Store;

use super::open_to_read;
use crate::{
    Outcome,
    args::Repair,
    output::{grouped, progress},
    settings,
};

/// Mends data files, or a segment of the log if one is named.
///
/// # Errors
/// The folder cannot be read or written, another process writes to it, or there is no such segment.
pub fn run(args: &Repair) -> Result<Outcome> {
    match &args.salvage {
        Some(segment) => salvage(args, segment),
        None => mend(args),
    }
}

/// Says what is lost in a damaged segment of the log; with `--yes`, goes on without it.
fn salvage(args: &Repair, segment: &str) -> Result<Outcome> {
    if !args.yes {
        println!(
            "nothing is changed without --yes. With it, the whole frames of {segment} are kept in a \
             new segment, the damaged one is renamed to *.damaged, and what is lost is printed."
        );
        return Ok(Outcome::Findings);
    }
    let done = Store::salvage(&args.data.dir, segment, settings::random()?)?;
    println!(
        "kept {} row(s) in {} frame(s)",
        grouped(done.rows),
        grouped(done.frames)
    );
    for lost in &done.lost {
        println!("lost: {lost}");
    }
    if let Some(path) = &done.damaged {
        println!("the damaged segment is now {}", path.display());
    }
    Ok(Outcome::Clean)
}

/// Folds damaged facts anew from the events, and looks elsewhere for events of damaged files. What
/// is nowhere goes with `--yes` only.
fn mend(args: &Repair) -> Result<Outcome> {
    // A folder that is not there must not be made by looking at it.
    drop(open_to_read(&args.data.dir)?);
    let store = Store::create_or_open(&args.data.dir)?;
    let spinner = progress::spinner("reading every file");
    let found = examine(&store)?;
    spinner.finish_and_clear();
    print_findings(&found);
    if found.damaged.is_empty() {
        println!("no data file is damaged");
        return Ok(outcome(&found));
    }
    if !found.lost.is_empty() && !args.yes {
        println!(
            "nothing is changed without --yes. With it, the damaged files are renamed to *.damaged, \
             a row of facts.quarantine says what is lost, and the facts are folded anew without it. \
             A copy of the files, put in their place, loses nothing."
        );
        return Ok(Outcome::Findings);
    }
    let spinner = progress::spinner("mending");
    let done = repair(&store, &found, settings::now())?;
    spinner.finish_and_clear();
    if !done.rebuilt.is_empty() {
        println!("folded anew: {}", done.rebuilt.join(", "));
    }
    if done.recovered > 0 {
        println!("{} event(s) found elsewhere", grouped(done.recovered));
    }
    for file in &found.damaged {
        println!("mended: {}", file.file.path);
    }
    Ok(outcome(&found))
}

fn print_findings(found: &Findings) {
    for file in &found.damaged {
        println!("damaged: {}", file.error);
    }
    for error in &found.others {
        println!("not for a repair: {error}");
    }
    for lost in &found.lost {
        println!("lost: {lost}");
    }
}

fn outcome(found: &Findings) -> Outcome {
    match found.others.is_empty() {
        true => Outcome::Clean,
        false => Outcome::Findings,
    }
}
