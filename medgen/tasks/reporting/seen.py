"""What the finder sees in the images of a study, and where each of its claims looks."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from medgen.data.standard import standard_view
from medgen.encoders.finder import Found
from medgen.errors import ModelError, OutOfRangeError
from medgen.io.image import MedicalImage
from medgen.modality import Kind, Modality
from medgen.tasks.finder.model import LoadedFinder
from medgen.tasks.finder.usual import FOREIGN
from medgen.tasks.reporting.config import ReportConfig
from medgen.tasks.reporting.table import Row, box_of, table_of, threshold_of

Cells = tuple[int, ...]  # of an image's tokens, along each axis


class Seen(NamedTuple):
    """An image as the finder takes it: a batch of one standard view."""

    name: str
    kind: Kind
    view: Tensor


def seen_of(
    images: Sequence[MedicalImage], finder: LoadedFinder, device: torch.device
) -> list[Seen]:
    """The images of a study.

    Raises:
        ModelError: If the finder does not read one of them.
    """
    seen = []
    for image in images:
        kind = _kind(image, finder)
        view = standard_view(image, kind.modality, finder.standard)
        name = str(image.source.path) if image.source else "image"
        seen.append(Seen(name, kind, view[None].float().to(device)))
    return seen


def rows_found(
    found: Found, seen: Sequence[Seen], config: ReportConfig, finder: LoadedFinder
) -> tuple[list[Row], float]:
    """The table of these images, and the probability from which it tells a finding."""
    shape, worth = finder.finder.config, finder.calibration.of([one.kind for one in seen])
    threshold = threshold_of(worth, config.operating_point)
    return table_of(found, shape.claims, shape.regions, worth, threshold), threshold


def unlike(seen: Sequence[Seen], finder: LoadedFinder, *, force: bool) -> Iterator[str]:
    """Yield how images differ from those of training, one line each.

    Raises:
        OutOfRangeError: If one differs too much, and nobody forces it.
    """
    for name, kind, view in seen:
        limit = finder.calibration.foreign.get(str(kind))
        if limit is None:
            continue
        foreign = finder.usual[str(kind)].foreign(view[0])
        line = f"{name}: {min(foreign, 1):.0%} of it is unlike any {kind} of training"
        if foreign > max(FOREIGN[view[0].ndim - 1], limit) and not force:
            raise OutOfRangeError(f"{line}; is it one? Use --force to go on anyway")
        if foreign > limit:
            yield line


def _kind(image: MedicalImage, finder: LoadedFinder) -> Kind:
    name = image.source.path if image.source else "image"
    kind = (image.kind or Kind(Modality.XRAY)).plain
    known = finder.finder.config.kinds
    if str(kind) not in known:
        raise ModelError(
            f"{name}: is {image.kind}; {finder.card.name} reports {', '.join(known)} only; "
            "name another --model"
        )
    return kind


@torch.no_grad()
def found_in(seen: Sequence[Seen], loaded: LoadedFinder) -> tuple[Found, list[Cells], Tensor]:
    """The answers, the grid of each image's tokens, and all tokens without their peaks."""
    finder, tokens, grids = loaded.finder, [], []
    for _, kind, view in seen:
        stack = finder.stack(kind)
        coarsest = stack(view)[-1]
        tokens.append(stack.tokens(coarsest, view))
        grids.append(tuple(coarsest.shape[2:]))
    joined = torch.cat(tokens, dim=1)
    return finder(joined), grids, joined[..., : finder.config.width]


def maps_of(
    found: Found, grids: Sequence[Cells], claims: Sequence[str]
) -> dict[str, list[Float[np.ndarray, "..."]]]:
    """Where each claim looks: for each image, a map on the grid of its tokens."""
    parts = found.attention[0].split([math.prod(grid) for grid in grids], dim=-1)
    return {
        claim: [
            part[at].reshape(grid).float().cpu().numpy()
            for part, grid in zip(parts, grids, strict=True)
        ]
        for at, claim in enumerate(claims)
    }


def placed(row: Row, maps: Sequence[Float[np.ndarray, "..."]]) -> Row:
    """A row with the image and the place that it rests on, where it tells anything."""
    if row.finding.presence == "absent":
        return row
    image = int(np.argmax([float(one.sum()) for one in maps]))
    return replace(row, image=image, place=box_of(maps[image]))
