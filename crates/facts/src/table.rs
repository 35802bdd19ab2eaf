//! What a fact table is: named, typed columns, a key and the times it is read by.

use events::{Decimal, Text, UtcMicros};

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// Int64; names ending in `_ms` are milliseconds, in `_s` seconds.
    Int,
    /// Boolean.
    Bool,
    /// UTC microseconds.
    Time,
    /// Decimal128(18, 4).
    Decimal,
    /// List of text.
    Texts,
}

/// One column of a fact table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name in SQL.
    pub name: &'static str,
    /// Type.
    pub kind: ColumnType,
    /// May it be NULL?
    pub nullable: bool,
}

/// A fact table.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Name in schema `facts`.
    pub name: &'static str,
    /// Columns that identify a row within a tenant. The first tells the sort order on disk
    /// after the time.
    pub key: &'static [&'static str],
    /// The column that rows are sorted and pruned by.
    pub time: &'static str,
    /// All columns, in order.
    pub columns: &'static [Column],
}

impl Table {
    /// The column of that name and its position.
    pub fn column(&self, name: &str) -> Option<(usize, &'static Column)> {
        self.columns
            .iter()
            .enumerate()
            .find(|(_, c)| c.name == name)
    }
}

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// A text column's value.
    Text(Option<&'a str>),
    /// An integer column's value.
    Int(Option<i64>),
    /// A boolean column's value.
    Bool(Option<bool>),
    /// A time column's value in UTC microseconds.
    Time(Option<i64>),
    /// A decimal column's value in ten-thousandths.
    Decimal(Option<i128>),
    /// A list column's value.
    Texts(&'a [Text]),
}

/// A row of a fact table.
pub trait Row: Clone + PartialEq {
    /// Its table.
    const TABLE: &'static Table;
    /// Hands every value to `sink`, in the order of the columns.
    fn cells<'a>(&'a self, sink: &mut impl FnMut(Cell<'a>));
    /// The columns that every table has.
    fn common(&self) -> &crate::Common;
    /// Do both rows stand for the same thing?
    fn same_key(&self, other: &Self) -> bool;
    /// Are both rows equal, `fact_rev` and `updated_at` aside?
    fn same_content(&self, other: &Self) -> bool;
    /// Hash of tenant and key, for maps in memory.
    fn key_hash(&self) -> u64;
}

/// A Rust type that a column can hold.
pub trait Value {
    /// Column type.
    const KIND: ColumnType;
    /// Can it be NULL?
    const NULLABLE: bool = false;
    /// The value for the sink.
    fn cell(&self) -> Cell<'_>;
}

macro_rules! value {
    ($($ty:ty, $kind:ident, |$v:ident| $get:expr);+ $(;)?) => { $(
        impl Value for $ty {
            const KIND: ColumnType = ColumnType::$kind;
            fn cell(&self) -> Cell<'_> { let $v = self; Cell::$kind(Some($get)) }
        }
        impl Value for Option<$ty> {
            const KIND: ColumnType = ColumnType::$kind;
            const NULLABLE: bool = true;
            fn cell(&self) -> Cell<'_> { Cell::$kind(self.as_ref().map(|$v| $get)) }
        }
    )+ };
}
value! {
    Text, Text, |v| v.as_str();
    i64, Int, |v| *v;
    bool, Bool, |v| *v;
    UtcMicros, Time, |v| v.0;
    Decimal, Decimal, |v| v.0;
}

impl Value for Vec<Text> {
    const KIND: ColumnType = ColumnType::Texts;
    fn cell(&self) -> Cell<'_> {
        Cell::Texts(self)
    }
}

/// Declares fact tables: a struct each, its [`Table`] and how its values are read.
///
/// Every table also has the columns of [`Common`](crate::Common), first.
macro_rules! fact_tables {
    ($( $(#[doc = $doc:literal])+
    $name:ident = $table:literal, key [$($key:ident),+], time $time:literal {
        $( $(#[doc = $fdoc:literal])* $field:ident : $ty:ty ),* $(,)?
    } )+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Default)]
        #[allow(missing_docs)]
        pub struct $name {
            /// Columns that every fact table has.
            pub common: $crate::Common,
            $( $(#[doc = $fdoc])* pub $field: $ty ),*
        }

        impl $crate::table::Row for $name {
            const TABLE: &'static $crate::table::Table = &$crate::table::Table {
                name: $table,
                key: &[$(stringify!($key)),+],
                time: $time,
                columns: &[
                    $crate::Common::COLUMNS[0], $crate::Common::COLUMNS[1],
                    $crate::Common::COLUMNS[2], $crate::Common::COLUMNS[3],
                    $crate::Common::COLUMNS[4], $crate::Common::COLUMNS[5],
                    $crate::Common::COLUMNS[6],
                    $($crate::table::Column {
                        name: stringify!($field),
                        kind: <$ty as $crate::table::Value>::KIND,
                        nullable: <$ty as $crate::table::Value>::NULLABLE,
                    }),*
                ],
            };
            fn cells<'a>(&'a self, sink: &mut impl FnMut($crate::table::Cell<'a>)) {
                self.common.cells(sink);
                $( sink($crate::table::Value::cell(&self.$field)); )*
            }
            fn common(&self) -> &$crate::Common {
                &self.common
            }
            fn same_key(&self, other: &Self) -> bool {
                $(self.$key == other.$key &&)+ self.common.tenant_id == other.common.tenant_id
            }
            fn same_content(&self, other: &Self) -> bool {
                self.common.same_content(&other.common) $(&& self.$field == other.$field)*
            }
            fn key_hash(&self) -> u64 {
                let mut hasher = $crate::table::KeyHasher::default();
                std::hash::Hash::hash(&self.common.tenant_id, &mut hasher);
                $(std::hash::Hash::hash(&self.$key, &mut hasher);)+
                std::hash::Hasher::finish(&hasher)
            }
        }
    )+

    /// Rows of every fact table.
    #[derive(Clone, Debug, Default, PartialEq)]
    #[allow(missing_docs, non_snake_case)]
    pub struct FactRows { $( pub $name: Vec<$name> ),+ }

    impl FactRows {
        /// Every fact table.
        pub const TABLES: &'static [&'static $crate::table::Table] =
            &[$(<$name as $crate::table::Row>::TABLE),+];

        /// Calls `visitor` once per table with its rows.
        pub fn visit<V: TableVisitor>(&self, visitor: &mut V) {
            $( visitor.rows(&self.$name); )+
        }

        /// Moves all rows of `other` to the end of these.
        pub fn append(&mut self, other: &mut FactRows) {
            $( self.$name.append(&mut other.$name); )+
        }

        /// Adds to `removed` and `added` what turns the rows `old` into the rows `new`.
        pub fn diff(old: FactRows, new: FactRows, removed: &mut FactRows, added: &mut FactRows) {
            $(
                let edit = (&mut removed.$name, &mut added.$name);
                $crate::table::diff_rows(old.$name, new.$name, edit);
            )+
        }

        /// Number of rows in all tables.
        pub fn len(&self) -> usize {
            0 $( + self.$name.len() )+
        }

        /// Is there no row at all?
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }
    } };
}
pub(crate) use fact_tables;

