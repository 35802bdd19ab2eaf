//! What the metadata tell, and what filters leave of it.

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use arrow_flight::{
    Criteria, FlightDescriptor,
    sql::{
        Any, Command, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTables,
        CommandGetXdbcTypeInfo, CommandStatementQuery, ProstMessageExt,
    },
};
use futures::TryStreamExt;
use prost::Message;

use super::world::{ANALYST, Client, SENDER, number, open, query, rows, secured, texts};

async fn tables(client: &mut Client, filter: CommandGetTables) -> Vec<(String, String)> {
    let info = client.get_tables(filter).await.expect("an answer");
    let batch = rows(client, &info).await.expect("rows");
    let names = texts(&batch, "db_schema_name").into_iter();
    names.zip(texts(&batch, "table_name")).collect()
}

fn named(schema: &str, table: &str) -> CommandGetTables {
    CommandGetTables {
        db_schema_filter_pattern: Some(schema.to_owned()),
        table_name_filter_pattern: Some(table.to_owned()),
        ..CommandGetTables::default()
    }
}

#[test]
fn patterns_fit_as_in_sql_and_any_text_is_one() {
    let world = open();
    world.run(async {
        let mut client = world.client().await;
        let cases = [
            ("kpi", "queue_visits", 1),
            ("kpi", "queue\\_visits\\_1_", 2),
            ("kpi", "queue%visits%", 4),
            ("", "queue\\_visits", 2),
            ("facts", "QUEUE_VISITS", 0),
            ("k_i", "catal%g", 1),
            ("kpi", "catalog\\", 0),
            ("%", "SELECT a, '%' FROM \"x\" WHERE (a = [b)", 0),
            ("%", &"%_".repeat(500), 0),
        ];
        for (schema, table, count) in cases {
            let found = tables(&mut client, named(schema, table)).await;
            assert_eq!(found.len(), count, "{schema} {table}: {found:?}");
        }
        for (catalog, any) in [(None, true), (Some(""), false), (Some("x"), false)] {
            let filter = CommandGetTables {
                catalog: catalog.map(str::to_owned),
                ..CommandGetTables::default()
            };
            let found = tables(&mut client, filter).await;
            assert_eq!(!found.is_empty(), any, "{catalog:?}");
            let command = CommandGetDbSchemas {
                catalog: catalog.map(str::to_owned),
                db_schema_filter_pattern: None,
            };
            let info = client.get_db_schemas(command).await.expect("an answer");
            let batch = rows(&mut client, &info).await.expect("rows");
            assert_eq!(batch.num_rows() > 0, any, "{catalog:?}");
        }
    });
}

#[test]
fn a_type_of_table_is_answered_as_it_was_asked_for() {
    let world = open();
    world.run(async {
        let mut client = world.client().await;
        let cases: [(&[&str], &[&str]); 6] = [
            (&[], &["TABLE"]),
            (&["base table"], &["base table"]),
            (&["VIEW", "BASE TABLE", "TABLE"], &["BASE TABLE"]),
            (&["SYSTEM TABLE"], &[]),
            (&["VIEW"], &[]),
            (&["Table", "system table"], &["Table"]),
        ];
        for (asked, expected) in cases {
            let filter = CommandGetTables {
                table_types: asked.iter().map(|t| (*t).to_owned()).collect(),
                ..named("kpi", "queue\\_visits")
            };
            let info = client.get_tables(filter).await.expect("an answer");
            let batch = rows(&mut client, &info).await.expect("rows");
            assert_eq!(texts(&batch, "table_type"), expected, "{asked:?}");
        }
        let info = client
            .get_tables(named("information_schema", "tables"))
            .await;
        let batch = rows(&mut client, &info.expect("an answer"))
            .await
            .expect("rows");
        assert_eq!(texts(&batch, "table_type"), ["SYSTEM TABLE"]);
    });
}

#[test]
fn who_may_not_ask_in_sql_sees_no_tables_but_what_the_server_is() {
    let world = secured();
    world.run(async {
        let mut client = world.login(SENDER).await;
        assert!(
            tables(&mut client, CommandGetTables::default())
                .await
                .is_empty()
        );
        let mut flags = Vec::new();
        for token in [SENDER, ANALYST] {
            let mut client = world.login(token).await;
            let command = arrow_flight::sql::SqlInfo::FlightSqlServerReadOnly;
            let info = client.get_sql_info(vec![command]).await.expect("an answer");
            let batch = rows(&mut client, &info).await.expect("rows");
            let value = batch.column(1).as_union().value(0);
            flags.push(value.as_boolean().value(0));
        }
        assert_eq!(flags, [false, true]);
    });
}

