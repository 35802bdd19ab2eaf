//! What is refused, with which kind and where; and what the rewritten statement is.

use super::*;
use crate::session::SessionChange;

fn checked(text: &str) -> Result<Checked, QueryError> {
    check(text, &GuardLimits::default())
}

/// The statement as it will be planned.
fn rewritten(text: &str) -> String {
    match checked(text).expect(text).action {
        Action::Query(statement) => statement.to_string(),
        other => panic!("{text}: {other:?}"),
    }
}

fn refused(text: &str) -> QueryError {
    let shown: String = text.chars().take(80).collect();
    let refusal = checked(text).expect_err(&shown);
    assert!(!refusal.message.contains('\n'), "{refusal:?}");
    assert!(refusal.hint.is_some(), "{refusal:?}");
    refusal
}

fn too_complex(text: &str) {
    let refusal = refused(text);
    assert_eq!(refusal.kind, ErrorKind::TooComplex, "{refusal:?}");
}

fn unreadable_at(text: &str, line: u64, column: u64) -> QueryError {
    let refusal = refused(text);
    assert_eq!(refusal.kind, ErrorKind::SqlSyntax, "{refusal:?}");
    let at = refusal.position.expect("a place");
    assert_eq!((at.line, at.column), (line, column), "{refusal:?}");
    refusal
}

#[test]
fn what_would_overflow_a_stack_is_refused_before_it_is_parsed() {
    for text in [
        format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT 1{}", "+1".repeat(20_000)),
        format!("SELECT 1{}", "-1".repeat(4_000)),
        format!("SELECT * FROM t WHERE a{}", " OR a".repeat(4_000)),
        format!("SELECT x{} FROM t", "::INT".repeat(3_000)),
        format!("SELECT x{} FROM t", "[1]".repeat(3_000)),
        format!("SELECT {}x FROM t", "NOT ".repeat(4_000)),
        format!("SELECT {}1", "- ".repeat(4_000)),
        format!("SELECT {}1", "~ ".repeat(4_000)),
        format!(
            "SELECT {}1{}",
            "CASE WHEN a THEN ".repeat(1_500),
            " END".repeat(1_500)
        ),
        format!(
            "SELECT CAST(x AS {}INT{}) FROM t",
            "ARRAY<".repeat(2_000),
            ">".repeat(2_000)
        ),
        format!("SELECT 1{}", " + where".repeat(4_000)),
        format!("SELECT {}1{}", "[".repeat(9_000), "]".repeat(9_000)),
        format!("SELECT {}1{}", "{a:".repeat(3_000), "}".repeat(3_000)),
        format!("SELECT {}1", "f(".repeat(4_000)),
        format!("SELECT x{} FROM t", " IS NULL".repeat(3_000)),
        format!("SELECT x{} FROM t", " AT TIME ZONE 'UTC'".repeat(2_000)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(3_000)),
    ] {
        too_complex(&text);
    }
    for text in [
        format!("{}SELECT 1", "EXPLAIN ".repeat(8_000)),
        format!("SELECT {}'1 day'", "INTERVAL ".repeat(7_000)),
    ] {
        assert_eq!(refused(&text).kind, ErrorKind::SqlSyntax);
    }
}

#[test]
fn a_tree_is_estimated_from_above_however_it_leans() {
    let sums = format!("1{}", "+1".repeat(400));
    let nested = (0..12).fold("1".to_owned(), |inner, _| {
        format!("({inner}){}", &sums[1..])
    });
    too_complex(&format!("SELECT {nested}"));
    let mixed = format!(
        "SELECT * FROM t WHERE {}",
        ["a = 1 AND b = 2"; 300].join(" OR ")
    );
    assert!(checked(&mixed).is_ok());
}

#[test]
fn limits_are_refused_at_the_first_that_is_over() {
    let all = |n: usize, text: &str| vec![text; n].join(", ");
    for text in [
        format!("SELECT '{}'", "x".repeat(9_000)),
        format!("SELECT '{}'", "x".repeat(70_000)),
        format!("SELECT {}", all(5_000, "a b")),
        format!("SELECT * FROM t WHERE a IN ({})", all(10_001, "1")),
        format!("SELECT {}", all(150, "*")),
        format!(
            "SELECT * FROM t a0{}",
            (1..40)
                .map(|i| format!(" JOIN t a{i} ON a0.x = a{i}.x"))
                .collect::<String>()
        ),
        format!("SELECT * FROM {}", all(40, "t")),
        format!("SELECT a FROM t GROUP BY CUBE({})", all(30, "a")),
        format!("SELECT a FROM t GROUP BY {}", all(4, "CUBE(a, b, c, d)")),
        "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n) SELECT * FROM n".into(),
        format!("FROM t{}", " |> WHERE a = 1".repeat(60)),
    ] {
        too_complex(&text);
    }
    too_complex(&format!("SELECT * FROM {}", all(18, "t")));
    assert!(checked(&format!("SELECT * FROM {}", all(17, "t"))).is_ok());
    assert!(
        checked(&format!(
            "SELECT * FROM t WHERE a IN ({})",
            all(10_000, "1")
        ))
        .is_ok()
    );
}

