//! Events as rows for `events.log`.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, DictionaryArray, LargeStringArray, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::{Field, Int32Type, Schema},
};
use arrow_flight::{
    FlightData, FlightDescriptor, SchemaAsIpc,
    encode::{DictionaryHandling, FlightDataEncoderBuilder},
    error::FlightError,
    sql::{
        CommandStatementIngest, DoPutUpdateResult, ProstMessageExt, TableDefinitionOptions,
        TableExistsOption, TableNotExistOption,
    },
};
use futures::{TryStreamExt, stream};
use prost::Message;
use tonic::Code;

use super::world::{Client, World, code, number, open, query, status, texts};

fn append() -> CommandStatementIngest {
    CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Fail as i32,
            if_exists: TableExistsOption::Append as i32,
        }),
        table: "log".to_owned(),
        schema: Some("events".to_owned()),
        ..CommandStatementIngest::default()
    }
}

fn data(n: usize) -> String {
    format!(r#"{{"interaction_id":"f-{n}","channel":"voice","direction":"inbound"}}"#)
}

/// Interactions that begin, and a column that events do not have.
fn events(numbers: std::ops::Range<usize>) -> RecordBatch {
    let all = |text: &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(numbers.clone().map(|_| text)))
    };
    let times = numbers.clone().map(|n| 1_772_413_200_000_000 + n as i64);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("source", all("pbx")),
        (
            "event_id",
            Arc::new(LargeStringArray::from_iter_values(
                numbers.clone().map(|n| format!("flight-{n}")),
            )),
        ),
        (
            "event_type",
            Arc::new(DictionaryArray::<Int32Type>::from_iter(
                numbers.clone().map(|_| "interaction.started"),
            )),
        ),
        (
            "occurred_at",
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        ),
        (
            "data",
            Arc::new(StringArray::from_iter_values(numbers.clone().map(data))),
        ),
        ("shift", all("late")),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

/// The same with another type in one row.
fn with_bad_row(batch: &RecordBatch, bad: usize) -> RecordBatch {
    let types = (0..batch.num_rows()).map(|row| match row == bad {
        true => "no.such.type",
        false => "interaction.started",
    });
    let mut columns = batch.columns().to_vec();
    columns[2] = Arc::new(StringArray::from_iter_values(types));
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    fields[2] = Arc::new(Field::new(
        "event_type",
        columns[2].data_type().clone(),
        false,
    ));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns of one length")
}

async fn send(
    client: &mut Client,
    command: CommandStatementIngest,
    batches: Vec<RecordBatch>,
) -> Result<i64, FlightError> {
    let batches = stream::iter(batches.into_iter().map(Ok));
    client.execute_ingest(command, batches).await
}

fn stored(world: &World) -> i64 {
    let seq = world.live.state().committed_seq;
    world.wait_for(seq);
    world.run(async {
        let mut client = world.client().await;
        let text = "SELECT count(*) FROM events.log WHERE event_id LIKE 'flight-%'";
        number(&query(&mut client, text).await.expect("rows"))
    })
}

#[test]
fn rows_become_events_and_a_repeat_gives_the_full_count_again() {
    let world = open();
    for _ in 0..2 {
        let sent = world.run(async {
            let mut client = world.login("a").await;
            let batches = vec![events(0..12_000), events(12_000..12_500)];
            send(&mut client, append(), batches).await
        });
        assert_eq!(sent.expect("it is stored"), 12_500);
        assert_eq!(stored(&world), 12_500);
    }
    world.run(async {
        let mut client = world.client().await;
        let text = "SELECT attributes FROM events.log WHERE event_id = 'flight-7'";
        let batch = query(&mut client, text).await.expect("rows");
        let attributes = texts(&batch, "attributes");
        assert!(attributes[0].contains("shift") && attributes[0].contains("late"));
        let text = "SELECT count(*) FROM facts.interactions WHERE interaction_id = 'f-12499'";
        assert_eq!(number(&query(&mut client, text).await.expect("rows")), 1);
    });
}

#[test]
fn dictionaries_are_read_as_they_are_sent() {
    let world = open();
    let sent = world.run(async {
        let mut client = world.login("a").await;
        let descriptor = FlightDescriptor::new_cmd(append().as_any().encode_to_vec());
        let messages: Vec<FlightData> = FlightDataEncoderBuilder::new()
            .with_flight_descriptor(Some(descriptor))
            .with_dictionary_handling(DictionaryHandling::Resend)
            .build(stream::iter([Ok(events(0..100)), Ok(events(100..150))]))
            .try_collect()
            .await
            .expect("messages");
        assert!(messages.len() > 3, "dictionaries go by themselves");
        put(&mut client, messages).await
    });
    assert_eq!(sent.expect("it is stored"), 150);
    assert_eq!(stored(&world), 150);
}

async fn put(client: &mut Client, messages: Vec<FlightData>) -> Result<i64, FlightError> {
    let mut results = client.do_put(stream::iter(messages)).await?;
    let result = results
        .message()
        .await
        .map_err(FlightError::from)?
        .expect("a result");
    let result = DoPutUpdateResult::decode(&*result.app_metadata).expect("a count");
    Ok(result.record_count)
}

