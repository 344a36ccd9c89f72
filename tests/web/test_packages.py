import pytest

from safelight.web.packages import BLUEPRINTS, DOCS, FRONTEND, TEMPLATES, Packages, find_packages


def test_the_installed_packages_are_complete() -> None:
    packages = find_packages()
    if packages.missing:
        pytest.skip(f"not installed: {', '.join(packages.missing)}")
    assert packages.frontend is not None
    assert (packages.frontend / "index.html").is_file()
    assert packages.docs is not None
    assert (packages.docs / "KSampler" / "en.md").is_file()
    assert packages.blueprints is not None
    assert list(packages.blueprints.glob("*.json"))
    assert (packages.templates[0] / "index.json").is_file()
    assert any(list(root.glob("*.webp")) for root in packages.templates), "thumbnails are in wheels of their own"
    assert packages.version(FRONTEND)
    assert packages.version(TEMPLATES)


def test_without_packages_all_are_missing() -> None:
    assert Packages().missing == (FRONTEND, TEMPLATES, DOCS, BLUEPRINTS)
    assert Packages().version(FRONTEND) is None
