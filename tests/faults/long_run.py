"""Run every scenario with new seeds until the time is up, and write a report (``scripts/faults``)."""

import argparse
import logging
import os
import random
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.faults import (
    actors,
    cancels,
    crowds,
    disks,
    engines,
    floods,
    hostile_packs,
    keeping,
    limits,
    servers,
    simulation,
    sockets,
    upgrades,
)
from tests.faults.ledger import Ledger

WORLDS = 100
"""Number of simulated worlds per turn."""

PROMISES = (
    "A 2xx on submit survives `kill -9` of everything.",
    "Every job reaches exactly one terminal state, and says why.",
    "A job's output set is published once, even if the job ran twice.",
    "A dead worker costs its job one retry, not the queue; after the retry limit the job fails with a reason.",
    "Cancel affects that job only, and always ends it: soft first, then the worker process is killed.",
    "An acknowledged upload is byte-identical for ever, or is reported corrupt.",
    "No tenant can learn of another tenant's objects, by id, by hash, by name or by timing of a dedupe.",
    "No user waits behind more than one running job per worker of another user of equal weight.",
)


@dataclass
class Scenario:
    """Mutable: the results of its turns. ``test``: the test of the suite that runs the same."""

    test: str
    promises: tuple[int, ...]
    run: Callable[[Path, random.Random, Ledger], object]
    needs_root: bool = False
    ledger: Ledger = field(default_factory=Ledger)
    turns: int = 0
    lost: int = 0