#[test]
fn a_bad_row_ends_the_call_and_what_was_before_stays() {
    let world = open();
    let batches = || {
        vec![
            events(0..10),
            with_bad_row(&events(10..20), 3),
            events(20..30),
        ]
    };
    let error = world.run(async {
        let mut client = world.login("a").await;
        send(&mut client, append(), batches())
            .await
            .expect_err("a bad row")
    });
    let (code, message) = status(error);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("row 4 of batch 2"), "{message}");
    assert_eq!(stored(&world), 10);
    let skipping = CommandStatementIngest {
        options: HashMap::from([("on_reject".to_owned(), "skip".to_owned())]),
        ..append()
    };
    let sent = world.run(async {
        let mut client = world.login("a").await;
        send(&mut client, skipping, batches()).await
    });
    assert_eq!(sent.expect("the good rows"), 29);
    assert_eq!(stored(&world), 29);
}

#[test]
fn only_the_log_is_written_to_and_only_appended_to() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let options = |if_not_exist: TableNotExistOption, if_exists: TableExistsOption| {
            Some(TableDefinitionOptions {
                if_not_exist: if_not_exist as i32,
                if_exists: if_exists as i32,
            })
        };
        let (create, fail) = (TableNotExistOption::Create, TableExistsOption::Fail);
        let refused = [
            CommandStatementIngest {
                table: "visits".into(),
                ..append()
            },
            CommandStatementIngest {
                schema: Some("facts".into()),
                ..append()
            },
            CommandStatementIngest {
                catalog: Some("another".into()),
                ..append()
            },
            CommandStatementIngest {
                temporary: true,
                ..append()
            },
            CommandStatementIngest {
                table_definition_options: None,
                ..append()
            },
            CommandStatementIngest {
                table_definition_options: options(create, fail),
                ..append()
            },
            CommandStatementIngest {
                table_definition_options: options(create, TableExistsOption::Replace),
                ..append()
            },
            CommandStatementIngest {
                options: HashMap::from([("on_reject".into(), "shrug".into())]),
                ..append()
            },
        ];
        for command in refused {
            let answer = send(&mut client, command.clone(), vec![events(0..1)]).await;
            assert_eq!(code(answer), Code::InvalidArgument, "{command:?}");
        }
        let in_transaction = CommandStatementIngest {
            transaction_id: Some(bytes::Bytes::from_static(b"t")),
            ..append()
        };
        let answer = send(&mut client, in_transaction, vec![events(0..1)]).await;
        assert_eq!(code(answer), Code::Unimplemented);
        let create_append = CommandStatementIngest {
            table_definition_options: options(create, TableExistsOption::Append),
            ..append()
        };
        assert_eq!(
            send(&mut client, create_append, vec![events(0..1)])
                .await
                .expect("stored"),
            1
        );
    });
    assert_eq!(stored(&world), 1);
}

#[test]
fn a_column_that_every_event_needs_is_missed_before_anything_is_stored() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        for (column, name) in [
            (1, "event_id"),
            (2, "event_type"),
            (3, "occurred_at"),
            (4, "data"),
        ] {
            let mut batch = events(0..5);
            batch.remove_column(column);
            let error = send(&mut client, append(), vec![batch])
                .await
                .expect_err("refused");
            let (code, message) = status(error);
            assert_eq!(code, Code::InvalidArgument);
            assert!(message.contains(name), "{message}");
        }
    });
    assert_eq!(stored(&world), 0);
}

/// Every byte of every message, changed: an error or a count, and the server goes on.
#[test]
fn damaged_messages_do_no_harm() {
    let world = open();
    world.run(async {
        let mut client = world.login("a").await;
        let descriptor = FlightDescriptor::new_cmd(append().as_any().encode_to_vec());
        let good: Vec<FlightData> = FlightDataEncoderBuilder::new()
            .with_flight_descriptor(Some(descriptor))
            .build(stream::iter([Ok(events(0..2))]))
            .try_collect()
            .await
            .expect("messages");
        let mut refused = 0;
        for (at, message) in good.iter().enumerate() {
            for place in (0..message.data_header.len()).step_by(3) {
                let mut messages = good.clone();
                let mut head = message.data_header.to_vec();
                head[place] ^= 0x41;
                messages[at].data_header = head.into();
                refused += usize::from(put(&mut client, messages).await.is_err());
            }
            let mut messages = good.clone();
            messages[at].data_body = bytes::Bytes::new();
            refused += usize::from(put(&mut client, messages).await.is_err());
        }
        assert!(refused > 50, "{refused}");
        // Rows before their schema, and two schemas.
        let schema: FlightData =
            SchemaAsIpc::new(&events(0..1).schema(), &Default::default()).into();
        let mut rows_first = good.clone();
        rows_first[0].data_header = good[1].data_header.clone();
        rows_first[0].data_body = good[1].data_body.clone();
        assert_eq!(
            code(put(&mut client, rows_first).await),
            Code::InvalidArgument
        );
        let twice = vec![good[0].clone(), schema, good[1].clone()];
        assert_eq!(code(put(&mut client, twice).await), Code::InvalidArgument);
        assert_eq!(put(&mut client, good).await.expect("the good ones"), 2);
    });
}

#[test]
fn a_pipeline_that_has_stopped_confirms_nothing() {
    let world = open();
    world.live.shut_down().expect("it stops");
    world.run(async {
        let mut client = world.login("a").await;
        let answer = send(&mut client, append(), vec![events(0..5)]).await;
        assert_eq!(code(answer), Code::Unavailable);
    });
}
