"""The image encoder of Qwen3-VL against transformers, alone and before its language model."""

from typing import Any

import pytest
import torch
from tests.models.language.test_decoder import random_weights

from safelight.models.language.architecture import QWEN3_VL, QWEN35, LanguageArchitecture, decoder_shape
from safelight.models.language.cache import KeyValueCache
from safelight.models.language.picture_recipe import Picture, PictureDecoder
from safelight.models.language.question_recipe import QUESTION_RECIPES
from safelight.models.language.rotary import Rotary
from safelight.models.vision_tower.patches import patches
from safelight.models.vision_tower.qwen3 import PATCHES, QWEN3_TOWER, Qwen3VisionShape

VISION: dict[str, Any] = {
    "hidden_size": 128,
    "num_heads": 2,
    "intermediate_size": 96,
    "depth": 8,
    "out_hidden_size": 64,
    "num_position_embeddings": 36,
    "rope_parameters": {"rope_type": "axial", "rope_theta": 10_000.0},
}
TEXT: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
}
SECTIONS = (6, 5, 5)
PAD = 50
PROMPT = [3, 5, 51, PAD, 52, 7, 9, 51, PAD, 52, 11]


def qwen3_vl() -> Any:
    from transformers import Qwen3VLConfig, Qwen3VLModel

    rope = {"rope_type": "default", "rope_theta": 5_000_000.0, "mrope_section": SECTIONS, "mrope_interleaved": True}
    config = Qwen3VLConfig(
        text_config={**TEXT, "rope_parameters": rope},
        vision_config={**VISION, "deepstack_visual_indexes": [1, 3, 5]},
        image_token_id=PAD,
        vision_start_token_id=51,
    )
    return random_weights(Qwen3VLModel(config))


def qwen35() -> Any:
    from transformers import Qwen3_5Config, Qwen3_5Model

    rope = {
        "rope_type": "default",
        "rope_theta": 10_000_000.0,
        "mrope_section": (3, 3, 2),
        "mrope_interleaved": True,
        "partial_rotary_factor": 0.5,
    }
    linear = {f"linear_{side}_head_dim": 16 for side in ("key", "value")}
    heads = {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
    config = Qwen3_5Config(
        text_config={**TEXT, **linear, **heads, "rope_parameters": rope},
        vision_config=VISION,
        image_token_id=PAD,
        vision_start_token_id=51,
    )
    return random_weights(Qwen3_5Model(config))


def ours(theirs: Any, architecture: LanguageArchitecture) -> PictureDecoder:
    state = {name.replace("language_model.", "model."): value for name, value in theirs.state_dict().items()}
    shapes = {name: value.shape for name, value in state.items()}
    module = PictureDecoder(decoder_shape(shapes, architecture), QWEN3_TOWER.build(shapes))
    module.load_state_dict(state)
    return module.eval()


CASES = [
    (
        qwen3_vl,
        LanguageArchitecture("Qwen3-VL", (Rotary(5_000_000.0, sections=SECTIONS, interleaves=True),)),
        "qwen3_vl",
    ),
    (
        qwen35,
        LanguageArchitecture(
            "Qwen3.5",
            (Rotary(10_000_000.0, sections=(3, 3, 2), interleaves=True, share=0.5),),
            adds_one=True,
        ),
        "qwen35",
    ),
]


@torch.no_grad()
@pytest.mark.parametrize(("make", "architecture", "kind"), CASES)
def test_a_prompt_with_two_pictures_equals_transformers_as_a_whole_and_token_by_token(
    make: Any, architecture: LanguageArchitecture, kind: str
) -> None:
    theirs = make()
    module = ours(theirs, architecture)
    generator = torch.Generator().manual_seed(2)
    images = [torch.rand(*size, 3, generator=generator) for size in ((256, 320), (400, 256))]
    cut = [patches(image, PATCHES) for image in images]
    counts = iter([one.rows * one.columns // 4 for one in cut])
    tokens = [token for one in PROMPT for token in ([one] * next(counts) if one == PAD else [one])]
    seen = iter(images)
    mixed = [Picture(next(seen)) if token == PAD else token for token in PROMPT]
    prompt = QUESTION_RECIPES[kind].embeddings(module, mixed, torch.device("cpu"))
    assert prompt.embeddings.shape[1] == len(tokens)
    expected = theirs(
        input_ids=torch.tensor([tokens]),
        pixel_values=torch.cat([one.pixels for one in cut]),
        image_grid_thw=torch.tensor([[1, one.rows, one.columns] for one in cut]),
        mm_token_type_ids=torch.tensor([[int(token == PAD) for token in tokens]]),
    ).last_hidden_state
    made = module(prompt.embeddings, positions=prompt.positions, added=prompt.added).final
    assert ((made - expected).norm() / expected.norm()).item() < 1e-5

    cache = KeyValueCache()
    assert prompt.positions is not None
    end, added = len(tokens) - 2, prompt.added or {}
    first = module(
        prompt.embeddings[:, :end],
        positions=prompt.positions[:, :end],
        added={layer: values[:, :end] for layer, values in added.items()},
        cache=cache,
    ).final
    steps = [
        module(prompt.embeddings[:, n : n + 1], positions=prompt.positions[:, n : n + 1], cache=cache).final
        for n in range(end, len(tokens))
    ]
    assert cache.length == len(tokens)
    made = torch.cat((first, *steps), dim=1)
    assert ((made - expected).norm() / expected.norm()).item() < 1e-5


def test_the_depth_of_an_encoder_tells_where_its_states_are_taken() -> None:
    def layers(depth: int, deep: int, width: int = 1152) -> Qwen3VisionShape:
        return Qwen3VisionShape(width, 4304, depth, 4096, patch=16, grid=48, deep=deep)

    assert layers(24, 3).deep_layers == (5, 11, 17)
    assert layers(27, 3).deep_layers == (8, 16, 24)
    assert layers(27, 0).deep_layers == ()
    assert [layers(4, 0, width).heads for width in (1152, 1024, 768)] == [16, 16, 12]


def test_the_published_shapes_are_what_the_architectures_say() -> None:
    assert QWEN3_VL.rotary[0].sections == (24, 20, 20)
    cosines, _ = QWEN35.rotary[0].angles(torch.zeros(3, 5), QWEN35.head_width)
    assert cosines.shape == (5, 64)
