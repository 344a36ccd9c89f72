"""What packs do besides the graph, in a real engine: files by path, progress, other nodes, absent parts."""

import io
from pathlib import Path

import pytest
from PIL import Image
from tests.packs.engine import Engine, file_ref, node, running

from safelight.core.event import CallProgressed, CallStarted, MessageSent, PreviewMade, TextShown
from safelight.core.job import JobState
from safelight.wire.messages import ReserveNames

PICTURE = {"1": node("ClassicPicture", grey=0.5, count=3)}


def names(files: list[dict[str, str]]) -> list[str]:
    return [f"{f['type']}/{f['subfolder']}/{f['filename']}" for f in files]


def test_packs_are_loaded_and_a_broken_one_is_reported(engine: Engine) -> None:
    ready = engine.ready
    assert ready.failed_packs == {"broken": "ModuleNotFoundError: No module named 'a_library_that_nobody_has'"}
    assert list(ready.web_directories) == ["classic"]
    assert {route.pack for route in ready.routes} == {"classic"}
    modules = {n.name: n.module for n in ready.nodes}
    assert modules["ClassicNumber"] == "custom_nodes.classic"
    assert modules["ModernNumber"] == "custom_nodes.modern"
    shown = {n.name: n.display_name for n in ready.nodes}
    assert (shown["ClassicNumber"], shown["ModernNumber"]) == ("Classic Number", "ModernNumber")


def test_hidden_inputs_that_the_engine_does_not_know_come_from_the_prompt(engine: Engine) -> None:
    for value in (7, 8):  # the value is a part of what the call is cached by
        ran = engine.complete({"1": node("ClassicHidden", given=value)}, "1")
        assert ran.shown["1"] == {"text": [f"given={value}", "my_id=1"]}


def test_files_that_a_node_writes_by_path_are_outputs_of_the_job(engine: Engine) -> None:
    prompt = PICTURE | {"2": node("ClassicSave", images=["1", 0], prefix="day/shot_%width%")}
    first = engine.complete(prompt, owner="first")
    written = [f"output/day/shot_8_0000{n}_.png" for n in (1, 2, 3)]
    assert names(first.shown["2"]["images"]) == written
    assert [f"{f.folder}/{f.subfolder}/{f.filename}" for f in first.files] == written
    for file in first.files:
        with Image.open(file.path) as image:
            assert (image.size, image.getpixel((0, 0))) == ((8, 8), (127, 127, 127))
        assert Path(file.path).stat().st_size == file.size


def test_numbers_continue_after_files_that_the_server_did_not_number(engine: Engine) -> None:
    prompt = PICTURE | {
        "2": node("ClassicSave", images=["1", 0], prefix="many"),
        "5": node("ClassicPicture", grey=0.2, count=3),
        "3": node("ClassicSave", images=["5", 0], prefix="many"),
        "4": node("SaveImage", images=["1", 0], filename_prefix="many"),
    }
    ran = engine.complete(prompt, "2", "3", "4")
    assert sorted(f.filename for f in ran.files) == [f"many_0000{n}_.png" for n in range(1, 10)]
    assert sum(m.count for m in ran.of_kind(ReserveNames)) == 9


def test_a_file_that_no_ui_names_is_still_an_output(engine: Engine) -> None:
    ran = engine.complete({"1": node("ClassicNote", text="hello")})
    assert ran.shown["1"] == {"files": [{"filename": "note.txt", "subfolder": "", "type": "output"}]}
    [file] = ran.files
    assert Path(file.path).read_text() == "hello"


def test_nothing_of_a_job_is_left_for_the_next(engine: Engine) -> None:
    engine.complete({"1": node("ClassicNote", text="mine")}, owner="ada")
    ran = engine.complete(PICTURE | {"2": node("ClassicSave", images=["1", 0], prefix="x")}, owner="eve")
    assert {f.filename for f in ran.files} == {"x_00001_.png", "x_00002_.png", "x_00003_.png"}


def test_a_subclass_of_save_image_saves_where_it_says(engine: Engine) -> None:
    ran = engine.complete(PICTURE | {"2": node("ClassicPreview", images=["1", 0])})
    assert names(ran.shown["2"]["images"]) == [f"temp//classic_shown_0000{n}_.png" for n in (1, 2, 3)]


