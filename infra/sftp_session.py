"""One SFTP connection, used step by step from synchronous code.

asyncssh lives in an event loop, which has a thread of its own while a session is open. The
caller's thread starts steps there and waits for them; so it, and not the loop, is what a signal
interrupts, and it alone reads the file that is sent.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import getpass
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

import asyncssh

from infra.sftp_keys import KEY_TYPES, HostKeyRule, Trusted, algorithms_for

_T = TypeVar("_T")

_CIPHERS: Final = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)
"""AES-GCM first: it sends 1.6 to 2 times as fast as asyncssh's first choice, ChaCha20."""
_CLOSE_S: Final = 2.0
"""Seconds for taking leave; then the connection is dropped."""
_SOCKET_FAILURES: Final = (
    (socket.gaierror, "name not found"),
    (UnicodeError, "name not found"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionError, "connection lost while connecting"),
)
"""The first kind that fits has the word."""
_LOST: Final = (
    asyncssh.DisconnectError,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    OSError,
    concurrent.futures.CancelledError,
    AssertionError,
)
"""What a step raises after the connection has ended; asyncssh asserts that there is one."""
_ASK: Final = (
    "find out whether it was changed, then correct SFTP_KNOWN_HOSTS or SFTP_FINGERPRINT; "
    "nothing was sent"
)
_NOT_BEGUN: Final = "no connection could be begun here"
"""This machine had no thread or no file to spare for one."""


_REFUSED: Final = (
    "the server refused the login: check SFTP_USER and SFTP_PASSWORD or SFTP_PRIVATE_KEY; "
    "nothing was sent"
)


