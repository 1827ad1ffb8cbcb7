"""A model folder with flows: the codecs and encoders that they need lie beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medgen.checkpoint import Card, model_folder, verify
from medgen.config import from_mapping
from medgen.errors import ModelError
from medgen.modality import Modality
from medgen.tasks.codecs.model import LoadedCodec, load_codec
from medgen.tasks.flows.flow import Flow, FlowConfig
from medgen.tasks.model_parts import filled, save_beside


def flow_part(modality: Modality) -> str:
    """Name of a flow in a model folder."""
    return f"flow-{modality}"


@dataclass(frozen=True)
class LoadedFlow:
    """A flow, in eval mode on the device that was asked for, and the model's card."""

    flow: Flow
    card: Card


def load_flow(model: str | Path, modality: Modality, device: torch.device) -> LoadedFlow:
    """Load the flow of a modality, after checking the model's hashes.

    Raises:
        ModelError: If it is missing or damaged, or makes other modalities only.
        SafetyError: If the folder holds a pickle.
    """
    folder = model_folder(model)
    card = verify(folder)
    name = flow_part(modality)
    if name not in card.parts:
        made = [part.removeprefix("flow-") for part in card.parts if part.startswith("flow-")]
        what = f"makes {', '.join(made)}" if made else f"is a {card.task} model without flows"
        raise ModelError(f"{folder}: cannot make {modality}; it {what}; name another model")
    config = from_mapping(FlowConfig, card.parts[name].config, origin=str(folder))
    flow = filled(Flow(config), folder, card, name)
    return LoadedFlow(flow.eval().to(device), card)


def codec_of(model: str | Path, flow: FlowConfig, device: torch.device) -> LoadedCodec:
    """The codec of a model whose latents a flow of images makes.

    Raises:
        ModelError: If it is missing or damaged.
        SafetyError: If the folder holds a pickle.
    """
    return load_codec(model, flow.modality, device, flow.codec)


def common_spacings(volumes: Mapping[Modality, tuple[Flow, LoadedCodec]]) -> tuple[float, ...]:
    """The voxel sizes that flows of volumes have in common, mm; none without flows.

    Args:
        volumes: Flows and their codecs, by modality.

    Raises:
        ModelError: If there are none, or their grids have other sizes.
    """
    if not volumes:
        return ()
    shapes = {
        name: tuple(cells * codec.codec.stride for cells in flow.config.grid)
        for name, (flow, codec) in volumes.items()
    }
    spacings = {name: set(flow.config.spacings) for name, (flow, _) in volumes.items()}
    common = set.intersection(*spacings.values())
    if len(set(shapes.values())) > 1 or not common:
        told = ", ".join(
            f"{name} {' x '.join(map(str, shapes[name]))} voxels of "
            f"{' or '.join(f'{each:g}' for each in sorted(spacings[name]))} mm"
            for name in volumes
        )
        raise ModelError(f"the flows share no grid: {told}; name another model")
    return tuple(sorted(common))


def save_flow(
    folder: Path, card: Card, config: FlowConfig, state: Mapping[str, Tensor], *, beside: Path
) -> Card:
    """Write a flow with all that another model has; the older flow of that modality is replaced.

    Args:
        folder: Where the model will be.
        card: Of the new model; what is remembered of the other one is added to it.
        config: The flow's shape.
        state: Its weights.
        beside: The other model: encoders, codecs, other flows.
    """
    return save_beside(folder, card, flow_part(config.modality), config, state, beside=beside)
