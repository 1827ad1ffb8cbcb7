"""What `medgen align` is asked to do."""

from dataclasses import dataclass, field

from medgen.align.augment import AugmentConfig
from medgen.align.central import Pairs
from medgen.config import check_least, check_once
from medgen.data.standard import StandardConfig, channels_of
from medgen.encoders.tokenizer import LEAST
from medgen.errors import UsageError
from medgen.modality import FACTS, Modality
from medgen.tasks.aligning.model import EncodersConfig
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.studies import IMAGES


@dataclass(frozen=True)
class AlignConfig:
    """What `medgen align` is asked to do."""

    init: str | None = None  # encoders to start from, with their tokenizer
    finder: str | None = None  # model whose finder the images are read by; it stays as it is
    train: tuple[str, ...] = tuple(Modality)  # encoders that learn; of images, no other is used
    pairs: Pairs = "hub"  # which modalities meet: each the text, or all of them
    wordings: float = 1.0  # weight of: two reports of a study say the same; while text learns
    decoys: int = 1  # reports with one fact changed, of each study, that mislead its images
    grounding: float = 1.0  # weight of: cells of an image say which findings are there; with masks
    patch: int = 0  # side of patches that encoders of images learn findings from, without reports
    cells: int = 0  # views of each image whose features are kept; then only their reader learns
    invariant: float = 0.1  # weight of the visual invariant
    diag_weight: float = 1.0  # of its diagonal; 0 is the paper's literal statement
    vocabulary: int = 2048  # most pieces of text that the tokenizer learns
    max_bad: float = 0.05  # share of the studies that may be unreadable
    allow_outside: bool = False  # the manifest may name files outside its folder
    cache: str | None = None  # folder that keeps images as the encoders take them
    card: str | None = None  # TOML with name, summary, licence and data of the model
    encoders: EncodersConfig = field(default_factory=EncodersConfig)
    standard: StandardConfig = field(default_factory=StandardConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=5000, batch=16, learning_rate=3e-4, weight_decay=0.05, device="auto"
        )
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        if self.fit.batch < 2:
            raise UsageError("a batch of one has nothing to be told from; choose --set fit.batch=2")
        weights = (self.invariant, self.grounding, self.wordings, self.diag_weight)
        if not all(weight >= 0 for weight in weights) or not 0 <= self.max_bad <= 1:
            raise UsageError("weights must not be negative, and max_bad must be in [0, 1]")
        strides = [getattr(self.encoders, name).stride for name in self.images]
        if self.patch < 0 or any(self.patch % stride for stride in strides):
            raise UsageError(
                f"patches of {self.patch}: choose a multiple of {max(strides, default=1)}"
            )
        if self.cells < 0 or (self.cells and self.patch):
            raise UsageError("choose cells, 1 or more views of each image, or patch, or neither")
        if not 1 <= self.decoys <= 100:
            raise UsageError(f"{self.decoys} decoys: choose 1 to 100")
        unknown = sorted(set(self.train) - set(Modality))
        if unknown or not self.train:
            words = ", ".join(Modality)
            raise UsageError(f"train {', '.join(unknown) or 'nothing'}: choose from {words}")
        check_once(self, "train")
        check_least(self, LEAST, "vocabulary")
        lengths = {str(name): getattr(self.encoders, name).embedding for name in Modality}
        if len(set(lengths.values())) > 1:
            raise UsageError(f"encoders: {lengths} differ in embedding; choose one for all")
        self._check_views()

    def _check_views(self) -> None:
        """Raises UsageError where an encoder cannot take the standard views of its modality."""
        for name in self.images:
            encoder = getattr(self.encoders, name)
            sizes = (self.standard.side,) * 2 if name is Modality.XRAY else self.standard.shape
            if any(size % encoder.stride for size in sizes):
                raise UsageError(
                    f"standard views of {name}, {' x '.join(map(str, sizes))}: choose multiples "
                    f"of {encoder.stride}, by which its encoder divides them"
                )
            facts = {"in_channels": channels_of(name), "spatial_dims": FACTS[name].axes}
            for key, value in facts.items():
                if getattr(encoder, key) != value:
                    raise UsageError(f"encoders.{name}.{key} is {value} for {name}; leave it out")

    @property
    def images(self) -> tuple[Modality, ...]:
        """The images that meet the text."""
        return tuple(each for each in IMAGES if each in self.train)
