"""A CSV table of studies, read like a manifest."""

import csv
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from pathlib import Path

from medgen.data.columns import Columns
from medgen.data.listing import Listing, Problem, examine
from medgen.data.manifest import MAX_LINE_BYTES, lines_of

Row = tuple[int, list[str] | Problem]
"""The line a row begins on, and its cells or what is wrong with it."""


def read_table(path: Path, renaming: Mapping[str, str] | None = None) -> Listing:
    """Read a CSV file: separated by commas, in UTF-8, its first line names the columns.

    Columns are named as the keys of a manifest, or renamed to them. An empty cell says nothing,
    and neither does a row of empty cells. A study without `id` is called by the number of its
    row; where no column names patients, each study is taken for another patient, with a warning.

    Args:
        path: The file; the paths in it are relative to its folder.
        renaming: Key of a manifest by the name of a column; empty to leave the column out.

    Raises:
        InputError: If the file itself cannot be read.
        UsageError: If a column to be renamed is not there.
    """
    rows = _rows(path)
    line, header = next(rows, (0, Problem(0, "", "is empty; its first line names the columns")))
    if isinstance(header, Problem):
        return Listing({}, (header,))
    columns = Columns(tuple(header), renaming or {})
    if problems := columns.check(path, line):
        return Listing({}, problems)
    return examine(_entries(rows, columns), path.parent)


def _entries(rows: Iterator[Row], columns: Columns) -> Iterator[tuple[int, object]]:
    width = len(columns.names)
    for number, (line, row) in enumerate(rows, start=1):
        if isinstance(row, Problem):
            yield line, row
        elif len(row) != width:
            message = f"has {len(row)} cells, the first line {width}; quote cells with commas"
            yield line, Problem(line, "", message)
        else:
            yield line, columns.entry(number, [cell or None for cell in row])


def _rows(path: Path) -> Iterator[Row]:
    """Rows that are not empty; after one that is not CSV nobody knows where the next begins."""
    reader = csv.reader(_text(path), strict=True, skipinitialspace=True)
    while True:
        line = reader.line_num + 1
        try:
            row = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            yield line, Problem(line, "", f"is not CSV ({error}); check quotes and line ends")
            return
        if any(row):
            yield line, row if _is_utf8(row) else Problem(line, "", "is not UTF-8; save it as such")


def _text(path: Path) -> Iterator[str]:
    """Lines with what is not UTF-8 as surrogates, without a byte order mark."""
    for line, raw in lines_of(path):
        if len(raw) > MAX_LINE_BYTES:
            raise csv.Error(f"a line is longer than {MAX_LINE_BYTES} bytes")
        content = raw.removeprefix(BOM_UTF8) if line == 1 else raw
        yield content.decode("utf-8", "surrogateescape")


def _is_utf8(row: list[str]) -> bool:
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        return False
    return True
