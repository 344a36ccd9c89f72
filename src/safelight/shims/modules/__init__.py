"""One module for each name that packs import: ``modules/folder_paths.py`` is what ``import folder_paths`` gives.

Names and signatures are those that packs know; the behaviour behind them is ours.
"""
