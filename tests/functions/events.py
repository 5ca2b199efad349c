"""CloudEvents as Google Cloud sends them, and the ways in which they travel."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent

Wire = tuple[dict[str, str], bytes]
"""Headers and body of a POST."""
TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT: Final = f"00-{TRACE}-b7ad6b7169203331-01"


def dead_letter(
    data: bytes, attributes: Mapping[str, str] | None = None, *, message_id: str = "7"
) -> CloudEvent:
    """Return what Eventarc makes of a message on the dead-letter topic."""
    message: dict[str, Any] = {
        "data": base64.b64encode(data).decode(),
        "messageId": message_id,
        "message_id": message_id,
        "publishTime": "2027-01-15T08:00:00.123Z",
        "publish_time": "2027-01-15T08:00:00.123Z",
    }
    if attributes:
        message["attributes"] = dict(attributes)
    subscription = "projects/test/subscriptions/eventarc-europe-west1-dead-letter-sub-001"
    return CloudEvent(
        {
            "type": "google.cloud.pubsub.topic.v1.messagePublished",
            "source": "//pubsub.googleapis.com/projects/test/topics/lectern-dead-letters",
            "id": message_id,
            "time": "2027-01-15T08:00:00.123Z",
            "datacontenttype": "application/json",
        },
        {"message": message, "subscription": subscription},
    )


def buried_by_pubsub(attributes: Mapping[str, str], *, deliveries: int) -> dict[str, str]:
    """Return the attributes of a message that Pub/Sub itself has moved to the dead letters."""
    return {
        **attributes,
        "CloudPubSubDeadLetterSourceDeliveryCount": str(deliveries),
        "CloudPubSubDeadLetterSourceSubscription": "lectern-transcode",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "test",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "2027-01-15T02:00:00.000+00:00",
    }


def finalized(bucket: str, name: str) -> CloudEvent:
    """Return what Eventarc makes of an object that was committed."""
    return CloudEvent(
        {
            "type": "google.cloud.storage.object.v1.finalized",
            "source": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
            "subject": f"objects/{name}",
            "id": "8123456789",
            "time": "2027-01-15T08:00:00.123Z",
            "datacontenttype": "application/json",
        },
        {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/1700000000000001",
            "name": name,
            "bucket": bucket,
            "generation": "1700000000000001",
            "metageneration": "1",
            "contentType": "video/mp4",
            "size": "13",
        },
    )


def binary(event: CloudEvent) -> Wire:
    """Return the event as Eventarc sends it: attributes as headers, the data as the body."""
    headers, body = to_binary(event)
    return {**headers, "Content-Type": "application/json"}, body


def structured(event: CloudEvent) -> Wire:
    """Return the event as one JSON document."""
    return to_structured(event)


def push(event: CloudEvent) -> Wire:
    """Return a dead letter as a push subscription without Eventarc sends it."""
    data: dict[str, Any] = event.get_data() or {}
    body = {**data, "deliveryAttempt": 3}
    return {"Content-Type": "application/json"}, json.dumps(body).encode()


FORMS: Final[Mapping[str, Callable[[CloudEvent], Wire]]] = {
    "binary": binary,
    "structured": structured,
}
