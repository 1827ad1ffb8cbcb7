"""The studies that are reported, each set read once, and the command that reports them."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from benchmarks import heldout_studies
from benchmarks.report_baseline import NORMALS
from benchmarks.train_flows import MORE, REFERENCE
from medgen.data.manifest import read_manifest
from medgen.data.study import Study
from medgen.finding import Presence
from medgen.io import files
from medgen.modality import Modality
from medgen.tasks.batch import MANIFEST
from medgen.tasks.facts import FACTS, read_facts
from medgen.tasks.finder.model import load_finder
from medgen.tasks.report import Report, report, rows_of
from medgen.tasks.reporting.config import ReportConfig
from medgen.tasks.reporting.images import with_kinds
from medgen.tasks.reporting.table import Row

NORMAL = 200
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Sets:
    """All that is reported, each read once."""

    data: Path
    model: str
    studies: Path

    @cached_property
    def held_out(self) -> list[Study]:
        """Chests of formulas, whose reports are in held-out words."""
        return heldout_studies.chests(self.data, self.studies / "heldout")

    @cached_property
    def training(self) -> list[Study]:
        """What the writer was trained on, as far as the flows were, too."""
        return list(read_manifest(self.studies / MORE))

    @cached_property
    def normals(self) -> list[Study]:
        """Chests in which nothing is wrong: a heart may be large though nobody drew it so."""
        listed = read_manifest(self.studies / NORMALS / MANIFEST)
        return [study for study in listed if not is_ill(study)][:NORMAL]

    @property
    def reference(self) -> list[Study]:
        """Chests that nothing was trained on, in the words of training."""
        return list(read_manifest(self.studies / REFERENCE))

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Of which images the finder knows something."""
        return load_finder(self.model, CPU).finder.config.kinds

    @property
    def config(self) -> ReportConfig:
        """The command's defaults."""
        return ReportConfig(model=self.model, device="cpu", force=True)

    def report(self, study: Study, **changed: object) -> Report:
        """What the command says of a study's radiograph."""
        images = with_kinds([files.read(study.of(Modality.XRAY)[0])], [None])
        return report(images, replace(self.config, **changed))  # type: ignore[arg-type]

    def rows(self, path: Path) -> list[Row]:
        """The table of any radiograph."""
        return rows_of(with_kinds([files.read(path)], [None]), self.config)


def is_ill(study: Study) -> bool:
    """Whether anything is to be found in a simulated study."""
    facts = read_facts(study.of(Modality.XRAY)[0].parent / FACTS)
    return any(one.finding.presence is not Presence.ABSENT for one in facts)
