"""The commands that make the bundled weights are ones that `medgen train` understands."""

from itertools import pairwise
from pathlib import Path

from benchmarks.train_base import CARD, commands
from medgen.checkpoint import Card
from medgen.config import from_mapping, read_mapping, resolve
from medgen.tasks.train import TrainConfig

LINES = commands(Path("data"), Path("runs"), steps=50, decay_steps=20)


def settings_of(line: list[str]) -> list[str]:
    return [value for flag, value in pairwise(line) if flag == "--set"]


def test_the_held_out_heads_are_held_out_in_every_training() -> None:
    trainings = [line for line in LINES if "train" in line]
    assert len(trainings) == 2
    for line in trainings:
        assert line[line.index("--hold-out") + 1] == "head_19,head_20"


def test_the_second_training_starts_from_the_first() -> None:
    first, second = (line for line in LINES if "train" in line)
    assert second[second.index("--init") + 1] == first[first.index("-o") + 1] + "/model"
    assert [line[line.index("--steps") + 1] for line in (first, second)] == ["50", "20"]


def test_every_setting_is_known_and_the_rate_falls_to_0() -> None:
    first, second = (
        resolve(TrainConfig, settings=settings_of(line), flags={"fit": {"steps": 9}}).fit
        for line in LINES
        if "train" in line
    )
    assert (first.decay, first.learning_rate, first.batch, first.ema_decay) == (
        *("none", 1e-3, 2, 0.998),
    )
    assert (second.decay, second.min_lr_share) == ("linear", 0.0)


def test_the_card_names_data_and_licences() -> None:
    card = from_mapping(Card, read_mapping(CARD), origin="card")
    assert [data.licence for data in card.data] == ["Apache-2.0", "CC BY 3.0"]
    assert all(data.attribution for data in card.data)
