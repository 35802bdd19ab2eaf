//! A server with a Flight door over a simulated day, and clients that speak to it.

use std::{net::SocketAddr, ops::Deref, path::PathBuf, sync::Arc, sync::atomic::Ordering};

use arrow::{array::RecordBatch, datatypes::Schema};
use arrow_flight::{
    Action, FlightInfo, Ticket, error::FlightError, flight_service_client::FlightServiceClient,
    sql::client::FlightSqlServiceClient,
};
use bytes::Bytes;
use engine::service::QueryLimits;
use futures::TryStreamExt;
use server::Settings;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

use crate::{
    access::sha256,
    real::{self, Real},
};

pub const ANALYST: &str = "tok-analyst-0123456789";
pub const SENDER: &str = "tok-sender-0123456789";
pub const COLLECTOR: &str = "tok-metrics-0123456789";
/// Sends the day.
const LOADER: &str = "tok-loader-0123456789";

pub type Client = FlightSqlServiceClient<Channel>;

/// A server, and the threads of its clients.
pub struct World {
    real: Real,
    runtime: Runtime,
    flight: SocketAddr,
    tokens: Option<(TempDir, PathBuf)>,
}

impl Deref for World {
    type Target = Real;

    fn deref(&self) -> &Real {
        &self.real
    }
}

/// A server without tokens.
pub fn open() -> World {
    open_within(QueryLimits::default())
}

/// The same, where queries may use less.
pub fn open_within(limits: QueryLimits) -> World {
    start(None, limits, |_| {})
}

/// The same with other settings.
pub fn open_set(change: impl FnOnce(&mut Settings)) -> World {
    start(None, QueryLimits::default(), change)
}

/// The same for who holds a token of this file.
pub fn open_for(tokens: PathBuf) -> World {
    let mut text = std::fs::read_to_string(&tokens).expect("a file");
    text.push_str(&format!("day ingest,analyst never {}\n", sha256(LOADER)));
    std::fs::write(&tokens, text).expect("a file");
    start(None, QueryLimits::default(), |settings| {
        settings.token_file = Some(tokens)
    })
}

/// A server that knows three tokens.
pub fn secured() -> World {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("tokens");
    let line = |name, role, token| format!("{name} {role} never {}\n", sha256(token));
    let tokens = [
        line("ann", "analyst", ANALYST),
        line("pbx", "ingest_arrow", SENDER),
        line("prom", "metrics", COLLECTOR),
        line("day", "ingest,analyst", LOADER),
    ];
    std::fs::write(&path, tokens.concat()).expect("a file");
    start(Some((folder, path)), QueryLimits::default(), |_| {})
}

fn start(
    tokens: Option<(TempDir, PathBuf)>,
    limits: QueryLimits,
    change: impl FnOnce(&mut Settings),
) -> World {
    let path = tokens.as_ref().map(|(_, path)| path.clone());
    let real = real::open_and_send(limits, LOADER, |settings| {
        settings.flight = Some(settings.listen);
        settings.token_file = path;
        change(settings);
    });
    let flight = real
        .server
        .as_ref()
        .and_then(server::RunningServer::flight_addr);
    World {
        flight: flight.expect("a second door"),
        real,
        runtime: Runtime::new().expect("threads"),
        tokens,
    }
}

impl World {
    /// Waits until queries see a commit.
    pub fn wait_for(&self, seq: u64) {
        let patience = std::time::Duration::from_secs(60);
        assert!(
            self.live.wait_applied(seq, patience),
            "the commit is applied"
        );
    }

    /// Stores one event and waits until queries see it.
    pub fn store(&self, id: &str) {
        let mut delivery = self.live.delivery();
        delivery.line(1, crate::fake::event(id).as_bytes());
        let receipt = self.live.deliver_and_wait(delivery, Default::default());
        let receipt = receipt.expect("it is stored");
        assert_eq!(receipt.accepted, 1, "{receipt:?}");
        self.wait_for(receipt.committed_seq);
    }

    /// Stops the server; what stands behind it goes on.
    pub fn stop_the_doors(&mut self) {
        self.real.server.take().expect("it runs").stop();
    }

    /// Runs a test's calls.
    pub fn run<T>(&self, test: impl Future<Output = T>) -> T {
        self.runtime.block_on(test)
    }

