"""Climb the ladder, one change at a time, and keep what was measured in nbs/ladder.json: `make ladder`.

    python benchmarks/ladder.py                               what is missing
    python benchmarks/ladder.py --ladders digits --seeds 12   of one ladder, with more seeds
    python benchmarks/ladder.py --rungs "views at the end"    of some rungs
    python benchmarks/ladder.py --list                        what is missing, without measuring it

Each run is kept as soon as it is done, so an interruption costs one run at most. A run is measured again only when its
code changes. Rungs are chosen on held-out training images; the test images see the rungs that are published, once.
Seconds are those of the CPU, all threads together, from the first line of a rung to its last."""
import argparse
import ast
import inspect
import json
import os
import re
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from textwrap import dedent

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: threads that wait must not spin

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from course_dl.classifier import threes_and_sevens
from course_dl.cnn import FashionCNN, Flips, evaluate, fit, he_start, three_parts
from course_dl.core import _write_whole, default_device, made_with, seed_everything
from course_dl.data import fashion_mnist, mnist, mnist_sample
from course_dl.datasets import TensorLoader
from course_dl.deeper import Bfloat16, conv_block, residual, small_net
from course_dl.generalize import Dropout
from course_dl.ladder import Shifts, Views
from course_dl.ledger import _code_behind, _tree

FILE = Path(__file__).parent.parent/"nbs"/"ladder.json"
#: What the lines of a rung may use
PARTS = dict(evaluate=evaluate, torch=torch, nn=nn, F=F, OneCycleLR=OneCycleLR, AveragedModel=AveragedModel,
             get_ema_multi_avg_fn=get_ema_multi_avg_fn, TensorLoader=TensorLoader, FashionCNN=FashionCNN, Flips=Flips,
             fit=fit, he_start=he_start, Bfloat16=Bfloat16, conv_block=conv_block, residual=residual,
             small_net=small_net, Dropout=Dropout, Shifts=Shifts, Views=Views)


@dataclass
class Rung:
    "One change to the rungs below it that were kept."
    name:str             # what changes, in words
    change:dict          # for each step that changes, its new line of code
    kept:bool=True       # do the rungs above build on it?
    published:bool=False # measured on the test images too?
    compared:bool=True   # with the rungs below, on held-out images?
    why:str=""           # a few words on why it is kept, or not


@dataclass
class Ladder:
    "Rungs that lead from a recipe of the course to a better one."
    key:str     # short name
    title:str   # what is learned, and within which bounds
    data:object # function of split and seed that returns images and labels to train with, and to measure with
    seeds:int   # runs of each rung on held-out images
    start:dict  # for each step its line of code, in the order they run; a step may be empty
    rungs:list  # of `Rung`, the first changes nothing
    tests:int=5 # runs of each published rung on the test images


def digits(split, seed):
    "3s (class 1) and 7s (class 0); each seed holds out another sixth of the training images."
    path = mnist_sample().path
    x, y = threes_and_sevens(path, "train")
    x, y = x.view(-1, 1, 28, 28), y[:, 0].long()
    if split == "test":
        x_test, y_test = threes_and_sevens(path, "valid")
        return x, y, x_test.view(-1, 1, 28, 28), y_test[:, 0].long()
    held_out = torch.arange(len(x)) % 6 == seed % 6
    return x[~held_out], y[~held_out], x[held_out], y[held_out]


def ten_digits(split, seed):
    "MNIST; the last sixth of the training images is held out."
    data = mnist()
    x, x_test = (o[:, None].float().to(default_device())/255 for o in (data.x_train, data.x_test))
    y, y_test = (o.to(x.device) for o in (data.y_train, data.y_test))
    n = len(x)*5//6
    return (x, y, x_test, y_test) if split == "test" else (x[:n], y[:n], x[n:], y[n:])


def clothes(split, seed):
    "Fashion-MNIST; every twelfth training image is held out."
    parts = three_parts(fashion_mnist())
    if split == "valid": return *parts["train"], *parts["valid"]
    return *map(torch.cat, zip(parts["train"], parts["valid"])), *parts["test"]


