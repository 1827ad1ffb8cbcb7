"""What a radiologist would understand of a report, sentence by sentence."""

import tomllib
from pathlib import Path

import pytest

from medgen.errors import InputError, UsageError
from medgen.finding import Course, Finding, Presence, Side
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import FOLDER, load_phrases

PHRASES = load_phrases()
MARKS = {"+": Presence.PRESENT, "-": Presence.ABSENT, "?": Presence.UNCERTAIN}
SIDES = {"L": Side.LEFT, "R": Side.RIGHT, "B": Side.BOTH}


def read(text: str) -> set[Finding]:
    return set(read_findings(text, PHRASES))


def said(words: str) -> set[Finding]:
    """`+pleural_effusion L base 12 small`, one finding a comma."""
    found = set()
    for part in filter(None, map(str.strip, words.split(","))):
        name, *rest = part.split()
        facts: dict[str, object] = {"presence": MARKS[name[0]]}
        for word in rest:
            if word in SIDES:
                facts["side"] = SIDES[word]
            elif word in ("small", "moderate", "large"):
                facts["severity"] = word
            elif word in list(Course):
                facts["course"] = Course(word)
            elif word.replace(".", "").isdigit():
                facts["size_mm"] = float(word)
            else:
                facts["region"] = word
        found.add(Finding(name[1:], **facts))  # type: ignore[arg-type]
    return found


SENTENCES = {
    # there, and where
    "The cardiac silhouette is mildly enlarged.": "+cardiomegaly small",
    "Endotracheal tube terminates 4 cm above the carina.": "+device",
    "1.5 cm calcified nodule in the right apex, stable.": "+nodule R apex 15 unchanged",
    "Small left pleural effusion.": "+pleural_effusion L small",
    "There is a moderate right-sided pneumothorax.": "+pneumothorax R moderate",
    "Bilateral pleural effusions": "+pleural_effusion B",
    "Consolidation in the right lower lobe": "+consolidation R lower_lobe",
    "The heart is enlarged.": "+cardiomegaly",
    "Left effusion and cardiomegaly.": "+pleural_effusion L, +cardiomegaly",
    "A 12 mm nodule is seen in the left upper lobe.": "+nodule L upper_lobe 12",
    "Mass in the right lung measuring 3.4 x 2.1 cm.": "+mass R 34",
    "Left-sided pacemaker. Rib fractures on the right.": "+device L, +fracture R",
    "Large right effusion with small left pneumothorax": (
        "+pleural_effusion R large, +pneumothorax L small"
    ),
    "Left frontal haemorrhage of 25 mm with midline shift of 6 mm to the right": (
        "+haemorrhage L frontal 25, +midline_shift R frontal 6"
    ),
    # not there
    "No pneumothorax.": "-pneumothorax",
    "No focal consolidation, pleural effusion, or pneumothorax.": (
        "-consolidation, -pleural_effusion, -pneumothorax"
    ),
    "Pneumothorax is not seen.": "-pneumothorax",
    "Effusion and pneumothorax are absent": "-pleural_effusion, -pneumothorax",
    "The left effusion has resolved": "-pleural_effusion L gone",
    "Without evidence of acute infarct or hemorrhage": "-infarct, -haemorrhage",
    "Heart size is normal.": "-cardiomegaly",
    "The heart is not enlarged": "-cardiomegaly",
    "Negative for fracture": "-fracture",
    "No midline shift": "-midline_shift",
    "Ventricles and sulci are normal": "-ventriculomegaly, -atrophy",
    # where a denial ends
    "No pneumothorax, small left effusion": "-pneumothorax, +pleural_effusion L small",
    "No effusion but there is a pneumothorax": "-pleural_effusion, +pneumothorax",
    "Right effusion without pneumothorax": "+pleural_effusion R, -pneumothorax R",
    "No effusion or small pneumothorax": "-pleural_effusion, -pneumothorax small",
    "No effusion. Pneumothorax.": "-pleural_effusion, +pneumothorax",
    "No effusion on the right, a small one on the left": (
        "-pleural_effusion R, +pleural_effusion L small"
    ),
    "Cardiomegaly, no oedema": "+cardiomegaly, -oedema",
    "Status post removal of the chest tube": "-device gone",
    "No mass effect": "-mass_effect",
    "The previously seen left pneumothorax is no longer visible.": "-pneumothorax L gone",
    # since the last study
    "New small left effusion.": "+pleural_effusion L small new",
    "Unchanged cardiomegaly, increased oedema": "+cardiomegaly unchanged, +oedema larger",
    "No significant change in the right effusion.": "+pleural_effusion R unchanged",
    "The left pneumothorax has increased, the right is gone": (
        "+pneumothorax L larger, -pneumothorax R gone"
    ),
    "No new consolidation": "-consolidation",
    "Stable left nodule, and no effusion": "+nodule L unchanged, -pleural_effusion",
    # perhaps
    "Possible pneumonia.": "?pneumonia",
    "Pneumonia cannot be excluded.": "?pneumonia",
    "Cannot exclude small left effusion": "?pleural_effusion L small",
    "Opacity at the left base, suspicious for consolidation": (
        "+lung_opacity L base, ?consolidation L base"
    ),
    "Opacity may represent atelectasis versus pneumonia": (
        "+lung_opacity, ?atelectasis, ?pneumonia"
    ),
    # nothing
    "": "",
    "Comparison is made with the study of 3 May.": "",
    "Massive improvement": "",
}


