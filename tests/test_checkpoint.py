"""A model that is not exactly as it was written is never used."""

import dataclasses
import json
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from medgen import checkpoint
from medgen.checkpoint import (
    Card,
    DataUse,
    Measurement,
    TrainingRange,
    bundled_models,
    load_part,
    model_folder,
    read_card,
    save_model,
    verify,
)
from medgen.errors import ModelError, OutputError, SafetyError

CARD = Card(
    name="tiny",
    version="1",
    task="translate",
    summary="MRI to CT.",
    licence="Apache-2.0",
    training_range=TrainingRange((0.5, 5.0), (96.0, 300.0), {"ct": (-1024.0, 3071.0)}, ("head",)),
    data=(DataUse("phantom", "Apache-2.0", "Rendered by medgen."),),
    metrics=(Measurement("MAE", 61.5, "HU", "held-out heads", "2026-01-01"),),
    steps=100,
    lineage=("0" * 64,),
    extra={"epochs": 3, "nested": {"list": [1, 2.5]}},
)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tmp_path / "tiny", CARD, {"net": network()}, configs={"net": {"width": 16}})
    return tmp_path / "tiny"


def test_the_card_comes_back_whole(folder: Path) -> None:
    card = read_card(folder)
    assert dataclasses.replace(card, parts={}) == CARD
    assert card.parts["net"].config == {"width": 16}
    assert card.parts["net"].parameters == sum(t.numel() for t in network().state_dict().values())


def test_weights_come_back_rounded_to_fp16_once(folder: Path) -> None:
    card = verify(folder)
    loaded = load_part(folder, card, "net")
    for name, tensor in network().state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(loaded[name], expected), name
        assert loaded[name].dtype == expected.dtype
    again = save_model(folder.parent / "b", CARD, {"net": loaded}, configs={"net": {"width": 16}})
    assert again == card  # fp16 of fp16 is the same bytes


def test_weights_that_share_memory_are_saved_apart(tmp_path: Path) -> None:
    weight = torch.ones(4)
    card = save_model(tmp_path / "m", CARD, {"net": {"a": weight, "b": weight.view(2, 2)}})
    assert load_part(tmp_path / "m", card, "net")["b"].shape == (2, 2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e6])
def test_weights_that_fp16_cannot_hold_are_not_saved(tmp_path: Path, bad: float) -> None:
    with pytest.raises(ModelError, match="part net: 'a'"):
        save_model(tmp_path / "m", CARD, {"net": {"a": torch.tensor([1.0, bad])}})
    assert not list(tmp_path.iterdir())


def damaged(folder: Path) -> bool:
    """Whether both doors say so: the check of the whole model, and the loading of a part."""
    with pytest.raises((ModelError, SafetyError)) as error:
        verify(folder)
    assert "\n" not in str(error.value)
    with pytest.raises((ModelError, SafetyError)):
        load_part(folder, read_card(folder), "net")
    return True


@pytest.mark.parametrize("name", ["net.safetensors", "model.json"])
def test_every_truncation_is_detected(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for tenth in range(10):
        (folder / name).write_bytes(whole[: len(whole) * tenth // 10])
        assert damaged(folder)
    (folder / name).write_bytes(whole)
    verify(folder)


@pytest.mark.parametrize("name", ["net.safetensors", "model.json"])
def test_every_flipped_byte_is_detected(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    where = random.Random(0)
    solid = [i for i, byte in enumerate(whole) if name != "model.json" or not chr(byte).isspace()]
    for _ in range(100):
        broken = bytearray(whole)
        broken[where.choice(solid)] ^= 1 << where.randrange(8)
        (folder / name).write_bytes(broken)
        assert damaged(folder)


def test_an_edited_card_is_detected(folder: Path) -> None:
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace("61.5", "16.5"))
    with pytest.raises(ModelError, match="edited by hand"):
        read_card(folder)


def test_missing_files_are_named(folder: Path) -> None:
    (folder / "net.safetensors").unlink()
    with pytest.raises(ModelError, match=r"net\.safetensors: cannot be read"):
        verify(folder)
    (folder / "model.json").unlink()
    with pytest.raises(ModelError, match=r"has no model\.json"):
        verify(folder)


def test_a_part_outside_the_folder_is_refused(folder: Path) -> None:
    card = read_card(folder)
    part = dataclasses.replace(card.parts["net"], file="../tiny/net.safetensors")
    with pytest.raises(ModelError, match="is not a file beside it"):
        load_part(folder, dataclasses.replace(card, parts={"net": part}), "net")


def test_an_unknown_part_is_named(folder: Path) -> None:
    with pytest.raises(ModelError, match="no part 'codec'; its parts: net"):
        load_part(folder, read_card(folder), "codec")


class Evil:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (self.mark,))  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["weights.pt", "WEIGHTS.PKL", "net.safetensors", "innocent"])
def test_a_pickle_is_refused_and_not_run(folder: Path, tmp_path: Path, name: str) -> None:
    mark = tmp_path / "ran"
    (folder / name).write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(SafetyError, match="is a pickle"):
        verify(folder)
    assert not mark.exists()


def test_a_torch_file_is_refused_as_part_and_as_model(folder: Path) -> None:
    torch.save({"a": torch.ones(1)}, folder / "net.safetensors")
    with pytest.raises(SafetyError):
        load_part(folder, read_card(folder), "net")
    with pytest.raises(SafetyError):
        model_folder(folder / "net.safetensors")


def test_a_length_that_looks_like_pickle_is_not_one(tmp_path: Path) -> None:
    """The first bytes of safetensors are a length; 640 is the start of a pickle as well."""
    for pad in range(8, 900, 8):
        state = {"a" * pad: torch.ones(1)}
        card = save_model(tmp_path / "m", CARD, {"net": state}, overwrite=True)
        assert "a" * pad in load_part(tmp_path / "m", card, "net")


def test_a_model_is_replaced_only_when_asked_and_keeps_its_log(folder: Path) -> None:
    (folder / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(OutputError):
        save_model(folder, CARD, {"net": network()})
    later = dataclasses.replace(CARD, steps=200)
    save_model(folder, later, {"net": network()}, overwrite=True)
    assert verify(folder).steps == 200
    assert (folder / "metrics.jsonl").read_text() == "{}\n"
    assert not [path for path in folder.parent.iterdir() if path != folder]


def test_a_model_is_found_by_name_and_by_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "WEIGHTS", folder.parent)
    assert bundled_models() == {"tiny": folder}
    assert model_folder("tiny") == model_folder(folder) == folder
    with pytest.raises(ModelError, match="bundled models: tiny"):
        model_folder("nobody")


def test_every_bundled_model_is_intact() -> None:
    for folder in bundled_models().values():
        card = verify(folder)
        assert card.licence
        assert card.data


def test_cards_are_read_without_torch(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from medgen.checkpoint import verify;"
        f"verify(Path({str(folder)!r})); sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    root = Path(checkpoint.__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_the_card_is_json_for_anybody(folder: Path) -> None:
    values = json.loads((folder / "model.json").read_text())
    assert values["digest"] == read_card(folder).digest
    assert values["training_range"]["spacing_mm"] == [0.5, 5.0]
