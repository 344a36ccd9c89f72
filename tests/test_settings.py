"""Defaults, then TOML, then the environment, then the command line; and errors that name the value."""

from pathlib import Path

import pytest

from safelight.settings import BUNDLED_MODELS, InvalidSetting, check_accounts, load, reference


def test_each_source_overrides_the_one_before(tmp_path: Path) -> None:
    config = tmp_path / "safelight.toml"
    config.write_text('port = 1\nworkers = 2\nlog_level = "debug"\ncustom_nodes = ["a", "b"]\n')
    settings = load(
        overrides={"port": 3, "host": None},
        environment={"SAFELIGHT_PORT": "2", "SAFELIGHT_WORKERS": "4", "SAFELIGHT_MODELS_DIR": "x:y", "OTHER": "1"},
        config=config,
    )
    assert (
        settings.server.port,
        settings.workers.workers,
        settings.telemetry.log_level,
        settings.server.host,
    ) == (
        3,
        4,
        "debug",
        "127.0.0.1",
    )
    assert settings.packs.custom_nodes == (Path("a"), Path("b"))
    assert settings.model_roots == (Path("x"), Path("y"), BUNDLED_MODELS)


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    config.write_text("web = false")
    assert load(overrides={}, environment={"SAFELIGHT_CONFIG": str(config)}).server.web is False


@pytest.mark.parametrize(
    ("toml", "environment", "message"),
    [
        ("prot = 1", {}, "there is no setting 'prot'"),
        ("port = ", {}, "is not TOML"),
        ("port = true", {}, "port is True"),
        ("", {"SAFELIGHT_PORT": "many"}, "SAFELIGHT_PORT is 'many'"),
        ("", {"SAFELIGHT_PORT": "70000"}, "SAFELIGHT_PORT is '70000'; expected int <= 65535"),
        ("", {"SAFELIGHT_WEB": "maybe"}, "SAFELIGHT_WEB is 'maybe'"),
        ("workers = 0", {}, "workers is 0"),
        ('backend = "cloud"', {}, "backend is 'cloud'"),
        ('ray_address = ""', {}, "ray_address"),
        ('engines = ["comfy=/opt"]', {}, "invalid engine 'comfy=/opt'"),
        ('engines = ["comfyui=/no/such/ComfyUI"]', {}, "the engine comfyui: no main.py in '/no/such/ComfyUI'"),
        ('engine_workers = ["comfyui=2"]', {}, "'comfyui=2' counts the workers of 'comfyui'"),
        ('engine_preference = ["comfyui"]', {}, "engine_preference: there is no engine 'comfyui'"),
        ('ray_resources = ["num_gpus"]', {}, "ray_resources is 'num_gpus'"),
        ('ray_resources = ["num_gpus=-1"]', {}, "ray_resources"),
        ('log_level = "loud"', {}, "log_level is 'loud'"),
        ('job_status_dialect = "x"', {}, "job_status_dialect"),
        ('trusted_proxies = ["proxy.local"]', {}, "trusted_proxies: 'proxy.local'"),
        ("", {"SAFELIGHT_PUBLIC_URL": "pictures.example.org"}, "public_url is 'pictures.example.org'"),
        ("", {"SAFELIGHT_PUBLIC_URL": "https://example.org/pictures"}, "public_url"),
        ("", {"SAFELIGHT_BLOB_STORE": "http://bucket"}, "blob_store: 'http://bucket'"),
        ('blob_store = "gs://bucket"\nblob_redirects = true', {}, "blob_redirects"),
        ('blob_store = "s3://bucket"\nblob_endpoint = "localhost:9000"', {}, "blob_endpoint is 'localhost:9000'"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, toml: str, environment: dict[str, str], message: str) -> None:
    config = tmp_path / "s.toml"
    config.write_text(toml)
    with pytest.raises(InvalidSetting, match=message):
        load(overrides={}, environment=environment, config=config)


def test_lists_with_colons_in_them_are_separated_by_commas() -> None:
    settings = load(overrides={}, environment={"SAFELIGHT_TRUSTED_PROXIES": "::1,10.0.0.0/8"})
    assert settings.server.trusted_proxies == ("::1", "10.0.0.0/8")


def test_a_single_engine_of_the_environment_is_not_split_at_its_colon(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.touch(mode=0o755)
    (tmp_path / "main.py").touch()
    settings = load(overrides={}, environment={"SAFELIGHT_ENGINES": f"comfyui={tmp_path}:{python}"})
    [engine] = settings.engine_specs
    assert (engine.kind, engine.root, engine.python) == ("comfyui", str(tmp_path), str(python))


def test_the_bundled_model_is_offered_where_safelights_own_engine_runs() -> None:
    def roots(*engines: str) -> tuple[Path, ...]:
        return load(overrides={"engines": engines, "backend": "ray"}, environment={}).model_roots

    assert BUNDLED_MODELS in roots("comfyui=/elsewhere/ComfyUI", "safelight")
    assert BUNDLED_MODELS not in roots("comfyui=/elsewhere/ComfyUI")


def test_the_models_of_a_comfyui_are_models_of_the_server(tmp_path: Path) -> None:
    root = tmp_path / "ComfyUI"
    (root / "venv" / "bin").mkdir(parents=True)
    (root / "venv" / "bin" / "python").touch(mode=0o755)
    (root / "main.py").touch()
    (root / "extra_model_paths.yaml").write_text("elsewhere:\n  base_path: /disk\n  loras: more\n")
    settings = load(overrides={"engines": ("safelight", f"comfyui={root}")}, environment={})
    assert root / "models" in settings.model_roots
    assert [(place.folder, str(place.path)) for place in settings.extra_models] == [("loras", "/disk/more")]


def test_the_machines_of_a_cluster_have_paths_of_their_own() -> None:
    overrides = {"engines": ("comfyui=/elsewhere/ComfyUI",), "backend": "ray"}
    assert load(overrides=overrides, environment={}).engine_specs[0].root == "/elsewhere/ComfyUI"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"nope\.toml cannot be read: No such file"):
        load(overrides={}, environment={}, config=tmp_path / "nope.toml")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "studio.example"])
