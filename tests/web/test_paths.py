from pathlib import Path

import pytest

from safelight.web.packages import Packages
from safelight.web.paths import find_file


@pytest.mark.parametrize(
    ("path", "mime_type", "immutable"),
    [
        ("/", "text/html; charset=utf-8", False),
        ("/index.html", "text/html; charset=utf-8", False),
        ("/assets/main-DJwEkTJ_.js", "text/javascript; charset=utf-8", True),
        ("/assets/favicon.ico", "image/x-icon", False),
        ("/assets/images/default-template.png", "image/png", False),  # as long as a hash, but not one
        ("/scripts/app.js", "text/javascript; charset=utf-8", False),
        ("/extensions/core/dummy.js", "text/javascript; charset=utf-8", False),
        ("/fonts/inter.woff2", "font/woff2", False),
        ("/templates/index.json", "application/json; charset=utf-8", False),
        ("/templates/flux-1.webp", "image/webp", False),
        ("/docs/KSampler/en.md", "text/markdown; charset=utf-8", False),
    ],
)
def test_each_kind_of_file_is_found(packages: Packages, path: str, mime_type: str, immutable: bool) -> None:
    file = find_file(path, packages, {})
    assert file is not None
    assert (file.mime_type, file.immutable) == (mime_type, immutable)


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/assets",
        "/assets/",
        "/assets/main-DJwEkTJ_.js.map",
        "/api/object_info",
        "/templates",
        "/templates/nope.json",
        "/docs/KSampler/fr.md",
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/templates/../secret.txt",
        "/templates//secret.txt",
        "/docs/..\\secret.txt",
        "/extensions/pack/../../secret.txt",
        "/./index.html",
        "/index.html\0.js",
    ],
)
def test_other_paths_are_not_found(packages: Packages, path: str) -> None:
    assert find_file(path, packages, {"pack": packages.docs or Path()}) is None


def test_a_link_does_not_lead_out_of_its_folder(packages: Packages) -> None:
    assert packages.frontend is not None
    (packages.frontend / "out.txt").symlink_to(packages.frontend.parent / "secret.txt")
    assert find_file("/out.txt", packages, {}) is None


def test_a_pack_has_its_own_folder(packages: Packages, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "hello.js").write_text("//")
    extensions = {"my-pack": tmp_path / "pack"}
    assert find_file("/extensions/my-pack/hello.js", packages, extensions)
    assert find_file("/extensions/other/hello.js", packages, extensions) is None
