"""How the bundled model was made: see README.md beside this file. Not part of the installed package."""
