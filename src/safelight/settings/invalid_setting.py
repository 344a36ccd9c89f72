"""The error of an unusable setting."""

from safelight.core.errors import SafelightError


class InvalidSetting(SafelightError):
    """A setting that cannot be used. The message names it, its value and what is expected."""

    code = "invalid_setting"
