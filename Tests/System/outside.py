"""What is outside of the city's own systems: a street office's webhook receiver, and its mailbox."""

import email
import email.policy
import http.server
import json
import re
import threading


class Hook:
    """Receives webhooks, and keeps all that came with headers and bytes as they were."""

    def __init__(self, port):
        self.port, self.calls, self.status = port, [], 204
        # By path: the answers to the next calls, as (status, headers); afterwards `status` again.
        self.answers = {}
        self._lock = threading.Lock()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with hook._lock:
                    hook.calls.append({"path": self.path, "headers": dict(self.headers.items()), "body": body})
                    waiting = hook.answers.get(self.path)
                    status, headers = waiting.pop(0) if waiting else (hook.status, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def about(self, case_id):
        with self._lock:
            calls = list(self.calls)
        return [call for call in calls if json.loads(call["body"])["data"].get("case_id") == case_id]

    def at(self, path):
        with self._lock:
            return [call for call in self.calls if call["path"] == path]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Mailbox:
    """The maildir into which the demonstration's mail server delivers."""

    def __init__(self, folder):
        self.folder = folder / "new"

    def about(self, number):
        """Mails about the case with this number, as (message, text)."""
        line = re.compile(rf"^(案件编号：|Case: ){number}$", re.MULTILINE)
        found = []
        for file in sorted(self.folder.iterdir()):
            try:
                mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            except FileNotFoundError:
                continue
            text = mail.get_content()
            if line.search(text):
                found.append((mail, text))
        return found
