"""Who may use the server."""

from dataclasses import dataclass
from typing import Annotated

from safelight.settings.declare import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Accounts"""

    accounts: Annotated[
        bool,
        doc(
            "Require an account from the first start, which prints a link to create the first one. A server that has "
            "accounts requires them without this setting."
        ),
    ] = False
    insecure: Annotated[
        bool, doc("Listen beyond loopback without accounts: everybody who reaches the port can do everything.")
    ] = False
    jwt_issuer: Annotated[
        str, doc("Accept bearer tokens of this identity provider (their `iss`): [accounts.md](accounts.md).")
    ] = ""
    jwt_audience: Annotated[str, doc("The `aud` that these tokens must contain.")] = ""
    jwt_jwks_url: Annotated[str, doc("URL at which the identity provider publishes its keys.")] = ""
    jwt_create_users: Annotated[
        bool,
        doc(
            "Create an account for everybody who has a valid token. Otherwise only users who were given a subject can "
            "sign in."
        ),
    ] = False
