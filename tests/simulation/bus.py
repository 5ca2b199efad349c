"""A bus that brings messages late, twice, out of order, or not at all."""

from __future__ import annotations

from collections.abc import Callable

from core.messages import Message, Topic
from core.ports import Handout
from tests.simulation.promises import Promises
from tests.simulation.trouble import Trouble


class Letter:
    """A message on its way; who holds its `receipt` disposes of it."""

    __slots__ = ("deliveries", "due_at", "message", "receipt")

    def __init__(self, message: Message, due_at: float) -> None:
        self.message = message
        self.due_at = due_at
        self.deliveries = 0
        self.receipt: str | None = None


_BACKOFF_S = 10.0, 600.0
"""The first and the longest pause after a refused push."""


class SimBus:
    """A MessageBus that merges equal messages of which none is in hand.

    One that `pushes` is as Pub/Sub is: it merges none, and keeps none back until it is due.
    """

    pushes = False

    def __init__(self, trouble: Trouble, promises: Promises, roll: Callable[[], float]) -> None:
        self.letters: list[Letter] = []
        self.dead: list[tuple[Message, str]] = []
        self._trouble = trouble
        self._promises = promises
        self._roll = roll
        self._receipts = 0

    def publish(self, message: Message, *, delay_s: float = 0.0) -> None:
        """Keep the message, or lose it, or keep it twice."""
        trouble = self._trouble
        trouble.enter("bus", "publish")
        self._promises.published(message)
        weather = trouble.weather
        if weather.lost and self._roll() < weather.lost:
            trouble.coverage["message", "lost"] += 1
            trouble.say("    the message is lost")
            return
        if self.pushes:
            self.letters.append(Letter(message, trouble.hub.now))
        else:
            self._put(message, trouble.hub.now + delay_s)
        if weather.doubled and self._roll() < weather.doubled:
            trouble.coverage["message", "doubled"] += 1
            self.letters.append(Letter(message, trouble.hub.now + 10 * self._roll()))
        trouble.leave("bus", "publish")

    def receive(self, topic: Topic, *, lease_s: float) -> Handout | None:
        """Hand any due message out."""
        self._trouble.enter("bus", "receive")
        letter = self.take(topic, hide_s=lease_s)
        if letter is None or letter.receipt is None:
            return None
        handout = Handout(
            message=letter.message, receipt=letter.receipt, deliveries=letter.deliveries
        )
        self._trouble.leave("bus", "receive")
        return handout

    def take(self, topic: Topic, *, hide_s: float) -> Letter | None:
        """Take any due message, and hide it from others for a while."""
        now = self._trouble.hub.now
        due = [
            letter
            for letter in self.letters
            if letter.due_at <= now and letter.message.topic is topic
        ]
        if not due:
            return None
        letter = due[int(self._roll() * len(due))]
        if letter is not self.letters[0]:
            self._trouble.coverage["message", "out of order"] += 1
        letter.deliveries += 1
        letter.due_at = now + hide_s
        self._receipts += 1
        letter.receipt = str(self._receipts)
        return letter

    def drop(self, letter: Letter) -> None:
        """Drop a message that was pushed and taken."""
        if letter in self.letters:
            self.letters.remove(letter)

    def refuse(self, letter: Letter, receipt: str | None, deliveries_max: int) -> None:
        """Push the message again, later and later, until it was refused too often."""
        if letter not in self.letters or letter.receipt != receipt:
            return
        letter.receipt = None
        first_s, longest_s = _BACKOFF_S
        pause_s = min(first_s * 2.0 ** (letter.deliveries - 1), longest_s)
        letter.due_at = self._trouble.hub.now + pause_s
        if letter.deliveries >= deliveries_max:
            self._trouble.coverage["push", "buried"] += 1
            self.letters.remove(letter)
            self.dead.append((letter.message, "refused too often"))

    def ack(self, handout: Handout) -> None:
        """Drop the message, unless it was handed to another since."""
        self._trouble.enter("bus", "ack")
        if letter := self._held(handout):
            self.letters.remove(letter)
        self._trouble.leave("bus", "ack")

    def nack(self, handout: Handout, *, delay_s: float) -> None:
        """Take the message back."""
        self._trouble.enter("bus", "nack")
        if letter := self._held(handout):
            letter.due_at = self._trouble.hub.now + delay_s
            letter.receipt = None
        self._trouble.leave("bus", "nack")

    def bury(self, handout: Handout, reason: str) -> None:
        """Make the message a dead letter."""
        self._trouble.enter("bus", "bury")
        if letter := self._held(handout):
            self.letters.remove(letter)
            self.dead.append((letter.message, reason))
        self._trouble.leave("bus", "bury")

    def depth(self, topic: Topic) -> int:
        """Count the messages."""
        return sum(letter.message.topic is topic for letter in self.letters)

    def lose(self, number: int) -> None:
        """Lose a message that waits."""
        del self.letters[number]

    def give_up(self, number: int) -> None:
        """Bury a message that waits, as a bus does after too many deliveries."""
        letter = self.letters.pop(number)
        self.dead.append((letter.message, "the bus gave it up"))

    def _put(self, message: Message, due_at: float) -> None:
        for letter in self.letters:
            if letter.receipt is None and letter.message == message:
                letter.due_at = min(letter.due_at, due_at)
                return
        self.letters.append(Letter(message, due_at))

    def _held(self, handout: Handout) -> Letter | None:
        return next((each for each in self.letters if each.receipt == handout.receipt), None)
