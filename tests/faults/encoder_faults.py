"""Every way in which an encoder fails, and what must become of it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

from core.errors import (
    BadOutput,
    DamagedSource,
    EncodeFailed,
    EncoderKilled,
    EncoderStalled,
    LecternError,
    MediaTooComplex,
    ScratchFull,
    StepTimedOut,
)

_SHORT_S: Final = 2.0
"""The whole budget, where nothing but the budget ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What the encoder does, and the error that names it; `ends` is None where all is well."""

    name: str
    does: str
    ends: type[LecternError] | None
    says: str = ""
    budget_s: float = 20.0


def _fault(
    name: str,
    ends: type[LecternError] | None,
    does: str,
    *,
    says: str = "",
    budget_s: float = 20.0,
) -> Fault:
    return Fault(name=name, does=does, ends=ends, says=says, budget_s=budget_s)


def _partly(percent: int, ending: str) -> str:
    return (
        f"whole = data('good'); write(whole[:len(whole) * {percent} // 100])\n"
        f"tell(told('good') * {percent} // 100, {percent} / 100, 'continue'); {ending}"
    )


def _killed() -> list[Fault]:
    """Ended from outside, at any point: another try may help."""
    return [
        *(
            _fault(f"killed at {at}%", EncoderKilled, _partly(at, "die(9)"), says="SIGKILL")
            for at in (0, 10, 50, 99, 100)
        ),
        *(
            _fault(f"dies of {name}", EncoderKilled, _partly(50, f"die(signal.{name})"), says=name)
            for name in ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGPIPE", "SIGALRM")
        ),
        _fault(
            "dies of a real-time signal", EncoderKilled, "die(signal.SIGRTMIN + 3)", says="signal"
        ),
        _fault(
            "leaves a valid file after SIGTERM, as FFmpeg does",
            EncoderKilled,
            "write(data('half')); tell(told('half')); sys.exit(255)",
        ),
    ]


def _crashed() -> list[Fault]:
    """Ended by itself over this file: final."""
    crashes = (
        signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP,
    )  # fmt: skip
    return [
        *(
            _fault(
                f"crashes with {number.name}",
                EncodeFailed,
                _partly(50, f"die({int(number)})"),
                says=number.name,
            )
            for number in crashes
        ),
        _fault(
            "uses up its computing time",
            MediaTooComplex,
            "resource.setrlimit(resource.RLIMIT_CPU, (1, 5))\nn = 0\n"
            "while True: n += 1; tell(n, n, 'continue')",
        ),
        *(
            _fault(
                f"ends with status {status} after a good output",
                EncodeFailed,
                f"give(); sys.exit({status})",
            )
            for status in (1, 2, 69, 127, 139, 254)
        ),
        _fault(
            "says why it cannot go on",
            EncodeFailed,
            "say('[dec:h264 @ 0x55] /var/secret/source: Invalid data\\n', 2); sys.exit(69)",
            says="cannot be encoded: the file: Invalid data",
        ),
        _fault(
            "finds too many errors",
            DamagedSource,
            "say('Decode error rate 0.9 exceeds maximum 0.66\\n', 2); sys.exit(69)",
        ),
        _fault(
            "runs out of memory and says so",
            MediaTooComplex,
            "say('Error: Cannot allocate memory\\n', 2); sys.exit(244)",
        ),
        _fault("eats all the memory it may have", EncodeFailed, "hog = b'x' * (7 << 30); hang()"),
        _fault(
            "opens files until there are no more",
            EncodeFailed,
            "kept = [open('source') for _ in range(100000)]; hang()",
        ),
        _fault("speaks no text", EncodeFailed, "say(bytes(range(256)) * 64, 2); sys.exit(1)"),
    ]


def _wrong_outputs() -> list[Fault]:
    """Status 0, and an output that is not what was planned."""
    shapes = {
        "half": "lasts",
        "late": "sound and picture moved",
        "index_last": "index",
        "silent": "holds",
        "blind": "holds",
        "mpeg4": "codec is mpeg4",
        "smaller": "96x72",
        "full_range": "full range",
        "444": "yuv444p",
        "oblong": "not square",
        "mp3": "not aac",
        "twice": "holds",
        "slow": "lasts",
    }
    return [
        *(
            _fault(f"hands out one that is {shape}", BadOutput, f"give({shape!r})", says=says)
            for shape, says in shapes.items()
        ),
        _fault("hands out none", BadOutput, "tell(25)", says="no file"),
        _fault("hands out an empty one", BadOutput, "write(b''); tell(25)"),
        *(
            _fault(
                f"hands out the first {at}% of one",
                BadOutput,
                f"write(data('good')[:len(data('good')) * {at} // 100]); tell(25)",
            )
            for at in (1, 50, 99)
        ),
        _fault("hands out noise", BadOutput, "write(os.urandom(4096)); tell(25)"),
        _fault("hands out text", BadOutput, "write(b'#EXTM3U\\n../../other.mp4\\n'); tell(25)"),
        _fault(
            "hands out one with no index",
            BadOutput,
            "write(data('good').replace(b'moov', b'free', 1)); tell(25)",
        ),
        _fault(
            "hands out the source itself",
            BadOutput,
            "write(open('source', 'rb').read()); tell(25)",
        ),
        _fault(
            "hands out a link to a good one",
            BadOutput,
            "write(data('good'), 'aside'); os.symlink('aside', out); tell(told('good'))",
            says="no file",
        ),
        _fault(
            "hands out a link to the source",
            BadOutput,
            "os.symlink('source', out); tell(25)",
            says="no file",
        ),
        _fault(
            "hands out a link to endless zeros",
            BadOutput,
            "os.symlink('/dev/zero', out); tell(25)",
            says="no file",
        ),
        _fault("hands out a pipe", BadOutput, "os.mkfifo(out); tell(25)", says="no file"),
        _fault("hands out a folder", BadOutput, "os.mkdir(out); tell(25)", says="no file"),
        _fault(
            "hands out a good one and miscounts its frames",
            BadOutput,
            "write(data('good')); tell(24)",
            says="frames",
        ),
        _fault(
            "hands out a good one without a word",
            BadOutput,
            "write(data('good'))",
            says="did not say",
        ),
        _fault(
            "hands out one that grows past its bound",
            BadOutput,
            "write(os.urandom(64)); file = open(out, 'ab')\nwhile True: file.write(bytes(65536))",
            says="larger than the source",
        ),
        _fault(
            "says that its file grew too large",
            BadOutput,
            "say('av_interleaved_write_frame(): File too large\\n', 2); sys.exit(229)",
            says="larger than the source",
        ),
    ]


def _hung() -> list[Fault]:
    """It does not end by itself."""
    return [
        _fault("stops itself", EncoderStalled, _partly(50, "die(signal.SIGSTOP)")),
        _fault("sleeps", EncoderStalled, _partly(50, "hang()")),
        _fault("computes for ever in silence", EncoderStalled, "while True: pass"),
        _fault(
            "ignores every signal that can be ignored",
            EncoderStalled,
            "for n in set(signal.Signals) - {9, 19}: signal.signal(n, signal.SIG_IGN)\nhang()",
        ),
        _fault("closes its standard output and sleeps", EncoderStalled, "os.close(1); hang()"),
        _fault("closes all it has and sleeps", EncoderStalled, "os.closerange(0, 256); hang()"),
        _fault(
            "complains for ever", EncoderStalled, "while True: say('error while decoding\\n', 2)"
        ),
        _fault("writes one line without an end", EncoderStalled, "while True: say('x' * 65536)"),
        _fault("writes noise for ever", EncoderStalled, "while True: say(os.urandom(4096))"),
        _fault(
            "counts the same frame for ever", EncoderStalled, "while True: tell(7, 0.2, 'continue')"
        ),
        _fault(
            "gets on for ever",
            StepTimedOut,
            "n = 0\nwhile True: n += 1; tell(n, n, 'continue'); time.sleep(0.01)",
            budget_s=_SHORT_S,
        ),
        _fault(
            "goes back and forth for ever",
            StepTimedOut,
            "while True: tell(9, 9, 'continue'); tell(1, 1, 'continue'); time.sleep(0.01)",
            budget_s=_SHORT_S,
        ),
    ]


def _offspring() -> list[Fault]:
    """It tries to leave something behind."""
    outlive = "time.sleep(3600)"
    return [
        _fault("forks", EncodeFailed, f"os.fork() or {outlive}; give()"),
        _fault(
            "forks into a session of its own",
            EncodeFailed,
            f"if os.fork() == 0: os.setsid(); {outlive}\ngive()",
        ),
        _fault(
            "forks twice, into a session of its own, with all signals ignored",
            EncodeFailed,
            "if os.fork() == 0:\n os.setsid()\n if os.fork(): os._exit(0)\n"
            f" signal.signal(15, signal.SIG_IGN); os.chdir('/'); {outlive}\ngive()",
        ),
        _fault(
            "starts a program that holds its pipes",
            EncodeFailed,
            "import subprocess; subprocess.Popen(['/bin/sleep', '3600']); give()",
        ),
        _fault(
            "starts a program and forgets its refusal",
            None,
            "import subprocess\ntry: subprocess.Popen(['/bin/sleep', '3600'])\n"
            "except OSError: pass\ngive()",
        ),
        _fault("becomes another program", EncoderStalled, "os.execv('/bin/sleep', ['s', '3600'])"),
        _fault(
            "kills the worker that started it",
            EncodeFailed,
            "os.kill(os.getppid(), signal.SIGKILL); give()",
            says="Permission denied",
        ),
        _fault(
            "kills everybody",
            EncodeFailed,
            "os.kill(-1, signal.SIGKILL); give()",
            says="Permission denied",
        ),
        _fault(
            "takes the worker's computing time away",
            EncodeFailed,
            "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1)); give()",
            says="Permission denied",
        ),
        _fault(
            "opens a socket",
            EncodeFailed,
            "import socket; socket.create_connection(('127.0.0.1', 80)); give()",
            says="Permission denied",
        ),
        _fault("starts a hundred threads", None, _THREADS),
    ]


_THREADS: Final = """
import threading
for _ in range(100):
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
give()
os._exit(0)
"""


def _litter() -> list[Fault]:
    """It leaves more in its folder than it should, or less."""
    return [
        _fault("fills its disk", ScratchFull, "argv[-1] = 'file:/dev/full'; real()"),
        _fault(
            "leaves a thousand files",
            None,
            "for n in range(1000): write(b'', f'litter-{n}')\ngive()",
        ),
        _fault("leaves a tree twelve hundred folders deep", None, _DEEP),
        _fault(
            "leaves folders that nobody may enter",
            None,
            "os.mkdir('shut'); write(b'x', 'shut/file'); os.chmod('shut', 0); give()",
        ),
        _fault(
            "leaves files with names that are no text",
            None,
            "write(b'x', b'\\xff\\n\\x01'); write(b'x', '-rf'); give()",
        ),
        _fault(
            "leaves links to the worker's own files",
            None,
            "os.symlink(os.path.dirname(GIVEN), 'link'); os.symlink('/etc', 'etc'); give()",
        ),
        _fault("dumps a core", EncodeFailed, "resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))"),
        _fault("removes its source", None, "os.unlink('source'); give()"),
        _fault(
            "removes its source and fails",
            EncodeFailed,
            "os.unlink('source'); sys.exit(1)",
        ),
        _fault(
            "removes its whole folder",
            EncoderKilled,
            "import shutil; shutil.rmtree(os.getcwd()); tell(25)",
        ),
        _fault(
            "shuts its own folder",
            BadOutput,
            "give(); os.chmod('.', 0)",
        ),
    ]


_DEEP: Final = """
give()
for _ in range(1200):
    os.mkdir("d")
    os.chdir("d")