@pytest.mark.parametrize(("text", "words"), SENTENCES.items(), ids=SENTENCES)
def test_a_sentence_is_understood(text: str, words: str) -> None:
    assert read(text) == said(words)


@pytest.mark.parametrize(("text", "words"), SENTENCES.items(), ids=SENTENCES)
def test_case_and_line_breaks_mean_nothing(text: str, words: str) -> None:
    assert read(text.upper().replace(" ", "\n", 1)) == said(words)


def test_findings_and_impression_are_told_once() -> None:
    report = """
    FINDINGS: There is an effusion at the left base. The effusion measures 14 mm. No pneumothorax.
    IMPRESSION: Small left basal pleural effusion; no pneumothorax.
    """
    assert read(report) == said("+pleural_effusion L base 14 small, -pneumothorax")


def test_what_is_there_outweighs_what_is_not_said_to_be() -> None:
    assert read("No effusion. Small left effusion.") == said("+pleural_effusion L small")
    assert read("Left effusion. No right effusion.") == said(
        "+pleural_effusion L, -pleural_effusion R"
    )


def test_two_nodules_are_two() -> None:
    text = "6 mm nodule in the left upper lobe. 9 mm nodule in the right lower lobe."
    assert read(text) == said("+nodule L upper_lobe 6, +nodule R lower_lobe 9")


def test_denying_a_clear_finding_turns_it_round() -> None:
    for name, words in [("pneumothorax", "pneumothorax"), ("pleural_effusion", "pleural effusion")]:
        assert read(f"{words}") == said(f"+{name}")
        assert read(f"no {words}") == said(f"-{name}")


def test_users_add_their_own_words(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        '[finding]\npleural_effusion = ["water on the lung"]\nscoliosis = ["scoliosis"]'
    )
    phrases = load_phrases((file,))
    found = read_findings("Water on the lung. No scoliosis. Left effusion.", phrases)
    assert {one.name for one in found} == {"pleural_effusion", "scoliosis"}
    assert not read("Water on the lung.")


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("[verbs]\na = ['b']", UsageError, r"\[verbs\] is not one of absent"),
        ("[finding]\nmass = 'mass'", UsageError, "something else than lists of words"),
        ("[finding]\nmass = ['']", UsageError, "something else than lists of words"),
        ("finding = 3", UsageError, "something else than lists of words"),
        ("[finding", InputError, "is not TOML"),
    ],
)
def test_bad_phrase_files_are_refused(
    tmp_path: Path, content: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "own.toml").write_text(content)
    with pytest.raises(error, match=message):
        load_phrases((tmp_path / "own.toml",))
    with pytest.raises(InputError, match="cannot be opened"):
        load_phrases((tmp_path / "none.toml",))


