//! Which relations an answer lists, and how their columns are described.

use std::collections::{BTreeSet, HashMap};

use arrow::datatypes::{Field, Schema};
use arrow_flight::sql::CommandGetTables;
use engine::service::{Relation, RelationKind};

use super::{CATALOGUE, types::sql_type};

const BASE_TABLE: &str = "BASE TABLE";
const SYSTEM_TABLE: &str = "SYSTEM TABLE";
const TABLE: &str = "TABLE";

/// All types of tables. Views are tables too: programs that look for tables would not find them.
pub(super) const TABLE_TYPES: [&str; 3] = [BASE_TABLE, SYSTEM_TABLE, TABLE];

/// What the filters leave.
pub(in crate::flight) struct Kept;

impl Kept {
    /// Names of schemas, in order.
    pub(super) fn schemas<'r>(
        relations: &'r [Relation],
        catalog: Option<&str>,
        pattern: Option<&str>,
    ) -> BTreeSet<&'r str> {
        if !is_ours(catalog) {
            return BTreeSet::new();
        }
        let names = relations.iter().map(|relation| relation.schema.as_str());
        names.filter(|name| fits(pattern, name)).collect()
    }

    /// Relations, each with the type that the reply gives it.
    pub(super) fn tables<'a>(
        relations: &'a [Relation],
        command: &'a CommandGetTables,
    ) -> impl Iterator<Item = (&'a Relation, &'a str)> {
        let relations = match is_ours(command.catalog.as_deref()) {
            true => relations,
            false => &[],
        };
        relations.iter().filter_map(|relation| {
            let schema = fits(
                command.db_schema_filter_pattern.as_deref(),
                &relation.schema,
            );
            let name = fits(command.table_name_filter_pattern.as_deref(), &relation.name);
            let table_type = table_type(&relation.kind, &command.table_types)?;
            (schema && name).then_some((relation, table_type))
        })
    }
}

/// No catalogue is no filter; an empty one means relations without one, which there are none of.
fn is_ours(catalog: Option<&str>) -> bool {
    catalog.is_none_or(|catalog| catalog == CATALOGUE)
}

/// The type of a relation as the filter spells it; nothing if the filter leaves it out.
fn table_type<'f>(kind: &RelationKind, filter: &'f [String]) -> Option<&'f str> {
    let names: &[&'static str] = match kind {
        RelationKind::Table => &[TABLE, BASE_TABLE],
        RelationKind::System => &[SYSTEM_TABLE],
    };
    if filter.is_empty() {
        return Some(names[0]);
    }
    let fits = |wanted: &&String| names.iter().any(|name| name.eq_ignore_ascii_case(wanted));
    filter.iter().find(fits).map(String::as_str)
}

/// Does a name fit a pattern, in which `%` stands for any text, `_` for one character, and `\`
/// takes the meaning from the one that follows? No pattern and an empty one fit everything.
fn fits(pattern: Option<&str>, name: &str) -> bool {
    let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) else {
        return true;
    };
    let pattern = parts(pattern);
    let name: Vec<char> = name.chars().collect();
    // From the last `%` on everything can be tried again one character later: no pattern takes
    // longer than its length times that of the name.
    let (mut p, mut n) = (0, 0);
    let mut again = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(Part::Any) => {
                again = Some((p, n));
                p += 1;
            }
            Some(part) if part.fits(name[n]) => (p, n) = (p + 1, n + 1),
            _ => match again {
                None => return false,
                Some((any, from)) => {
                    again = Some((any, from + 1));
                    (p, n) = (any + 1, from + 1);
                }
            },
        }
    }
    pattern[p..].iter().all(|part| *part == Part::Any)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Any,
    One,
    This(char),
}

impl Part {
    fn fits(self, found: char) -> bool {
        match self {
            Part::Any => false,
            Part::One => true,
            Part::This(wanted) => wanted == found,
        }
    }
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut characters = pattern.chars();
    let mut parts = Vec::new();
    while let Some(character) = characters.next() {
        parts.push(match character {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::This(characters.next().unwrap_or('\\')),
            other => Part::This(other),
        });
    }
    parts
}

/// The columns of a relation as drivers want to have them described.
pub(in crate::flight) fn table_schema(relation: &Relation) -> Schema {
    let fields: Vec<Field> = relation
        .columns
        .fields()
        .iter()
        .map(|field| described(relation, field))
        .collect();
    Schema::new_with_metadata(fields, relation.columns.metadata().clone())
}

/// What a column is, in a line: of a KPI its title, formula and unit.
fn remarks(field: &Field) -> Option<String> {
    let of = |name: &str| field.metadata().get(name).map(String::as_str);
    match (of("title"), of("formula"), of("unit")) {
        (Some(title), Some(formula), Some(unit)) => Some(format!("{title}: {formula} ({unit})")),
        _ if field.name().ends_with("_ms") => Some("milliseconds".to_owned()),
        _ => None,
    }
}

fn described(relation: &Relation, field: &Field) -> Field {
    let sql_type = sql_type(field.data_type());
    let mut about = vec![
        ("CATALOG_NAME", CATALOGUE.to_owned()),
        ("SCHEMA_NAME", relation.schema.clone()),
        ("TABLE_NAME", relation.name.clone()),
        ("TYPE_NAME", sql_type.name.to_owned()),
        ("IS_AUTO_INCREMENT", "0".to_owned()),
        ("IS_READ_ONLY", "1".to_owned()),
        ("IS_SEARCHABLE", "1".to_owned()),
    ];
    let numbers = [("PRECISION", sql_type.precision), ("SCALE", sql_type.scale)];
    let known = numbers
        .into_iter()
        .filter_map(|(name, n)| Some((name, n?.to_string())));
    about.extend(known);
    about.extend(remarks(field).map(|text| ("REMARKS", text)));
    let about = about
        .into_iter()
        .map(|(name, value)| (format!("ARROW:FLIGHT:SQL:{name}"), value));
    let mut metadata: HashMap<String, String> = field.metadata().clone();
    metadata.extend(about);
    field.clone().with_metadata(metadata)
}
