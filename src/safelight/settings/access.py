"""Who may use the server."""

from dataclasses import dataclass, field
from typing import Annotated

from safelight.core.group_rules import GroupRules, read_quota
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
    jwt_header: Annotated[
        str,
        doc(
            "The header in which a sign-in proxy sends such a token with every request, for example "
            "`Cf-Access-Jwt-Assertion`: [sign-on.md](sign-on.md)."
        ),
    ] = ""
    oidc_issuer: Annotated[
        str, doc("Sign in at this OpenID Connect provider, for example a Keycloak realm: [sign-on.md](sign-on.md).")
    ] = ""
    oidc_client_id: Annotated[str, doc("The client that is registered at the provider for this server.")] = ""
    oidc_client_secret: Annotated[str, doc("Its secret; empty for a public client.")] = field(default="", repr=False)
    oidc_name: Annotated[str, doc("The provider's name on the sign-in page.")] = "your organisation's account"
    oidc_scope: Annotated[str, doc("What is requested of the provider.")] = "openid profile email"
    oidc_groups_claim: Annotated[str, doc("The claim with the names of a user's groups.")] = "groups"
    oidc_allowed_groups: Annotated[
        tuple[str, ...],
        doc("Only members of one of these groups may sign in.", default="everybody whom the provider knows"),
    ] = ()
    oidc_admin_groups: Annotated[
        tuple[str, ...],
        doc(
            "Members of these groups are administrators, and nobody else who signs in there.",
            default="the provider gives and takes no rights",
        ),
    ] = ()
    oidc_quotas: Annotated[
        tuple[str, ...],
        doc(
            "The limits of a group's members, such as `students running_jobs=1 device_s=7200`; the first group counts."
        ),
    ] = ()

    @property
    def requires_accounts(self) -> bool:
        """Also before the first account exists."""
        return self.accounts or bool(self.oidc_issuer)

    @property
    def group_rules(self) -> GroupRules:
        """Raises :class:`~safelight.core.errors.Invalid`."""
        return GroupRules(
            allowed=frozenset(self.oidc_allowed_groups),
            admins=frozenset(self.oidc_admin_groups),
            quotas=tuple(read_quota(text) for text in self.oidc_quotas),
        )
