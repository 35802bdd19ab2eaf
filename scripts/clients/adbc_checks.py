"""The ADBC driver: what Python programs, polars, pandas and Power BI stand on."""
import contextlib
import datetime
import decimal
import threading
import time

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
from adbc_driver_flightsql import DatabaseOptions

from comparing import compare
from shapes import SHAPES

UTC = datetime.timezone.utc


@contextlib.contextmanager
def connected(place, token=None, autocommit=True):
    """A connection with a login, as the driver makes it: any user, the token as the password."""
    kwargs = {"username": "anybody", "password": token or place.analyst}
    with flightsql.connect(place.address, kwargs, autocommit=autocommit) as connection:
        yield connection


@contextlib.contextmanager
def asked(place, text, parameters=None):
    with connected(place) as connection, connection.cursor() as cursor:
        cursor.execute(text, parameters)
        yield cursor


def rows_of(cursor, text):
    cursor.execute(text)
    return cursor.fetchall()


def refused(call, *needles):
    """The error of a call, which must have one, and must not tell paths or source lines."""
    try:
        call()
    except adbc_driver_manager.Error as error:
        text = str(error)
        for needle in needles:
            assert needle.lower() in text.lower(), f"'{needle}' is not in: {text}"
        for leak in ("/root", "/home", ".rs:", "panicked", "DataFusion"):
            assert leak not in text, text
        return error
    raise AssertionError("it was not refused")


def check_queries_give_the_numbers_of_the_command_line(place):
    """The shapes of business-intelligence programs say through Flight what `callgauge sql` says."""
    with connected(place) as connection, connection.cursor() as cursor:
        for name, text in SHAPES.items():
            cursor.execute(text)
            columns = [column[0] for column in cursor.description]
            compare(name, columns, cursor.fetchall(), place.said[name])


