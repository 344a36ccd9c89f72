"""Identity providers for the tests: a real one in a process of its own, and one whose tokens a test makes."""

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
START_LIMIT_S = 30


@contextmanager
def real_provider() -> Iterator[str]:
    """Its issuer. It signs in everybody, with the claims that :func:`set_claims` stored."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        issuer = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{issuer}/.well-known/openid-configuration", timeout=5):
                    break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        yield issuer
    finally:
        process.terminate()
        process.wait()


def set_claims(issuer: str, subject: str, **claims: Any) -> None:
    url = f"{issuer}/users/{urllib.parse.quote(subject)}"
    request = urllib.request.Request(
        url, json.dumps(claims).encode(), {"content-type": "application/json"}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=10):
        pass


def agree(address: str, subject: str) -> str:
    """What a person does on the provider's page: sign in. The address to which the browser is sent back."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args: Any) -> None:
            return None

    opener = urllib.request.build_opener(Stay)
    try:
        with opener.open(address, urllib.parse.urlencode({"sub": subject}).encode(), timeout=10) as answer:
            raise AssertionError(f"no redirect: {answer.status}")
    except urllib.error.HTTPError as answer:
        return str(answer.headers["location"])


@dataclass
class ScriptedProvider:
    """Mutable: ``claims`` and ``headers``: of the next ID token, over the right ones. ``key``: it is signed with;
    ``None``: not signed. ``asked``: the bodies of requests to the token endpoint."""

    url: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    key: Any = KEY
    nonce: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)

    def token(self, **more: Any) -> str:
        now = int(time.time())
        right = {"iss": self.url, "aud": "safelight", "sub": "anna-1", "iat": now, "exp": now + 300}
        claims = {**right, "nonce": self.nonce, **self.claims, **more}
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": "k", **self.headers}
        return jwt.encode(claims, self.key, algorithm="RS256" if self.key is not None else "none", headers=headers)


@contextmanager
def scripted_provider() -> Iterator[ScriptedProvider]:
    provider = ScriptedProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith("/openid-configuration"):
                self._answer(
                    {
                        "issuer": provider.url,
                        "authorization_endpoint": f"{provider.url}/authorize",
                        "token_endpoint": f"{provider.url}/token",
                        "jwks_uri": f"{provider.url}/keys",
                    }
                )
            else:
                key = json.loads(RSAAlgorithm.to_jwk(KEY.public_key()))
                self._answer({"keys": [{**key, "kid": "k", "alg": "RS256"}]})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            provider.asked.append(dict(urllib.parse.parse_qsl(body)))
            self._answer({"id_token": provider.token(), "access_token": "a", "token_type": "Bearer"})

        def _answer(self, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