def test_an_open_address_needs_accounts_or_insecure(host: str) -> None:
    bare = load(overrides={"host": host}, environment={})
    with pytest.raises(InvalidSetting, match="--insecure"):
        check_accounts(bare, has_accounts=False)
    check_accounts(bare, has_accounts=True)
    for option in ("insecure", "accounts"):
        check_accounts(load(overrides={"host": host, option: True}, environment={}), has_accounts=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.3.2.1"])
def test_loopback_needs_no_accounts(host: str) -> None:
    settings = load(overrides={"host": host}, environment={})
    assert settings.server.is_loopback
    check_accounts(settings, has_accounts=False)


def test_an_s3_store_takes_missing_values_from_the_aws_variables() -> None:
    environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    environment |= {"AWS_ENDPOINT_URL": "http://two", "AWS_ENDPOINT_URL_S3": "http://one", "AWS_REGION": "eu"}
    place = load(overrides={"blob_store": "s3://b/c"}, environment=environment).blobs
    assert (place.endpoint, place.region, place.access_key) == ("http://one", "eu", "a")
    assert (place.secret_key, place.session_token) == ("s", "t")


def test_keys_are_not_mixed_and_no_other_store_sees_them() -> None:
    environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    own = load(overrides={"blob_store": "s3://b", "blob_access_key": "x"}, environment=environment).blobs
    assert (own.access_key, own.secret_key, own.session_token) == ("x", "", "")
    assert load(overrides={"blob_store": "az://c"}, environment=environment).blobs.access_key == ""


def test_secrets_of_the_store_are_not_shown() -> None:
    settings = load(overrides={"blob_store": "s3://b", "blob_secret_key": "hush"}, environment={})
    assert "hush" not in repr(settings) + repr(settings.blobs)


def test_a_scratch_folder_needs_a_cluster_and_a_store_that_signs() -> None:
    store = {"blob_store": "s3://bucket", "blob_access_key": "key", "blob_secret_key": "a secret"}
    good = {"backend": "ray", "ray_scratch": "/scratch", **store}
    assert load(overrides=good, environment={}).ray.ray_scratch == "/scratch"
    for change in ({"backend": "local"}, {"blob_store": ""}, {"blob_access_key": ""}, {"ray_scratch": "scratch"}):
        with pytest.raises(InvalidSetting, match="ray_scratch"):
            load(overrides=good | change, environment={})


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://app.example.org", ("https://app.example.org",)),
        ("https://a.example:8443,http://b.example", ("https://a.example:8443", "http://b.example")),
    ],
)
def test_origins_are_separated_by_commas(text: str, origins: tuple[str, ...]) -> None:
    assert load(overrides={}, environment={"SAFELIGHT_ALLOWED_ORIGINS": text}).server.allowed_origins == origins


@pytest.mark.parametrize(
    "text", ["*", "app.example.org", "https://app.example.org/", "https://App.example.org", "null"]
)
def test_an_invalid_origin_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="allowed_origins"):
        load(overrides={}, environment={"SAFELIGHT_ALLOWED_ORIGINS": text})


@pytest.mark.parametrize(
    ("name", "value"),
    [("workers", 0), ("lease_s", 0), ("run_limit_s", -1), ("run_limit_s", float("inf")), ("max_body_bytes", 0)],
)
def test_bounds_are_declared(name: str, value: float) -> None:
    with pytest.raises(InvalidSetting, match=f"--{name.replace('_', '-')} is {value}; expected"):
        load(overrides={name: value}, environment={})


def test_the_reference_is_made_from_the_declarations(tmp_path: Path) -> None:
    """``python -m safelight.settings.reference docs/operate/settings.md`` writes it."""
    page = Path(__file__).parents[1] / "docs" / "operate" / "settings.md"
    copy = tmp_path / "settings.md"
    copy.write_text(page.read_text())
    reference.write(copy)
    assert copy.read_text() == page.read_text()
