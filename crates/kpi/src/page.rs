//! A page on each KPI, made of its definition: nothing on it is written a second time.
//!
//! The same text stands in `docs/kpis` and is what `callgauge kpi explain` prints.

use std::fmt::Write;

use crate::catalogue::Catalogue;
use crate::definition::{
    Additivity, Agg, Clock, Direction, Empty, Kind, Kpi, Lifecycle, Maturity, Measured, Part,
    UnitKind, Window,
};
use crate::example::{Cell, Example, ExampleTable, ExpectedOf};
use crate::interval::LEVEL;
use crate::model::ModelSpec;
use crate::param::{Param, ParamDefault, duration_text};
use crate::status::Limit;

/// The page of a KPI, as Markdown. `models` name the columns of its examples.
pub fn page(catalogue: &Catalogue, kpi: &Kpi, models: &[ModelSpec]) -> String {
    let mut page = String::new();
    head(&mut page, kpi);
    formula(&mut page, catalogue, kpi);
    facts_about(&mut page, kpi);
    parameters(&mut page, kpi);
    section(&mut page, "Adding up", adding_up(kpi.additivity()));
    section(&mut page, "In SQL", &sql(kpi));
    examples(&mut page, catalogue, kpi, models);
    variants(&mut page, catalogue, kpi);
    page
}

/// The list of all pages by group, as Markdown. Links are relative to the pages' folder.
pub fn index(catalogue: &Catalogue) -> String {
    let mut text = "# KPIs\n\nMade of the definitions in `sql/kpis`; `callgauge kpi explain ID` \
                    prints a page.\n"
        .to_owned();
    let mut groups: Vec<&str> = catalogue.iter().map(|kpi| kpi.group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let _ = write!(
            text,
            "\n## {}\n\n| KPI | id | formula |\n|---|---|---|\n",
            capitalised(group)
        );
        for kpi in catalogue.iter().filter(|kpi| kpi.group == group) {
            let (title, id, formula) = (&kpi.title.en, &kpi.id, cell_text(&kpi.formula));
            let _ = writeln!(text, "| [{title}]({id}.md) | `{id}` | {formula} |");
        }
    }
    text
}

fn head(page: &mut String, kpi: &Kpi) {
    let title = &kpi.title;
    let names = [title.zh_cn.clone(), title.zh_tw.clone()]
        .into_iter()
        .chain(kpi.aliases.iter().cloned());
    let names: Vec<String> = names.collect();
    let _ = write!(
        page,
        "# {}\n\n`{}` · {}\n\n{}\n",
        title.en,
        kpi.id,
        names.join(" · "),
        kpi.description
    );
    match &kpi.status {
        Lifecycle::Certified => {}
        Lifecycle::Draft => page.push_str("\nA draft: its definition may still change.\n"),
        Lifecycle::Deprecated { replaced_by } => {
            let _ = writeln!(
                page,
                "\nNot for new use: take [{replaced_by}]({replaced_by}.md)."
            );
        }
    }
}

fn section(page: &mut String, title: &str, text: &str) {
    let _ = write!(page, "\n## {title}\n\n{text}\n");
}

fn formula(page: &mut String, catalogue: &Catalogue, kpi: &Kpi) {
    let _ = write!(
        page,
        "\n## Formula\n\n{}\n\n```text\n{} = {}\n```\n\n",
        kpi.formula, kpi.id, kpi.value
    );
    match &kpi.kind {
        Kind::Measured(measured) => measured_of(page, kpi, measured),
        Kind::Derived(derived) => {
            page.push_str("Each input is a KPI of its own, aggregated apart:\n\n");
            for id in &derived.inputs {
                let title = catalogue
                    .get(id)
                    .map_or(id.as_str(), |input| input.title.en.as_str());
                let _ = writeln!(page, "- [`{id}`]({id}.md): {title}");
            }
        }
    }
    if let Some((above, below)) = kpi.value.ratio() {
        let _ = write!(page, "\nNumerator: `{above}`. Denominator: `{below}`.\n");
    }
    if !kpi.source.basis.is_empty() {
        let _ = write!(
            page,
            "\nAfter: {}.\n",
            kpi.source.basis.trim_end_matches('.')
        );
    }
}

