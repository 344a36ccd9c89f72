"""How much memory of a device the models of a job need, estimated from the sizes of their files."""

from collections.abc import Collection

from safelight.services.model import ModelFiles

WORKING_SHARE = 0.2
"""Memory for activations, as a share of the weights. It is an estimate for ordering slots, and refuses nothing: a
network that is larger than its device is computed in parts (``models/offload.py``)."""


class ModelMemory:
    """Mutable: the sizes of files, read once for each version of the listing."""

    def __init__(self, models: ModelFiles) -> None:
        self._models = models
        self._version = -1
        self._sizes: dict[str, int] = {}

    def needed(self, names: Collection[str]) -> int:
        """Bytes for the models of these names, and for working with them; 0 if none is known. May be called in any
        thread."""
        if self._version != self._models.version:
            self._version, self._sizes = self._models.version, {}
        sizes = self._sizes
        if new := [name for name in names if name not in sizes]:
            found = self._models.find(new)
            sizes.update({name: found[name].size() if name in found else 0 for name in new})
        return int(sum(sizes[name] for name in set(names)) * (1 + WORKING_SHARE))