SGD = "opt = torch.optim.SGD(model.parameters(), lr=lr, momentum=.9, weight_decay=5e-4, nesterov=True)"
ADAM = "opt = torch.optim.AdamW(model.parameters(), lr=lr)"
LARGE = "dl = TensorLoader(x, y, bs=250, shuffle=True)"
FAST = "model = Bfloat16(net).to(memory_format=torch.channels_last)"
THREE = ("net = nn.Sequential(conv_block(1, 16, 4, 2), conv_block(16, 32, 4, 2),\n"
         "                    conv_block(32, 64, 4, 2), nn.Flatten(), nn.Linear(576, 10))")
START = dict(
    net="net = nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 2))",
    model="model = net",
    augment="",
    dl="dl = TensorLoader(x, y, bs=125, shuffle=True)",
    loss_fn="loss_fn = nn.CrossEntropyLoss()",
    epochs="epochs, lr = 10, 1e-2",
    opt=ADAM,
    sched="sched = OneCycleLR(opt, lr, total_steps=epochs*len(dl), cycle_momentum=False)",
    average="",
    fit="fit(model, dl, None, loss_fn, opt, epochs, sched)",
    answer="")
LADDERS = [Ladder(
    "digits", "3 or 7, two seconds of training", digits, 12, START, [
        Rung("a hidden layer of 100", {}, published=True, why="the start"),
        Rung("convolutions, three epochs", dict(
            net="net = nn.Sequential(conv_block(1, 8, 5, 3), conv_block(8, 24, 3, 2),\n"
                "                    conv_block(24, 48, 3, 2), nn.Flatten(), nn.Linear(432, 2))",
            epochs="epochs, lr = 3, 1e-2"), why="a sixth of the weights"),
        Rung("bfloat16, channels_last", dict(model=FAST), kept=False, why="saves no time here"),
        Rung("nine views at the end", dict(answer="model = Views(model)"), kept=False, why="noise"),
        Rung("shifts by a pixel", dict(augment="model = Shifts(model, 1)"), published=True, why="helps"),
        Rung("shifts by two pixels", dict(augment="model = Shifts(model, 2)"), kept=False, why="no more than one"),
        Rung("stride 2 instead of 3", dict(
            net="net = nn.Sequential(conv_block(1, 8, 5, 2), conv_block(8, 24, 3, 2),\n"
                "                    conv_block(24, 48, 3, 2), nn.Flatten(), nn.Linear(768, 2))"), kept=False,
             why="noise, and slower"),
        Rung("batches of 250", dict(dl=LARGE), kept=False, why="hurts"),
        Rung("batches of 250, four times the rate", dict(dl=LARGE, epochs="epochs, lr = 3, 4e-2"), kept=False,
             why="noise"),
        Rung("three times the rate", dict(epochs="epochs, lr = 3, 3e-2"), kept=False, why="noise"),
        Rung("label smoothing", dict(loss_fn="loss_fn = nn.CrossEntropyLoss(label_smoothing=.1)"), kept=False,
             why="noise"),
        Rung("SGD with its own learning rate", dict(epochs="epochs, lr = 3, .1", opt=SGD), kept=False, why="noise"),
        Rung("an average of the weights", dict(
            average="average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(.98), use_buffers=True)\n"
                    "opt.register_step_post_hook(lambda *_: average.update_parameters(model))",
            answer="model = average"), kept=False, why="noise"),
        Rung("nine views, with shifts", dict(answer="model = Views(model)"), kept=False, published=True,
             why="noise again"),
    ]), Ladder(
    "mnist", "Ten digits, a minute of training", ten_digits, 6, START | dict(
        net="net = nn.Sequential(nn.Flatten(), nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 10))",
        model=FAST, epochs="epochs, lr = 2, 2e-2"), [
        Rung("a hidden layer of 50", {}, published=True, why="the start"),
        Rung("half the rate", dict(epochs="epochs, lr = 2, 1e-2"), kept=False, why="hurts"),
        Rung("three convolutions", dict(net=THREE), why="helps"),
        Rung("nine views at the end", dict(answer="model = Views(model)"), kept=False, why="noise"),
        Rung("shifts by a pixel", dict(augment="model = Shifts(model, 1)"), why="helps"),
        Rung("four epochs", dict(epochs="epochs, lr = 4, 2e-2"), published=True, why="helps"),
        Rung("nine views, once more", dict(answer="model = Views(model)"), published=True, why="helps"),
        Rung("half the channels", dict(
            net="net = nn.Sequential(conv_block(1, 8, 4, 2), conv_block(8, 16, 4, 2),\n"
                "                    conv_block(16, 32, 4, 2), nn.Flatten(), nn.Linear(288, 10))"),
            kept=False, published=True, why="hurts, but is small"),
    ]), Ladder(
    "clothes", "Clothes, 50,000 weights", clothes, 5, START | dict(
        net="net = he_start(FashionCNN())", model=FAST, epochs="epochs, lr = 2, .1", opt=SGD), [
        Rung("the lesson's network", {}, published=True, why="the start"),
        Rung("five convolutions", dict(
            net="net = nn.Sequential(conv_block(1, 24, 4, 2), conv_block(24, 32), nn.MaxPool2d(2), residual(32),\n"
                "                    conv_block(32, 48), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 10))"),
            why="helps"),
        Rung("flips", dict(augment="model = Flips(model)"), kept=False, why="noise after two epochs"),
        Rung("label smoothing", dict(loss_fn="loss_fn = nn.CrossEntropyLoss(label_smoothing=.1)"), kept=False,
             why="noise"),
        Rung("sixteen epochs", dict(epochs="epochs, lr = 16, .1"), why="helps"),
        Rung("flips, for longer", dict(augment="model = Flips(model)"), published=True, why="helps"),
        Rung("nine views at the end", dict(answer="model = Views(model)"), kept=False, why="hurts"),
        Rung("forty epochs", dict(epochs="epochs, lr = 40, .1"), published=True, why="helps, if only just"),
    ]), Ladder(
    "deep", "Clothes, 300,000 weights", clothes, 5, START | dict(
        net="net = small_net()", model=FAST, epochs="epochs, lr = 5, .1", opt=SGD), [
        Rung("the network of Deeper", {}, published=True, why="the start"),
        Rung("label smoothing, five epochs", dict(loss_fn="loss_fn = nn.CrossEntropyLoss(label_smoothing=.1)"),
             kept=False, published=True, why="helps, if only just; the choice was older"),
        Rung("twenty epochs", dict(epochs="epochs, lr = 20, .1"), why="helps"),
        Rung("flips", dict(augment="model = Flips(model)"), why="helps"),
        Rung("label smoothing", dict(loss_fn="loss_fn = nn.CrossEntropyLoss(label_smoothing=.1)"), published=True,
             why="chosen with three seeds; with five, noise"),
        Rung("sixty epochs, and shifts", dict(
            epochs="epochs, lr = 60, .1", augment="model = Shifts(Flips(model), 1)"), kept=False, published=True,
             why="over the limit of time", compared=False),
    ])]


