"How time and memory grow with the data, on disk too, and what a second process brings."
import json
import os
import tempfile
from pathlib import Path
from statistics import median

from runner import in_python

program = """
import resource, time, torch
import torch.nn.functional as F
from pathlib import Path
from course_dl.cnn import FashionCNN, fit
from course_dl.datasets import TensorLoader
n = {n}
x, y = torch.rand(n, 1, 28, 28), torch.arange(n)%10
model = FashionCNN()
opt = torch.optim.SGD(model.parameters(), 0.01)
dl = TensorLoader(x, y, bs=500, shuffle=True)
start = time.perf_counter()
fit(model, dl, None, F.cross_entropy, opt, epochs=1)
seconds = time.perf_counter() - start
def peak():
    "Megabytes at most. Linux lets a process inherit its parent's `ru_maxrss`, so ask for that of its own memory."
    status = Path("/proc/self/status")
    if status.exists(): return int(status.read_text().split("VmHWM:")[1].split()[0])/1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1e6
print(seconds, peak())"""


def growth(
    sizes:list, # how many images
    rounds:int, # how often each is measured, in turns
)->list: # for each size a triple: images, seconds and megabytes, medians
    "Time of an epoch of `FashionCNN`, and the most memory its process had; each in a process of its own."
    found = {n: [] for n in sizes}
    for _ in range(rounds):
        for n in sizes: found[n].append(in_python(program.format(n=n)))
    return [(n, *map(median, zip(*runs))) for n, runs in found.items()]


on_disk = """
import os, time, torch
import torch.nn.functional as F
from pathlib import Path
from torch import nn
from course_dl.cnn import FashionCNN, fit
from course_dl.datasets import TensorLoader
path, n = {path!r}, {n}
class Scaled(nn.Module):
    def forward(self, x): return x.float()/255
def forget():
    "Let the system drop what it has kept of the file: the disk must give it again."
    with open(path, "rb") as file: os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
def images(): return torch.from_file(path, size=n*784, dtype=torch.uint8).view(n, 1, 28, 28)
def seconds(epoch):
    start = time.perf_counter()
    epoch()
    return time.perf_counter() - start
def read():
    with open(path, "rb") as file:
        while file.read(2**20): pass
def load():
    for x, _ in loader(): x.sum()
def loader():
    global dl  # kept, so that its memory counts below
    dl = TensorLoader(images().clone() if {memory} else images(), torch.arange(n)%10, bs=500, shuffle={shuffle})
    return dl
model = nn.Sequential(Scaled(), FashionCNN())
opt = torch.optim.SGD(model.parameters(), 0.01)
found = []
for epoch in (read, load, lambda: fit(model, loader(), None, F.cross_entropy, opt, epochs=1)):
    forget()
    found.append(seconds(epoch))
own = Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]
print(*found, int(own)/1e3)"""


def from_disk(
    n:int,      # how many images
    rounds:int, # how often each way is measured, in turns
)->list: # a line for each way: its name; seconds to read the file, to load an epoch, for an epoch; megabytes; medians
    "Images in memory, and mapped from a file that the disk must give anew for each epoch. Linux only."
    ways = {"in memory": (True, True), "mapped, shuffled": (False, True), "mapped, in order": (False, False)}
    found = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)/"images"
        with path.open("wb") as file:
            for _ in range(0, n, 10_000): file.write(os.urandom(min(n, 10_000)*784))
            os.fsync(file.fileno())
        for _ in range(rounds):
            for way, (memory, shuffle) in ways.items():
                code = on_disk.format(path=str(path), n=n, memory=memory, shuffle=shuffle)
                found[way].append(in_python(code))
    return [(way, *map(median, zip(*runs))) for way, runs in found.items()]


def draw(
    measured:list, # from `growth`
    path:Path,     # PNG file to write
)->None:
    "Draw time and memory over the size of the data, both axes logarithmic."
    import matplotlib.pyplot as plt

    from course_dl.core import plot_style
    plot_style()
    images, seconds, megabytes = zip(*measured)
    fig, axs = plt.subplots(1, 2, figsize=(7.4, 3.2))
    for ax, values, label in zip(axs, (seconds, megabytes), ("seconds an epoch", "megabytes at most")):
        ax.loglog(images, values, "o-", label="measured")
        proportion = [values[0]*n/images[0] for n in images]
        ax.loglog(images, proportion, ":", label="in proportion to the data")
        ax.set(xlabel="images", ylabel=label, xticks=images, xticklabels=[f"{n:,}" for n in images],
               yticks=proportion, yticklabels=[f"{o:.2g}" if o < 10 else f"{o:,.0f}" for o in proportion])
        ax.minorticks_off()
    axs[0].legend()
    fig.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(fig)


def processes(
    rounds:int, # how often each number is measured, in turns
)->list: # seconds an epoch with one process and with two, medians
    "The deep net on 3s and 7s under accelerate, on the CPU: the same work for one process, and shared by two."
    from course_dl.distributed import launch
    line = "torchrun --standalone --nproc_per_node {n} -m course_dl.distributed --bs {bs} --deep --epochs 4"
    found = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for n in found:
                out = Path(folder)/"result.json"
                done = launch(line.format(n=n, bs=64//n), "--out", out, ACCELERATE_USE_CPU="true")
                if done.returncode: raise RuntimeError(done.stdout)
                found[n].append(min(json.loads(out.read_text())["seconds"]))
    return [median(found[n]) for n in (1, 2)]
