"""Imports flow one way, some layers are blind, and `--help` never loads torch."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "medgen"
LAYERS = [  # a layer may import the ones above it in this list; names on one line are strangers
    {"errors"},
    {"modality", "config", "finding"},
    {"io"},
    {"shapes"},
    {"data"},
    {"phantom"},
    {"encoders", "latents"},
    {"align"},
    {"diffusion"},
    {"crossguide"},
    {"concepts", "instruct"},
    {"packing"},
    {"checkpoint", "record", "metrics"},
    {"tasks"},
    {"cli"},
    {"__main__"},
]
BLIND = {  # layers that must stay ignorant of more than the order already says
    "diffusion": {
        "medgen.io",
        "medgen.data",
        "medgen.modality",
        "medgen.encoders",
        "medgen.latents",
    },
    "io": {"torch", "monai"},
    "config": {"torch", "monai"},
    "modality": {"torch", "monai"},
}
VERBS = {"report": "reporting", "generate": "generating", "weave": "weaving"}  # and what they need
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")


def rank(layer: str) -> int:
    return next(i for i, names in enumerate(LAYERS) if layer in names)


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def family_of(name: str) -> str | None:
    """The package of `tasks`, or module beside these, that a dotted name is in; None elsewhere."""
    top, _, rest = name.removeprefix("medgen.").partition(".")
    family = rest.partition(".")[0]
    return VERBS.get(family, family) if top == "tasks" and family else None


def imported(path: Path) -> set[str]:
    """Dotted names this file imports, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_flow_down(path: Path) -> None:
    own = layer_of(path)
    layers = {name.split(".")[1] for name in imported(path) if name.startswith("medgen.")}
    assert not {other for other in layers - {own} if rank(other) >= rank(own)}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_blind_layers_stay_blind(path: Path) -> None:
    forbidden = BLIND.get(layer_of(path), set())
    seen = imported(path)
    assert not {f for f in forbidden for name in seen if name == f or name.startswith(f + ".")}


def test_families_of_tasks_need_each_other_one_way() -> None:
    """Raises CycleError, which names them, where some do not."""
    needs: dict[str, set[str]] = {}
    for path in MODULES:
        if own := family_of(".".join(path.relative_to(PACKAGE).with_suffix("").parts)):
            needs.setdefault(own, set()).update(filter(None, map(family_of, imported(path))))
    for own, others in needs.items():
        others.discard(own)
    assert list(TopologicalSorter(needs).static_order())


def test_help_does_not_load_torch() -> None:
    code = "import sys; import medgen.cli.app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