    /// A connection to the other door.
    pub fn http(&self) -> crate::client::Client {
        self.real.client()
    }

    /// A connection of its own, without a login.
    pub async fn client(&self) -> Client {
        FlightSqlServiceClient::new_from_inner(self.raw().await)
    }

    /// The same, below Flight SQL.
    pub async fn raw(&self) -> FlightServiceClient<Channel> {
        let endpoint = Endpoint::new(format!("http://{}", self.flight)).expect("an address");
        FlightServiceClient::new(endpoint.connect().await.expect("the door is open"))
    }

    /// A connection after a handshake with this token.
    pub async fn login(&self, token: &str) -> Client {
        let mut client = self.client().await;
        client
            .handshake("anybody", token)
            .await
            .expect("a token that is known");
        client
    }

    /// Takes a token out of the file.
    pub fn take_back(&self, name: &str) {
        let (_, path) = self.tokens.as_ref().expect("there is a file");
        server::tokens::revoke(path, name).expect("it is in the file");
    }

    /// Lets time pass.
    pub fn later(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

/// The one ticket of an answer.
pub fn ticket(info: &FlightInfo) -> Ticket {
    assert_eq!(info.endpoint.len(), 1, "one endpoint");
    let endpoint = &info.endpoint[0];
    assert!(endpoint.location.is_empty(), "read where it was asked for");
    assert!(endpoint.expiration_time.is_some(), "a ticket has an end");
    endpoint.ticket.clone().expect("a ticket")
}

/// All rows of an answer, with the schema they came with, which is the one that was told.
pub async fn rows(client: &mut Client, info: &FlightInfo) -> Result<RecordBatch, FlightError> {
    let told = info.clone().try_decode_schema().expect("a schema");
    let batches = client.do_get(ticket(info)).await?;
    let (schema, batches) = all(batches).await?;
    assert_eq!(schema, told, "FlightInfo and DoGet");
    Ok(arrow::compute::concat_batches(&Arc::new(schema), &batches).expect("one schema"))
}

/// Batches of a stream, and their schema.
pub async fn all(
    mut stream: arrow_flight::decode::FlightRecordBatchStream,
) -> Result<(Schema, Vec<RecordBatch>), FlightError> {
    let mut batches = Vec::new();
    while let Some(batch) = stream.try_next().await? {
        batches.push(batch);
    }
    let schema = stream.schema().expect("a schema comes first");
    Ok((Schema::clone(schema), batches))
}

/// The rows of a query.
pub async fn query(client: &mut Client, text: &str) -> Result<RecordBatch, FlightError> {
    let info = client.execute(text.to_owned(), None).await?;
    rows(client, &info).await
}

/// A whole number in the first row and column.
pub fn number(batch: &RecordBatch) -> i64 {
    let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Int64);
    let column = column.expect("a number");
    let numbers = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&column);
    numbers.value(0)
}

/// The texts of a column.
pub fn texts(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = batch.column_by_name(column).expect("the column is there");
    let texts = arrow::array::AsArray::as_string::<i32>(column);
    texts
        .iter()
        .map(|text| text.unwrap_or("NULL").to_owned())
        .collect()
}

/// Code and message of an error; nothing in it may tell what it must not.
#[track_caller]
pub fn status(error: FlightError) -> (Code, String) {
    let FlightError::Tonic(status) = error else {
        panic!("not the server's: {error}");
    };
    let message = status.message().to_owned();
    for leak in [
        "/tmp",
        ".rs:",
        "panicked",
        "DataFusion",
        "ArrowError",
        "Any {",
    ] {
        assert!(!message.contains(leak), "{message}");
    }
    assert!(!message.is_empty(), "{:?} without a message", status.code());
    (status.code(), message)
}

/// The code of a refusal.
#[track_caller]
pub fn code<T>(result: Result<T, FlightError>) -> Code {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => status(error).0,
    }
}

/// What an action answers; nothing if it answers nothing.
pub async fn act(
    client: &mut Client,
    name: &str,
    body: Vec<u8>,
) -> Result<Vec<Bytes>, FlightError> {
    let action = Action {
        r#type: name.to_owned(),
        body: body.into(),
    };
    let answers = client.do_action(action).await?;
    let answers: Vec<_> = answers.try_collect().await?;
    Ok(answers.into_iter().map(|answer| answer.body).collect())
}
