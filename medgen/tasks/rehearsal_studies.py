"""Which studies of a manifest a round can learn from, by what they have."""

from pathlib import Path
from typing import Any

from medgen.modality import Kind, Modality
from medgen.tasks.codecs.report_train import ReportTrainConfig
from medgen.tasks.codecs.train import CodecTrainConfig
from medgen.tasks.finder.config import FinderTrainConfig
from medgen.tasks.finder.spots_train import SpotsTrainConfig
from medgen.tasks.fitting.chosen import to_train_on
from medgen.tasks.flows.train import FlowTrainConfig
from medgen.tasks.instructing.archive_train import ArchiveTrainConfig
from medgen.tasks.instructing.train import InstructTrainConfig
from medgen.tasks.joining.complete_pairs import can_be_made
from medgen.tasks.joining.train import CrossTrainConfig
from medgen.tasks.refining.train import RefineTrainConfig
from medgen.tasks.reporting.writer_train import WriterTrainConfig


def counted(config: Any, manifest: Path | None) -> int | None:
    """How many studies a round would learn from; None without a manifest.

    Args:
        config: Of the round.
        manifest: The studies.

    Raises:
        InputError: If the manifest is wrong.
    """
    if manifest is None:
        return None
    chosen = to_train_on(manifest, allow_outside=config.allow_outside)
    wanted = _needed(config)
    if isinstance(config, CrossTrainConfig) and config.complete_pairs:
        return sum(
            all(map(study.has, wanted)) or bool(can_be_made(study, wanted)) for study in chosen
        )
    return sum(all(map(study.has, wanted)) for study in chosen)


def _needed(config: Any) -> tuple[Modality, ...]:
    """What a study must have to be learned from."""
    match config:
        case FlowTrainConfig() | CodecTrainConfig() | RefineTrainConfig():
            return (Modality(config.modality),)
        case InstructTrainConfig() | ArchiveTrainConfig():
            return (Modality(config.modality),)
        case CrossTrainConfig():
            return tuple(map(Modality, config.pair))
        case ReportTrainConfig() | WriterTrainConfig():
            return (Modality.TEXT,)
        case FinderTrainConfig():
            return (Kind.parse(config.finder.kinds[0]).modality,)
        case SpotsTrainConfig():
            return (Modality.CT,)
    return (Modality.CT, Modality.MRI)
