//! `callgauge device`: the screens that may look at a live board.

use std::io::{Write, stdout};

use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use server::devices;

use crate::{
    Outcome,
    args::{Device, DeviceCommand},
    settings,
};

/// Changes or shows the file of paired screens.
///
/// # Errors
/// The file cannot be read or written, a name is not known.
pub fn run(args: &Device) -> Result<Outcome> {
    let path = args.device_file.clone().or_else(settings::device_file);
    let path = path.context("no home folder: name a file with --device-file")?;
    match &args.command {
        DeviceCommand::List => {
            let now = settings::now();
            let mut table = Table::new();
            table.load_preset(presets::UTF8_FULL_CONDENSED);
            table.set_header(["name", "board", "expires", "created"]);
            for device in devices::list(&path)? {
                let over = if device.expires <= now { " (over)" } else { "" };
                let created = device.created.map_or(String::new(), |at| at.to_string());
                table.add_row([
                    device.name,
                    device.board,
                    format!("{}{over}", device.expires),
                    created,
                ]);
            }
            writeln!(stdout(), "{table}")?;
        }
        DeviceCommand::Revoke { name } => {
            devices::revoke(&path, name)?;
            eprintln!("'{name}' is revoked in {}", path.display());
        }
    }
    Ok(Outcome::Clean)
}
