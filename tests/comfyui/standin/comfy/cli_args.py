"""The command line, with the options that a launcher passes."""

import argparse

parser = argparse.ArgumentParser()
for name in ("input", "output", "temp", "user"):
    parser.add_argument(f"--{name}-directory")
parser.add_argument("--extra-model-paths-config", action="append", default=[])
parser.add_argument("--front-end-root")
for name in ("disable-auto-launch", "dont-print-server", "cpu"):
    parser.add_argument(f"--{name}", action="store_true")
args = parser.parse_args()
