//! The command line, as people type it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use server::access::Role;

/// Contact-centre KPIs from your own events: one definition, one number, everywhere.
#[derive(Debug, Parser)]
#[command(
    name = "callgauge",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Colour the output: by default only on a terminal that wants it.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// Language of titles and words: en, zh-CN or zh-TW. Default: from LANG.
    #[arg(long, global = true, value_parser = crate::lang::Lang::parse)]
    pub lang: Option<crate::lang::Lang>,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Simulate a contact centre, show its KPIs, and serve it live with its wallboard.
    Demo(Demo),
    /// Write the events of a simulated contact centre to a file.
    Simulate(Simulate),
    /// Bring events, logs and tables into the data folder.
    Import(Import),
    /// Take events and answer questions over HTTP and Flight SQL until told to stop.
    Serve(Serve),
    /// Make, list and revoke the tokens of a server.
    Token(Token),
    /// List and revoke the screens that may look at a live board.
    Device(Device),
    /// Ask a running server whether it is well.
    Health(Health),
    /// Ask in SQL: one query, or a prompt.
    Sql(Sql),
    /// Show KPIs as a table, or check KPI definitions.
    Kpi(Kpi),
    /// Verify the data folder: manifest, checksums, row counts, double ids.
    Check(Check),
    /// Mend damaged files, after saying what cannot be brought back.
    Repair(Repair),
    /// Let contacts go that were over long ago, with their events and facts.
    Retain(Retain),
    /// Print a completion script for your shell.
    Completions {
        /// Which shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Where the data are.
#[derive(Clone, Debug, Args)]
pub struct DataDir {
    /// Data folder.
    #[arg(
        long = "data",
        env = "CALLGAUGE_DATA",
        default_value = "./callgauge-data"
    )]
    pub dir: PathBuf,
}

/// `callgauge demo`
#[derive(Debug, Args)]
pub struct Demo {
    #[command(flatten)]
    pub data: DataDir,
    /// The world's seed: the same seed gives the same world.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many days to simulate.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub days: u32,
    /// How many agents work there.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(5..=5000))]
    pub agents: u32,
    /// Only print the table, of the same days for everybody, and end.
    #[arg(long)]
    pub no_serve: bool,
    /// How fast the live day goes: 1 as it does, 60 an hour in a minute, 0 stands still.
    #[arg(long, default_value_t = 1.0, value_parser = speed, conflicts_with = "no_serve")]
    pub speed: f64,
    /// What the clocks of the centre show when it goes live, as 10:30. Default: the time there, or
    /// 10:30 while it is closed.
    #[arg(long, value_name = "HH:MM", value_parser = time_of_day, conflicts_with = "no_serve")]
    pub at: Option<chrono::NaiveTime>,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8080", conflicts_with = "no_serve")]
    pub http: std::net::SocketAddr,
    /// Where to answer Arrow Flight SQL.
    #[arg(long, default_value = "127.0.0.1:50051", conflicts_with = "no_serve")]
    pub flight: std::net::SocketAddr,
    /// Folders with your own definitions, after the built-in ones. Read again when they change.
    #[arg(long = "kpi-dir", value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
}

/// A speed that clocks can have: an hour a second at most.
fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok();
    let speed = speed.filter(|speed| (0.0..=3_600.0).contains(speed));
    speed.ok_or_else(|| "a number from 0 to 3600, as 1 or 60".to_owned())
}

fn time_of_day(text: &str) -> Result<chrono::NaiveTime, String> {
    let time = chrono::NaiveTime::parse_from_str(text, "%H:%M");
    time.map_err(|_| "a time of day, as 10:30".to_owned())
}

