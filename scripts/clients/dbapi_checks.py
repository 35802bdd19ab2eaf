"""flightsql-dbapi, which Superset uses: it needs SQLAlchemy 1 and so runs by itself.

Usage: dbapi_checks.py grpc://HOST:PORT TOKEN, with what the command line says on standard input:
an object of `sql` and its `rows`, each an object of texts.
"""
import json
import pathlib
import sys
from urllib.parse import urlsplit

import flightsql.sqlalchemy  # noqa: F401  registers the dialect
import sqlalchemy
from flightsql import FlightSQLClient, connect

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from comparing import compare  # noqa: E402

SAID = json.load(sys.stdin)


def cursor_of(host, port, token):
    """A cursor over a connection of its own."""
    client = FlightSQLClient(host=host, port=port, insecure=True, token=token,
                             metadata={"x-check": "1"})
    return connect(client).cursor()


def check_the_client_gives_the_numbers_of_the_command_line(host, port, token):
    """Connect and ask for KPIs."""
    cursor = cursor_of(host, port, token)
    cursor.execute(SAID["sql"])
    rows = cursor.fetchall()
    compare("dbapi", [column[0] for column in cursor.description], rows, SAID["rows"])


def check_what_is_wrong_is_an_error(host, port, token):
    """A column that there is not, and a token that nobody has."""
    for with_token, text in ((token, "SELECT no_such_column FROM queue_visits"),
                             ("cg_nobody", "SELECT 1")):
        try:
            cursor_of(host, port, with_token).execute(text)
        except Exception as error:  # the package has no error of its own: it lets Arrow's through
            expected = "no_such_column" if with_token == token else "token"
            assert expected in str(error), error
        else:
            raise AssertionError(f"no error: {text}")


def check_the_dialect(host, port, token):
    """Schemas, tables and columns, as Superset reflects them."""
    url = f"datafusion+flightsql://{host}:{port}?insecure=True&token={token}"
    engine = sqlalchemy.create_engine(url)
    inspector = sqlalchemy.inspect(engine)
    assert "kpi" in inspector.get_schema_names()
    assert "queue_visits" in inspector.get_table_names(schema="kpi")
    columns = {column["name"] for column in inspector.get_columns("queue_visits", schema="kpi")}
    assert {"queue_id", "service_level"} <= columns, columns
    with engine.connect() as connection:
        assert connection.execute("SELECT 1").scalar() == 1


def main():
    place = urlsplit(sys.argv[1])
    for check in (check_the_client_gives_the_numbers_of_the_command_line,
                  check_what_is_wrong_is_an_error, check_the_dialect):
        check(place.hostname, place.port, sys.argv[2])
        print(f"ok      dbapi_checks.{check.__name__[6:]}")


if __name__ == "__main__":
    main()
