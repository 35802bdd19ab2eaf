//! `callgauge serve`: events over HTTP, until told to stop.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use events::Text;
use ingest::{
    IdentityKey,
    live::{LiveIngest, LiveSettings},
};
use server::{RunningServer, Server, Surroundings};
use store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{Outcome, args::Serve, output::grouped, settings};

/// Opens the folder, takes events until SIGTERM or Ctrl-C, and leaves everything in Parquet.
///
/// # Errors
/// The folder or its log cannot be read, the address cannot be listened on, or the end was not
/// clean.
pub fn run(args: &Serve) -> Result<Outcome> {
    let mut signals = Signals::listen()?;
    let live = open(args)?;
    let started = listen(args, &live);
    let server = match started {
        Ok(server) => server,
        Err(error) => {
            live.shut_down()?;
            return Err(error);
        }
    };
    eprintln!("listening on http://{}", server.addr());
    eprintln!("an answer means: on the disk (durability synced). Ctrl-C ends.");
    let name = signals.wait();
    eprintln!("{name}: finishing");
    server.stop();
    live.shut_down().context("the end was not clean")?;
    Ok(Outcome::Clean)
}

fn open(args: &Serve) -> Result<LiveIngest> {
    let key = settings::identity_key(args.identity_key.as_deref())?;
    let live = LiveSettings {
        default_source: args.source.as_deref().map(Text::from),
        budget_bytes: args.buffer_mib << 20,
        ..live_settings(key)?
    };
    start(&args.data.dir, live)
}

/// The usual settings of live ingest.
///
/// # Errors
/// The system has no random numbers.
pub fn live_settings(key: [u8; 32]) -> Result<LiveSettings> {
    let key = IdentityKey::new(key);
    Ok(LiveSettings::new(
        key,
        Arc::new(settings::now),
        settings::random()?,
    ))
}

/// Opens a folder for live ingest and says what its log had.
///
/// # Errors
/// The folder or its log cannot be read.
pub fn start(dir: &Path, live: LiveSettings) -> Result<LiveIngest> {
    let store = Arc::new(Store::create_or_open(dir)?);
    let (live, recovered) = LiveIngest::start(store, live)
        .with_context(|| format!("cannot go on with the log of {}", dir.display()))?;
    if recovered.events > 0 || recovered.cut_bytes > 0 {
        eprintln!(
            "the log had {} event(s) that were not in Parquet; {} byte(s) of an unfinished write \
             were cut",
            grouped(recovered.events),
            grouped(recovered.cut_bytes)
        );
    }
    Ok(live)
}

fn listen(args: &Serve, live: &LiveIngest) -> Result<RunningServer> {
    let mut http = server::Settings::new(args.http);
    http.token_file = args.token_file.clone();
    let surroundings = Surroundings {
        now: Arc::new(settings::now),
        run_id: u64::from_le_bytes(settings::random()?),
    };
    Ok(Server::start(http, surroundings, Arc::new(live.clone()))?)
}

/// The signals that end a program that runs on.
pub struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on the signals are taken, not obeyed.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (terminate, interrupt) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            )
        };
        Ok(Signals {
            runtime,
            terminate,
            interrupt,
        })
    }

    /// Waits for SIGTERM or Ctrl-C and returns its name.
    pub fn wait(&mut self) -> &'static str {
        let (terminate, interrupt) = (&mut self.terminate, &mut self.interrupt);
        self.runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "Ctrl-C",
            }
        })
    }

    /// As [`Signals::wait`], at most so long; `None` if nothing came.
    pub fn wait_at_most(&mut self, time: Duration) -> Option<&'static str> {
        let (terminate, interrupt) = (&mut self.terminate, &mut self.interrupt);
        let signal = async {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "Ctrl-C",
            }
        };
        let wait = async { tokio::time::timeout(time, signal).await.ok() };
        self.runtime.block_on(wait)
    }
}

/// Brings what a server left in the log of a folder to Parquet, before something else writes to it.
///
/// # Errors
/// The log cannot be read.
pub fn take_over(store: &Store, dir: &Path) -> Result<()> {
    match ingest::live::recover(store, settings::random()?) {
        Ok(found) if found.events > 0 => {
            eprintln!(
                "took over {} event(s) from the log of a server",
                grouped(found.events)
            );
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) => bail!("cannot go on with the log of {}: {error}", dir.display()),
    }
}