def programs(
    ladder:Ladder, # with its rungs
)->list: # for each rung a pair: the rung, and its whole program as text
    "What each rung runs: the lines of the kept rungs below it, and its own."
    below, found = dict(ladder.start), []
    for rung in ladder.rungs:
        if unknown := rung.change.keys() - below.keys():
            raise ValueError(f"{rung.name}: steps must be among {', '.join(below)}, got {', '.join(unknown)}")
        lines = below | rung.change
        found.append((rung, "\n".join(filter(None, lines.values()))))
        if rung.kept: below = lines
    return found


def code_hash(
    ladder:Ladder, # whose data it is
    program:str,   # of a rung
)->str: # 12 hexadecimal digits
    "Hash of a rung's program, of all code of the course that it names, and of what feeds and judges it."
    names = {node.id for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Name)} | {"evaluate"}
    found = {}
    for name in names & PARTS.keys():
        place = getattr(PARTS[name], "__module__", "")
        if place.startswith("course_dl."): _code_behind(place.removeprefix("course_dl."), name, found)
    own = [_tree(ast.parse(dedent(inspect.getsource(o))).body) for o in (ladder.data, measure)]
    return sha256(json.dumps([_tree(ast.parse(program).body), sorted(found.items()), own]).encode()).hexdigest()[:12]


def measure(
    ladder:Ladder, # whose data it is
    program:str,   # of a rung
    split:str,     # "valid" or "test"
    seed:int,      # for start, order and shifts
)->dict: # `seed`, `accuracy`, CPU and wall seconds of training, and how many `weights`
    "Run a rung's program, and count what its model gets right."
    x, y, x_new, y_new = ladder.data(split, seed)
    exec(program, PARTS | dict(x=x[:1000], y=y[:1000]))  # the first call of anything takes longer
    names = PARTS | dict(x=x, y=y)
    seed_everything(seed)
    cpu, wall = time.process_time(), time.perf_counter()
    exec(program, names)
    cpu, wall = time.process_time()-cpu, time.perf_counter()-wall
    accuracy = evaluate(names["model"], TensorLoader(x_new, y_new, bs=250))["accuracy"]
    return dict(seed=seed, accuracy=round(accuracy, 6), cpu=round(cpu, 2), wall=round(wall, 2),
                weights=sum(p.numel() for p in names["net"].parameters()))


