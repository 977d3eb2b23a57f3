"What is measured: each row says how the course does it, how it is usually done, and what nothing can beat."
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from course_dl.classifier import calc_grad
from course_dl.cnn import FashionCNN
from course_dl.core import seed_everything
from course_dl.data import digit_images, fashion_mnist, mnist_sample, read_images
from course_dl.datasets import TensorLoader
from course_dl.deeper import Bfloat16, small_net
from course_dl.ladder import Shifts
from course_dl.perceptron import get_toy_data
from course_dl.regression import loss_surface, make_regression
from course_dl.sgd import mse
from course_dl.similarity import load_digit
from runner import Row, in_python

seed, ROOT = 42, Path(__file__).parent.parent


def close(a, b): return torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def all_equal(a, b): return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def order(): return torch.Generator().manual_seed(seed)


# Loaders


class Pictures(Dataset):
    "Images as they are usually served: each becomes a picture, then floats, when it is asked for."
    def __init__(self, x, y): self.x, self.y = x, y
    def __len__(self): return len(self.x)
    def __getitem__(self, i):
        picture = Image.fromarray(self.x[i].numpy(), mode="L")
        return torch.from_numpy(np.array(picture))[None].float().div(255), int(self.y[i])


def epoch(
    model, # maps a batch to logits
    dl,    # yields batches
): # the weights after the epoch, in one row
    opt = torch.optim.SGD(model.parameters(), lr=0.01)
    for xb, yb in dl:
        opt.zero_grad()
        F.cross_entropy(model(xb), yb).backward()
        opt.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def through(dl): return torch.stack([yb.sum() for _, yb in dl])


def loaders(
    x, y, bs, # images as bytes, shape (n, 28, 28), their labels, and the batch size
    shape,    # shape of one sample in a batch
): # for each way, a function that makes a loader; all serve the same batches
    floats = x.view(-1, *shape).float()/255
    ready = list(TensorLoader(floats, y, bs=bs, shuffle=True, generator=order()))
    from fastai.basics import DataLoader as FastaiLoader
    class Shuffled(FastaiLoader):
        def get_idxs(self): return torch.randperm(len(y), generator=order()).tolist()
    def usual(dataset):
        return DataLoader(dataset, batch_size=bs, sampler=torch.randperm(len(y), generator=order()).tolist())
    return {"this course": lambda: TensorLoader(floats, y, bs=bs, shuffle=True, generator=order()),
            "pictures and DataLoader": lambda: usual(Pictures(x, y)),
            "DataLoader(list(zip(x, y)))": lambda: usual(list(zip(floats, y))),
            "DataLoader(TensorDataset(x, y))": lambda: usual(TensorDataset(floats, y)),
            "fastai's DataLoader": lambda: Shuffled(TensorDataset(floats, y), bs=bs, num_workers=0),
            "batches in memory": lambda: ready}


def ways(made, names, work): return {name: lambda make=made[name]: work(make()) for name in names}


def train(model):
    def work(dl):
        seed_everything(seed)
        return epoch(model(), dl)
    return work


def cnn_rows(data, n):
    made = loaders(data.x_train[:n], data.y_train[:n], 1000, (1, 28, 28))
    names = ["this course", "pictures and DataLoader", "DataLoader(TensorDataset(x, y))", "fastai's DataLoader",
             "batches in memory"]
    yield Row(f"an epoch of `FashionCNN`, {n:,} images, batch 1,000", ways(made, names, train(FashionCNN)),
              "batches in memory", None, same=close)  # an epoch varies by more than its loader takes: judge that
    def limit():
        whole = made["batches in memory"]()
        train(FashionCNN)(whole)
        return through(whole)
    yield Row("its loader alone", ways(made, names[:-1], through) | {"that epoch": limit},
              "that epoch", 0.02, same=torch.equal)


def logistic_rows(data, n):
    def linear(): return nn.Linear(784, 10)
    made = loaders(data.x_train[:n], data.y_train[:n], 64, (784,))
    names = ["this course", "DataLoader(list(zip(x, y)))", "DataLoader(TensorDataset(x, y))", "fastai's DataLoader",
             "batches in memory"]
    yield Row(f"an epoch of logistic regression, {n:,} images, batch 64", ways(made, names, train(linear)),
              "batches in memory", 1.15, same=close)
    yield Row("its loader alone", ways(made, names[:-1], through), names[2], 0.5, same=torch.equal)
    valid = made["batches in memory"]()[:1]
    def learner(dl):
        from fastai.basics import SGD, DataLoaders, Learner, default_device
        default_device(False)  # the other ways train on the CPU
        seed_everything(seed)
        model = linear()
        learn = Learner(DataLoaders(dl, valid), model, loss_func=F.cross_entropy, opt_func=SGD, lr=0.01)
        with learn.no_logging(): learn.fit(1)
        return torch.cat([p.detach().flatten() for p in model.parameters()])
    yield Row("the same in fastai's `Learner`", ways(made, names, learner), "batches in memory", 1.1, same=close)


