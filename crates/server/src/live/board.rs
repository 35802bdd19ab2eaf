//! Boards: which cells of a frame are sent, and how a page lays them out.
//!
//! A board is a JSON file; four are built in. Every word in it is checked against a closed list when
//! it is read, so that a slip is found at the start and not by whoever looks at the wall.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use engine::live::CellKey;
use kpi::Catalogue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::figures::{self, ScopeKind, Slip};
use crate::limits;

/// The built-in boards; the first is shown when none is named.
const BUILTIN: [(&str, &str); 4] = [
    ("now.json", include_str!("../../boards/now.json")),
    ("queues.json", include_str!("../../boards/queues.json")),
    ("agents.json", include_str!("../../boards/agents.json")),
    (
        "intervals.json",
        include_str!("../../boards/intervals.json"),
    ),
];

/// The figures that are sent of each kind of scope.
type Figures = HashMap<ScopeKind, HashSet<String>>;

/// Why boards cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// The folder, or a file in it, cannot be read.
    #[error("the boards in {path} cannot be read: {error}")]
    Read {
        /// Folder or file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is not a board.
    #[error("{file}: {place}: {message}\n  hint: {hint}")]
    Wrong {
        /// Name of the file.
        file: String,
        /// Line and column, or a path as `cells[0].figures[2]`.
        place: String,
        /// What is wrong.
        message: String,
        /// What to write.
        hint: String,
    },
}

/// A board as its file has it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Board")]
pub(crate) struct BoardFile {
    /// Small letters, digits, `-` and `_`.
    pub id: String,
    /// Rises when the board changes.
    pub version: u32,
    pub title: Titles,
    layout: Layout,
    /// Of rows: each row is one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<ScopeKind>,
    /// What is sent.
    cells: Vec<Shown>,
    /// What a page shows of it, in this order.
    tiles: Vec<Tile>,
}

/// A text in the languages of pages.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Titles {
    en: String,
    #[serde(rename = "zh-CN", default, skip_serializing_if = "Option::is_none")]
    zh_cn: Option<String>,
    #[serde(rename = "zh-TW", default, skip_serializing_if = "Option::is_none")]
    zh_tw: Option<String>,
}

/// How a page lays a board out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Layout {
    /// One large figure each.
    Tiles,
    /// One row for each id of the board's scope, the tiles are its columns.
    Rows,
}

/// Figures of one scope that are sent.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Shown {
    scope: ScopeKind,
    figures: Vec<String>,
}

/// A tile, or a column.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tile {
    figure: String,
    /// What it is about; the board's scope, or the whole centre, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<ScopeKind>,
    /// As the figure is called, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<Titles>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<Size>,
    /// A figure that stands with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    second: Option<String>,
    /// A series that is drawn under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spark: Option<String>,
}

/// How large a tile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Size {
    Big,
}

impl BoardFile {
    /// Without KPIs that the catalogue does not have.
    fn leave_out_unknown(&mut self, catalogue: &Catalogue) {
        let known = |figure: &String| match figure.split_once('@') {
            Some((kpi, _)) => catalogue.get(kpi).is_some(),
            None => true,
        };
        for shown in &mut self.cells {
            shown.figures.retain(known);
        }
        self.tiles.retain(|tile| known(&tile.figure));
        for tile in &mut self.tiles {
            tile.second = tile.second.take().filter(known);
            tile.spark = tile.spark.take().filter(known);
        }
    }
}

/// A checked board.
#[derive(Debug)]
pub(crate) struct Board {
    pub file: BoardFile,
    /// Another one when pages must be loaded anew: with the program, and with any of its boards,
    /// since a page goes from board to board.
    pub build: Arc<str>,
    shown: Figures,
    kpis: BTreeSet<String>,
}

impl Board {
    /// Is the cell sent?
    pub(super) fn shows(&self, key: &CellKey) -> bool {
        let figures = self.shown.get(&ScopeKind::from(&key.scope));
        figures.is_some_and(|figures| figures.contains(&*key.figure))
    }

    /// Has it cells of this KPI?
    pub(super) fn has_kpi(&self, id: &str) -> bool {
        self.kpis.contains(id)
    }
}

/// All boards of a server, by id.
#[derive(Debug)]
pub struct Boards(BTreeMap<String, Arc<Board>>);

