"""The process ends when the server is silent."""

from safelight.runtime.lease_watchdog import LeaseWatchdog


class Case:
    def __init__(self, *, unread: bool = False) -> None:
        self.now = 0.0
        self.ends: list[str] = []
        self.watchdog = LeaseWatchdog(10.0, has_unread=lambda: unread, end=self.ends.append, clock=lambda: self.now)

    def check_at(self, now: float) -> list[str]:
        self.now = now
        self.watchdog.check()
        return self.ends


def test_silence_for_the_lease_ends_the_process() -> None:
    case = Case()
    assert case.check_at(9.9) == []
    assert case.check_at(10.1) == ["the server has been silent for 10.1 s"]


def test_every_message_renews_the_lease() -> None:
    case = Case()
    case.now = 9.0
    case.watchdog.renew()
    assert case.check_at(18.9) == []
    assert len(case.check_at(19.1)) == 1


def test_unread_bytes_renew_the_lease() -> None:
    assert Case(unread=True).check_at(100.0) == []
