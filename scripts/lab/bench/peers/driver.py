"""Sends the same tensor to a model as fast as it can, and prints the requests a second: driver.py MODEL SIDE COUNT shm|unary."""

import asyncio
import os
import sys
import time

import numpy
import tritonclient.grpc.aio as triton
import tritonclient.utils.shared_memory as shared_memory

AT_ONCE = 4
model, side, count, carrier = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
pixels = numpy.random.default_rng(1).integers(0, 256, (1, side, side, 3), dtype=numpy.uint8)


async def unary(server, _):
    given = triton.InferInput("image", pixels.shape, "UINT8")
    given.set_data_from_numpy(pixels)
    return (await server.infer(model, [given])).as_numpy("image")


async def shared(server, handles):
    given, wanted = triton.InferInput("image", pixels.shape, "UINT8"), triton.InferRequestedOutput("image")
    shared_memory.set_shared_memory_region(handles[0][1], [pixels])
    given.set_shared_memory(handles[0][0], pixels.nbytes)
    wanted.set_shared_memory(handles[1][0], pixels.nbytes)
    await server.infer(model, [given], outputs=[wanted])
    return shared_memory.get_contents_as_numpy(handles[1][1], numpy.uint8, pixels.shape).copy()


async def regions(server, number):
    names = [f"driver-{os.getpid()}-{number}-{kind}" for kind in ("in", "out")]
    handles = [shared_memory.create_shared_memory_region(name, f"/{name}", pixels.nbytes) for name in names]
    for name in names:
        await server.register_system_shared_memory(name, f"/{name}", pixels.nbytes)
    return list(zip(names, handles, strict=True))


async def main():
    async with triton.InferenceServerClient(os.environ["TRITON_URL"]) as server:
        lanes = [await regions(server, number) if carrier == "shm" else None for number in range(AT_ONCE)]
        call = shared if carrier == "shm" else unary

        async def lane(handles, many):
            for _ in range(many):
                await call(server, handles)

        await asyncio.gather(*(lane(handles, 5) for handles in lanes))
        begun = time.perf_counter()
        await asyncio.gather(*(lane(handles, count // AT_ONCE) for handles in lanes))
        print(count / (time.perf_counter() - begun))
        for pair in lanes:
            for name, handle in pair or []:
                await server.unregister_system_shared_memory(name)
                shared_memory.destroy_shared_memory_region(handle)


asyncio.run(main())
