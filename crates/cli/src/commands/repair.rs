//! `callgauge repair`: going on past damage, because somebody decided to.

use anyhow::Result;
use store::Store;

use crate::{Outcome, args::Repair, output::grouped, settings};

/// Says what is lost in a damaged segment of the log; with `--yes`, goes on without it.
///
/// # Errors
/// There is no such segment, or the folder cannot be written.
pub fn run(args: &Repair) -> Result<Outcome> {
    if !args.yes {
        println!(
            "nothing is changed without --yes. With it, the whole frames of {} are kept in a new \
             segment, the damaged one is renamed to *.damaged, and what is lost is printed.",
            args.salvage
        );
        return Ok(Outcome::Findings);
    }
    let done = Store::salvage(&args.data.dir, &args.salvage, settings::random()?)?;
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
