//! A simulated day as NDJSON.

use sim::{Config, World};

/// The lines of a small world.
pub fn lines(seed: u64, agents: u32) -> Vec<String> {
    let config = Config {
        seed,
        days: 1,
        agents,
        ..Config::default()
    };
    let world = World::new(&config).expect("a valid configuration");
    world.map(|event| event.to_json_line()).collect()
}

/// The text of a file with these lines.
pub fn text(lines: &[String]) -> String {
    lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect()
}