impl Boards {
    /// The built-in boards and those of a folder (`*.json`); one with the id of a built-in board
    /// takes its place.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file is not a board: with its place and what to write.
    pub fn open(folder: Option<&Path>, catalogue: &Catalogue) -> Result<Boards, BoardError> {
        let mut boards: BTreeMap<String, Board> = BTreeMap::new();
        for (name, text) in BUILTIN {
            let check = Check { name, catalogue };
            let mut file = check.file(text)?;
            // They name KPIs that a catalogue may do without; what people write themselves must hold.
            file.leave_out_unknown(catalogue);
            boards.insert(file.id.clone(), check.board(file)?);
        }
        let mut own: BTreeMap<String, String> = BTreeMap::new();
        for path in folder.map(files).transpose()?.unwrap_or_default() {
            let name = path.display().to_string();
            let text =
                fs::read_to_string(&path).map_err(|error| BoardError::Read { path, error })?;
            let check = Check {
                name: &name,
                catalogue,
            };
            let board = check.board(check.file(&text)?)?;
            let id = board.file.id.clone();
            if let Some(other) = own.insert(id.clone(), name.clone()) {
                let message = format!("the id `{id}` is that of {other} too");
                return Err(wrong(&name, "id", &message, "give every board its own id"));
            }
            boards.insert(id, board);
        }
        let build = build(boards.values().map(|board| &board.file));
        let built = |(id, board)| {
            let build = Arc::clone(&build);
            (id, Arc::new(Board { build, ..board }))
        };
        Ok(Boards(boards.into_iter().map(built).collect()))
    }

    /// Ids of all KPIs that boards show: those that frames must have.
    pub fn kpis(&self) -> BTreeSet<String> {
        self.0
            .values()
            .flat_map(|b| b.kpis.iter().cloned())
            .collect()
    }

    /// One of them.
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Board>> {
        self.0.get(id)
    }

    /// All, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Board>> {
        self.0.values()
    }

    /// What to write in place of an id that is not known.
    pub(crate) fn near(&self, id: &str) -> String {
        kpi::suggest(id, self.0.keys().map(String::as_str), "boards")
    }
}

/// The hash of all that pages are made of.
fn build<'a>(files: impl Iterator<Item = &'a BoardFile>) -> Arc<str> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.update(crate::wallboard::build().as_bytes());
    for file in files {
        // Ends where the next begins: it is JSON.
        hasher.update(&super::view::json(file));
    }
    hasher.finalize().to_hex()[..16].into()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, BoardError> {
    let read = |error| BoardError::Read {
        path: folder.to_path_buf(),
        error,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    if files.len() > limits::BOARDS_MAX {
        let message = format!("more than {} boards", limits::BOARDS_MAX);
        return Err(read(io::Error::other(message)));
    }
    files.sort();
    Ok(files)
}

fn wrong(file: &str, place: &str, message: &str, hint: &str) -> BoardError {
    BoardError::Wrong {
        file: file.to_owned(),
        place: place.to_owned(),
        message: message.to_owned(),
        hint: hint.to_owned(),
    }
}

/// Reads one file.
struct Check<'a> {
    name: &'a str,
    catalogue: &'a Catalogue,
}

