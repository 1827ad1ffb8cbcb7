"""Many weaves: pairs of image and mask, placed at random where they may be, the same each time."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from medgen.cli.app import main
from medgen.data.manifest import read_manifest
from medgen.errors import InputError, UsageError
from medgen.io import files
from medgen.modality import Kind
from medgen.record import sha256_of
from medgen.tasks.given import Given
from medgen.tasks.weaving.files import read_scan
from medgen.tasks.weaving.recipe import Ingredient, Recipe, chosen, drawn, read_recipe
from tests.tasks.weave_toy import corner_examples, dim_radiograph, learned, save_mask, saved


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def kitchen(
    corner_flows: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """Two studies, a concept, a recipe, and the words that run it."""
    folder = tmp_path_factory.mktemp("kitchen")
    made = learned(corner_examples(corner_flows.manifest.parent), corner_flows.model, instant=True)
    saved(made, folder / "mass.concept")
    rows = []
    for name in ("a", "b"):
        dim_radiograph(folder / f"{name}.png", (64, 56))
        row = {"id": name, "patient": f"p-{name}", "xray": f"{name}.png", "split": "train"}
        rows.append(json.dumps(row))
    (folder / "manifest.jsonl").write_text("\n".join(rows))
    recipe = '[[concept]]\nfile = "mass.concept"\nradius = [4, 7]\nbox = [0.5, 0.9, 0.2, 0.8]\n'
    (folder / "recipe.toml").write_text(recipe)
    words = ["weave", str(folder / "manifest.jsonl"), "--recipe", str(folder / "recipe.toml")]
    words += ["--model", str(corner_flows.model), "--device", "cpu", "--steps", "2"]
    return SimpleNamespace(folder=folder, words=words)


def test_pairs_and_their_manifest(kitchen: SimpleNamespace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    record = ["--record", str(tmp_path / "r.json")]
    assert main([*kitchen.words, "-n", "3", "-o", str(out), *record]) == 0
    read = [kitchen.folder / name for name in ("manifest.jsonl", "recipe.toml", "mass.concept")]
    noted = [one["sha256"] for one in json.loads((tmp_path / "r.json").read_text())["inputs"]]
    assert noted == [sha256_of(path) for path in read]
    studies = read_manifest(out / "manifest.jsonl")
    assert [study.id for study in studies] == ["woven-0001", "woven-0002", "woven-0003"]
    assert {study.patient for study in studies} == {"p-a", "p-b"}
    for study in studies:
        assert study.split == "train"
        assert study.masks is not None
        mask = np.asarray(Image.open(study.masks / "mass.png")) > 0
        rows, columns = np.argwhere(mask).T
        assert rows.mean() > 28
        assert 10 < mask.sum() < 400
        assert columns.min() >= 0
        image = files.read(study.images[Kind.parse("xray")])
        assert image.voxels.shape == mask.shape == (64, 56)


def test_a_scan_depends_on_the_seed_and_its_number_alone(
    kitchen: SimpleNamespace, tmp_path: Path
) -> None:
    few, more, other = (tmp_path / name for name in ("few", "more", "other"))
    assert main([*kitchen.words, "-n", "1", "-o", str(few)]) == 0
    assert main([*kitchen.words, "-n", "2", "-o", str(more)]) == 0
    assert main([*kitchen.words, "-n", "1", "--seed", "5", "-o", str(other)]) == 0
    first, same, odd = (
        (folder / "woven-0001" / "xray_mask.png").read_bytes() for folder in (few, more, other)
    )
    assert first == same
    assert first != odd


def test_a_stopped_batch_goes_on(
    kitchen: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main([*kitchen.words, "-n", "1", "-o", out]) == 0
    assert main([*kitchen.words, "-n", "2", "-o", out]) == 3
    assert "1 of 2 scans failed" in capsys.readouterr().err
    listed = tmp_path / "out" / "manifest.jsonl"
    assert [study.id for study in read_manifest(listed)] == ["woven-0001", "woven-0002"]
    assert main([*kitchen.words, "-n", "2", "-o", out, "--skip-existing"]) == 0
    assert len(read_manifest(tmp_path / "out" / "manifest.jsonl")) == 2


def test_no_list_of_studies_is_lost(
    kitchen: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, given = tmp_path / "out", (kitchen.folder / "manifest.jsonl").read_bytes()
    assert main([*kitchen.words, "-n", "2", "-o", str(out)]) == 0
    before = (out / "manifest.jsonl").read_bytes()
    assert main([*kitchen.words, "-n", "1", "-o", str(out)]) == 3
    assert main([*kitchen.words, "-n", "1", "-o", str(out), "--skip-existing"]) == 0
    assert (out / "manifest.jsonl").read_bytes() == before
    for seed in range(5):  # others would have drawn other patients
        again = [*kitchen.words, "-n", "2", "-o", str(out), "--seed", str(seed), "--skip-existing"]
        assert main(again) == 0
        assert (out / "manifest.jsonl").read_bytes() == before
    (out / "manifest.jsonl").write_text("damaged")
    assert main([*kitchen.words, "-n", "2", "-o", str(out), "--overwrite"]) == 0
    assert (out / "manifest.jsonl").read_bytes() == before
    capsys.readouterr()
    assert main([*kitchen.words, "-n", "1", "-o", str(kitchen.folder), "--overwrite"]) == 2
    assert "manifest.jsonl: is one of the inputs" in capsys.readouterr().err
    assert (kitchen.folder / "manifest.jsonl").read_bytes() == given


def test_a_recipe_is_read_beside_its_files(kitchen: SimpleNamespace, tmp_path: Path) -> None:
    (one,) = read_recipe(kitchen.folder / "recipe.toml").concept
    assert one.file == str(kitchen.folder / "mass.concept")
    for text, message in [
        ("most = 1\nconcept = []", "needs a \\[\\[concept\\]\\]"),
        ("most = 2\n[[concept]]\nfile = 'a'", "has 1 concepts"),
        ("[[concept]]\nfile = 'a'\nradius = [9, 3]", "smallest and largest"),
        ("[[concept]]\nfile = 'a'\nregion = 'heart'", "go together"),
        ("[[concept]]\nfile = 'a'\nbox = [0.5, 0.1]", "first and last share"),
        ("[[concept]]\nfil = 'a'", "did you mean 'file'"),
    ]:
        (tmp_path / "r.toml").write_text(text)
        with pytest.raises(UsageError, match=message):
            read_recipe(tmp_path / "r.toml")


def test_places_are_in_the_allowed_anatomy(kitchen: SimpleNamespace, tmp_path: Path) -> None:
    image = read_scan(Given(kitchen.folder / "a.png"))
    heart = np.zeros((64, 56), np.uint8)
    heart[30:50, 20:44] = 51
    Image.fromarray(heart).save(tmp_path / "a-seg.png")
    labels = str(tmp_path / "{id}-seg.png")
    one = Ingredient("x.concept", (3.0, 6.0), region="heart", labels=labels)
    for seed in range(5):
        region = drawn(one, image, "a", generator(seed), None)
        assert region.any()
        assert not region[heart == 0].any()
    taken = heart > 0
    with pytest.raises(InputError, match=r"has no room for x\.concept"):
        drawn(one, image, "a", generator(0), taken)


def test_a_radius_is_a_radius(kitchen: SimpleNamespace) -> None:
    image = read_scan(Given(dim_radiograph(kitchen.folder / "large.png", (200, 200))))
    one = Ingredient("x.concept", (15.0, 15.0), box=(0.4, 0.6, 0.4, 0.6))
    areas = [drawn(one, image, "a", generator(seed)).sum() for seed in range(6)]
    assert np.mean(areas) == pytest.approx(np.pi * 15**2, rel=0.25)
    assert len(set(areas)) > 1


def test_each_concept_comes_at_most_once() -> None:
    recipe = Recipe(tuple(Ingredient(name) for name in "abc"), most=3)
    seen = [[one.file for one in chosen(recipe, generator(seed))] for seed in range(20)]
    assert all(len(set(files)) == len(files) for files in seen)
    assert {len(files) for files in seen} == {1, 2, 3}


def test_what_cannot_be_asked(
    kitchen: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, recipe = kitchen.words[1], kitchen.words[3]
    mask = save_mask(np.ones((64, 56), bool), tmp_path / "mask.png")
    concept = f"{kitchen.folder / 'mass.concept'}={mask}"
    one = ["-o", str(tmp_path / "woven.nii.gz")]
    cases = [
        (["weave", manifest, "--concept", concept], "say with --recipe what goes where"),
        (["weave", manifest, "--recipe", recipe, "--concept", concept], "says itself"),
        (["weave", manifest, "--recipe", recipe, *one], "name a folder"),
        (["weave", str(mask), "--recipe", recipe], "takes a manifest"),
    ]
    for words, message in cases:
        assert main(words) == 2
        assert message in capsys.readouterr().err
