"""Bearer tokens of an identity provider, against a JWKS server on this machine."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from tests.api.accounts import PASSWORD, add_user
from tests.api.conftest import Server

from safelight.core.clock import SystemClock
from safelight.core.user import Identity
from safelight.services import user
from safelight.settings import Settings

pytestmark = pytest.mark.anyio

ISSUER, AUDIENCE = "https://issuer.example/p", "p"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Issuer:
    """Mutable: the published keys, and how often they were read."""

    url: str = ""
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    reads: int = 0

    def publish(self, key_id: str, key: Any) -> None:
        kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
        published = json.loads(kind.to_jwk(key.public_key()))
        self.keys[key_id] = {
            **published,
            "kid": key_id,
            "use": "sig",
            "alg": "RS256" if kind is RSAAlgorithm else "ES256",
        }


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    found = Issuer()
    found.publish("rsa", RSA)
    found.publish("ec", EC)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.reads += 1
            body = json.dumps({"keys": [*found.keys.values(), {"kty": "odd"}, 7]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_address[1]}/jwks"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


@pytest.fixture
def creates_users() -> bool:
    return False


@pytest.fixture
def settings(tmp_path: Path, issuer: Issuer, creates_users: bool) -> Settings:
    return Settings.of(
        data_dir=tmp_path,
        accounts=True,
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        jwt_jwks_url=issuer.url,
        jwt_create_users=creates_users,
    )


def token(key: Any = RSA, *, key_id: str | None = "rsa", algorithm: str = "RS256", **changes: Any) -> str:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "s1", "exp": time.time() + 600, "iat": time.time(), **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    headers = {"kid": key_id} if key_id else {}
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def add_anna(server: Server) -> str:
    account = await add_user(server, "anna")
    identity = Identity(issuer=ISSUER, subject="s1")
    await server.db.write(lambda tx: user.set_identity(tx, name="anna", identity=identity))
    return account.user_id


async def test_a_token_comes_in_for_its_user(server: Server, issuer: Issuer) -> None:
    anna = await add_anna(server)
    for text in (token(), token(EC, key_id="ec", algorithm="ES256")):
        assert (await server.client.get("/api/user", headers=bearer(text))).json["id"] == anna
    socket = await server.client.connect(f"/ws?token={token()}")
    assert socket.status == 101
    await socket.close()
    assert issuer.reads == 1


WRONG = {
    "another issuer": lambda: token(iss="https://evil.example"),
    "another audience": lambda: token(aud="q"),
    "expired": lambda: token(exp=time.time() - 60),
    "not yet": lambda: token(nbf=time.time() + 600),
    "without an end": lambda: token(exp=None),
    "without a subject": lambda: token(sub=None),
    "nobody's subject": lambda: token(sub="s2"),
    "a stranger's key": lambda: token(STRANGER),
    "an unknown key": lambda: token(STRANGER, key_id="new"),
    "no key id": lambda: token(key_id=None),
    "no signature": lambda: token("", algorithm="none"),
    "a secret instead of a key": lambda: token("x" * 32, algorithm="HS256"),
    "the algorithm of another key": lambda: token(EC, algorithm="ES256"),
    "another algorithm of the key": lambda: token(RSA, algorithm="PS256"),
    "an end beyond all time": lambda: token(exp=10**30),
    "no token": lambda: "a.b.c",
    "nothing": lambda: "",
    "a long one": lambda: token(more="x" * 20_000),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_wrong_tokens(server: Server, wrong: str) -> None:
    await add_anna(server)
    assert (await server.client.get("/api/user", headers=bearer(WRONG[wrong]()))).status == 401


async def test_new_keys_are_found_but_strangers_cannot_make_us_ask(server: Server, issuer: Issuer) -> None:
    await add_anna(server)
    for number in range(20):
        unknown = token(STRANGER, key_id=f"k{number}")
        assert (await server.client.get("/api/user", headers=bearer(unknown))).status == 401
    assert issuer.reads == 1


async def test_a_disabled_user_stays_out(server: Server) -> None:
    await add_anna(server)
    headers = bearer(token())
    assert (await server.client.get("/api/user", headers=headers)).status == 200
    await server.db.write(lambda tx: user.disable(tx, name="anna", disabled=True, now=SystemClock().now()))
    assert (await server.client.get("/api/user", headers=headers)).status == 401


async def test_a_token_begins_a_session(server: Server) -> None:
    anna = await add_anna(server)
    answer = await server.client.request("POST", "/api/auth/session", headers=bearer(token()))
    assert (answer.status, answer.json["user"]["id"]) == (201, anna)
    cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert (await server.client.get("/api/user", headers=cookie)).json["id"] == anna
    again = await server.client.request("POST", "/api/auth/session", headers=cookie)
    assert again.status == 400  # a session cannot be used to start a longer one
    forged = await server.client.request("POST", "/api/auth/session", headers=bearer(token(STRANGER)))
    assert forged.status in (400, 401)


@pytest.mark.parametrize("creates_users", [True])
async def test_users_are_made_at_first_sight_where_that_is_allowed(server: Server) -> None:
    await add_user(server, "anna@example.com", password=True)

    async def look(**claims: Any) -> str:
        answer = await server.client.get("/api/user", headers=bearer(token(**claims)))
        assert answer.status == 200
        return str(answer.json["id"])

    first = await look(sub="n1", email="New@example.com", email_verified=True)
    assert await look(sub="n1") == first
    assert await look(sub="n2", email="anna@example.com", email_verified=True) != first
    await look(sub="n3", email="claimed@example.com", email_verified=False)
    names = [account.name for account in await server.db.read(user.list)]
    assert names[:2] == ["anna@example.com", "new@example.com"]
    assert all(name.startswith("user-") for name in names[2:])
    assert len(names) == 4
    body = {"name": "new@example.com", "password": PASSWORD}
    assert (await server.client.post("/api/auth/session", body)).status == 401  # it has no password


async def test_an_issuer_that_is_away(server: Server, issuer: Issuer) -> None:
    await add_anna(server)
    issuer.keys = {"rsa": {"kty": "RSA", "kid": "rsa"}}
    assert (await server.client.get("/api/user", headers=bearer(token()))).status == 401
