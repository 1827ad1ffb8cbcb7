"""What a finder's answers are worth, learned on studies that it has not learned from."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from medgen.encoders.finder import Finder
from medgen.modality import FACTS, Kind
from medgen.tasks.facts import answers_of
from medgen.tasks.finder.calibrate import calibrated, loudness
from medgen.tasks.finder.items import FinderStudy
from medgen.tasks.finder.model import Calibration, shown_together


def learn_worth(finder: Finder, held: Sequence[FinderStudy]) -> Calibration:
    """What the answers are worth; how loud each claim hears its spots is set in the finder."""
    shape = finder.config
    shown, odds, heard, truth = [], [], [], []
    for study in held:
        there = answers_of(study.facts, shape.claims, shape.regions).there
        for answer in _answered(finder, study):
            shown.append(answer.kinds)
            odds.append(answer.odds)
            heard.append(answer.heard)
            truth.append(there)
    every, said, right = torch.stack(odds), torch.stack(heard), torch.stack(truth)
    deep = torch.tensor([_has_volume(word) for word in shown])
    if finder.hears is not None:
        own = every - finder.hears.cpu() * said
        if deep.any():
            finder.hears.data = loudness(own[deep], said[deep], right[deep]).to(finder.hears)
        every = own + finder.hears.cpu() * said
    return calibrated(every, right, shown, ["deep" if one else "flat" for one in deep])


class _Answer(NamedTuple):
    kinds: str
    odds: Tensor
    heard: Tensor


def _has_volume(shown: str) -> bool:
    return any(FACTS[Kind.parse(word).modality].axes == 3 for word in shown.split("+"))


@torch.no_grad()
def _answered(finder: Finder, study: FinderStudy) -> list[_Answer]:
    """The answers as users may show a study: every choice of its kinds, and one of several."""
    device = finder.query.device
    tokens: dict[Kind, list[Tensor]] = {}
    for image in study.images:
        view = image.view[None].float().to(device)
        tokens.setdefault(image.kind, []).append(finder.tokens(image.kind, view))
    choices = [some for n in range(len(tokens)) for some in combinations(tokens, n + 1)]
    seen = [(some, [one for kind in some for one in tokens[kind]]) for some in choices]
    seen += [((kind,), several[:1]) for kind, several in tokens.items() if len(several) > 1]
    answers = []
    for some, parts in seen:
        found = finder(torch.cat(parts, dim=1))
        odds, heard = found.odds[0].float().cpu(), found.heard[0].float().cpu()
        answers.append(_Answer(shown_together(some), odds, heard))
    return answers
