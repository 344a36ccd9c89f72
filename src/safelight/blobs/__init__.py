"""Content-addressed storage: bytes under their BLAKE3 digest, in a folder or an object store.

* ``store``: the port ``BlobStore``, its errors, and the protocols of what only some stores can do.
* ``stores``: opens the store that the settings name.
* ``local``: blobs as files of a folder.
* ``object``: blobs as objects of S3, GCS or Azure.
* ``object_writer``: an upload into an object store, in parts if it is large.
* ``memory``: blobs in memory, for tests.
* ``cache``: blobs as local files for programs that read paths, fetched when needed.
* ``checking``: reading with verification: damaged bytes are never read to the end.
* ``copying``: copies all blobs of one store to another.
* ``hashing``: digests of bytes and files.
* ``opening``: opens a file in a thread, without leaking it on cancellation.
* ``signing``: presigned S3 URLs.
"""
