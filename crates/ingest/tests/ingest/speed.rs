//! tmp
use std::time::Instant;
use ingest::{Importer, formats::Inputs, ndjson::Ndjson};
use crate::{intake, settings};
use std::io::Write;
#[test]
#[ignore = "measure"]
fn speed() {
    let days: u32 = std::env::var("DAYS").unwrap().parse().unwrap();
    let dir = std::path::Path::new("/tmp/igbench");
    let file = dir.join(format!("world{days}.ndjson"));
    if !file.exists() {
        let mut f = std::io::BufWriter::new(std::fs::File::create(&file).unwrap());
        let c = sim::Config { seed: 1, days, agents: 100, ..sim::Config::default() };
        for e in sim::World::new(&c).unwrap() { let mut b = Vec::new(); e.write_json_line(&mut b); b.push(b'\n'); f.write_all(&b).unwrap(); }
        f.flush().unwrap();
    }
    let text = std::fs::read(&file).unwrap();
    let cpu = || std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse::<u64>().unwrap();
    let (c0, mut n) = (cpu(), 0u64);
    for l in text.split(|b| *b == b'\n') { if !l.is_empty() { events::decode_line(l, &intake()).unwrap(); n += 1; } }
    println!("decode {} events, {} MB, {:.0}/s of CPU", n, text.len() / 1_000_000, n as f64 * 1e9 / (cpu() - c0) as f64);
    let data = dir.join("data"); let _ = std::fs::remove_dir_all(&data);
    let store = if std::env::var_os("MEMORY").is_some() { store::Store::in_memory() } else { store::Store::create_or_open(&data).unwrap() };
    for _ in 0..2 {
        let t = Instant::now();
        let cpu0 = cpu();
        let mut importer = Importer::new(&store, settings(131_072)).unwrap();
        let mut lines = Ndjson::new(Inputs::files(vec![file.clone()]), intake());
        // CPU time of this thread is what the stages of the storing thread are measured in.
        let r = importer.run(&mut lines, &|| std::time::Duration::from_nanos(cpu()), &mut |_| {}).unwrap();
        let wall = t.elapsed().as_secs_f64();
        println!("accepted {} dup {} commits {} wall {:.2}s {:.0}/s; main-thread cpu {:.2}s\n  cpu by stage {:?}", r.accepted, r.duplicate, r.commits, wall, n as f64 / wall, (cpu() - cpu0) as f64 / 1e9, r.stages);
    }
    let v = store.version();
    let bytes: u64 = v.tables().flat_map(|t| t.files.iter()).map(|f| f.bytes).sum();
    println!("bytes/event {:.1}; log {:.1}", bytes as f64 / n as f64, v.table("log").map_or(0, |t| t.files.iter().map(|f| f.bytes).sum::<u64>()) as f64 / n as f64);
    println!("{}", std::fs::read_to_string("/proc/self/status").unwrap().lines().find(|l| l.starts_with("VmHWM")).unwrap());
}
