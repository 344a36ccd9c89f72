"""How a process that will run untrusted code restricts itself before it does so. On systems other than Linux
it restricts nothing and says so; uses only the stdlib.

* ``rules``: the restrictions, as plain values.
* ``confine``: puts the rules into force on the current process.
* ``keeper``: the process between the server and an engine: starts it, and lets nothing outlive it.
* ``lifetime``: binds the life of an engine to its server's.
* ``landlock``: restricts reading, writing, TCP connections and signals.
* ``namespaces``: a process table and mounts of the engine's own.
* ``network``: an empty network namespace.
* ``seccomp``: a seccomp filter for system calls that reach other processes.
* ``file_lock``: locks of open files, on every system.
* ``readable_paths``: which system files a Python process with a GPU must read.
* ``account``: accounts of the operating system, and whether workers can run as one.
* ``probe``: tries the rules in a separate process, for ``safelight doctor``.
* ``system``: Linux calls that Python's library lacks.
"""
