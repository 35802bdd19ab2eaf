"""Answers queries for the benchmark: one SQL file path a line in, seconds and rows out.

Views over the Parquet files of a data folder come first: argument 1 is a JSON file
{"view": ["file", ...]}, argument 2 the number of threads.
"""
import json
import sys
import time

import duckdb


def main():
    connection = duckdb.connect()
    connection.execute(f"SET threads = {int(sys.argv[2])}")
    connection.execute("SET TimeZone = 'UTC'")
    with open(sys.argv[1], encoding="utf-8") as listing:
        for view, files in json.load(listing).items():
            paths = ", ".join("'" + path.replace("'", "''") + "'" for path in files)
            connection.execute(f"CREATE VIEW {view} AS SELECT * FROM read_parquet([{paths}])")
    print(f"duckdb {duckdb.__version__}", flush=True)
    for line in sys.stdin:
        with open(line.strip(), encoding="utf-8") as query:
            sql = query.read()
        begin = time.perf_counter()
        rows = connection.execute(sql).fetchall()
        seconds = time.perf_counter() - begin
        print(json.dumps({"seconds": seconds, "rows": len(rows)}), flush=True)


if __name__ == "__main__":
    main()
