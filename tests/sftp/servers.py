"""SFTP servers to deliver to: OpenSSH's as it is, and one in this process that can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import asyncssh
import pytest

from tests.sftp.keys import KeyFile

PASSWORD = "hush-password"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that listens, the folder that it stores in, and the keys it knows and shows."""

    port: int
    user: str
    folder: Path
    host_keys: Sequence[KeyFile]
    user_key: KeyFile

    def known_hosts(self, *kinds: str) -> str:
        """Return its host keys, or those of some types only, as ssh-keyscan prints them."""
        return "".join(
            f"[127.0.0.1]:{self.port} {each.line}\n"
            for each in self.host_keys
            if not kinds or each.line.split()[0] in kinds
        )


# --- OpenSSH ----------------------------------------------------------------------------------

_CONFIG = """
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
UseDNS no
Subsystem sftp internal-sftp {options}
AuthorizedKeysFile {authorized}
"""


def find_sshd() -> str:
    """Return OpenSSH's server; skips the test where it is not installed.

    With LECTERN_REQUIRE_EMULATORS it fails instead.
    """
    path = shutil.which("sshd", path=os.defpath + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        _give_up("OpenSSH's server is not installed: apt-get install openssh-server")
    return path


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("LECTERN_REQUIRE_EMULATORS"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextlib.contextmanager
def openssh(
    folder: Path,
    *,
    host_keys: Sequence[KeyFile],
    user_key: KeyFile,
    options: str = "",
    config: str = "",
    file_blocks_max: int | None = None,
) -> Iterator[Server]:
    """Run OpenSSH's server, as this user, one process for each connection.

    `options` go to its SFTP part, `config` to its settings. With `file_blocks_max` no file can
    become longer than so many blocks of 512 bytes: what goes beyond fails, as on a full disk.
    """
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # it insists
    authorized = folder / "authorized_keys"
    authorized.write_text(user_key.line + "\n")
    settings = folder / "sshd_config"
    keys = "".join(f"HostKey {each.path}\n" for each in host_keys)
    settings.write_text(keys + _CONFIG.format(options=options, authorized=authorized) + config)
    argv = [find_sshd(), "-i", "-e", "-f", str(settings)]
    if file_blocks_max is not None:
        limit = f'ulimit -f {file_blocks_max}; trap "" XFSZ; exec "$@"'
        argv = ["/bin/sh", "-c", limit, "sh", *argv]
    storage = folder / "storage"
    storage.mkdir()
    with _Listener(argv) as port:
        yield Server(
            port=port,
            user=getpass.getuser(),
            folder=storage,
            host_keys=host_keys,
            user_key=user_key,
        )


class _Listener:
    """Gives each connection to a process of its own, as inetd does: so any free port will do."""

    def __init__(self, argv: list[str]) -> None:
        self._argv = argv
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> int:
        self._thread.start()
        port: int = self._socket.getsockname()[1]
        return port

    def __exit__(self, *_exc: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        for process in self._processes:
            process.terminate()
            process.wait()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                wire = connection.fileno()
                self._processes.append(
                    subprocess.Popen(self._argv, stdin=wire, stdout=wire, stderr=subprocess.DEVNULL)
                )


# --- in this process --------------------------------------------------------------------------


class Behaviour(asyncssh.SFTPServer):
    """Stores files as they come; a subclass misbehaves."""

    def cut(self) -> None:
        """Drop the connection at once."""
        self.channel.get_connection().abort()


class _Door(asyncssh.SSHServer):
    """Lets one user in, by key or password."""

    def __init__(self, user: str) -> None:
        self._user = user

    def begin_auth(self, username: str) -> bool:
        del username
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (self._user, PASSWORD)


@contextlib.contextmanager
def in_process(
    folder: Path,
    *,
    host_keys: Sequence[KeyFile],
    user_key: KeyFile,
    behaviour: Callable[[Any], asyncssh.SFTPServer] = Behaviour,
    certificates: Sequence[asyncssh.SSHCertificate] = (),
) -> Iterator[Server]:
    """Run a server in a thread of this process; `certificates` vouch for its first host keys."""
    storage = folder / "storage"
    storage.mkdir()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()

        async def listen() -> asyncssh.SSHAcceptor:
            return await asyncssh.listen(
                "127.0.0.1",
                0,
                server_factory=lambda: _Door("somebody"),
                server_host_keys=[each.key for each in host_keys],
                server_host_certs=list(certificates),
                authorized_client_keys=asyncssh.import_authorized_keys(user_key.line),
                sftp_factory=behaviour,
                config=None,
            )

        acceptor = runner.run(listen())
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield Server(
                port=acceptor.get_port(),
                user="somebody",
                folder=storage,
                host_keys=host_keys,
                user_key=user_key,
            )
        finally:
            asyncio.run_coroutine_threadsafe(_close(acceptor), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


async def _close(acceptor: asyncssh.SSHAcceptor) -> None:
    acceptor.close()
    await acceptor.wait_closed()
