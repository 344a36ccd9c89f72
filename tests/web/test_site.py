import gzip
import json
from pathlib import Path

import brotli
import pytest
import zstandard
from tests.web.asgi import fetch, fetch_blueprints
from tests.web.conftest import SCRIPT

from safelight.web.packages import Packages, find_packages
from safelight.web.packs import Packs
from safelight.web.prepare import prepare
from safelight.web.site import Web

pytestmark = pytest.mark.anyio

HASHED = "/assets/main-DJwEkTJ_.js"
UNDO = {"zstd": zstandard.decompress, "br": brotli.decompress, "gzip": gzip.decompress}


@pytest.fixture
def web(packages: Packages, tmp_path: Path) -> Web:
    return Web(packages, cache_dir=tmp_path / "cache")


async def test_hashed_names_are_cached_forever_and_others_are_revalidated(web: Web) -> None:
    assert (await fetch(web, HASHED)).headers["cache-control"] == "public, max-age=31536000, immutable"
    for path in ("/", "/scripts/app.js", "/templates/index.json", "/user.css"):
        assert (await fetch(web, path)).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("encoding", UNDO)
@pytest.mark.parametrize("prepared", [False, True])
async def test_bodies_are_compressed(web: Web, tmp_path: Path, encoding: str, prepared: bool) -> None:
    if prepared:
        prepare(web.packages, tmp_path / "cache")
    for path, expected in ((HASHED, SCRIPT), ("/docs/KSampler/en.md", "# Sämpler\n".encode() * 200)):
        answer = await fetch(web, path, {"accept-encoding": encoding})
        assert answer.headers["content-encoding"] == encoding
        assert answer.headers["vary"] == "Accept-Encoding"
        assert int(answer.headers["content-length"]) == len(answer.body) < len(expected)
        assert UNDO[encoding](answer.body) == expected


async def test_the_smallest_prepared_copy_wins(web: Web, packages: Packages, tmp_path: Path) -> None:
    prepare(packages, tmp_path / "cache")
    everything = await fetch(web, HASHED, {"accept-encoding": "gzip, br, zstd"})
    sizes = [len((await fetch(web, HASHED, {"accept-encoding": name})).body) for name in UNDO]
    assert len(everything.body) == min(sizes)


async def test_a_client_without_encodings_gets_the_file(web: Web) -> None:
    answer = await fetch(web, HASHED)
    assert answer.body == SCRIPT
    assert "content-encoding" not in answer.headers


async def test_pictures_are_sent_as_they_are(web: Web) -> None:
    answer = await fetch(web, "/fonts/inter.woff2", {"accept-encoding": "br"})
    assert answer.body == b"wOF2" * 600
    assert "vary" not in answer.headers


async def test_a_client_that_has_the_file_gets_304_whatever_its_encoding(web: Web) -> None:
    etag = (await fetch(web, "/scripts/app.js", {"accept-encoding": "br"})).headers["etag"]
    for headers in ({"if-none-match": etag}, {"if-none-match": f'"other", {etag}', "accept-encoding": "gzip"}):
        answer = await fetch(web, "/scripts/app.js", headers)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    assert (await fetch(web, "/scripts/app.js", {"if-none-match": '"other"'})).status == 200


async def test_a_changed_file_has_another_etag(web: Web, packages: Packages) -> None:
    before = (await fetch(web, "/scripts/app.js")).headers["etag"]
    assert packages.frontend is not None
    (packages.frontend / "scripts/app.js").write_bytes(b"// changed")
    assert (await fetch(web, "/scripts/app.js")).headers["etag"] != before


async def test_an_unknown_path_is_not_the_page(web: Web) -> None:
    """The UI would take an HTML page for the file where it expects a 404: node help, translations, templates."""
    for path in ("/api/nope", "/docs/KSampler/fr.md", "/templates/nope.json", "/%2e%2e/secret.txt"):
        answer = await fetch(web, path)
        assert answer.status == 404
        assert answer.headers["content-type"].startswith("text/plain")


async def test_only_reading_is_allowed(web: Web) -> None:
    answer = await fetch(web, "/", method="POST")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    head = await fetch(web, HASHED, method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(SCRIPT)))


async def test_without_the_packages_the_page_says_what_to_install(tmp_path: Path) -> None:
    web = Web(Packages(), cache_dir=tmp_path)
    await web.start()
    answer = await fetch(web, "/")
    assert answer.status == 200
    assert b"comfyui-frontend-package" in answer.body
    assert b"pip install" in answer.body
    assert (await fetch(web, HASHED)).status == 404
    assert (await fetch_blueprints(web)).body == b"{}"
    assert web.global_subgraph("brightness") is None
    assert list(tmp_path.iterdir()) == []


async def test_all_blueprints_come_in_one_response(web: Web) -> None:
    answer = await fetch_blueprints(web)
    listed = json.loads(answer.body)
    assert listed.keys() == {"brightness"}
    blueprint = listed["brightness"]
    assert blueprint["name"] == "Brightness"
    assert blueprint["info"] == {"node_pack": "comfyui", "category": "Image Tools/Colour", "search_aliases": ["light"]}
    assert json.loads(blueprint["data"])["nodes"] == [{"id": 1, "type": "u"}]
    assert web.global_subgraph("brightness") == blueprint
    assert (await fetch_blueprints(web, {"if-none-match": answer.headers["etag"]})).status == 304


@pytest.mark.parametrize("unknown", ["", "nope", "../secret", "brightness.json"])
async def test_an_unknown_blueprint(web: Web, unknown: str) -> None:
    assert web.global_subgraph(unknown) is None


async def test_own_and_other_extensions_are_listed_and_served(packages: Packages, tmp_path: Path) -> None:
    (tmp_path / "pack" / "js").mkdir(parents=True)
    (tmp_path / "pack" / "js" / "hello.js").write_text("//")
    web = Web(packages, cache_dir=tmp_path / "cache")
    web.use_packs(Packs(scripts={"pack": tmp_path / "pack", "safelight": tmp_path}))
    listed = web.extensions()
    assert "/extensions/pack/js/hello.js" in listed
    assert any(url.startswith("/extensions/safelight/") for url in listed)
    for url in listed:
        assert (await fetch(web, url)).headers["content-type"] == "text/javascript; charset=utf-8"


async def test_copies_are_prepared_in_the_background(packages: Packages, tmp_path: Path) -> None:
    """With the packages that are really installed; only the start is tested, because all of it takes half a minute."""
    installed = find_packages()
    if installed.missing:
        pytest.skip(f"not installed: {', '.join(installed.missing)}")
    web = Web(installed, cache_dir=tmp_path / "cache")
    await web.start()
    first = await fetch(web, "/", {"accept-encoding": "br"})
    assert b"vue-app" in brotli.decompress(first.body)
    await web.close()
    assert not web.is_preparing


async def test_the_page_may_only_call_this_server(web: Web) -> None:
    policy = (await fetch(web, "/")).headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["connect-src"] == "'self' data: blob:"
    assert rules["object-src"] == "'none'"
    assert rules["frame-ancestors"] == "'self'"
    assert "content-security-policy" not in (await fetch(web, "/scripts/app.js")).headers
