"""Who is taken from an archive for context, and how often: by sex, age and finding, and at a cap.

The archive are 500 simulated studies, two each of 250 patients, so that the nearest study of a
target is often its patient's other one, which must never be taken.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import torch

from benchmarks.machine import commit, today
from benchmarks.retrieval import encoders_at
from benchmarks.rows import Row, Store, key_of
from medgen.data.manifest import read_manifest
from medgen.data.study import Study
from medgen.instruct.retrieval import Neighbours, neighbours
from medgen.modality import Kind, Modality
from medgen.phantom.chest_study import ChestConfig
from medgen.tasks.aligning.model import load_aligner
from medgen.tasks.batch import MANIFEST
from medgen.tasks.instructing.archive import ArchiveReport, Placed, archive_report, placed
from medgen.tasks.phantom import PhantomConfig, simulate

PART = "archive"
FOLDER = "archive"  # of the studies, beside those of the trainings
SEED = 9003  # of nobody else's studies
KINDS = (Kind(Modality.TEXT), Kind(Modality.XRAY))
CHESTS = ChestConfig(seed=SEED, kinds=KINDS, spacing=4.0, follow_up=True)
PLAN = PhantomConfig(250, study=CHESTS, skip_existing=True)
INDEXES = {"reports": Modality.TEXT, "reports and radiographs": Modality.XRAY}
FREE, CAPPED = "no cap", "cap 5"
CAPS = {FREE: None, CAPPED: 5}


@dataclass(frozen=True)
class Bench:
    """An archive, and who looks into it.

    Attributes:
        model: Of the encoders, by name or folder.
        studies: Where the archive's folder is, or will be.
        plan: Of its studies.
    """

    model: str
    studies: Path
    plan: PhantomConfig = PLAN
    _places: dict[Modality, Placed] = field(default_factory=dict)

    @cached_property
    def listed(self) -> dict[str, Study]:
        """The studies by their names; those that are not there yet are simulated."""
        out = self.studies / FOLDER
        for _ in simulate(self.plan, out, jobs=2):
            pass
        return {study.id: study for study in read_manifest(out / MANIFEST)}

    def measured(self, index: Modality, cap: int | None) -> dict[str, float]:
        """Every figure of one index and one cap."""
        if index not in self._places:
            encoders = load_aligner(self.model, torch.device("cpu"))
            every, cache = list(self.listed.values()), self.studies / "views"
            self._places[index] = placed(every, encoders, index, max_bad=0.0, cache=cache)
        place = self._places[index]
        studies = [self.listed[name] for name in place.ids]
        whose = [study.patient for study in studies]
        found = neighbours(place.vectors, whose, max_reuse=cap)
        return figures(archive_report(studies, found, cap)) | {"own": float(own(found, whose))}


def archives(model: str, studies: Path, store: Store) -> Iterator[Row]:
    """A row of each index and each cap; nothing without encoders.

    Args:
        model: By name or folder.
        studies: Where the archive's folder is, or will be.
        store: Keeps the rows.
    """
    known, bench = encoders_at(model), Bench(model, studies)
    key = key_of(*known.values())
    for index, modality in INDEXES.items():
        for name, cap in CAPS.items():
            row = Row(PART, index, "", str(modality), name, {}, 0.0, commit(), today())
            make = partial(_row, row, bench, modality, cap)
            path = store.path(PART, name, key, index.replace(" ", "-"))
            if {Modality.TEXT, modality} <= known.keys() and (kept := store.row(path, make)):
                yield kept


def _row(row: Row, bench: Bench, index: Modality, cap: int | None) -> Row:
    return replace(row, scores=bench.measured(index, cap))


def own(found: Neighbours, patients: list[str]) -> int:
    """How many studies that give context are of the patient who gets it."""
    return sum(
        patients[other] == patients[at] for at, others in enumerate(found.of) for other in others
    )


def figures(report: ArchiveReport) -> dict[str, float]:
    """Every figure by a name of its own: `most`, `ratio sex female`, `share age 20 to 39 years`."""
    found = {
        "studies": float(report.studies),
        "patients": float(report.patients),
        "most": float(report.most),
        "never": float(report.never),
        "inequality": report.inequality,
        "warnings": float(len(report.warnings)),
    }
    for what, groups in report.by.items():
        for name, share in groups.items():
            group = f"{what} {name}"
            found |= {f"n {group}": float(share.studies), f"share {group}": share.archive}
            found |= {f"ratio {group}": share.ratio}
    return found
