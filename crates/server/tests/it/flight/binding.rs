//! Prepared statements and the values that are bound to them.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, Date32Array, Int32Array, Int64Array, ListArray,
        NullArray, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
        TimestampMillisecondArray,
    },
    datatypes::{Field, Int64Type, Schema},
};
use arrow_flight::{FlightInfo, error::FlightError, sql::client::PreparedStatement};
use tonic::{Code, transport::Channel};

use super::world::{Client, code, number, open, rows, secured, texts};

type Statement = PreparedStatement<Channel>;

/// Columns named as drivers do: by their place.
fn values(columns: Vec<ArrayRef>) -> RecordBatch {
    let field = |(place, column): (usize, &ArrayRef)| {
        Field::new(place.to_string(), column.data_type().clone(), true)
    };
    let fields: Vec<_> = columns.iter().enumerate().map(field).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns of one length")
}

async fn prepared(client: &mut Client, text: &str) -> Statement {
    client
        .prepare(text.to_owned(), None)
        .await
        .expect("it is planned")
}

async fn run(
    client: &mut Client,
    statement: &mut Statement,
    columns: Vec<ArrayRef>,
) -> Result<RecordBatch, FlightError> {
    statement.set_parameters(values(columns)).expect("values");
    let info: FlightInfo = statement.execute().await?;
    rows(client, &info).await
}

fn int(number: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![number]))
}

#[test]
fn twelve_values_are_bound_by_place_and_not_in_the_order_of_texts() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let columns: Vec<_> = (1..=12)
            .map(|n| format!("CAST(${n} AS BIGINT) AS c{n}"))
            .collect();
        let text = format!("SELECT {}", columns.join(", "));
        let mut statement = prepared(&mut client, &text).await;
        assert_eq!(
            statement
                .parameter_schema()
                .expect("a schema")
                .fields()
                .len(),
            12
        );
        let batch = run(&mut client, &mut statement, (1..=12).map(int).collect()).await;
        let batch = batch.expect("rows");
        let found: Vec<i64> = batch
            .columns()
            .iter()
            .map(|c| c.as_primitive::<Int64Type>().value(0))
            .collect();
        assert_eq!(found, (1..=12).collect::<Vec<_>>());
    });
}

#[test]
fn question_marks_in_texts_names_and_comments_are_none() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let text = "SELECT '?' AS \"a?\", ? AS b /* ? */ -- ?\n, CAST(? AS BIGINT) + 1 AS c";
        let mut statement = prepared(&mut client, text).await;
        let b: ArrayRef = Arc::new(StringArray::from(vec!["it's ?"]));
        let batch = run(&mut client, &mut statement, vec![b, int(41)])
            .await
            .expect("rows");
        assert_eq!(texts(&batch, "a?"), ["?"]);
        assert_eq!(texts(&batch, "b"), ["it's ?"]);
        assert_eq!(batch.column(2).as_primitive::<Int64Type>().value(0), 42);
        let mixed = client.prepare("SELECT ? + $1".into(), None).await;
        assert_eq!(code(mixed), Code::InvalidArgument);
    });
}

#[test]
fn values_of_any_plain_type_are_cast_to_what_the_statement_needs() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let count = "SELECT count(*) FROM facts.queue_visits WHERE entered_at >= ?";
        let mut statement = prepared(&mut client, count).await;
        // 2026-03-02 in every way to say it.
        let times: Vec<ArrayRef> = vec![
            Arc::new(TimestampMillisecondArray::from(vec![1_772_409_600_000])),
            Arc::new(TimestampMicrosecondArray::from(vec![1_772_409_600_000_000])),
            Arc::new(
                TimestampMicrosecondArray::from(vec![1_772_409_600_000_000])
                    .with_timezone("+00:00"),
            ),
            Arc::new(Date32Array::from(vec![20_514])),
            Arc::new(StringArray::from(vec!["2026-03-02T00:00:00Z"])),
            Arc::new(StringViewArray::from(vec!["2026-03-02T00:00:00Z"])),
        ];
        let mut counts = Vec::new();
        for time in times {
            let batch = run(&mut client, &mut statement, vec![time])
                .await
                .expect("rows");
            counts.push(number(&batch));
        }
        assert!(
            counts[0] > 0 && counts.iter().all(|n| *n == counts[0]),
            "{counts:?}"
        );
        let text = "SELECT count(*) FROM facts.queue_visits WHERE wait_ms >= ?";
        let mut statement = prepared(&mut client, text).await;
        for zero in [int(0), Arc::new(Int32Array::from(vec![0])) as ArrayRef] {
            assert!(
                number(
                    &run(&mut client, &mut statement, vec![zero])
                        .await
                        .expect("rows")
                ) > 0
            );
        }
        let nothing: ArrayRef = Arc::new(NullArray::new(1));
        let batch = run(&mut client, &mut statement, vec![nothing])
            .await
            .expect("rows");
        assert_eq!(number(&batch), 0, "nothing is as large as NULL");
    });
}