fn measured_of(page: &mut String, kpi: &Kpi, measured: &Measured) {
    page.push_str("| part | over the rows | is |\n|---|---|---|\n");
    for part in &measured.parts {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} |",
            part.name,
            code(&part.expr),
            aggregate(part)
        );
    }
    let _ = write!(
        page,
        "\nRows: `{}`, one for each {}",
        measured.model,
        measured.grain.replace('_', " ")
    );
    match measured.filters.is_empty() {
        true => page.push_str(".\n"),
        false => {
            let filters: Vec<String> = measured.filters.iter().map(|filter| code(filter)).collect();
            let _ = writeln!(page, ", and only those with {}.", filters.join(" and "));
        }
    }
    let clock = match measured.clock {
        Clock::Cohort => "A row belongs to the bucket in which it came in",
        Clock::Event => "A row belongs to the bucket in which it ended",
        Clock::Spread => "Time is cut over the buckets that it covers",
    };
    let nothing = "a row without that time is in no bucket";
    let _ = write!(
        page,
        "\nClock: {}. {clock} (`{}`); {nothing}.\n",
        measured.clock.word(),
        kpi.time().unwrap_or_default()
    );
}

fn aggregate(part: &Part) -> String {
    let per = || {
        part.per
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    match part.agg {
        Agg::CountIf => "the number for which it is true".to_owned(),
        Agg::Sum => "the sum".to_owned(),
        Agg::Min => "the smallest".to_owned(),
        Agg::Max => "the greatest".to_owned(),
        Agg::Distinct => "the number of different ones".to_owned(),
        Agg::Histogram => "an exact histogram".to_owned(),
        Agg::LastByTime => format!("of each `{}` the latest, summed", per()),
        Agg::MaxLastByTime => format!("of each `{}` the latest, the greatest of these", per()),
        Agg::Peak => format!(
            "the sum of each {} (from midnight UTC), the greatest of these",
            per()
        ),
        Agg::PeakOpen => "how many were open at once at most, each up to that time".to_owned(),
        Agg::TimeWeighted => "the sum, weighted by time".to_owned(),
    }
}

fn facts_about(page: &mut String, kpi: &Kpi) {
    let unit = match kpi.unit.kind {
        UnitKind::Ratio => "a ratio from 0 to 1, shown in percent",
        UnitKind::Count => "a number of things",
        UnitKind::Duration => "milliseconds",
        UnitKind::Currency => "money",
        UnitKind::Points => "points of a scale",
        UnitKind::Number => "a number",
    };
    let better = match kpi.direction {
        Direction::Higher => "more",
        Direction::Lower => "less",
        Direction::Band => "inside a band",
        Direction::Neutral => "neither: it is not judged",
    };
    let nothing = match kpi.empty {
        Empty::NoValue => "no value",
        Empty::Zero => "0",
    };
    let rows = [
        ("Unit", unit.to_owned()),
        ("Better", better.to_owned()),
        ("Target", goals(kpi)),
        ("Of nothing", nothing.to_owned()),
        ("Counts from", maturity(&kpi.maturity)),
        ("Sample", sample(kpi)),
        ("Longest", longest(kpi)),
        (
            "Buckets",
            format!("from {}; usually {}", kpi.buckets.min, kpi.buckets.default),
        ),
        (
            "Dimensions",
            kpi.dimensions
                .iter()
                .map(|d| format!("`{d}`"))
                .collect::<Vec<_>>()
                .join(", "),
        ),
        ("Version", kpi.version.to_string()),
    ];
    page.push_str("\n## About it\n\n| | |\n|---|---|\n");
    for (name, text) in rows.into_iter().filter(|(_, text)| !text.is_empty()) {
        let _ = writeln!(page, "| {name} | {text} |");
    }
}

/// Target and limits as people read them.
fn goals(kpi: &Kpi) -> String {
    let shown = |value: f64| kpi.unit.format(value);
    let limit = |limit: &Limit| match limit {
        Limit::At(value) => shown(*value),
        Limit::Between(from, to) => format!("{} to {}", shown(*from), shown(*to)),
    };
    let mut texts: Vec<String> = kpi.target.iter().map(|target| shown(*target)).collect();
    texts.extend(
        kpi.thresholds
            .good
            .iter()
            .map(|good| format!("good: {}", limit(good))),
    );
    texts.extend(
        kpi.thresholds
            .warn
            .iter()
            .map(|warn| format!("watch: {}", limit(warn))),
    );
    texts.extend(kpi.thresholds.min_n.map(|n| format!("judged from {n} on")));
    texts.join("; ")
}

fn maturity(maturity: &Maturity) -> String {
    match maturity {
        Maturity::None => "at once".to_owned(),
        Maturity::Posted => "when the costs of the whole range are posted".to_owned(),
        Maturity::Common => "when all inputs do".to_owned(),
        Maturity::Window { column, window } => {
            let length = match window {
                Window::Param(name) => format!("`{name}`"),
                Window::Ms(ms) => duration_text(*ms),
            };
            format!(
                "when {length} have passed since `{column}`; younger rows are left out, and the result \
                 says up to when"
            )
        }
    }
}

/// Over how much time it has a value.
fn longest(kpi: &Kpi) -> String {
    match kpi.longest_ms() {
        Some(ms) => format!("{}; no value over more time", duration_text(ms)),
        None => String::new(),
    }
}

/// What values of a sample have beside them.
fn sample(kpi: &Kpi) -> String {
    match kpi.sample {
        true => format!(
            "yes: each value has its Wilson score interval at {} %",
            LEVEL * 100.0
        ),
        false => String::new(),
    }
}

fn parameters(page: &mut String, kpi: &Kpi) {
    if kpi.params.is_empty() {
        return;
    }
    page.push_str("\n## Parameters\n\n| name | usually | what it is |\n|---|---|---|\n");
    for Param {
        name,
        default,
        description,
        ..
    } in &kpi.params
    {
        let usual = match default {
            ParamDefault::Value(value) => value.to_string(),
            ParamDefault::SameAs(other) => format!("as `{other}`"),
        };
        let _ = writeln!(page, "| `{name}` | {usual} | {} |", cell_text(description));
    }
    let rules = || {
        let all = kpi.params.iter();
        all.flat_map(|p| p.rules.iter().map(move |rule| (&p.name, rule)))
    };
    if rules().next().is_some() {
        page.push_str("\nHere, of the lines that fit a row the first holds:\n\n");
        page.push_str("| name | value | where |\n|---|---|---|\n");
    }
    for (name, rule) in rules() {
        let when = cell_text(&rule.when());
        let _ = writeln!(page, "| `{name}` | {} | {when} |", rule.value);
    }
}

/// What may be done with values, and what never.
fn adding_up(additivity: Additivity) -> &'static str {
    match additivity {
        Additivity::Additive => "Values of disjoint groups and periods add up.",
        Additivity::Ratio => {
            "The parts add up, the value does not: never average it. A total is the division of the \
             summed parts."
        }
        Additivity::Histogram => {
            "Histograms merge, and the value is read from the merged one: a percentile of percentiles \
             is none."
        }
        Additivity::Extreme => {
            "The extreme of groups is that of all; nothing can be taken away again."
        }
        Additivity::Distinct => {
            "Who is in two groups or periods counts once in the total: values do not add up."
        }
        Additivity::SemiAdditive => "Values add up over groups, not over time.",
        Additivity::Peak => {
            "Groups have their peaks at different times: values do not add up. Rows of all groups are put \
             together first, then the greatest is taken."
        }
        Additivity::CrossModel => {
            "Its inputs are aggregated apart and meet in their totals: rows of one are never joined to \
             rows of another."
        }
    }
}

