//! `callgauge retain`: letting contacts go that were kept long enough.

use anyhow::Result;
use ingest::retention::{Gone, Plan, STEP_DAYS, STEP_EVENTS, let_go, plan, preview};
use store::Store;

use super::open_to_read;
use crate::{
    Outcome,
    args::Retain,
    output::{grouped, progress},
    settings,
};

/// Says what goes, and with `--yes` or after the first time lets it go.
///
/// # Errors
/// The folder cannot be read or written, or another process writes to it.
pub fn run(args: &Retain) -> Result<Outcome> {
    // Also so that a folder that is not there is not made by looking at it.
    let store = open_to_read(&args.data.dir)?;
    if args.dry_run {
        return show(args, &store);
    }
    let is_first = store.version().floors.contacts.is_none();
    if is_first && !args.yes {
        let found = show(args, &store)?;
        if found == Outcome::Clean {
            return Ok(found);
        }
        println!(
            "nothing is changed: the first time it takes --yes. What goes cannot be brought back, and \
             what happened before the day named is not taken any more."
        );
        return Ok(found);
    }
    drop(store);
    let store = Store::create_or_open(&args.data.dir)?;
    super::serve::take_over(&store, &args.data.dir)?;
    let Some(plan) = plan(&store, args.keep, settings::now(), args.yes)? else {
        println!("nothing is older than {} days", args.keep);
        return Ok(Outcome::Clean);
    };
    let spinner = progress::spinner("letting go");
    let gone = let_go(&store, &plan, STEP_EVENTS)?;
    spinner.finish_and_clear();
    println!("gone: {}", text(&gone, &plan));
    if plan.target < plan.due {
        println!(
            "contacts up to {} are due: {STEP_DAYS} days a run, or all of it with --yes",
            plan.due
        );
    }
    Ok(Outcome::Clean)
}

/// Says what would go. That is a finding, so that a script notices.
fn show(args: &Retain, store: &Store) -> Result<Outcome> {
    let Some(plan) = plan(store, args.keep, settings::now(), true)? else {
        println!("nothing is older than {} days", args.keep);
        return Ok(Outcome::Clean);
    };
    let spinner = progress::spinner("reading");
    let gone = preview(store, &plan)?;
    spinner.finish_and_clear();
    println!("would go: {}", text(&gone, &plan));
    Ok(Outcome::Findings)
}

fn text(gone: &Gone, plan: &Plan) -> String {
    format!(
        "{} contact(s) that were over before {}, with {} event(s) and {} row(s) of facts",
        grouped(gone.contacts),
        plan.target,
        grouped(gone.events),
        grouped(gone.rows)
    )
}
