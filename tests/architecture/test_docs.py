"""The documents say what is there: paths, links, commands, settings, rules and decisions that they name exist."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from safelight.cli.main import COMMANDS, cli
from safelight.settings import GROUP_OF
from safelight.wire import messages

ROOT = Path(__file__).parents[2]
OURS = ROOT / "src/safelight"
DOCUMENTS = [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/**/*.md")), ROOT / "benchmarks/README.md"]
DECISIONS = sorted(ROOT.glob("docs/decisions/0*.md"))
RULES = ROOT / "docs/reference/behaviour.md"

CODE_LINE = re.compile(r"^ {4}.*$", re.M)
QUOTED = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+/?|[\w-]+\.(?:py|md)")
BASES = (ROOT, ROOT / "src", OURS, ROOT / "tests", ROOT / "docs", ROOT / "docs/operate")
FOLDERS = {entry.name for base in BASES for entry in base.iterdir() if entry.is_dir() and entry.name[0] not in "._"}
NOT_OURS = {"main.py", "prestartup_script.py", "models/", "models/checkpoints"}
"""Files of a ComfyUI, of node packs and of the operator."""

SETTINGS = set(GROUP_OF)
WORD = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
VARIABLE = re.compile(r"SAFELIGHT_([A-Z_]+)")
OTHER_WORDS = {
    *("api_key_comfy_org", "auth_token_comfy_org"),  # fields of a prompt's extra data
    *("base_path", "is_default"),  # of ComfyUI's file of model folders
    *("btree_gin", "pg_dump", "pg_trgm", "synchronous_commit"),  # PostgreSQL's
    *("num_cpus", "num_gpus"),  # Ray's
    *("queued_s", "preparing_s", "running_s"),  # fields of the log, one for each stage of a job
    "python_embeded",  # the folder of Python in ComfyUI's portable package
    "weights_only",  # an argument of torch.load
}
"""What the operator's pages name beside settings."""

NOT_IN_CODE = {"from_single_file", "model_info", "pivot_root"}
"""What decisions name that they did not take, and a route of somebody's node pack."""

RULE = r"[A-Z]+-\d+"


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)


def quoted(document: Path) -> Iterator[tuple[str, int]]:
    """What stands in backticks, and in which paragraph; code blocks are left out."""
    for number, paragraph in enumerate(CODE_LINE.sub("", document.read_text("utf-8")).split("\n\n")):
        for text in QUOTED.findall(paragraph):
            yield " ".join(text.split()), number


def missing_paths(document: Path) -> Iterator[str]:
    """A path begins at the root, at ``src``, ``src/safelight``, ``tests`` or ``docs``. A bare name lies beside a path
    that its paragraph has named before."""
    places: dict[int, list[Path]] = {}
    for text, paragraph in quoted(document):
        before = places.setdefault(paragraph, [document.parent])
        is_bare = "/" not in text
        if text in NOT_OURS or not PATH.fullmatch(text) or not (is_bare or text.split("/")[0] in FOLDERS):
            continue
        found = next((base / text for base in (*BASES, *before) if (base / text).exists()), None)
        if found is None:
            yield text
        else:
            before.append(found.parent)


TEST = re.compile(r"((?:[\w-]+/)*test_\w+\.py)::(\w+)")


@each_document
def test_tests_that_are_named_exist(document: Path) -> None:
    for file, name in (test for text, _ in quoted(document) for test in TEST.findall(text)):
        [path] = [*ROOT.glob(file), *ROOT.glob(f"tests/faults/{file}")]
        assert f"def {name}(" in path.read_text("utf-8"), f"{file}::{name}"


@each_document
def test_paths_and_links_exist(document: Path) -> None:
    missing = [*missing_paths(document)]
    missing += [link for link in LINK.findall(document.read_text("utf-8")) if not (document.parent / link).exists()]
    assert not missing


def test_a_path_that_is_missing_is_found(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "`db/job.py`, `job_list.py`, `outcomes.py`, `src/x.py`\n\n`job_list.py` `a/route` `/api/jobs`\n"
    )
    assert [*missing_paths(document)] == ["outcomes.py", "src/x.py", "job_list.py"]


# -- commands --

COMMAND = re.compile(r"^(?:\S*bin/)?safelight ([a-z].*)")


def commands(document: Path) -> Iterator[str]:
    """The words after ``safelight``, in backticks and in code blocks."""
    blocks = [line.strip() for line in CODE_LINE.findall(document.read_text("utf-8"))]
    for text in [*(text for text, _ in quoted(document)), *blocks]:
        if match := COMMAND.match(text.partition("  #")[0]):
            yield match[1]


def wrong_words(text: str) -> Iterator[str]:
    """Sub-commands (``add|list``: each) and options that do not exist."""
    found: list[click.Command] = [cli]
    for word in text.split():
        word = word.strip("[],`")
        if word.startswith("--"):
            options = {name for command in found for param in command.params for name in param.opts}
            options |= {name for command in found for param in command.params for name in param.secondary_opts}
            if word.partition("=")[0] not in options:
                yield word
        elif isinstance(group := found[0], click.Group):
            by_name = {name: group.get_command(click.Context(group), name) for name in word.split("|")}
            yield from [name for name, command in by_name.items() if command is None]
            found = [command for command in by_name.values() if command is not None] or [click.Command("none")]


@each_document
def test_commands_exist(document: Path) -> None:
    wrong = {text: words for text in commands(document) if (words := [*wrong_words(text)])}
    assert not wrong