/// `callgauge serve`
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub data: DataDir,
    /// Where to listen. Off loopback only with a token file, and with TLS or --insecure.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub http: std::net::SocketAddr,
    /// Where to answer Arrow Flight SQL too, as 127.0.0.1:50051; see docs/flight.md.
    #[arg(long, value_name = "ADDR")]
    pub flight: Option<std::net::SocketAddr>,
    /// File of tokens, as `callgauge token` makes it. Without one nobody is asked for a token.
    #[arg(long, env = "CALLGAUGE_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// File of paired screens. Default: `devices` beside the token file, or in the configuration
    /// folder.
    #[arg(long, env = "CALLGAUGE_DEVICE_FILE", value_name = "FILE")]
    pub device_file: Option<PathBuf>,
    /// Folder with your own live boards (*.json), beside the built-in ones; see docs/live.md.
    #[arg(long, value_name = "DIR")]
    pub boards: Option<PathBuf>,
    /// Certificate for TLS, with those that lead to a known one (PEM). Read again when it changes.
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Listen off loopback without TLS: a proxy or the network itself protects the connection.
    #[arg(long, conflicts_with = "tls_cert")]
    pub insecure: bool,
    /// Zone of days and buckets when a question does not name one.
    #[arg(long, env = "CALLGAUGE_ZONE", default_value = "UTC")]
    pub zone: String,
    /// A KPI parameter, as `service_level.threshold=30s`.
    #[arg(long = "param", value_name = "KPI.NAME=VALUE")]
    pub params: Vec<String>,
    /// Folders with your own definitions, after the built-in ones. Read again when they change.
    #[arg(long = "kpi-dir", value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// File of alert rules, in place of the built-in ones; see docs/alerts.md.
    #[arg(long, value_name = "FILE")]
    pub alerts: Option<PathBuf>,
    /// Address that is told of every alert, as https://host/path; may be given several times, or in
    /// the environment with commas, where other users of the machine do not see it.
    #[arg(
        long = "webhook",
        env = "CALLGAUGE_WEBHOOKS",
        hide_env_values = true,
        value_delimiter = ',',
        value_name = "URL"
    )]
    pub webhooks: Vec<String>,
    /// Certificates (PEM) that https webhooks are checked by, in place of those of the system.
    #[arg(long, value_name = "FILE")]
    pub webhook_ca: Option<PathBuf>,
    /// Source of events that do not say theirs.
    #[arg(long)]
    pub source: Option<String>,
    /// File with a 32-byte key as 64 hex digits, which turns phone numbers and addresses into tokens.
    /// Default: `identity.key` in the configuration folder, made on first use.
    #[arg(long, env = "CALLGAUGE_IDENTITY_KEY_FILE")]
    pub identity_key: Option<PathBuf>,
    /// Memory for events that wait for Parquet, in MiB: twice as much and deliveries are refused.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub buffer_mib: u64,
    /// Days that rejected lines are kept, which may hold personal data; 0 keeps them for ever.
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub keep_rejected: u32,
    /// How long contacts are kept after their last event, in whole days of UTC, as 400d: once a day
    /// what is older goes, at most two days of it. Default: for ever.
    #[arg(long, value_name = "DAYS", value_parser = keep_days)]
    pub keep: Option<u32>,
}

/// `callgauge token`
#[derive(Debug, Args)]
pub struct Token {
    /// File of tokens. Default: `tokens` in the configuration folder.
    #[arg(long, env = "CALLGAUGE_TOKEN_FILE", global = true)]
    pub token_file: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// What `token` does.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it: nobody can read it again.
    Create {
        /// What it is for: ingest, ingest_arrow, supervisor, analyst, admin, operator, metrics.
        #[arg(long = "role", required = true, value_delimiter = ',', value_parser = Role::parse)]
        roles: Vec<Role>,
        /// For you: it stands in lists and logs.
        #[arg(long)]
        name: String,
        /// How long it is good, as 90d, or until when, as 2027-01-01T00:00:00Z. Default: for ever.
        #[arg(long)]
        expires: Option<String>,
        /// Sources whose events it may send. Default: all.
        #[arg(long = "source", value_delimiter = ',')]
        sources: Vec<String>,
    },
    /// Show what tokens there are.
    List,
    /// Take a token away. A running server notices within a second or two.
    Revoke {
        /// Its name.
        name: String,
    },
}

/// `callgauge device`
#[derive(Debug, Args)]
pub struct Device {
    /// File of paired screens. Default: `devices` in the configuration folder.
    #[arg(long, env = "CALLGAUGE_DEVICE_FILE", global = true)]
    pub device_file: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: DeviceCommand,
}

/// What `device` does.
#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// Show what screens there are.
    List,
    /// Send a screen away. A running server ends its streams within five seconds.
    Revoke {
        /// Its name.
        name: String,
    },
}

/// `callgauge health`
#[derive(Debug, Args)]
pub struct Health {
    /// The server.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub http: std::net::SocketAddr,
    /// It speaks TLS. On this machine its certificate is not looked at.
    #[arg(long)]
    pub https: bool,
    /// Ask whether it can be used, not only whether it lives: it lives while it starts.
    #[arg(long)]
    pub ready: bool,
    /// PEM file with the certificate, or one that signed it, to look at it all the same.
    #[arg(long, value_name = "FILE", requires = "https")]
    pub ca: Option<PathBuf>,
}

