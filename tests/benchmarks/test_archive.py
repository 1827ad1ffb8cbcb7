"""The report on an archive knows who is taken, and that nobody is taken for themselves."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import heldout_studies
from benchmarks.archive import (
    CAPPED,
    CAPS,
    FREE,
    INDEXES,
    PART,
    PLAN,
    Bench,
    archives,
    figures,
    own,
)
from benchmarks.archive_tables import archive_goals, archive_tables
from benchmarks.results import Goal
from benchmarks.rows import Row, Store
from medgen.data.manifest import read_manifest
from medgen.instruct.retrieval import Share, neighbours
from medgen.tasks.instructing.archive import ArchiveReport
from medgen.tasks.phantom import FOLLOW_UP, study_names

GROUPS = {"n sex female": 12.0, "n sex male": 20.0, "n finding mass": 3.0}
FIGURES = {"most": 9.0, "never": 4.0, "inequality": 0.5, "own": 0.0}


def row(method: str, **ratios: float) -> Row:
    scores = FIGURES | GROUPS | {f"ratio {name.replace('_', ' ')}": r for name, r in ratios.items()}
    return Row(PART, "reports", "", "text", method, scores, 0.0, "", "")


ROWS = [
    row(FREE, sex_female=0.5, sex_male=1.3, finding_mass=7.0),
    row(CAPPED, sex_female=0.8, sex_male=1.12, finding_mass=5.0),
]


def test_tables_compare_with_and_without_the_cap() -> None:
    """Three studies with a mass say nothing of how often masses are retrieved."""
    what, who = archive_tables(ROWS)
    assert what.lines[1] == ["reports, cap 5", 9.0, 4.0, 0.5, 0.0]
    assert who.lines == [["sex female", 12.0, 0.5, 0.8], ["sex male", 20.0, 1.3, 1.12]]
    assert all(not table.lines for table in archive_tables([]))


def test_goals() -> None:
    leak, far = archive_goals(ROWS)
    assert leak.is_reached
    assert (far.value, far.is_reached) == (1.25, True)
    leaks = [replace(one, scores=one.scores | {"own": 1.0}) for one in ROWS]
    assert not archive_goals(leaks)[0].is_reached
    open_goals: list[Goal] = archive_goals([])
    assert [goal.is_reached for goal in open_goals] == [None, None]


def test_a_leak_is_counted() -> None:
    """Twins of one patient are each other's nearest; retrieval passes them over."""
    drawn = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    vectors = np.repeat(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), 2, axis=0)
    whose = [f"p{at // 2}" for at in range(16)]
    leaking = neighbours(vectors, [f"s{at}" for at in range(16)])
    assert own(leaking, whose) == 16
    assert own(neighbours(vectors, whose), whose) == 0


def test_figures_have_names_of_their_own() -> None:
    share = Share(studies=3, archive=0.75, context=0.5, ratio=0.6667)
    found = figures(ArchiveReport(4, 2, None, 3, 1, 0.25, {"sex": {"male": share}}, ("few",)))
    assert (found["most"], found["never"], found["warnings"]) == (3, 1, 1)
    assert (found["n sex male"], found["share sex male"]) == (3, 0.75)
    assert found["ratio sex male"] == 0.6667


def test_it_has_500_studies_of_250_patients() -> None:
    names = study_names(PLAN)
    assert len(names) == 500
    assert len({name.removesuffix(FOLLOW_UP) for name in names}) == 250
    assert PLAN.study.seed not in (heldout_studies.CHESTS.seed, heldout_studies.HEADS.seed)


def test_an_archive_is_measured_by_index_and_cap(
    corner_flows: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four patients, each gives context to the three others; and once measured, it is kept."""
    listed = {study.id: study for study in read_manifest(corner_flows.manifest)}
    monkeypatch.setattr(Bench, "listed", listed)
    given = str(corner_flows.model), tmp_path, Store(tmp_path / "rows")
    rows = list(archives(*given))
    assert [(row.subject, row.method) for row in rows] == list(product(INDEXES, CAPS))
    for row in rows:
        assert (row.scores["most"], row.scores["never"], row.scores["own"]) == (3, 0, 0)
        assert row.scores["n finding mass"] == 4
    monkeypatch.setattr(Bench, "listed", {})
    assert list(archives(*given)) == rows
    assert list(archives("base", *given[1:])) == []
