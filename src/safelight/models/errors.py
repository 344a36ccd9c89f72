"""What can be wrong with files of weights."""

from safelight.core.errors import Invalid


class UnknownWeights(Invalid):
    """The file holds no network that is known here, or not the one that was asked for."""

    code = "unknown_weights"
