//! The functions as SQL sees them, grouped and not, in one partition and in several.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::execution::FunctionRegistry;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;

fn context(partitions: usize) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(100);
    let mut context = SessionContext::new_with_config(config);
    for udf in scalar_functions("Asia/Shanghai") {
        FunctionRegistry::register_udf(&mut context, udf).expect("a new function");
    }
    for udaf in aggregate_functions() {
        FunctionRegistry::register_udaf(&mut context, udaf).expect("a new function");
    }
    context
}

/// 1,000 visits in 3 queues, one a minute from 2026-01-05T00:00:00Z; every seventh has no wait.
fn visits(partitions: usize) -> SessionContext {
    let rows = 0..1_000_i64;
    let wait = |i: i64| (i % 7 != 0).then_some((i * 37) % 90);
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "queue",
            Arc::new(StringArray::from_iter_values(
                rows.clone()
                    .map(|i| ["billing", "sales", "support"][(i * i % 3) as usize]),
            )),
        ),
        (
            "at",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(
                    rows.clone().map(|i| 1_767_571_200_000_000 + i * 60_000_000),
                )
                .with_timezone("UTC"),
            ),
        ),
        (
            "wait_s",
            Arc::new(rows.clone().map(wait).collect::<Int64Array>()),
        ),
        (
            "ok",
            Arc::new(
                rows.clone()
                    .map(|i| (i % 11 != 3).then_some(i % 4 != 0))
                    .collect::<BooleanArray>(),
            ),
        ),
        (
            "amount",
            Arc::new(
                rows.clone()
                    .map(|i| (i % 5 != 0).then_some(i128::from(i) * 12_345 - 400_000))
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(18, 4)
                    .expect("fits"),
            ),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("equal lengths");
    let size = 1_000_usize.div_ceil(partitions);
    let parts: Vec<Vec<RecordBatch>> = (0..partitions)
        .map(|p| vec![batch.slice(p * size, size.min(1_000 - p * size))])
        .collect();
    let table = MemTable::try_new(batch.schema(), parts).expect("one schema");
    let context = context(partitions);
    context
        .register_table("visits", Arc::new(table))
        .expect("a new table");
    context
}

async fn query(context: &SessionContext, sql: &str) -> String {
    let batches = context
        .sql(sql)
        .await
        .expect(sql)
        .collect()
        .await
        .expect(sql);
    pretty_format_batches(&batches)
        .expect("printable")
        .to_string()
}

async fn failure(context: &SessionContext, sql: &str) -> String {
    let frame = match context.sql(sql).await {
        Ok(frame) => frame,
        Err(error) => return error.to_string(),
    };
    frame.collect().await.expect_err(sql).to_string()
}

/// Both selections give the same table over 1 and 4 partitions, with and without groups.
async fn check_same(ours: &str, reference: &str) {
    for partitions in [1, 4] {
        let context = visits(partitions);
        for tail in ["FROM visits", "FROM visits WHERE wait_s > 1000"] {
            let [a, b] = [ours, reference].map(|s| format!("SELECT {s} AS x {tail}"));
            assert_eq!(query(&context, &a).await, query(&context, &b).await, "{a}");
        }
        let by = "GROUP BY queue, wait_s ORDER BY queue, wait_s";
        for by in ["GROUP BY queue ORDER BY queue", by] {
            let [a, b] =
                [ours, reference].map(|s| format!("SELECT queue, {s} AS x FROM visits {by}"));
            assert_eq!(query(&context, &a).await, query(&context, &b).await, "{a}");
        }
    }
}

#[tokio::test]
async fn checked_sum_adds_as_a_wider_sum_does() {
    let wide = "CAST(avg(CAST(wait_s AS DOUBLE)) * count(wait_s) + 0.5 AS BIGINT)";
    check_same("checked_sum(wait_s)", wide).await;
    check_same("sum(wait_s)", wide).await;
    check_same(
        "checked_sum(wait_s) FILTER (WHERE ok)",
        "checked_sum(CASE WHEN ok THEN wait_s END)",
    )
    .await;
    check_same(
        "sum(DISTINCT wait_s)",
        "CAST(sum(DISTINCT CAST(wait_s AS DOUBLE)) AS BIGINT)",
    )
    .await;
    check_same("sum(CAST(wait_s AS DOUBLE))", "CAST(sum(wait_s) AS DOUBLE)").await;
    check_same("sum(wait_s + 1)", "sum(wait_s) + count(wait_s)").await;
}

