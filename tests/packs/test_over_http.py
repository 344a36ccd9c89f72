"""The test packs behind a real server, as a client meets them: HTTP and WebSocket."""

import contextlib
import io
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from PIL import Image
from tests.cli.server import Server, running, safelight, wait_for_nodes
from tests.packs.engine import PACKS, node
from websockets.sync.client import connect

pytestmark = pytest.mark.slow

PREVIEW_FRAME = 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("data"), "--custom-nodes", str(PACKS)) as started:
        wait_for_nodes(started.url)
        yield started


def get(server: Server, path: str) -> bytes:
    with urllib.request.urlopen(server.url + path, timeout=180) as answer:
        body: bytes = answer.read()
        return body


def post(server: Server, path: str, body: bytes, kind: str = "application/json") -> Any:
    request = urllib.request.Request(server.url + path, body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=180) as answer:
        return json.load(answer)


def upload(server: Server, name: str, content: bytes, *, subfolder: str = "") -> None:
    head = f'--x\r\nContent-Disposition: form-data; name="subfolder"\r\n\r\n{subfolder}\r\n'
    head += f'--x\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    post(server, "/api/upload/image", head.encode() + content + b"\r\n--x--\r\n", "multipart/form-data; boundary=x")


def run(server: Server, prompt: Mapping[str, Any]) -> tuple[str, list[Any], list[bytes]]:
    """Submit and listen to the end: the job's id, its messages and its binary frames."""
    client_id = uuid.uuid4().hex
    texts: list[Any] = []
    frames: list[bytes] = []
    with connect(server.url.replace("http", "ws") + f"/ws?clientId={client_id}") as socket:
        body = {"prompt": prompt, "client_id": client_id}
        job_id = post(server, "/api/prompt", json.dumps(body).encode())["prompt_id"]
        while not texts or texts[-1]["type"] != "executing" or texts[-1]["data"]["node"] is not None:
            message = socket.recv(timeout=60)
            if isinstance(message, bytes):
                frames.append(message)
            else:
                texts.append(json.loads(message))
    return job_id, texts, frames


def outputs(server: Server, job_id: str) -> Any:
    return json.loads(get(server, f"/api/history/{job_id}"))[job_id]["outputs"]


def test_a_pack_saves_a_picture_that_its_user_then_sees(server: Server) -> None:
    prompt = {
        "1": node("ClassicPicture", grey=0.25, count=2),
        "2": node("ClassicSave", images=["1", 0], prefix="pack/shot"),
        "3": node("ModernSave", images=["1", 0], prefix="pack/shot"),
    }
    job_id, texts, _ = run(server, prompt)
    assert "execution_success" in [t["type"] for t in texts]
    executed = {t["data"]["node"]: t["data"]["output"] for t in texts if t["type"] == "executed"}
    assert executed == outputs(server, job_id)
    files = [file for ui in executed.values() for file in ui["images"]]
    assert sorted(file["filename"] for file in files) == [f"shot_0000{n}_.png" for n in (1, 2, 3, 4)]
    for file in files:
        shown = get(server, "/api/view?filename={filename}&subfolder={subfolder}&type={type}".format(**file))
        with Image.open(io.BytesIO(shown)) as image:
            assert image.getpixel((0, 0)) == (63, 63, 63)


def test_numbers_go_on_in_the_next_job(server: Server) -> None:
    def names(grey: float) -> list[str]:
        job_id, _, _ = run(
            server,
            {
                "1": node("ClassicPicture", grey=grey, count=2),
                "2": node("ClassicSave", images=["1", 0], prefix="numbers/n"),
            },
        )
        return [file["filename"] for file in outputs(server, job_id)["2"]["images"]]

    assert names(0.1) == ["n_00001_.png", "n_00002_.png"]
    assert names(0.2) == ["n_00003_.png", "n_00004_.png"]