#[test]
fn a_with_that_doubles_is_counted_without_writing_it_out() {
    let doubling = |times: usize| {
        let names: String = (1..=times)
            .map(|i| {
                format!(
                    ", t{i} AS (SELECT a.x FROM t{p} a JOIN t{p} b ON a.x = b.x)",
                    p = i - 1
                )
            })
            .collect();
        format!("WITH t0 AS (SELECT 1 AS x){names} SELECT * FROM t{times}")
    };
    too_complex(&doubling(14));
    assert!(checked(&doubling(5)).is_ok());
    // The inner name hides the outer one.
    let hidden = "WITH a AS (SELECT 1 AS x) SELECT * FROM (WITH a AS (SELECT x FROM a) \
                  SELECT * FROM a) s";
    assert!(checked(hidden).is_ok());
}

#[test]
fn ordinary_queries_of_tools_pass_as_they_are() {
    for text in [
        "SELECT * FROM (SELECT * FROM (SELECT a, b FROM t) \"rows\") \"rows\" LIMIT 10 OFFSET 5",
        "EXPLAIN SELECT a FROM t WHERE b ILIKE '%x%'",
        "SELECT a FROM t WHERE b BETWEEN 1 AND 2 AND c IS NOT NULL GROUP BY ROLLUP (a)",
        "SELECT CASE WHEN a = 1 THEN 'x' ELSE 'y' END AS c FROM t",
        "SELECT * FROM t WHERE a = 1 OR a = 2",
    ] {
        assert_eq!(rewritten(text), text);
    }
}

#[test]
fn long_chains_are_balanced_and_equalities_become_a_list() {
    let numbers: Vec<String> = (1..=100).map(|i| format!("a = {i}")).collect();
    let text = format!(
        "SELECT 1 FROM t WHERE {} OR b = 'x' OR c > 1",
        numbers.join(" OR ")
    );
    let listed = (1..=100)
        .map(|i| i.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let wanted = format!("SELECT 1 FROM t WHERE a IN ({listed}) OR b IN ('x') OR c > 1");
    assert_eq!(rewritten(&text), wanted);

    let long = format!("SELECT '1'{}", " || '1'".repeat(499));
    let Action::Query(statement) = checked(&long).expect("500 operands").action else {
        panic!("a query");
    };
    assert_eq!(
        depth(&statement),
        9,
        "a balanced tree of 500 has 2^9 places"
    );
    assert_eq!(statement.to_string().matches('1').count(), 500);
    too_complex(&format!("SELECT 1{}", " + 1".repeat(500)));
}

#[test]
fn a_sum_stays_in_its_order_and_a_number_too_long_for_a_list_out_of_it() {
    let sum = format!("SELECT a{} FROM t", " + b".repeat(40));
    assert_eq!(rewritten(&sum), sum);
    let numbers: Vec<String> = (1..=20).map(|i| format!("a = {i}")).collect();
    let text = format!(
        "SELECT 1 FROM t WHERE {} OR a = 99999999999999999999",
        numbers.join(" OR ")
    );
    let rewritten = rewritten(&text);
    assert!(
        rewritten.ends_with("20) OR a = 99999999999999999999"),
        "{rewritten}"
    );
}

/// Levels of the deepest expression below the topmost.
fn depth(statement: &Statement) -> usize {
    use datafusion::sql::sqlparser::ast::{Expr, Visit, Visitor};
    use std::ops::ControlFlow;
    #[derive(Default)]
    struct Depth(usize, usize);
    impl Visitor for Depth {
        type Break = ();
        fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
            self.0 += 1;
            self.1 = self.1.max(self.0);
            ControlFlow::Continue(())
        }
        fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
            self.0 -= 1;
            ControlFlow::Continue(())
        }
    }
    let Statement::Statement(inner) = statement else {
        panic!("a query");
    };
    let mut depth = Depth::default();
    let _ = inner.visit(&mut depth);
    depth.1 - 1
}