def described(
    ladders:list, # of `Ladder`
    file:Path,    # of earlier runs; those whose code is still the same are taken over
)->list: # for each ladder a dictionary with its rungs, ready for JSON
    "The ladders, and what has been measured of them."
    old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    old = {(ladder["key"], rung["hash"]): rung for ladder in old for rung in ladder["rungs"]}
    found = []
    for ladder in ladders:
        rungs = []
        for rung, program in programs(ladder):
            code = code_hash(ladder, program)
            runs = old.get((ladder.key, code), {})
            rungs.append(dict(
                name=rung.name, lines=[line for line in rung.change.values() if line], kept=rung.kept,
                why=rung.why, published=rung.published, compared=rung.compared, program=program, hash=code,
                valid=runs.get("valid", []), test=runs.get("test", []), made=runs.get("made", {})))
        found.append(dict(key=ladder.key, title=ladder.title, rungs=rungs))
    return found


def missing(
    rung:dict, # as `described` gives it
    seeds:int, # runs on held-out images, if it is compared
    tests:int, # runs on the test images, if it is published
)->list: # pairs of split and seed
    "Runs of a rung that are not there yet."
    wanted = [("valid", seed) for seed in range(seeds*rung["compared"])]
    wanted += [("test", seed) for seed in range(tests*rung["published"])]
    return [(split, seed) for split, seed in wanted if seed not in [run["seed"] for run in rung[split]]]


def write(found, file):
    "One run to a line, so that a new one is a line of a diff."
    text = json.dumps(found, indent=1)
    text = re.sub(r'\{\s+("seed": [^{}]+?)\s+\}', lambda run: "{" + re.sub(r"\s+", " ", run[1]) + "}", text)
    _write_whole(file, f"{text}\n".encode())


def climb(
    ladders:list,       # of `Ladder`, all of them: the file holds no others
    file:Path=FILE,     # where runs are kept
    keys:list=(),       # ladders to measure; all unless given
    names:list=(),      # rungs to measure; all unless given
    seeds:int|None=None, # runs of each rung on held-out images; as many as each ladder asks for unless given
    until:str="",       # "04:25": begin no run after this time of the day
    dry:bool=False,     # only tell what is missing?
)->int: # how many runs are missing now
    "Measure what is missing, and keep every run as soon as it is done."
    found, left = described(ladders, file), 0
    for kept, ladder in zip(found, ladders):
        for rung in kept["rungs"]:
            if keys and ladder.key not in keys or names and rung["name"] not in names: continue
            for split, seed in missing(rung, seeds or ladder.seeds, ladder.tests):
                if dry or until and time.strftime("%H:%M") >= until:
                    left += 1
                    continue
                run = measure(ladder, rung["program"], split, seed)
                rung[split].append(run)
                rung["made"] = made_with()
                write(found, file)
                print(f"{ladder.key}, {rung['name']}, {split}, seed {seed}: {run['accuracy']:.4f}, {run['cpu']} s",
                      flush=True)
    if not dry: write(found, file)  # a rung that has gone is no run, but a change
    return left


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ladders", nargs="+", default=[], choices=[ladder.key for ladder in LADDERS])
    parser.add_argument("--rungs", nargs="+", default=[])
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--until", default="", metavar="HH:MM", help="begin no run after this time of the day")
    parser.add_argument("--list", action="store_true", help="count what is missing, and measure nothing")
    options = parser.parse_args()
    if not options.list and not all(load().real for load in (mnist_sample, mnist, fashion_mnist)):
        parser.error("rungs are measured on real data only; see `course_dl data`")
    if default_device().type != "cpu": parser.error("rungs are measured on a CPU: hide the GPU from PyTorch")
    left = climb(LADDERS, FILE, options.ladders, options.rungs, options.seeds, options.until, options.list)
    print(f"{left} runs are missing.")


if __name__ == "__main__": main()