def test_v3_nodes_save_with_the_helpers(engine: Engine) -> None:
    ran = engine.complete(
        PICTURE | {"2": node("ModernSave", images=["1", 0], prefix="v3")}, extra_pnginfo={"workflow": {"a": 1}}
    )
    assert [f.filename for f in ran.files] == ["v3_00001_.png", "v3_00002_.png", "v3_00003_.png"]
    with Image.open(ran.files[0].path) as image:
        assert image.info["workflow"] == '{"a": 1}'
        assert '"ModernSave"' in image.info["prompt"]


def test_a_node_reads_the_files_that_its_prompt_names_and_sees_no_others(engine: Engine, tmp_path: Path) -> None:
    files = {}
    for name, size in (("a.png", (5, 4)), ("sub/b.png [output]", (7, 6))):
        path = tmp_path / str(len(files))
        Image.new("RGB", size, "white").save(path, format="PNG")
        files[name] = file_ref(path)
    prompt = {
        "1": node("ClassicLoad", image="a.png"),
        "2": node("ClassicShow", value=["1", 1]),
        "3": node("ClassicLoad", image="sub/b.png [output]"),
        "4": node("ClassicShow", value=["3", 1]),
    }
    ran = engine.complete(prompt, files=files)
    assert ran.shown["2"]["text"][0] == "5x4 of a.png"
    assert ran.shown["4"]["text"][0] == "7x6 of a.png"
    assert not ran.files
    missing = engine.run({"1": node("ClassicLoad", image="a.png"), "2": node("ClassicShow", value=["1", 1])})
    assert missing.done.error is not None
    assert "Invalid image file: a.png" in missing.done.error.exception_message


def test_a_node_calls_other_nodes(engine: Engine) -> None:
    prompt = PICTURE | {
        "2": node("ClassicInvert", image=["1", 0]),
        "3": node("ClassicSave", images=["2", 0], prefix="i"),
    }
    with Image.open(engine.complete(prompt).files[0].path) as image:
        assert (image.size, image.getpixel((0, 0))) == ((4, 4), (127, 127, 127))


def test_progress_and_messages_to_the_client(engine: Engine) -> None:
    ran = engine.complete({"1": node("ClassicSteps", steps=3)}, "1")
    assert [m.value for m in ran.of_kind(CallProgressed)] == [1.0, 3.0], "thinned, but for its ends"
    assert [(m.name, m.data) for m in ran.of_kind(MessageSent)] == [("classic.done", {"node": "1", "steps": 3})]
    assert [m.text for m in ran.of_kind(TextShown)] == ["all done"]
    [sent] = ran.of_kind(PreviewMade)
    with Image.open(io.BytesIO(sent.image)) as image:
        assert (sent.mime_type, image.format, image.size) == ("image/png", "PNG", (3, 2))


def test_progress_of_v3_nodes_with_a_preview(engine: Engine) -> None:
    prompt = {"1": node("ModernSteps", steps=2), "2": node("ModernShow", value=["1", 0])}
    ran = engine.complete(prompt, preview_method="auto")
    assert [(m.value, m.total) for m in ran.of_kind(CallProgressed)] == [(1.0, 2.0), (2.0, 2.0)]
    assert [m.mime_type for m in ran.of_kind(PreviewMade)] == ["image/jpeg"] * 2


def test_a_node_can_end_its_own_job(engine: Engine) -> None:
    ran = engine.run({"1": node("ClassicStop", steps=1)}, "1")
    assert ran.done.outcome is JobState.CANCELLED
    assert [m.call.id for m in ran.of_kind(CallStarted)] == ["1"]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("ClassicDiffusion", "NotSupported", "comfy.sd.load_checkpoint_guess_config needs ComfyUI's models; runs on"),
        ("ClassicPickle", "PickledWeights", "evil.safetensors is a pickle, which could run any code"),
    ],
)
def test_absent_parts_raise_when_they_are_used(engine: Engine, name: str, kind: str, words: str) -> None:
    error = engine.run({"1": node(name, steps=1)}, "1").done.error
    assert error is not None
    assert error.exception_type.endswith(kind)
    assert error.exception_message.startswith(words)


def test_a_pack_that_takes_the_process_down_costs_one_start(tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs/a_deadly.py").write_text("import os; os._exit(3)")
    (tmp_path / "packs/b_good.py").write_text(
        "class Good:\n    FUNCTION = 'run'\n    INPUT_TYPES = dict\n    run = print\n"
        "NODE_CLASS_MAPPINGS = {'Good': Good}"
    )
    with running(tmp_path, custom_nodes=(str(tmp_path / "packs"),), node_packages=()) as engine:
        assert "the worker process ended while this pack was imported" in engine.ready.failed_packs["a_deadly"]
        assert [n.name for n in engine.ready.nodes] == ["Good"]