pub(crate) type KeyHasher = std::collections::hash_map::DefaultHasher;

/// Above this many pairs, rows are matched through a map.
const PAIRS_MAX: usize = 1_024;

/// Adds to `removed` and `added` what turns `old` into `new`.
pub(crate) fn diff_rows<R: Row>(
    old: Vec<R>,
    new: Vec<R>,
    (removed, added): (&mut Vec<R>, &mut Vec<R>),
) {
    let same = old
        .iter()
        .zip(&new)
        .take_while(|(a, b)| unchanged(*a, *b))
        .count();
    let mut old: Vec<Option<R>> = old.into_iter().skip(same).map(Some).collect();
    let new = new.into_iter().skip(same);
    let by_key = (old.len() * new.len() > PAIRS_MAX).then(|| positions(&old));
    for row in new {
        let twin = |slot: &&mut Option<R>| slot.as_ref().is_some_and(|o| o.same_key(&row));
        let slot = match &by_key {
            Some(map) => map
                .get(&row.key_hash())
                .and_then(|at| old.get_mut(*at))
                .filter(twin),
            None => old.iter_mut().find(twin),
        };
        let before = slot.and_then(Option::take);
        if before.as_ref().is_some_and(|b| b.same_content(&row)) {
            continue;
        }
        removed.extend(before);
        added.push(row);
    }
    removed.extend(old.into_iter().flatten());
}

fn unchanged<R: Row>(a: &R, b: &R) -> bool {
    a.same_key(b) && a.same_content(b)
}

fn positions<R: Row>(rows: &[Option<R>]) -> crate::hash::LinkMap<usize> {
    let keyed = rows.iter().enumerate();
    keyed
        .filter_map(|(at, row)| Some((row.as_ref()?.key_hash(), at)))
        .collect()
}

/// Something that takes the rows of each table in turn.
pub trait TableVisitor {
    /// Takes one table's rows.
    fn rows<R: Row>(&mut self, rows: &[R]);
}
