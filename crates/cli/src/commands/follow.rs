//! `callgauge import --follow`: a log that grows, read as it grows.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use events::{DEFAULT_TENANT, Intake, Text};
use ingest::{
    asterisk::{QueueLog, QueueLogSettings},
    live::{Follow, FollowError, Grammar, LiveIngest, LiveSettings, Polled, Refusal},
};
use store::Store;

use super::serve::{Signals, live_settings, start};
use crate::{
    Outcome,
    args::{Import, InputFormat},
    output::grouped,
    settings,
};

/// Between two looks at the file.
const LOOK: Duration = Duration::from_millis(200);

/// Reads the file from its beginning and on, until SIGTERM or Ctrl-C.
///
/// # Errors
/// The format cannot be followed, the folder cannot be written, or ingest has stopped.
pub fn run(args: &Import, queue_log: QueueLogSettings) -> Result<Outcome> {
    let [file] = args.files.as_slice() else {
        bail!("--follow reads one file: import the others first");
    };
    let grammar = match args.format {
        InputFormat::Ndjson => Grammar::Ndjson(Intake {
            tenant_id: DEFAULT_TENANT.into(),
            default_source: args.source.as_deref().map(Text::from),
            recorded_at: settings::now(),
        }),
        InputFormat::AsteriskQueueLog => Grammar::QueueLog(Box::new(QueueLog::new(queue_log))),
        InputFormat::Csv => bail!("a csv file is a finished table: import it without --follow"),
        _ => bail!("--follow reads ndjson and asterisk-queue-log: import this file without it"),
    };
    let key = settings::identity_key(args.identity_key.as_deref())?;
    let live = LiveSettings {
        default_source: args.source.as_deref().map(Text::from),
        ..live_settings(key)?
    };
    let mut signals = Signals::listen()?;
    let store = Arc::new(Store::create_or_open(&args.data.dir)?);
    let live = start(&store, &args.data.dir, live)?;
    eprintln!("following {}. Ctrl-C ends.", file.display());
    let mut follow = Follow::new(file, grammar);
    let mut rejected = 0;
    let name = loop {
        let wait = look(&mut follow, &live, &mut rejected)?;
        if let Some(name) = signals.wait_at_most(wait) {
            break name;
        }
    };
    look(&mut follow, &live, &mut rejected)?;
    eprintln!("{name}: finishing");
    live.shut_down()?;
    Ok(match rejected > 0 && !args.allow_rejects {
        true => Outcome::Findings,
        false => Outcome::Clean,
    })
}

/// Takes what is new in the file; how long to wait before the next look.
fn look(follow: &mut Follow, live: &LiveIngest, rejected: &mut u64) -> Result<Duration> {
    match follow.poll(live, settings::now()) {
        Ok(Polled { receipt, .. }) => {
            let bad = receipt.rejected - receipt.too_old;
            *rejected += bad;
            for error in &receipt.errors {
                let path = follow.path().display();
                eprintln!("rejected: {path}:{}: {}", error.line, error.reason);
            }
            if receipt.accepted + receipt.duplicate + receipt.rejected > 0 {
                let too_old = match receipt.too_old {
                    0 => String::new(),
                    events => format!(" · {} passed over: before what is kept", grouped(events)),
                };
                println!(
                    "accepted {} · duplicate {} · rejected {}{too_old}",
                    grouped(receipt.accepted),
                    grouped(receipt.duplicate),
                    grouped(bad)
                );
            }
            Ok(LOOK)
        }
        Err(FollowError::Refused(
            Refusal::Busy { retry_after } | Refusal::DiskFull { retry_after },
        )) => Ok(retry_after),
        Err(error @ FollowError::Read { .. }) => {
            eprintln!("{error}");
            Ok(LOOK * 5)
        }
        Err(error) => Err(error.into()),
    }
}