fn sql(kpi: &Kpi) -> String {
    let text = match &kpi.kind {
        Kind::Measured(measured) => format!(
            "SELECT kpi_bucket({}, '{}') AS period, MEASURE({}) AS value\nFROM kpi.{} GROUP BY 1 ORDER BY 1",
            measured.time, kpi.buckets.default, kpi.id, measured.model
        ),
        Kind::Derived(_) => format!(
            "SELECT * FROM kpi('{}', '{}', NULL, '2026-03-02', '2026-03-09'{})",
            kpi.id,
            kpi.buckets.default,
            match kpi.value.beside().is_empty() {
                true => "",
                false => ", 'compare=previous'",
            }
        ),
    };
    format!("```sql\n{text}\n```")
}

fn examples(page: &mut String, catalogue: &Catalogue, kpi: &Kpi, models: &[ModelSpec]) {
    let own: Vec<&Example> = kpi
        .examples
        .iter()
        .filter(|example| example.kpi == kpi.id)
        .collect();
    if own.is_empty() {
        return;
    }
    page.push_str("\n## Worked examples\n");
    for example in own {
        let _ = write!(
            page,
            "\n{}.\n",
            capitalised(example.name.trim_end_matches('.'))
        );
        for table in &example.tables {
            let of = catalogue.inputs_of(kpi).into_iter();
            let of: Vec<&Kpi> = of.filter(|kpi| kpi.model() == Some(&table.model)).collect();
            rows(page, &of, table, models);
        }
        if !example.inputs.is_empty() {
            let _ = write!(page, "\nFrom {}.\n", given(example).join(", "));
        }
        let expected: Vec<String> = example
            .expect
            .iter()
            .map(|expected| {
                let name = match &expected.of {
                    ExpectedOf::Part { kpi: of, part } if *of == kpi.id => part.clone(),
                    ExpectedOf::Part { kpi: of, part } => format!("{of}.{part}"),
                    ExpectedOf::Kpi(id) => id.clone(),
                };
                let value = expected
                    .value
                    .map_or("no value".to_owned(), |value| value.to_string());
                format!("`{name}` = {value}")
            })
            .collect();
        let _ = write!(page, "\nGives {}.\n", expected.join(", "));
    }
}

