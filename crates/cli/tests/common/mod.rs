//! Running the binary.

use std::process::{Command, Output};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_callgauge");

/// Runs it to its end.
pub fn callgauge(args: &[&str]) -> Output {
    Command::new(BINARY)
        .args(args)
        .env_remove("CALLGAUGE_DATA")
        .env("LANG", "C")
        .output()
        .expect("the binary runs")
}

/// What it has printed.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
