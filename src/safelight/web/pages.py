"""The pages outside the web UI: the login page, and the setup page for the first account."""

from importlib.resources import files
from pathlib import Path

from starlette.responses import FileResponse, Response

_FOLDER = Path(str(files("safelight.web") / "login"))
_PAGES = {
    "/login": ("login.html", "text/html; charset=utf-8"),
    "/setup": ("setup.html", "text/html; charset=utf-8"),
    "/login/page.css": ("page.css", "text/css; charset=utf-8"),
    "/login/form.js": ("form.js", "text/javascript; charset=utf-8"),
    "/login/login.js": ("login.js", "text/javascript; charset=utf-8"),
    "/login/setup.js": ("setup.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def find_page(path: str) -> Response | None:
    if path not in _PAGES:
        return None
    name, mime_type = _PAGES[path]
    return FileResponse(_FOLDER / name, headers=_HEADERS, media_type=mime_type)