/// What an example over values of inputs is computed from.
fn given(example: &Example) -> Vec<String> {
    let inputs = example.inputs.iter();
    let inputs = inputs.map(|(id, value)| format!("`{id}` = {value}"));
    let beside = example.beside.iter();
    let beside = beside.map(|((side, id), value)| format!("`{}({id})` = {value}", side.word()));
    let range = example.range_ms.map(|ms| format!("`range_ms` = {ms}"));
    let params = example.params.iter();
    let params = params.map(|(name, value)| format!("`:{name}` = {value}"));
    inputs.chain(beside).chain(range).chain(params).collect()
}

/// The rows of an example, with the columns that these KPIs read; without KPIs with all.
fn rows(page: &mut String, kpis: &[&Kpi], table: &ExampleTable, models: &[ModelSpec]) {
    let Some(model) = models.iter().find(|model| model.name == table.model) else {
        return;
    };
    let read = |name: &str| {
        let mut supporting = kpis.iter().flat_map(|kpi| &kpi.supporting);
        kpis.is_empty() || supporting.any(|column| column == name)
    };
    let told = |at: usize| table.rows.iter().any(|row| !is_empty(&row.cells[at]));
    let columns: Vec<usize> = (0..model.columns.len())
        .filter(|at| read(&model.columns[*at].name) && told(*at))
        .collect();
    let names = columns.iter().map(|at| model.columns[*at].name.as_str());
    let names: Vec<&str> = names.chain(["rows"]).collect();
    let _ = write!(
        page,
        "\n`{}`:\n\n| {} |\n|{}\n",
        table.model,
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for row in &table.rows {
        let cells = columns.iter().map(|at| cell(&row.cells[*at]));
        let cells: Vec<String> = cells.chain([row.times.to_string()]).collect();
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
}

/// Does it say nothing that a reader would miss?
fn is_empty(cell: &Cell) -> bool {
    match cell {
        Cell::Null => true,
        Cell::Text(text) => text.is_empty(),
        Cell::Texts(texts) => texts.is_empty(),
        Cell::Bool(_) | Cell::Int(_) | Cell::Decimal(_) | Cell::Time(_) => false,
    }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Bool(flag) => if *flag { "yes" } else { "" }.to_owned(),
        Cell::Int(number) => number.to_string(),
        Cell::Decimal(number) => number.to_string(),
        Cell::Text(text) => cell_text(text),
        Cell::Time(time) => time.to_string(),
        Cell::Texts(texts) => cell_text(&texts.join(", ")),
    }
}

/// The KPI that it is a variant of, and its sisters.
fn variants(page: &mut String, catalogue: &Catalogue, kpi: &Kpi) {
    let root = kpi.variant_of.as_deref().unwrap_or(&kpi.id);
    let family = catalogue.iter().filter(|other| {
        other.id != kpi.id && (other.id == root || other.variant_of.as_deref() == Some(root))
    });
    let lines: Vec<String> = family
        .map(|other| format!("- [{}]({}.md): {}", other.title.en, other.id, other.formula))
        .collect();
    if !lines.is_empty() {
        section(page, "Not to be mixed up with", &lines.join("\n"));
    }
}

fn code(text: &str) -> String {
    format!("`{}`", cell_text(text))
}

/// A text in a cell of a table: in one line, without bars.
fn cell_text(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
