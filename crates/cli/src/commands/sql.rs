//! `callgauge sql`: one query, or a prompt.

use std::io::{BufWriter, IsTerminal, Read, stdin, stdout};

use anyhow::{Context, Result, bail};
use engine::{Engine, SessionSettings};

use super::{block_on, definitions, engine_settings, open_engine, open_to_read};
use crate::{
    Outcome,
    args::{Format, Sql},
    output::batches,
    prompt::{Entry, Terminal, entry},
    settings,
    statements::split,
};

const HELP: &str = "\
  SELECT queue_id, MEASURE(service_level) FROM kpi.queue_visits GROUP BY queue_id;
  SELECT * FROM kpi('service_level', '1h', 'queue_id', '2026-03-02', '2026-03-03');
  SELECT kpi, title, formula FROM kpi.catalog;
  SET kpi.strict = true;    SUM(kpi) is refused from here on, not read as MEASURE(kpi)
Statements end with a semicolon. Tab completes.
  \\dt            tables and views
  \\d NAME        columns of a table
  \\format F      table, json or csv
  \\q             leave";

/// Runs the query, or the prompt.
pub fn run(args: &Sql) -> Result<Outcome> {
    let definitions = definitions(&args.dirs)?;
    let mut chosen = engine_settings(&args.zone, &args.params, &definitions.0)?;
    chosen.strict = args.strict;
    let engine = open_engine(open_to_read(&args.data.dir)?, definitions, chosen)?;
    match &args.query {
        Some(query) if query == "-" => all_of(&engine, &read_all()?, args.format),
        Some(query) if split(query).0.is_empty() => bail!("there is no statement in '{query}'"),
        Some(query) => all_of(&engine, query, args.format),
        None if !stdin().is_terminal() => all_of(&engine, &read_all()?, args.format),
        None => prompt(&engine, args.format),
    }
}

fn read_all() -> Result<String> {
    let mut text = String::new();
    stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Runs the statements of a text as one session; the last one needs no semicolon.
fn all_of(engine: &Engine, text: &str, mut format: Format) -> Result<Outcome> {
    let (statements, _) = split(text);
    let mut session = SessionSettings::default();
    for statement in &statements {
        let done = match entry(statement.text) {
            Entry::Quit => break,
            Entry::Statement(query) => one(engine, &mut session, &query, format),
            Entry::Command(name, argument) => command(engine, &name, &argument, &mut format),
        };
        if statements.len() > 1 {
            done.with_context(|| format!("the statement on line {}", statement.line))?;
        } else {
            done?;
        }
    }
    Ok(Outcome::Clean)
}

/// Runs one statement of a session and prints its rows; a SET has none.
fn one(
    engine: &Engine,
    session: &mut SessionSettings,
    query: &str,
    format: Format,
) -> Result<Outcome> {
    let result = block_on(|| async { Ok(engine.sql_in(query, session).await?) })?;
    if result.schema.fields().is_empty() {
        return Ok(Outcome::Clean);
    }
    let mut out = BufWriter::new(stdout().lock());
    batches::print(&mut out, &result.schema, &result.batches, format)?;
    std::io::Write::flush(&mut out)?;
    Ok(Outcome::Clean)
}

fn prompt(engine: &Engine, format: Format) -> Result<Outcome> {
    let (mut format, mut session) = (format, SessionSettings::default());
    println!(
        "callgauge {} - SQL. `help` for help, Ctrl-D to leave.",
        env!("CARGO_PKG_VERSION")
    );
    let history = settings::history_file();
    if let Some(folder) = history.as_ref().and_then(|f| f.parent()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut terminal = Terminal::new(words(engine)?, history)?;
    loop {
        for entry in terminal.read()? {
            let result = match entry {
                Entry::Quit => return Ok(Outcome::Clean),
                Entry::Statement(query) => one(engine, &mut session, &query, format),
                Entry::Command(name, argument) => command(engine, &name, &argument, &mut format),
            };
            if let Err(error) = result {
                eprintln!("error: {error:#}");
            }
        }
    }
}

fn command(engine: &Engine, name: &str, argument: &str, format: &mut Format) -> Result<Outcome> {
    let show = |query: &str| one(engine, &mut SessionSettings::default(), query, *format);
    match name {
        "dt" => show("SHOW TABLES"),
        "d" if !argument.is_empty() => show(&format!("DESCRIBE {argument}")),
        "format" => {
            *format = clap::ValueEnum::from_str(argument, true).map_err(anyhow::Error::msg)?;
            Ok(Outcome::Clean)
        }
        "help" | "?" | "h" => {
            println!("{HELP}");
            Ok(Outcome::Clean)
        }
        other => anyhow::bail!("unknown command \\{other}; `help` lists them"),
    }
}

/// Words for completion: SQL, tables, columns, KPIs.
fn words(engine: &Engine) -> Result<Vec<String>> {
    const SQL: &[&str] = &[
        "SELECT",
        "FROM",
        "WHERE",
        "GROUP BY",
        "ORDER BY",
        "HAVING",
        "LIMIT",
        "MEASURE(",
        "COUNT(",
        "FILTER (WHERE",
        "ROLLUP(",
        "WITH",
        "AND",
        "OR",
        "NOT",
        "BETWEEN",
        "INTERVAL",
        "SET kpi.strict =",
        "kpi_bucket(",
        "kpi(",
        "\\dt",
        "\\d",
        "\\format",
        "\\q",
    ];
    let query = "SELECT table_schema || '.' || table_name AS word FROM information_schema.tables \
                 UNION SELECT column_name FROM information_schema.columns ORDER BY 1";
    let result = block_on(|| async { Ok(engine.sql(query).await?) })?;
    let mut words: Vec<String> = SQL.iter().map(|w| (*w).to_owned()).collect();
    let options = arrow::util::display::FormatOptions::default();
    for batch in &result.batches {
        let column = batch.column(0).as_ref();
        let text = arrow::util::display::ArrayFormatter::try_new(column, &options)?;
        words.extend((0..batch.num_rows()).map(|row| text.value(row).to_string()));
    }
    words.extend(engine.catalogue().iter().map(|k| k.id.clone()));
    words.sort();
    words.dedup();
    Ok(words)
}