/// `callgauge repair`
#[derive(Debug, Args)]
pub struct Repair {
    #[command(flatten)]
    pub data: DataDir,
    /// Mend a damaged segment of the write-ahead log, as the error names it. Without this, data
    /// files are mended.
    #[arg(long, value_name = "SEGMENT")]
    pub salvage: Option<String>,
    /// Go on without what is lost. Unless something is lost, data files are mended without this.
    #[arg(long)]
    pub yes: bool,
}

/// `callgauge retain`
#[derive(Debug, Args)]
pub struct Retain {
    #[command(flatten)]
    pub data: DataDir,
    /// How long contacts are kept after their last event, in whole days of UTC, as 400d.
    #[arg(long, value_name = "DAYS", value_parser = keep_days)]
    pub keep: u32,
    /// Say what would go, and change nothing. Also beside a running server.
    #[arg(long)]
    pub dry_run: bool,
    /// Let all of it go at once. Without this nothing goes the first time, and later at most what two
    /// days more let go.
    #[arg(long, conflicts_with = "dry_run")]
    pub yes: bool,
}

fn keep_days(text: &str) -> Result<u32, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
    let least = ingest::retention::KEEP_DAYS_MIN;
    let days = days.filter(|days| *days >= least);
    days.ok_or_else(|| format!("whole days, as 400d, and {least}d at least"))
}

/// `callgauge simulate`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["out", "post"]))]
pub struct Simulate {
    /// The world's seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many days.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub days: u32,
    /// How many agents.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(5..=5000))]
    pub agents: u32,
    /// Events go here, one JSON object a line.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Events go to this server, as `http://127.0.0.1:8080` or `https://calls.example.com`.
    #[arg(long)]
    pub post: Option<String>,
    /// PEM file with the certificates to trust instead of the system's.
    #[arg(long, value_name = "FILE", requires = "post")]
    pub ca: Option<PathBuf>,
    /// File that holds the token for the server.
    #[arg(long, requires = "post")]
    pub token_file: Option<PathBuf>,
    /// The KPIs as the simulator itself counted them go here.
    #[arg(long)]
    pub truth: Option<PathBuf>,
}

/// Formats that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// Events, one JSON object a line.
    Ndjson,
    /// Asterisk's queue_log.
    AsteriskQueueLog,
    /// A table with a mapping file.
    Csv,
    /// Amazon Connect: contact records and agent events, as JSON.
    AmazonConnect,
    /// Genesys Cloud: conversation details, as JSON.
    GenesysCloud,
    /// Twilio TaskRouter: events, as JSON.
    TwilioTaskrouter,
    /// Zendesk: tickets, audits, satisfaction ratings, as JSON.
    Zendesk,
    /// FreeSWITCH: mod_callcenter events, as JSON.
    Freeswitch,
}

/// A local time that comes twice, when clocks go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RepeatedHour {
    /// The first pass.
    Earlier,
    /// The second pass.
    Later,
    /// Neither: the line is rejected.
    #[default]
    Reject,
}

/// A local time that never comes, when clocks go forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MissingHour {
    /// The line is rejected.
    #[default]
    Reject,
    /// The clock was not set yet.
    Shift,
}

/// `callgauge import`
#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    pub data: DataDir,
    /// What the files are.
    #[arg(long, value_enum)]
    pub format: InputFormat,
    /// How a CSV file's columns become events.
    #[arg(long, required_if_eq("format", "csv"))]
    pub mapping: Option<PathBuf>,
    /// Zone of the clock, for a queue_log whose times are local (`2026-03-02 09:53:09`): an IANA
    /// name such as Asia/Shanghai.
    #[arg(long, value_name = "IANA")]
    pub zone: Option<String>,
    /// With --zone: which of two moments a time means that the clock showed twice.
    #[arg(long, value_enum, requires = "zone", default_value_t)]
    pub repeated_hour: RepeatedHour,
    /// With --zone: what a time means that the clock never showed.
    #[arg(long, value_enum, requires = "zone", default_value_t)]
    pub missing_hour: MissingHour,
    /// Name of the sender, for lines that do not say. Default: the format's name.
    #[arg(long)]
    pub source: Option<String>,
    /// Read on as the file grows, also over rotation, until Ctrl-C. For ndjson and asterisk-queue-log.
    #[arg(long)]
    pub follow: bool,
    /// Exit with 0 even if lines were rejected.
    #[arg(long)]
    pub allow_rejects: bool,
    /// File with a 32-byte key as 64 hex digits, which turns phone numbers and addresses into tokens.
    /// Default: `identity.key` in the configuration folder, made on first use.
    #[arg(long, env = "CALLGAUGE_IDENTITY_KEY_FILE")]
    pub identity_key: Option<PathBuf>,
    /// The files.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

