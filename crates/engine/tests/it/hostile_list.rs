//! The statements of `sql/tests/hostile.txt`; the tests of `server` read them from here too.

use std::path::Path;

/// A statement and how it ends.
pub struct Case {
    /// `answered`, or the words of error kinds: any of them.
    pub expected: Vec<String>,
    /// What it is, in a few words.
    pub what: String,
    /// The statement.
    pub sql: String,
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sql/tests/hostile.txt");
    let text = std::fs::read_to_string(path).expect("the list");
    let parts = text.split("\n== ").skip(1);
    let case = |part: &str| {
        let (head, sql) = part.split_once('\n').expect("a statement below its head");
        let (expected, what) = head
            .split_once(": ")
            .expect("what is expected, and of what");
        Case {
            expected: expected.split(" or ").map(str::to_owned).collect(),
            what: what.to_owned(),
            sql: expand(sql.trim_end_matches('\n')),
        }
    };
    let cases: Vec<Case> = parts.map(case).collect();
    assert!(cases.len() >= 150, "only {} cases were read", cases.len());
    cases
}

/// Writes out `<<N*text>>` and `<<NUL>>`.
fn expand(text: &str) -> String {
    let Some((before, rest)) = text.split_once("<<") else {
        return text.to_owned();
    };
    let mut end = rest.find(">>").expect("an end of <<");
    while rest[end + 2..].starts_with('>') {
        end += 1;
    }
    let (inside, after) = (&rest[..end], &rest[end + 2..]);
    let written = match inside.split_once('*') {
        None => "\0".to_owned(),
        Some((count, item)) => {
            let count: usize = count.parse().expect("a number of times");
            let item = |i: usize| {
                item.replace("{i}", &i.to_string())
                    .replace("{h}", &(i - 1).to_string())
            };
            (1..=count).map(item).collect()
        }
    };
    format!("{before}{written}{}", expand(after))
}
