"""Hands on the broker: sends what no service would, and copies what the services send."""

import contextlib
import json

import pika
from city import new_id, now


class Broker:
    def __init__(self, stack):
        self.stack = stack

    @contextlib.contextmanager
    def channel(self):
        connection = pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.stack.base + 2, "sluice",
            pika.PlainCredentials("control", self.stack.secret("amqp-control")), heartbeat=30,
            blocked_connection_timeout=30))
        try:
            yield connection.channel()
        finally:
            with contextlib.suppress(Exception):
                connection.close()

    def send(self, key, *bodies, **properties):
        """Publishes with confirms to where the services publish."""
        with self.channel() as channel:
            channel.confirm_delivery()
            for body in bodies:
                channel.basic_publish(
                    "city.events", key, body, pika.BasicProperties(delivery_mode=2, **properties), mandatory=True)

    @contextlib.contextmanager
    def tap(self):
        """Copies of every event that is published meanwhile: yields a function that answers with (key, body) pairs."""
        # The operator's account may make no queues of its own; for the length of a test it may.
        self.stack.broker("ctl", "set_permissions", "-p", "sluice", "control", ".*", ".*", ".*")
        copies = []
        try:
            with self.channel() as channel:
                queue = channel.queue_declare("", exclusive=True).method.queue
                channel.queue_bind(queue, "city.events", "#")

                def collect():
                    while (got := channel.basic_get(queue, auto_ack=True))[0]:
                        events = json.loads(got[2])
                        # A message is an event, or a batch of them with one key.
                        for event in events if isinstance(events, list) else [events]:
                            copies.append((got[0].routing_key, json.dumps(event, ensure_ascii=False).encode()))
                    return copies

                yield collect
        finally:
            self.stack.broker("import")

    def depth(self):
        """Messages in each queue."""
        out = self.stack.broker("ctl", "list_queues", "-p", "sluice", "name", "messages", "--formatter", "json")
        return {queue["name"]: queue["messages"] for queue in json.loads(out)}

    def waiting(self):
        """The queues that are not empty."""
        return {name: count for name, count in self.depth().items() if count}

    def memory_alarm(self, on):
        self.stack.broker("ctl", "set_vm_memory_high_watermark", "absolute", "1MB" if on else "1GB")


def event(district, kind="report.received.v1", source="intake", data=None, **changes):
    """A CloudEvent in the form of the services, with what a test changes in it."""
    identity = new_id()
    body = {
        "specversion": "1.0", "id": new_id(), "source": source, "type": kind, "time": now(), "subject": identity,
        "datacontenttype": "application/json", "district": district, "aggregateid": identity, "aggregateversion": 1,
        "lane": "r", "canary": False, "data": data if data is not None else {}, **changes}
    return json.dumps({key: value for key, value in body.items() if value is not None}).encode()
