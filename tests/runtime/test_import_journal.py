"""A pack that ends the process is skipped by the next one."""

import os
from pathlib import Path

import pytest

from safelight.runtime.import_journal import LoadJournal, journal_of


def test_a_pack_that_ended_the_process_is_skipped_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first = LoadJournal(path)
    with first.importing("good"):
        pass
    cut_short = first.importing("bad")
    cut_short.__enter__()  # and here the process ends
    for _ in range(2):
        later = LoadJournal(path)
        with later.importing("good"):
            pass
        with pytest.raises(ImportError, match="while this pack was imported"), later.importing("bad"):
            raise AssertionError("it must not be tried again")
        later.finish()


def test_a_pack_that_raises_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = LoadJournal(path)
    with pytest.raises(ValueError, match="x"), journal.importing("odd"):
        raise ValueError("x")
    journal.finish()
    assert not path.exists()
    with LoadJournal(path).importing("odd"):
        pass


def test_an_unreadable_journal_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text("{")
    with LoadJournal(path).importing("a"):
        assert path.read_text() == '{"importing": ["a"], "fatal": []}'


def test_a_journal_belongs_to_one_server_and_one_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine, other = journal_of(os.getpid(), slot="local-0"), journal_of(os.getpid(), slot="local-1")
    assert mine != other != journal_of(os.getppid(), slot="local-1")
    for path in (mine, earlier := mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{os.getpid()}-1"))):
        path.touch()
    assert journal_of(os.getpid(), slot="local-0") == mine
    assert mine.exists()
    assert not earlier.exists()
