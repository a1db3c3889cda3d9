"""A publisher and a subscriber that know only the README's message tables. Prints the completions as JSON lines."""
import json
import os
import sys
import threading

from google.cloud import pubsub_v1

topic, subscription, uri = sys.argv[1:4]
project = os.environ["GOOGLE_CLOUD_PROJECT"]
jobs = [
    {
        "schemaVersion": 1,
        "jobId": "python-1",
        "operations": ["style_aged", {"model": "style_comic", "version": "1"}],
        "input": {"uri": uri},
        "output": {"format": "webp", "quality": 80, "maxWidth": 100},
        "priority": "interactive",
        "metadata": {"cart": "abc", "count": 3, "nested": {"ä": [1.5, None, True]}},
    },
    {"jobId": "python-2", "operations": ["no_such_model"], "input": {"uri": uri}},
]

publisher = pubsub_v1.PublisherClient()
subscriber = pubsub_v1.SubscriberClient()
waiting = {job["jobId"] for job in jobs}
all_there = threading.Event()


def on_completion(message):
    completion = json.loads(message.data)
    print(json.dumps({"completion": completion, "attributes": dict(message.attributes)}), flush=True)
    message.ack()
    waiting.discard(completion.get("jobId"))
    if not waiting:
        all_there.set()


pull = subscriber.subscribe(subscriber.subscription_path(project, subscription), callback=on_completion)
for job in jobs:
    publisher.publish(publisher.topic_path(project, topic), json.dumps(job).encode(), model="style_aged").result(timeout=20)
ended = all_there.wait(timeout=60)
pull.cancel()
pull.result(timeout=20)
sys.exit(0 if ended else 1)
