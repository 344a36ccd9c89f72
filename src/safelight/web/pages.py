"""The pages outside the web UI: signing in, help, the administrator's page, and the account's page.

They show nothing by themselves: their scripts read the API with the caller's session.
"""

from importlib.resources import files
from pathlib import Path

from starlette.responses import FileResponse, Response

_FOLDER = Path(str(files("safelight.web")))
_HTML, _CSS, _SCRIPT = "text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8"
_OF_ADMINISTRATORS = ("admin", "jobs", "users", "usage", "models", "workflows", "records")
_SCRIPTS = ("server", *_OF_ADMINISTRATORS, "account", "webhooks", "help")
_PAGES = {
    "/login": ("login/login.html", _HTML),
    "/setup": ("login/setup.html", _HTML),
    "/invitation": ("login/invitation.html", _HTML),
    "/admin": ("admin/admin.html", _HTML),
    "/account": ("admin/account.html", _HTML),
    "/help": ("admin/help.html", _HTML),
    **{f"/{name}": (name, _CSS) for name in ("login/page.css", "admin/page.css")},
    **{f"/login/{name}.js": (f"login/{name}.js", _SCRIPT) for name in ("form", "login", "setup", "invitation")},
    **{f"/admin/{name}.js": (f"admin/{name}.js", _SCRIPT) for name in _SCRIPTS},
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
