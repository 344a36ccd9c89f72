"""How the model in the box was made: see README.md beside this file. Not part of the installed package."""
