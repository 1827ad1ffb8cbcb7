"""What flows in company learn from: latents of one study at one time, and what each is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from medgen.align.gather import gathered
from medgen.align.invariant import invariance_loss
from medgen.align.temperature import Temperature
from medgen.crossguide.agreement import agreement_losses
from medgen.crossguide.environment import Environment
from medgen.crossguide.flows import CrossGuide
from medgen.diffusion.noise import generator_for
from medgen.modality import Modality
from medgen.shapes import Latent, Time
from medgen.tasks.flows.conditions import conditions_of
from medgen.tasks.flows.flow import Flow
from medgen.tasks.flows.items import FlowItem, FlowItems, FlowLoss, FlowStudy
from medgen.tasks.studies import one_of


@dataclass(frozen=True)
class CrossItem:
    """One study.

    Attributes:
        items: Of each flow, by its name; all at the time of the first.
        again: More noise for the images, for the visual invariant.
        group: Studies of one group are not each other's negatives.
        is_short: Flows hear each other's places in the shared space, and nothing else.
    """

    items: Mapping[str, FlowItem]
    again: Mapping[str, Tensor]
    group: int
    is_short: bool = False

    @property
    def time(self) -> float:
        """Of all flows (CoDi draws one time a batch; here each study has its own)."""
        return next(iter(self.items.values())).time


@dataclass(frozen=True)
class CrossItems:
    """Item number -> item: a pure function, whatever was asked before.

    Attributes:
        studies: Each as every flow learns from it.
        deal: How each flow's item is dealt.
        seed: Decides everything random.
        short: Share of the studies of which flows hear places only, so that they can also hear
            flows that they are never trained with.
    """

    studies: Sequence[Mapping[str, FlowStudy]]
    deal: Mapping[str, FlowItems]
    seed: int
    short: float = 0.0

    def __call__(self, number: int) -> CrossItem:
        """A study in random order."""
        generator = generator_for(self.seed, number)
        study = one_of(self.studies, generator)
        items = {name: self.deal[name].of(study[name], generator) for name in self.deal}
        again = {
            name: _noise_like(item.clean, generator)
            for name, item in items.items()
            if name != Modality.TEXT
        }
        is_short = float(torch.rand((), generator=generator)) < self.short
        return CrossItem(items, again, next(iter(study.values())).group, is_short)


def _noise_like(clean: Tensor, generator: Generator) -> Tensor:
    return torch.randn(clean.shape, generator=generator)


class CrossTraining(nn.Module):
    """What a round teaches: what flows tell each other, and how sharply latents are told apart."""

    def __init__(self, guide: CrossGuide) -> None:
        super().__init__()
        self.guide = guide
        self.temperature = Temperature()


@dataclass(frozen=True)
class CrossLoss:
    """Guide and items in, loss terms out: each flow's error, agreement, and the visual invariant.

    Attributes:
        flows: By name; they stay as they are.
        reader: Knows what each flow is told.
        agreement: Weight of: latents of one study lie together.
        invariant: Weight of: an image's environment is the same whatever its noise.

    Source: Zhan et al. 2024, section 3.3 (arXiv:2403.04290).
    """

    flows: Mapping[str, Flow]
    reader: FlowLoss
    agreement: float
    invariant: float

    @property
    def names(self) -> list[str]:
        """Of the flows, in an order that does not depend on how they were given."""
        return sorted(self.flows)

    def __call__(
        self, training: CrossTraining, items: Sequence[CrossItem]
    ) -> dict[str, Float[Tensor, ""]]:
        """The terms have the same names every time."""
        guide = training.guide
        device = training.temperature.log_scale.device
        time = torch.tensor([item.time for item in items], device=device)
        clean, noise = (
            {name: self._stacked(items, name, what).to(device) for name in self.names}
            for what in ("clean", "noise")
        )
        noisy = self._noised(clean, noise, time)
        told = guide.tell(noisy, time)
        terms: dict[str, Tensor] = {}
        for name in self.names:
            if guide.heard(name, told):  # another's error nobody can change
                predicted = self._predicted(guide, name, told, noisy[name], time, items)
                squares = (predicted - (clean[name] - noise[name])).square()
                terms[name] = (squares * self.flows[name].weight(time, squares.ndim)).mean()
        groups = torch.tensor([item.group for item in items], device=device)
        scale = training.temperature()
        for pair, loss in agreement_losses(told, scale, groups).items():
            terms[f"agreement-{pair}"] = self.agreement * loss
        if self.invariant:
            terms |= self._invariants(guide, told, clean, time, items)
        total = torch.stack(list(terms.values())).sum()
        return {"total": total, **{name: term.detach() for name, term in terms.items()}}

    def _predicted(
        self,
        guide: CrossGuide,
        name: str,
        told: Mapping[str, Environment],
        noisy: Latent,
        time: Time,
        items: Sequence[CrossItem],
    ) -> Latent:
        """What a flow answers; studies whose places alone it hears go through it by themselves."""
        flow, predicted = self.flows[name], torch.zeros_like(noisy)
        for is_short in (False, True):
            those = [at for at, item in enumerate(items) if item.is_short == is_short]
            if those:
                words = self.reader.told([items[at].items[name] for at in those], noisy.device)
                heard = {one: of.of(those) for one, of in told.items()}
                with guide.hearing(name, flow.network, heard, is_short=is_short):
                    answer = flow(noisy[those], time[those], conditions_of(words))
                predicted[those] = answer.float()
        return predicted

    def _invariants(
        self,
        guide: CrossGuide,
        told: Mapping[str, Environment],
        clean: Mapping[str, Latent],
        time: Time,
        items: Sequence[CrossItem],
    ) -> dict[str, Tensor]:
        """The visual invariant of each image flow: two noisings of an image are told alike."""
        images = [
            name
            for name in self.names
            if name != Modality.TEXT and name in told and told[name].embedding.requires_grad
        ]
        again = {
            name: torch.stack([item.again[name] for item in items]).to(clean[name])
            for name in images
        }
        views = guide.tell(self._noised({n: clean[n] for n in images}, again, time), time)
        return {
            f"invariant-{name}": self.invariant
            * invariance_loss(gathered(told[name].embedding), gathered(views[name].embedding))
            / told[name].embedding.shape[1]
            for name in images
        }

    def _noised(
        self, clean: Mapping[str, Latent], noise: Mapping[str, Latent], time: Time
    ) -> dict[str, Latent]:
        return {
            name: self.flows[name].process.at(time).over(latent)(latent, noise[name])
            for name, latent in clean.items()
        }

    @staticmethod
    def _stacked(items: Sequence[CrossItem], name: str, what: str) -> Tensor:
        return torch.stack([getattr(item.items[name], what) for item in items])
