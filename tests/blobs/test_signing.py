"""Presigned URLs, compared with the worked example of Amazon's reference."""

from datetime import UTC, datetime

from safelight.blobs.signing import Signer

_AT = datetime(2013, 5, 24, tzinfo=UTC)


def test_the_signature_equals_the_references_example() -> None:
    """The GET example of "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)"."""
    signer = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
    url = signer.sign("GET", "https://examplebucket.s3.amazonaws.com/test.txt", at=_AT, expires_s=86400)
    assert url.endswith("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


def test_secrets_are_neither_in_repr_nor_in_urls() -> None:
    signer = Signer("key", "the secret", "us-east-1", "the token")
    assert "the secret" not in repr(signer) + signer.sign("GET", "http://host/a", at=_AT, expires_s=60)
    assert "the token" not in repr(signer)
