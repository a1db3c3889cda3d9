"""
The same work, tuned: asyncio, one HTTP session, libjpeg-turbo on whole buffers in a thread of its own, calls to Triton on
one channel, and, with SHARED_MEMORY=1, tensors in shared memory. It keeps no records.
"""

import asyncio
import contextlib
import json
import os
import signal
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import aiohttp
import grpc
import numpy
import simplejpeg
import tritonclient.grpc.aio as triton
import tritonclient.utils.shared_memory as shared_memory
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport

AT_ONCE = 32
REGION_BYTES = 40_000_000
SHARED = os.environ.get("SHARED_MEMORY") == "1"
project, storage = os.environ["GOOGLE_CLOUD_PROJECT"], os.environ["STORAGE_EMULATOR_HOST"]
codecs = ThreadPoolExecutor(2)


class Region:
    """A piece of shared memory for the input of a request, and one for its output."""

    def __init__(self, number):
        self.names = [f"tuned-{os.getpid()}-{number}-{side}" for side in ("in", "out")]
        self.handles = [shared_memory.create_shared_memory_region(n, f"/{n}", REGION_BYTES) for n in self.names]

    async def register(self, server):
        for name in self.names:
            await server.register_system_shared_memory(name, f"/{name}", REGION_BYTES)

    async def infer(self, server, model, pixels):
        given, wanted = triton.InferInput("image", pixels.shape, "UINT8"), triton.InferRequestedOutput("image")
        shared_memory.set_shared_memory_region(self.handles[0], [pixels])
        given.set_shared_memory(self.names[0], pixels.nbytes)
        wanted.set_shared_memory(self.names[1], pixels.nbytes)
        await server.infer(model, [given], outputs=[wanted])
        return shared_memory.get_contents_as_numpy(self.handles[1], numpy.uint8, pixels.shape)

    def close(self):
        for handle in self.handles:
            shared_memory.destroy_shared_memory_region(handle)


async def infer(server, model, pixels):
    given = triton.InferInput("image", pixels.shape, "UINT8")
    given.set_data_from_numpy(pixels)
    return (await server.infer(model, [given])).as_numpy("image")


def place(uri):
    bucket, name = uri.removeprefix("gs://").split("/", 1)
    return bucket, quote(name, safe="")


class Worker:
    def __init__(self, server, http, publisher, subscriber):
        self.server, self.http, self.publisher, self.subscriber = server, http, publisher, subscriber
        self.subscription = f"projects/{project}/subscriptions/{os.environ['SUBSCRIPTION']}"
        self.completions = f"projects/{project}/topics/{os.environ['IMAGEN_COMPLETIONS_TOPIC']}"
        self.regions = asyncio.Queue()

    async def work(self, received):
        loop = asyncio.get_running_loop()
        job = json.loads(received.message.data)
        bucket, name = place(job["input"]["uri"])
        async with self.http.get(f"{storage}/storage/v1/b/{bucket}/o/{name}?alt=media") as response:
            response.raise_for_status()
            data = await response.read()
        pixels = (await loop.run_in_executor(codecs, simplejpeg.decode_jpeg, data))[None]
        region = await self.regions.get() if SHARED else None
        model = job["operations"][0]
        answer = await (region.infer(self.server, model, pixels) if region else infer(self.server, model, pixels))
        # 4:2:0 as in the others: the default is 4:4:4, which is more work and a larger file.
        how = {"quality": 85, "colorsubsampling": "420"}
        encode = lambda: simplejpeg.encode_jpeg(numpy.ascontiguousarray(answer[0]), **how)
        result = await loop.run_in_executor(codecs, encode)
        if region:
            self.regions.put_nowait(region)
        bucket, name = place(f"{os.environ['IMAGEN_OUTPUT_PREFIX']}{job['jobId']}.jpg")
        upload = f"{storage}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}"
        async with self.http.post(upload, data=result, headers={"content-type": "image/jpeg"}) as response:
            response.raise_for_status()
        completion = {"eventId": str(uuid.uuid4()), "jobId": job["jobId"], "status": "succeeded"}
        message = {"data": json.dumps(completion).encode()}
        await self.publisher.publish(topic=self.completions, messages=[message])
        await self.subscriber.acknowledge(subscription=self.subscription, ack_ids=[received.ack_id])

    async def pull(self):
        free, running = AT_ONCE, set()
        while True:
            response = await self.subscriber.pull(subscription=self.subscription, max_messages=free)
            for received in response.received_messages:
                task = asyncio.create_task(self.work(received))
                running.add(task)
                task.add_done_callback(running.discard)
            while len(running) >= AT_ONCE:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            free = AT_ONCE - len(running)


async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    emulator = os.environ["PUBSUB_EMULATOR_HOST"]
    publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=grpc.aio.insecure_channel(emulator)))
    subscriber = SubscriberAsyncClient(
        transport=SubscriberGrpcAsyncIOTransport(channel=grpc.aio.insecure_channel(emulator))
    )
    async with triton.InferenceServerClient(os.environ["TRITON_URL"]) as server, aiohttp.ClientSession() as http:
        worker = Worker(server, http, publisher, subscriber)
        regions = [Region(number) for number in range(8 if SHARED else 0)]
        try:
            for region in regions:
                await region.register(server)
                worker.regions.put_nowait(region)
            print("ready", flush=True)
            await worker.pull()
        finally:
            for region in regions:
                region.close()


with contextlib.suppress(asyncio.CancelledError):
    asyncio.run(main())
