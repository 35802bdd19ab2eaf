//! The one binary: reads the command line, wires the rooms, talks to the terminal.
//!
//! Exit codes: 0 done; 1 done, but something was found (lines rejected, a check failed);
//! 2 not done (wrong usage, a refused query, a folder that cannot be opened).

mod args;
mod commands;
mod lang;
mod output;
mod prompt;
mod settings;
mod statements;

use std::{panic, process::ExitCode};

use clap::Parser;

use crate::{args::Cli, output::Style};

/// How a command that ran to its end went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to complain about.
    Clean,
    /// It ran, and found something that a person or a script should know.
    Findings,
}

fn main() -> ExitCode {
    end_quietly_on_a_closed_pipe();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let cli = Cli::parse();
    match commands::run(&cli) {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Findings) => ExitCode::from(1),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let style = Style::for_errors(cli.color);
            eprintln!("{} {error:#}", style.paint(output::Tone::Bad, "error:"));
            ExitCode::from(2)
        }
    }
}

/// `println!` panics when nobody reads any more, as in `callgauge demo | head`: that is no error.
fn end_quietly_on_a_closed_pipe() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<String>();
        if text.is_some_and(|t| t.starts_with("failed printing to std") && t.contains("pipe")) {
            std::process::exit(0);
        }
        report(info);
    }));
}

/// `callgauge sql … | head` is not an error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
