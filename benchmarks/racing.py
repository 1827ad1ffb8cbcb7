"""Measure the race from nothing (`benchmarks.race`): the translator beside the plain U-Net."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.cases import Case
from benchmarks.machine import commit, today
from benchmarks.methods import REGRESS, UNET, constant, engine, plain_unet
from benchmarks.race import TRANSLATOR
from benchmarks.race_tables import PART, TRAINING
from benchmarks.rows import Row, Store, measure
from medgen.checkpoint import read_card
from medgen.tasks.translator.model import load_translator
from medgen.tasks.translator.translation import EngineConfig


def races(cases: Iterable[Case], folder: Path, device: torch.device, store: Store) -> Iterator[Row]:
    """How both were trained, and every case by both and by the constant.

    Args:
        cases: MRI to CT.
        folder: Of `benchmarks.race`; there are no rows until both have arrived.
        device: Where to compute.
        store: Keeps the rows.
    """
    models = {REGRESS: folder / TRANSLATOR / "model", UNET: folder / UNET / "model"}
    if not all(model.is_dir() for model in models.values()):
        return
    ours = engine(load_translator(models[REGRESS], device), EngineConfig("regress"))
    methods = [ours, constant(), plain_unet(models[UNET], device)]
    for method in methods:
        if model := models.get(method.name):
            unscored = Row(PART, TRAINING, "", "", method.name, {}, 0.0, commit(), today())
            if row := store.scored(unscored, method.key, partial(_training, model)):
                yield row
    yield from measure((replace(case, part=PART) for case in cases), lambda _: methods, store)


def _training(model: Path) -> dict[str, float]:
    card = read_card(model)
    return {"steps": float(card.steps), "minutes": float(card.extra["minutes"])}
