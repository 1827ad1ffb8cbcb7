"""What a list may say is checked in one place, in seconds, and in memory for the studies alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import medgen
from medgen.data.listing import KEYS, Listing, Problem, Row, examine
from medgen.data.study import Study
from medgen.errors import InputError
from medgen.modality import Kind

MANY = 100_000
NOTE = "n" * 500  # what a reader must not keep
READ = """
import resource, sys, time
from pathlib import Path
from medgen.tasks.manifest import read_list

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

path = Path(sys.argv[1])
before, start = peak(), time.process_time()
listing = read_list(path, {"note": ""} if path.suffix == ".csv" else {})
print(len(listing.studies), len(listing.problems), time.process_time() - start, peak() - before)
"""


def test_the_keys_are_those_of_a_row() -> None:
    assert set(KEYS) == {field.alias or name for name, field in Row.model_fields.items()}


def test_entries_are_checked_wherever_they_come_from(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    bad = Problem(2, "", "cannot be understood")
    entries = [(1, {"id": "s1", "patient": "p1", "ct": "a"}), (2, bad), (5, {"id": "s1"})]
    studies = {1: Study("s1", "p1", {Kind.parse("ct"): tmp_path / "a"})}
    assert examine(entries, tmp_path) == Listing(
        studies, (bad, Problem(5, "patient", "is missing"))
    )


def test_a_contradiction_names_the_earlier_entry_in_the_words_of_its_list(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    entries = [(n, {"id": "s1", "patient": "p1", "ct": "a"}) for n in (1, 2)]
    [problem] = examine(entries, tmp_path, place="row {}".format).problems
    assert str(problem) == "line 2: id: is the id of row 1 too"


def test_a_list_with_a_problem_gives_no_studies(tmp_path: Path) -> None:
    problems = (Problem(3, "ct", "is odd"), Problem(4, "", "is odd too"))
    with pytest.raises(
        InputError, match=r"^x\.csv: line 3: ct: is odd \(and 1 more problem; `medg"
    ):
        Listing({}, problems).without_problems(Path("x.csv"))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_hundred_thousand_lines_take_seconds(tmp_path: Path, suffix: str) -> None:
    """A file of 50 MB or more in CSV; what is left out of it is not kept."""
    (tmp_path / "a").touch()
    path = tmp_path / f"many.{suffix}"
    with path.open("w") as file:
        if suffix == "csv":
            file.write("id,patient,ct,note\n")
            file.writelines(f"s{n},p1,a,{NOTE}\n" for n in range(MANY))
        else:
            rows = ({"id": f"s{n}", "patient": "p1", "ct": "a"} for n in range(MANY))
            file.writelines(json.dumps(row) + "\n" for row in rows)
    root = Path(medgen.__file__).parent.parent
    command = [sys.executable, "-c", READ, str(path)]
    words = subprocess.check_output(command, cwd=root, text=True).split()
    studies, problems, seconds, megabytes = map(float, words)
    assert (studies, problems) == (MANY, 0)
    assert seconds < 10
    assert megabytes < 200