class Unfolded(nn.Conv2d):
    "A convolution as one matrix product: windows become columns."
    def forward(self, x):
        columns = F.unfold(x, self.kernel_size, padding=self.padding, stride=self.stride)
        sizes = zip(x.shape[2:], self.padding, self.kernel_size, self.stride)
        height, width = ((n + 2*pad - kernel)//stride + 1 for n, pad, kernel, stride in sizes)
        return (self.weight.flatten(1) @ columns).unflatten(2, (height, width))


def step_row(
    compiled:bool=True, # with torch.compile too? It needs a minute, and a compiler for C++
    n:int=125,          # images in the batch
):
    "A step of training the better network, with the same weights and images in every way."
    x, y = torch.rand(n, 1, 28, 28, generator=order()), torch.randint(0, 10, (n,), generator=order())
    def step(wrap=None, layout=torch.contiguous_format):
        seed_everything(seed)
        net = small_net() if wrap is None else wrap(small_net())
        net = net.to(memory_format=layout)
        def work():
            net.zero_grad()
            return calc_grad(net, x, y, F.cross_entropy)
        return work
    def unfolded(net):
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d): layer.__class__ = Unfolded
        return net
    last = torch.channels_last
    ways = {"this course": step(Bfloat16, last), "float32": step(), "bfloat16 alone": step(Bfloat16),
            "channels_last alone": step(layout=last), "unfold": step(unfolded)}
    if compiled and shutil.which("g++"):
        ways["this course and torch.compile"] = step(lambda net: torch.compile(Bfloat16(net)), last)
    return Row(f"a step of the better network, {n} images: bfloat16, channels_last", ways, "float32", 0.85,
               same=lambda a, b: abs(a-b) < 0.05)


def moved_row(
    n:int=125, # images in the batch
):
    "Augmentation on the fly: a batch is moved all at once, beside the step of training that it is for."
    x, y = torch.rand(n, 1, 28, 28, generator=order()), torch.randint(0, 10, (n,), generator=order())
    shifts, net = Shifts(nn.Identity(), 2), FashionCNN()
    def places():
        seed_everything(seed)
        return torch.randint(5, (2, n))
    def moves():
        seed_everything(seed)
        return shifts(x)
    def one_by_one():
        from torchvision.transforms.v2.functional import crop
        around = F.pad(x, [2]*4, value=x.min().item())
        return torch.stack([crop(image, *place, 28, 28) for image, *place in zip(around, *places().tolist())])
    def as_a_map():
        from fastai.vision.augment import TensorImage
        maps = torch.eye(2, 3).repeat(n, 1, 1)
        maps[:, :, 2] = (places().flip(0).T - 2)*2/27  # from -1 to 1 there are 27 pixels
        return TensorImage(x - x.min()).affine_coord(maps, mode="nearest", pad_mode="zeros") + x.min()
    def step():
        calc_grad(net, x, y, F.cross_entropy)
        return moves()
    return Row(f"moving {n} images by up to two pixels", {
        "this course": moves, "torchvision's `crop`, one by one": one_by_one, "fastai's `affine_coord`": as_a_map,
        "a step of `FashionCNN`": step}, "a step of `FashionCNN`", 0.1, same=close)


# Files, maps and points


def one_by_one(folder):
    pictures = [torch.from_numpy(np.array(Image.open(path))) for path in sorted(folder.glob("*.png"))]
    return torch.stack(pictures).float()/255


def picture_rows(path):
    parts = [(digit, split) for split in ("train", "valid") for digit in (3, 7)]
    folders = [path/split/str(digit) for digit, split in parts]
    def all_of(read): return lambda: [read(folder) for folder in folders]
    def floats(): return [load_digit(path, *part) for part in parts]
    n = sum(len(list(folder.glob("*.png"))) for folder in folders)
    yield Row(f"pixels of {n:,} PNG files, kept when they were unpacked",
              {"this course": all_of(digit_images), "reading the folders": all_of(read_images)},
              "reading the folders", 1/50, same=all_equal)
    yield Row("the same, as floats", {"this course": floats, "reading the folders, one by one": all_of(one_by_one)},
              "reading the folders, one by one", 1/30, same=all_equal)


