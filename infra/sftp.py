"""The depot: puts results into the LMS's own storage by SFTP."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

import asyncssh

from core.delivery import Unanswered
from core.placement import PlaceOutcome, check_remote_path
from core.ports import ObjectReader
from infra.sftp_keys import HostKeyRule, read_private_key
from infra.sftp_session import Login, Session, SftpFailed, Times, give_the_process_a_name
from infra.sftp_upload import Upload


class SftpDepot:
    """Puts files on one server, as one user.

    `private_key` and `known_hosts` are paths or the texts themselves, `fingerprint` is what
    ssh-keygen prints; see `infra.sftp_keys`. Password and key may both be given: some servers want
    both. `connect_timeout_s` bounds connecting and logging in, `stall_timeout_s` each pause in
    which the server answers nothing, `total_timeout_s` the whole attempt. Raises ValueError
    where there is nothing to know the server by, or nothing to log in with.
    """

    def __init__(  # noqa: PLR0913 - what an operator can set
        self,
        *,
        host: str,
        port: int = 22,
        user: str,
        password: str | None = None,
        private_key: str | None = None,
        passphrase: str | None = None,
        known_hosts: str | None = None,
        fingerprint: str | None = None,
        connect_timeout_s: float,
        stall_timeout_s: float,
        total_timeout_s: float,
    ) -> None:
        if not password and not private_key:
            raise ValueError("SFTP_PASSWORD or SFTP_PRIVATE_KEY is required to log in with")
        self._login = Login(
            host=host,
            port=port,
            user=user,
            password=password or None,
            key=read_private_key(private_key, passphrase) if private_key else None,
            rule=HostKeyRule(
                host=host, port=port, known_hosts=known_hosts, fingerprint=fingerprint
            ),
        )
        self._times = Times(
            connect_s=connect_timeout_s, stall_s=stall_timeout_s, total_s=total_timeout_s
        )
        asyncssh.set_log_level(logging.CRITICAL)  # its lines name hosts and users
        give_the_process_a_name()

    def __repr__(self) -> str:
        """Show no more than what it is."""
        return "SftpDepot()"

    def place(
        self,
        path: str,
        source: Callable[[int], AbstractContextManager[ObjectReader]],
        *,
        size: int,
    ) -> PlaceOutcome:
        """Put the file in place, and return what came of it.

        A name stands for the same bytes over all attempts (a UUID for each run): so a file of
        `size` bytes at `path` is the one whose answer was lost, and is not sent again. Raises
        what `source` raises, Unavailable when it gives another number of bytes, and ValueError
        for a path that is not absolute and plain.
        """
        check_remote_path(path)
        try:
            with Session(self._login, self._times) as session:
                upload = Upload(session=session, path=path, source=source, size=size)
                return upload.run()
        except SftpFailed as failed:
            return Unanswered(reason=failed.reason)
