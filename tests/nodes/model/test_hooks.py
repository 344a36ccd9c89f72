"""Weight changes for some conditionings only: the network computes what it does with them as weight layers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.sampling.networks import model_of, saying
from tests.nodes.context import FolderContext
from tests.nodes.model.test_guidance_nodes import SHAPE, guided, real  # noqa: F401 (a fixture)

from safelight.models.checkpoint import load_checkpoint
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.lora.changes import AdditivePatch, FullDifference
from safelight.models.network import Network
from safelight.models.sampling.guidance import CfgGuider
from safelight.models.weight_hooks import HookGroup, Keyframe, WeightHook
from safelight.models.weight_layers import WeightLayer
from safelight.nodes.conditioning.encode import CLIPTextEncode
from safelight.nodes.conditioning.properties import ConditioningSetProperties
from safelight.nodes.model.hooks import (
    CombineHooks2,
    CombineHooks4,
    CreateHookKeyframe,
    CreateHookKeyframesFromFloats,
    CreateHookKeyframesInterpolated,
    CreateHookModelAsLora,
    SetClipHooks,
    SetHookKeyframes,
)
from safelight.settings import BUNDLED_MODELS

BUNDLED = "safelight-miniature.safetensors"


class Shifted:
    """Adds to every weight."""

    def network_layer(self, network: Network) -> WeightLayer | None:
        return self.text_layer(network.shapes)

    def text_layer(self, shapes: Mapping[str, torch.Size]) -> WeightLayer | None:
        return WeightLayer(
            "shift", {name: AdditivePatch(FullDifference(torch.full(shape, 0.01))) for name, shape in shapes.items()}
        )


def hooks_of(strength: float = 1.0, *keyframes: Keyframe) -> HookGroup:
    return HookGroup((WeightHook(Shifted(), strength, strength, keyframes),))


def under(model: DiffusionModel, strength: float) -> DiffusionModel:
    layer = Shifted().network_layer(model.network)
    assert layer is not None
    return model.with_layers(layer.with_strength(strength))


def condition(**options: Any) -> list[list[Any]]:
    return [[torch.ones(1, 7, 3), options]]


NOTHING = [[torch.zeros(1, 7, 3), {}]]


def test_a_hook_holds_for_its_condition_alone(real: DiffusionModel) -> None:  # noqa: F811
    made = guided(CfgGuider(real, condition(hooks=hooks_of(2.0)), NOTHING, 4.0))
    positive = guided(CfgGuider(under(real, 2.0), condition(), NOTHING, 1.0))
    negative = guided(CfgGuider(real, NOTHING, NOTHING, 1.0))
    torch.testing.assert_close(made, negative + 4.0 * (positive - negative), rtol=1e-4, atol=1e-4)


def test_two_halves_under_different_hooks(real: DiffusionModel) -> None:  # noqa: F811
    mask = torch.zeros(1, 8, 8)
    mask[:, :, :4] = 1.0
    (left,) = ConditioningSetProperties.execute(condition(), 1.0, "default", mask, hooks_of(3.0)).values
    (right,) = ConditioningSetProperties.execute(condition(), 1.0, "default", 1 - mask).values
    made = guided(CfgGuider(real, left + right, NOTHING, 1.0))
    torch.testing.assert_close(made[..., 4:], guided(CfgGuider(real, condition(), NOTHING, 1.0))[..., 4:])
    torch.testing.assert_close(made[..., :4], guided(CfgGuider(under(real, 3.0), condition(), NOTHING, 1.0))[..., :4])


def test_keyframes_change_the_strength_on_the_way(real: DiffusionModel) -> None:  # noqa: F811
    hooks = hooks_of(2.0, Keyframe(0.0, 0.0), Keyframe(0.5, 1.0))
    levels = real.parameterization.levels
    for progress, strength in ((0.25, 0.0), (0.75, 2.0)):
        sigma = levels.sigma_at(progress)
        made = guided(CfgGuider(real, condition(hooks=hooks), NOTHING, 1.0), sigma=sigma)
        wanted = guided(CfgGuider(under(real, strength), condition(), NOTHING, 1.0), sigma=sigma)
        torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-4)


def test_hooks_add_up(real: DiffusionModel) -> None:  # noqa: F811
    (both,) = CombineHooks2.execute(hooks_A=hooks_of(1.0), hooks_B=hooks_of(0.5)).values
    (same,) = CombineHooks4.execute(hooks_A=both, hooks_B=None).values
    made = guided(CfgGuider(real, condition(hooks=same), NOTHING, 1.0))
    wanted = guided(CfgGuider(under(real, 1.5), condition(), NOTHING, 1.0))
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-4)
    (added,) = ConditioningSetProperties.execute(
        condition(hooks=hooks_of(1.0)), 1.0, "default", hooks=hooks_of()
    ).values
    assert len(added[0][1]["hooks"].hooks) == 2


def test_keyframe_nodes(tmp_path: Path) -> None:
    with FolderContext(tmp_path).running() as run:
        (one,) = CreateHookKeyframe.execute(0.5, 0.0).values
        (more,) = CreateHookKeyframesInterpolated.execute(0.0, 1.0, "ease_in", 0.2, 0.8, 3, True, one).values
        (listed,) = CreateHookKeyframesFromFloats.execute([1.0, 3.0], 0.0, 1.0).values
    assert [(round(frame.start, 6), frame.strength) for frame in more] == [
        (0.0, 0.5),
        (0.2, 0.0),
        (0.5, 0.25),
        (0.8, 1.0),
    ]
    assert [(frame.start, frame.strength) for frame in listed] == [(0.0, 1.0), (1.0, 3.0)]
    assert run.texts == ["0.200: 0.000\n0.500: 0.250\n0.800: 1.000"]
    (hooked,) = SetHookKeyframes.execute(hooks_of(), more).values
    assert hooked.starts() == pytest.approx([0.0, 0.2, 0.5, 0.8])
    assert [hooked.hooks[0].keyframe_strength(progress) for progress in (0.1, 0.3, 0.9)] == [0.5, 0.0, 1.0]


def test_texts_under_hooks() -> None:
    clip = load_checkpoint(BUNDLED_MODELS / "checkpoints" / BUNDLED).text
    assert clip is not None
    hooks = hooks_of(1.0, Keyframe(0.0, 0.5), Keyframe(0.5, 2.0))

    def with_strength(strength: float) -> torch.Tensor:
        layer = Shifted().text_layer(clip.shapes)
        assert layer is not None
        return clip.with_layers(layer.with_strength(strength)).encode(clip.tokenize("a star"))[0]

    (hooked,) = SetClipHooks.execute(clip, True, False, hooks).values
    ((embedding, options),) = CLIPTextEncode.execute("a star", hooked).values[0]
    torch.testing.assert_close(embedding, with_strength(1.0))
    assert options["hooks"] is hooks
    (scheduled,) = SetClipHooks.execute(clip, False, True, hooks).values
    first, second = CLIPTextEncode.execute("a star", scheduled).values[0]
    torch.testing.assert_close(first[0], with_strength(0.5))
    torch.testing.assert_close(second[0], with_strength(2.0))
    assert "hooks" not in first[1]
    assert [(o["clip_start_percent"], o["clip_end_percent"]) for _, o in (first, second)] == [(0.0, 0.5), (0.5, 1.0)]


def test_a_timestep_range_of_a_text_is_respected() -> None:
    model = model_of()
    early = saying(5.0, clip_start_percent=0.0, clip_end_percent=0.5)
    late = saying(9.0, clip_start_percent=0.5, clip_end_percent=1.0)
    levels = model.parameterization.levels
    for progress, value in ((0.25, 5.0), (0.75, 9.0)):
        made = guided(CfgGuider(model, early + late, saying(0.0), 1.0), sigma=levels.sigma_at(progress))
        torch.testing.assert_close(made, torch.full(SHAPE, value))


def test_another_model_as_a_hook(tmp_path: Path) -> None:
    (tmp_path / "models" / "checkpoints").mkdir(parents=True)
    (tmp_path / "models" / "checkpoints" / BUNDLED).symlink_to(BUNDLED_MODELS / "checkpoints" / BUNDLED)
    with FolderContext(tmp_path).running():
        (hooks,) = CreateHookModelAsLora.execute(BUNDLED, 1.0, 1.0).values
        (none,) = CreateHookModelAsLora.execute(BUNDLED, 0.0, 0.0).values
    assert none.hooks == ()
    loaded = load_checkpoint(BUNDLED_MODELS / "checkpoints" / BUNDLED)
    assert loaded.text is not None
    layer = Shifted().text_layer(loaded.text.shapes)
    assert layer is not None
    changed = loaded.text.with_layers(layer)
    (hooked,) = SetClipHooks.execute(changed, True, False, hooks).values
    plain = loaded.text.encode(loaded.text.tokenize("a star"))[0]
    torch.testing.assert_close(hooked.encode(hooked.tokenize("a star"))[0], plain)
    assert not torch.allclose(changed.encode(changed.tokenize("a star"))[0], plain)


def test_a_default_condition_applies_where_no_other_does() -> None:
    mask = torch.zeros(1, 8, 8)
    mask[:, :, :2] = 1.0
    mask[:, :, 2:4] = 0.25
    positive = saying(8.0, mask=mask) + saying(4.0, default=True)
    made = guided(CfgGuider(model_of(), positive, saying(0.0), 1.0))
    assert made[0, 0, 0].tolist() == pytest.approx([8, 8, 5, 5, 4, 4, 4, 4])