#[test]
fn question_marks_are_numbered_where_they_are_parameters() {
    let text = "SELECT '?', \"a?\", ? /* ? */ FROM t WHERE b = ? -- ?\n AND c LIKE '?%'";
    let wanted = "SELECT '?', \"a?\", $1 FROM t WHERE b = $2 AND c LIKE '?%'";
    assert_eq!(rewritten(text), wanted);
    assert_eq!(checked(text).expect("two").parameters, 2);
    assert_eq!(checked("SELECT $3, $1").expect("three").parameters, 3);
    assert_eq!(checked("SELECT 1").expect("none").parameters, 0);
    unreadable_at("SELECT ?,\n  $1", 2, 3);
    unreadable_at("SELECT $0", 1, 8);
    unreadable_at("SELECT $name", 1, 8);
    too_complex("SELECT $1001");
}

#[test]
fn only_one_statement_and_only_queries() {
    unreadable_at("SELECT 1; SELECT 2", 1, 11);
    assert!(checked(";; SELECT 1 ; ;").is_ok());
    assert_eq!(refused("").message, "there is no statement");
    assert_eq!(refused(" -- nothing\n").message, "there is no statement");
    for text in [
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET a = 1",
        "DELETE FROM t",
        "CREATE TABLE t (a INT)",
        "CREATE TEMPORARY TABLE t AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "COPY t TO '/tmp/x.csv'",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "EXPLAIN COPY (SELECT 1) TO '/tmp/x.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x.csv'",
        "EXPLAIN INSERT INTO t VALUES (1)",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DROP TABLE t",
        "SELECT * INTO x FROM t",
        "SELECT * FROM t FOR UPDATE",
        "BEGIN",
        "USE x",
        "SHOW CREATE TABLE t",
        "TRUNCATE t",
    ] {
        assert_eq!(refused(text).kind, ErrorKind::SqlSyntax, "{text}");
    }
    let hidden = refused("SELECT * FROM information_schema.DF_SETTINGS");
    assert_eq!(hidden.kind, ErrorKind::UnknownName);
    assert_eq!(refused("SHOW ALL").kind, ErrorKind::UnknownName);
}

#[test]
fn what_the_planner_would_pass_over_is_refused() {
    for (text, clause) in [
        ("SELECT * FROM t TABLESAMPLE (1)", "TABLESAMPLE"),
        (
            "SELECT * FROM (SELECT * FROM t) TABLESAMPLE (1)",
            "TABLESAMPLE",
        ),
        ("SELECT * FROM t PARTITION (p0)", "PARTITION"),
        ("SELECT * FROM f(1) WITH ORDINALITY", "WITH ORDINALITY"),
        ("SELECT a FROM t PREWHERE a > 1", "PREWHERE"),
        (
            "SELECT a FROM t START WITH a = 1 CONNECT BY PRIOR a = b",
            "CONNECT BY",
        ),
        ("SELECT a FROM t GROUP BY a WITH ROLLUP", "WITH"),
        ("SELECT a FROM t GROUP BY a WITH TOTALS", "WITH"),
        ("SELECT a FROM t SETTINGS x = 1", "SETTINGS"),
        ("SELECT a FROM t WHERE b FORMAT JSON", "FORMAT"),
        ("SELECT a FROM t WHERE b FOR JSON AUTO", "FOR JSON"),
        (
            "SELECT a FROM (SELECT a FROM t WHERE b FOR JSON AUTO) x",
            "FOR JSON",
        ),
        ("SELECT quantile(0.9)(a) FROM t", "two brackets"),
        ("SELECT * ILIKE 'queue%' FROM t", "ILIKE"),
        ("SELECT t.* ILIKE 'queue%' FROM t", "ILIKE"),
        ("SELECT a FROM t LIMIT 1 BY a", "LIMIT BY"),
        ("SELECT lower(a) FILTER (WHERE false) FROM t", "FILTER"),
        ("SELECT Lower(DISTINCT a) FROM t", "DISTINCT"),
        ("SELECT length(a) OVER () FROM t", "OVER"),
        (
            "SELECT kpi_bucket(a, '1 day' ORDER BY a) FROM t",
            "ORDER BY",
        ),
        (
            "SELECT round(a) WITHIN GROUP (ORDER BY a) FROM t",
            "WITHIN GROUP",
        ),
        ("SELECT upper(a) IGNORE NULLS FROM t", "NULLS"),
        ("SELECT unnest(DISTINCT a) FROM t", "DISTINCT"),
    ] {
        let told = refused(text);
        assert_eq!(told.kind, ErrorKind::SqlSyntax, "{text}");
        let named = told.message.contains(clause) && told.message.contains("not answered");
        assert!(named, "{text}: {}", told.message);
    }
    for text in [
        "SELECT a FROM t WITH (NOLOCK) GROUP BY ROLLUP(a)",
        "SELECT * EXCLUDE (a) FROM t WHERE a ILIKE 'x%' LIMIT 1 OFFSET 2",
        "SELECT count(DISTINCT a) FILTER (WHERE b), first_value(a) IGNORE NULLS OVER (ORDER BY b), \
         MEASURE(c) FILTER (WHERE b), array_agg(a ORDER BY b), lower(a) FROM t",
    ] {
        assert!(checked(text).is_ok(), "{text}");
    }
}