impl Check<'_> {
    fn wrong(&self, place: &str, message: &str, hint: &str) -> BoardError {
        wrong(self.name, place, message, hint)
    }

    fn slip(&self, place: &str, slip: &Slip) -> BoardError {
        self.wrong(place, &slip.message, &slip.hint)
    }

    fn file(&self, text: &str) -> Result<BoardFile, BoardError> {
        serde_json::from_str(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            self.wrong(&place, message, "docs/live.md shows a board")
        })
    }

    fn board(&self, file: BoardFile) -> Result<Board, BoardError> {
        self.id(&file.id)?;
        self.titles("title", &file.title)?;
        self.size("tiles", file.tiles.len())?;
        let (shown, kpis) = self.cells(&file.cells)?;
        let usual = match (file.layout, file.scope) {
            (Layout::Tiles, None) => ScopeKind::Total,
            (Layout::Tiles, Some(_)) => {
                let hint = "leave `scope` out, or write \"layout\": \"rows\"";
                return Err(self.wrong("scope", "tiles have no rows", hint));
            }
            (Layout::Rows, Some(scope)) if scope != ScopeKind::Total => scope,
            (Layout::Rows, _) => {
                let hint = "write \"scope\": \"q\", \"a\", \"c\" or \"i\"";
                return Err(self.wrong("scope", "rows must be of something", hint));
            }
        };
        let board = Board {
            file,
            // Known when all boards are.
            build: "".into(),
            shown,
            kpis,
        };
        for (n, tile) in board.file.tiles.iter().enumerate() {
            self.tile(&board, n, tile, usual)?;
        }
        Ok(board)
    }

    fn id(&self, id: &str) -> Result<(), BoardError> {
        let letters = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_".contains(&c);
        if (1..=limits::BOARD_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(letters) {
            return Ok(());
        }
        let hint = format!(
            "1 to {} of a-z, 0-9, `-` and `_`",
            limits::BOARD_ID_BYTES_MAX
        );
        self.wrong_id(id, &hint)
    }

    fn wrong_id(&self, id: &str, hint: &str) -> Result<(), BoardError> {
        Err(self.wrong("id", &format!("`{id}` cannot be an id"), hint))
    }

    fn titles(&self, place: &str, titles: &Titles) -> Result<(), BoardError> {
        let others = [&titles.zh_cn, &titles.zh_tw].into_iter().flatten();
        let most = limits::BOARD_TITLE_CHARS_MAX;
        let fits = |text: &String| (1..=most).contains(&text.trim().chars().count());
        match [&titles.en].into_iter().chain(others).all(fits) {
            true => Ok(()),
            false => {
                let hint = format!("1 to {most} characters in each language");
                Err(self.wrong(place, "a title is empty or too long", &hint))
            }
        }
    }

    fn size(&self, place: &str, length: usize) -> Result<(), BoardError> {
        let most = limits::BOARD_FIGURES_MAX;
        match (1..=most).contains(&length) {
            true => Ok(()),
            false => Err(self.wrong(place, "is empty or too long", &format!("1 to {most}"))),
        }
    }

    /// What is sent, and the KPIs among it.
    fn cells(&self, cells: &[Shown]) -> Result<(Figures, BTreeSet<String>), BoardError> {
        self.size("cells", cells.len())?;
        let mut shown = Figures::new();
        let mut kpis = BTreeSet::new();
        for (n, of_scope) in cells.iter().enumerate() {
            self.size(&format!("cells[{n}].figures"), of_scope.figures.len())?;
            let figures = shown.entry(of_scope.scope).or_default();
            for (m, figure) in of_scope.figures.iter().enumerate() {
                let kpi = figures::check(of_scope.scope, figure, self.catalogue)
                    .map_err(|slip| self.slip(&format!("cells[{n}].figures[{m}]"), &slip))?;
                kpis.extend(kpi.map(str::to_owned));
                figures.insert(figure.clone());
            }
        }
        Ok((shown, kpis))
    }

    fn tile(
        &self,
        board: &Board,
        n: usize,
        tile: &Tile,
        usual: ScopeKind,
    ) -> Result<(), BoardError> {
        if let Some(titles) = &tile.title {
            self.titles(&format!("tiles[{n}].title"), titles)?;
        }
        let scope = tile.scope.unwrap_or(usual);
        let figures = [
            ("figure", Some(&tile.figure)),
            ("second", tile.second.as_ref()),
            ("spark", tile.spark.as_ref()),
        ];
        for (member, figure) in figures {
            let Some(figure) = figure else { continue };
            let sent = board.shown.get(&scope);
            if sent.is_some_and(|figures| figures.contains(figure)) {
                continue;
            }
            let place = format!("tiles[{n}].{member}");
            figures::check(scope, figure, self.catalogue)
                .map_err(|slip| self.slip(&place, &slip))?;
            let message = format!("`{figure}` of the scope `{}` is not sent", scope.word());
            return Err(self.wrong(&place, &message, "add it to `cells`"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_loaded_anew_when_the_file_of_any_board_is_another() {
        let models = engine::model_specs().expect("the models plan");
        let catalogue = Catalogue::builtin(&models).expect("a sound catalogue");
        let folder = tempfile::TempDir::new().expect("a folder");
        let build = |figure: &str| {
            let own = format!(
                r#"{{"id":"own","version":1,"title":{{"en":"Own"}},"layout":"tiles",
                "cells":[{{"scope":"t","figures":["{figure}"]}}],"tiles":[{{"figure":"{figure}"}}]}}"#
            );
            fs::write(folder.path().join("own.json"), own).expect("a file");
            let boards = Boards::open(Some(folder.path()), &catalogue).expect("sound boards");
            let builds: BTreeSet<_> = boards.iter().map(|board| board.build.clone()).collect();
            assert_eq!(builds.len(), 1, "a page goes from board to board");
            builds.into_iter().next()
        };
        let first = build("waiting");
        assert_eq!(build("waiting"), first);
        assert_ne!(build("oldest"), first);
    }
}