class SftpFailed(Exception):
    """The attempt is over: why, in a few words out of a fixed stock."""

    @property
    def reason(self) -> str:
        """Return the words; the only thing in them that the server sent is its fingerprint."""
        return str(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds for connecting and logging in, for each pause of the server, and for all."""

    connect_s: float
    stall_s: float
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where to log in, as whom, and how the server is known; `repr` shows none of it."""

    host: str = field(repr=False)
    port: int = field(repr=False)
    user: str = field(repr=False)
    password: str | None = field(repr=False)
    key: asyncssh.SSHKey | None = field(repr=False)
    rule: HostKeyRule = field(repr=False)


class Session:
    """An open connection while its `with` statement is; leaving it always closes.

    Every method raises SftpFailed. The deadline holds for all of it but the lookup of the name,
    which the resolver bounds. What else is raised, such as an interruption by a signal, passes
    through.
    """

    sftp: asyncssh.SFTPClient

    def __init__(self, login: Login, times: Times) -> None:
        self._login = login
        self._times = times
        self._ends_at = time.monotonic() + times.total_s
        self._connection: asyncssh.SSHClientConnection | None = None
        self._in_peace = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._live, name="sftp", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._begin()
            self._connect()
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        self._in_peace = kind is None
        if self._thread.ident is None:  # it could not be started
            return
        self._ready.wait()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def start(self, step: Awaitable[_T]) -> concurrent.futures.Future[_T]:
        """Begin a step and return at once; steps begin in the order of their starts."""
        if self._loop is None:
            raise SftpFailed(_NOT_BEGUN)
        return asyncio.run_coroutine_threadsafe(_awaited(step), self._loop)

    def wait(self, begun: concurrent.futures.Future[_T], doing: str) -> _T:
        """Return what the step returns; raises the SFTPError that the server answered."""
        left_s = self.check()
        try:
            return begun.result(min(self._times.stall_s, left_s))
        except TimeoutError:
            begun.cancel()
            self.check()
            raise SftpFailed(f"no answer in {self._times.stall_s:g} s while {doing}") from None
        except _LOST as error:
            raise SftpFailed(f"connection lost while {doing}") from error

    def run(self, step: Awaitable[_T], doing: str) -> _T:
        """Do a step; `doing` says what for, as in `connection lost while renaming`."""
        return self.wait(self.start(step), doing)

    def check(self) -> float:
        """Return how many seconds are left of the attempt."""
        left_s = self._ends_at - time.monotonic()
        if left_s <= 0:
            raise SftpFailed(f"not finished in {self._times.total_s:g} s")
        return left_s

    def _begin(self) -> None:
        """Start the thread and wait for its loop, which lack of threads or files may prevent."""
        try:
            self._thread.start()
        except RuntimeError as error:
            raise SftpFailed(_NOT_BEGUN) from error
        self._ready.wait()
        if self._loop is None:
            raise SftpFailed(_NOT_BEGUN)

    def _live(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.get_loop()  # fails, where it does, before there is anything to run
                runner.run(self._serve())
        except OSError:
            if self._loop is not None:
                raise
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._over.wait()
        if self._connection is None:
            return
        if self._in_peace:
            self._connection.close()
            with contextlib.suppress(OSError, asyncssh.Error, TimeoutError):
                await asyncio.wait_for(self._connection.wait_closed(), _CLOSE_S)
        self._connection.abort()

    def _connect(self) -> None:
        """Connect, hold the server's key against the rule, and log in.

        A fingerprint does not tell the type of its key: so a server is asked for one type after
        the other, until it shows one for the second time.
        """
        by = time.monotonic() + min(self._times.connect_s, self._times.total_s)
        seen: list[asyncssh.SSHKey] = []
        while True:
            watcher = _Watcher(self._login.rule)
            try:
                self._try_login(by, watcher, seen)
            except asyncssh.HostKeyNotVerifiable as error:
                shown = watcher.shown
                others = self._login.rule.any_type and len(seen) < KEY_TYPES
                if shown is None or shown in seen or not others:
                    raise SftpFailed(_refusal(seen[0] if seen else shown)) from error
                seen.append(shown)
            else:
                return

    def _try_login(self, by: float, watcher: _Watcher, seen: list[asyncssh.SSHKey]) -> None:
        sock = self._open_socket(by)
        try:
            address = sock.getpeername()[0]
        except OSError as error:
            sock.close()
            raise SftpFailed("connection lost while connecting") from error
        trusted = self._login.rule.trusted_at(address)
        self._within(by, self._log_in(sock, trusted, algorithms_for(trusted, seen), watcher))

    def _open_socket(self, by: float) -> socket.socket:
        try:
            return socket.create_connection(
                (self._login.host, self._login.port), timeout=max(0.001, by - time.monotonic())
            )
        except TimeoutError as error:
            raise SftpFailed(self._not_connected()) from error
        except (OSError, UnicodeError) as error:
            words = (text for kind, text in _SOCKET_FAILURES if isinstance(error, kind))
            raise SftpFailed(next(words, "host not reachable")) from error

    async def _log_in(
        self, sock: socket.socket, trusted: Trusted, algorithms: list[str], watcher: _Watcher
    ) -> None:
        login = self._login
        sock.setblocking(False)
        self._connection = await asyncssh.connect(
            sock=sock,
            host_key_alias=login.host,
            port=login.port,
            client_factory=lambda: watcher,
            known_hosts=trusted,  # a true value even where empty: an untrue one means ~/.ssh
            server_host_key_algs=algorithms,
            encryption_algs=_CIPHERS,
            compression_algs=None,  # video does not get smaller
            username=login.user,
            password=login.password,
            client_keys=[login.key] if login.key else None,
            public_key_auth=login.key is not None,
            password_auth=login.password is not None,
            kbdint_auth=login.password is not None,
            # Nothing of the machine: no settings, agent, tickets, hardware or authorities.
            config=None,
            agent_path=None,
            pkcs11_provider=None,
            gss_host=None,
            host_based_auth=False,
            x509_trusted_certs=None,
            x509_trusted_cert_paths=[],
            login_timeout=0,
            connect_timeout=None,
        )
        self.sftp = await self._connection.start_sftp_client()

    def _within(self, by: float, step: Coroutine[Any, Any, None]) -> None:
        begun = self.start(step)
        try:
            begun.result(max(0.0, by - time.monotonic()))
        except TimeoutError:
            begun.cancel()
            raise SftpFailed(self._not_connected()) from None
        except asyncssh.HostKeyNotVerifiable:
            raise
        except (*_LOST, asyncssh.Error) as error:
            raise SftpFailed(_login_words(error)) from error

    def _not_connected(self) -> str:
        return f"no connection in {min(self._times.connect_s, self._times.total_s):g} s"


class _Watcher(asyncssh.SSHClient):
    """Is asked about host keys that are not known, and remembers what was shown."""

    def __init__(self, rule: HostKeyRule) -> None:
        self.shown: asyncssh.SSHKey | None = None
        self._rule = rule

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Take the key that has the fingerprint."""
        del host, addr, port
        self.shown = key
        return self._rule.fits(key)


def _refusal(shown: asyncssh.SSHKey | None) -> str:
    """Return what an operator must do about a host key."""
    if shown is None:
        return f"the server's host key is revoked or its certificate not valid: {_ASK}"
    seen = shown.get_fingerprint("sha256")
    return f"the server's host key is not the expected one but {seen}: {_ASK}"


def _login_words(error: Exception) -> str:
    if isinstance(error, asyncssh.PermissionDenied) or "authentication" in str(error):
        return _REFUSED  # OpenSSH calls too many tries an error of protocol
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return "the server and Lectern have no way of encryption in common"
    if isinstance(error, asyncssh.ChannelOpenError | asyncssh.SFTPError):
        return "the server offers no SFTP to this user"
    if isinstance(error, asyncssh.ProtocolError | asyncssh.ProtocolNotSupported):
        return "the server does not speak SSH 2"
    return "connection lost while logging in"


async def _awaited(step: Awaitable[_T]) -> _T:
    return await step


def give_the_process_a_name(of: Callable[[], str] = getpass.getuser) -> None:
    """See to it that asyncssh finds a name of the local user.

    It asks for one and uses it for nothing here; in a container the user often has none.
    """
    try:
        of()
    except (KeyError, OSError):
        os.environ.setdefault("LOGNAME", "lectern")
