//! Every id of the design's catalogue, as far as that document lies beside the project.

use std::collections::BTreeSet;
use std::path::Path;

use crate::catalogue;

/// Ids of the document that no shipped file defines yet, and what they wait for. An id that comes
/// to be defined must leave the list, and no id may come to it.
const MISSING: &[(&str, &str)] = &[
    ("reasons held at their weights", "deflection_index_mix"),
    ("agents free at a moment", "ewt ewt_queue_length ewt_simple"),
];

fn missing() -> BTreeSet<&'static str> {
    let ids = MISSING.iter().flat_map(|(_, ids)| ids.split_whitespace());
    ids.collect()
}

/// The text without what stands in parentheses.
fn outside_parentheses(text: &str) -> String {
    let mut depth = 0_i32;
    let outside = text.chars().filter(|c| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth == 0 && *c != ')'
    });
    outside.collect()
}

/// The ids in a cell: words between commas or semicolons. `…_p50` goes on from `base`.
fn ids_in(cell: &str, base: &str) -> Vec<String> {
    let plain = outside_parentheses(cell).replace('*', "");
    let words = plain.split([',', ';']).filter_map(|part| {
        let word = part.split('/').next()?.trim();
        let whole = word.replace('…', base);
        let is_id = whole
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        (is_id && whole.starts_with(|c: char| c.is_ascii_lowercase())).then_some(whole)
    });
    words.collect()
}

/// Ids of sections 2 (id and variants of each row) and 3 (first column) of the document.
fn documented(text: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut section = "";
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.split('.').next().unwrap_or_default();
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if !line.starts_with('|') || !matches!(section, "2" | "3") || cells[0] == "id" {
            continue;
        }
        let first = ids_in(cells[0], "");
        if section == "2" && cells.len() == 9 {
            let base = first.first().map_or("", String::as_str);
            ids.extend(ids_in(cells[7], base));
        }
        ids.extend(first);
    }
    ids
}

#[test]
fn an_id_that_is_defined_is_not_listed_as_missing() {
    let there: Vec<_> = missing()
        .into_iter()
        .filter(|id| catalogue().get(id).is_some())
        .collect();
    assert_eq!(there, Vec::<&str>::new(), "take them off the list");
}

#[test]
fn every_id_of_the_document_is_defined_or_known_to_be_missing() {
    let document =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/design/kpi-catalogue.md");
    let Ok(text) = std::fs::read_to_string(document) else {
        println!("skipped: no ../shared");
        return;
    };
    let documented = documented(&text);
    assert!(
        documented.len() > 200,
        "only {} ids were read",
        documented.len()
    );
    let undefined: BTreeSet<&str> = documented
        .iter()
        .map(String::as_str)
        .filter(|id| catalogue().get(id).is_none())
        .collect();
    println!("not defined yet: {undefined:?}");
    assert_eq!(undefined, missing());
}

#[test]
fn ids_are_read_from_cells_as_people_write_them() {
    let read = |cell| ids_in(cell, "base");
    assert_eq!(read("**fcr**"), ["fcr"]);
    assert_eq!(read("a_b (#(x), E ended_at), …_p50"), ["a_b", "base_p50"]);
    assert_eq!(
        read("agent_requests (#(r)) / 人工请求量"),
        ["agent_requests"]
    );
    assert_eq!(
        read("by ship cohort (linked order), 3.1"),
        Vec::<String>::new()
    );
}
