"""Data frames: polars and pandas over the ADBC driver."""
import pandas
import polars

from adbc_checks import connected
from comparing import compare
from shapes import SHAPES

SHAPE = "ROLLUP"


def check_polars_reads_a_query(place):
    """`polars.read_database` over a connection gives the numbers of the command line."""
    with connected(place) as connection:
        frame = polars.read_database(SHAPES[SHAPE], connection)
    compare(SHAPE, frame.columns, frame.rows(), place.said[SHAPE])


def check_pandas_reads_a_query(place):
    """`pandas.read_sql` asks for a table named like the query first, and then runs it."""
    with connected(place) as connection:
        frame = pandas.read_sql(SHAPES[SHAPE], connection)
    rows = [tuple(None if pandas.isna(value) else value for value in row)
            for row in frame.itertuples(index=False)]
    compare(SHAPE, frame.columns, rows, place.said[SHAPE])
