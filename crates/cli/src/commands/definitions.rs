//! Definition files: read, loaded, and watched while a server runs.
//!
//! A watch compares texts, not times of files: what a clock, a copy or a checkout did to times does
//! not matter, and definition files are few and small. Files count when two looks in a row have
//! found the same, so that one half written is not tried.

use std::{
    any::Any,
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use ::kpi::{Catalogue, Problem, SourceFile, Targets, alert::AlertRules};
use anyhow::{Context, Result, bail, ensure};
use engine::{Definitions, Engine, EngineError, Params, Redefinition};
use events::UtcMicros;
use server::DefinitionsNews;

use super::{STACK_BYTES, block_on};

/// How often folders are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After how many looks files are tried again that failed for a reason that may pass.
const LOOKS_TO_RETRY: u32 = 30;
/// How long an end waits for a look that is being judged.
const END_WITHIN: Duration = Duration::from_secs(10);
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

/// The definition files below a folder, by name. What is hidden is passed over: editors keep their
/// drafts there, and a mounted configuration the same files a second time.
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
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
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
    /// Says nothing; hangs up when the thread ends.
    ended: mpsc::Receiver<()>,
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
        let (end, ended) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("definitions".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let _end: mpsc::Sender<()> = end;
                watched.run(&stopped);
            })
            .context("cannot start a thread")?;
        Ok(Watch {
            stop: Some(stop),
            ended,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.take();
        if !has_ended(&self.ended, END_WITHIN) {
            // A server that is told to end ends, whatever the files of a user make of this thread.
            tracing::error!("the watch of definitions does not end: the server ends without it");
            return;
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watch of definitions has panicked");
        }
    }
}

/// Does the thread behind it end in time?
fn has_ended(ended: &mpsc::Receiver<()>, within: Duration) -> bool {
    ended.recv_timeout(within) != Err(mpsc::RecvTimeoutError::Timeout)
}

/// What a look has found; errors as texts, to be compared.
type Look = Result<Texts, String>;

/// The looks so far.
struct Looks {
    before: Look,
    judged: Look,
    /// How many looks it takes until what was judged is judged again, if it may have passed.
    again_in: Option<u32>,
}

impl Looks {
    fn new(first: Look) -> Looks {
        Looks {
            before: first.clone(),
            judged: first,
            again_in: None,
        }
    }

    /// Is this one to be judged? It has to be what the look before has found, and news.
    fn is_to_be_judged(&mut self, look: &Look) -> bool {
        self.again_in = self.again_in.map(|looks| looks.saturating_sub(1));
        if *look != self.before {
            self.before.clone_from(look);
            return false;
        }
        *look != self.judged || self.again_in == Some(0)
    }

    fn judged(&mut self, look: Look, may_pass: bool) {
        self.judged = look;
        self.again_in = may_pass.then_some(LOOKS_TO_RETRY);
    }
}

impl Watched {
    fn run(mut self, stopped: &mpsc::Receiver<()>) {
        let mut looks = Looks::new(Ok(self.texts.clone()));
        while stopped.recv_timeout(LOOK_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
            let look: Look = Texts::read(&self.dirs).map_err(|error| format!("{error:#}"));
            if looks.is_to_be_judged(&look) {
                let may_pass = self.judge(look.clone());
                looks.judged(look, may_pass);
            }
        }
    }

