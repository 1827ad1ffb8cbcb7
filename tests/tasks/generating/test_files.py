"""Prompts in files, and what they leave on disk."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest

from medgen.errors import InputError, OutputError, UsageError
from medgen.io import files
from medgen.tasks.generating.config import GenerateConfig
from medgen.tasks.generating.files import outputs_of, write_samples
from medgen.tasks.generating.requests import Request, read_requests, read_sources

REQUEST = Request("mass", "Mass in the left upper lobe.")


@pytest.fixture
def config(corner_flows: SimpleNamespace) -> GenerateConfig:
    return GenerateConfig(model=str(corner_flows.model), device="cpu", steps=2, number=2)


def test_the_sidecar_says_how_hard_it_was_pushed(config: GenerateConfig, tmp_path: Path) -> None:
    pushed = replace(config, number=1, guidance=7.0)
    free = replace(pushed, unconditional=True)
    (told,) = write_samples(REQUEST, [], pushed, tmp_path / "told.png")
    (untold,) = write_samples(Request("free", ""), [], free, tmp_path / "free.png")
    assert json.loads(told.sidecar.read_text())["Guidance"] == 7.0
    assert json.loads(untold.sidecar.read_text())["Guidance"] == 1.0


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_requests(tmp_path: Path) -> None:
    lines = '{"text": "Mass.", "id": "a/b"}\n\n{"text": ""}\n'
    assert read_requests(written(tmp_path / "p.jsonl", lines)) == [
        Request("a_b", "Mass.", 0),
        Request("prompt-0003", "", 2),
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "has no prompts"),
        ("Mass.", ":1: is not one JSON object in UTF-8 with each key once"),
        ('{"text": "a", "text": "b"}', ":1: is not one JSON object in UTF-8 with each key once"),
        ('{"text": ' + 5000 * "[", ":1: is not one JSON object in UTF-8 with each key once"),
        ('{"text": "[ref#' + 5000 * "1" + ']"}', ":1: '[ref#1111"),
        ('{"txt": "Mass."}', ':1: is not {"text"'),
        ('["Mass."]', ':1: is not {"text"'),
        ('{"text": 3}', "in quotes"),
        ('{"text": "a", "guidnce": 7}', "'guidnce' is none of id, text, seed and references"),
        ('{"text": "a", "seed": -1}', "a whole number from 0"),
        ('{"text": "a", "id": "x"}\n{"text": "b", "id": "x"}', "'x' comes twice"),
    ],
)
def test_bad_requests(tmp_path: Path, lines: str, message: str) -> None:
    path = written(tmp_path / "p.jsonl", lines)
    with pytest.raises(InputError, match=r"p\.jsonl") as caught:
        read_requests(path)
    assert message in str(caught.value)


def test_a_mark_of_bytes_and_odd_line_ends_inside_a_text_are_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes('\ufeff{"text": "a\u2028b"}\r\n{"text": "c"}'.encode())
    assert [one.text for one in read_requests(path)] == ["a\u2028b", "c"]


def test_every_line_has_a_seed_of_its_own(tmp_path: Path) -> None:
    lines = '{"text": "a"}\n{"text": "b", "seed": 5}\n{"text": "c"}\n'
    found = read_requests(written(tmp_path / "p.jsonl", lines), 100)
    assert [one.seed for one in found] == [100, 5, 102]


def test_the_seed_of_a_prompt_decides(config: GenerateConfig, tmp_path: Path) -> None:
    one = replace(config, number=1)
    pictures = []
    for name, seed in (("a", 3), ("b", 4), ("c", 3)):
        (sample,) = write_samples(Request(name, REQUEST.text, seed), [], one, tmp_path)
        pictures.append(files.read(sample.output).voxels)
    assert (pictures[0] != pictures[1]).any()
    np.testing.assert_array_equal(pictures[0], pictures[2])


def test_a_sidecar_of_another_format_is_never_replaced(
    config: GenerateConfig, tmp_path: Path
) -> None:
    one = replace(config, number=1)
    (first,) = write_samples(REQUEST, [], one, tmp_path / "a.dcm")
    before = first.sidecar.read_bytes()
    with pytest.raises(OutputError, match=r"a\.json"):
        list(write_samples(REQUEST, [], one, tmp_path / "a.png", skip_existing=True))
    assert first.sidecar.read_bytes() == before
    first.output.unlink()  # now it belongs to nobody
    (again,) = write_samples(REQUEST, [], one, tmp_path / "a.png", skip_existing=True)
    assert again.sidecar == first.sidecar


def test_missing_requests(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_requests(tmp_path / "no.jsonl")


def test_where_samples_go(tmp_path: Path) -> None:
    one, two = GenerateConfig(), GenerateConfig(number=2, format="dicom")
    assert outputs_of(REQUEST, one, tmp_path / "a.png") == [tmp_path / "a.png"]
    names = [path.name for path in outputs_of(REQUEST, two, tmp_path)]
    assert names == ["mass-0001.dcm", "mass-0002.dcm"]
    with pytest.raises(UsageError, match="one file for 2 samples"):
        outputs_of(REQUEST, two, tmp_path / "a.png")
    for name in ("a.nii.gz", "a.mha", "a.tif"):
        with pytest.raises(UsageError, match=r"xray is written as \.png, \.dcm"):
            outputs_of(REQUEST, one, tmp_path / name)
        (tmp_path / name).mkdir()
        assert outputs_of(REQUEST, one, tmp_path / name) == [tmp_path / name / "mass-0001.png"]
    assert outputs_of(REQUEST, one, tmp_path / "a.v2") == [tmp_path / "a.v2" / "mass-0001.png"]


def test_sources_say_what_they_are(tmp_path: Path, volumes: SimpleNamespace) -> None:
    path = volumes.save(volumes.head("ct"), tmp_path / "head.nii.gz")
    (image,) = read_sources(GenerateConfig(sources=(f"ct={path}",)))
    assert str(image.kind) == "ct"
    with pytest.raises(UsageError, match="'pet' is not one of"):
        read_sources(GenerateConfig(sources=(f"pet={path}",)))
    with pytest.raises(InputError, match="expected 2"):
        read_sources(GenerateConfig(sources=(f"xray={path}",)))


def test_a_source_is_not_what_its_file_denies(
    tmp_path: Path, volumes: SimpleNamespace, plain_dicom: SimpleNamespace
) -> None:
    slices = plain_dicom.slices(volumes.head("ct"), np.diag([2.0, 2, 2, 1]))
    folder = plain_dicom.save(slices, tmp_path / "ct")
    with pytest.raises(UsageError, match="the file says that it is ct"):
        read_sources(GenerateConfig(sources=(f"mri={folder}",)))


def test_samples_on_disk(tmp_path: Path, config: GenerateConfig) -> None:
    first, second = write_samples(REQUEST, [], config, tmp_path)
    assert first.output == tmp_path / "mass-0001.png"
    image = files.read(second.output)
    assert image.voxels.shape == (32, 32)
    told = json.loads(first.sidecar.read_text())
    assert told["Prompt"] == REQUEST.text
    assert told["NeverTrainedOn"] == ["mass"]
    assert told["Sample"] == 0
    assert first.agreement
    assert told["Agreement"] == first.agreement.cosine
    assert told["LogLikelihood"] is first.agreement.likelihood is None  # nothing is understood
    with pytest.raises(OutputError, match="exists"):
        next(iter(write_samples(REQUEST, [], config, tmp_path)))
    assert not list(write_samples(REQUEST, [], config, tmp_path, skip_existing=True))


def test_dicom(tmp_path: Path, config: GenerateConfig) -> None:
    one = replace(config, number=1, format="dicom")
    (made,) = write_samples(REQUEST, [], one, tmp_path)
    data = pydicom.dcmread(made.output)
    assert data.Modality in ("DX", "CR")
    assert data.PixelData
    assert "synthetic" in str(data).lower()


def test_nothing_is_left_of_what_fails(
    tmp_path: Path, config: GenerateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **more: object) -> None:
        raise OutputError("disk full")

    monkeypatch.setattr(files, "write", fail)
    with pytest.raises(OutputError):
        list(write_samples(REQUEST, [], config, tmp_path))
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_made_as_it_was(config: GenerateConfig, tmp_path: Path) -> None:
    first, second = write_samples(REQUEST, [], config, tmp_path)
    before = files.read(second.output).voxels
    for path in (second.output, second.sidecar):
        path.unlink()
    kept = first.output.stat().st_mtime_ns
    (again,) = write_samples(REQUEST, [], config, tmp_path, skip_existing=True)
    assert (again.index, again.output) == (1, second.output)
    # Of the same noise; a batch of another size may be rounded otherwise.
    np.testing.assert_allclose(files.read(again.output).voxels, before, atol=1)
    assert first.output.stat().st_mtime_ns == kept
