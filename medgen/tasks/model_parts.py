"""The parts of one model, to be written beside a new one into another."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from medgen.checkpoint import Card, load_part, save_model, verify
from medgen.config import to_mapping
from medgen.errors import ModelError

LOG = logging.getLogger(__name__)
Network = TypeVar("Network", bound=nn.Module)
Parts = dict[str, Mapping[str, Tensor]]
Configs = dict[str, Mapping[str, Any]]
# Of a codec: what no latent feels.
DECODES = ("network.decoder.", "network.post_quant_conv.", "polish.")


def filled(network: Network, folder: Path, card: Card, name: str) -> Network:
    """A network with the weights of a model's part.

    Args:
        network: As the part's config says.
        folder: Of the model.
        card: Its card.
        name: Of the part.

    Raises:
        ModelError: If the part is missing or damaged, or does not fit.
    """
    try:
        network.load_state_dict(load_part(folder, card, name))
    except RuntimeError:
        raise ModelError(
            f"{folder}: the weights do not fit the card's config; made by another version?"
        ) from None
    return network


def without_dependents(parts: Parts, configs: Configs, name: str) -> None:
    """Leave out what was trained on a part that is being replaced; it would not fit the new one.

    A flow makes the latents of its codec, and not of others of its modality; what a flow tells,
    hears and reads is of that flow; a writer knows the claims of its finder.

    Args:
        parts: Of the model; changed.
        configs: Theirs; changed.
        name: Of the part: `codec-xray`, `codec-ct-whole`, `flow-ct`.
    """
    if name == "finder" and parts.pop("writer", None) is not None:
        configs.pop("writer", None)
        LOG.warning("writer: was trained on the older finder and is left out")
    kind, _, modality = name.partition("-")
    modality, _, own = modality.partition("-")
    if kind == "codec" and configs.get(f"flow-{modality}", {}).get("codec", "") != own:
        return
    of_flow = ("environment", "listener", "instruct")
    dependents = {"codec": ("flow", *of_flow), "flow": of_flow}
    for other in dependents.get(kind, ()):
        if parts.pop(f"{other}-{modality}", None) is not None:
            configs.pop(f"{other}-{modality}", None)
            LOG.warning("%s-%s: was trained on the older %s and is left out", other, modality, name)


def parts_of(folder: Path | None) -> tuple[Parts, Configs, dict[str, Any]]:
    """Weights and configs of a model's parts by name, and what its card remembers.

    Args:
        folder: Of the model; None for no model, which has nothing.

    Raises:
        ModelError: If a file is missing or damaged.
    """
    if folder is None:
        return {}, {}, {}
    card = verify(folder)
    parts: Parts = {name: load_part(folder, card, name) for name in card.parts}
    return parts, {name: part.config for name, part in card.parts.items()}, dict(card.extra)


def save_beside(
    folder: Path,
    card: Card,
    name: str,
    config: Any,
    state: Mapping[str, Tensor],
    *,
    beside: Path | None,
) -> Card:
    """Write a part with all that another model has; an older one, and what hangs on it, go.

    On a codec of which only the decoder has changed hangs nothing else: its latents are the same.

    Args:
        folder: Where the model will be.
        card: Of the new model; what is remembered of the other one is added to it.
        name: Of the part.
        config: Its dataclass.
        state: Its weights.
        beside: The other model; None for none.

    Raises:
        ModelError: If a file of the other model is missing or damaged.
        OutputError: If the folder cannot be written.
    """
    parts, configs, extra = parts_of(beside)
    if not (name.startswith("codec-") and _encodes_alike(parts.get(name, {}), state)):
        without_dependents(parts, configs, name)
    parts[name], configs[name] = state, to_mapping(config)
    card = replace(card, extra=extra | card.extra)
    return save_model(folder, card, parts, configs=configs, overwrite=True)


def _encodes_alike(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> bool:
    """Whether all weights but those of the decoder are the same, as they are stored."""
    old, new = (
        {key: tensor for key, tensor in state.items() if not key.startswith(DECODES)}
        for state in (before, after)
    )
    return old.keys() == new.keys() and all(
        torch.equal(tensor.cpu(), new[key].to(tensor.dtype).cpu()) for key, tensor in old.items()
    )
