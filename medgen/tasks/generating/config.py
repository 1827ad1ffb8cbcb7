"""How images are asked for: the numbers and words a person chooses."""

import math
from dataclasses import dataclass

from medgen.diffusion.sampler import sample_ddim, sample_dpm_solver, sample_euler, sample_heun
from medgen.errors import UsageError
from medgen.modality import FACTS, Kind, Modality

BUILT_IN = "flows"  # the bundled model
SAMPLERS = {
    "dpm": sample_dpm_solver,
    "euler": sample_euler,
    "heun": sample_heun,
    "ddim": sample_ddim,
}
FINISH = 0.05  # of radiographs; in volumes, detail of cells of 8 voxels would be blotches


@dataclass(frozen=True)
class GenerateConfig:
    """What `medgen generate` is asked to do."""

    modality: str = "xray"  # what is made; several, with commas between them, of one patient
    sources: tuple[str, ...] = ()  # images that it is told of, besides the prompt
    weights: tuple[float, ...] = ()  # how much each source counts; the prompt counts 1
    references: tuple[str, ...] = ()  # what the text's marks point at: N=FILE[:ROLE[:CAPTION]]
    number: int = 1  # samples of a prompt
    steps: int = 12  # of the sampler
    shift: float = 5.0  # of its steps: 1 spreads them evenly, above it most lie near the noise
    finish: float | None = None  # time at which the last step begins; 0: where the shift puts it
    sampler: str = "dpm"  # dpm, euler, heun or ddim
    guidance: float | None = None  # how hard it is pushed; 1 does not; what suits the flow if none
    reference_guidance: float | None = (
        None  # towards references alone; none: with the text, at once
    )
    rescale: float = 0.0  # of what pushing adds to the contrast, the share that is taken back
    interval: tuple[float, float] = (0.0, 1.0)  # times at which it is pushed; 0 is clean, 1 noise
    refine: bool = False  # make it at twice the resolution
    refine_steps: int = 4  # of the refiner's sampler
    best_of: int = 1  # candidates for each sample; the one that shows the prompt best is kept
    together: int = 4  # samples at once
    cross: bool = True  # of several: they listen to each other; without, they share the text alone
    unconditional: bool = False  # allow an empty prompt
    strict: bool = False  # refuse a prompt of which part would be lost
    retell: bool = True  # tell what was understood, in the words of training, not the prompt's own
    format: str = ""  # radiographs: png or dicom; volumes: nifti or dicom; the first if not given
    spacing: float | None = None  # of a volume's voxels, mm; what suits the prompt if not given
    force: bool = False  # go on where an image given is unlike those of training
    overwrite: bool = False  # replace results that exist
    model: str = BUILT_IN  # a bundled model's name, or a folder
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    seed: int = 0  # of all samples; sample k is the same alone and among many

    def __post_init__(self) -> None:
        """Raises UsageError for a word or a number that makes no sense."""
        for kind in self.kinds:
            self._check(kind)
        named = [kind.modality for kind in self.kinds]
        if twice := [name for name in named if named.count(name) > 1]:
            raise UsageError(
                f"--modality {self.modality}: names {twice[0]} twice; one of each is made together"
            )
        if self.sampler not in SAMPLERS:
            raise UsageError(f"sampler {self.sampler}: is not one of {', '.join(SAMPLERS)}")
        if self.spacing is not None and set(named) == {Modality.XRAY}:
            raise UsageError("--spacing: is for volumes; nobody knows a radiograph's")
        if self.weights and len(self.weights) != len(self.sources):
            raise UsageError(f"{len(self.weights)} weights for {len(self.sources)} images")
        if not all(0 <= weight < math.inf for weight in self.weights):
            raise UsageError("a weight is 0 or more, and finite")
        for name in ("number", "steps", "best_of", "together", "refine_steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; choose 1 or more")
        if not 0 < self.shift < math.inf:
            raise UsageError(f"shift is {self.shift:g}; choose a number above 0, 1 for even steps")
        if not 0 <= (self.finish or 0) < 1:
            raise UsageError(f"finish is {self.finish:g}; choose a time from 0 to below 1")
        if not 0 <= (self.reference_guidance or 0) < math.inf:
            raise UsageError("reference_guidance is 0 or more, and finite; 1 does not push")
        if not 0 <= (self.guidance or 0) < math.inf or not 0 <= self.rescale <= 1:
            raise UsageError("guidance is 0 or more, and finite, and rescale in [0, 1]")
        if not 0 <= self.interval[0] <= self.interval[1] <= 1:
            raise UsageError("interval is two times from 0, clean, to 1, noise; the smaller first")

    def _check(self, kind: Kind) -> None:
        """Raises UsageError for a kind that cannot be made, or not be written so."""
        if kind.modality is Modality.TEXT:
            raise UsageError("--modality text: is what `medgen report` is for")
        if kind.view:
            raise UsageError(
                f"--modality {kind}: use `medgen translate --to xray --view {kind.view}` of a CT"
            )
        if self.format and self.format not in formats_of(kind):
            words = " or ".join(formats_of(kind))
            raise UsageError(f"--format {self.format}: {kind} is written as {words}")
        if kind == Kind(Modality.MRI):
            raise UsageError("--modality mri: has to say how it is weighted: mri:t1, for one")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is made."""
        return tuple(Kind.parse(word.strip()) for word in self.modality.split(","))

    def weights_of(self, sources: int) -> tuple[float, ...]:
        """How much each of so many images counts; all as much as the text, if nobody says."""
        return self.weights or (1.0,) * sources

    @property
    def is_told_images(self) -> bool:
        """Whether any source counts."""
        return any(self.weights_of(len(self.sources)))

    @property
    def finishes(self) -> float:
        """When the last step begins: what suits, if nobody says."""
        if self.finish is not None:
            return self.finish
        return FINISH if all(map(is_flat, self.kinds)) else 0.0


def formats_of(kind: Kind) -> tuple[str, ...]:
    """What a kind can be written as; the first is the default."""
    return ("png", "dicom") if is_flat(kind) else ("nifti", "dicom")


def is_flat(kind: Kind) -> bool:
    """Whether it has two axes."""
    return FACTS[kind.modality].axes == 2
