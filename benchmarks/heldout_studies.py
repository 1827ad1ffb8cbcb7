"""The held-out studies with reports: 100 chests of formulas and 100 heads, in words kept back.

`python -m benchmarks.heldout_studies --data DIR -o OUT` writes them with one round of
counterfactual reports, as `OUT/heldout.jsonl` lists them, and checks their SHA-256 with
`heldout_studies.json`; where that differs, the SHA-256 of the texts and the signatures of the
images (see `benchmarks.likeness`), which were taken on another processor than the hashes.
`OUT/match.json` says which of both it was. Some sick heads are refused on some processors: their
diseased tissue gets other constants where the last digit of a Gaussian number is another
(`medgen.phantom.tissue.of_each_tissue`). Nobody may train on their seeds, nor on heads 19 and 20.
For some of them a person has written a report in a style of their own: `OUT/handwritten.jsonl`
lists these studies.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.data import HELD_OUT_HEADS, data_option
from benchmarks.likeness import Match, match, signature
from medgen.data.manifest import read_manifest, write_manifest
from medgen.data.study import Study
from medgen.io import files
from medgen.modality import Modality
from medgen.phantom.chest_study import ChestConfig
from medgen.phantom.study_config import StudyConfig
from medgen.tasks.phantom import PhantomConfig, simulate

LIST = Path(__file__).with_name("heldout_studies.json")
HANDWRITTEN = tuple(
    Path(__file__).with_name(f"handwritten_{part}.jsonl") for part in ("heads", "chests")
)
NUMBER = 100  # of each
MATCHES = "match.json"  # beside the studies: how each is the one of the list
PARTS = 2  # blocks of a signature along each axis
CHESTS = ChestConfig(seed=9001, held_out=True, counterfactuals=1)
HEADS = StudyConfig(
    seed=9002,
    contrasts=("t1", "t2", "flair"),
    spacing=1.5,
    ill=0.8,
    has_report=True,
    held_out=True,
    counterfactuals=1,
)


def chests(data: Path, out: Path) -> list[Study]:
    """The held-out chests, written to `out` where they are not yet."""
    return _having(Modality.XRAY, data, out)


def heads(data: Path, out: Path) -> list[Study]:
    """The held-out heads, likewise."""
    return _having(Modality.MRI, data, out)


def _having(modality: Modality, data: Path, out: Path) -> list[Study]:
    write(data, out)
    return [study for study in read_manifest(out / "heldout.jsonl") if study.of(modality)]


def fingerprint(folder: Path) -> dict[str, Any]:
    """SHA-256 of a study's texts with the voxels of its images, of its texts, and signatures."""
    every, texts, signatures = hashlib.sha256(), hashlib.sha256(), {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (".txt", ".json"):
            content = path.read_bytes() if path.stem != "findings" else b""
            texts.update(content)
        else:
            stored = files.read(path).voxels.astype("<i2")
            content = stored.tobytes()
            signatures[path.name.partition(".")[0]] = signature(stored, PARTS)
        every.update(content)
    return {
        "sha256": every.hexdigest(),
        "texts_sha256": texts.hexdigest(),
        "signatures": signatures,
    }


def matched(found: dict[str, Any], listed: dict[str, Any]) -> Match:
    """How a study is the one of the list, by what `fingerprint` gives."""
    images = sorted(found["signatures"])
    is_other = found["texts_sha256"] != listed["texts_sha256"]
    if is_other or images != sorted(listed["signatures"]):
        return Match.OTHER
    return match(
        found["sha256"],
        [number for name in images for number in found["signatures"][name]],
        listed=listed["sha256"],
        expected=[number for name in images for number in listed["signatures"][name]],
    )


def write(data: Path, out: Path, *, number: int = NUMBER, jobs: int = 2) -> list[Path]:
    """Simulate what is not there yet; the folders of the studies."""
    labels = out / "labels"
    labels.mkdir(parents=True, exist_ok=True)
    for name in HELD_OUT_HEADS:
        link = labels / f"{name}.nii.gz"
        if not link.exists():
            link.symlink_to((data / "heads" / link.name).resolve())
    studies = []
    for part, config in (("chest", CHESTS), ("head", replace(HEADS, labels=labels))):
        plan = PhantomConfig(number, study=config, skip_existing=True)
        for _ in simulate(plan, out / part, jobs=jobs):
            pass
        studies += [
            replace(study, id=f"{part}-{study.id}", patient=f"{part}-{study.patient}")
            for study in read_manifest(out / part / "manifest.jsonl")
        ]
    write_manifest(studies, out / "heldout.jsonl", overwrite=True)
    write_manifest(handwritten(studies, out), out / "handwritten.jsonl", overwrite=True)
    return [study.text.parent for study in studies if study.text]


def handwritten(studies: Iterable[Study], out: Path) -> list[Study]:
    """The studies that a person has reported, with that report in place of the simulated ones."""
    rows = [
        json.loads(line)
        for path in HANDWRITTEN
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    texts = {row["id"]: row["text"] for row in rows}
    reported = [study for study in studies if study.id in texts]
    folder = out / "handwritten"
    folder.mkdir(parents=True, exist_ok=True)
    for study in reported:
        (folder / f"{study.id}.txt").write_text(texts[study.id] + "\n", encoding="utf-8")
    return [
        replace(study, text=folder / f"{study.id}.txt", counterfactuals=None) for study in reported
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write the studies, and check or make the list; 0 if all is as it should be."""
    parser = argparse.ArgumentParser(prog="benchmarks.heldout_studies", description=__doc__)
    data_option(parser)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/heldout"), metavar="DIR")
    parser.add_argument("--write", action="store_true", help=f"make {LIST.name}")
    options = parser.parse_args(arguments)
    folders = write(options.data, options.out)
    found = {f"{path.parent.name}-{path.name}": fingerprint(path) for path in folders}
    if options.write:
        LIST.write_text(as_text(found), encoding="utf-8")
        return 0
    expected = json.loads(LIST.read_text(encoding="utf-8"))["studies"]
    matches = {
        name: matched(found[name], expected[name])
        if name in found and name in expected
        else Match.OTHER
        for name in sorted(found.keys() | expected)
    }
    (options.out / MATCHES).write_text(json.dumps(matches, indent=1) + "\n", encoding="utf-8")
    counts = Counter(matches.values())
    print(", ".join(f"{counts[each]} {each}" for each in Match))
    wrong = [name for name, each in matches.items() if each is Match.OTHER]
    for name in wrong:
        print(f"{name}: is not the study that the list was made from", file=sys.stderr)
    return 1 if wrong else 0


def as_text(studies: dict[str, dict[str, Any]]) -> str:
    """The list as JSON, a study a line."""
    lines = (f"  {json.dumps(name)}: {json.dumps(each)}" for name, each in studies.items())
    return '{\n "version": 1,\n "studies": {\n' + ",\n".join(lines) + "\n }\n}\n"


if __name__ == "__main__":
    sys.exit(main())
