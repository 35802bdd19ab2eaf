//! What DataFusion says of types that do not fit, in words of SQL.
//!
//! Its texts list signatures and types of Arrow, which nobody has written.

use datafusion::error::DataFusionError;

const CAST: &str = "CAST(x AS DOUBLE), CAST(x AS TIMESTAMP) and the like give another type";

/// What is wrong with the types of a statement, and what to write; `None` if it is anything else.
pub(crate) fn plain(error: &DataFusionError) -> Option<(String, String)> {
    use DataFusionError as D;
    let text = match error {
        D::Plan(text) | D::Execution(text) | D::Internal(text) => text,
        D::NotImplemented(text) => return unoffered(text),
        _ => return None,
    };
    if text.starts_with("Aggregate functions are not allowed in the WHERE clause") {
        let reason = "WHERE looks at single rows: an aggregate or MEASURE is about a group";
        let hint = "use HAVING after GROUP BY, for example HAVING MEASURE(asa) > 30000";
        return Some((reason.to_owned(), hint.to_owned()));
    }
    if text.starts_with("Projections require unique expression names")
        && let Some((_, rest)) = text.split_once(" expression \"")
        && let Some((name, _)) = rest.split_once("\" at position")
    {
        let reason = format!("two columns are called {}", sql_types(name));
        return Some((reason, "give one of them another name: AS other".to_owned()));
    }
    if text.starts_with("Substring without for/from") {
        let hint = "write substr(text, from) or substr(text, from, length)";
        return Some(("substr needs a place".to_owned(), hint.to_owned()));
    }
    // Of functions that look at the types themselves SHOW FUNCTIONS lists nothing.
    let unlisted = ["user-defined coercion", "UserDefined", "(Any"];
    let hint_of = |name: &str| match unlisted.iter().any(|sign| text.contains(sign)) {
        true => CAST.to_owned(),
        false => format!("SHOW FUNCTIONS LIKE '{name}' tells what it takes"),
    };
    let unmatched = "No function matches the given name and argument types '";
    // What fails while it runs may quote values.
    if !matches!(error, D::Execution(_))
        && let Some((said, rest)) = text.split_once(unmatched)
    {
        let call = rest.split_once("'. ").map_or(rest, |(call, _)| call);
        return Some(of_call(said, call, hint_of));
    }
    if let Some(said) = text.strip_prefix("Function '")
        && let Some((name, _)) = said.split_once('\'')
        && (said.contains("coercion failed with: ")
            || said.contains("failed to match any signature"))
    {
        return Some(of_call(text, &format!("{name}(...)"), hint_of));
    }
    if let Some(rest) = text.strip_prefix("Cannot coerce arithmetic expression ") {
        let sides = rest.split(" to valid types").next().unwrap_or(rest);
        return Some(uncomputable(sides));
    }
    if let Some(rest) = text.strip_prefix("Cannot get result type for ") {
        let sides = rest
            .split_once(" operation ")
            .map_or(rest, |(_, sides)| sides);
        return Some(uncomputable(sides.split(": ").next().unwrap_or(sides)));
    }
    if let Some((_, sides)) = text
        .strip_prefix("Cannot infer common ")
        .and_then(|rest| rest.split_once(" operation "))
    {
        let reason = format!("{} do not go together", sql_types(sides));
        return Some((reason, CAST.to_owned()));
    }
    if let Some(rest) = text.strip_prefix("Failed to coerce ") {
        let rest = rest.lines().next().unwrap_or(rest).trim_end_matches('.');
        let rest = rest.replace("types ", "").replace(" to common", "");
        let reason = format!("these do not go together: {}", sql_types(&rest));
        return Some((reason, CAST.to_owned()));
    }
    None
}

