"""A codec is trained on a manifest's images and lies in a model folder beside other parts."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from medgen.checkpoint import read_card
from medgen.errors import ModelError, UsageError
from medgen.modality import Modality
from medgen.tasks.codecs.images import FrameConfig, framed, random_patch
from medgen.tasks.codecs.model import load_codec
from medgen.tasks.codecs.train import CodecTrainConfig, train_codec
from medgen.tasks.fitting.fit import MODEL
from medgen.tasks.flows.model import flow_part
from medgen.tasks.flows.train import train_flow
from medgen.tasks.generating.generator import load_flows
from tests.tasks.flow_toy import CODEC, FIT, FLOW

DEVICE = torch.device("cpu")


def test_radiographs_come_back(corner_flows: SimpleNamespace) -> None:
    loaded = load_codec(corner_flows.codecs, Modality.XRAY, DEVICE)
    errors = []
    for number in range(4):
        path = corner_flows.manifest.parent / f"{number}.png"
        image = framed(path, Modality.XRAY, loaded.frame)[None].float()
        with torch.no_grad():
            made = loaded.codec.decode(loaded.codec.encode(image))
        errors.append(float((made - image).abs().mean()))
    assert max(errors) < 0.1  # of a range of 2


def test_other_parts_are_kept(corner_flows: SimpleNamespace) -> None:
    parts = read_card(corner_flows.model).parts
    assert {"codec-xray", "codec-text", "flow-xray", "text", "xray"} <= {
        name.removeprefix("encoder-") for name in parts
    }


def test_the_codec_of_the_model_goes_on(corner_flows: SimpleNamespace, tmp_path: Path) -> None:
    again = replace(CODEC, init=str(corner_flows.codecs), fit=replace(FIT, steps=1, warmup=0))
    for _ in train_codec(again, tmp_path, manifest=corner_flows.manifest):
        pass
    before = load_codec(corner_flows.codecs, Modality.XRAY, DEVICE).codec
    after = load_codec(tmp_path / MODEL, Modality.XRAY, DEVICE).codec
    one, other = (c.network.state_dict()["encoder.blocks.0.conv.weight"] for c in (before, after))
    assert 0 < float((one - other).abs().max()) < 0.02


def test_a_frozen_encoder_says_what_it_said(corner_flows: SimpleNamespace, tmp_path: Path) -> None:
    """Flows that know its latents go on with the better decoder."""
    frozen = ("network.encoder", "network.quant_conv_mu", "network.quant_conv_log_sigma")
    again = replace(
        CODEC,
        init=str(corner_flows.model),
        freeze=frozen,
        fit=replace(FIT, steps=2, warmup=0, ema_decay=0.0),
    )
    for _ in train_codec(again, tmp_path, manifest=corner_flows.manifest):
        pass
    before = load_codec(corner_flows.codecs, Modality.XRAY, DEVICE).codec
    after = load_codec(tmp_path / MODEL, Modality.XRAY, DEVICE).codec
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(before.posterior(image).mean, after.posterior(image).mean)
        latent = before.encode(image)
        assert torch.equal(after.encode(image), latent)
        assert not torch.allclose(before.decode(latent), after.decode(latent))
    parts = read_card(tmp_path / MODEL).parts
    assert flow_part(Modality.XRAY) in parts
    assert (
        parts[flow_part(Modality.XRAY)].sha256
        == read_card(corner_flows.model).parts[flow_part(Modality.XRAY)].sha256
    )


def test_a_modality_has_codecs_of_several_names(
    corner_flows: SimpleNamespace, tmp_path: Path
) -> None:
    """The flow on the usual one stays; another flow is trained on the other, and made with it."""
    small = replace(CODEC, name="small", codec=replace(CODEC.codec, widths=(16, 16, 16, 16)))
    once = replace(FIT, steps=1, warmup=0)
    beside = replace(small, init=str(corner_flows.model), fit=once)
    list(train_codec(beside, tmp_path / "beside", manifest=corner_flows.manifest))
    parts = read_card(tmp_path / "beside" / MODEL).parts
    before = read_card(corner_flows.model).parts
    assert parts.keys() == {*before, "codec-xray-small"}
    assert all(parts[name].sha256 == part.sha256 for name, part in before.items())
    alone = replace(small, init=str(corner_flows.codecs), fit=once)
    list(train_codec(alone, tmp_path / "alone", manifest=corner_flows.manifest))
    codecs = tmp_path / "alone" / MODEL
    flow = replace(FLOW, init=str(codecs), flow=replace(FLOW.flow, codec="small"), fit=once)
    list(train_flow(flow, tmp_path / "flow", manifest=corner_flows.manifest))
    loaded = load_flows(str(tmp_path / "flow" / MODEL), (Modality.XRAY,), "cpu")
    assert loaded.latent_shape(Modality.XRAY) == (4, 2, 2)  # 32 pixels, 16 of them a cell
    image = loaded.decode(torch.zeros(1, 4, 2, 2), Modality.XRAY)
    assert image.shape == (1, 1, 32, 32)
    own = load_codec(codecs, Modality.XRAY, DEVICE, "small").codec
    assert torch.equal(image, own.decode(torch.zeros(1, 4, 2, 2)).clamp(-1, 1))


def test_a_volume_is_brought_to_its_spacing(tmp_path: Path, volumes: SimpleNamespace) -> None:
    path = volumes.save(volumes.head("ct"), tmp_path / "ct.nii.gz")
    image = framed(path, Modality.CT, FrameConfig(spacing=4.0, wide=4.0))
    assert image.shape == (1, 13, 12, 14)
    assert image.abs().max() <= 1
    # Brain of 35 HU, of -1024 … 3071.
    assert abs(float(image[0, 6, 6, 7]) - (2 * (35 + 1024) / 4095 - 1)) < 0.01


def test_patches() -> None:
    image = torch.arange(48.0).view(1, 6, 8)
    generator = torch.Generator().manual_seed(0)
    patches = [random_patch(image, 4, generator) for _ in range(200)]
    corners = {int(patch[0, 0, 0]) for patch in patches}
    assert corners == {8 * row + column for row in range(3) for column in range(5)}
    assert all(torch.equal(patch - patch[0, 0, 0], image[:, :4, :4]) for patch in patches)
    larger = random_patch(image, 10, generator)
    assert torch.equal(larger[:, :6, :8], image)
    assert not larger[:, 6:].any()


def test_refusals(corner_flows: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose a multiple of 8"):
        CodecTrainConfig(patch=100)
    with pytest.raises(UsageError, match=r"spatial_dims 2: ct has 3"):
        CodecTrainConfig(modality=Modality.CT)
    with pytest.raises(UsageError, match="codec:text"):
        CodecTrainConfig(modality=Modality.TEXT)
    with pytest.raises(UsageError, match="letters and digits"):
        CodecTrainConfig(name="../x")
    volumes = replace(CODEC.codec, spatial_dims=3, widths=(16, 16))
    ct = CodecTrainConfig(modality=Modality.CT, patch=16, codec=volumes)
    with pytest.raises(UsageError, match="no study to train on has ct"):
        next(iter(train_codec(ct, tmp_path, manifest=corner_flows.manifest)))
    with pytest.raises(ModelError, match="has no codec of ct; train one: --round codec:ct"):
        load_codec(corner_flows.codecs, Modality.CT, DEVICE)
    with pytest.raises(ModelError, match=r"no codec of xray named small; .*--set name=small"):
        load_codec(corner_flows.codecs, Modality.XRAY, DEVICE, "small")
