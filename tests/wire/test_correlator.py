"""Answers find the requests that wait for them."""

import threading

import pytest

from safelight.wire.correlator import Correlator


def test_an_answer_reaches_its_request_and_no_other() -> None:
    requests: Correlator[str] = Correlator(first_id=7)
    with requests.request() as first, requests.request() as second:
        assert (first.id, second.id) == (7, 8)
        requests.answer(second.id, "two")
        requests.answer(99, "nobody waits for this")
        requests.answer(second.id, "too late")
        assert second.answer.result() == "two"
        assert requests.pending() == [first]
    assert requests.pending() == []


def test_a_failure_reaches_the_requests_of_its_scope() -> None:
    requests: Correlator[str] = Correlator()
    with requests.request("a") as lost, requests.request("b") as other:
        requests.fail(KeyError, scope="a")
        with pytest.raises(KeyError):
            lost.answer.result()
        assert not other.answer.done()


def test_a_thread_waits_for_an_answer() -> None:
    requests: Correlator[int] = Correlator()
    with requests.request() as request:
        threading.Timer(0.01, requests.answer, (request.id, 5)).start()
        assert request.answer.result(timeout=60) == 5
