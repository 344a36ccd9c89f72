"""The engines of the settings."""

import pytest

from safelight.core.engine_kind import EngineSpec, preferred_first, read_engines
from safelight.core.errors import Invalid


def test_each_engine_has_its_place_and_its_number_of_workers() -> None:
    entries = ["safelight", "comfyui=/opt/ComfyUI", "comfyui-two=/srv/ComfyUI:/srv/venv"]
    assert read_engines(entries, ["comfyui-two=3"], ["comfyui=--lowvram --name 'a b'"], workers=2) == [
        EngineSpec(kind="safelight", workers=2),
        EngineSpec(kind="comfyui", root="/opt/ComfyUI", arguments=("--lowvram", "--name", "a b"), workers=2),
        EngineSpec(kind="comfyui-two", root="/srv/ComfyUI", python="/srv/venv", workers=3),
    ]


@pytest.mark.parametrize(
    ("entries", "counts", "message"),
    [
        ([], [], "no engine is named"),
        (["comfyui"], [], "invalid engine 'comfyui': write its path after ="),
        (["safelight=/opt"], [], "invalid engine 'safelight=/opt': it has no path"),
        (["forge=/opt"], [], "invalid engine 'forge=/opt'"),
        (["comfyui-Two=/opt"], [], "invalid engine 'comfyui-Two=/opt'"),
        (["comfyui=/a", "comfyui=/b"], [], "names an engine twice"),
        (["safelight"], ["safelight=0"], "'safelight=0' is not of the form"),
        (["safelight"], ["comfyui=1"], "'comfyui=1' counts the workers of 'comfyui'"),
    ],
)
def test_an_engine_that_cannot_be_meant_is_refused(entries: list[str], counts: list[str], message: str) -> None:
    with pytest.raises(Invalid, match=message.replace("(", r"\(")):
        read_engines(entries, counts, workers=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [("safelight=--fast", "is no ComfyUI"), ("forge=--fast", "is no ComfyUI"), ("comfyui='", "No closing quotation")],
)
def test_arguments_that_no_comfyui_can_get_are_refused(arguments: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        read_engines(["safelight", "comfyui=/a"], [], [arguments], workers=1)


def test_the_own_engine_is_preferred_unless_another_is_named() -> None:
    kinds = [spec.kind for spec in read_engines(["comfyui=/a", "comfyui-two=/b", "safelight"], [], workers=1)]
    assert preferred_first(kinds, []) == ["safelight", "comfyui", "comfyui-two"]
    assert preferred_first(kinds, ["comfyui-two"]) == ["comfyui-two", "safelight", "comfyui"]
    with pytest.raises(Invalid, match="there is no engine 'forge'"):
        preferred_first(kinds, ["forge"])
