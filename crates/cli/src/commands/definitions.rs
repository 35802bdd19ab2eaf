//! Definition files: read, loaded, and watched while a server runs.
//!
//! A watch compares texts, not times of files: what a clock, a copy or a checkout did to times does
//! not matter, and definition files are few and small. Files count when two looks in a row have
//! found the same, so that one half written is not tried.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use ::kpi::{Catalogue, Problem, SourceFile, Targets, alert::AlertRules};
use anyhow::{Context, Result, bail, ensure};
use engine::{Definitions, Engine, Params, Redefinition};
use events::UtcMicros;
use server::DefinitionsNews;

use super::{STACK_BYTES, block_on};

/// How often folders are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Files of one folder, and folders in each other: more are a wrong folder.
const FILES_MAX: usize = 1_000;
const DEPTH_MAX: usize = 8;
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The texts of all definition files: the built-in ones, then those of the user's folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    kpis: Vec<Vec<SourceFile>>,
    targets: Vec<Vec<SourceFile>>,
    params: Vec<Vec<SourceFile>>,
}

/// What a folder of definitions holds.
#[derive(Default)]
struct Files {
    kpis: Vec<SourceFile>,
    /// `targets.yml`.
    targets: Vec<SourceFile>,
    /// `params.yml`.
    params: Vec<SourceFile>,
}

impl Texts {
    /// Reads the folders, in their order.
    ///
    /// # Errors
    /// A folder that cannot be read, or has no definition file, or far too many.
    pub fn read(dirs: &[PathBuf]) -> Result<Texts> {
        let mut texts = Texts {
            kpis: vec![::kpi::builtin_files()],
            targets: vec![::kpi::builtin_targets()],
            params: Vec::new(),
        };
        for dir in dirs {
            let own = files_of(dir)?;
            texts.kpis.push(own.kpis);
            texts.targets.push(own.targets);
            texts.params.push(own.params);
        }
        Ok(texts)
    }

    /// What they say.
    ///
    /// # Errors
    /// Everything that is wrong, by file, line and column.
    pub fn load(&self) -> Result<(Arc<Catalogue>, Arc<Targets>)> {
        let models = engine::model_specs()?;
        let catalogue = Catalogue::load(&self.kpis, &models)
            .and_then(|catalogue| catalogue.with_params(&self.params))
            .map_err(|p| problems("KPI definitions", &p))?;
        let targets = Targets::load(&self.targets, &catalogue)
            .map_err(|p| problems("KPI definitions", &p))?;
        Ok((Arc::new(catalogue), Arc::new(targets)))
    }

    /// Names them.
    pub fn hash(&self) -> String {
        let layers = self.kpis.iter().chain(&self.targets).chain(&self.params);
        ::kpi::texts_hash(layers.flatten())
    }
}

/// The definition files below a folder, by name.
fn files_of(dir: &Path) -> Result<Files> {
    let mut paths = Vec::new();
    collect_yml(dir, 0, &mut paths).with_context(|| format!("cannot read {}", dir.display()))?;
    if paths.is_empty() {
        bail!("no .yml file in {}", dir.display());
    }
    if paths.len() > FILES_MAX {
        let (dir, most) = (dir.display(), FILES_MAX);
        bail!("more than {most} .yml files in {dir}: name the folder of the definitions alone");
    }
    paths.sort();
    let mut files = Files::default();
    for path in paths {
        let kind = match path.file_name().and_then(|name| name.to_str()) {
            Some("targets.yml") => &mut files.targets,
            Some("params.yml") => &mut files.params,
            _ => &mut files.kpis,
        };
        kind.push(source_file(&path)?);
    }
    Ok(files)
}

fn collect_yml(dir: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            if depth < DEPTH_MAX {
                collect_yml(&path, depth + 1, paths)?;
            }
        } else if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            break;
        }
    }
    Ok(())
}

/// Reads one file.
///
/// # Errors
/// It cannot be read, is no text, or is far too large.
pub fn source_file(path: &Path) -> Result<SourceFile> {
    let name = path.display().to_string();
    let cannot = || format!("cannot read {name}");
    let bytes = std::fs::metadata(path).with_context(cannot)?.len();
    ensure!(
        bytes <= FILE_BYTES_MAX,
        "{name} has more than {FILE_BYTES_MAX} bytes: that is no definition file"
    );
    let text = std::fs::read_to_string(path).with_context(cannot)?;
    Ok(SourceFile { name, text })
}

/// Everything that is wrong with some files, as one error.
pub fn problems(of: &str, all: &[Problem]) -> anyhow::Error {
    let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("{of} have {} problem(s):\n{}", all.len(), lines.join("\n"))
}

