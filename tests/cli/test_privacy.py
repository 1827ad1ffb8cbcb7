"""What a manifest names stays out of the record, whether its lines are right or wrong."""

import json
from pathlib import Path

import pytest

from medgen.cli.app import main


@pytest.mark.parametrize(
    "words",
    [
        ["translate", "studies", "--to", "ct", "-o", "out"],
        ["translate", "studies/manifest.jsonl", "--to", "ct", "-o", "out"],
        ["report", "studies/manifest.jsonl", "-o", "out"],
        ["train", "studies/manifest.jsonl", "-o", "out"],
        ["weave", "studies/manifest.jsonl", "--recipe", "recipe.toml", "-o", "out"],
        ["weave", "learn", "studies/manifest.jsonl", "--name", "mass", "-o", "mass.concept"],
    ],
)
@pytest.mark.parametrize("name", ["DOE_JANE/1970.nii.gz", "DOE" * 100])
def test_a_file_that_is_missing_is_named_to_the_user_and_not_in_the_record(
    words: list[str],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    row = {"id": "a", "patient": "p", "mri:t1": name}
    Path("studies/manifest.jsonl").write_text(json.dumps(row))
    assert main([*words, "--record", "r.json"]) == 4
    assert f"no such file: '{name[:200]}'" in capsys.readouterr().err
    text = Path("r.json").read_text()
    assert "no such file: 'input'" in text
    assert "DOE" not in text
