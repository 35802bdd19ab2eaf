"""Reads a statement over Flight with the ADBC driver, and the same columns out of Parquet files.

Arguments: the server's address, how often, the statement, the columns with commas between, the
files. Prints bytes as they lie in memory, seconds, and MB/s.
"""
import sys
import time

import pyarrow.dataset
from adbc_driver_flightsql import dbapi


def rate(who, size, seconds):
    print(f"{who}: {size / 1e6:.0f} MB in {seconds:.2f} s, {size / 1e6 / seconds:.0f} MB/s")


def over_flight(address, statement):
    begin = time.perf_counter()
    with dbapi.connect(f"grpc://{address}") as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        size = sum(batch.nbytes for batch in cursor.fetch_record_batch())
    rate("Flight, ADBC driver", size, time.perf_counter() - begin)


def out_of_files(columns, files):
    begin = time.perf_counter()
    dataset = pyarrow.dataset.dataset(files, format="parquet")
    size = sum(batch.nbytes for batch in dataset.to_batches(columns=columns))
    rate("pyarrow, the same Parquet files", size, time.perf_counter() - begin)


def main():
    address, runs, statement, columns, *files = sys.argv[1:]
    # In turn, so that neither has the quiet hours of the machine for itself.
    for _ in range(int(runs)):
        over_flight(address, statement)
        out_of_files(columns.split(","), files)


if __name__ == "__main__":
    main()
