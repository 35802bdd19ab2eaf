//! KPI queries over ten million queue visits, beside DuckDB over the same files.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result};
use engine::{Engine, Settings};
use store::Store;

/// Counted runs of each query on each side, in turn.
const RUNS: usize = 5;
const THREADS: usize = 2;

/// Runs the query benchmark and prints a table.
pub fn run(visits: u64, python: &str) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let seconds = super::visits::write(&data, visits)?;
    println!(
        "{visits} queue visits written in {seconds:.1} s, peak {} MiB",
        super::peak_mib()
    );
    let store = Arc::new(Store::open_read_only(&data)?);
    let mut duckdb = DuckDb::start(python, &root, &store, dir.path())?;
    let engine = engine(store)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .build()?;

    println!(
        "{:<28} {:>10} {:>10} {:>7}",
        "query", "callgauge", duckdb.name, "ratio"
    );
    let mut log_ratios = Vec::new();
    for (name, path) in queries(&root)? {
        let sql = one_day(&std::fs::read_to_string(&path)?);
        let theirs = root.join("sql/bench/duckdb").join(format!("{name}.sql"));
        let theirs_path = dir.path().join(format!("{name}.sql"));
        std::fs::write(&theirs_path, one_day(&std::fs::read_to_string(theirs)?))?;
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..=RUNS {
            let begin = Instant::now();
            let result = runtime.block_on(engine.sql(&sql))?;
            let mine = begin.elapsed().as_secs_f64();
            let rows: usize = result.batches.iter().map(|b| b.num_rows()).sum();
            let (their_seconds, their_rows) = duckdb.ask(&theirs_path)?;
            anyhow::ensure!(
                rows == their_rows,
                "{name}: {rows} rows here, {their_rows} in DuckDB"
            );
            // The first run warms caches on both sides.
            if run > 0 {
                ours.push(mine);
                theirs.push(their_seconds);
                ratios.push(mine / their_seconds);
            }
        }
        let (a, b, ratio) = (median(&mut ours), median(&mut theirs), median(&mut ratios));
        log_ratios.push(ratio.ln());
        println!(
            "{name:<28} {:>7.0} ms {:>7.0} ms {ratio:>7.2}",
            a * 1e3,
            b * 1e3
        );
    }
    let mean = (log_ratios.iter().sum::<f64>() / log_ratios.len() as f64).exp();
    println!("geometric mean of the ratios {mean:.2}");
    println!("peak memory {} MiB", super::peak_mib());
    Ok(())
}

/// The engine as the benchmarks use it.
pub(crate) fn engine(store: Arc<Store>) -> Result<Engine> {
    let problems = |p: Vec<kpi::Problem>| anyhow::anyhow!("{} problems, first: {}", p.len(), p[0]);
    let catalogue = kpi::Catalogue::builtin(&engine::model_specs()?).map_err(problems)?;
    let settings = Settings {
        memory_bytes: 900 << 20,
        target_partitions: THREADS,
        ..Settings::default()
    };
    Ok(Engine::new(store, Arc::new(catalogue), settings)?)
}

fn queries(root: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(root.join("sql/bench"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "sql") {
            let name = path
                .file_stem()
                .and_then(|s| s.to_str())
                .context("a query's name")?;
            found.insert(name.to_owned(), path);
        }
    }
    Ok(found)
}

/// Puts a day in the middle of the data in the place of `{from}` and `{to}`.
fn one_day(sql: &str) -> String {
    sql.replace("{from}", "2026-02-18 00:00:00+00")
        .replace("{to}", "2026-02-19 00:00:00+00")
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A DuckDB in a Python process over the store's files.
struct DuckDb {
    name: String,
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl DuckDb {
    fn start(python: &str, root: &Path, store: &Store, dir: &Path) -> Result<Self> {
        let version = store.version();
        let folder = store.root().context("the store has no folder")?;
        let views: BTreeMap<String, Vec<String>> = version
            .tables()
            .filter(|t| !t.files.is_empty())
            .map(|t| {
                let path = |f: &Arc<store::DataFile>| folder.join(&f.path).display().to_string();
                (t.name.to_string(), t.files.iter().map(path).collect())
            })
            .collect();
        let listing = dir.join("views.json");
        std::fs::write(&listing, serde_json::to_string(&views)?)?;
        let mut process = Command::new(python)
            .arg(root.join("benches/duckdb_server.py"))
            .arg(&listing)
            .arg(THREADS.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {python}"))?;
        let questions = process.stdin.take().context("no pipe to DuckDB")?;
        let mut answers = BufReader::new(process.stdout.take().context("no pipe from DuckDB")?);
        let mut name = String::new();
        answers.read_line(&mut name)?;
        anyhow::ensure!(
            !name.is_empty(),
            "{python} has no duckdb: pip install duckdb"
        );
        Ok(DuckDb {
            name: name.trim().to_owned(),
            process,
            questions,
            answers,
        })
    }

    fn ask(&mut self, query: &Path) -> Result<(f64, usize)> {
        writeln!(self.questions, "{}", query.display())?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: serde_json::Value = serde_json::from_str(&line)
            .with_context(|| format!("DuckDB failed on {}", query.display()))?;
        let seconds = answer["seconds"].as_f64().context("no seconds")?;
        let rows = answer["rows"].as_u64().context("no rows")?;
        Ok((seconds, usize::try_from(rows)?))
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        // It ends by itself with its input; nothing is lost if it does not.
        let _ = self.process.kill();
    }
}