#[test]
fn types_are_listed_in_order_and_by_number() {
    let world = open();
    world.run(async {
        let mut client = world.client().await;
        let mut of = async |data_type| {
            let command = CommandGetXdbcTypeInfo { data_type };
            let info = client.get_xdbc_type_info(command).await.expect("an answer");
            rows(&mut client, &info).await.expect("rows")
        };
        let all = of(None).await;
        let keys: Vec<_> = all
            .column(1)
            .as_primitive::<Int32Type>()
            .values()
            .iter()
            .copied()
            .zip(texts(&all, "type_name"))
            .collect();
        let mut sorted = keys.clone();
        sorted.sort();
        assert_eq!(keys, sorted);
        assert_eq!(texts(&of(Some(12)).await, "type_name"), ["VARCHAR"]);
        assert_eq!(of(Some(4_711)).await.num_rows(), 0);
    });
}

#[test]
fn unknown_infos_are_left_out() {
    let world = open();
    world.run(async {
        let mut client = world.client().await;
        let command = CommandGetSqlInfo {
            info: vec![0, 4_711, 504],
        };
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let info = client
            .inner_mut()
            .get_flight_info(descriptor)
            .await
            .expect("an answer");
        let batch = rows(&mut client, &info.into_inner()).await.expect("rows");
        assert_eq!(batch.num_rows(), 2);
    });
}

#[test]
fn every_flight_that_is_listed_can_be_read() {
    let world = open();
    world.run(async {
        let mut client = world.client().await;
        let flights = client.inner_mut().list_flights(Criteria::default()).await;
        let flights: Vec<_> = flights
            .expect("a list")
            .into_inner()
            .try_collect()
            .await
            .expect("all");
        assert!(flights.len() > 20, "{}", flights.len());
        let mut seen = 0;
        for flight in flights {
            let descriptor = flight.flight_descriptor.clone().expect("a descriptor");
            let any = Any::decode(&*descriptor.cmd).expect("a command");
            let Ok(Command::CommandStatementQuery(CommandStatementQuery { query: text, .. })) =
                Command::try_from(any)
            else {
                panic!("no statement");
            };
            let told = flight.try_decode_schema().expect("a schema");
            // Planning all of them takes a while in a debug build: one of each schema is enough.
            if text.ends_with("queue_visits\"") || text.ends_with("\"log\"") {
                let batch = query(&mut client, &format!("{text} LIMIT 1"))
                    .await
                    .expect("rows");
                let types = |schema: &arrow::datatypes::Schema| -> Vec<_> {
                    let fields = schema.fields().iter();
                    fields
                        .map(|f| (f.name().clone(), f.data_type().clone()))
                        .collect()
                };
                assert_eq!(types(&told), types(&batch.schema()), "{text}");
                seen += 1;
            }
        }
        assert!(seen >= 3, "{seen}");
    });
}

#[test]
fn poll_and_get_schema_know_what_get_flight_info_knows() {
    let world = open();
    world.run(async {
        let mut client = world.client().await;
        let commands = [
            CommandStatementQuery {
                query: "SELECT count(*) AS n FROM facts.queue_visits".to_owned(),
                transaction_id: None,
            }
            .as_any(),
            CommandGetTables::default().as_any(),
        ];
        for command in commands {
            let descriptor = FlightDescriptor::new_cmd(command.encode_to_vec());
            let raw = client.inner_mut();
            let told = raw
                .get_flight_info(descriptor.clone())
                .await
                .expect("info")
                .into_inner();
            let told = told.try_decode_schema().expect("a schema");
            let schema = raw
                .get_schema(descriptor.clone())
                .await
                .expect("a schema")
                .into_inner();
            let schema = arrow::datatypes::Schema::try_from(&schema).expect("a schema");
            assert_eq!(schema, told);
            let poll = raw
                .poll_flight_info(descriptor)
                .await
                .expect("poll")
                .into_inner();
            assert!(poll.flight_descriptor.is_none(), "it is complete");
            let info = poll.info.expect("all of it");
            let batch = rows(&mut client, &info).await.expect("rows");
            assert!(batch.num_rows() > 0);
        }
        let count = query(&mut client, "SELECT count(*) FROM facts.queue_visits").await;
        assert!(number(&count.expect("rows")) > 0);
    });
}