#[test]
fn syntax_errors_name_the_place_and_brackets_the_quotes() {
    let refusal = unreadable_at("SELECT 1 AS [my name]", 1, 13);
    assert!(refusal.hint.expect("a hint").contains("double quotes"));
    unreadable_at("SELECT a\nFROM t\nWHERE )", 3, 7);
    unreadable_at("SELECT 'open", 1, 8);
    let long = unreadable_at("SELECT a FROM t WHERE b LIKE 'x' LIMITS 5", 1, 34);
    assert_eq!(long.position.expect("a place").length, Some(6));
}

#[test]
fn sets_are_read_whatever_they_set() {
    let set = |text: &str| match checked(text).expect(text).action {
        Action::Change(SessionChange::Set { name, value }) => (name, value),
        other => panic!("{text}: {other:?}"),
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(set("SET kpi.strict = true"), pair("kpi.strict", "true"));
    assert_eq!(
        set("SET KPI.STRICT TO 'False'"),
        pair("kpi.strict", "False")
    );
    assert_eq!(
        set("SET application_name = 'x y'"),
        pair("application_name", "x y")
    );
    assert_eq!(set("SET TIME ZONE 'UTC'"), pair("timezone", "UTC"));
    assert_eq!(set("SET search_path = a, b"), pair("search_path", "a, b"));
    for text in [
        "SET extra_float_digits = 3",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET NAMES 'utf8'",
    ] {
        set(text);
    }
    let reset = |text: &str| match checked(text).expect(text).action {
        Action::Change(SessionChange::Reset { name }) => name,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(reset("RESET kpi.strict").as_deref(), Some("kpi.strict"));
    assert_eq!(reset("RESET ALL"), None);
}

#[test]
fn the_unit_of_a_difference_is_a_word() {
    assert_eq!(
        rewritten("SELECT timestampdiff(DAY, a, b), {fn TIMESTAMPADD(SQL_TSI_HOUR, 1, a)} FROM t"),
        "SELECT timestampdiff('DAY', a, b), {fn TIMESTAMPADD('SQL_TSI_HOUR', 1, a)} FROM t"
    );
}

#[test]
fn a_fault_deep_inside_is_not_tried_again_and_again() {
    for word in [
        "CAST(",
        "INTERVAL (",
        "FLOOR(",
        "EXTRACT(DAY FROM ",
        "((a, b) -> (",
        "TRIM(",
    ] {
        let levels = 45 / word.matches('(').count();
        let text = format!("SELECT {}1 AS", word.repeat(levels));
        let refusal = refused(&text);
        let expected = [ErrorKind::TooComplex, ErrorKind::SqlSyntax];
        assert!(expected.contains(&refusal.kind), "{word}: {refusal:?}");
    }
}

#[test]
fn the_counting_dialect_reads_as_the_one_it_stands_for() {
    for text in [
        "SELECT {fn YEAR(a)}, {d '2026-01-01'}, x[1:2], [1, 2], E'a\\n', U&'d\\0061', X'ff'",
        "FROM t SELECT a.b.c, t.* EXCLUDE (x) WHERE a -> 'b' = 1 |> LIMIT 3",
        "SELECT a FROM t GROUP BY ALL ORDER BY ALL LIMIT 5, 10",
        "SELECT count(*) FILTER (WHERE a) OVER (PARTITION BY b ORDER BY c), MAP {'a': 1}",
        "EXPLAIN (ANALYZE, VERBOSE) SELECT EXTRACT('day' FROM a), TRIM(LEADING 'x' FROM b)",
        "SELECT /* a /* b */ c */ STRUCT(1 AS a), TRY_CONVERT(INT, b), a << 2, \"q\", `r` FROM t u",
        "WITH a (x) AS (VALUES (1, 2), (3, 4)) SELECT * FROM (a CROSS JOIN b) LEFT JOIN c USING (d)",
    ] {
        let tokens = tokens::read(text, &GuardLimits::default()).expect(text).0;
        let ours = parse(&tokens, &GuardLimits::default()).map_err(|e| e.kind);
        let theirs = datafusion::sql::parser::DFParser::parse_sql(text);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => assert_eq!(Some(&ours), theirs.front(), "{text}"),
            (ours, theirs) => assert_eq!(ours.is_ok(), theirs.is_ok(), "{text}: {theirs:?}"),
        }
    }
}
