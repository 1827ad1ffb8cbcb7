"""How a report is asked for: the numbers and words a person chooses."""

import math
from dataclasses import dataclass
from typing import Literal

from medgen.errors import UsageError

BUILT_IN = "flows"  # the bundled model
INVENTED = (0.01, 0.4)  # between these an operating point lies


@dataclass(frozen=True)
class ReportConfig:
    """What `medgen report` is asked to do."""

    engine: Literal["tokens", "latent"] = "tokens"  # a writer of facts, or a flow of reports
    prior: str | None = None  # an earlier image or report of the patient
    indication: str = ""  # why the images were made
    operating_point: float | None = None  # see `threshold_of`; None tells what is likelier than not
    decoding: Literal["beam", "nucleus"] = "beam"  # the likeliest words, or drawn ones
    beams: int = 4  # texts that are followed at once
    nucleus: float = 0.9  # share of the chance that words are drawn from
    length: float = 1.0  # above 1: longer texts
    longest: int = 192  # tokens at most
    number: int = 1  # candidates, of which the one most like the images is told
    steps: int = 12  # of the latent engine's sampler
    guidance: float = 2.0  # how hard that is pushed towards the images; 1 does not push
    allow_mixed: bool = False  # the images may be of several patients
    keep_patient: bool = False  # a DICOM report keeps the patient of the images, and names them
    force: bool = False  # go on with images unlike those of training
    overwrite: bool = False  # replace results that exist
    model: str = BUILT_IN  # a bundled model's name, or a folder
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    seed: int = 0  # of what is drawn

    def __post_init__(self) -> None:
        """Raises UsageError for a word or a number that makes no sense."""
        if self.engine not in ("tokens", "latent") or self.decoding not in ("beam", "nucleus"):
            raise UsageError("engine is tokens or latent, and decoding beam or nucleus")
        low, high = INVENTED
        if self.operating_point is not None and not low <= self.operating_point <= high:
            raise UsageError(
                f"--operating-point {self.operating_point:g}: choose {low:g} to {high:g}"
            )
        for name in ("beams", "number", "steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; choose 1 or more")
        if not 0 < self.nucleus <= 1 or not 0 <= self.length < math.inf or self.longest < 2:
            raise UsageError("nucleus is in (0, 1], length 0 or more, and longest 2 or more")
        if not 0 <= self.guidance < math.inf:
            raise UsageError("guidance is 0 or more, and finite")
