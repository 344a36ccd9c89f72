"""``python -m safelight.sandbox.probe RULES PATH ...``: try the rules; report those that this system cannot enforce.

RULES are JSON, and so is the report on standard output: ``missing``, the sentences of :func:`confine`, and
``unreadable``, those paths that the account of the rules cannot read.
"""

import json
import os
import sys

from safelight.sandbox import keeper
from safelight.sandbox.confine import confine
from safelight.sandbox.rules import Account, Rules


def main() -> None:
    fields = json.loads(sys.argv[1])
    account = fields.pop("account")
    rules = Rules(account=Account(**account) if account else None, **fields)
    refusal = keeper.namespace_refusal(rules.writable) if rules.own_processes else None
    missing = [*([keeper.unkept(refusal)] if refusal is not None else []), *confine(rules)]
    unreadable = [path for path in sys.argv[2:] if not os.access(path, os.R_OK)]
    json.dump({"missing": missing, "unreadable": unreadable}, sys.stdout)


if __name__ == "__main__":
    main()