def test_the_bundled_files_contradict_each_other_nowhere() -> None:
    """A phrase has one meaning, and what is denied by a statement is a finding."""
    meanings: dict[str, str] = {}
    for path in FOLDER.glob("*.toml"):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        for name, phrases in tables.get("finding", {}).items():
            for phrase in phrases:
                assert meanings.setdefault(phrase, name) == name, phrase
    names = set(PHRASES.finding.meanings.values())
    assert {name for many in PHRASES.denied.values() for name in many} <= names
    assert names >= PHRASES.unsided


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Right basilar opacity is likely atelectasis.", {"atelectasis": "uncertain"}),
        ("This is likely pneumonia.", {"pneumonia": "uncertain"}),
        ("Atelectasis is likely.", {"atelectasis": "uncertain"}),
        ("Atelectasis, less likely pneumonia.", {"pneumonia": "uncertain"}),
        ("Atelectasis vs. pneumonia.", {"atelectasis": "uncertain", "pneumonia": "uncertain"}),
        ("Opacity may be due to pneumonia.", {"pneumonia": "uncertain"}),
        ("Findings are unlikely to represent pneumonia.", {"pneumonia": "absent"}),
        ("Left effusion no longer identified.", {"pleural_effusion": "absent"}),
        ("The nodule is no longer visualized.", {"nodule": "absent"}),
        ("No consolidation to suggest pneumonia.", {"consolidation": "absent"}),
        ("No consolidation to suggest pneumonia.", {"pneumonia": "absent"}),
        ("There are no findings suspicious for pneumonia.", {"pneumonia": "absent"}),
        ("The chest tube has been pulled.", {"device": "absent"}),
        ("Post-obstructive pneumonia in the right upper lobe.", {"pneumonia": "present"}),
        ("Post-traumatic left pneumothorax.", {"pneumothorax": "present"}),
        ("Compared to prior, new left effusion.", {"pleural_effusion": "present"}),
        ("Limited evaluation of the left base due to effusion.", {"pleural_effusion": "present"}),
        ("Evaluation of the bases is limited by effusions.", {"pleural_effusion": "present"}),
        ("The nodule first seen in 2019 has grown to 14 mm.", {"nodule": "present"}),
        ("The radiologist notes a small left effusion.", {"pleural_effusion": "present"}),
        ("Interval growth of the nodule.", {"mass": None, "nodule": "present"}),
        ("Left pneumothorax after chest tube removal.", {"pneumothorax": "present"}),
        ("Evaluation for pneumonia.", {"pneumonia": None}),
        ("COMPARISON: CT from 2019 showing a 5 mm left nodule.", {"nodule": None}),
        (
            "INDICATION: 65 y.o. man with left pneumothorax. FINDINGS: Left effusion.",
            {"pneumothorax": None, "pleural_effusion": "present"},
        ),
    ],
)
def test_words_of_the_ward(text: str, wanted: dict[str, str | None]) -> None:
    found = {one.name: str(one.presence) for one in read_findings(text, PHRASES)}
    assert {name: found.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "Large left and small right pleural effusions.",
            "+pleural_effusion L large, +pleural_effusion R small",
        ),
        ("The mass has increased from 2.1 cm to 3.4 cm.", "+mass 34 larger"),
        ("Nodule previously measured 12 mm, now measures 6 mm.", "+nodule 6"),
        ("Haemorrhage and 6 mm of leftward midline shift.", "+haemorrhage, +midline_shift L 6"),
        ("Slightly larger right effusion.", "+pleural_effusion R larger"),
        ("Small stable right effusion.", "+pleural_effusion R small unchanged"),
        ("Left lung: consolidation.", "+consolidation L"),
        (
            "Atelectasis in the right base, nodule in the left upper lobe.",
            "+atelectasis R base, +nodule L upper_lobe",
        ),
        (
            "Consolidation in the left upper lobe and effusion on the right.",
            "+consolidation L upper_lobe, +pleural_effusion R",
        ),
        (
            "Cardiomegaly, consolidation in the left upper lobe.",
            "+cardiomegaly, +consolidation L upper_lobe",
        ),
        (
            "Consolidation in the right middle and lower lobes, left effusion.",
            "+consolidation R lower_lobe, +pleural_effusion L",
        ),
        (
            "Effusion and atelectasis at the left base.",
            "+pleural_effusion L base, +atelectasis L base",
        ),
        ("L-spine fixation, lung nodule.", "+nodule"),
    ],
)
def test_sides_and_sizes_of_today(text: str, wanted: str) -> None:
    assert read(text) == said(wanted)
