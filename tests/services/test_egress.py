"""Which addresses are public."""

from ipaddress import ip_address

import pytest

from safelight.core.errors import Invalid
from safelight.services.egress import check_url, is_public


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1", "::1", "fe80::1",
     "fd00::1", "::ffff:10.0.0.1", "2002:0a00:0001::", "64:ff9b::10.0.0.1", "255.255.255.255", "ff02::1",
     "64:ff9b:1::1.1.1.1", "64:ff9b:1:2::1",
     "fec0::1", "::10.0.0.1", "::1.1.1.1"],
)  # fmt: skip
def test_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"])
def test_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_a_url_has_a_host() -> None:
    assert check_url("https://example.com:8443/a?b") == "example.com"
    for url in ("", "example.com", "http://[", "http://a:x/", "javascript:alert(1)", "http://a/\n"):
        with pytest.raises(Invalid):
            check_url(url)
