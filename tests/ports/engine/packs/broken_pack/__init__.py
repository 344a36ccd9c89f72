raise ImportError("no module named nothing")