def worlds(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    first = rng.randrange(1 << 40)
    simulation.run(folder, range(first, first + WORLDS), ledger)


def migrations(folder: Path, rng: random.Random, ledger: Ledger) -> None:
    upgrades.half_migrated(rng.choice(upgrades.FIXTURES), folder, rng, ledger)


def scenarios() -> list[Scenario]:
    sockets.allow_open_files(6000)
    at_points, at_random = partial(engines.deaths_at_points, kills=24), partial(engines.deaths_at_random, kills=24)
    return [
        Scenario("test_engines.py::test_engines_killed_inside_jobs_lose_nothing", (2, 3, 4), at_points),
        Scenario("test_engines.py::test_engines_killed_at_random_moments_lose_nothing", (2, 3, 4), at_random),
        Scenario(
            "test_engines.py::test_a_job_that_always_ends_its_engine_stops_after_the_retry_limit",
            (2, 4),
            engines.poison,
        ),
        Scenario(
            "test_engines.py::test_a_frozen_engine_is_replaced_and_its_late_messages_have_no_effect",
            (2, 3, 4),
            engines.frozen,
        ),
        Scenario("test_engines.py::test_unruly_nodes_do_not_affect_other_jobs", (4, 5), engines.unruly),
        Scenario("test_limits.py::test_a_job_that_would_run_forever_is_ended_and_delays_no_other", (2, 4), limits.hung),
        Scenario("test_limits.py::test_a_slot_whose_folder_is_gone_is_shut_and_no_job_fails", (2, 4), limits.shut),
        Scenario("test_limits.py::test_drain_now_requeues_jobs_and_loses_none", (2, 3, 4), limits.drained),
        Scenario(
            "test_limits.py::test_an_agent_that_outlives_its_server_does_not_affect_the_next", (2, 4), actors.ends
        ),
        Scenario(
            "test_servers.py::test_what_was_acknowledged_survives_a_kill_of_everything",
            (1, 2, 3, 6),
            partial(servers.deaths, kills=4),
        ),
        Scenario("test_servers.py::test_half_written_files_are_removed", (6,), servers.leftovers),
        Scenario(
            "test_cancels.py::test_a_cancel_ends_its_job_and_no_other", (2, 5), partial(cancels.cancels, number=40)
        ),
        Scenario("test_disks.py::test_a_full_disk_under_files_is_reported", (6,), disks.full_of_files, needs_root=True),
        Scenario(
            "test_disks.py::test_a_full_disk_under_the_database_is_reported",
            (1, 2),
            disks.full_database,
            needs_root=True,
        ),
        Scenario("test_disks.py::test_a_locked_database_is_reported", (1,), disks.locked),
        Scenario("test_disks.py::test_a_disk_that_rejects_writes_is_reported", (1, 2, 6), disks.unwritable),
        Scenario("test_keeping.py::test_damaged_bytes_are_never_served_as_intact", (6,), keeping.damaged),
        Scenario(
            "test_keeping.py::test_garbage_is_collected_while_the_same_bytes_are_uploaded_and_deleted",
            (6,),
            keeping.collected,
        ),
        Scenario("test_keeping.py::test_a_backup_under_load_is_restored_completely", (1, 6), keeping.backed_up),
        Scenario("test_upgrades.py::test_a_killed_migration_starts_again", (1, 6), migrations),
        Scenario("test_sockets.py::test_two_thousand_idle_sockets_reconnect", (), partial(sockets.crowd, users=8)),
        Scenario("test_simulation.py::test_promises_hold_in_two_hundred_worlds", (2, 3, 4, 5), worlds),
        Scenario("test_floods.py::test_huge_prompts_do_not_delay_others", (8,), floods.floods),
        Scenario("test_hostile_packs.py::test_each_attack_of_a_node_fails", (7,), hostile_packs.attacks),
        Scenario("test_crowds.py::test_nine_users_do_not_wait_behind_a_thousand_jobs_of_one", (8,), crowds.run),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="minimum duration in seconds (default 180)")
    parser.add_argument("--seed", type=int, default=None, help="first seed (default: random)")
    parser.add_argument("--report", type=Path, default=Path("docs/operate/reliability.md"))
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    logging.disable(logging.CRITICAL)
    begun = time.monotonic()
    every = [s for s in scenarios() if os.geteuid() == 0 or not s.needs_root]
    turn = 0
    while turn == 0 or time.monotonic() - begun < options.seconds:
        for scenario in every:
            if turn and time.monotonic() - begun >= options.seconds:
                break
            _take_turn(scenario, f"{seed}/{turn}/{scenario.test}")
        turn += 1
    elapsed_s = time.monotonic() - begun
    options.report.write_text(report(every, seed=seed, elapsed_s=elapsed_s))
    injected, lost = sum(s.ledger.total for s in every), sum(s.lost for s in every)
    print(f"{injected} faults in {elapsed_s:.0f} s, {lost} lost; the report is in {options.report}")
    sys.exit(1 if lost else 0)


def _take_turn(scenario: Scenario, seed: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            scenario.run(Path(folder), random.Random(seed), scenario.ledger)
        except Exception:  # a boundary: the run continues, and the report counts the loss
            scenario.lost += 1
            print(f"LOST, seed {seed}", flush=True)
            traceback.print_exc()
    scenario.turns += 1
    print(f"{scenario.test}: {scenario.ledger.total} faults so far, {scenario.lost} lost", flush=True)


def report(every: list[Scenario], *, seed: int, elapsed_s: float) -> str:
    injected, lost = sum(s.ledger.total for s in every), sum(s.lost for s in every)
    retries = sorted(r for s in every for r in s.ledger.retries_s if r)
    lines = [
        "# Reliability",
        "",
        "Written by a run of `scripts/faults`; do not edit. The run kills and freezes real server and worker",
        "processes, sends garbage to them and fills their disks, on a real SQLite database; it also simulates the",
        "dispatcher with a manual clock. After each turn it compares the database, the files and the API with what",
        "clients were answered. *Lost* counts the turns after which anything differed.",
        "",
        f"**{injected:,} faults in {elapsed_s:.0f} s: {lost} lost.** Seed `{seed}`; repeat with"
        f" `scripts/faults --seconds {elapsed_s:.0f} --seed {seed}`.",
        "",
    ]
    if retries:
        late = sum(r > 1 for r in retries)
        lines += [
            f"From the death of a worker to the next attempt of its job, {len(retries)} times: median"
            f" {statistics.median(retries):.2f} s, longest {retries[-1]:.2f} s; {late} took longer than one second.",
            "",
        ]
    lines += ["## Promises", "", "| promise | tests (in `tests/faults/`) | faults | lost |", "|---|---|---:|---:|"]
    for number, text in enumerate(PROMISES, 1):
        of = [s for s in every if number in s.promises]
        tests = "<br>".join(f"`{s.test}`" for s in of) or "no fault concerns it: `tests/services/test_isolation.py`"
        total, missed = sum(s.ledger.total for s in of), sum(s.lost for s in of)
        lines.append(f"| {number}. {text} | {tests} | {total:,} | {missed} |")
    lines += ["", "A fault that concerns several promises is counted with each.", ""]
    lines += ["## Faults", "", "| fault | times |", "|---|---:|"]
    for scenario in every:
        lines += [f"| {fault} | {times:,} |" for fault, times in scenario.ledger.faults.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