def check_a_bearer_token_needs_no_handshake(place):
    """A fixed header is enough, as sqlalchemy-adbc and dashboards send it."""
    header = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {place.analyst}"}
    with flightsql.connect(place.address, header, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 AS one")
            assert cursor.fetchall() == [(1,)]


def check_without_tokens_anybody_on_this_machine_may_ask(place):
    """A server without a token file takes a login, and none."""
    server = place.open_server()
    try:
        for kwargs in ({}, {"username": "me", "password": "whatever"}):
            with flightsql.connect(server.flight, kwargs, autocommit=True) as connection:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT count(*) AS n FROM facts.queue_visits")
                    assert cursor.fetchall() == [(0,)]
    finally:
        server.stop()


def check_a_wrong_password_is_told(place):
    """Wrong, empty and missing credentials are unauthenticated; another role is forbidden."""
    def query(**kwargs):
        with flightsql.connect(place.address, kwargs, autocommit=True) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")

    refused(lambda: query(username="a", password="wrong"), "token")
    refused(lambda: query(username="a", password=""), "token")
    refused(query, "token")
    error = refused(lambda: query(username="a", password=place.sender), "does not allow")
    assert error.status_code == adbc_driver_manager.AdbcStatusCode.UNAUTHORIZED, error


def check_the_tree_can_be_browsed(place):
    """Info, catalogues, schemas, tables, columns and table types."""
    with connected(place) as connection:
        info = connection.adbc_get_info()
        assert info["vendor_name"] == "callgauge", info
        objects = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        assert [catalog["catalog_name"] for catalog in objects] == ["callgauge"]
        schemas = {schema["db_schema_name"]: schema["db_schema_tables"]
                   for schema in objects[0]["catalog_db_schemas"]}
        assert {"kpi", "facts", "events", "information_schema"} <= set(schemas), set(schemas)
        tables = {table["table_name"]: table for table in schemas["kpi"]}
        assert {"queue_visits", "queue_visits_1h", "catalog"} <= set(tables), set(tables)
        columns = [c["column_name"] for c in tables["queue_visits"]["table_columns"]]
        assert {"queue_id", "service_level", "entered_at"} <= set(columns), columns
        assert {"BASE TABLE", "SYSTEM TABLE", "TABLE"} == set(connection.adbc_get_table_types())


def check_names_filter_the_tree(place):
    """Patterns narrow the tree; a catalogue that is not there, and a whole query, fit nothing."""
    with connected(place) as connection:
        def tables(**filters):
            tree = connection.adbc_get_objects(depth="tables", **filters).read_all().to_pylist()
            return [table["table_name"] for catalog in tree
                    for schema in catalog["catalog_db_schemas"] or []
                    for table in schema["db_schema_tables"] or []]

        assert tables(table_name_filter="queue_visits", db_schema_filter="facts") \
            == ["queue_visits"]
        assert tables(table_name_filter="queue\\_visits\\_1_", db_schema_filter="kpi") \
            == ["queue_visits_1d", "queue_visits_1h"]
        assert tables(table_name_filter="SELECT '%' FROM \"x\" WHERE (a = [b") == []
        assert tables(catalog_filter="another") == []


def check_a_table_has_the_schema_of_its_rows(place):
    """The schema that is told beforehand is the one that rows come with."""
    with connected(place) as connection, connection.cursor() as cursor:
        told = connection.adbc_get_table_schema("queue_visits", db_schema_filter="facts")
        cursor.execute("SELECT * FROM facts.queue_visits LIMIT 3")
        table = cursor.fetch_arrow_table()
        assert told.names == table.schema.names
        assert told.types == table.schema.types
        assert cursor.adbc_execute_schema("SELECT 1 AS a, 'x' AS b").names == ["a", "b"]


def check_types_arrive_as_they_are(place):
    """Numbers, texts, times, decimals, lists and NULL."""
    text = """SELECT 1 AS i, CAST(2.5 AS DOUBLE) AS d, 'text' AS t, true AS b, NULL AS n,
                     TIMESTAMP '2026-03-02T01:02:03.123456Z' AS ts, DATE '2026-03-02' AS day,
                     CAST('12.50' AS DECIMAL(18, 4)) AS money, make_array(1, 2) AS list,
                     count(DISTINCT queue_id) AS unsigned, INTERVAL '90 minutes' AS span
              FROM facts.queue_visits"""
    with asked(place, text) as cursor:
        table = cursor.fetch_arrow_table()
    types = {field.name: str(field.type) for field in table.schema}
    assert types["ts"] == "timestamp[us, tz=UTC]", types
    assert types["unsigned"] == "int64" and types["span"] == "string", types
    row = table.to_pylist()[0]
    expected = {"i": 1, "d": 2.5, "t": "text", "b": True, "n": None,
                "ts": datetime.datetime(2026, 3, 2, 1, 2, 3, 123456, UTC),
                "day": datetime.date(2026, 3, 2), "money": decimal.Decimal("12.5000"),
                "list": [1, 2]}
    assert {name: row[name] for name in expected} == expected, row


def check_parameters_are_bound_by_place(place):
    """None, one and twelve of them, NULL and times; a wrong number of them is told."""
    with asked(place, "SELECT 1 AS one") as cursor:
        assert cursor.fetchall() == [(1,)]
    with asked(place, "SELECT count(*) FROM facts.queue_visits WHERE queue_id = ?", ("sales",)) \
            as cursor:
        (of_sales,), = cursor.fetchall()
        assert of_sales > 0
    # Twelve, which in the order of texts would come as 0, 1, 10, 11, 2.
    text = "SELECT " + ", ".join(f"CAST(${n} AS BIGINT) AS c{n}" for n in range(1, 13))
    with asked(place, text, tuple(range(1, 13))) as cursor:
        assert cursor.fetchall() == [tuple(range(1, 13))]
    with asked(place, "SELECT CAST(? AS TEXT) IS NULL AS nothing", (None,)) as cursor:
        assert cursor.fetchall() == [(True,)]
    since = datetime.datetime(2000, 1, 1, tzinfo=UTC)
    with asked(place, "SELECT count(*) FROM facts.queue_visits WHERE entered_at >= ? "
                      "AND queue_id = ?", (since, "sales")) as cursor:
        assert cursor.fetchall() == [(of_sales,)]
    sum_of_two = "SELECT CAST(? AS BIGINT) + CAST(? AS BIGINT)"
    refused(lambda: asked(place, sum_of_two, (1,)).__enter__(), "2", "1")


def check_three_rows_of_parameters_run_three_times(place):
    """Results come one after the other, in the order of the rows."""
    import pyarrow
    with connected(place) as connection, connection.cursor() as cursor:
        cursor.adbc_prepare("SELECT CAST(? AS BIGINT) * 10 AS n")
        rows = pyarrow.record_batch({"0": pyarrow.array([3, 1, 2])})
        cursor.execute("SELECT CAST(? AS BIGINT) * 10 AS n", rows)
        assert cursor.fetchall() == [(30,), (10,), (20,)]


def check_statements_without_rows_change_the_session(place):
    """SET holds for what follows, names that mean nothing do no harm, DDL is refused at once."""
    with connected(place) as connection, connection.cursor() as cursor:
        measure = "SELECT SUM(service_level) AS v FROM queue_visits"
        cursor.execute(measure)
        cursor.fetchall()
        cursor.execute("SET kpi.strict = true")
        cursor.fetchall()
        refused(lambda: rows_of(cursor, measure), "MEASURE")
        cursor.execute("SET application_name = 'x'")
        cursor.fetchall()
        begun = time.monotonic()
        refused(lambda: cursor.execute("CREATE TEMPORARY TABLE t (a INT)"))
        assert time.monotonic() - begun < 2


def check_errors_name_what_is_wrong(place):
    """Syntax, unknown names, values, and what is not offered."""
    def query(text):
        with asked(place, text) as cursor:
            cursor.fetchall()

    refused(lambda: query("SELEC 1"))
    refused(lambda: query("SELECT servce_level FROM queue_visits"), "servce_level")
    refused(lambda: query("SELECT * FROM nothing_of_that_name"), "nothing_of_that_name")
    error = refused(lambda: query("SELECT CAST(queue_id AS INT) FROM facts.queue_visits"))
    assert "sales" not in str(error), f"a value of the data: {error}"
    refused(lambda: query("INSERT INTO facts.queue_visits SELECT * FROM facts.queue_visits"))
    refused(lambda: query("SELECT * FROM '/etc/passwd'"))


def check_a_large_result_arrives_whole(place):
    """Long texts are cut into messages that the driver takes."""
    text = """SELECT a.visit_id, concat(a.visit_id, repeat('x', 2000)) AS long
              FROM facts.queue_visits a CROSS JOIN (SELECT 1 AS n UNION ALL SELECT 2) b"""
    with asked(place, "SELECT count(*) FROM facts.queue_visits") as cursor:
        (visits,), = cursor.fetchall()
    with asked(place, text) as cursor:
        table = cursor.fetch_arrow_table()
    assert table.num_rows == 2 * visits
    assert min(len(value) for value in table["long"].to_pylist()) > 2000


def check_cancel_ends_a_query(place):
    """A query that would run for minutes ends within seconds, and the session goes on."""
    endless = """SELECT count(*) FROM facts.queue_visits a
                 JOIN facts.queue_visits b ON a.channel = b.channel
                 JOIN facts.queue_visits c ON b.channel = c.channel
                 JOIN facts.queue_visits d ON c.channel = d.channel
                 WHERE a.visit_id < d.visit_id"""
    with connected(place) as connection, connection.cursor() as cursor:
        timer = threading.Timer(1.0, cursor.adbc_cancel)
        timer.start()
        begun = time.monotonic()
        refused(lambda: rows_of(cursor, endless), "cancel")
        assert time.monotonic() - begun < 10
        timer.join()
    with asked(place, "SELECT 1 AS one") as cursor:
        assert cursor.fetchall() == [(1,)]


def check_transactions_are_not_offered(place):
    """A connection that insists on transactions is told."""
    def query():
        with connected(place, autocommit=False) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")

    begun = None
    try:
        query()
    except adbc_driver_manager.Error as error:
        begun = error
    # The driver asks GetSqlInfo first and then warns, or is refused: both are honest.
    assert begun is None or "transaction" in str(begun).lower(), begun