/// What DataFusion parses and cannot do, told without names of its own parts.
fn unoffered(text: &str) -> Option<(String, String)> {
    let (reason, hint) = if text.contains("OuterReferenceColumn") {
        (
            "a subquery that reads columns of the query around it is not offered at this place",
            "write it as a join",
        )
    } else if text.contains("node Pivot") {
        (
            "PIVOT is not offered",
            "write one MEASURE(kpi) FILTER (WHERE column = 'value') for each column",
        )
    } else {
        return None;
    };
    Some((reason.to_owned(), hint.to_owned()))
}

fn uncomputable(sides: &str) -> (String, String) {
    let sides = sql_types(sides);
    let hint = match (sides.contains("INTERVAL"), sides.contains("TIMESTAMP")) {
        (true, _) => "an interval goes with + and - to a time, with * and / to a number",
        (false, true) => "ms_between(a, b) and timestampdiff(SECOND, a, b) give numbers of times",
        _ => CAST,
    };
    (format!("{sides} cannot be computed"), hint.to_owned())
}

/// `said`: what a function has said itself, among other things; `call`: `name(types)`.
fn of_call(said: &str, call: &str, hint_of: impl Fn(&str) -> String) -> (String, String) {
    let (name, types) = call.split_once('(').unwrap_or((call, ""));
    let hint = hint_of(name);
    let own = said.rsplit_once("failed with: ").map(|(_, own)| own);
    let own = own.map(|own| {
        let own = own.trim_start_matches("Error during planning: ");
        own.trim_start_matches("Execution error: ")
    });
    // Ours begin with the name; others may speak of what is inside of the engine.
    if let Some(own) = own.filter(|own| own.starts_with(name)) {
        return (sql_types(own.trim_end().trim_end_matches('.')), hint);
    }
    let types = types.strip_suffix(')').unwrap_or(types);
    let reason = match types {
        "" => format!("{name}() needs arguments"),
        types => format!("{name} does not take ({})", sql_types(types)),
    };
    (reason, hint)
}

/// Arrow's and SQL's. Those with a bracket are types with one only: alone they are words of people.
const TYPES: &[(&str, &str)] = &[
    ("TimestampMicrosecond(", "TIMESTAMP"),
    ("TimestampNanosecond(", "TIMESTAMP"),
    ("Timestamp(", "TIMESTAMP"),
    ("IntervalMonthDayNano(", "INTERVAL"),
    ("Interval(", "INTERVAL"),
    ("Duration(", "INTERVAL"),
    ("Dictionary(", "VARCHAR"),
    ("Decimal128(", "DECIMAL"),
    ("Decimal256(", "DECIMAL"),
    ("Decimal32(", "DECIMAL"),
    ("Decimal64(", "DECIMAL"),
    ("FixedSizeList(", "ARRAY"),
    ("LargeList(", "ARRAY"),
    ("List(", "ARRAY"),
    ("Struct(", "STRUCT"),
    ("Map(", "MAP"),
    ("LargeUtf8", "VARCHAR"),
    ("Utf8View", "VARCHAR"),
    ("Utf8", "VARCHAR"),
    ("LargeBinary", "BYTEA"),
    ("BinaryView", "BYTEA"),
    ("FixedSizeBinary", "BYTEA"),
    ("Binary", "BYTEA"),
    ("Boolean", "BOOLEAN"),
    ("Float16", "REAL"),
    ("Float32", "REAL"),
    ("Float64", "DOUBLE"),
    ("UInt16", "INTEGER"),
    ("UInt32", "BIGINT"),
    ("UInt64", "BIGINT"),
    ("UInt8", "SMALLINT"),
    ("Int16", "SMALLINT"),
    ("Int32", "INTEGER"),
    ("Int64", "BIGINT"),
    ("Int8", "SMALLINT"),
    ("Date32", "DATE"),
    ("Date64", "DATE"),
    ("Time32", "TIME"),
    ("Time64", "TIME"),
];

