"""The shape that a round's network will have: that of the model it goes on with."""

from dataclasses import replace
from typing import Any, TypeVar

from medgen.checkpoint import model_folder, read_card
from medgen.config import from_mapping
from medgen.tasks.codecs.images import FrameConfig
from medgen.tasks.codecs.model import CodecPart
from medgen.tasks.codecs.train import CodecTrainConfig, base_codec
from medgen.tasks.finder.config import FinderTrainConfig
from medgen.tasks.finder.train import as_going_on
from medgen.tasks.flows.flow import FlowConfig, base_flow
from medgen.tasks.flows.model import flow_part
from medgen.tasks.flows.train import FlowTrainConfig

Shape = TypeVar("Shape")


def going_on(config: Any) -> Any:
    """What is asked for, in the shape of what `init` has where nobody asks for another."""
    match config:
        case FinderTrainConfig():
            return as_going_on(config)
        case FlowTrainConfig() if config.flow == base_flow(config.modality):
            known = _shape_in(config.init, flow_part(config.modality), FlowConfig)
            return replace(config, flow=known or config.flow)
        case CodecTrainConfig():
            usual = (base_codec(config.modality), FrameConfig())
            part = _shape_in(config.init, config.part, CodecPart)
            if part and (config.codec, config.frame) == usual:
                return replace(config, codec=part.codec, frame=part.frame)
    return config


def _shape_in(init: str | None, part: str, shape: type[Shape]) -> Shape | None:
    """What a model's card says of a part; None if it has none."""
    if init is None:
        return None
    folder = model_folder(init)
    parts = read_card(folder).parts
    return from_mapping(shape, parts[part].config, origin=str(folder)) if part in parts else None