#[tokio::test]
async fn checked_sum_of_money_is_exact_and_has_38_digits() {
    check_same(
        "checked_sum(amount)",
        "checked_sum(CAST(amount AS DECIMAL(38, 4)))",
    )
    .await;
    let context = visits(4);
    let sql = "SELECT checked_sum(amount) AS x, arrow_typeof(checked_sum(amount)) AS t FROM visits";
    // Sum of (12345 i - 400000) over the i below 1000 that 5 does not divide.
    let expected = (0..1_000_i64)
        .filter(|i| i % 5 != 0)
        .map(|i| i * 12_345 - 400_000)
        .sum::<i64>();
    let text = query(&context, sql).await;
    assert!(
        text.contains(&format!("{}.{:04}", expected / 10_000, expected % 10_000)),
        "{text}"
    );
    assert!(text.contains("Decimal128(38, 4)"), "{text}");
}

#[tokio::test]
async fn a_sum_that_does_not_fit_is_an_error_and_names_the_column() {
    for partitions in [1, 4] {
        let context = visits(partitions);
        for by in ["", " GROUP BY queue"] {
            let sql = format!("SELECT sum(wait_s * 0 + 9223372036854775807) FROM visits{by}");
            let text = failure(&context, &sql).await;
            assert!(
                text.contains("wait_s") && text.contains("too large for Int64"),
                "{text}"
            );
        }
        // On the way the sum is out of range; its result is not.
        let sql = "SELECT sum(x) FROM (VALUES (9223372036854775807), (1), (-9)) AS t(x)";
        let text = query(&context, sql).await;
        assert!(text.contains("9223372036854775799"), "{text}");
    }
}

#[tokio::test]
async fn sums_over_a_window_slide() {
    let sql = "SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s \
               FROM (VALUES (1), (2), (3)) AS t(x) ORDER BY s";
    let text = query(&context(1), sql).await;
    for sum in ["| 1 |", "| 3 |", "| 5 |"] {
        assert!(text.contains(sum), "{text}");
    }
}

#[tokio::test]
async fn count_if_counts_what_a_filtered_count_does() {
    check_same("count_if(ok)", "count(*) FILTER (WHERE ok)").await;
    check_same(
        "count_if(ok) FILTER (WHERE wait_s < 50)",
        "count(*) FILTER (WHERE ok AND wait_s < 50)",
    )
    .await;
    check_same(
        "count_if(wait_s < 50 OR NOT ok)",
        "count(CASE WHEN wait_s < 50 OR NOT ok THEN 1 END)",
    )
    .await;
}

#[tokio::test]
async fn histograms_give_what_sorting_gives() {
    check_same("histogram_count(histogram(wait_s))", "count(wait_s)").await;
    check_same(
        "share_within(histogram(wait_s), 20)",
        "count_if(wait_s <= 20) / nullif(CAST(count(wait_s) AS DOUBLE), 0)",
    )
    .await;
    check_same(
        "percentile(histogram(wait_s) FILTER (WHERE ok), 0.9)",
        "CAST(array_sort(array_agg(wait_s) FILTER (WHERE ok AND wait_s IS NOT NULL))\
         [CAST(ceil(count_if(ok AND wait_s IS NOT NULL) * 9 / 10.0) AS BIGINT)] AS DOUBLE)",
    )
    .await;
}

#[tokio::test]
async fn merged_histograms_equal_the_histogram_of_all() {
    let context = visits(4);
    let merged = "SELECT percentile(merge_histogram(h), 0.5) AS x, \
                  histogram_count(merge_histogram(h)) AS n \
                  FROM (SELECT queue, histogram(wait_s) AS h FROM visits GROUP BY queue)";
    let whole = "SELECT percentile(histogram(wait_s), 0.5) AS x, \
                 histogram_count(histogram(wait_s)) AS n FROM visits";
    assert_eq!(query(&context, merged).await, query(&context, whole).await);
    assert!(
        failure(&context, "SELECT percentile(x'ff', 0.5)")
            .await
            .contains("not a histogram")
    );
    assert!(
        failure(&context, "SELECT merge_histogram(x'00')")
            .await
            .contains("not a histogram")
    );
    let wrong = "SELECT percentile(histogram(wait_s), 90) FROM visits";
    assert!(failure(&context, wrong).await.contains("from 0 to 1"));
    assert!(
        failure(&context, "SELECT histogram(1.5)")
            .await
            .contains("whole numbers")
    );
}

