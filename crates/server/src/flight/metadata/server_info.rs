//! `GetSqlInfo`: 91 answers about the server, all of them sent. Drivers fail over missing ones.

use std::collections::BTreeMap;

use arrow_flight::sql::{
    CommandGetSqlInfo, SqlSupportsConvert as To, metadata::SqlInfoDataBuilder,
};

use engine::{FunctionNames, guard::GuardLimits};

use super::Made;
use crate::limits;

/// The Arrow format that this server speaks, as the crates beneath it have it.
const ARROW_VERSION: &str = "59";

/// "As much as you like", as a number.
const NO_LIMIT: i64 = i32::MAX as i64;

/// What the answers depend on.
#[derive(Clone, Copy, Debug)]
pub(in crate::flight) struct About<'a> {
    /// May the caller add events?
    pub writes: bool,
    /// Connections that the server takes.
    pub connections_max: usize,
    /// Words and functions of its SQL.
    pub words: &'a FunctionNames,
}

pub(super) fn answer(command: &CommandGetSqlInfo, about: &About<'_>) -> Made {
    let mut rows = SqlInfoDataBuilder::new();
    for (id, value) in identity(about).into_iter().chain(language(about)) {
        value.append_to(&mut rows, id);
    }
    for (id, value) in dialect().into_iter().chain(sizes(about)) {
        value.append_to(&mut rows, id);
    }
    command.clone().into_builder(&rows.build()?).build()
}

type Rows = Vec<(u32, Value)>;

/// The kinds of values; a client reads each in its own way.
enum Value {
    Text(&'static str),
    Flag(bool),
    Bits(i32),
    Big(i64),
    Texts(Vec<String>),
    Map(BTreeMap<i32, Vec<i32>>),
}

impl Value {
    fn append_to(self, rows: &mut SqlInfoDataBuilder, id: u32) {
        match self {
            Value::Text(text) => rows.append(id, text),
            Value::Flag(flag) => rows.append(id, flag),
            Value::Bits(bits) => rows.append(id, bits),
            Value::Big(number) => rows.append(id, number),
            Value::Texts(texts) => rows.append(id, texts),
            Value::Map(map) => rows.append(id, map),
        }
    }
}

fn text(text: &'static str) -> Value {
    Value::Text(text)
}

fn flag(flag: bool) -> Value {
    Value::Flag(flag)
}

fn bits(bits: i32) -> Value {
    Value::Bits(bits)
}

/// Who answers, and what can be done with it.
fn identity(about: &About<'_>) -> Rows {
    let idle_ms = i32::try_from(limits::SESSION_IDLE.as_millis()).unwrap_or(i32::MAX);
    vec![
        (0, text("callgauge")),
        (1, text(env!("CARGO_PKG_VERSION"))),
        (2, text(ARROW_VERSION)),
        (3, flag(!about.writes)),
        (4, flag(true)),
        (5, flag(false)),
        (6, text("")),
        (7, text("")),
        (8, bits(0)),
        (9, flag(true)),
        (10, flag(true)),
        (11, flag(false)),
        (100, bits(idle_ms)),
        (101, bits(0)),
    ]
}

/// Names, words and functions.
fn language(about: &About<'_>) -> Rows {
    let list = |words: &Vec<String>| Value::Texts(words.clone());
    vec![
        (500, flag(false)),
        (501, flag(false)),
        (502, flag(false)),
        (503, bits(3)),
        (504, text("\"")),
        (505, bits(0)),
        (506, flag(true)),
        (507, bits(0)),
        (508, list(&about.words.keywords)),
        (509, list(&about.words.numeric)),
        (510, list(&about.words.string)),
        (511, list(&about.words.system)),
        (512, list(&about.words.datetime)),
        (513, text("\\")),
        (514, text("")),
        (515, flag(true)),
        (516, flag(true)),
        (517, Value::Map(conversions())),
    ]
}

/// What the dialect has.
fn dialect() -> Rows {
    vec![
        (518, flag(true)),
        (519, flag(false)),
        (520, flag(true)),
        (521, flag(true)),
        (522, bits(3)),
        (523, flag(true)),
        (524, flag(true)),
        // Old JDBC drivers fail without the next two.
        (525, bits(3)),
        (526, bits(1)),
        (527, flag(false)),
        // JDBC reads bits: 1 limited, 2 full outer joins.
        (528, bits(6)),
        (529, text("schema")),
        (530, text("procedure")),
        (531, text("catalog")),
        (532, flag(true)),
        (533, bits(0)),
        (534, bits(0)),
        (535, bits(0)),
        (536, flag(false)),
        (537, flag(false)),
        (538, bits(15)),
        (539, flag(true)),
        (540, bits(3)),
        (563, flag(false)),
        (564, bits(1)),
        (565, flag(false)),
        (566, flag(true)),
        (567, bits(2)),
        (568, bits(0)),
        (569, bits(2)),
        (570, bits(0)),
        (571, bits(0)),
        (572, flag(false)),
        (573, flag(false)),
        (574, flag(false)),
        (575, flag(false)),
        (576, flag(false)),
    ]
}

/// How much of what there may be.
fn sizes(about: &About<'_>) -> Rows {
    let big = |number: usize| Value::Big(i64::try_from(number).unwrap_or(NO_LIMIT));
    let guard = GuardLimits::default();
    let unlimited = (541..=561).filter(|id| *id != 556);
    let mut rows: BTreeMap<u32, Value> = unlimited.map(|id| (id, Value::Big(NO_LIMIT))).collect();
    rows.insert(549, big(about.connections_max));
    rows.insert(556, flag(false));
    rows.insert(557, big(guard.text_bytes));
    rows.insert(558, big(limits::STATEMENTS_PER_SESSION_MAX));
    rows.insert(560, big(guard.joins + 1));
    // JDBC reads a long here.
    rows.insert(562, Value::Big(0));
    rows.into_iter().collect()
}

/// From each type to all others that it can be cast to.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    let numbers = [
        To::SqlConvertBigint,
        To::SqlConvertDecimal,
        To::SqlConvertFloat,
        To::SqlConvertInteger,
        To::SqlConvertNumeric,
        To::SqlConvertReal,
        To::SqlConvertSmallint,
        To::SqlConvertTinyint,
        To::SqlConvertVarchar,
    ];
    let times = [
        To::SqlConvertDate,
        To::SqlConvertTimestamp,
        To::SqlConvertVarchar,
    ];
    let texts = [&numbers[..], &times[..2], &[To::SqlConvertBit]].concat();
    let ids = |to: &[To]| to.iter().map(|to| *to as i32).collect::<Vec<_>>();
    let mut map: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for number in &numbers[..8] {
        map.insert(*number as i32, ids(&numbers));
    }
    for time in &times[..2] {
        map.insert(*time as i32, ids(&times));
    }
    map.insert(
        To::SqlConvertBit as i32,
        ids(&[To::SqlConvertBit, To::SqlConvertVarchar]),
    );
    map.insert(To::SqlConvertVarchar as i32, ids(&texts));
    map
}