/// The values of `--param`, for the KPIs of a catalogue.
///
/// # Errors
/// One that names no parameter, or a value that it cannot have.
pub fn params(given: &[String], catalogue: &Catalogue) -> Result<Params> {
    let mut chosen = Params::new();
    for param in given {
        let usage = || format!("--param {param}: write it as KPI.NAME=VALUE");
        let (name, text) = param.split_once('=').with_context(usage)?;
        let (id, name) = name.rsplit_once('.').with_context(usage)?;
        let kpi = catalogue
            .find(id)
            .map_err(|e| anyhow::anyhow!("--param {param}: {e}"))?;
        let definition = kpi
            .params
            .iter()
            .find(|p| p.name == name)
            .with_context(|| {
                let names: Vec<&str> = kpi.params.iter().map(|p| p.name.as_str()).collect();
                format!(
                    "--param {param}: {id} has the parameters [{}]",
                    names.join(", ")
                )
            })?;
        let value = definition
            .parse(text)
            .map_err(|e| anyhow::anyhow!("--param {param}: {e}"))?;
        chosen
            .entry(kpi.id.clone())
            .or_default()
            .insert(name.to_owned(), value);
    }
    Ok(chosen)
}

/// The alert rules of a file, or the built-in ones, about KPIs that a live board can have.
///
/// # Errors
/// Everything that is wrong, by file, line and column.
pub fn rules(
    file: Option<&SourceFile>,
    catalogue: &Catalogue,
    live: &BTreeSet<String>,
) -> Result<AlertRules> {
    let rules = match file {
        None => AlertRules::builtin(catalogue, live),
        Some(file) => AlertRules::load(std::slice::from_ref(file), catalogue, live),
    };
    rules.map_err(|found| problems("alert rules", &found))
}

/// What definitions must fit while a server runs, beside the data.
pub struct Around {
    /// As the command line has them.
    pub params: Vec<String>,
    /// The KPIs of the server's boards.
    pub on_boards: BTreeSet<String>,
    /// The file that its alert rules are from, if not the built-in ones.
    pub rules_file: Option<SourceFile>,
    /// What that says.
    pub rules: Arc<AlertRules>,
}

impl Around {
    fn compiled(&self, texts: &Texts, engine: &Engine) -> Result<Redefinition> {
        let (catalogue, targets) = texts.load()?;
        let params = params(&self.params, &catalogue)?;
        let new = engine.compile(Definitions {
            catalogue,
            targets,
            params,
        })?;
        self.check(&new)?;
        Ok(new)
    }

    /// A board or a rule without its KPI would be silent, and nobody would know.
    fn check(&self, new: &Redefinition) -> Result<()> {
        let gone = |id: &&String| new.catalogue().get(id).is_none();
        if let Some(id) = self.on_boards.iter().find(gone) {
            bail!("a live board shows `{id}`, which is no more: take it off the board and restart");
        }
        let rules = rules(self.rules_file.as_ref(), new.catalogue(), &new.live_kpis()?)?;
        ensure!(
            rules == *self.rules,
            "limits of alert rules mean something else with them, as the unit of a KPI is another: \
             restart to take both"
        );
        Ok(())
    }
}

/// Looks after the folders until it is dropped.
pub struct Watch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What a watch needs.
pub struct Watched {
    /// The user's folders.
    pub dirs: Vec<PathBuf>,
    /// What they had when the engine was opened.
    pub texts: Texts,
    pub around: Around,
    /// Who answers with them.
    pub engine: Arc<Engine>,
    /// Who shows what became of them.
    pub news: DefinitionsNews,
    pub now: Arc<dyn Fn() -> UtcMicros + Send + Sync>,
}

impl Watch {
    /// Begins.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(watched: Watched) -> Result<Watch> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("definitions".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || watched.run(&stopped))
            .context("cannot start a thread")?;
        Ok(Watch {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watch of definitions has panicked");
        }
    }
}

/// What a look has found; errors as texts, to be compared.
type Look = Result<Texts, String>;

impl Watched {
    fn run(mut self, stopped: &mpsc::Receiver<()>) {
        let mut before: Look = Ok(self.texts.clone());
        let mut judged = before.clone();
        while stopped.recv_timeout(LOOK_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
            let look: Look = Texts::read(&self.dirs).map_err(|error| format!("{error:#}"));
            if look == before && look != judged {
                judged.clone_from(&look);
                self.judge(look);
            } else {
                before = look;
            }
        }
    }

    fn judge(&mut self, look: Look) {
        let taken = look.and_then(|texts| match texts == self.texts {
            true => Ok(None),
            false => self.take(texts).map(Some).map_err(|e| format!("{e:#}")),
        });
        let at = (self.now)();
        match taken {
            Ok(Some(count)) => {
                self.news.taken(self.texts.hash(), at);
                eprintln!("KPI definitions were read again: {count} KPIs are in use");
            }
            Ok(None) => self.news.settled(),
            Err(error) => {
                tracing::error!(
                    error,
                    "changed KPI definitions cannot be used: those of before stay"
                );
                self.news.refused(error, at);
            }
        }
    }

    /// Puts them to use; gives back how many KPIs there are.
    fn take(&mut self, texts: Texts) -> Result<usize> {
        let new = self.around.compiled(&texts, &self.engine)?;
        let count = new.catalogue().iter().count();
        let engine = &self.engine;
        block_on(|| async {
            engine.adopt(new).await;
            Ok(())
        })?;
        self.texts = texts;
        Ok(count)
    }
}
