"""Several flows walked at one time, each told what the others are about to make."""

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Size, Tensor, nn

from medgen.crossguide.environment import Environment, EnvironmentEncoder
from medgen.crossguide.listener import SHARED, Listener
from medgen.diffusion.denoiser import Denoise
from medgen.diffusion.process import AbstractProcess
from medgen.shapes import Latent, Time

Together = Float[Tensor, "batch numbers"]
"""The latents of all flows, one after the other: what a sampler walks as if it were one."""


@dataclass(frozen=True)
class Voice:
    """A flow in company.

    Attributes:
        network: What a listener attaches to.
        denoise: Context and guidance are already inside.
    """

    network: nn.Module
    denoise: Denoise


@dataclass(frozen=True)
class Known:
    """A latent that is not made but given; it is noised to each time, and the others hear it.

    Attributes:
        clean: The latent.
        noise: The same at every time.
    """

    clean: Latent
    noise: Latent

    def at(self, process: AbstractProcess, time: Time) -> Latent:
        """As it would be at a time."""
        mix = process.at(time).over(self.clean)
        noisy: Latent = mix(self.clean, self.noise)
        return noisy


class CrossGuide(nn.Module):
    """Environment encoders and listeners of several flows, by the flows' names.

    Args:
        environments: What each flow tells.
        listeners: How each flow listens; one that has none hears nothing.
    """

    def __init__(
        self,
        environments: Mapping[str, EnvironmentEncoder],
        listeners: Mapping[str, Listener],
    ) -> None:
        super().__init__()
        self.environments = nn.ModuleDict(environments)
        self.listeners = nn.ModuleDict(listeners)

    def tell(self, noisy: Mapping[str, Latent], time: Time) -> dict[str, Environment]:
        """What each flow tells of its noisy latent; those without an encoder tell nothing."""
        return {
            name: self.environments[name](latent, time)
            for name, latent in noisy.items()
            if name in self.environments
        }

    def heard(self, name: str, others: Collection[str]) -> dict[str, bool]:
        """Whom a flow hears among others, and whether by all that they tell.

        A flow that it was never trained with it hears by its place in the shared space. Itself it
        hears only if it was trained to.

        Args:
            name: The flow.
            others: Names of flows that tell something.

        Returns:
            By name: True by all their tokens, False by their place alone.
        """
        if name not in self.listeners:
            return {}
        config = cast(Listener, self.listeners[name]).config
        return {
            one: one in config.sources
            for one in sorted(others)
            if one in config.sources or (config.shared and one != name)
        }

    def hearing(
        self,
        name: str,
        network: nn.Module,
        told: Mapping[str, Environment],
        *,
        is_short: bool = False,
    ) -> ExitStack:
        """A context in which a flow's network hears all others that it can.

        Args:
            name: The flow.
            network: Its own.
            told: What flows tell, by name.
            is_short: It hears nothing but their places in the shared space.
        """
        stack = ExitStack()
        whom = self.heard(name, told)
        if whom:
            listener = cast(Listener, self.listeners[name])
            is_short = is_short and bool(listener.config.shared)
            whole = {one for one, is_whole in whom.items() if is_whole and not is_short}
            said = {one: told[one].tokens for one in whole}
            places = [told[one].embedding[:, None] for one in whom if one not in whole]
            if places:
                said[SHARED] = torch.cat(places, dim=1)
            stack.enter_context(listener.attached(network, said))
        return stack


class Layout:
    """Where each flow's latent lies in the latent of all.

    Args:
        shapes: Channels and grid of each flow's latent, by its name; any order is the same.
    """

    def __init__(self, shapes: Mapping[str, Size | tuple[int, ...]]) -> None:
        self.shapes = {name: Size(shapes[name]) for name in sorted(shapes)}

    def joined(self, latents: Mapping[str, Latent]) -> Together:
        """All latents in one."""
        return torch.cat([latents[name].flatten(1) for name in self.shapes], dim=1)

    def parted(self, together: Together) -> dict[str, Latent]:
        """Each flow's own."""
        parts = together.split([shape.numel() for shape in self.shapes.values()], dim=1)
        return {
            name: part.unflatten(1, shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }


def together(
    voices: Mapping[str, Voice],
    guide: CrossGuide,
    layout: Layout,
    process: AbstractProcess,
    known: Mapping[str, Known] | None = None,
) -> Denoise:
    """One denoiser of all latents, which any sampler walks.

    Args:
        voices: The flows, by name; all have the same process.
        guide: What they tell each other.
        layout: Of their latents.
        process: Theirs.
        known: Latents that are given; nobody makes them, and all hear them.

    Source: joint sampling is Tang et al. 2023, section 3.4 (arXiv:2305.11846); a given latent that
    is noised to each time is how Zhan et al. 2024 translate (arXiv:2403.04290).
    """

    def denoise(noisy: Latent, time: Time) -> Latent:
        parts = layout.parted(noisy)
        given = {name: one.at(process, time) for name, one in (known or {}).items()}
        told = guide.tell(parts | given, time)
        clean = {}
        for name, voice in voices.items():
            with guide.hearing(name, voice.network, told):
                clean[name] = voice.denoise(parts[name], time)
        return layout.joined(clean)

    return denoise
