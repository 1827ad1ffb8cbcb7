"""The commands that make the bundled weights are ones that `medgen train` understands."""

from itertools import pairwise
from pathlib import Path

from benchmarks.train_base import CARD, PHASES, commands
from medgen.checkpoint import Card
from medgen.config import from_mapping, read_mapping, resolve
from medgen.tasks.train import TrainConfig

LINES = commands(Path("data"), Path("runs"))
TRAININGS = [line for line in LINES if "train" in line]


def settings_of(line: list[str]) -> list[str]:
    return [value for flag, value in pairwise(line) if flag == "--set"]


def test_the_held_out_heads_are_held_out_in_every_training() -> None:
    assert len(TRAININGS) == len(PHASES)
    for line in TRAININGS:
        assert line[line.index("--hold-out") + 1] == "head_19,head_20"


def test_each_training_starts_from_the_one_before() -> None:
    assert "--init" not in TRAININGS[0]
    for before, line in pairwise(TRAININGS):
        assert line[line.index("--init") + 1] == before[before.index("-o") + 1] + "/model"


def test_labels_of_limbs_are_made_before_they_are_used() -> None:
    made = [line[line.index("-o") + 1] for line in LINES if "benchmarks.limbs" in line]
    used = {line[line.index("--labels") + 1] for line in TRAININGS}
    assert used == {"data/heads", *made}


def test_every_setting_is_known_and_the_rate_falls_to_0() -> None:
    fits = [
        resolve(TrainConfig, settings=settings_of(line), flags={"fit": {"steps": 9}}).fit
        for line in TRAININGS
    ]
    assert {(fit.batch, fit.ema_decay) for fit in fits} == {(2, 0.998)}
    assert fits[-1].decay == "linear"
    assert fits[-1].min_lr_share == 0


def test_what_is_calibrated_is_what_was_trained_last() -> None:
    last, calibration = TRAININGS[-1], LINES[-1]
    assert calibration[calibration.index("--model") + 1] == last[last.index("-o") + 1] + "/model"


def test_the_card_names_data_and_licences() -> None:
    card = from_mapping(Card, read_mapping(CARD), origin="card")
    assert [data.licence for data in card.data] == ["Apache-2.0", "CC BY 3.0"]
    assert all(data.attribution for data in card.data)
