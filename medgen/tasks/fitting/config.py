"""How to train: the numbers a person chooses, and the learning rate that follows from them."""

import math
from dataclasses import dataclass
from typing import Literal

from medgen.errors import UsageError


@dataclass(frozen=True)
class FitConfig:
    """How to train.

    Attributes:
        steps: Steps in all, earlier ones of a resumed run included.
        batch: Items a step, over all processes together.
        learning_rate: Peak of AdamW's learning rate.
        warmup: Steps in which the learning rate rises from 0 to its peak.
        decay: How it falls from there to the last step.
        min_lr_share: Where it ends, as a share of the peak, in [0, 1].
        weight_decay: AdamW's decay of matrices and kernels.
        clip_norm: Largest norm of the gradient; None leaves it as it is.
        ema_decay: Share that the averaged weights keep each step, in [0, 1).
        ema_warmup: The average begins at (1 + step) / (ema_warmup + step) if that is smaller.
        precision: `bf16` runs forward and loss under autocast; weights stay fp32. A CPU without
            instructions for it (AVX2 only) is many times slower so, which a warning says.
        compile: Let PyTorch compile the network, which takes a minute and a C++ compiler.
        seed: Decides, with an item's number, everything random.
        device: `auto`, `cpu`, `cuda`, `cuda:N`, `mps`.
        workers: Processes that make items ahead; never changes the result.
        minutes: Stop cleanly after so long, earlier runs included; the schedule ignores it.
        save_every_seconds: Write a snapshot this often, and at the end.
        save_every_steps: Write one every so many steps as well.
        keep: Snapshots that stay on disk.
        log_every: Steps per line of `metrics.jsonl`; a line holds their mean.
    """

    steps: int
    batch: int
    learning_rate: float = 2e-4
    warmup: int = 100
    decay: Literal["cosine", "linear", "none"] = "cosine"
    min_lr_share: float = 0.01
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    ema_decay: float = 0.999
    ema_warmup: int = 10
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    seed: int = 0
    device: str = "cpu"
    workers: int = 0
    minutes: float | None = None
    save_every_seconds: float = 300.0
    save_every_steps: int | None = None
    keep: int = 2
    log_every: int = 10

    def __post_init__(self) -> None:
        """Raises UsageError that names the field which makes no sense."""
        for name in ("steps", "batch", "keep", "log_every", "ema_warmup"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("warmup", "workers", "weight_decay"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be negative, but is {getattr(self, name)}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise UsageError(f"clip_norm must be above 0 or absent, not {self.clip_norm}")
        if self.minutes is not None and not self.minutes > 0:
            raise UsageError(f"minutes must be above 0 or absent, not {self.minutes:g}")
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not (0 <= self.ema_decay < 1 and 0 <= self.min_lr_share <= 1):
            raise UsageError("ema_decay must be in [0, 1) and min_lr_share in [0, 1]")


FREE_TO_CHANGE = {  # on resume: these do not touch the weights
    *("device", "compile", "workers", "minutes"),
    *("save_every_seconds", "save_every_steps", "keep", "log_every"),
}


def learning_rate(step: int, config: FitConfig) -> float:
    """The learning rate of a step (the first is 0): a linear rise, then the chosen fall.

    Example:
        >>> config = FitConfig(steps=110, batch=1, learning_rate=1.0, warmup=10, min_lr_share=0.0)
        >>> [round(learning_rate(step, config), 3) for step in (0, 9, 60, 110)]
        [0.1, 1.0, 0.5, 0.0]
    """
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    left = {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "none": 1.0}
    share = config.min_lr_share + (1 - config.min_lr_share) * left[config.decay]
    return config.learning_rate * share
