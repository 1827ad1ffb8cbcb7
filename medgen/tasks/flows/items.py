"""What a flow learns from: a clean latent, its noise and time, and what is told of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from medgen.diffusion.loss import logit_normal_times
from medgen.diffusion.noise import generator_for
from medgen.encoders.text import TextEncoder
from medgen.encoders.tokenizer import Tokenizer
from medgen.errors import UsageError
from medgen.modality import Modality
from medgen.tasks.flows.conditions import Told, conditions_of, told_texts
from medgen.tasks.flows.flow import Flow
from medgen.tasks.studies import one_of

KEPT = 20_000  # texts whose tokens stay in memory: half a gigabyte
LOGIT = 0.4  # usual mean of the times' logit


@dataclass(frozen=True)
class TimesConfig:
    """How noisy the latents are that a flow learns from: the logit of the time is Gaussian.

    What an image shows is decided where there is nearly nothing but noise. The more cells say the
    same, the more noise it takes until only the conditions tell.

    Attributes:
        mean: Of the logit; 0 is as much noise as latent.
        deviation: Of the logit.

    Source: Esser et al. 2024, sections 3.1 and 5.3.2 (arXiv:2403.03206).
    """

    mean: float = LOGIT
    deviation: float = 1.0

    def __post_init__(self) -> None:
        """Raises UsageError for a spread that is none."""
        if not self.deviation > 0:
            raise UsageError(f"times.deviation {self.deviation:g}: choose a number above 0")


@dataclass(frozen=True)
class FlowStudy:
    """A study as a flow learns from it; half precision.

    Attributes:
        latents: Of its images, or of its reports; each as likely.
        texts: Reports that all say what is there; none where the flow is not told of text.
        seen: What the encoders say of its other images.
        found: Of each latent, 1 in the cells where the report finds something; nothing where
            nobody has drawn it.
        group: Studies of one group have reports that say the same is there.
        scans: How each volume is scanned; nothing for text and radiographs.
    """

    latents: Sequence[Tensor]
    texts: Sequence[str] = ()
    seen: Mapping[Modality, Sequence[Told]] = field(default_factory=dict)
    found: Sequence[Tensor] = ()
    group: int = 0
    scans: Sequence[Told] = ()


@dataclass(frozen=True)
class FlowItem:
    """One thing to learn.

    Attributes:
        clean: The latent.
        noise: What it is mixed with.
        time: How far, 0 … 1.
        text: What is said of it; empty if it is told nothing; None if images are told only.
        seen: What is told of its other images.
        is_short: Only where the text lies in the shared space is told, not its words.
        found: Cells that its text speaks of, 1; None if it is not told them, or nobody knows.
        scan: How it is scanned, which is always told; None for text and radiographs.
    """

    clean: Tensor
    noise: Tensor
    time: float
    text: str | None
    seen: Sequence[Told]
    is_short: bool = False
    found: Tensor | None = None
    scan: Told | None = None


@dataclass(frozen=True)
class FlowItems:
    """Item number -> item: a pure function, whatever was asked before.

    Any subset of what is known of a study is told, each as likely; of the share `drop`, nothing.
    Of each thing, the share `short` is told by its place in the shared space alone: so the flow
    can also be told what only other encoders have seen.

    Source: multi-prompt training is MedM2G, section 3.2 (arXiv:2403.04290); the share is that of
    Ho & Salimans 2022 (arXiv:2207.12598).
    """

    studies: Sequence[FlowStudy]
    drop: float
    short: float
    seed: int
    times: TimesConfig = field(default_factory=TimesConfig)

    def __call__(self, number: int) -> FlowItem:
        """A study in random order."""
        generator = generator_for(self.seed, number)
        return self.of(one_of(self.studies, generator), generator)

    def of(self, study: FlowStudy, generator: Generator) -> FlowItem:
        """What is learned of one study this time."""
        which = one_of(range(len(study.latents)), generator)
        clean = study.latents[which].float()
        noise = torch.randn(clean.shape, generator=generator)
        mean, deviation = self.times.mean, self.times.deviation
        time = float(logit_normal_times(1, generator, mean=mean, deviation=deviation))
        told = self._told(study, generator)
        text = None if told else ""
        if Modality.TEXT in told:
            text = one_of(study.texts, generator)
        seen = [one_of(study.seen[name], generator) for name in told if name is not Modality.TEXT]
        seen = [one.shared if self._is_short(generator) else one for one in seen]
        is_short = bool(text) and self._is_short(generator)
        found = study.found[which].float() if text and study.found else None
        scan = study.scans[which] if study.scans else None
        return FlowItem(clean, noise, time, text, seen, is_short, found, scan)

    def _told(self, study: FlowStudy, generator: Generator) -> list[Modality]:
        known = [*((Modality.TEXT,) if study.texts else ()), *study.seen]
        if not known or float(torch.rand((), generator=generator)) < self.drop:
            return []
        chosen = int(torch.randint(1, 2 ** len(known), (), generator=generator))
        return [name for at, name in enumerate(known) if chosen >> at & 1]

    def _is_short(self, generator: Generator) -> bool:
        return float(torch.rand((), generator=generator)) < self.short


@dataclass(frozen=True)
class FlowLoss:
    """Flow and items in, its squared error out: the flow's target is clean minus noise.

    Attributes:
        encoder: Of the texts.
        tokenizer: Its own.
        focus: What an error counts more where the text finds something. A lesion is a few cells of
            a thousand; without, what the text says of it is learned last.
    """

    encoder: TextEncoder
    tokenizer: Tokenizer
    focus: float = 0.0
    known: dict[str, Told] = field(default_factory=dict)  # read once: the encoder stays as it is

    def __call__(self, flow: Flow, items: Sequence[FlowItem]) -> dict[str, Tensor]:
        """The total, and the plain error by thirds of the time; 0 where there is none."""
        device = next(flow.parameters()).device
        clean = torch.stack([item.clean for item in items]).to(device)
        noise = torch.stack([item.noise for item in items]).to(device)
        time = torch.tensor([item.time for item in items], device=device)
        noisy = flow.process.at(time).over(clean)(clean, noise)
        predicted = flow(noisy, time, conditions_of(self.told(items, device))).float()
        squares = (predicted - (clean - noise)).square() * flow.weight(time, clean.ndim)
        errors = squares.detach().flatten(1).mean(1)
        nowhere = torch.zeros(clean.shape[2:])
        found = [nowhere if item.found is None else item.found for item in items]
        weight = 1 + self.focus * torch.stack(found)[:, None].to(device)
        return {"total": (weight * squares).mean(), **by_thirds(errors, time)}

    def told(self, items: Sequence[FlowItem], device: torch.device) -> list[list[Told]]:
        """What the flow is told of each item."""
        self._read({item.text for item in items if item.text is not None})
        told = []
        for item in items:
            things = [one.to(device) for one in item.seen]
            things += [item.scan.to(device)] if item.scan is not None else []
            if item.text is not None:
                text = self.known[item.text].to(device)
                things.append(text.shared if item.is_short else text)
            told.append(things)
        return told

    def texts(self, texts: Collection[str]) -> list[Told]:
        """What texts say, each read once; half precision, on the CPU."""
        self._read(set(texts))
        return [self.known[text] for text in texts]

    def _read(self, texts: set[str]) -> None:
        """Let the encoder read what it has not; what it says is kept in half precision.

        Each text alone: in company, the last bits depend on the longest, and a resumed run would
        part from one that was never stopped.
        """
        if len(self.known) + len(texts) > KEPT:
            self.known.clear()
        for text in sorted(texts - self.known.keys()):
            (one,) = told_texts(self.encoder, self.tokenizer, [text])
            context, embedding = one.context.half().cpu(), one.embedding.half().cpu()
            self.known[text] = one._replace(context=context, embedding=embedding)


def by_thirds(errors: Tensor, time: Tensor) -> dict[str, Tensor]:
    """The mean error of early, middle and late times; 0 where there is none."""
    third = (3 * time).long().clamp(max=2)
    names = ("early", "middle", "late")
    return {
        name: torch.where(third == at, errors, 0).sum() / (third == at).sum().clamp(min=1)
        for at, name in enumerate(names)
    }
