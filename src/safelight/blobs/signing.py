"""Presigned S3 URLs: each permits one operation on one object for a limited time, without credentials.

Signature version 4 in the query, as in "Authenticating Requests: Using Query Parameters" of Amazon's S3 API reference.
Signed parameters cannot be changed by a client, so they can also set the headers of the response.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, urlsplit

LONGEST_S = 7 * 24 * 3600
"""The longest validity that S3 accepts."""


@dataclass(frozen=True, slots=True)
class Signer:
    access_key: str
    secret_key: str = field(repr=False)
    region: str
    session_token: str = field(default="", repr=False)

    def sign(
        self, method: str, url: str, *, at: datetime, expires_s: int, parameters: Mapping[str, str] | None = None
    ) -> str:
        """``url`` with a signature that is valid for ``expires_s`` from ``at`` (UTC). ``url``: quoted, no query."""
        target = urlsplit(url)
        stamp = f"{at:%Y%m%dT%H%M%SZ}"
        scope = f"{at:%Y%m%d}/{self.region}/s3/aws4_request"
        signed = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.access_key}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(min(expires_s, LONGEST_S)),
            "X-Amz-SignedHeaders": "host",
            **({"X-Amz-Security-Token": self.session_token} if self.session_token else {}),
            **(parameters or {}),
        }
        query = "&".join(f"{name}={value}" for name, value in sorted((_quote(k), _quote(v)) for k, v in signed.items()))
        request = f"{method}\n{target.path}\n{query}\nhost:{target.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self.secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return f"{url}?{query}&X-Amz-Signature={hmac.digest(key, text.encode(), 'sha256').hex()}"


def _quote(text: str) -> str:
    return quote(text, safe="-_.~")
