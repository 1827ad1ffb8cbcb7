"""CTs are asked for of what a model makes, and of nothing else."""

from dataclasses import replace

from benchmarks.cts import CHESTS, HEADS, key_at


def test_a_model_has_a_key_for_the_anatomies_that_it_makes() -> None:
    assert key_at("flows", CHESTS)
    assert key_at("flows", replace(HEADS, spacing=1.25)) is None  # no flow has such voxels
    assert key_at("base", CHESTS) is None  # translates only
