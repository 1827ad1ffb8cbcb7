"""The `medgen` command: which verbs there are, what all of them share, and how a run ends."""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from medgen import __version__
from medgen.cli.voice import Voice, say
from medgen.errors import MedgenError, OutputError, UsageError

VERBS = {  # verb: (where it is, its first sentence); nothing is imported before it is used
    "translate": (
        "medgen.cli.translate:translate",
        "Translate between MRI and CT, between MRI contrasts, or to X-ray.",
    ),
    "generate": (
        "medgen.cli.generate:generate",
        "Make images that a text describes.",
    ),
    "report": (
        "medgen.cli.report:report",
        "Report what images show: a table that can be checked, and prose.",
    ),
    "weave": (
        "medgen.cli.weave:weave",
        "Place learned concepts, or regions of other scans, in a scan.",
    ),
    "weave learn": (
        "medgen.cli.weave_learn:weave_learn",
        "Learn a concept of a few images, as one small file.",
    ),
    "train": (
        "medgen.cli.train:train",
        "Train a translator, a codec, a flow or what reports.",
    ),
    "align": (
        "medgen.cli.align:align",
        "Train encoders in which text, X-ray, CT and MRI meet.",
    ),
    "phantom": (
        "medgen.cli.phantom:phantom",
        "Make up patients: CT, MRI or X-ray, and what is true of them.",
    ),
    "evaluate": (
        "medgen.cli.evaluate:evaluate",
        "Measure synthetic images, reports and encoders.",
    ),
    "info": ("medgen.cli.info:info", "Tell what is in a file, and what is wrong with a manifest."),
    "models": ("medgen.cli.models:models", "List the models that come with medgen, or show one."),
}
INTERRUPTED, TERMINATED, PIPE_CLOSED = 130, 143, 141  # 128 + the number of the signal
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


class Verbs(Mapping[str, Any]):
    """Commands by name; a command's module is imported when somebody asks for it."""

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = VERBS[name][0].partition(":")
        command = _alone(getattr(import_module(module), attribute))
        command.params.extend(_alone(shared).params)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class LazyGroup(TyperGroup):
    """The verbs as a group that can list them without importing them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": {}})
        self.commands = Verbs()  # type: ignore[assignment]

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the verbs, in the order of a day's work."""
        return list(VERBS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the words begin with; some verbs are two words."""
        both = " ".join(args[:2])
        return super().resolve_command(ctx, [both, *args[2:]] if both in VERBS else args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of verbs for `--help`."""
        with formatter.section("Commands"):
            listed = [(name, said) for name, (_, said) in VERBS.items() if " " not in name]
            formatter.write_dl(listed)  # a verb of two words is told of by the one it belongs to


def _alone(function: Any) -> Any:
    """The command that Typer makes of a function."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command()(function)
    return typer.main.get_command(single)


def _show_version(value: bool) -> bool:
    if value:
        typer.echo(f"medgen {__version__}")
        raise typer.Exit
    return value


def _set_debug(ctx: Any, value: bool) -> None:
    ctx.ensure_object(Voice).debug |= value


def _set_quiet(ctx: Any, value: bool) -> None:
    if value:
        ctx.ensure_object(Voice).level = -1


def _set_verbose(ctx: Any, value: int) -> None:
    if value:
        ctx.ensure_object(Voice).level = value


def _set_threads(value: int | None) -> None:
    """Tell every library that brings its own threads, before it is imported."""
    if value is None:
        return
    for name in THREAD_VARIABLES:
        os.environ[name] = str(value)
    if "torch" in sys.modules:  # called from Python, where the variables come too late
        sys.modules["torch"].set_num_threads(value)


def shared(
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Show where an error comes from.",
            callback=_set_debug,
            expose_value=False,
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "-q",
            "--quiet",
            help="Say nothing but results and errors.",
            callback=_set_quiet,
            expose_value=False,
        ),
    ] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "-v",
            "--verbose",
            count=True,
            help="Say more; twice: everything.",
            show_default=False,
            callback=_set_verbose,
            expose_value=False,
        ),
    ] = 0,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            min=1,
            metavar="N",
            help="Use this many CPU cores; all if not given.",
            callback=_set_threads,
            expose_value=False,
        ),
    ] = None,
) -> None:
    """Take the options that stand before or after any verb."""


app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,  # plain text: no colours to turn off, and 0.1 s less
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Not for clinical use: every result is synthetic, and says so.",
)


@app.callback()
def _before_any_verb(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Medical multimodal synthesis on real DICOM and NIfTI files."""


def command() -> Any:
    """The whole command line as one command object."""
    root = typer.main.get_command(app)
    root.params[1:1] = _alone(shared).params
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; every way in which it can end is decided here.

    Args:
        arguments: The words after `medgen`; None takes them from the process.

    Returns:
        The exit code.
    """
    voice = Voice()
    with voice.speaking(), _stopped_by_sigterm():
        try:
            code = command().main(arguments, prog_name="medgen", standalone_mode=False, obj=voice)
            sys.stdout.flush()
        except KeyboardInterrupt:
            code = INTERRUPTED
        except SystemExit as stop:
            if not isinstance(stop.__context__, BrokenPipeError):
                raise
            code = _without_reader()
        except BrokenPipeError:
            code = _without_reader()
        except Exception as error:
            if voice.debug:
                traceback.print_exception(error)
            code = _explained(error)
    return code if isinstance(code, int) else 0


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Make SIGTERM unwind the stack, so that drafts are removed and children end."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread, where signals arrive
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _without_reader() -> int:
    """`medgen … | head` has read enough: say nothing, not even when Python flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED


def _explained(error: Exception) -> int:
    """Say in one line what went wrong; returns the exit code."""
    code = 1
    match error:
        case MedgenError():
            line, code = str(error), error.exit_code
        case typer.TyperException():
            line, code = _usage(error), UsageError.exit_code
        case OSError(errno=number) if number in NO_ROOM:
            line, code = f"{error.filename or 'output'}: {error.strerror}", OutputError.exit_code
        case MemoryError():
            line = "out of memory; use fewer --jobs, or a machine with more of it"
        case _:
            line = f"unexpected {type(error).__name__}: {error}; --debug shows where it comes from"
    if line:
        say("error: " + line)
    return code


def _usage(error: typer.TyperException) -> str:
    message = error.format_message()
    if message.startswith("Usage: "):  # `medgen` alone: the whole help, not an error
        typer.echo(message, err=True)
        return ""
    context = getattr(error, "ctx", None)
    command_path = context.command_path if context else "medgen"
    return f"{message.rstrip('.')}; see '{command_path} --help'"