def test_a_pack_that_counts_for_itself_does_not_take_names_that_are_taken(server: Server) -> None:
    def name(grey: float) -> str:
        prompt = {
            "1": node("ClassicPicture", grey=grey, count=1),
            "2": node("ClassicCountSave", images=["1", 0], prefix="own"),
        }
        job_id, _, _ = run(server, prompt)
        return str(outputs(server, job_id)["2"]["texts"][0]["filename"])

    assert [name(0.1), name(0.2), name(0.3)] == ["own_00001.txt", "own_00002.txt", "own_00003.txt"]
    assert get(server, "/api/view?filename=own_00001.txt&type=output") == b"1"


def test_an_uploaded_picture_is_offered_to_a_pack_and_read_by_its_path(server: Server) -> None:
    made = io.BytesIO()
    Image.new("RGB", (6, 3), "blue").save(made, format="PNG")
    upload(server, "blue.png", made.getvalue())
    offered = json.loads(get(server, "/api/object_info/ClassicLoad"))["ClassicLoad"]["input"]["required"]["image"]
    assert offered[0] == ["blue.png", "example.png"]
    prompt = {"1": node("ClassicLoad", image="blue.png"), "2": node("ClassicShow", value=["1", 1])}
    job_id, _, _ = run(server, prompt)
    assert outputs(server, job_id)["2"]["text"] == ["6x3 of blue.png", "2"]


def test_a_combo_that_a_pack_lists_itself_has_the_users_files(server: Server) -> None:
    upload(server, "todo.md", b"sleep")
    upload(server, "films.csv", b"a,b")
    shown = json.loads(get(server, "/api/object_info/ClassicNotes"))["ClassicNotes"]["input"]["required"]["file"]
    assert shown == [["none", "todo.md"], {}]
    for name in ("ClassicNotes", "ClassicPath"):
        job_id, _, _ = run(server, {"1": node(name, file="todo.md"), "2": node("ClassicShow", value=["1", 0])})
        assert outputs(server, job_id)["2"]["text"] == ["sleep", "2"]
        with pytest.raises(urllib.error.HTTPError, match="400"):
            run(server, {"1": node(name, file="absent.md"), "2": node("ClassicShow", value=["1", 0])})


def test_a_combo_of_folders_has_the_users_folders_and_the_job_their_files(server: Server) -> None:
    for name in ("b.txt", "a.txt"):
        upload(server, name, name.encode(), subfolder="notes")
    shown = json.loads(get(server, "/api/object_info/ClassicFolder"))["ClassicFolder"]["input"]["required"]["file"]
    assert shown == [["notes"], {}]
    prompt = {"1": node("ClassicFolder", file="notes"), "2": node("ClassicShow", value=["1", 0])}
    job_id, _, _ = run(server, prompt)
    assert outputs(server, job_id)["2"]["text"] == ["a.txt b.txt", "2"]
    with pytest.raises(urllib.error.HTTPError, match="400"):
        run(server, {"1": node("ClassicFolder", file="absent"), "2": node("ClassicShow", value=["1", 0])})


def test_what_a_pack_says_reaches_its_client_in_order(server: Server) -> None:
    _, texts, frames = run(server, {"1": node("ClassicSteps", steps=4)})
    types = [t["type"] for t in texts]
    assert types.index("executing") < types.index("progress") < types.index("classic.done")
    assert types.index("classic.done") < types.index("execution_success")
    assert next(t["data"] for t in texts if t["type"] == "classic.done") == {"node": "1", "steps": 4}
    pictures = [f for f in frames if int.from_bytes(f[:4], "big") == PREVIEW_FRAME]
    with Image.open(io.BytesIO(pictures[0][8:])) as image:
        assert image.size == (3, 2)


def test_the_web_folder_of_a_pack_is_served(server: Server) -> None:
    listed = json.loads(get(server, "/api/extensions"))
    assert "/extensions/classic/classic.js" in listed
    assert b"classic" in get(server, "/extensions/classic/classic.js")


