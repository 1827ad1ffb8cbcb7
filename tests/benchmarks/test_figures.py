"""A table is drawn with every line that it has, and twice the same."""

from pathlib import Path

from benchmarks.figures import draw_lines
from benchmarks.results import Column, Table

COLUMNS = (Column("sampler"), Column("2 steps"), Column("4 steps"), Column("8 steps"))
LINES = [["euler", 9.0, 4.0, 2.0], ["heun", 8.0, None, 1.0]]


def test_every_line_is_drawn_and_twice_the_same(tmp_path: Path) -> None:
    table = Table("generation", "Radiographs", "", COLUMNS, LINES, unit="distance")
    for name in ("one.svg", "two.svg"):
        draw_lines(table, tmp_path / name)
    one, two = ((tmp_path / name).read_text() for name in ("one.svg", "two.svg"))
    assert one == two
    for word in ("euler", "heun", "steps", "distance"):
        assert f">{word}<" in one
