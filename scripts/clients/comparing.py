"""Telling whether rows of a client say the same as the command line does."""
import datetime

from callgauge_cli import micros


def same(value, text):
    """Is a value of a client what the command line wrote as text? An empty text is NULL."""
    if value is None or value != value:
        return text == ""
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, (int, float)):
        return text != "" and abs(float(text) - value) <= 1e-9 * max(1.0, abs(value))
    if isinstance(value, datetime.datetime):
        return micros(value) == micros(text)
    return str(value) == text


def compare(what, columns, rows, said):
    """Fails where rows (tuples) and what was said (dicts of texts) differ."""
    assert len(rows) == len(said), f"{what}: {len(rows)} rows, not {len(said)}"
    assert said, f"{what}: the command line has no rows to compare with"
    assert list(columns) == list(said[0]), f"{what}: columns {columns}"
    for row, expected in zip(rows, said):
        for value, text in zip(row, expected.values()):
            assert same(value, text), f"{what}: {value!r} is not {text!r}"
