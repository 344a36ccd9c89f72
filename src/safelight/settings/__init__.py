"""The server's settings: declared in groups, read from their sources, checked, and documented from the declarations.

Below this package, settings are arguments; nothing else reads the environment.

* ``access``: accounts and identity providers.
* ``checks``: what must hold between several settings.
* ``confinement``: what workers may read, write and reach.
* ``declare``: how a setting is declared.
* ``engines``: which engines run jobs.
* ``environment``: what the server passes on of its own environment.
* ``housekeeping``: what the server removes by itself.
* ``invalid_setting``: the error of an unusable setting.
* ``extra_model_paths``: reading ComfyUI's file of model folders.
* ``groups``: all settings, in their groups.
* ``limits``: how much a request may ask for, and how long it may take.
* ``load``: defaults, TOML, environment and command line, put together.
* ``machine_devices``: the compute devices of this machine.
* ``models``: where model files are found.
* ``packs``: node packs and what they may do.
* ``reference``: the tables of ``docs/operate/settings.md``.
* ``scheduling``: which worker runs which job, and for how long.
* ``server``: where the server listens, and which pages and proxies it trusts.
* ``storage``: where rows and bytes are stored.
* ``telemetry``: logs, metrics and traces.
* ``worker_account``: the system account that workers run as.
* ``workers``: how many workers there are, where they run and when they end.
"""

from safelight.settings.checks import check_accounts
from safelight.settings.environment import library_paths, process_environment
from safelight.settings.groups import BUNDLED_MODELS, GROUP_OF, Settings
from safelight.settings.invalid_setting import InvalidSetting
from safelight.settings.load import load
from safelight.settings.machine_devices import find_devices
from safelight.settings.server import Network
from safelight.settings.worker_account import default_account, worker_account

__all__ = [
    "BUNDLED_MODELS",
    "GROUP_OF",
    "InvalidSetting",
    "Network",
    "Settings",
    "check_accounts",
    "default_account",
    "find_devices",
    "library_paths",
    "load",
    "process_environment",
    "worker_account",
]