"""


def _told_nonsense() -> list[Fault]:
    """Its output is good, but what it tells of it is not."""

    def telling(lines: str) -> str:
        return f"write(data('good')); say({lines}); tell(told('good'))"

    return [
        _fault("runs backwards", None, telling("''.join(f'out_time_us={n}\\n' for n in range(99999, 0, -999))")),  # noqa: E501
        _fault("tells numbers of thousands of digits", None, telling("'out_time_us=' + '9' * 60000 + '\\n'")),  # noqa: E501
        _fault("tells numbers beyond any float", None, telling("'out_time_us=' + '9' * 4000 + '\\n'")),  # noqa: E501
        _fault("tells times past the end", None, telling("'out_time_us=99999999999\\n'")),
        _fault("tells times that are none", None, telling("'out_time_us=N/A\\nframe=-1\\nframe=nan\\nout_time_us=-9\\n'")),  # noqa: E501
        _fault("tells times in other numerals", None, telling("'frame=٣\\nframe=²\\n'")),
        _fault("ends its lines with nothing", None, "write(data('good')); say('progress=continue\\n' * 9000); tell(told('good'))"),  # noqa: E501
        _fault("writes noise first", None, "write(data('good')); say(os.urandom(300000) + b'\\n'); tell(told('good'))"),  # noqa: E501
_fault("complains at length, then ends well", None, "for _ in range(20000): say('x' * 99 + '\\n', 2)\ngive()"),  # noqa: E501
    ]  # fmt: skip


FAULTS: Final = (
    *_killed(),
    *_crashed(),
    *_wrong_outputs(),
    *_hung(),
    *_offspring(),
    *_litter(),
    *_told_nonsense(),
)