def map_row():
    x, y, _ = make_regression(100)
    w, b = torch.linspace(-3, 3, 30), torch.linspace(-3, 3, 30)
    def loop(): return torch.tensor([[mse(slope*x + offset, y) for slope in w] for offset in b])
    return Row("loss surface of 30×30 lines, 100 points",
               {"this course": lambda: loss_surface(x, y, w, b), "double loop": loop}, "double loop", 1/20, same=close)


def toy_row(n=1000):
    "A loop draws its points one by one, and so draws others: the centers of the clouds agree, not each point."
    def loop():
        gen, points, labels = order(), [], []
        for i in range(n):
            points.append(torch.tensor([[-1.5, -2.], [1.5, 2.]][i%2]) + torch.randn(2, generator=gen))
            labels.append(torch.tensor(i%2))
        return torch.stack(points), torch.stack(labels)
    def centers(data): return torch.stack([data[0][data[1] == label].mean(0) for label in (0, 1)])
    return Row(f"toy data, {n:,} points", {"this course": lambda: get_toy_data(n), "one point after the other": loop},
               "one point after the other", 1/50, same=lambda a, b: torch.allclose(centers(a), centers(b), atol=0.3))


# Processes of their own, which say how long they took


def import_row():
    code = "import time; start = time.process_time(); import {}; print(time.process_time()-start)"
    def load(names): return lambda: in_python(code.format(names))
    ways = {"this course": load("course_dl.similarity"), "torch": load("torch"), "fastai.basics": load("fastai.basics"),
            "fastai.vision.all": load("course_dl.core, fastai.vision.all")}
    return Row("`import course_dl.similarity`", ways, "torch", 1.1)


training = """
import time, torch
from course_dl.classifier import BasicOptim, bce_loss, train_epoch
x, y = torch.rand(12_000, 784), torch.rand(12_000, 1).round()
model = torch.nn.Linear(784, 1)
opt = BasicOptim(model.parameters(), 0.1)
def epochs(n):
    for _ in range(n): train_epoch(model, zip(x.split(1000), y.split(1000)), bce_loss, opt)
epochs(3)
start = time.perf_counter()
epochs(20)
print(time.perf_counter()-start)"""


@contextmanager
def busy_core():
    "Another process that uses a core, for as long as this lasts."
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try: yield
        finally: process.kill()


def busy_row():
    def run(policy): return in_python(training, OMP_WAIT_POLICY=policy, OMP_NUM_THREADS=None)
    def beside(policy):
        with busy_core(): return run(policy)
    ways = {"this course": lambda: beside("passive"), "threads that spin": lambda: beside("active"),
            "nothing beside it": lambda: run("passive")}
    return Row("training the 784→1 model while another process uses a core", ways, "nothing beside it", 3)


def call(*words):
    "A command in the top folder, in seconds."
    start = time.perf_counter()
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if done.returncode: raise RuntimeError(done.stderr)
    return time.perf_counter() - start


def second_calls(rounds, lesson="thermometer"):
    "Commands that find nothing to do: the first call is timed once, the second in every round."
    run = [sys.executable, "-m", "course_dl", "run", lesson]
    docs = ["make", "-o", "env", f"BIN={Path(sys.executable).parent}", "_docs/index.html"]
    first = call(*run, "--again")
    yield Row(f"`course_dl run {lesson}`, nothing changed", {}, "running it", 0.5,
              seconds={"this course": [call(*run) for _ in range(rounds)], "running it": [first]*rounds})
    (ROOT/"_docs"/"index.html").unlink(missing_ok=True)
    first = call(*docs)
    yield Row("`make docs`, nothing changed", {}, "building every page", 0.5,
              seconds={"this course": [call(*docs) for _ in range(rounds)], "building every page": [first]*rounds})


def speed_rows(
    n:int=20_000, # training images
): # every row; what it needs is loaded when its turn comes
    data, path = fashion_mnist(), mnist_sample().path
    n = min(n, len(data.x_train)//1000*1000)
    yield from cnn_rows(data, n)
    yield step_row(compiled=n > 6_000)
    yield moved_row()
    yield from logistic_rows(data, n)
    yield from picture_rows(path)
    yield map_row()
    yield toy_row()
    yield import_row()
    yield busy_row()
