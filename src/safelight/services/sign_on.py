"""Signing in at an identity provider by OpenID Connect: the authorization code flow with PKCE.

The browser is sent to the provider, and comes back with a code. The server exchanges the code, with the secret that
only this browser's sign-on has, for an ID token, verifies it, and finds or creates its user. What belongs to a sign-on
(``state``, ``nonce``, PKCE's verifier) is in a short-lived cookie of the browser, so that any server can finish it.
The requests are built, and the ID token's claims are checked, by Authlib; signatures are checked as those of all tokens
(``services/identity.py``).
"""

import asyncio
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError
from jwt import get_unverified_header

from safelight.core.clock import Clock
from safelight.core.group_rules import GroupRules
from safelight.core.user import Account, Identity, Principal
from safelight.db import account as accounts
from safelight.db import credential as credentials
from safelight.db.transaction import Transaction
from safelight.services import account_revision, audit
from safelight.services import user as users
from safelight.services.identity import LEEWAY_S, TokenVerifier
from safelight.services.provider_requests import ProviderFailed, get_json, post_form

KEEP_S = 3600.0
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class SignOnFailed(Exception):
    """``code``: ``expired`` (start again), ``refused`` (by the provider), ``invalid`` (its answer), ``group`` (the user
    is in no allowed group), ``unreachable``, ``disabled``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one sign-on has to remember until the browser returns."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Proven:
    """Whom the provider has signed in."""

    identity: Identity
    groups: frozenset[str]
    id_token: str


class SignOn:
    """Mutable: the provider's published configuration, and the verifier of its tokens."""

    def __init__(
        self,
        clock: Clock,
        *,
        issuer: str,
        client_id: str,
        client_secret: str,
        scope: str,
        groups_claim: str,
        rules: GroupRules,
    ) -> None:
        self.rules = rules
        self._clock = clock
        self._issuer = issuer
        self._client = (client_id, client_secret)
        self._scope = scope
        self._groups_claim = groups_claim
        self._configuration: Mapping[str, Any] = {}
        self._read_at_s = float("-inf")
        self._verifier: TokenVerifier | None = None
        self._reading = asyncio.Lock()

    async def begin(self, *, redirect_uri: str) -> tuple[str, Attempt]:
        """The provider's address for a new sign-on. Raises :class:`SignOnFailed`."""
        configuration, _ = await self._provider()
        attempt = Attempt(state=generate_token(32), nonce=generate_token(32), verifier=generate_token(64))
        address = prepare_grant_uri(
            configuration["authorization_endpoint"],
            self._client[0],
            "code",
            redirect_uri=redirect_uri,
            scope=self._scope,
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )
        return address, attempt

    async def finish(self, attempt: Attempt | None, *, answer: Mapping[str, str], redirect_uri: str) -> Proven:
        """Whom the answer, the query of the address to which the browser returned, proves. Raises
        :class:`SignOnFailed`."""
        if attempt is None or not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
            raise SignOnFailed("expired", "this sign-on is over, or belongs to another browser; start again")
        if "error" in answer or "code" not in answer:
            raise SignOnFailed("refused", f"the provider refused: {answer.get('error', 'no code')[:100]!r}")
        if answer.get("iss", self._issuer) != self._issuer:  # RFC 9207
            raise SignOnFailed("invalid", "the answer is of another provider")
        configuration, verifier = await self._provider()
        tokens = await self._exchange(configuration, attempt, code=answer["code"], redirect_uri=redirect_uri)
        id_token, access_token = str(tokens.get("id_token", "")), str(tokens.get("access_token", ""))
        claims = await verifier.claims(id_token, required=("exp", "iat", "iss", "aud", "sub"))
        if claims is None:
            raise SignOnFailed("invalid", "the provider's ID token is not valid")
        expected = {"nonce": attempt.nonce, "client_id": self._client[0], "access_token": access_token}
        try:
            CodeIDToken(claims, get_unverified_header(id_token), params=expected).validate(leeway=LEEWAY_S)
        except JoseError as error:
            raise SignOnFailed("invalid", f"the provider's ID token is not for this sign-on: {error}") from None
        if self._groups_claim not in claims and "userinfo_endpoint" in configuration and access_token:
            claims = await self._with_user_info(claims, str(configuration["userinfo_endpoint"]), access_token)
        return Proven(self._identity(claims), self._groups(claims), id_token)

    async def sign_out_address(self, id_token: str, *, return_to: str) -> str | None:
        """Where the browser signs out at the provider as well; ``None`` if the provider has no such page."""
        try:
            configuration, _ = await self._provider()
        except SignOnFailed:
            return None
        if not isinstance(endpoint := configuration.get("end_session_endpoint"), str):
            return None
        query = {"id_token_hint": id_token, "client_id": self._client[0], "post_logout_redirect_uri": return_to}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def signed_out_there(self, logout_token: str) -> Identity | None:
        """The user whom a logout token of the provider signs out (OpenID Connect Back-Channel Logout 1.0); ``None`` for
        one that is not valid."""
        try:
            _, verifier = await self._provider()
        except SignOnFailed:
            return None
        claims = await verifier.claims(logout_token, required=("exp", "iat", "iss", "aud", "sub", "jti"))
        events = claims.get("events") if claims else None
        if claims is None or not isinstance(events, dict) or _LOGOUT_EVENT not in events or "nonce" in claims:
            return None
        return Identity(issuer=self._issuer, subject=str(claims["sub"]))

    async def _provider(self) -> tuple[Mapping[str, Any], TokenVerifier]:
        async with self._reading:
            is_old = self._clock.monotonic_s() - self._read_at_s > KEEP_S
            if is_old or self._verifier is None:
                await self._read_configuration()
        assert self._verifier is not None
        return self._configuration, self._verifier

    async def _read_configuration(self) -> None:
        url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            found = await asyncio.to_thread(get_json, url)
        except ProviderFailed as error:
            if self._verifier is not None:
                return  # it may be down for a while; what is known stays
            raise SignOnFailed("unreachable", str(error)) from None
        needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        if found.get("issuer") != self._issuer or not all(isinstance(found.get(name), str) for name in needed):
            raise SignOnFailed("unreachable", f"{url} is not the configuration of {self._issuer!r}")
        if self._verifier is None or found["jwks_uri"] != self._configuration.get("jwks_uri"):
            self._verifier = TokenVerifier(
                self._clock,
                issuer=self._issuer,
                audience=self._client[0],
                jwks_url=str(found["jwks_uri"]),
                may_omit_key_id=True,
            )
        self._configuration, self._read_at_s = found, self._clock.monotonic_s()

    async def _exchange(
        self, configuration: Mapping[str, Any], attempt: Attempt, *, code: str, redirect_uri: str
    ) -> Mapping[str, Any]:
        body = prepare_token_request(
            "authorization_code",
            redirect_uri=redirect_uri,
            code=code,
            code_verifier=attempt.verifier,
            client_id=self._client[0],
        )
        try:
            return await asyncio.to_thread(post_form, str(configuration["token_endpoint"]), body, client=self._client)
        except ProviderFailed as error:
            raise SignOnFailed("refused", str(error)) from None

    async def _with_user_info(self, claims: dict[str, Any], url: str, access_token: str) -> dict[str, Any]:
        """The claims with those of the user's page at the provider, which must be of the same user (OpenID Connect Core
        1.0, 5.3.2)."""
        try:
            more = await asyncio.to_thread(get_json, url, bearer=access_token)
        except ProviderFailed:
            return claims
        return {**more, **claims} if more.get("sub") == claims["sub"] else claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise SignOnFailed("invalid", "the provider's ID token has no usable subject")
        verified = claims.get("email") if claims.get("email_verified") is True else None
        name = next((n for n in (claims.get("preferred_username"), verified) if isinstance(n, str)), "")
        return Identity(issuer=self._issuer, subject=subject, name=name)

    def _groups(self, claims: Mapping[str, Any]) -> frozenset[str]:
        value = claims.get(self._groups_claim)
        listed = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        return frozenset(group.lstrip("/") for group in listed if isinstance(group, str))  # Keycloak sends full paths


