"""A site that hosts one model: its file in slow parts, and its metadata as Hugging Face has it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FACTS = json.dumps({"id": "some/model", "author": "some", "cardData": {"license": "apache-2.0"}}).encode()
PARTS, PAUSE_S = 4, 0.5


@contextmanager
def model_site(content: bytes) -> Iterator[str]:
    """Its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_file = not self.path.startswith("/api/")
            body = content if is_file else FACTS
            self.send_response(200)
            self.send_header("content-type", "application/octet-stream" if is_file else "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # who asks for the size only does not read on
                for start in range(0, len(body), size := len(body) // PARTS + 1):
                    self.wfile.write(body[start : start + size])
                    time.sleep(PAUSE_S if is_file else 0)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