#[test]
fn rows_of_values_run_the_statement_once_each_in_their_order() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let mut statement = prepared(&mut client, "SELECT CAST($1 AS BIGINT) * 10 AS n").await;
        let three: ArrayRef = Arc::new(Int64Array::from(vec![3, 1, 2]));
        let batch = run(&mut client, &mut statement, vec![three])
            .await
            .expect("rows");
        assert_eq!(
            batch.column(0).as_primitive::<Int64Type>().values(),
            &[30, 10, 20]
        );
        let many: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_001));
        let refused = run(&mut client, &mut statement, vec![many]).await;
        assert_eq!(code(refused), Code::OutOfRange);
        let batch = run(&mut client, &mut statement, vec![int(4)])
            .await
            .expect("rows");
        assert_eq!(number(&batch), 40);
    });
}

#[test]
fn a_wrong_number_of_values_is_told_with_both_numbers() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let mut statement = prepared(&mut client, "SELECT $1 AS a, $2 AS b").await;
        for columns in [Vec::from([int(1)]), Vec::from([int(1), int(2), int(3)])] {
            let bound = columns.len();
            let error = run(&mut client, &mut statement, columns)
                .await
                .expect_err("refused");
            let (code, message) = super::world::status(error);
            assert_eq!(code, Code::InvalidArgument);
            assert!(message.contains("2 parameter") && message.contains(&bound.to_string()));
        }
        let mut unbound = prepared(&mut client, "SELECT $1 AS a").await;
        assert_eq!(code(unbound.execute().await), Code::InvalidArgument);
        let direct = client.execute("SELECT $1 AS a".into(), None).await;
        assert_eq!(code(direct), Code::InvalidArgument);
    });
}

#[test]
fn values_that_cannot_be_read_or_bound_are_told() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let text = "SELECT count(*) FROM facts.queue_visits WHERE wait_ms >= ?";
        let mut statement = prepared(&mut client, text).await;
        let word: ArrayRef = Arc::new(StringArray::from(vec!["a secret word"]));
        let error = run(&mut client, &mut statement, vec![word])
            .await
            .expect_err("no number");
        let (code_, message) = super::world::status(error);
        assert_eq!(code_, Code::InvalidArgument);
        assert!(!message.contains("secret"), "{message}");
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some([
            Some(1),
        ])]));
        let refused = run(&mut client, &mut statement, vec![list]).await;
        assert_eq!(code(refused), Code::InvalidArgument);
        let large: ArrayRef = Arc::new(BinaryArray::from_vec(vec![&[0; 2 << 20]]));
        let refused = run(&mut client, &mut statement, vec![large]).await;
        assert_eq!(code(refused), Code::OutOfRange);
    });
}

#[test]
fn each_run_sees_the_newest_data() {
    let world = open();
    let (client, mut statement, before) = world.run(async {
        let mut client = world.login("a").await;
        let mut statement = prepared(&mut client, "SELECT count(*) AS n FROM events.log").await;
        let info = statement.execute().await.expect("it runs");
        let before = number(&rows(&mut client, &info).await.expect("rows"));
        (client, statement, before)
    });
    world.store("a-new-one");
    world.run(async {
        let mut client = client;
        let info = statement.execute().await.expect("it runs");
        assert_eq!(
            number(&rows(&mut client, &info).await.expect("rows")),
            before + 1
        );
    });
}

#[test]
fn a_statement_goes_on_over_another_connection_of_its_caller() {
    let world = secured();
    world.run(async {
        let mut one = world.client().await;
        one.set_token(super::world::ANALYST.to_owned());
        let text = "SELECT 7 AS n";
        let handle = super::hostile::prepare(&mut one, text)
            .await
            .expect("it is planned");
        let mut other = world.client().await;
        other.set_token(super::world::ANALYST.to_owned());
        let info = super::hostile::run_prepared(&mut other, handle)
            .await
            .expect("it is known");
        assert_eq!(number(&rows(&mut other, &info).await.expect("rows")), 7);
    });
}

#[test]
fn of_too_many_statements_the_one_not_used_for_the_longest_time_goes() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let mut statements = Vec::new();
        for n in 0..257 {
            // Each at another time, which is what counts.
            world.later(1);
            statements.push(prepared(&mut client, &format!("SELECT {n} AS n")).await);
            if n == 100 {
                statements[0].execute().await.expect("it is used again");
            }
        }
        assert_eq!(code(statements[1].execute().await), Code::NotFound);
        statements[0].execute().await.expect("it was used");
        statements[256].execute().await.expect("the newest");
    });
}
