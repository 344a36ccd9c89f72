"""The routes for signing in, open as their callers have no credential yet; and what every user may see."""

from safelight.api.account import own, packs, session, sign_on
from safelight.api.route import Route

ROUTES = (
    Route("GET", "/api/account", own.get_account, also_api=False),
    Route("POST", "/api/account/password", own.change_password, also_api=False),
    Route("GET", "/api/account/keys", own.list_keys, also_api=False),
    Route("POST", "/api/account/keys", own.create_key, also_api=False),
    Route("DELETE", "/api/account/keys/{key_id}", own.delete_key, also_api=False),
    Route("DELETE", "/api/account", own.delete_account, also_api=False),
    Route("GET", "/api/account/sessions", own.list_sessions, also_api=False),
    Route("DELETE", "/api/account/sessions/{session_id}", own.end_session, also_api=False),
    Route("GET", "/api/account/packs", packs.list_packs, also_api=False),
    Route("GET", "/api/auth/session", session.get_session, also_api=False, is_open=True),
    Route("POST", "/api/auth/session", session.create_session, also_api=False, is_open=True),
    Route("DELETE", "/api/auth/session", session.delete_session, also_api=False, is_open=True),
    Route("GET", "/api/auth/oidc/login", sign_on.begin_sign_on, also_api=False, is_open=True),
    Route("GET", "/api/auth/oidc/callback", sign_on.finish_sign_on, also_api=False, is_open=True),
    Route("POST", "/api/auth/oidc/logout", sign_on.sign_out_there, also_api=False, is_open=True),
    Route("POST", "/api/auth/invitation", session.get_invitation, also_api=False, is_open=True),
    Route("POST", "/api/auth/invitation/accept", session.accept_invitation, also_api=False, is_open=True),
    Route("POST", "/api/auth/setup", session.set_up, also_api=False, is_open=True),
)
