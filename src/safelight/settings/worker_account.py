"""The system account that workers run as, which only this machine can tell."""

import os

from safelight.sandbox.account import find_account, why_unusable
from safelight.sandbox.rules import Account
from safelight.settings.groups import Settings
from safelight.settings.invalid_setting import InvalidSetting

DEFAULT_ACCOUNTS = ("safelight-worker", "nobody")
"""The accounts that workers run as by default if the server is root: the first that can start one."""


def worker_account(settings: Settings) -> Account | None:
    """The account of the workers; ``None`` if it is this process's own.

    Raises :class:`InvalidSetting` for an account that workers cannot have.
    """
    name = settings.confinement.worker_user
    if not name:
        return default_account(settings)[0]
    try:
        account = find_account(name)
    except LookupError as error:
        raise InvalidSetting(f"worker_user: {error}") from None
    if os.geteuid() not in (0, account.uid):
        raise InvalidSetting(f"worker_user is {name!r}; only root can run workers as another user")
    return account if account.uid != os.geteuid() else None


def default_account(settings: Settings) -> tuple[Account | None, str]:
    """The account of the workers if the settings name none; else ``None``, with the reason.

    On a cluster, the operator has to name an account that its machines have.
    """
    if os.geteuid() != 0 or settings.workers.backend != "local":
        return None, ""
    reasons = []
    for name in DEFAULT_ACCOUNTS:
        try:
            account = find_account(name)
        except LookupError:
            continue
        refusal = why_unusable(
            account,
            reads=[
                path
                for path in (*settings.model_roots, *settings.packs.custom_nodes, settings.packs.libraries)
                if path.exists()
            ],
            writes=[path for path in settings.confinement.worker_writable if path.exists()],
            data=settings.server.data_dir,
        )
        if refusal is None:
            return account, ""
        reasons.append(f"{name}: {refusal}")
    return None, "; ".join(reasons) or f"the system has no account {' or '.join(map(repr, DEFAULT_ACCOUNTS))}"
