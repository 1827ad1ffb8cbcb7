"""What the training of a finder is asked to do."""

from dataclasses import dataclass, field

from medgen.align.augment import AugmentConfig
from medgen.config import check_least
from medgen.data.standard import StandardConfig
from medgen.encoders.finder import FinderConfig
from medgen.errors import UsageError
from medgen.tasks.fitting.config import FitConfig

KINDS = ("xray", "xray:lateral", "ct", "mri")  # of images that a finder may read


@dataclass(frozen=True)
class FinderTrainConfig:
    """What `medgen train --round report:finder` is asked to do."""

    init: str | None = None  # a model whose other parts are kept
    looking: float = 0.3  # weight of: a claim looks where the finding is; with masks
    grounding: float = 1.0  # weight of: cells say which findings lie in them; with masks
    details: float = 0.1  # weight of size, severity and region
    drop: float = 0.3  # share of the images of a study with several that are not shown
    max_bad: float = 0.05  # share of the studies that may be unreadable
    allow_outside: bool = False  # the manifest may name files outside its folder
    cache: str | None = None  # folder that keeps images as encoders take them
    calibrate: str | None = None  # manifest of what calibrates the answers; if none, a tenth
    grows: bool = False  # findings that the finder of init does not know become claims of it
    freeze: tuple[str, ...] = ()  # modules that stay as they are, such as query or stacks.xray
    card: str | None = None  # TOML with name, summary, licence and data of the model
    finder: FinderConfig = field(default_factory=FinderConfig)
    standard: StandardConfig = field(default_factory=StandardConfig)
    augment: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(degrees=5.0, zoom=0.07, shift=0.04, erase=0.0)
    )
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=4000,
            batch=32,
            learning_rate=2e-3,
            weight_decay=0.05,
            ema_decay=0.99,
            device="auto",
        )
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        check_least(self, 0, "looking", "grounding", "details")
        if not 0 <= self.drop < 1 or not 0 <= self.max_bad <= 1:
            raise UsageError("drop must be in [0, 1), and max_bad in [0, 1]")
        if not set(self.finder.kinds) <= set(KINDS) or not self.finder.kinds:
            raise UsageError(f"finder.kinds: name some of {', '.join(KINDS)}")
