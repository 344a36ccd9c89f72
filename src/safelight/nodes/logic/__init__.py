"""Plain values, switches and calculations.

* ``choice``: switches and lists of options.
* ``expression``: evaluate formulas.
* ``lists``: lists as values.
* ``number``: calculate and convert numbers.
* ``primitive``: single values.
"""
