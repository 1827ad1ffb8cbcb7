"""What encoders start from: those of a model, the claims of a finder, or nothing."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch

from medgen.align.aligner import Aligner
from medgen.data.standard import StandardConfig
from medgen.encoders.claims import ClaimEncoder
from medgen.encoders.finder import Finder
from medgen.encoders.image import ImageEncoder
from medgen.encoders.text import TextEncoder
from medgen.encoders.tokenizer import Tokenizer, train_tokenizer
from medgen.errors import ModelError, UsageError
from medgen.modality import Kind, Modality
from medgen.tasks.aligning.config import AlignConfig
from medgen.tasks.aligning.model import LoadedAligner, load_aligner, new_aligner, new_encoder
from medgen.tasks.finder.model import LoadedFinder, load_finder
from medgen.tasks.studies import IMAGES, ReadStudy

LOG = logging.getLogger(__name__)
CPU = torch.device("cpu")
UNSEEN = 0.2  # of the words of the reports: more are worth a warning


@dataclass(frozen=True)
class Basis:
    """What has learned before.

    Attributes:
        loaded: The encoders of `init`, with their tokenizer.
        finder: Whose claims the images are read by.
    """

    loaded: LoadedAligner | None
    finder: LoadedFinder | None

    @property
    def learned(self) -> set[Modality]:
        """Whose encoders have."""
        return set(map(Modality, self.loaded.aligner.encoders)) if self.loaded else set()


def basis_of(config: AlignConfig) -> Basis:
    """Load what a config starts from.

    Raises:
        ModelError: If it is missing or damaged, or has no encoders, or no finder.
    """
    return Basis(
        load_aligner(config.init, CPU) if config.init is not None else None,
        load_finder(config.finder, CPU) if config.finder is not None else None,
    )


def with_basis(config: AlignConfig, basis: Basis) -> AlignConfig:
    """The config, with the sizes and the views of what it starts from.

    Raises:
        UsageError: If images are read by a finder whose features are not kept, or as views that
            are not those of encoders that stay.
        ModelError: If the finder does not read the images that learn.
    """
    encoders, standard = config.encoders, config.standard
    if basis.loaded is not None:
        aligner = basis.loaded.aligner
        sizes: dict[str, Any] = {
            name: aligner.encoders[name].config
            if name in aligner.encoders
            else replace(getattr(encoders, name), embedding=aligner.embedding)
            for name in Modality
        }
        encoders, standard = replace(encoders, **sizes), basis.loaded.standard
    if basis.finder is not None:
        for name in config.images:
            own = _alone(basis.finder, name).config
            encoders = replace(
                encoders, **{str(name): replace(getattr(encoders, name), finder=own)}
            )
        standard = basis.finder.standard
        _check_views(config, basis, standard)
    for name in config.images:
        if getattr(encoders, name).finder is not None and not config.cells:
            raise UsageError(
                f"{name}: is read by the claims of a finder, which stays as it is; "
                "only its reader learns: --set cells=3"
            )
    return replace(config, encoders=encoders, standard=standard)


def started(
    config: AlignConfig, basis: Basis, studies: Sequence[ReadStudy]
) -> tuple[Aligner, Tokenizer, AlignConfig]:
    """The encoders and the tokenizer that training starts with; and the size of the vocabulary.

    Args:
        config: Of `with_basis`.
        basis: Of the same.
        studies: Whose words the tokenizer learns, if there is none.
    """
    torch.manual_seed(config.fit.seed)
    if basis.loaded is not None:
        tokenizer = basis.loaded.tokenizer
        _warn_of_new_words(tokenizer, studies)
        aligner = _completed(config, basis.loaded.aligner)
    else:
        tokenizer = train_tokenizer(_texts(studies), config.vocabulary)
        text = replace(config.encoders.text, vocabulary=tokenizer.size)
        config = replace(config, encoders=replace(config.encoders, text=text))
        aligner = new_aligner(config.encoders)
    if basis.finder is not None:
        for name in config.images:
            _read_by(basis.finder, aligner, name, config.images)
    return aligner.train(), tokenizer, config


def _read_by(
    finder: LoadedFinder, aligner: Aligner, name: Modality, learning: Sequence[Modality]
) -> None:
    """Give an encoder the finder, and of another that reads claims what it has learned."""
    encoder = aligner.image_encoder(name)
    assert isinstance(encoder, ClaimEncoder)
    encoder.finder.load_state_dict(_alone(finder, name).state_dict())
    worth = finder.calibration.of([Kind(name)])
    if worth.scale:
        encoder.scale.copy_(torch.tensor(worth.scale))
        encoder.shift.copy_(torch.tensor(worth.shift))
    for other in IMAGES:
        known = aligner.image_encoder(other)
        if other not in learning and isinstance(known, ClaimEncoder) and encoder.go_on_with(known):
            LOG.info("%s: goes on with what reads the claims of %s", name, other)
            return


def _completed(config: AlignConfig, aligner: Aligner) -> Aligner:
    """The same with new encoders of what it lacks, and of what is now read by a finder."""
    replaced = set(config.images) if config.finder is not None else set()
    encoders = {
        name: cast(TextEncoder | ImageEncoder, aligner.encoders[name])
        if name in aligner.encoders and name not in replaced
        else new_encoder(config.encoders, name)
        for name in Modality
    }
    whole = Aligner(encoders)
    whole.temperature.load_state_dict(aligner.temperature.state_dict())
    return whole


def _alone(loaded: LoadedFinder, name: Modality) -> Finder:
    """The finder of one modality.

    Raises:
        ModelError: If it does not read such images.
    """
    if str(name) not in loaded.finder.config.kinds:
        known = ", ".join(loaded.finder.config.kinds)
        raise ModelError(f"{loaded.card.name}: its finder reads {known}, not {name}: see --train")
    return loaded.finder.alone(Kind(name))


def _check_views(config: AlignConfig, basis: Basis, standard: StandardConfig) -> None:
    """Raises UsageError if an encoder that stays would see other views than it has learned."""
    if basis.loaded is None:
        return
    for name in set(IMAGES) & basis.learned - set(config.images):
        if _view(basis.loaded.standard, name) != _view(standard, name):
            raise UsageError(
                f"{name}: {config.init} reads it as other views than the finder's; let it learn too"
            )


def _view(standard: StandardConfig, name: Modality) -> tuple[object, ...]:
    """What decides the views of a modality."""
    return (standard.side,) if name is Modality.XRAY else (standard.shape, standard.spacings)


def _warn_of_new_words(tokenizer: Tokenizer, studies: Sequence[ReadStudy]) -> None:
    shares = [tokenizer.unseen_share(study.text) for study in studies if study.text]
    share = sum(shares) / max(1, len(shares))
    if share > UNSEEN:
        LOG.warning(
            "%.0f %% of the reports' words are new to the text encoder; "
            "it reads what it was trained on: let `text` learn, or start without --init",
            100 * share,
        )


def _texts(studies: Sequence[ReadStudy]) -> Iterator[str]:
    """Everything that is said of the studies."""
    for study in studies:
        yield from (study.text,) if study.text else ()
        yield from (text for pair in study.counterfactuals for text in (pair.says, pair.changed))
