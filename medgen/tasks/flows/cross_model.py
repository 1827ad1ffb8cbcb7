"""What flows tell each other, as parts of a model folder: an environment and a listener each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast

from torch import Tensor

from medgen.checkpoint import Card, save_model, verify
from medgen.config import check_least, check_parts, from_mapping, to_mapping
from medgen.crossguide.environment import EnvironmentConfig, EnvironmentEncoder
from medgen.crossguide.flows import CrossGuide
from medgen.crossguide.listener import Listener, ListenerConfig, listener_for
from medgen.errors import UsageError
from medgen.tasks.flows.flow import Flow
from medgen.tasks.model_parts import filled, parts_of

Config = TypeVar("Config")
ENVIRONMENT, LISTENER = "environment", "listener"


@dataclass(frozen=True)
class CrossConfig:
    """The size of what flows tell each other.

    Attributes:
        width: Of the tokens, and of the listeners' attention.
        embedding: Of the place in the space that latents share.
        heads: Of the listeners.
        most: Cells along each axis that an image tells, at most; of text it is all of them.
        own: Each flow hears itself and nobody else, as in the code that CoDi's authors released;
            to be measured against.
    """

    width: int = 64
    embedding: int = 64
    heads: int = 4
    most: int = 8
    own: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for a network that cannot be built."""
        check_parts("heads", self.heads, [self.width])
        check_least(self, 1, "embedding", "most")


def new_environment(flow: Flow, config: CrossConfig) -> EnvironmentEncoder:
    """An environment encoder that fits a flow, and has learned nothing."""
    grid = flow.config.grid
    halvings = 0
    while len(grid) > 1 and max(grid) >> halvings > config.most:
        halvings += 1
    shape = EnvironmentConfig(
        axes=len(grid),
        channels=flow.config.channels,
        halvings=halvings,
        width=config.width,
        embedding=config.embedding,
    )
    return EnvironmentEncoder(shape)


def load_guide(model: Path, flows: Mapping[str, Flow]) -> CrossGuide:
    """What a model's flows tell each other; a flow that has learned neither does neither.

    Args:
        model: Its folder.
        flows: The flows in company, by name.

    Raises:
        ModelError: If a part is damaged or does not fit.
    """
    card = verify(model)
    guide = guide_in(card, flows)
    for kind, modules in ((ENVIRONMENT, guide.environments), (LISTENER, guide.listeners)):
        for name, module in modules.items():
            filled(module, model, card, f"{kind}-{name}")
    return guide


def guide_in(card: Card, names: Iterable[str]) -> CrossGuide:
    """The same without weights: of the sizes that the card says."""
    environments, listeners = {}, {}
    for name in names:
        told, heard = f"{ENVIRONMENT}-{name}", f"{LISTENER}-{name}"
        if {told, heard} <= card.parts.keys():
            environments[name] = EnvironmentEncoder(_config(card, told, EnvironmentConfig))
            listeners[name] = Listener(_config(card, heard, ListenerConfig))
    return CrossGuide(environments, listeners)


def completed(guide: CrossGuide, flows: Mapping[str, Flow], config: CrossConfig) -> CrossGuide:
    """The same, with something new for every flow that it does not know.

    A listener that is there stays as it is, and hears a new flow by its place in the space that
    latents share: what an earlier round has taught is not taught again.

    Raises:
        UsageError: If their places in that space are of another length than asked for.

    Source: the freezing of Zhan et al. 2024, section 3.4 (arXiv:2403.04290), which is that of Tang
    et al. 2023 (arXiv:2305.11846).
    """
    environments: dict[str, EnvironmentEncoder] = {
        name: cast(EnvironmentEncoder, guide.environments[name])
        if name in guide.environments
        else new_environment(flow, config)
        for name, flow in flows.items()
    }
    if odd := {one.config.embedding for one in environments.values()} - {config.embedding}:
        raise UsageError(
            f"cross.embedding is {config.embedding}, but flows that have learned share places of "
            f"{min(odd)} numbers; say --set cross.embedding={min(odd)}"
        )
    widths = {name: one.config.width for name, one in environments.items()}
    listeners: dict[str, Listener] = {
        name: cast(Listener, guide.listeners[name])
        if name in guide.listeners
        else listener_for(
            flow.network,
            {one: width for one, width in widths.items() if (one == name) == config.own},
            width=config.width,
            heads=config.heads,
            shared=0 if config.own else environments[name].config.embedding,
        )
        for name, flow in flows.items()
    }
    return CrossGuide(environments, listeners)


def _config(card: Card, part: str, kind: type[Config]) -> Config:
    return from_mapping(kind, card.parts[part].config, origin=part)


def save_guide(
    folder: Path,
    card: Card,
    guide: CrossGuide,
    state: Mapping[str, Tensor],
    names: Sequence[str],
    *,
    beside: Path,
) -> Card:
    """Write what some flows tell and hear, with all that another model has.

    Args:
        folder: Where the model will be.
        card: Of the new model.
        guide: Of which the parts' sizes are.
        state: Its weights.
        names: The flows that have learned; the others' parts are those of the other model.
        beside: The other model.
    """
    parts, configs, extra = parts_of(beside)
    for name in names:
        for kind, module in (
            (ENVIRONMENT, guide.environments[name]),
            (LISTENER, guide.listeners[name]),
        ):
            prefix = f"{kind}s.{name}."
            parts[f"{kind}-{name}"] = {
                key.removeprefix(prefix): tensor
                for key, tensor in state.items()
                if key.startswith(prefix)
            }
            configs[f"{kind}-{name}"] = to_mapping(module.config)
    card = replace(card, extra=extra | card.extra)
    return save_model(folder, card, parts, configs=configs, overwrite=True)


def frozen(guide: CrossGuide, names: Sequence[str]) -> None:
    """Let what some flows tell and hear stay as it is."""
    for name in names:
        for module in (guide.environments[name], guide.listeners[name]):
            module.requires_grad_(False)