/// The text with SQL's names in the place of Arrow's, and literals as they are written. A name in
/// double quotes is one of people.
pub(crate) fn sql_types(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut inside = false;
    while let Some(first) = rest.chars().next() {
        let quoted = quoted_name(rest, out.ends_with('.'));
        if quoted > 0 {
            out.push_str(&rest[..quoted]);
            rest = &rest[quoted..];
            inside = false;
            continue;
        }
        let found = TYPES.iter().find_map(|(arrow, sql)| {
            let name = arrow.trim_end_matches('(');
            let behind = rest.strip_prefix(name)?;
            let next = behind.chars().next();
            let ends = next.is_none_or(|c| !c.is_alphanumeric() && c != '_');
            if inside || !ends {
                return None;
            }
            // In the brackets of these stand units and widths.
            let values = name == *arrow && !name.starts_with("Time") && !name.contains("Binary");
            if values && let Some(found) = literal(behind, out.ends_with('\'')) {
                return Some(found);
            }
            let brackets = bracketed(behind);
            let fits = brackets > 0 || name == *arrow;
            fits.then(|| ((*sql).to_owned(), &behind[brackets..]))
        });
        match found {
            Some((sql, behind)) => {
                out.push_str(&sql);
                rest = behind;
                inside = true;
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
                inside = first.is_alphanumeric() || first == '_';
            }
        }
    }
    out
}

/// Bytes of the name in double quotes that a text begins with; whole expressions stand in such
/// quotes too.
fn quoted_name(text: &str, of_table: bool) -> usize {
    let Some((name, _)) = text.strip_prefix('"').and_then(|t| t.split_once('"')) else {
        return 0;
    };
    let is_word = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    match is_word || of_table {
        true => name.len() + 2,
        false => 0,
    }
}

/// The value in the brackets of `Utf8("a")`, `Int64(1)` and `Float64(NULL)`, and what follows.
/// `quoted`: it stands in single quotes already.
fn literal(behind: &str, quoted: bool) -> Option<(String, &str)> {
    if let Some(text) = behind.strip_prefix("(\"") {
        let (value, behind) = text.split_once("\")")?;
        return Some(match quoted {
            true => (value.to_owned(), behind),
            false => (format!("'{value}'"), behind),
        });
    }
    let (value, behind) = behind.strip_prefix('(')?.split_once(')')?;
    let fits = |c: char| c.is_alphanumeric() || "+-.".contains(c);
    let is_value = !value.is_empty() && value.chars().all(fits);
    is_value.then(|| (value.to_owned(), behind))
}

/// Bytes of the brackets that a text begins with.
fn bracketed(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, sign) in text.char_indices() {
        match sign {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return if at == 0 { 0 } else { at + 1 };
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_as_in_sql_and_words_stay_words() {
        for (text, wanted) in [
            ("Timestamp(µs, \"UTC\") / Utf8", "TIMESTAMP / VARCHAR"),
            ("Dictionary(Int32, Utf8) or Int64", "VARCHAR or BIGINT"),
            (
                "List of Int640, my_Int64, Interval",
                "List of Int640, my_Int64, Interval",
            ),
            ("Decimal128(38, 10)", "DECIMAL"),
            ("Timestamp(µs", "Timestamp(µs"),
            (
                "CAST(Utf8(\"2026-01-01\") AS Timestamp(ns))",
                "CAST('2026-01-01' AS TIMESTAMP)",
            ),
            (
                "\"channel, count(Int64(1))\" of Float64(-2.5)",
                "\"channel, count(1)\" of -2.5",
            ),
            ("Utf8(NULL) || Utf8(\"a)b\")", "NULL || 'a)b'"),
            (
                "column 'Utf8(\"x\")' of Boolean(true)",
                "column 'x' of true",
            ),
            ("t.\"Int64\" - \"Utf8\"", "t.\"Int64\" - \"Utf8\""),
            ("t.\"Int64 of it\" - Int64", "t.\"Int64 of it\" - BIGINT"),
            (
                "\"IntervalMonthDayNano(\"IntervalMonthDayNano { months: 1 }\") * x\"",
                "\"INTERVAL * x\"",
            ),
            ("Time64(ns) or Time32(s)", "TIME or TIME"),
        ] {
            assert_eq!(sql_types(text), wanted);
        }
    }
}
