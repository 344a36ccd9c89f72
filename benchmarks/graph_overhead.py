"""The overhead of the graph engine: microseconds per call in a chain of trivial calls, for a first run and a cached
rerun.

``python benchmarks/graph_overhead.py`` prints JSON. ``growth`` is the ratio of the cost per call in a chain ten times
as long; 1 means linear. Times are CPU times of this process, the best of several runs, with the garbage collector off
as in ``timeit``; ``--gc`` leaves it on.
"""

import argparse
import gc
import json
import time
from collections.abc import Callable
from typing import Any

from safelight.core.ids import UserId
from safelight.core.node import Catalogue, InputSchema, NodeSchema, OutputSchema
from safelight.graph.cache import Cache, LimitedCache, NoCache
from safelight.graph.execution import Execution
from safelight.graph.instructions import CallReturned, Finish, Instruction, Returned, RunCall, Start
from safelight.graph.validate import validate

STEP = NodeSchema("Step", "Step", "benchmark", (InputSchema("value", "INT"),), (OutputSchema("INT", "INT"),))
SHOW = NodeSchema("Show", "Show", "benchmark", (InputSchema("value", "*"),), (), is_output=True)
CATALOGUE: Catalogue = {"Step": STEP, "Show": SHOW}
RESULT = [Returned((1,))]


def chain(length: int) -> dict[str, Any]:
    prompt: dict[str, Any] = {"0": {"class_type": "Step", "inputs": {"value": 1}}}
    for n in range(1, length - 1):
        prompt[str(n)] = {"class_type": "Step", "inputs": {"value": [str(n - 1), 0]}}
    return prompt | {"out": {"class_type": "Show", "inputs": {"value": [str(length - 2), 0]}}}


def run(prompt: dict[str, Any], cache: Cache) -> int:
    """Execute the prompt to its end and return the number of calls that ran."""
    execution = Execution(prompt, CATALOGUE, targets=["out"], cache=cache, owner=UserId("bench"))
    instruction = execution.feed(Start())
    ran = 0
    while not isinstance(instruction[-1], Finish):
        ran += 1
        instruction = execution.feed(CallReturned(_call_id(instruction[-1]), RESULT))
    return ran


def _call_id(instruction: Instruction) -> str:
    assert isinstance(instruction, RunCall)
    return instruction.call.id


def best_s(work: Callable[[], object], *, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        gc.collect()  # collect the garbage of the previous repeat before the clock starts
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def measure(length: int, *, repeats: int) -> dict[str, float]:
    """Microseconds per call."""
    prompt = chain(length)
    cache = LimitedCache()
    assert run(prompt, cache) == length
    assert run(prompt, cache) == 0

    def first() -> None:
        assert run(prompt, LimitedCache()) == length

    def uncached() -> None:
        assert run(prompt, NoCache()) == length

    seconds = {
        "validate": best_s(lambda: validate(prompt, CATALOGUE), repeats=repeats),
        "first_run": best_s(first, repeats=repeats),
        "without_cache": best_s(uncached, repeats=repeats),
        "cached_rerun": best_s(lambda: run(prompt, cache), repeats=repeats),
    }
    return {name: round(value / length * 1e6, 2) for name, value in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--gc", action="store_true", help="leave the garbage collector on")
    arguments = parser.parse_args()
    if not arguments.gc:
        gc.disable()
    short = measure(arguments.calls, repeats=arguments.repeats)
    long = measure(arguments.calls * 10, repeats=arguments.repeats)
    result = {
        "calls": arguments.calls,
        "us_per_call": short,
        "us_per_call_10x": long,
        "growth": {name: round(long[name] / short[name], 2) for name in short},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
