"""Which model files this engine cannot load, told from their headers: no tensor is read."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from safelight.core.errors import SafelightError
from safelight.core.model_folders import canonical
from safelight.wire.messages import ModelToExamine


def unusable(files: Iterable[ModelToExamine]) -> Mapping[str, str]:
    """By path, why a file cannot be loaded. Files of folders whose loaders take any file are not examined."""
    checks = _checks()
    reasons: dict[str, str] = {}
    for file in files:
        check = checks.get(canonical(file.folder))
        if check is None:
            continue
        try:
            check(Path(file.path))
        except SafelightError as error:
            reasons[file.path] = error.message
        except OSError:
            continue  # the file has just been removed, or cannot be read at the moment: the run will tell
    return reasons


def _checks() -> Mapping[str, Callable[[Path], object]]:
    """By model folder. Imports torch: only a server with several engines asks."""
    from safelight.models.families.registry import NETWORK, detect
    from safelight.models.text.encoder_files import encoder_file
    from safelight.models.weights import weight_file

    def network(path: Path) -> object:
        file = weight_file(path)
        return detect(file, file.weights(NETWORK) or file.weights())

    return {
        "checkpoints": network,
        "diffusion_models": network,
        "text_encoders": lambda path: encoder_file(weight_file(path)),
    }
