"""The worker that one would write first: a callback for each message, in THREADS threads. It keeps no records."""

import io
import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy
import tritonclient.grpc as triton
from google.cloud import pubsub_v1, storage
from google.cloud.pubsub_v1.subscriber.scheduler import ThreadScheduler
from PIL import Image

threads = int(os.environ["THREADS"])
server = triton.InferenceServerClient(os.environ["TRITON_URL"])
buckets = storage.Client()
publisher = pubsub_v1.PublisherClient()
subscriber = pubsub_v1.SubscriberClient()
completions = publisher.topic_path(os.environ["GOOGLE_CLOUD_PROJECT"], os.environ["IMAGEN_COMPLETIONS_TOPIC"])
jobs = subscriber.subscription_path(os.environ["GOOGLE_CLOUD_PROJECT"], os.environ["SUBSCRIPTION"])


def work(message):
    job = json.loads(message.data)
    picture = Image.open(io.BytesIO(storage.Blob.from_uri(job["input"]["uri"], buckets).download_as_bytes()))
    pixels = numpy.asarray(picture.convert("RGB"))[None]
    given = triton.InferInput("image", pixels.shape, "UINT8")
    given.set_data_from_numpy(pixels)
    answer = server.infer(job["operations"][0], [given]).as_numpy("image")[0]
    result = io.BytesIO()
    Image.fromarray(answer).save(result, "JPEG", quality=85)
    output = f"{os.environ['IMAGEN_OUTPUT_PREFIX']}{job['jobId']}.jpg"
    storage.Blob.from_uri(output, buckets).upload_from_string(result.getvalue(), "image/jpeg")
    completion = {"eventId": str(uuid.uuid4()), "jobId": job["jobId"], "status": "succeeded"}
    publisher.publish(completions, json.dumps(completion).encode()).result()
    message.ack()


flow = pubsub_v1.types.FlowControl(max_messages=threads)
pulling = subscriber.subscribe(jobs, work, flow_control=flow, scheduler=ThreadScheduler(ThreadPoolExecutor(threads)))
print("ready", flush=True)
pulling.result()
