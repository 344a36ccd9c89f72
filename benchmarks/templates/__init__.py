"""Run every official template of ComfyUI on miniature weights, and write the table of which run.

* ``catalogue``: the templates in the pinned packages, and the node types of each.
* ``conversion``: their API graphs, as the web UI makes them in a browser.
* ``inputs``: the pictures, films and sounds that they load.
* ``model_files``: miniature files under the names that they ask for.
* ``running``: submit a graph, and say how it ended.
* ``smaller``: what is made smaller so that a CPU can run them.
* ``table``: the page ``docs/reference/templates.md``.
"""
