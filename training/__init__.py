"""The training of the bundled model; see the README.md in this folder. Not part of the installed package."""
