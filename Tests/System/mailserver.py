"""A mail server as a city's IT department runs it: STARTTLS, sign-in, and a bad day now and then."""

import asyncio
import datetime
import email
import email.policy
import ssl

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Makes certificates; its own is the file that clients trust."""

    def __init__(self, folder, name="Test authority"):
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key, authority=True)
        self.file = folder / f"{name.replace(' ', '-')}.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.file.chmod(0o644)

    def _sign(self, subject, key, authority=False, host=None):
        now = datetime.datetime.now(datetime.timezone.utc)
        made = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=7))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True))
        if host:
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return made.sign(self.key, hashes.SHA256())

    def context(self, host):
        """What a server for `host` shows."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), key, host=host)
        file = self.folder / f"{host}-{certificate.serial_number:x}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


class MailServer:
    """Takes mails only from who has signed in inside TLS. What it does next is set by the test."""

    def __init__(self, port, context, user, password):
        self.port, self.user, self.password = port, user, password
        self.context = context  # of connections to come
        self.mails = []  # (recipient, bytes)
        self.recipients = {}  # address: answers to the next RCPT TO
        self.ends = {}  # address: answers to the next mail; "drop" takes it and hangs up without a word
        self.silent = False  # says nothing to EHLO
        self.in_clear = {}  # command: bytes that who sits on the line adds to its answer while it is in clear
        self.sign_ins = 0  # how often somebody showed a password
        outer = self

        class Server(SMTP):
            async def smtp_EHLO(self, hostname):
                if outer.silent:
                    await asyncio.sleep(40)
                await super().smtp_EHLO(hostname)

            async def push(self, status):
                command = {"250 HELP": "EHLO", "220 Ready to start TLS": "STARTTLS"}.get(status)
                more = b"" if self.session.ssl else outer.in_clear.get(command, b"")
                if more:
                    # In one segment with the answer.
                    self._writer.write(status.encode() + b"\r\n" + more)
                    await self._writer.drain()
                else:
                    await super().push(status)

        class MailController(Controller):
            def factory(self):
                return Server(
                    outer, hostname="localhost", tls_context=outer.context, require_starttls=True, auth_required=True,
                    auth_require_tls=True, authenticator=outer._authenticate)

        self._controller = MailController(self, hostname="127.0.0.1", port=port)
        self._controller.start()

    def _authenticate(self, _server, _session, _envelope, _mechanism, data):
        self.sign_ins += 1
        right = (data.login.decode(), data.password.decode()) == (self.user, self.password)
        return AuthResult(success=right, handled=right)

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        waiting = self.recipients.get(address)
        answer = waiting.pop(0) if waiting else "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, _session, envelope):
        address = envelope.rcpt_tos[0]
        waiting = self.ends.get(address)
        answer = waiting.pop(0) if waiting else "250 OK"
        if answer.startswith(("250", "drop")):
            self.mails.append((address, envelope.original_content))
        if answer == "drop":
            server.transport.abort()
        return "250 OK" if answer == "drop" else answer

    def to(self, address):
        """The mails to one address: the bytes, and what a mail program makes of them."""
        return [
            (raw, email.message_from_bytes(raw, policy=email.policy.default))
            for recipient, raw in list(self.mails) if recipient == address]

    def close(self):
        self._controller.stop()
