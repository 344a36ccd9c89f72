"""What the caches keep, and what they evict first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight.core.event import NodeCall
from safelight.graph.cache import Cache, Entry, LimitedCache, NoCache
from safelight.graph.signature import Signature

CALL = NodeCall("1", "1", None, "1")


def key(name: object) -> Signature:
    return Signature(str(name).encode())


def entry(seconds: float = 0.0, size: int = 0) -> Entry:
    return Entry(CALL, (), size=size, seconds=seconds)


@pytest.mark.parametrize("cache", [LimitedCache(), LimitedCache(max_entries=2), LimitedCache(max_bytes=10)])
def test_get_returns_what_was_put_last(cache: LimitedCache) -> None:
    first, second = entry(1), entry(2)
    cache.put(key("a"), first)
    assert cache.get(key("a")) is first
    cache.put(key("a"), second)
    assert cache.get(key("a")) is second
    assert cache.get(key("b")) is None
    assert len(cache) == 1
    cache.clear()
    assert cache.get(key("a")) is None
    assert (len(cache), cache.size) == (0, 0)


def test_no_cache_keeps_nothing() -> None:
    cache: Cache = NoCache()
    cache.put(key("a"), entry())
    assert cache.get(key("a")) is None
    cache.clear()


def test_among_equal_results_the_least_recently_used_is_evicted() -> None:
    cache = LimitedCache(max_entries=3)
    for name in "abc":
        cache.put(key(name), entry(1.0))
    cache.get(key("a"))
    cache.put(key("d"), entry(1.0))
    assert [name for name in "abcd" if cache.get(key(name))] == ["a", "c", "d"]


@pytest.mark.parametrize("cache", [LimitedCache(max_entries=100), LimitedCache(max_bytes=1_000_000)])
def test_a_model_outlives_the_small_results_of_other_prompts(cache: LimitedCache) -> None:
    model = entry(10.0, 900_000)
    cache.put(key("model"), model)
    for n in range(5_000):
        cache.put(key(n), entry(0.01, 1_000))
    assert cache.get(key("model")) is model
    assert cache.get(key(0)) is None
    assert cache.get(key(4_999)) is not None


def test_a_model_is_evicted_in_the_end() -> None:
    cache = LimitedCache(max_entries=10)
    cache.put(key("model"), entry(10.0))
    for n in range(2_000):
        cache.put(key(n), entry(0.1))
    assert cache.get(key("model")) is None
    assert len(cache) == 10


def test_an_entry_larger_than_the_cache_is_not_kept_and_evicts_nothing() -> None:
    cache = LimitedCache(max_bytes=100)
    cache.put(key("a"), entry(1.0, 60))
    cache.put(key("huge"), entry(99.0, 101))
    assert cache.get(key("huge")) is None
    assert cache.get(key("a")) is not None


OPERATIONS = st.lists(st.tuples(st.integers(0, 12), st.floats(0, 5), st.integers(0, 40), st.booleans()), max_size=200)


@given(OPERATIONS)
def test_limits_hold_and_sizes_add_up(operations: list[tuple[int, float, int, bool]]) -> None:
    cache = LimitedCache(max_entries=5, max_bytes=100)
    put: dict[Signature, Entry] = {}
    for name, seconds, size, is_put in operations:
        if is_put:
            put[key(name)] = entry(seconds, size)
            cache.put(key(name), put[key(name)])
        found = cache.get(key(name))
        assert found is None or found is put[key(name)]
        kept = [found for k in put if (found := cache.get(k)) is not None]
        assert len(kept) == len(cache) <= 5
        assert sum(e.size for e in kept) == cache.size <= 100