def test_a_loop_shows_itself_as_the_nodes_of_the_prompt(server: Server) -> None:
    prompt = {
        "1": node("ClassicWhile", value=1),
        "2": node("ClassicAdd", a=["1", 1], b=["1", 1]),
        "3": node("ClassicLess", a=["2", 0], b=20),
        "4": node("ClassicEnd", flow=["1", 0], condition=["3", 0], value=["2", 0]),
        "5": node("ClassicShow", value=["4", 0]),
    }
    job_id, texts, _ = run(server, prompt)
    assert outputs(server, job_id)["5"]["text"][0] == "32"
    assert {t["data"]["display_node"] for t in texts if t["type"] == "executing" and t["data"]["node"]} == set(prompt)


def test_a_failing_node_of_a_pack_is_named(server: Server) -> None:
    prompt = {"1": node("ModernFail", value=3), "2": node("ClassicShow", value=["1", 0])}
    _, texts, _ = run(server, prompt)
    error = next(t["data"] for t in texts if t["type"] == "execution_error")
    assert (error["node_id"], error["node_type"], error["exception_type"]) == ("1", "ModernFail", "LookupError")
    assert "tests/packs" not in json.dumps(error["traceback"])


def test_an_administrator_sees_which_packs_failed_and_why(server: Server) -> None:
    [slot] = json.loads(get(server, "/api/admin/packs"))["slots"]
    packs = {pack["name"]: pack for pack in slot["packs"]}
    assert packs["classic"]["nodes"] > 5
    assert packs["classic"]["failures"] == []
    [failure] = packs["broken"]["failures"]
    assert (packs["broken"]["nodes"], failure["subject"]) == (0, "broken")
    assert "a_library_that_nobody_has" in failure["reason"]
    shown = safelight("status", "--url", server.url)
    assert shown.returncode == 0
    assert "a_library_that_nobody_has" in shown.stdout


def test_what_a_client_puts_into_a_packs_memory_its_jobs_find(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As krita's plugin works, on two workers: a picture over a route, a job that reads it, the result over a route;
    and the route tells the socket that it names."""
    packs = ("--custom-nodes", str(PACKS), "--workers", "2")
    with running(tmp_path_factory.mktemp("data"), *packs) as server:
        wait_for_nodes(server.url)
        deadline = time.monotonic() + 120
        while [slot["state"] for slot in json.loads(get(server, "/api/admin/schedule"))["slots"]].count("idle") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        address = server.url.replace("http", "ws")
        with connect(f"{address}/ws?clientId=mine") as mine, connect(f"{address}/ws?clientId=other") as other:
            for number in range(4):
                request = urllib.request.Request(
                    f"{server.url}/api/classic/memory/p{number}?sid=mine", b"text%d" % number, method="PUT"
                )
                with urllib.request.urlopen(request, timeout=60) as answer:
                    assert answer.status == 201
                prompt = {"1": node("ClassicRemember", name=f"p{number}", salt=str(number))}
                job_id, texts, _ = run(server, prompt)
                assert "execution_success" in [text["type"] for text in texts], texts
                assert outputs(server, job_id) == {"1": {"text": [f"text{number}"]}}
                assert get(server, f"/classic/memory/p{number}-made") == b"TEXT%d" % number
            heard = [json.loads(mine.recv(timeout=10))]
            while len([text for text in heard if text["type"] == "classic.kept"]) < 4:
                heard.append(json.loads(mine.recv(timeout=10)))
            assert [t["data"]["name"] for t in heard if t["type"] == "classic.kept"] == ["p0", "p1", "p2", "p3"]
            post(server, "/api/queue", b'{"clear": true}')
            told = []
            with contextlib.suppress(TimeoutError):
                while True:
                    told.append(json.loads(other.recv(timeout=1)))
            assert "classic.kept" not in [text["type"] for text in told]
