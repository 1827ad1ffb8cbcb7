"""However a run ends, it ends with the right exit code and at most one line on stderr."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import medgen
from medgen import errors
from medgen.cli import app
from medgen.cli.voice import is_quiet

ROOT = Path(medgen.__file__).parent.parent
FAST = [["--help"], ["--version"], ["models"], ["models", "--json"]]
SLACK = 3 if os.environ.get("CI") else 1.5  # the promise is 0.3 s on an idle machine
HEAVY = {"torch", "monai", "numpy", "nibabel", "pydicom", "SimpleITK", "PIL", "rich"}


@pytest.mark.parametrize(
    "words", ["translate x.nii", "report x.png", "generate --text x --modality xray", "weave x.png"]
)
def test_what_exists_is_replaced_or_left_out(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.main([*words.split(), "--overwrite", "--skip-existing"]) == 2
    assert "--overwrite and --skip-existing contradict" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("weave x.png --concept a.concept --box 1,2,3,4 --seed 3", "-n and --seed"),
        ("weave x.png --concept a.concept --box 1,2,3,4 --labels y.png", "--labels: is where"),
        ("weave x.png --skip-existing --set overwrite=true", "contradict"),
        ("generate --text x --modality xray --ref-guidance 2", "--ref-guidance is for references"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(words.split()) == 2
    assert message in capsys.readouterr().err


def medgen_process(*words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "medgen", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*words: str, **environment: str) -> SimpleNamespace:
    process = medgen_process(*words, **environment)
    out, err = process.communicate(timeout=60)
    return SimpleNamespace(code=process.returncode, out=out, err=err)


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> "type[Verb]":
    """A verb of the test's own: `medgen act`, which does what `Verb.act` says."""
    monkeypatch.setitem(app.VERBS, "act", (f"{__name__}:run_act", "Act."))
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(run_act=run_act))
    return Verb


class Verb:
    @staticmethod
    def act() -> None:
        pass


def run_act() -> None:
    """Act."""
    Verb.act()


@pytest.mark.parametrize("words", FAST, ids=" ".join)
def test_a_quick_question_gets_a_quick_answer(words: list[str]) -> None:
    def seconds() -> float:
        """Of a processor: how busy the machine is does not matter."""
        before = os.times()
        assert run(*words).code == 0
        after = os.times()
        return sum(after[2:4]) - sum(before[2:4])  # of children that have ended: user and system

    assert any(seconds() < 0.3 * SLACK for _ in range(5))


@pytest.mark.parametrize("words", FAST, ids=" ".join)
def test_a_quick_question_loads_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from medgen.cli.app import main; main(sys.argv[1:]);"
        f"sys.exit(', '.join({HEAVY!r} & set(sys.modules)) or 0)"
    )
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_results_go_to_stdout_and_nothing_else_does() -> None:
    version = run("--version")
    assert (version.out, version.err) == (f"medgen {medgen.__version__}\n", "")
    wrong = run("modles")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err == (
        "medgen: error: No such command 'modles'. Did you mean 'models'?; see 'medgen --help'\n"
    )


def test_no_words_at_all_is_help_and_a_usage_error() -> None:
    nothing = run()
    assert (nothing.code, nothing.out) == (2, "")
    assert nothing.err.startswith("Usage: medgen")


def test_output_is_plain_text() -> None:
    for words in [["--help"], ["models", "show", "nobody"], ["--nonsense"]]:
        answer = run(*words, FORCE_COLOR="", TERM="xterm-256color")
        assert "\x1b" not in answer.out + answer.err


CODES = [
    (errors.MedgenError("x"), 1),
    (errors.UsageError("x"), 2),
    (errors.SomeFailedError("x"), 3),
    (errors.InputError("x"), 4),
    (errors.GeometryError("x"), 4),
    (errors.OutOfRangeError("x"), 4),
    (errors.ModelError("x"), 5),
    (errors.SafetyError("x"), 6),
    (errors.OutputError("x"), 7),
    (OSError(errno.ENOSPC, "No space left on device", "/x"), 7),
    (OSError(errno.EACCES, "x"), 1),
    (MemoryError(), 1),
    (ZeroDivisionError("one\ntwo"), 1),
    (KeyboardInterrupt(), 130),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda x: type(x).__name__)
