"""What must hold between several settings, and what a type cannot say of one."""

from pathlib import Path
from urllib.parse import urlsplit

from safelight.comfyui import installation
from safelight.core.errors import Invalid
from safelight.settings.groups import Settings
from safelight.settings.invalid_setting import InvalidSetting


def check(settings: Settings) -> None:
    """Raises :class:`InvalidSetting` for the first setting that cannot be used."""
    _check_server(settings)
    _check_storage(settings)
    _check_engines(settings)
    _check_workers(settings)
    _check_ray(settings)
    try:
        _ = settings.telemetry.metrics_address
    except ValueError as error:
        raise InvalidSetting(f"metrics_listen: {error}") from None
    endpoint = settings.telemetry.traces_endpoint
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise InvalidSetting(f"traces_endpoint is {endpoint!r}, which is not like http://127.0.0.1:4318/v1/traces")
    _ = settings.extra_models


def check_accounts(settings: Settings, *, has_accounts: bool) -> None:
    """Raises :class:`InvalidSetting` for a server that would be open to strangers; only the database knows
    ``has_accounts``."""
    access = settings.access
    if not (settings.server.is_loopback or access.insecure or access.requires_accounts or has_accounts):
        raise InvalidSetting(
            f"host is {settings.server.host}, which others can reach, and this server has no accounts: everybody who "
            "reaches the port could do everything. Use a loopback address; or --accounts, for a link to create the "
            "first account; or `safelight user add`; or --insecure if that is intended"
        )


def _check_server(settings: Settings) -> None:
    server, access = settings.server, settings.access
    try:
        _ = server.proxy_networks
    except ValueError as error:
        raise InvalidSetting(f"trusted_proxies: {error}") from None
    if server.public_url and not _is_root_url(server.public_url):
        raise InvalidSetting(f"public_url is {server.public_url!r}, which is not like https://pictures.example.org")
    for origin in server.allowed_origins:
        if not _is_root_url(origin):
            raise InvalidSetting(
                f"allowed_origins contains {origin!r}, which is not like https://app.example.org ('*' is not allowed: "
                "any page could use the server through a user's browser)"
            )
    if access.jwt_issuer and not (access.jwt_audience and access.jwt_jwks_url):
        raise InvalidSetting("jwt_issuer is set; jwt_audience and jwt_jwks_url are needed as well")
    if access.jwt_jwks_url and not access.jwt_jwks_url.startswith(("https://", "http://")):
        raise InvalidSetting(f"jwt_jwks_url is {access.jwt_jwks_url!r}, which is not an http(s) URL")
    _check_sign_on(settings)


def _check_sign_on(settings: Settings) -> None:
    access = settings.access
    if access.oidc_issuer and not access.oidc_issuer.startswith(("https://", "http://")):
        raise InvalidSetting(f"oidc_issuer is {access.oidc_issuer!r}, which is not an http(s) URL")
    if access.oidc_issuer and not access.oidc_client_id:
        raise InvalidSetting("oidc_issuer is set; oidc_client_id is needed as well")
    if access.jwt_header and not access.jwt_issuer:
        raise InvalidSetting("jwt_header is set; jwt_issuer, jwt_audience and jwt_jwks_url are needed as well")
    try:
        _ = access.group_rules
    except Invalid as error:
        raise InvalidSetting(f"oidc_quotas: {error}") from None


def _check_storage(settings: Settings) -> None:
    storage = settings.storage
    if storage.replicas and not storage.database_url.startswith("postgres"):
        raise InvalidSetting("replicas is set; servers can share only a PostgreSQL database (database_url)")
    if storage.replica_url and not _is_root_url(storage.replica_url):
        raise InvalidSetting(f"replica_url is {storage.replica_url!r}, which is not like http://10.0.0.7:8188")
    try:
        _ = storage.blob_store and settings.blobs.scheme
    except Invalid as error:
        raise InvalidSetting(f"blob_store: {error.message}") from None
    if storage.blob_redirects and not storage.blob_store.startswith("s3:"):
        raise InvalidSetting("blob_redirects is on; it needs an S3 blob_store, which sends the headers of a signed URL")
    for name in ("blob_endpoint", "blob_public_endpoint"):
        if (value := getattr(storage, name)) and not value.startswith(("https://", "http://")):
            raise InvalidSetting(f"{name} is {value!r}, which is not an http(s) URL")


def _check_engines(settings: Settings) -> None:
    for name in ("engine_specs", "engine_order"):
        try:
            getattr(settings, name)
        except Invalid as error:
            raise InvalidSetting(f"{_ENGINE_SETTINGS[name]}: {error.message}") from None
    if settings.workers.backend == "ray":
        return  # the paths are those of other machines
    for spec in settings.engine_specs:
        if not spec.is_own:
            try:
                installation.find(spec.root, spec.python)
            except Invalid as error:
                raise InvalidSetting(f"the engine {spec.kind}: {error.message}") from None


_ENGINE_SETTINGS = {"engine_specs": "engines, engine_workers and engine_arguments", "engine_order": "engine_preference"}


def _check_workers(settings: Settings) -> None:
    try:
        _ = settings.size_classes  # reads the labels first
    except Invalid as error:
        raise InvalidSetting(f"pools and pool_sizes: {error.message}") from None
    try:
        _ = settings.run_limits
    except Invalid as error:
        raise InvalidSetting(f"pool_run_limits: {error.message}") from None
    try:
        _ = settings.packs.pack_rules
    except ValueError:
        text = ", ".join(settings.packs.pack_routes)
        raise InvalidSetting(f"pack_routes is {text!r}; write pack=admin, pack=user or pack=off") from None
    home = settings.confinement.worker_home
    if home and not Path(home).is_absolute():
        raise InvalidSetting(f"worker_home is {home!r}, which is not an absolute path")


def _check_ray(settings: Settings) -> None:
    ray, storage = settings.ray, settings.storage
    try:
        _ = ray.ray_amounts
    except ValueError:
        text = ", ".join(ray.ray_resources)
        raise InvalidSetting(f"ray_resources is {text!r}, which is not like 'num_gpus=1'") from None
    signs = storage.blob_store.startswith("s3:") and storage.blob_access_key
    if ray.ray_scratch and not (settings.workers.backend == "ray" and signs):
        raise InvalidSetting("ray_scratch is set; it needs backend = ray, and an S3 store with keys, to sign URLs")
    if ray.ray_scratch and not Path(ray.ray_scratch).is_absolute():
        raise InvalidSetting(f"ray_scratch is {ray.ray_scratch!r}, which is not an absolute path")


def _is_root_url(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.hostname) and text == f"{url.scheme}://{url.netloc}".lower()
