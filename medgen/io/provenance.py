"""What the writers say, inside every file they make, about how it was made."""

from dataclasses import dataclass

from medgen import __version__


@dataclass(frozen=True)
class Provenance:
    """How a synthetic image came to be; holds nothing that identifies a patient.

    Attributes:
        task: The verb that made it: `translate`, `phantom`.
        model: Name of the model, or of the simulator.
        model_sha256: Hash of the model's card; empty for a simulator.
        seed: Seed of the first sample; None where nothing was random.
        steps: Evaluations of the sampler; None for a single regression.
        is_sigma: Whether the voxels are one standard deviation of an image, and not the image.
    """

    task: str
    model: str
    model_sha256: str = ""
    seed: int | None = None
    steps: int | None = None
    is_sigma: bool = False

    @property
    def sentence(self) -> str:
        """One sentence for DICOM's DerivationDescription and NIfTI's header comment.

        Example:
            >>> Provenance("translate", "base", "0123456789abcdef", seed=7).sentence
            'SYNTHETIC image by medgen 0.1.0: translate, model base (0123456789ab), seed 7'
        """
        return self.sentence_of("standard deviation of an image" if self.is_sigma else "image")

    def sentence_of(self, what: str) -> str:
        """The same of anything else, such as a report."""
        model = f"{self.model} ({self.model_sha256[:12]})" if self.model_sha256 else self.model
        parts = [self.task, f"model {model}"]
        if self.seed is not None:
            parts.append(f"seed {self.seed}")
        if self.steps is not None:
            parts.append(f"{self.steps} steps")
        return f"SYNTHETIC {what} by medgen {__version__}: {', '.join(parts)}"