#[tokio::test]
async fn buckets_take_the_zone_of_the_call_or_of_the_session() {
    let context = visits(2);
    let days = "SELECT kpi_bucket(at, '1 day') AS day, count(*) AS n FROM visits \
                GROUP BY day ORDER BY day";
    let text = query(&context, days).await;
    assert!(text.contains("2026-01-04T16:00:00Z | 960"), "{text}");
    assert!(text.contains("2026-01-05T16:00:00Z | 40"), "{text}");
    let hours = "SELECT kpi_bucket(at, '1h', 'Asia/Kathmandu') AS hour, count(*) AS n FROM visits \
                 GROUP BY hour ORDER BY hour LIMIT 1";
    let text = query(&context, hours).await;
    assert!(text.contains("2026-01-04T23:15:00Z | 15"), "{text}");
    let literal = "SELECT kpi_bucket(TIMESTAMP '2026-01-05 12:34:56', 'month', 'UTC') AS m";
    assert!(
        query(&context, literal)
            .await
            .contains("2026-01-01T00:00:00Z")
    );
    assert!(
        query(&context, "SELECT kpi_bucket(NULL, '1d') IS NULL AS x")
            .await
            .contains("true")
    );
}

#[tokio::test]
async fn a_bucket_in_a_condition_becomes_a_range_of_time() {
    let context = visits(1);
    let condition = "kpi_bucket(at, '1h', 'UTC') = TIMESTAMP '2026-01-05T03:00:00Z'";
    let sql = format!("SELECT count(*) AS n FROM visits WHERE {condition}");
    assert!(query(&context, &sql).await.contains("| 60 |"));
    let plan = query(&context, &format!("EXPLAIN {sql}")).await;
    assert!(!plan.contains("kpi_bucket"), "{plan}");
    let between = sql.replace("03:00:00Z", "03:30:00Z");
    assert!(query(&context, &between).await.contains("| 0 |"));
}

#[tokio::test]
async fn wrong_grains_and_zones_are_errors_that_say_what_is_right() {
    let context = visits(1);
    for (call, wanted) in [
        ("kpi_bucket(at, '5m')", "15m"),
        ("kpi_bucket(at, '1d', 'Mars')", "IANA"),
        ("kpi_bucket(at, queue)", "literal"),
        ("kpi_bucket(at)", "takes (time, grain [, zone])"),
        ("kpi_bucket(wait_s, '1d')", "expected a time"),
    ] {
        let text = failure(&context, &format!("SELECT {call} FROM visits")).await;
        assert!(text.contains(wanted), "{call}: {text}");
    }
}

#[tokio::test]
async fn milliseconds_between_are_whole_and_may_be_negative() {
    let context = visits(1);
    let sql = "SELECT ms_between(TIMESTAMP '2026-01-05T00:00:00Z', max(at)) AS a, \
               ms_between(max(at), min(at)) AS b, ms_between(NULL, max(at)) IS NULL AS c \
               FROM visits";
    let text = query(&context, sql).await;
    assert!(text.contains("| 59940000 | -59940000 | true |"), "{text}");
}

#[tokio::test]
async fn to_timestamp_reads_columns_in_a_session_with_a_zone() {
    let context = context(1);
    context
        .sql("SET datafusion.execution.time_zone = 'UTC'")
        .await
        .expect("a known option");
    let sql = "SELECT to_timestamp(x) AS t FROM (VALUES ('2026-01-05 09:30:00'), (NULL)) AS v(x)";
    assert!(query(&context, sql).await.contains("2026-01-05T09:30:00Z"));
    let sql = "SELECT to_timestamp('05/01/2026', 'DD/MM/YYYY') AS a, to_timestamp(86400) AS b, \
               to_timestamp(1.5) AS c";
    let text = query(&context, sql).await;
    assert!(
        text.contains("2026-01-05T00:00:00Z | 1970-01-02T00:00:00Z"),
        "{text}"
    );
    assert!(text.contains("1970-01-01T00:00:01.500"), "{text}");
    assert!(
        failure(&context, "SELECT to_timestamp('soon')")
            .await
            .contains("a text is not a time such as")
    );
}
