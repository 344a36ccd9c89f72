"""Attacks of a hostile node pack on a real server: with an ordinary key over its routes, and by its nodes at run
time."""

import os
import random
import signal
import time
import uuid
from pathlib import Path

from tests.faults.hostile_packs import (
    CODE,
    PRISTINE,
    attack,
    attacks,
    hostile_site,
    look,
    pack_of,
    processes_named,
    restart_engine,
    save,
    with_account,
)
from tests.faults.ledger import Ledger
from tests.faults.site import is_alive, wait_for


def test_a_pack_cannot_be_rewritten_over_its_route(tmp_path: Path) -> None:
    """CVE-2026-123790: a "save" route replaces the pack's code, which the next engine would run in every user's
    jobs."""
    site = hostile_site(tmp_path)
    admin, user = with_account(site, "root", "--admin"), with_account(site, "mallory")
    evil = (pack_of(site) / CODE).read_text().replace(PRISTINE, "replaced over the route")
    with site.start():
        assert look(site, user)["version"] == PRISTINE
        refused = save(site, CODE, evil, user)
        assert refused.status == 403
        assert "pack_routes_changed_by_users" in refused.body.decode()
        assert save(site, CODE, evil, admin).status == 200, "an administrator may call it"
        assert save(site, "state.json", '{"kept": "settings"}', admin).status == 200
        restart_engine(site, user)
        seen = look(site, user)
        assert seen["version"] == PRISTINE, "what the route wrote is never imported"
        assert seen["state"] == {"kept": "settings"}, "settings are kept"
        assert (pack_of(site) / CODE).read_text() != evil
        assert not (pack_of(site) / "state.json").exists()


def test_users_may_change_what_a_pack_keeps_where_the_operator_says_so(tmp_path: Path) -> None:
    site = hostile_site(tmp_path, pack_routes_changed_by_users="attacker")
    with_account(site, "root", "--admin")
    user = with_account(site, "anna")
    evil = (pack_of(site) / CODE).read_text().replace(PRISTINE, "replaced over the route")
    with site.start():
        assert save(site, CODE, evil, user).status == 200
        restart_engine(site, user)
        assert look(site, user)["version"] == PRISTINE


def test_a_rule_closes_the_routes_of_a_pack(tmp_path: Path) -> None:
    site = hostile_site(tmp_path, pack_routes="attacker=admin")
    admin, user = with_account(site, "root", "--admin"), with_account(site, "anna")
    with site.start():
        assert look(site, user)["version"] == PRISTINE
        assert site.request("GET", "/attacker/load/__init__.py", headers=user).status == 403
        assert site.request("GET", "/attacker/load/__init__.py", headers=admin).status == 200


def test_a_pack_whose_routes_are_off_has_none(tmp_path: Path) -> None:
    with hostile_site(tmp_path, pack_routes="*=off").start() as site:
        assert look(site, {})["version"] == PRISTINE
        assert site.request("GET", "/attacker/load/__init__.py").status == 404


def test_the_local_user_of_a_server_without_accounts_is_its_administrator(tmp_path: Path) -> None:
    with hostile_site(tmp_path).start() as site:
        assert save(site, "state.json", "{}", {}).status == 200


def test_a_pack_that_the_operator_excepts_writes_to_its_own_folder(tmp_path: Path) -> None:
    with hostile_site(tmp_path, writable_packs="attacker").start() as site:
        assert save(site, "state.json", "{}", {}).status == 200
        assert (pack_of(site) / "state.json").read_text() == "{}"


def test_each_attack_of_a_node_fails(tmp_path: Path) -> None:
    attacks(tmp_path, random.Random(1), Ledger())


def test_a_daemon_does_not_outlive_a_server_that_is_killed(tmp_path: Path) -> None:
    name = f"at-{uuid.uuid4().hex[:8]}"
    with hostile_site(tmp_path).start() as site:
        attack(site, {}, daemon=name)
        assert len(processes_named(name)) == 1
        site.kill()
        wait_for(lambda: processes_named(name) == [])


def test_an_engine_that_is_stopped_while_the_server_dies_ends_itself(tmp_path: Path) -> None:
    """At several moments of its life, including its start."""
    for pause_s in (0.0, 0.1, 0.4, 5.0):
        with hostile_site(tmp_path / str(pause_s)).start() as site:
            time.sleep(pause_s)
            stopped = {*site.engines(), *site.keepers()}
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            assert site.server is not None
            site.server.stop(signal.SIGKILL)
            site.server = None
            wait_for(lambda stopped=stopped: not any(is_alive(pid) for pid in stopped))  # type: ignore[misc]
