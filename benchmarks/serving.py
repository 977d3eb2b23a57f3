"""The server of the lesson on shipping under load, on this machine: `python benchmarks/serving.py`.

Requests a second, median and slowest hundredth beside the forward pass alone, and memory over 10,000 requests."""
import argparse
import io
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: threads that wait must not spin

import numpy as np
import requests
import torch
from PIL import Image

from course_dl.core import seed_everything
from course_dl.export import load_predictor, networks, read_image, save_predictor

PNG = {"Content-Type": "image/png"}
START = """
import sys
from course_dl.export import serve
serve(sys.argv[1], port=int(sys.argv[2]))"""


def pictures(n=50):
    "Images as the bytes of PNG files."
    found = []
    for pixels in np.random.default_rng(0).integers(0, 256, (n, 28, 28), dtype=np.uint8):
        found.append(io.BytesIO())
        Image.fromarray(pixels).save(found[-1], "PNG")
    return [out.getvalue() for out in found]


def alone(predict, bodies, n=300):
    "Milliseconds of one answer without a server: decoding and forward pass, the median."
    torch.set_num_threads(1)
    times = []
    for i in range(n):
        start = time.perf_counter()
        predict(read_image(bodies[i % len(bodies)]))
        times.append(time.perf_counter() - start)
    return 1000*median(times)


def megabytes(process):
    "Memory that a process holds now; Linux only, else nan."
    status = Path(f"/proc/{process.pid}/status")
    return int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1])/1000 if status.exists() else float("nan")


def load(url, bodies, clients, n):
    "Seconds in all and of each request, when some clients ask again as soon as they are answered."
    times, left = [], iter(range(n))
    def client():
        with requests.Session() as session:
            for i in left:
                start = time.perf_counter()
                reply = session.post(url, data=bodies[i % len(bodies)], headers=PNG, timeout=60)
                times.append(time.perf_counter() - start)
                reply.raise_for_status()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    if len(times) != n: raise RuntimeError(f"{n} requests, but {len(times)} answers")
    return time.perf_counter() - start, times


def report(n=10_000, port=8765):
    "Measure both networks; Markdown."
    rows, bodies = [], pictures()
    for name in networks:
        with tempfile.TemporaryDirectory() as folder:
            seed_everything(0)
            file = save_predictor(Path(folder)/"net.safetensors", networks[name](), name, 0.3, 0.4, list("0123456789"))
            predict = load_predictor(file)
            process = subprocess.Popen([sys.executable, "-c", START, file, str(port)], stdout=subprocess.DEVNULL)
            try:
                url, end = f"http://127.0.0.1:{port}", time.monotonic() + 60
                while True:
                    try: requests.get(url, timeout=5)
                    except requests.ConnectionError:
                        if time.monotonic() > end: raise
                        time.sleep(0.1)
                    else: break
                load(f"{url}/predict", bodies, 8, n//10)  # to warm up
                for clients, asked in ((1, n//10), (8, n), (50, n//10)):
                    before, forward = megabytes(process), alone(predict, bodies)
                    seconds, times = load(f"{url}/predict", bodies, clients, asked)
                    forward = (forward + alone(predict, bodies))/2  # just before and just after
                    late, grown = quantiles(times, n=100)[-1], f"{before:,.0f} → {megabytes(process):,.0f}"
                    rows.append(f"| `{name}` | {clients} | {asked:,} | {asked/seconds:,.0f} | {1000*median(times):.1f} "
                                f"| {1000*late:.1f} | {forward:.1f} | {grown} |")
            finally:
                process.terminate()
                process.wait(30)
    head = ["network", "clients", "requests", "a second", "median, ms", "slowest hundredth, ms",
            "decoding and forward pass alone, ms", "MB before and after"]
    return "\n".join([f"| {' | '.join(head)} |", "|"+"---|"*len(head), *rows])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    print(report(parser.parse_args().requests))