def test_a_command_that_is_missing_is_found() -> None:
    assert [*wrong_words("user add|remove anna --admin --secret")] == ["remove", "--secret"]
    assert [*wrong_words("serv")] == ["serv"]


def test_readme_names_commands() -> None:
    assert len(COMMANDS) > len({*commands(ROOT / "README.md")}) > 2


# -- settings and other names --


@each_document
def test_names_exist(document: Path) -> None:
    """In the operator's pages a name like ``worker_user`` is a setting; elsewhere it is at least some name of ours.
    (The names of metrics are compared in ``tests/telemetry/test_deploy_files.py``.)"""
    words = {word[0] for text, _ in quoted(document) if (word := re.match(rf"({WORD.pattern})(?: ?=|$)", text))}
    words = {word.rstrip(" =") for word in words if not word.startswith("safelight_")} - SETTINGS - OTHER_WORDS
    is_for_operators = document.parent.name == "operate" or document in (ROOT / "README.md", ROOT / "SECURITY.md")
    assert words <= (set() if is_for_operators else names_in_code() | NOT_IN_CODE)


@each_document
def test_variables_exist(document: Path) -> None:
    names = {name.lower() for name in VARIABLE.findall(document.read_text("utf-8"))}
    assert names <= SETTINGS | {"config", "test_packs", "test_libraries"}


@cache
def names_in_code() -> set[str]:
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("src/**/*.json")]
    files += [*ROOT.glob("src/**/*.js"), *ROOT.glob("src/**/*.pyi")]
    words = {word for file in files for word in WORD.findall(file.read_text("utf-8"))}
    return words | {entry.stem for entry in ROOT.glob("src/**/*")}


# -- rules and decisions --


def rules() -> list[str]:
    return re.findall(rf"^\| ({RULE}) \|", RULES.read_text("utf-8"), re.M)


def test_each_rule_has_an_id_of_its_own() -> None:
    found = rules()
    assert len(found) > 50
    assert sorted(found) == sorted(set(found))


def test_rules_that_are_cited_exist() -> None:
    known = set(rules())
    kinds = "|".join(sorted({rule.partition("-")[0] for rule in known}))
    files = [*DOCUMENTS, *(file for part in ("src", "tests", "benchmarks") for file in ROOT.glob(f"{part}/**/*.py"))]
    files += [*ROOT.glob("src/**/*.js")]
    wrong = {
        (name_of(file), rule)
        for file in files
        for rule in re.findall(rf"\b(?:{kinds})-\d+\b", file.read_text("utf-8"))
        if rule not in known
    }
    assert not wrong


def test_each_decision_is_listed_under_its_title() -> None:
    listed = dict(
        re.findall(r"^\| \[\d+\]\(([^)]+)\) \| (.+) \|$", (ROOT / "docs/decisions/README.md").read_text(), re.M)
    )
    titles = {page.name: page.read_text("utf-8").partition("\n")[0] for page in DECISIONS}
    assert {name: f"# {name[:4]}: {title}" for name, title in listed.items()} == titles


def test_decisions_that_are_cited_exist() -> None:
    numbers = {page.name[:4] for page in DECISIONS}
    wrong = set()
    for file in [*DOCUMENTS, *ROOT.glob("src/**/*.py"), *ROOT.glob("tests/**/*.py")]:
        cited = r"\b(?:ADR |ADRs )(0\d{3})\b" if file not in DECISIONS else r"\b(00\d\d)\b"
        wrong |= {(name_of(file), n) for n in re.findall(cited, file.read_text("utf-8")) if n not in numbers}
    assert not wrong


@pytest.mark.parametrize("page", DECISIONS, ids=name_of)
def test_a_decision_has_its_parts(page: Path) -> None:
    parts = re.findall(r"^\*\*(\w+)\*\*", page.read_text("utf-8"), re.M)
    assert parts == ["Status", "Context", "Decision", "Consequences", "Alternatives"]


def test_each_published_weakness_has_a_test() -> None:
    """A test names it, in its name or in words."""
    page = (ROOT / "docs/operate/security.md").read_text("utf-8")
    ids = re.findall(r"CVE-\d+-\d+|GHSA(?:-\w{4}){3}", page)
    tests = "".join(file.read_text("utf-8") for file in ROOT.glob("tests/*/test_*.py")).lower().replace("-", "_")
    assert {"CVE-2026-68771", "CVE-2026-123790"} <= set(ids)
    assert [known for known in ids if known.lower().replace("-", "_") not in tests] == []


def test_the_changelog_has_each_heading_once() -> None:
    headings = re.findall(r"^### (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8").split("\n## ")[1], re.M)
    assert sorted(headings) == sorted(set(headings))


# -- docstrings of messages --


@pytest.mark.parametrize("message", messages.Message.__subclasses__() + messages.JobMessage.__subclasses__())
def test_fields_that_a_message_explains_exist(message: type[messages.Message]) -> None:
    explained = set(re.findall(r"``(\w+)``:", message.__doc__ or ""))
    assert explained <= set(message.__struct_fields__)


def test_the_table_of_decisions_has_each_once_and_in_order() -> None:
    rows = re.findall(r"^\| \[\d{4}\]\((.+?\.md)\)", (ROOT / "docs/decisions/README.md").read_text("utf-8"), re.M)
    assert rows == [path.name for path in DECISIONS]


def test_no_module_is_left_in_the_top_folder() -> None:
    assert not list(ROOT.glob("*.py"))