def test_every_error_has_its_exit_code_and_one_line(
    error: BaseException,
    code: int,
    verb: type[Verb],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def act() -> None:
        raise error

    monkeypatch.setattr(verb, "act", act)
    assert app.main(["act"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == (0 if code == 130 else 1)
    assert "Traceback" not in err
    if code != 130:
        assert err.startswith("medgen: error: ")
        app.main(["act", "--debug"])
        assert type(error).__name__ in capsys.readouterr().err


@pytest.mark.parametrize("words", [["-q", "act"], ["act", "-q"], ["act", "--quiet"]])
def test_shared_options_stand_before_or_after_the_verb(
    words: list[str], verb: type[Verb], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []
    monkeypatch.setattr(verb, "act", lambda: heard.append(is_quiet()))
    assert app.main(words) == 0
    assert app.main(["act"]) == 0
    assert heard == [True, False]


@pytest.mark.parametrize(
    ("words", "levels"),
    [([], ["warning"]), (["-q"], []), (["-v"], ["warning", "info"]), (["-vv"], list("wid"))],
)
def test_it_says_as_much_as_was_asked_for(
    words: list[str],
    levels: list[str],
    verb: type[Verb],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def act() -> None:
        import logging

        for level in (logging.WARNING, logging.INFO, logging.DEBUG):
            logging.getLogger("medgen.tasks.x").log(level, "hello")

    monkeypatch.setattr(verb, "act", act)
    assert app.main(["act", *words]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(levels)
    assert lines[:1] == (["medgen: warning: hello"] if levels else [])


def test_threads_reach_every_library(verb: type[Verb], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    before = torch.get_num_threads()
    for name in app.THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")
    seen = []
    monkeypatch.setattr(
        verb, "act", lambda: seen.append((torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]))
    )
    try:
        assert app.main(["--threads", "3", "act"]) == 0
    finally:
        torch.set_num_threads(before)
    assert seen == [(3, "3")]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_ends_the_run_after_cleaning_up(number: int, code: int, tmp_path: Path) -> None:
    script = f"""
import signal, sys, time, types, pathlib
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
from medgen.cli import app
def act():
    try:
        print("ready", flush=True)
        time.sleep(600)
    finally:
        pathlib.Path({str(tmp_path / "cleaned")!r}).touch()
sys.modules["verb"] = types.SimpleNamespace(act=act)
app.VERBS["act"] = ("verb:act", "")
sys.exit(app.main(["act"]))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert (tmp_path / "cleaned").exists()
    assert "Traceback" not in err


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    for words in (["models", "--json"], ["--help"]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [sys.executable, "-m", "medgen", *words],
            cwd=ROOT,
            stdout=write,
            stderr=subprocess.PIPE,
            check=False,
        )
        os.close(write)
        assert (done.returncode, done.stderr) == (141, b"")


def test_help_lists_exactly_the_verbs_with_their_own_first_sentence() -> None:
    text = run("--help", COLUMNS="200").out
    for name, (_, sentence) in app.VERBS.items():
        first, _, second = name.partition(" ")
        if second:  # told of where its first word is explained
            assert f"medgen {name}" in run(first, "--help", COLUMNS="200").out
        else:
            assert f"{name}" in text
            assert sentence in text
        own = app.Verbs()[name].help.partition("\n")[0]
        assert own == sentence, f"{name}: --help says '{sentence}', its docstring '{own}'"


def test_the_shell_completes_verbs_and_options() -> None:
    def completed(line: str) -> str:
        count = str(len(line.split()) - (not line.endswith(" ")))
        words = {"_MEDGEN_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": count}
        return run(**words).out

    assert "models" in completed("medgen mod")
    assert "--json" in completed("medgen models --js")