/// Output formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For spreadsheets, with one header line.
    Csv,
}

/// `callgauge sql`
#[derive(Debug, Args)]
pub struct Sql {
    #[command(flatten)]
    pub data: DataDir,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Zone of calendar buckets when a query does not name one.
    #[arg(long, env = "CALLGAUGE_ZONE", default_value = "UTC")]
    pub zone: String,
    /// Refuse SUM, AVG, MIN, MAX of a KPI column instead of reading them as MEASURE, as
    /// `SET kpi.strict = true` does for the statements after it.
    #[arg(long)]
    pub strict: bool,
    /// A KPI parameter, as `service_level.threshold=30s`.
    #[arg(long = "param", value_name = "KPI.NAME=VALUE")]
    pub params: Vec<String>,
    /// Folders with your own definitions, after the built-in ones.
    #[arg(long = "kpi-dir", value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// The query. Without one you get a prompt.
    pub query: Option<String>,
}

/// `callgauge kpi`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Kpi {
    /// `callgauge kpi check`
    #[command(subcommand)]
    pub command: Option<KpiCommand>,
    #[command(flatten)]
    pub show: KpiShow,
}

/// What else `kpi` does.
#[derive(Debug, Subcommand)]
pub enum KpiCommand {
    /// Check KPI definitions: files, references, types, and every example in the SQL path.
    Check {
        /// Folders with your own definitions, after the built-in ones.
        #[arg(long = "kpi-dir", value_name = "DIR")]
        dirs: Vec<PathBuf>,
    },
    /// Explain one KPI: formula, rows, clock, parameters, targets, SQL and worked examples.
    Explain {
        /// Its id or another name.
        id: String,
        /// Folders with your own definitions, after the built-in ones.
        #[arg(long = "kpi-dir", value_name = "DIR")]
        dirs: Vec<PathBuf>,
    },
    /// List the KPIs with their titles and formulas.
    List {
        /// Folders with your own definitions, after the built-in ones.
        #[arg(long = "kpi-dir", value_name = "DIR")]
        dirs: Vec<PathBuf>,
    },
}

/// Which KPIs to show, and how.
#[derive(Debug, Args)]
pub struct KpiShow {
    #[command(flatten)]
    pub data: DataDir,
    /// KPI ids. Default: the core table.
    pub ids: Vec<String>,
    /// Start, inclusive: RFC 3339, or a day in the zone. Default: the first data.
    #[arg(long)]
    pub from: Option<String>,
    /// End, exclusive. Default: the end of the data.
    #[arg(long)]
    pub to: Option<String>,
    /// Length of a bucket: 15m, 30m, 1h, 1d, 1w, 1mo. Default: the whole range as one.
    #[arg(long)]
    pub grain: Option<String>,
    /// Each value over so many buckets, the last of which it is.
    #[arg(
        long,
        value_name = "BUCKETS",
        requires = "grain",
        conflicts_with = "running"
    )]
    pub rolling: Option<u16>,
    /// Each value over everything from the start of the range on.
    #[arg(long, requires = "grain")]
    pub running: bool,
    /// The period to stand beside: `previous`, `-1d`, `-7d`, `-1mo`, `-1y`, `avg4w` (the mean of the
    /// four weeks before), or a baseline as `2026-03-01..2026-03-15`.
    #[arg(long, value_name = "PERIOD", allow_hyphen_values = true)]
    pub compare: Option<String>,
    /// A control group to stand beside: the same period over the rows of this condition, in place of
    /// that of --where. With --compare only for KPIs whose value reads both.
    #[arg(long, value_name = "SQL")]
    pub control: Option<String>,
    /// A row for every bucket, also where there is nothing.
    #[arg(long, requires = "grain")]
    pub fill: bool,
    /// Dimensions to split by, as `queue_id,channel`.
    #[arg(long, value_delimiter = ',')]
    pub by: Vec<String>,
    /// Only these rows: a SQL condition over the model's columns.
    #[arg(long = "where", value_name = "SQL")]
    pub filter: Option<String>,
    /// Zone of days and weeks.
    #[arg(long, env = "CALLGAUGE_ZONE", default_value = "UTC")]
    pub zone: String,
    /// A KPI parameter, as `service_level.threshold=30s`.
    #[arg(long = "param", value_name = "KPI.NAME=VALUE")]
    pub params: Vec<String>,
    /// See the data as of this moment (for KPIs over what is still open). Default: the newest event.
    #[arg(long)]
    pub as_of: Option<String>,
    /// Folders with your own definitions, after the built-in ones.
    #[arg(long = "kpi-dir", value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `callgauge check`
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub data: DataDir,
}
