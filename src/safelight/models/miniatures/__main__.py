"""``python -m safelight.models.miniatures NAME DIR``: write miniature weights; without arguments, list the names."""

import sys
from pathlib import Path

from safelight.core.errors import SafelightError
from safelight.models.miniatures.writing import miniature_names, write_miniature


def main(arguments: list[str]) -> None:
    if not arguments:
        print("\n".join(miniature_names()))
        return
    name, directory = arguments
    try:
        for path in write_miniature(name, Path(directory)):
            print(path)
    except SafelightError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main(sys.argv[1:])
