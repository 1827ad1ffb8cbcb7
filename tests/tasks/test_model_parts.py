"""A part that is replaced takes with it what was trained on it, and nothing else."""

import logging

import pytest
import torch

from medgen.tasks.model_parts import without_dependents

PARTS = ("text", "codec-xray", "codec-text", "flow-xray", "flow-text", "environment-xray")
PARTS += ("listener-xray", "listener-text", "instruct-xray", "refine-xray")


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("codec-xray", {"flow-xray", "environment-xray", "listener-xray", "instruct-xray"}),
        ("flow-xray", {"environment-xray", "listener-xray", "instruct-xray"}),
        ("codec-text", {"flow-text", "listener-text"}),
        ("codec-ct", set()),
        ("codec-xray-whole", set()),
        ("codec-text-whole", {"flow-text", "listener-text"}),
        ("text", set()),
    ],
)
def test_what_was_trained_on_it_goes(
    name: str, gone: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    parts = {part: {"x": torch.zeros(1)} for part in PARTS}
    configs = {part: {"of": part} for part in PARTS}
    if name == "codec-text-whole":
        configs["flow-text"]["codec"] = "whole"
    with caplog.at_level(logging.WARNING):
        without_dependents(parts, configs, name)
    assert set(PARTS) - parts.keys() == gone
    assert parts.keys() == configs.keys()
    assert all(one in caplog.text for one in gone)
