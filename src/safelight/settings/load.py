"""Putting the settings together: defaults, then a TOML file, then ``SAFELIGHT_*`` variables, then the command line.

In TOML, settings have their own names at the top level; in the environment, ``SAFELIGHT_<NAME>``. Lists are arrays in
TOML, and in the environment separated like ``PATH`` or by commas (addresses by commas only).
"""

import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from safelight.settings.checks import check
from safelight.settings.groups import GROUP_OF, GROUPS, Settings
from safelight.settings.invalid_setting import InvalidSetting
from safelight.settings.machine_devices import find_devices

_TYPES: Mapping[str, Any] = {
    name: hint for group in GROUPS.values() for name, hint in get_type_hints(group, include_extras=True).items()
}
AUTO = "auto"
_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

_AWS_ENDPOINT = {
    "blob_endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "blob_region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
}
_AWS_KEYS = {
    "blob_access_key": ("AWS_ACCESS_KEY_ID",),
    "blob_secret_key": ("AWS_SECRET_ACCESS_KEY",),
    "blob_session_token": ("AWS_SESSION_TOKEN",),
}


def load(
    *, overrides: Mapping[str, Any], environment: Mapping[str, str] | None = None, config: Path | None = None
) -> Settings:
    """Read all sources. ``None`` in ``overrides`` (the command line) is ignored. Raises :class:`InvalidSetting`."""
    environment = os.environ if environment is None else environment
    if config is None and "SAFELIGHT_CONFIG" in environment:
        config = Path(environment["SAFELIGHT_CONFIG"])
    values: dict[str, Any] = _read_toml(config) if config else {}
    for name in GROUP_OF:
        variable = f"SAFELIGHT_{name.upper()}"
        if variable in environment:
            values[name] = _converted(name, environment[variable], source=variable)
    values |= {
        name: _converted(name, value, source=f"--{name.replace('_', '-')}")
        for name, value in overrides.items()
        if value is not None
    }
    if values.get("workers") == AUTO:
        values["workers"] = _count_devices(values)
    settings = Settings.of(**(_read_aws(environment, values) | values))
    check(settings)
    return settings


def _count_devices(values: Mapping[str, Any]) -> int:
    """A worker for each device of this machine; one without any."""
    if values.get("backend") == "ray":
        raise InvalidSetting(
            "workers is 'auto', which counts the devices of this machine; with backend = \"ray\" it must be the number "
            "of slots on the cluster"
        )
    return len(values.get("devices", ()) or find_devices()) or 1


def _converted(name: str, value: Any, *, source: str) -> Any:
    """:func:`convert`, which leaves an automatic number of workers to be counted when all settings are known."""
    return AUTO if name == "workers" and value == AUTO else convert(name, value, source=source)


def convert(name: str, value: Any, *, source: str) -> Any:
    """A setting's value from a source. Raises :class:`InvalidSetting`, which names the source."""
    kind = _TYPES[name]
    plain = get_args(kind)[0]
    try:
        if plain is bool and isinstance(value, str):
            value = _BOOLEANS[value.lower()]
        elif get_origin(plain) is tuple and isinstance(value, str):
            separator = "," if "," in value or "://" in value or _is_split_by_commas(kind) else os.pathsep
            value = [part for part in value.split(separator) if part]
        converted = msgspec.convert(value, kind, strict=False, dec_hook=_read_path)
        if isinstance(converted, float) and not math.isfinite(converted):
            raise ValueError(value)
    except msgspec.ValidationError as error:
        raise InvalidSetting(f"{source} is {value!r}; {_expectation(plain, error)}") from None
    except (KeyError, ValueError):
        expected = "true or false" if plain is bool else "a finite number"
        raise InvalidSetting(f"{source} is {value!r}; expected {expected}") from None
    return converted


def _is_split_by_commas(kind: Any) -> bool:
    return any(note.extra and note.extra.get("by_commas") for note in kind.__metadata__ if isinstance(note, Meta))


def _expectation(plain: Any, error: msgspec.ValidationError) -> str:
    if get_origin(plain) is Literal:
        return f"expected {' or '.join(map(repr, get_args(plain)))}"
    text = str(error).partition(" - at ")[0].replace("`", "")
    return text[:1].lower() + text[1:]


def _read_path(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise ValueError(value)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidSetting(f"the settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"the settings file {path} is not TOML: {error}") from None
    unknown = sorted(set(document) - set(GROUP_OF))
    if unknown:
        raise InvalidSetting(f"{path}: there is no setting {unknown[0]!r} (there are: {', '.join(GROUP_OF)})")
    return {name: _converted(name, value, source=f"{path}: {name}") for name, value in document.items()}


def _read_aws(environment: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """The usual environment variables of programs that use S3: their keys together, or none of them."""
    if not str(values.get("blob_store", "")).startswith("s3:"):
        return {}
    known = _AWS_ENDPOINT if _AWS_KEYS.keys() & values.keys() else _AWS_ENDPOINT | _AWS_KEYS
    given = {name: [environment[v] for v in variables if environment.get(v)] for name, variables in known.items()}
    return {name: found[0] for name, found in given.items() if found}
