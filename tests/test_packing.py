"""A tensor that several parts have is written once, and is there for each of them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from medgen.checkpoint import WEIGHTS, Card, load_part, read_card, save_model
from medgen.errors import ModelError
from medgen.packing import ELSEWHERE, LEAST, pack, unpack

CARD = Card(name="tiny", version="1", task="report")
SIDE = int(LEAST**0.5)


def big(seed: int, side: int = SIDE) -> Tensor:
    return torch.randn(side, side, generator=torch.Generator().manual_seed(seed)).half().float()


FINDER = {"stack": big(1), "query": big(2), "small": torch.ones(3)}
ENCODER = {"finder.stack": big(1), "finder.small": torch.ones(3), "reader": big(3)}


def halves(parts: dict[str, dict[str, Tensor]]) -> Callable[[str], bytes]:
    packed = pack(parts)
    return lambda name: packed[name].data


def test_each_part_gets_all_its_tensors_and_the_files_hold_each_once() -> None:
    of = halves({"ct": ENCODER, "finder": FINDER})
    assert set(load(of("finder"))) == set(FINDER)
    assert set(load(of("ct"))) == {"finder.small", "reader"}  # the small one is not worth a note
    for name, state in (("finder", FINDER), ("ct", ENCODER)):
        back = unpack(of(name), of, name)
        assert back.keys() == state.keys()
        assert all(torch.equal(back[key], state[key]) for key in state)


def test_numbers_are_those_of_the_part_wherever_they_are() -> None:
    packed = pack({"finder": FINDER, "ct": ENCODER})
    assert packed["ct"].parameters == sum(one.numel() for one in ENCODER.values())


@pytest.mark.parametrize(
    "other",
    [big(1) + 0.01, big(1).reshape(-1), big(1).to(torch.int32), big(1, SIDE + 1)],
    ids=["values", "shape", "type", "size"],
)
def test_what_differs_is_not_shared(other: Tensor) -> None:
    of = halves({"a": {"one": big(1)}, "b": {"one": other}})
    assert torch.equal(unpack(of("b"), of, "b")["one"].half(), other.half())
    assert len(of("b")) > other.numel() * 2 or other.numel() < LEAST


def test_a_part_that_has_a_tensor_twice_keeps_it_twice() -> None:
    of = halves({"a": {"one": big(1), "two": big(1)}})
    assert set(load(of("a"))) == {"one", "two"}


def test_another_lender_makes_another_file() -> None:
    """The hash of a file names all weights of its part, those elsewhere among them."""

    def file(seed: int) -> bytes:
        return halves({"a": {"one": big(seed)}, "b": {"one": big(seed), "two": big(3)}})("b")

    assert file(1) == file(1)
    assert file(1) != file(2)


def changed(data: bytes, note: str) -> bytes:
    return save(load(data), {ELSEWHERE: note})


PLACE = {"part": "a", "name": "one", "sha256": "0" * 64}


@pytest.mark.parametrize(
    "note",
    [
        json.dumps({"one": PLACE}),  # another tensor's hash
        json.dumps({"one": PLACE | {"name": "none"}}),
        json.dumps({"one": {"part": "a"}}),
        json.dumps({"one": "a"}),
        json.dumps(["one"]),
        "{",
    ],
)
def test_a_wrong_note_is_an_error_of_one_line(note: str) -> None:
    of = halves({"a": {"one": big(1)}, "b": {"one": big(1), "two": big(3)}})
    with pytest.raises(ModelError, match=r"^file: [^\n]*copy it again$"):
        unpack(changed(of("b"), note), of, "file")


def test_a_part_that_is_not_in_the_model_is_named(tmp_path: Path) -> None:
    card = save_model(tmp_path / "m", CARD, {"a": {"one": big(1)}, "b": {"one": big(1)}})
    assert torch.equal(load_part(tmp_path / "m", card, "b")["one"], big(1))
    (tmp_path / "m" / "a.safetensors").unlink()
    with pytest.raises(ModelError, match=r"a\.safetensors: cannot be read"):
        load_part(tmp_path / "m", card, "b")


def bundled_notes() -> Iterator[tuple[str, str]]:
    folder = WEIGHTS / "flows"
    for name, part in read_card(folder).parts.items():
        data = (folder / part.file).read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        for place in json.loads(header.get("__metadata__", {}).get(ELSEWHERE, "{}")).values():
            yield name, place["part"]


def test_bundled_models_are_cards_and_weights_alone() -> None:
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert {"".join(path.suffixes) for path in files} == {".json", ".safetensors"}


def test_the_bundled_model_holds_its_finder_once() -> None:
    assert {("xray", "finder"), ("ct", "finder")} <= set(bundled_notes())
    size = sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file())
    assert size <= 60_000_000
