"""Which engines can run a prompt, decided when it is submitted."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.database import ANNA, Env
from tests.services.test_submission import Here, Workers

from safelight.core.asset import Asset
from safelight.core.clock import SystemClock
from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.errors import Invalid, InvalidPrompt, Unavailable
from safelight.core.ids import UserId
from safelight.core.node import InputSchema, NodeSchema, OutputSchema
from safelight.services import catalogue as catalogues
from safelight.services.catalogue import LiveCatalogue
from safelight.services.model import ModelFiles
from safelight.services.submission import Draft, SubmissionRules, Submissions

pytestmark = pytest.mark.anyio

COMFYUI = EngineKind("comfyui")
Prompt = dict[str, dict[str, Any]]


def node(name: str, *inputs: InputSchema, is_output: bool = False, **words: Any) -> NodeSchema:
    outputs = () if is_output else (OutputSchema("IMAGE", "IMAGE"),)
    return NodeSchema(
        name=name, display_name=name, category="", inputs=inputs, outputs=outputs, is_output=is_output, **words
    )


def sampler(*names: str) -> InputSchema:
    return InputSchema("sampler", "COMBO", config={"options": [*names]})


SHOW = node("Show", InputSchema("image", "IMAGE"), is_output=True)
OWN_NODES = [SHOW, node("Sample", sampler("euler")), node("OnlyOurs")]
ITS_NODES = [SHOW, node("Sample", sampler("euler", "newest")), node("OnlyTheirs")]


def showing(class_type: str, **inputs: Any) -> Prompt:
    return {
        "1": {"class_type": class_type, "inputs": inputs},
        "2": {"class_type": "Show", "inputs": {"image": ["1", 0]}},
    }


def make_submissions(
    env: Env,
    *,
    nodes: Mapping[EngineKind, Sequence[NodeSchema]],
    workers: Workers | None = None,
    models_dir: Path = Path("/nonexistent"),
) -> tuple[Submissions, LiveCatalogue]:
    models = ModelFiles([models_dir])
    models.refresh()
    catalogue = LiveCatalogue(models, [OWN, COMFYUI])
    for kind, declared in nodes.items():
        catalogue.publish(kind, declared, digest="d")
    submissions = Submissions(
        db=env.db,
        clock=SystemClock(),
        catalogue=catalogue,
        models=models,
        workers=workers or Workers(),
        cpu=Here(),
        rules=SubmissionRules(),
    )
    return submissions, catalogue


@pytest.fixture
def submissions(env: Env) -> Submissions:
    return make_submissions(env, nodes={OWN: OWN_NODES, COMFYUI: ITS_NODES})[0]


async def engines_of(submissions: Submissions, prompt: Prompt, **extra_data: Any) -> set[str]:
    prepared = await submissions.prepare(ANNA, Draft(prompt=prompt, extra_data=extra_data))
    return set(prepared.command.placement.engines)


@pytest.mark.parametrize(
    ("prompt", "engines"),
    [
        (showing("Sample", sampler="euler"), {OWN, COMFYUI}),
        (showing("Sample", sampler="newest"), {COMFYUI}),
        (showing("OnlyOurs"), {OWN}),
        (showing("OnlyTheirs"), {COMFYUI}),
    ],
)
async def test_the_engines_of_a_job_are_those_that_accept_its_prompt(
    submissions: Submissions, prompt: Prompt, engines: set[str]
) -> None:
    assert await engines_of(submissions, prompt) == engines


async def test_the_job_that_is_queued_says_which_engines_can_run_it(submissions: Submissions) -> None:
    accepted = await submissions.accept(ANNA, await submissions.prepare(ANNA, Draft(prompt=showing("OnlyTheirs"))))
    assert accepted.job.engines == {COMFYUI}


async def test_a_client_may_request_an_engine(submissions: Submissions) -> None:
    prompt = showing("Sample", sampler="euler")
    assert await engines_of(submissions, prompt, engine="comfyui") == {COMFYUI}
    with pytest.raises(Invalid, match=r"extra_data\.engine is 'forge', which is not an engine of this server"):
        await engines_of(submissions, prompt, engine="forge")


async def refusal(submissions: Submissions, prompt: Prompt, **extra_data: Any) -> Mapping[str, Any]:
    with pytest.raises(InvalidPrompt) as caught:
        await engines_of(submissions, prompt, **extra_data)
    return caught.value.error


async def test_a_node_that_the_requested_engine_lacks_is_named_with_the_engine_that_has_it(
    submissions: Submissions,
) -> None:
    error = await refusal(submissions, showing("OnlyTheirs"), engine="safelight")
    assert error["type"] == "missing_node_type"
    assert error["details"] == "Node ID '#1'; the engine comfyui has it"
    nowhere = await refusal(submissions, showing("Nowhere"))
    assert (nowhere["type"], nowhere["details"]) == ("missing_node_type", "Node ID '#1'")


async def test_a_node_that_no_engine_has_may_be_in_a_pack_that_could_not_be_loaded(env: Env) -> None:
    nodes = {OWN: OWN_NODES, COMFYUI: ITS_NODES}
    failed = {
        "samplers": "NotSupported: this needs ComfyUI's samplers; runs on a ComfyUI engine",
        "pictures: Wanted": "No module named 'colours'",
        "pictures: Other": "broken",
    }
    submissions, _ = make_submissions(env, nodes=nodes, workers=Workers(failed=failed))
    error = await refusal(submissions, showing("Wanted"))
    assert error["details"] == (
        "Node ID '#1'; it may be in a node pack that could not be loaded here: pictures: Wanted (the library 'colours' "
        "is not installed)"
    )
    error = await refusal(submissions, showing("Nowhere"))
    assert error["details"].endswith("samplers (this needs ComfyUI's samplers; runs on a ComfyUI engine)")


async def test_a_prompt_with_nodes_of_two_engines_says_what_each_lacks(submissions: Submissions) -> None:
    prompt = showing("OnlyOurs") | {
        "3": {"class_type": "OnlyTheirs", "inputs": {}},
        "4": {"class_type": "Show", "inputs": {"image": ["3", 0]}},
    }
    error = await refusal(submissions, prompt)
    assert error["message"] == "No engine of this server can run this prompt."
    assert error["details"] == "safelight has no OnlyTheirs; comfyui has no OnlyOurs"


async def test_the_errors_of_the_preferred_engine_are_shown_if_none_accepts_the_inputs(
    submissions: Submissions,
) -> None:
    with pytest.raises(InvalidPrompt) as caught:
        await engines_of(submissions, showing("Sample", sampler="oldest"))
    [error] = caught.value.node_errors["1"]["errors"]
    assert error["extra_info"]["input_config"][1]["options"] == ["euler"]


async def test_an_engine_that_drops_an_output_does_not_run_what_another_runs_whole(submissions: Submissions) -> None:
    prompt = showing("Sample", sampler="euler") | {
        "3": {"class_type": "Sample", "inputs": {"sampler": "newest"}},
        "4": {"class_type": "Show", "inputs": {"image": ["3", 0]}},
    }
    prepared = await submissions.prepare(ANNA, Draft(prompt=prompt))
    assert prepared.command.placement.engines == {COMFYUI}
    assert (prepared.command.targets, prepared.node_errors) == (["2", "4"], {})


async def test_an_engine_whose_node_reads_a_literal_as_another_type_does_not_run_the_job(env: Env) -> None:
    whole = node("Number", InputSchema("value", "INT"), is_output=True)
    text = node("Number", InputSchema("value", "STRING"), is_output=True)
    submissions, _ = make_submissions(env, nodes={OWN: [whole], COMFYUI: [text]})
    prompt = {"1": {"class_type": "Number", "inputs": {"value": "7"}}}
    prepared = await submissions.prepare(ANNA, Draft(prompt=prompt))
    assert prepared.command.placement.engines == {OWN}
    assert prepared.command.prompt["1"]["inputs"] == {"value": 7}


async def test_the_nodes_own_validation_is_asked_of_an_engine_of_each_kind(env: Env) -> None:
    class Strict(Workers):
        async def validate_inputs(
            self, owner_id: UserId, engine: EngineKind, *, files: Mapping[str, Asset], **words: Any
        ) -> Mapping[str, str | None]:
            return {"1": "not here"} if engine == OWN else {}

    strict = node(
        "Strict", InputSchema("value", "INT"), is_output=True, has_validator=True, validated_inputs=("value",)
    )
    submissions, _ = make_submissions(env, nodes={OWN: [strict], COMFYUI: [strict]}, workers=Strict())
    assert await engines_of(submissions, {"1": {"class_type": "Strict", "inputs": {"value": 1}}}) == {COMFYUI}


LOADER = InputSchema("name", "COMBO", config={"model_folder": "checkpoints"})


@pytest.mark.parametrize(("its", "engines"), [("video.safetensors", {COMFYUI}), ("sdxl.safetensors", {OWN, COMFYUI})])
async def test_a_model_that_our_own_engine_cannot_load_is_loaded_by_another(
    env: Env, tmp_path: Path, its: str, engines: set[str]
) -> None:
    for name in ("video.safetensors", "sdxl.safetensors"):
        (tmp_path / "checkpoints").mkdir(exist_ok=True)
        (tmp_path / "checkpoints" / name).touch()
    load = node("Load", LOADER)
    workers = Workers(unusable={"video.safetensors": "'video.safetensors' is of no family that it knows"})
    submissions, _ = make_submissions(
        env, nodes={OWN: [SHOW, load], COMFYUI: [SHOW, load]}, workers=workers, models_dir=tmp_path
    )
    assert await engines_of(submissions, showing("Load", name=its)) == engines


async def test_a_model_that_no_engine_can_load_is_named_with_the_reason(env: Env, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "video.safetensors").touch()
    workers = Workers(unusable={"video.safetensors": "'video.safetensors' is of no family that it knows"})
    nodes = {OWN: [SHOW, node("Load", LOADER)], COMFYUI: [SHOW]}
    submissions, _ = make_submissions(env, nodes=nodes, workers=workers, models_dir=tmp_path)
    error = await refusal(submissions, showing("Load", name="video.safetensors"))
    assert error["details"] == ("comfyui has no Load; safelight: 'video.safetensors' is of no family that it knows")


async def test_a_prompt_waits_for_the_nodes_of_an_engine_only_if_no_other_can_run_it(
    env: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    submissions, catalogue = make_submissions(env, nodes={OWN: OWN_NODES})
    assert await engines_of(submissions, showing("Sample", sampler="euler")) == {OWN}
    waiting = asyncio.create_task(engines_of(submissions, showing("OnlyTheirs")))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    catalogue.publish(COMFYUI, ITS_NODES, digest="d")
    assert await waiting == {COMFYUI}


async def test_a_wait_for_an_engine_that_never_starts_ends(env: Env) -> None:
    _, catalogue = make_submissions(env, nodes={OWN: OWN_NODES})
    with pytest.raises(Unavailable, match="no worker of the engine 'comfyui' has started yet"):
        await catalogue.wait_known(COMFYUI, timeout_s=0.01)
    assert catalogues.WAIT_S > 1


async def test_the_catalogue_of_all_engines_says_which_have_a_node(env: Env) -> None:
    _, catalogue = make_submissions(env, nodes={OWN: OWN_NODES, COMFYUI: ITS_NODES})
    assert set(catalogue.current) == {"Show", "Sample", "OnlyOurs", "OnlyTheirs"}
    assert catalogue.current["Sample"].inputs[0].options == ["euler", "newest"]
    assert catalogue.of(OWN)["Sample"].inputs[0].options == ["euler"]
    assert [catalogue.engines_with(name) for name in ("Show", "OnlyTheirs", "Nowhere")] == [
        [OWN, COMFYUI],
        [COMFYUI],
        [],
    ]
    before = catalogue.version
    catalogue.publish(COMFYUI, [SHOW], digest="e")
    assert catalogue.version != before
    assert "OnlyTheirs" not in catalogue.current
    catalogue.publish(EngineKind("comfyui-gone"), [node("Old")], digest="f")
    assert "Old" not in catalogue.current
