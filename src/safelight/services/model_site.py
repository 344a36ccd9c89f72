"""Sites that host models: their URLs, their metadata of a file, and the operator's token for them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit


class ModelSite(Protocol):
    @property
    def base(self) -> str:
        """The site's URL, without a trailing slash."""
        ...

    @property
    def token(self) -> str: ...

    def facts_url(self, url: str) -> str | None:
        """The URL of the site's metadata of the file at ``url``; ``None`` for a URL that is not a file of the site."""
        ...

    def facts(self, response: Mapping[str, Any]) -> dict[str, Any]:
        """Return the asset's metadata from the site's response."""
        ...


@dataclass(frozen=True, slots=True)
class HuggingFace:
    token: str = ""
    base: str = "https://huggingface.co"

    def facts_url(self, url: str) -> str | None:
        match = re.fullmatch(r"/([^/]+/[^/]+)/(?:resolve|blob)/([^/]+)/.+", _path_on(url, self.base))
        return f"{self.base}/api/models/{match[1]}/revision/{match[2]}" if match else None

    def facts(self, response: Mapping[str, Any]) -> dict[str, Any]:
        card = response.get("cardData") if isinstance(response.get("cardData"), dict) else {}
        assert isinstance(card, dict)
        return _known(
            source="huggingface",
            name=response.get("id"),
            author=response.get("author"),
            base_model=card.get("base_model"),
            license=card.get("license"),
            revision=response.get("sha"),
            preview=card.get("thumbnail"),
            tags=response.get("tags"),
        )


@dataclass(frozen=True, slots=True)
class Civitai:
    token: str = ""
    base: str = "https://civitai.com"

    def facts_url(self, url: str) -> str | None:
        match = re.fullmatch(r"/api/download/models/(\d+)", _path_on(url, self.base))
        return f"{self.base}/api/v1/model-versions/{match[1]}" if match else None

    def facts(self, response: Mapping[str, Any]) -> dict[str, Any]:
        model = response.get("model") if isinstance(response.get("model"), dict) else {}
        assert isinstance(model, dict)
        file = _first(response.get("files"))
        hashes = file.get("hashes") if isinstance(file.get("hashes"), dict) else {}
        assert isinstance(hashes, dict)
        return _known(
            source="civitai",
            name=model.get("name"),
            version=response.get("name"),
            type=model.get("type"),
            base_model=response.get("baseModel"),
            trained_words=response.get("trainedWords"),
            license=model.get("allowCommercialUse"),
            filename=file.get("name"),
            sha256=str(hashes["SHA256"]).lower() if "SHA256" in hashes else None,
            preview=_first(response.get("images")).get("url"),
            model_id=response.get("modelId"),
            version_id=response.get("id"),
        )


def secrets_for(sites: Sequence[ModelSite], host: str) -> dict[str, str]:
    """The token for a request to ``host``. Only its own site gets a token, even after redirects."""
    for site in sites:
        if site.token and host == urlsplit(site.base).hostname:
            return {"authorization": f"Bearer {site.token}"}
    return {}


def _path_on(url: str, base: str) -> str:
    target, own = urlsplit(url), urlsplit(base)
    return target.path if (target.scheme, target.netloc) == (own.scheme, own.netloc) else ""


def _first(items: Any) -> Mapping[str, Any]:
    return items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}


def _known(**facts: Any) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}
