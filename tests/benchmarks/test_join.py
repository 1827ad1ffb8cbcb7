"""A joined model has every part, of each the last that was trained, and all journals."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.join import join, main, thinned
from medgen.checkpoint import Card, read_card, save_model, verify

CARD = Card("toy", "1", "generate")


def run_of(folder: Path, steps: int, **values: float) -> Path:
    """A run whose parts hold one number each."""
    parts = {name: {"number": torch.tensor([value])} for name, value in values.items()}
    configs = {name: {"of": folder.name} for name in parts}
    card = replace(CARD, steps=9 + steps, extra={folder.name: True})
    save_model(folder / "model", card, parts, configs=configs)
    (folder / "metrics.jsonl").write_text(f'{{"step": {steps}}}\n')
    return folder


def test_the_last_of_each_part_stays(tmp_path: Path) -> None:
    first = run_of(tmp_path / "first", 3, text=1.0, xray=2.0)
    second = run_of(tmp_path / "second", 4, xray=5.0, flow=6.0)
    join([first, second], tmp_path / "whole")
    card = verify(tmp_path / "whole")
    values = {
        name: float(load_file(tmp_path / "whole" / part.file)["number"])
        for name, part in card.parts.items()
    }
    assert values == {"text": 1, "xray": 5, "flow": 6}
    assert card.parts["xray"].config == {"of": "second"}
    assert (card.steps, card.extra) == (7, {"first": True, "second": True})
    assert (tmp_path / "whole" / "first.jsonl").read_text() == '{"step": 3}\n'


def test_a_codec_of_another_name_stays_behind_where_no_flow_needs_it(tmp_path: Path) -> None:
    names = ("codec-ct", "codec-ct-old", "codec-ct-new", "flow-ct", "flow-xray", "codec-xray-x")
    parts = {name: {"number": torch.ones(1)} for name in names}
    configs: dict[str, dict[str, str]] = {name: {} for name in names}
    configs |= {"flow-ct": {"codec": "new"}, "flow-xray": {"codec": ""}}
    run = tmp_path / "run"
    told = {"training-codec-ct-old": {}, "steps-codec-ct-old": 3, "training-codec-ct-new": {}}
    card = replace(CARD, steps=3, extra=told)
    save_model(run / "model", card, parts, configs=configs)
    (run / "metrics.jsonl").write_text('{"step": 3}\n')
    joined = join([run], tmp_path / "whole")
    assert set(joined.parts) == {"codec-ct", "codec-ct-new", "flow-ct", "flow-xray"}
    assert set(joined.extra) == {"training-codec-ct-new"}


def test_a_person_says_what_it_is(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", 3, text=1.0)
    said = tmp_path / "card.toml"
    said.write_text('name = "mine"\nsummary = "All of it."\n')
    assert main([str(run), "-o", str(tmp_path / "whole"), "--card", str(said)]) == 0
    card = read_card(tmp_path / "whole")
    assert (card.name, card.summary, card.task) == ("mine", "All of it.", "generate")


@pytest.mark.parametrize("count", [0, 1, 2, 99, 100, 101, 250, 1099])
def test_a_journal_keeps_its_last_line_and_no_more_than_it_may(count: int) -> None:
    lines = [str(at) for at in range(count)]
    kept = thinned(lines)
    assert len(kept) == min(count, len(kept)) <= 100
    assert kept[-1:] == lines[-1:]
    assert len({int(b) - int(a) for a, b in pairwise(kept)}) <= 1
    assert len(kept) > min(count, 100) // 2 or not count
