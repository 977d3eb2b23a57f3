"Draw the picture on the first page, that for links to the site, and that of a page that is not there, in nbs/images."
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import ListedColormap
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from course_dl.classifier import BasicOptim, mnist_loss, threes_and_sevens, train_model
from course_dl.core import plot_style, seed_everything
from course_dl.data import mnist, mnist_sample
from course_dl.similarity import load_digit, mean_image

IMAGES = Path(__file__).parents[1]/"nbs/images"
sample, data = mnist_sample(), mnist()
if not (sample.real and data.real): sys.exit("The pictures are drawn from real data only; see `course_dl data`.")
path = sample.path
seed_everything(0)
loaders = [DataLoader(TensorDataset(*threes_and_sevens(path, split)), batch_size=256, shuffle=split == "train")
           for split in ("train", "valid")]
model = nn.Linear(784, 1).to(loaders[0].dataset.tensors[0].device)
accuracies = train_model(model, *loaders, mnist_loss, BasicOptim(model.parameters(), lr=1.), epochs=20)
weights = model.weight.detach().cpu().view(28, 28)

plot_style()
fig, axs = plt.subplots(1, 4, figsize=(6.8, 2.3), width_ratios=[1, 1, 1, 1.2])  # small, so that phones show large words
for ax, digit in zip(axs, (3, 7)): ax.imshow(mean_image(load_digit(path, digit)))
axs[2].imshow(weights, cmap="RdBu_r", vmin=-weights.abs().max(), vmax=weights.abs().max())
for ax, title in zip(axs, ("the\naverage 3", "the\naverage 7", "learned:\nred 3, blue 7")):
    ax.set_title(title, loc="center", fontsize=13)
    ax.set_axis_off()
axs[3].plot(range(1, 21), accuracies, linewidth=3)
axs[3].set_title("validation\naccuracy", loc="center", fontsize=13)
axs[3].set(xticks=[1, 20], yticks=[.975, .98], box_aspect=1/1.2)
axs[3].set_xlabel("epoch", labelpad=-12)
axs[3].tick_params(labelsize=12)
fig.savefig(IMAGES/"cover.png", dpi=220)

NIGHT, PALE, BOX = "#0b1f33", "#c9d6e2", .17*12/6.3
fig = plt.figure(figsize=(12, 6.3), layout="none", facecolor=NIGHT)
fig.text(.06, .74, "Deep learning, line by line", color="white", fontsize=49, weight="bold")
fig.text(.06, .62, "From pixels to a trained network, in notebooks you can run\nand lines you can check.",
         color=PALE, fontsize=23, va="center")
for i, ink in enumerate((mean_image(load_digit(path, 3)), mean_image(load_digit(path, 7)))):
    ax = fig.add_axes([.05 + .17*i, .13, .17, BOX])
    ax.imshow(torch.ones(28, 28, 3), alpha=ink/ink.max())
    ax.set_axis_off()
ax = fig.add_axes([.40, .13, .17, BOX])
ax.imshow(weights.sign(), cmap=ListedColormap(["#56B4E9", "#E69F00"]), alpha=weights.abs()/weights.abs().max())
ax.set_axis_off()
ax = fig.add_axes([.63, .13, .31, BOX], facecolor=NIGHT)
ax.plot(range(1, 21), accuracies, color="#56B4E9", linewidth=4)
ax.set(xticks=[], yticks=[])
ax.text(.97, .08, f"accuracy {accuracies[-1]:.2f}", color=PALE, fontsize=20, ha="right", transform=ax.transAxes)
ax.spines[:].set_color(PALE)
fig.savefig(IMAGES/"social.png", dpi=100, facecolor=NIGHT)

fours, zeros = (data.x_train[data.y_train == digit] for digit in (4, 0))
fig, axs = plt.subplots(1, 3, figsize=(6, 2), facecolor="none")
for ax, ink in zip(axs, (fours[1], zeros[0], fours[3])):
    ax.imshow(torch.ones(28, 28, 3)*torch.tensor([.25, .58, .83]), alpha=ink.float()/ink.max())
    ax.set_axis_off()
fig.savefig(IMAGES/"404.png", dpi=200, transparent=True)