def admit(tx: Transaction, proven: Proven, *, rules: GroupRules, now: datetime) -> Account:
    """The user's account, created at the first sign-on, with the rights and limits of the groups. Raises
    :class:`SignOnFailed`; call :func:`end_all` then, as a user who may not sign in keeps nothing from before."""
    account = accounts.find_by_identity(tx.conn, proven.identity)
    if not rules.may_sign_in(proven.groups):
        raise SignOnFailed("group", "you are in none of the groups that may use this server")
    if account is None:
        users.authenticate_or_create(tx, proven.identity, now=now)
        account = accounts.find_by_identity(tx.conn, proven.identity)
        assert account is not None
        audit.write(tx, account.principal, action="user.first_sign_on", subject=account.name, now=now)
    if account.is_disabled:
        raise SignOnFailed("disabled", "this user is disabled on this server")
    return _with_rules(tx, account, proven.groups, rules=rules, now=now)


def end_all(tx: Transaction, identity: Identity, *, now: datetime) -> None:
    """End the sessions, and delete the keys, of a user who may not use the server any more; their sockets close."""
    account = accounts.find_by_identity(tx.conn, identity)
    if account is not None:
        credentials.drop_sessions_of(tx.conn, account.user_id)
        credentials.drop_keys_of(tx.conn, account.user_id)
        account_revision.increment(tx)
        audit.write(tx, account.principal, action="user.left_groups", subject=account.name, now=now)


def end_sessions(tx: Transaction, identity: Identity, *, now: datetime) -> None:
    """The user has signed out at the provider."""
    account = accounts.find_by_identity(tx.conn, identity)
    if account is not None:
        credentials.drop_sessions_of(tx.conn, account.user_id)
        account_revision.increment(tx)
        audit.write(tx, account.principal, action="session.end_at_provider", subject=account.name, now=now)


def _with_rules(
    tx: Transaction, account: Account, groups: Collection[str], *, rules: GroupRules, now: datetime
) -> Account:
    is_admin = rules.is_admin(groups, before=account.is_admin)
    quota = rules.quota(groups, before=account.quota)
    if is_admin != account.is_admin:
        users.set_admin(tx, name=account.name, is_admin=is_admin)
        credentials.drop_sessions_of(tx.conn, account.user_id)  # those of other browsers had the old rights
        details = {"is_admin": is_admin}
        audit.write(tx, Principal(account.user_id), action="user.rights_by_group", details=details, now=now)
    if quota != account.quota:
        users.set_quota(tx, name=account.name, quota=quota)
    return users.get_by_id(tx, account.user_id)
