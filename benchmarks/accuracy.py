"""Train three recipes of the course over several seeds, and print what they reach and what they cost.

    python benchmarks/accuracy.py           three seeds; about half an hour on one core
    python benchmarks/accuracy.py --quick   one seed, and one epoch where an epoch takes long

`OMP_NUM_THREADS` sets the threads. CPU seconds are those of training, all threads together."""
import argparse
import time
from statistics import median

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from course_dl.classifier import threes_and_sevens
from course_dl.cnn import FashionCNN, Flips, evaluate, fit, he_start
from course_dl.core import default_device, seed_everything
from course_dl.data import fashion_mnist, mnist_sample
from course_dl.datasets import TensorLoader
from course_dl.deeper import Bfloat16, small_net
from runner import markdown


def timed(model, dl, epochs, opt, loss_fn, lr):
    "Train with one cycle up to `lr`; the CPU and wall seconds."
    sched = OneCycleLR(opt, lr, total_steps=epochs*len(dl), cycle_momentum=False)
    start = time.process_time(), time.perf_counter()
    fit(model, dl, None, loss_fn, opt, epochs, sched)
    return time.process_time() - start[0], time.perf_counter() - start[1]

def three_or_seven(seed, epochs=10):
    "A hidden layer of 100, Adam."
    path = mnist_sample().path
    x_valid, y_valid = threes_and_sevens(path, "valid")
    seed_everything(seed)
    model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 1)).to(x_valid.device)
    dl = TensorLoader(*threes_and_sevens(path, "train"), bs=125, shuffle=True)
    cost = timed(model, dl, epochs, torch.optim.AdamW(model.parameters(), lr=1e-2), nn.BCEWithLogitsLoss(), 1e-2)
    with torch.no_grad(): return model, epochs, ((model(x_valid) > 0) == (y_valid > 0)).float().mean().item(), *cost

def clothes(seed, net, epochs):
    "`FashionCNN`, or the better network of the next lesson: all training images train, the test images are the score."
    data = fashion_mnist()
    x, x_test = (o[:, None].to(default_device()).float()/255 for o in (data.x_train, data.x_test))
    x, x_test = ((o - x.mean())/x.std() for o in (x, x_test))
    y, y_test = data.y_train.to(x.device), data.y_test.to(x.device)
    seed_everything(seed)
    if net == "FashionCNN":
        model, loss_fn, lr = he_start(FashionCNN()), nn.CrossEntropyLoss(), .1
    else:
        model = Bfloat16(small_net()).to(memory_format=torch.channels_last)
        loss_fn, lr = nn.CrossEntropyLoss(label_smoothing=.1), .2
    model = Flips(model).to(x.device)
    opt = torch.optim.SGD(model.parameters(), lr=lr, momentum=.9, weight_decay=5e-4, nesterov=True)
    cost = timed(model, TensorLoader(x, y, bs=125, shuffle=True), epochs, opt, loss_fn, lr)
    return model, epochs, evaluate(model, TensorLoader(x_test, y_test, bs=250))["accuracy"], *cost

def accuracy_rows(
    quick:bool=False, # one seed, and one epoch of the two networks for clothes?
)->list[dict]:
    "A row for each recipe: what it is, its size and threads, accuracy over the seeds, median seconds of training."
    recipes = [("3 or 7, a hidden layer of 100", three_or_seven, ()),
               ("Fashion-MNIST, `FashionCNN`", clothes, ("FashionCNN", 1 if quick else 8)),
               ("Fashion-MNIST, better network", clothes, ("small_net", 1 if quick else 10))]
    clothes_are_real = fashion_mnist().real
    real = mnist_sample().real, clothes_are_real, clothes_are_real
    rows = []
    for (what, recipe, options), on_real in zip(recipes, real):
        runs = [recipe(seed, *options) for seed in range(1 if quick else 3)]
        accuracy = [run[2] for run in runs]
        rows.append({"what": what, "accuracy": f"{median(accuracy):.4f} [{min(accuracy):.4f}, {max(accuracy):.4f}]",
                     "CPU s": f"{median(run[3] for run in runs):.1f}",
                     "wall s": f"{median(run[4] for run in runs):.1f}",
                     "epochs": runs[0][1], "weights": f"{sum(p.numel() for p in runs[0][0].parameters()):,}",
                     "each seed": ", ".join(f"{a:.4f}" for a in accuracy), "threads": torch.get_num_threads(),
                     "data": "real" if on_real else "embedded sample"})
    return rows

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, and one epoch where an epoch takes long")
    rows = accuracy_rows(parser.parse_args().quick)
    print(markdown(list(rows[0]), (row.values() for row in rows)))

if __name__ == "__main__": main()
