"""Passes TCP connections on, as a router would: relay.py LISTEN_ADDRESS:PORT ADDRESS:PORT [DELAY_MILLISECONDS]."""

import asyncio
import sys


def place(text):
    address, port = text.rsplit(":", 1)
    return address, int(port)


async def pump(reader, writer, delay):
    try:
        while data := await reader.read(65536):
            await asyncio.sleep(delay)
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def main(listen, target, delay):
    async def taken(reader, writer):
        try:
            onward = await asyncio.open_connection(*target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, onward[1], delay), pump(onward[0], writer, delay))
        writer.close()
        onward[1].close()

    server = await asyncio.start_server(taken, *listen)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(place(sys.argv[1]), place(sys.argv[2]), float(sys.argv[3]) / 1000 if len(sys.argv) > 3 else 0.0))
