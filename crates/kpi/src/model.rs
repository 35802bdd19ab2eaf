//! The fact models as plain data, given by the caller: this crate knows no tables.

/// A fact model: what definitions may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// Its name in definitions and in SQL.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<ColumnSpec>,
    /// What its rows are made by: where this changes, numbers may. Empty for rows as they are stored.
    pub made_by: String,
}

/// A column of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ColumnKind,
    /// May it be NULL?
    pub nullable: bool,
}

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// Int64.
    Int,
    /// Boolean.
    Bool,
    /// UTC microseconds.
    Time,
    /// Decimal with four places.
    Decimal,
    /// List of text.
    Texts,
}

impl ModelSpec {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&ColumnSpec> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The names of all columns.
    pub fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|c| c.name.as_str()).collect()
    }
}
