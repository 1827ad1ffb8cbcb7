"""Baselines differ from what they are held against in one thing; and who follows is known."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import readers
from benchmarks.judge import CLAIMS
from benchmarks.radiograph_sets import Prompted
from benchmarks.readers import contests, followed, name_of
from benchmarks.rows import Store
from benchmarks.train_readers import (
    CONTESTANTS,
    CONTEXT_STEPS,
    SINGLE,
    STEPS,
    ZERO_SHOT,
    chains,
)
from medgen.instruct.instruction import Role
from medgen.tasks.rounds import round_named

OUT = Path("runs")


def test_every_run_goes_on_with_a_model_of_its_own_chain() -> None:
    for chain in chains(OUT):
        made: set[str] = set()
        for line in chain:
            assert "--init" not in line or line[line.index("--init") + 1] in made
            out = line[line.index("-o") + 1]
            assert out not in made
            made |= {out, f"{out}/model"}


def test_all_learn_for_as_long_and_nobody_what_is_held_out() -> None:
    for one in CONTESTANTS:
        assert sum(stage.steps for _, stage in one.stages) == CONTEXT_STEPS + STEPS
        for _, stage in one.stages:
            settings = tuple(f"{key}={value}" for key, value in stage.settings.items())
            config = round_named(stage.teaches).settle(settings=settings)
            assert config.reader.raw == one.is_raw
            if stage.teaches == "instruct":
                assert ZERO_SHOT in config.hold_out
                assert config.tasks == (one.task,) if one.task else len(config.tasks) > 1
        assert set(one.asked) == {*((one.task,) if one.task else SINGLE), ZERO_SHOT}
    assert len({one.folder for one in CONTESTANTS}) == len(CONTESTANTS) == 8
    assert len({(name_of(one), one.task) for one in CONTESTANTS}) == len(CONTESTANTS)


class Obedient:
    """Gives back one of its references, whatever is asked; and remembers what it was told."""

    def __init__(self, gives: Role) -> None:
        draw = np.random.default_rng(0)
        self.pairs, self.gives, self.studies = 2, gives, OUT
        self.told: list[str] = []
        self.reports = [Prompted(str(at), {"findings": FOUND[at : at + 1]}) for at in range(4)]
        self.pictures = np.stack(
            [
                np.kron(draw.uniform(-1, 1, (8, 8)) ** 2 * scale, np.ones((16, 16)))
                for scale in (0.2, 0.9, 0.3, 0.8)
            ]
        ).astype(np.float32)

    def made(self, shown: dict[Role, np.ndarray], seed: int, text: str = "") -> np.ndarray:
        self.told.append(text)
        return shown[self.gives]


SEEN = ("oedema", None)
FOUND = [{"name": name, "presence": "present"} for name in ("oedema", "emphysema", "oedema")]


@pytest.fixture(autouse=True)
def one_that_sees_oedema_in_two(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = np.zeros((4, len(CLAIMS)))
    answers[:2, CLAIMS.index(SEEN)] = 1
    monkeypatch.setattr(readers, "trusted_on", lambda manifest: {SEEN})
    monkeypatch.setattr(readers, "judged", lambda judge, pictures: answers)


def test_findings_are_looked_for_where_their_report_is_told_and_the_judge_is_sure() -> None:
    bench = Obedient(Role.ANATOMY)
    # Told, turn by turn: emphysema, oedema, nothing, oedema; seen in the first two.
    found = followed(bench, "anatomy")
    assert bench.told == ["", "1", "", "0", "", "3", "", "2"]
    assert (found["facts"], found["stated"]) == (0.5, 2)
    # Of the pictures themselves, by their numbers: oedema, emphysema, oedema, nothing.
    assert (readers.really(bench)["facts"], readers.really(bench)["n"]) == (0.5, 4)


@pytest.mark.parametrize("gives", [Role.LOOK, Role.ANATOMY])
def test_who_gives_a_reference_back_follows_it_and_no_other(gives: Role) -> None:
    alone = followed(Obedient(gives), str(gives))
    assert alone["right"] == alone[str(gives)] == 1
    assert alone["n"] == 4
    assert alone["kernel"] == pytest.approx(0, abs=60)  # the same pictures: no bias but chance
    exact = {Role.LOOK: ("distance", 0), Role.ANATOMY: ("edges", 1)}
    name, value = exact[gives]
    assert alone[name] == pytest.approx(value, abs=1e-6)
    both = followed(Obedient(gives), ZERO_SHOT)
    assert both[str(gives)] == 1
    assert both["right"] == 0


def test_models_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    assert not list(contests(tmp_path, Store(tmp_path)))
