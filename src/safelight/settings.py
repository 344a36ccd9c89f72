"""The server's settings: defaults, then a TOML file, then ``SAFELIGHT_*`` variables, then the command line.

The only module that reads the environment; below it, settings are arguments.
"""

import os
import socket
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from safelight.blobs.stores import BlobStoreConfig
from safelight.core.errors import Invalid, SafelightError
from safelight.core.model_folders import ExtraPlace
from safelight.core.pool import Pool, SizeClass, read_classes, read_labels, read_limits
from safelight.sandbox.account import find_account, why_unusable
from safelight.sandbox.rules import Account

Network = IPv4Network | IPv6Network


class InvalidSetting(SafelightError):
    """A setting that cannot be used; the message names it, its value and what would be right."""

    code = "invalid_setting"


BUNDLED_MODELS = Path(__file__).with_name("bundled") / "models"
"""The root of the models that are part of the package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, with its default. In TOML by these names; in the environment as ``SAFELIGHT_<NAME>``.

    Lists are TOML arrays, and in the environment separated like ``PATH`` or by commas (addresses by commas alone).
    Durations in seconds, sizes in bytes.
    """

    host: str = "127.0.0.1"
    port: int = 8188
    data_dir: Path = Path("data")
    """Everything that the server writes: the database, blobs, staging folders and caches."""
    models_dir: tuple[Path, ...] = ()
    """Roots of model folders (``checkpoints/``, ``loras/`` ...); the first wins. Default: ``<data_dir>/models``. The
    models that come with the package are behind them."""
    extra_model_paths: str = ""
    """A file like ComfyUI's ``extra_model_paths.yaml``: folders of models that lie elsewhere."""
    model_copies: str = ""
    """A folder on each worker machine's own disk, into which models are copied when they are first read: where
    ``models_dir`` lies on a network. Default: models are read where they are."""
    model_copies_bytes: int = 200 * 1024**3
    """How much of that disk copies of models may take."""
    custom_nodes: tuple[Path, ...] = ()
    """Folders of node packs, each pack a module or package in it."""
    node_packages: tuple[str, ...] = ("safelight.nodes",)
    """Importable packages of nodes. Empty: only those of ``custom_nodes``."""
    database_url: str = ""
    """``postgresql://user:password@host/name``. Default: SQLite in ``data_dir``."""
    blob_store: str = ""
    """Where bytes are kept: ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix``. Default: files
    in ``data_dir``."""
    blob_endpoint: str = ""
    """The address of a store that is not Amazon's: ``https://s3.example.org``."""
    blob_region: str = ""
    blob_access_key: str = field(default="", repr=False)
    """Of Azure: the account. What is empty is taken from the customary variables (``AWS_ACCESS_KEY_ID`` ...)."""
    blob_secret_key: str = field(default="", repr=False)
    blob_session_token: str = field(default="", repr=False)
    blob_public_endpoint: str = ""
    """The store's address as browsers reach it, where that is another one."""
    blob_redirects: bool = False
    """Send browsers to the store for pictures and films, by addresses that are signed and hold for some minutes."""
    blob_cache_bytes: int = 10 * 1024**3
    """How much of an object store may lie on this machine, for workers to read."""
    replicas: bool = False
    """This server is one of several that share a PostgreSQL database and the bytes: one of them leads and has the
    workers, the others answer clients and stand by."""
    replica_url: str = ""
    """Where the others of ``replicas`` reach this server. Default: its host, or the machine's name, and its port."""
    workers: int = 1
    """Engine processes, one a slot; on this machine, or on the nodes of a Ray cluster."""
    backend: str = "local"
    """Where workers run: ``local``, on this machine; ``ray``, on a Ray cluster (the extra ``ray``)."""
    ray_address: str = "auto"
    """``auto``: the cluster of this machine's own node; ``host:port`` of a head; ``ray://host:port`` of a proxy."""
    ray_namespace: str = "safelight"
    """Where the names of the workers' actors lie in the cluster."""
    ray_scratch: str = ""
    """A folder on each worker machine's own disk for what workers read and write, which the machine carries between
    there and the object store. Default: it lies in ``data_dir``, which all machines must share then."""
    ray_resources: tuple[str, ...] = ()
    """What a worker takes of its node: ``num_gpus=1``, ``num_cpus=4``, ``memory=...`` or a resource of your own.
    Default: a GPU where the cluster has any, else a place as ``safelight worker`` offers it."""
    devices: tuple[str, ...] = ()
    """A device for each worker (``cpu``, ``cuda:0`` ...). Default: what torch offers, in order."""
    pools: tuple[str, ...] = ()
    """Labels of the workers, in order: ``large+fast=2`` gives two workers both; those that are left have none."""
    pool_sizes: tuple[str, ...] = ()
    """``large=17179869184``: jobs that name models of so many bytes and more go to workers with that label."""
    affinity_wait_s: float = 5.0
    """How long others may go first on a worker that holds their models, or a job wait for the one that holds its."""
    cache_bytes: int = 0
    """What a worker may keep of finished calls; 0: a quarter of the machine's memory."""
    rss_limit_bytes: int = 0
    """A worker that holds more than this between two jobs is restarted; 0: never."""
    run_limit_s: float = 0.0
    """How long a job may run on a worker before it is ended as failed; 0: no limit. A pool's limit, and above it a
    user's own, take its place."""
    pool_run_limits: tuple[str, ...] = ()
    """``large=7200``: the run limit of the jobs of a pool, in seconds."""
    silent_node_s: float = 3600.0
    """How long a node may run without reporting progress before its job is ended as failed; 0: no limit."""
    cancel_grace_s: float = 5.0
    """How long a cancelled job may take to stop by itself before its worker process is killed."""
    lease_s: float = 30.0
    """A worker that hears nothing from the server for so long ends itself; its job is tried again."""
    worker_idle_s: float = 0.0
    """A worker without a job for so long ends, and with it what it holds of memory, device and cluster; jobs that wait
    start it again. 0: never."""
    workers_awake: int = 0
    """So many workers stay all the same."""
    worker_user: str = ""
    """The account (name or number) as which workers run, where the server runs as root. Default: ``safelight-worker``
    or ``nobody``, if it can start Python and read what workers read; else root. ``root``: as the server."""
    worker_network: bool = False
    """Let workers reach the network: for node packs that download or call services."""
    worker_writable: tuple[Path, ...] = ()
    """Further folders that workers may write to, beside their own."""
    worker_readable: tuple[Path, ...] = ()
    """Further files and folders that workers may read, beside models, node packs, Python and the system's libraries."""
    worker_home: str = ""
    """A folder that is the home of all workers and stays, for node packs that download into their cache. Default: an
    empty one for each worker process."""
    writable_packs: tuple[str, ...] = ()
    """Node packs, by the name of their folder, that may write to it, their code as well. Others are imported from a
    copy, in which the data files that they change are kept."""
    pack_routes: tuple[str, ...] = ()
    """Who may call the routes of a node pack: ``pack=admin``, ``pack=user`` or ``pack=off``; ``*`` stands for those
    that are not named, which are ``user`` by default."""
    pack_routes_changed_by_users: tuple[str, ...] = ()
    """Node packs whose routes users may call with POST, PUT, PATCH and DELETE, which only administrators may by
    default; ``*``: all."""
    worker_address_space_bytes: int = 0
    """The most address space of a worker, 0 for no limit. CUDA reserves far more than it uses."""
    worker_file_bytes: int = 0
    """The largest file that a worker may write, 0 for no limit."""
    max_body_bytes: int = 32 * 1024 * 1024
    """The largest JSON body."""
    max_upload_bytes: int = 100 * 1024 * 1024
    """The largest file of ``/api/upload/*``."""
    max_image_pixels: int = 64 * 1024 * 1024
    """The largest picture of ``/api/upload/*``, in pixels; the contract's 64 megapixels."""
    max_published_bytes: int = 8 * 1024 * 1024
    """The largest workflow, as JSON, that can be published and read by its share id."""
    max_asset_bytes: int = 100 * 1024 * 1024 * 1024
    """The largest file of ``/api/assets``."""
    download_timeout_s: float = 6 * 3600.0
    """How long fetching a file for a user may take."""
    huggingface_token: str = ""
    """Sent to huggingface.co alone, for gated files."""
    civitai_token: str = ""
    """Sent to civitai.com alone, for files that need an account."""
    slow_headers_s: float = 20.0
    """How long a client may take for the headers of a request."""
    slow_body_s: float = 60.0
    """How long the server waits for a body that comes slower than 8 KiB a second, in all."""
    read_deadline_s: float = 60.0
    """How long the server works on a read, or on the validation of a prompt, before it answers 503."""
    max_graph_nodes: int = 10_000
    max_prompt_names: int = 20_000
    """Different texts of one prompt that may name files."""
    job_status_dialect: str = "contract"
    """``cloud`` answers ``/api/job/{id}/status`` with Comfy Cloud's own words (``success``)."""
    allowed_origins: tuple[str, ...] = ()
    """Origins (``https://app.example.org``) whose pages may call the API with keys, and may show files."""
    accounts: bool = False
    """Let nobody in without an account, from the first start on, which prints a link to make the first one. A server
    that has accounts needs no such word."""
    insecure: bool = False
    """Allow an address beyond loopback although there are no accounts: whoever reaches the port may do everything."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which clients may call the server, beside its addresses and ``public_url``; ``*``: any."""
    public_url: str = ""
    """Where users find the server, when that is a proxy: ``https://pictures.example.org``."""
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses or networks whose ``X-Forwarded-*`` is believed."""
    jwt_issuer: str = ""
    """Accept bearer tokens of this issuer (their ``iss``); "": none."""
    jwt_audience: str = ""
    """What the tokens' ``aud`` must name."""
    jwt_jwks_url: str = ""
    """Where the issuer publishes its keys."""
    jwt_create_users: bool = False
    """Make an account for whomever the issuer vouches for; else only users that were given a subject come in."""
    example_input: bool = True
    """Add ``example.png`` to the inputs of new users."""
    web: bool = True
    """Serve the ComfyUI web UI."""
    log_level: str = "info"

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{(self.data_dir / 'safelight.db').resolve()}"

    @property
    def replica_address(self) -> str:
        if self.replica_url:
            return self.replica_url
        host = socket.gethostname() if self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def blobs(self) -> BlobStoreConfig:
        """Where bytes are kept."""
        return BlobStoreConfig(
            folder=self.data_dir / "blobs",
            url=self.blob_store,
            endpoint=self.blob_endpoint,
            region=self.blob_region,
            access_key=self.blob_access_key,
            secret_key=self.blob_secret_key,
            session_token=self.blob_session_token,
            public_endpoint=self.blob_public_endpoint,
        )

    @property
    def labels(self) -> Sequence[frozenset[Pool]]:
        """Of each worker, in order."""
        return read_labels(self.pools, slots=self.workers)

    @property
    def pool_names(self) -> frozenset[Pool]:
        return frozenset().union(*self.labels)

    @property
    def size_classes(self) -> Sequence[SizeClass]:
        return read_classes(self.pool_sizes, pools=self.pool_names)

    @property
    def run_limits(self) -> Mapping[Pool, float]:
        """Of pools. Raises :class:`Invalid`."""
        return read_limits(self.pool_run_limits, pools=self.pool_names)

    @property
    def ray_amounts(self) -> Mapping[str, float]:
        """Of each resource that a worker takes. Raises :class:`ValueError`."""
        pairs = (text.rpartition("=") for text in self.ray_resources)
        amounts = {name: float(amount) for name, _, amount in pairs}
        if "" in amounts or not all(0 < amount < float("inf") for amount in amounts.values()):
            raise ValueError(self.ray_resources)
        return amounts

    @property
    def pack_rules(self) -> Mapping[str, str]:
        """By pack, ``*`` for the rest: ``admin``, ``user`` or ``off``. Raises :class:`ValueError`."""
        pairs = (text.rpartition("=") for text in self.pack_routes)
        rules = {name: rule for name, _, rule in pairs}
        if "" in rules or not set(rules.values()) <= {"admin", "user", "off"}:
            raise ValueError(self.pack_routes)
        return rules

    @property
    def proxy_networks(self) -> Sequence[Network]:
        return [ip_network(text) for text in self.trusted_proxies]

    @property
    def extra_models(self) -> tuple[ExtraPlace, ...]:
        """Raises :class:`InvalidSetting` for a file that cannot be read."""
        if not self.extra_model_paths:
            return ()
        path = Path(self.extra_model_paths)
        try:
            return read_extra_model_paths(path)
        except OSError as error:
            raise InvalidSetting(f"extra_model_paths {str(path)!r} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise InvalidSetting(f"extra_model_paths {str(path)!r}: {error}") from None

    @property
    def model_roots(self) -> tuple[Path, ...]:
        return (*(self.models_dir or (self.data_dir / "models",)), BUNDLED_MODELS)


def load(
    *, overrides: Mapping[str, Any], environment: Mapping[str, str] | None = None, config: Path | None = None
) -> Settings:
    """Put the settings together. ``overrides`` (the command line) skips ``None``. Raises :class:`InvalidSetting`."""
    environment = os.environ if environment is None else environment
    if config is None and "SAFELIGHT_CONFIG" in environment:
        config = Path(environment["SAFELIGHT_CONFIG"])
    values: dict[str, Any] = _read_toml(config) if config else {}
    for name in _NAMES:
        variable = f"SAFELIGHT_{name.upper()}"
        if variable in environment:
            values[name] = _convert(name, environment[variable], source=variable)
    values |= {name: value for name, value in overrides.items() if value is not None}
    settings = replace(Settings(), **(_customary(environment, values) | values))
    _check(settings)
    return settings


def process_environment() -> Mapping[str, str]:
    """The environment of this process, for those who start others; they choose what to hand on."""
    return dict(os.environ)


def library_paths(environment: Mapping[str, str]) -> Sequence[str]:
    """Folders of shared libraries that the environment names for programs."""
    variables = ("LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "ROCM_PATH")
    return [path for name in variables for path in environment.get(name, "").split(os.pathsep) if os.path.isabs(path)]


def _customary(environment: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """What programs that use S3 read of the environment; keys together or not at all."""
    if not str(values.get("blob_store", "")).startswith("s3:"):
        return {}
    known = _PLACES if _KEYS.keys() & values.keys() else _PLACES | _KEYS
    given = {name: [environment[v] for v in variables if environment.get(v)] for name, variables in known.items()}
    return {name: found[0] for name, found in given.items() if found}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidSetting(f"the settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"the settings file {path} is not TOML: {error}") from None
    unknown = sorted(set(document) - set(_NAMES))
    if unknown:
        raise InvalidSetting(f"{path}: there is no setting {unknown[0]!r} (there are: {', '.join(_NAMES)})")
    return {name: _convert(name, value, source=f"{path}: {name}") for name, value in document.items()}


def _convert(name: str, value: Any, *, source: str) -> Any:
    kind = _TYPES[name]
    try:
        if kind is bool:
            return _boolean(value)
        if kind in (tuple[Path, ...], tuple[str, ...]):
            separator = "," if isinstance(value, str) and ("," in value or "://" in value) else os.pathsep
            parts = [p for p in value.split(separator) if p] if isinstance(value, str) else list(value)
            item = Path if kind == tuple[Path, ...] else str
            return tuple(item(p) for p in parts)
        if isinstance(value, bool):
            raise ValueError(value)
        return kind(value)
    except (ValueError, TypeError):
        raise InvalidSetting(f"{source} is {value!r}, which is not a {getattr(kind, '__name__', kind)}") from None


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if str(value).lower() not in words:
        raise ValueError(value)
    return words[str(value).lower()]


def _check(settings: Settings) -> None:
    if not 0 <= settings.port <= 65535:
        raise InvalidSetting(f"port is {settings.port}, which is not between 0 and 65535")
    _ = settings.extra_models
    if settings.replicas and not settings.database_url.startswith("postgres"):
        raise InvalidSetting("replicas is set; servers share a database only where database_url is a PostgreSQL one")
    if settings.replica_url and not _is_root_url(settings.replica_url):
        raise InvalidSetting(f"replica_url is {settings.replica_url!r}, which is not like http://10.0.0.7:8188")
    if settings.worker_idle_s < 0 or settings.workers_awake < 0:
        raise InvalidSetting("worker_idle_s and workers_awake must not be negative")
    if settings.read_deadline_s <= 0:
        raise InvalidSetting(f"read_deadline_s is {settings.read_deadline_s:g}; it must be positive")
    if settings.workers < 1:
        raise InvalidSetting(f"workers is {settings.workers}; at least one is needed to run a job")
    try:
        _ = settings.size_classes  # reads the labels first
    except Invalid as error:
        raise InvalidSetting(f"pools and pool_sizes: {error.message}") from None
    try:
        _ = settings.run_limits
    except Invalid as error:
        raise InvalidSetting(f"pool_run_limits: {error.message}") from None
    for name in ("run_limit_s", "silent_node_s"):
        if not 0 <= getattr(settings, name) < float("inf"):
            raise InvalidSetting(f"{name} is {getattr(settings, name)}; a number of seconds is needed, or 0 for none")
    if settings.backend not in ("local", "ray"):
        raise InvalidSetting(f"backend is {settings.backend!r}, not 'local' or 'ray'")
    if not settings.ray_address or not settings.ray_namespace:
        raise InvalidSetting("ray_address and ray_namespace must not be empty")
    try:
        _ = settings.ray_amounts
    except ValueError:
        text = ", ".join(settings.ray_resources)
        raise InvalidSetting(f"ray_resources is {text!r}, which is not like 'num_gpus=1'") from None
    try:
        _ = settings.pack_rules
    except ValueError:
        text = ", ".join(settings.pack_routes)
        raise InvalidSetting(f"pack_routes is {text!r}; write pack=admin, pack=user or pack=off") from None
    if settings.worker_home and not Path(settings.worker_home).is_absolute():
        raise InvalidSetting(f"worker_home is {settings.worker_home!r}, which is not an absolute path")
    if settings.job_status_dialect not in ("contract", "cloud"):
        raise InvalidSetting(f"job_status_dialect is {settings.job_status_dialect!r}, not 'contract' or 'cloud'")
    try:
        _ = settings.blob_store and settings.blobs.scheme
    except Invalid as error:
        raise InvalidSetting(f"blob_store: {error.message}") from None
    if settings.ray_scratch and not (
        settings.backend == "ray" and settings.blob_store.startswith("s3:") and settings.blob_access_key
    ):
        raise InvalidSetting("ray_scratch is set; it needs backend = ray, and an S3 store with keys, which sign")
    if settings.ray_scratch and not Path(settings.ray_scratch).is_absolute():
        raise InvalidSetting(f"ray_scratch is {settings.ray_scratch!r}, which is not an absolute path")
    if settings.blob_redirects and not settings.blob_store.startswith("s3:"):
        raise InvalidSetting("blob_redirects is on, and blob_store is no S3: only that says what an address names")
    for name in ("blob_endpoint", "blob_public_endpoint"):
        if (value := getattr(settings, name)) and not value.startswith(("https://", "http://")):
            raise InvalidSetting(f"{name} is {value!r}, which is not an http(s) address")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        raise InvalidSetting(f"log_level is {settings.log_level!r}, not debug, info, warning or error")
    try:
        _ = settings.proxy_networks
    except ValueError as error:
        raise InvalidSetting(f"trusted_proxies: {error}") from None
    if settings.public_url and not _is_root_url(settings.public_url):
        raise InvalidSetting(f"public_url is {settings.public_url!r}, which is not like https://pictures.example.org")
    for origin in settings.allowed_origins:
        if not _is_root_url(origin):
            raise InvalidSetting(
                f"allowed_origins holds {origin!r}, which is not like https://app.example.org ('*' is not allowed: any "
                "page could use the server through the browser of a user)"
            )
    if settings.jwt_issuer and not (settings.jwt_audience and settings.jwt_jwks_url):
        raise InvalidSetting("jwt_issuer is set; jwt_audience and jwt_jwks_url are needed as well")
    if settings.jwt_jwks_url and not settings.jwt_jwks_url.startswith(("https://", "http://")):
        raise InvalidSetting(f"jwt_jwks_url is {settings.jwt_jwks_url!r}, which is not an http(s) address")


def _is_root_url(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.hostname) and text == f"{url.scheme}://{url.netloc}".lower()


def check_accounts(settings: Settings, *, has_accounts: bool) -> None:
    """What only the database can tell. Raises :class:`InvalidSetting` for a server that would be open to strangers."""
    if not (settings.is_loopback or settings.insecure or settings.accounts or has_accounts):
        raise InvalidSetting(
            f"host is {settings.host}, which others can reach, and this server has no accounts: whoever reaches the "
            "port could do everything. Use a loopback address; or --accounts, for a link to make the first account; "
            "or `safelight user add`; or --insecure if that is meant"
        )


DEFAULT_ACCOUNTS = ("safelight-worker", "nobody")
"""As whom workers run by default where the server is root: the first that can."""


def worker_account(settings: Settings) -> Account | None:
    """As whom workers run, where it is not as this process. What only the system can tell. Raises
    :class:`InvalidSetting` for an account that workers cannot have."""
    if not settings.worker_user:
        return default_account(settings)[0]
    try:
        account = find_account(settings.worker_user)
    except LookupError as error:
        raise InvalidSetting(f"worker_user: {error}") from None
    if os.geteuid() not in (0, account.uid):
        raise InvalidSetting(f"worker_user is {settings.worker_user!r}; only root can run workers as another user")
    return account if account.uid != os.geteuid() else None


def default_account(settings: Settings) -> tuple[Account | None, str]:
    """The account of workers where the settings name none; else ``None``, with the reason. On a cluster it is for the
    operator to name one that its machines have."""
    if os.geteuid() != 0 or settings.backend != "local":
        return None, ""
    reasons = []
    for name in DEFAULT_ACCOUNTS:
        try:
            account = find_account(name)
        except LookupError:
            continue
        refusal = why_unusable(
            account,
            reads=[path for path in (*settings.model_roots, *settings.custom_nodes) if path.exists()],
            writes=[path for path in settings.worker_writable if path.exists()],
            data=settings.data_dir,
        )
        if refusal is None:
            return account, ""
        reasons.append(f"{name}: {refusal}")
    return None, "; ".join(reasons) or f"the system has no account {' or '.join(map(repr, DEFAULT_ACCOUNTS))}"


_PLACES = {
    "blob_endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "blob_region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
}
_KEYS = {
    "blob_access_key": ("AWS_ACCESS_KEY_ID",),
    "blob_secret_key": ("AWS_SECRET_ACCESS_KEY",),
    "blob_session_token": ("AWS_SESSION_TOKEN",),
}

_NAMES = tuple(f.name for f in fields(Settings))
_TYPES = get_type_hints(Settings)


def read_extra_model_paths(file: Path) -> tuple[ExtraPlace, ...]:
    """Of ComfyUI's ``extra_model_paths.yaml``, in its order. Each section has a ``base_path`` (optional; ``~`` and
    variables are expanded, and a relative one starts at the file), ``is_default``, and for each model folder a path or
    several, a line each. Raises :class:`OSError`, and :class:`ValueError` for what is not such a file."""
    import yaml  # few installations have such a file

    try:
        document = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"not YAML: {error}") from None
    if document is None:
        return ()
    if not isinstance(document, Mapping):
        raise ValueError("not a table of sections")
    here = file.resolve().parent
    return tuple(place for name, section in document.items() if section for place in _places(name, section, here))


def _places(name: Any, section: Any, here: Path) -> Iterator[ExtraPlace]:
    if not isinstance(section, Mapping):
        raise ValueError(f"section {name!r} is not a table of folders")
    base = here / os.path.expandvars(os.path.expanduser(str(section.get("base_path") or "")))
    is_default = bool(section.get("is_default", False))
    for folder, paths in section.items():
        if folder in ("base_path", "is_default", "custom_nodes") or paths is None:
            continue
        if not isinstance(paths, str):
            raise ValueError(f"{name}: {folder} is {paths!r}, which is not a path")
        for line in paths.split("\n"):
            if line:
                yield ExtraPlace(str(folder), Path(os.path.normpath(base / line)), is_default)
