"""``python -m safelight.runtime.check_packs JOURNAL LIBRARIES FOLDER...``: load packs as a worker does, and report.

Prints one line of JSON: ``{"modules": [...], "failed": {...}}``, with the module of each node. A pack that ends the
process is skipped when the command runs again with the same ``JOURNAL``, and is then among the failed ones.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

from safelight.runtime import packs
from safelight.runtime.import_journal import LoadJournal
from safelight.worker.context import WorkerContext, set_worker_context


def main() -> None:
    journal, libraries, *folders = map(Path, sys.argv[1:])
    with contextlib.redirect_stdout(sys.stderr):
        worker = WorkerContext(custom_nodes=folders)
        set_worker_context(worker)
        packs.search_libraries(libraries)
        library = packs.load(("safelight.nodes",), worker, journal=LoadJournal(journal))  # packs build on its nodes
    modules = [schema.module for schema in library.catalogue.values() if schema.module.startswith(packs.PACKS)]
    print(json.dumps({"modules": modules, "failed": library.failed}), flush=True)
    os._exit(0)  # even if packs have started threads


if __name__ == "__main__":
    main()
