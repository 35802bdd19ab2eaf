use sim::*;
use std::time::Instant;
fn main() {
    let a: Vec<u32> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let config = Config { seed: a[0] as u64, days: a[1], agents: a[2], ..Config::default() };
    let t = Instant::now();
    let n = World::new(&config).unwrap().count();
    let e = t.elapsed().as_secs_f64();
    println!("{n} events in {e:.2}s = {:.0}/s; event {} bytes", n as f64 / e, size_of::<events::Event>());
    let t = Instant::now();
    let mut types = std::collections::BTreeMap::new();
    let mut w = World::with_ledger(&config).unwrap();
    let mut bytes = 0usize; let mut last = 0;
    let mut buf = Vec::new();
    for e in w.by_ref() { assert!(e.occurred_at.0 >= last); last = e.occurred_at.0; *types.entry(e.data.event_type()).or_insert(0) += 1; buf.clear(); write_ndjson(&e, &mut buf).unwrap(); bytes += buf.len(); }
    println!("with ledger and ndjson {:.2}s, {} MB", t.elapsed().as_secs_f64(), bytes >> 20);
    println!("{types:?}");
    let l = w.into_ledger().unwrap();
    let t = Instant::now();
    for m in METRICS {
        for by_queue in [false, true] {
            if let Some(rows) = l.kpi(m.id, Grouping { bucket: Bucket::Total, by_queue }) {
                if !by_queue { print!("\n{:34}", m.id); }
                for r in &rows { print!(" {}={}/{:?}={:.3}", r.queue.as_deref().unwrap_or("-"), r.numerator, r.denominator, r.value(m).unwrap_or(f64::NAN)); }
                if by_queue && m.id != "service_level" && m.id != "abandon_rate" && m.id!="asa" && m.id!="aht" {  }
            }
        }
    }
    println!("\nkpis in {:.2}s", t.elapsed().as_secs_f64());
}
