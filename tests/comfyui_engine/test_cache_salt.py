"""Which results users share in ComfyUI's caches: models, and nothing else."""

from types import SimpleNamespace
from typing import Any

import pytest

from safelight.comfyui_engine.agent.cache_salt import CacheSalt, JobSalt


def node_class(returns: tuple[Any, ...], **inputs: Any) -> type:
    hidden = inputs.pop("hidden", {})
    declared = {"required": inputs, "hidden": hidden}
    return type("Node", (), {"RETURN_TYPES": returns, "INPUT_TYPES": classmethod(lambda cls: declared)})


NAMES = (["a.safetensors", "b.safetensors"],)
CLASSES = {
    "Checkpoint": node_class(("MODEL", "CLIP", "VAE"), name=NAMES),
    "CheckpointV3": node_class(("MODEL",), name=("COMBO", {"options": NAMES[0]}), strength=("FLOAT",)),
    "Text": node_class(("MODEL",), name=("STRING", {})),
    "Upload": node_class(("MODEL",), name=(NAMES[0], {"file_upload": True})),
    "WithPrompt": node_class(("MODEL",), name=NAMES, hidden={"prompt": "PROMPT"}),
    "Lora": node_class(("MODEL",), model=("MODEL",), name=NAMES),
    "Image": node_class(("IMAGE",), name=NAMES),
    "Mixed": node_class(("MODEL", "STRING"), name=NAMES),
}


@pytest.fixture
def salt() -> CacheSalt:
    made = CacheSalt(
        SimpleNamespace(execution=None, caching=None, lacks=[], nodes=SimpleNamespace(NODE_CLASS_MAPPINGS=CLASSES))
    )  # type: ignore[arg-type]
    made.begin(JobSalt("anna", {"a.png": "d1"}, {"9": 2}))
    return made


def of(salt: CacheSalt, class_type: str, node_id: str = "1", **inputs: Any) -> Any:
    node = {"class_type": class_type, "inputs": inputs}
    return salt.of(SimpleNamespace(get_node=lambda _: node), node_id)


def test_a_loader_of_public_models_is_shared(salt: CacheSalt) -> None:
    assert of(salt, "Checkpoint", name="a.safetensors") is None
    assert of(salt, "CheckpointV3", name="a.safetensors", strength=0.5) is None


@pytest.mark.parametrize(
    ("class_type", "inputs"),
    [
        ("Text", {"name": "a.safetensors"}),
        ("Upload", {"name": "a.safetensors"}),
        ("WithPrompt", {"name": "a.safetensors"}),
        ("Lora", {"model": ["1", 0], "name": "a.safetensors"}),
        ("Image", {"name": "a.safetensors"}),
        ("Mixed", {"name": "a.safetensors"}),
        ("Checkpoint", {"name": "a.safetensors", "undeclared": "x"}),
        ("Unknown", {}),
    ],
)
def test_everything_else_is_the_owners(salt: CacheSalt, class_type: str, inputs: dict[str, Any]) -> None:
    assert of(salt, class_type, **inputs)[:2] == ("owner", "anna")


def test_the_digests_of_named_files_count_at_any_depth(salt: CacheSalt) -> None:
    assert of(salt, "Image", name={"__value__": ["a.png", "a.png"]})[2] == (("a.png", "d1"),)
    assert of(salt, "Image", name="b.png")[2] == ()


def test_a_generation_changes_the_salt_of_its_node_only(salt: CacheSalt) -> None:
    assert of(salt, "Image", node_id="9", name="x")[3] == 2
    assert of(salt, "Image", node_id="8", name="x")[3] == 0


def test_caches_that_cannot_be_salted_are_emptied_when_the_owner_changes(salt: CacheSalt) -> None:
    assert not salt.is_complete
    assert [salt.begin(JobSalt(owner)) for owner in ("anna", "bob", "bob", "anna")] == [False, True, False, True]