    /// Takes the files, and tells what became of that. True if the same files may be taken later.
    fn judge(&mut self, look: Look) -> bool {
        let found = look.map_err(anyhow::Error::msg);
        let taken = found.and_then(|texts| match texts == self.texts {
            true => Ok(None),
            false => caught(|| self.take(texts)).map(Some),
        });
        let at = (self.now)();
        match taken {
            Ok(Some(count)) => {
                self.news.taken(self.texts.hash(), at);
                eprintln!("KPI definitions were read again: {count} KPIs are in use");
            }
            Ok(None) => self.news.settled(),
            Err(error) => {
                let may_pass = may_pass(&error);
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "changed KPI definitions cannot be used: those of before stay"
                );
                self.news.refused(error, at);
                return may_pass;
            }
        }
        false
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

/// A panic as an error: the watch goes on, and whoever looks at the server is told.
fn caught<T>(take: impl FnOnce() -> Result<T>) -> Result<T> {
    // What is half done is not looked at: the texts in use are set last.
    catch_unwind(AssertUnwindSafe(take)).unwrap_or_else(|panic| {
        let panic: &(dyn Any + Send) = panic.as_ref();
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        bail!(
            "callgauge has a fault that these files bring out: {}",
            text.unwrap_or("it panicked")
        )
    })
}

/// Is it the machine or the store that failed, and not the files?
fn may_pass(error: &anyhow::Error) -> bool {
    let of_engine = error.downcast_ref::<EngineError>().is_some_and(|error| {
        matches!(
            error,
            EngineError::Store(_) | EngineError::DataDamaged { .. } | EngineError::OutOfMemory(_)
        )
    });
    of_engine || error.downcast_ref::<std::io::Error>().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn files_of_a_mounted_configuration_are_read_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let version = dir.path().join("..2026_11_22");
        std::fs::create_dir(&version).expect("a folder");
        std::fs::write(version.join("own.yml"), "kpi").expect("a file");
        let link = std::os::unix::fs::symlink::<&str, PathBuf>;
        link("..2026_11_22", dir.path().join("..data")).expect("a link");
        link("..data/own.yml", dir.path().join("own.yml")).expect("a link");
        let files = files_of(dir.path()).expect("they are read");
        let names: Vec<&str> = files.kpis.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, [dir.path().join("own.yml").display().to_string()]);
    }

    fn look(text: &str) -> Look {
        let name = "a.yml".to_owned();
        Ok(Texts {
            kpis: vec![vec![SourceFile {
                name,
                text: text.to_owned(),
            }]],
            targets: Vec::new(),
            params: Vec::new(),
        })
    }

    #[test]
    fn a_change_is_judged_once_and_only_when_it_stands_still() {
        let mut looks = Looks::new(look("a"));
        assert!(!looks.is_to_be_judged(&look("a")));
        assert!(!looks.is_to_be_judged(&look("half")));
        assert!(!looks.is_to_be_judged(&look("whole")));
        assert!(looks.is_to_be_judged(&look("whole")));
        looks.judged(look("whole"), false);
        for _ in 0..2 * LOOKS_TO_RETRY {
            assert!(!looks.is_to_be_judged(&look("whole")));
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let mut looks = Looks::new(look("a"));
        looks.is_to_be_judged(&look("b"));
        looks.judged(look("b"), true);
        let mut tried = (0..LOOKS_TO_RETRY).filter(|_| looks.is_to_be_judged(&look("b")));
        assert_eq!(tried.next(), Some(LOOKS_TO_RETRY - 1));
        for (error, passes) in [
            (EngineError::Store("no file".to_owned()), true),
            (EngineError::Definitions(Vec::new()), false),
        ] {
            assert_eq!(may_pass(&anyhow::Error::new(error)), passes);
        }
        assert!(!may_pass(&anyhow::Error::msg("a slip")));
    }

    #[test]
    fn a_panic_is_told_as_an_error() {
        let told = caught::<()>(|| panic!("no {}", "way")).expect_err("an error");
        assert_eq!(
            told.to_string(),
            "callgauge has a fault that these files bring out: no way"
        );
        assert_eq!(caught(|| Ok(7)).expect("seven"), 7);
    }

    #[test]
    fn an_end_does_not_wait_for_a_thread_that_goes_on() {
        let (end, ended) = mpsc::channel::<()>();
        assert!(!has_ended(&ended, Duration::from_millis(10)));
        drop(end);
        assert!(has_ended(&ended, Duration::from_secs(60)));
    }
}
