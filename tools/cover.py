"Draw the picture on the first page, nbs/images/cover.png: two average digits, and what a linear model makes of them."
from pathlib import Path

import matplotlib.pyplot as plt
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from course_dl.classifier import BasicOptim, mnist_loss, threes_and_sevens, train_model
from course_dl.core import plot_style, seed_everything
from course_dl.data import mnist_sample
from course_dl.similarity import load_digit, mean_image

path = mnist_sample().path
seed_everything(0)
loaders = [DataLoader(TensorDataset(*threes_and_sevens(path, split)), batch_size=256, shuffle=split == "train")
           for split in ("train", "valid")]
model = nn.Linear(784, 1).to(loaders[0].dataset.tensors[0].device)
accuracies = train_model(model, *loaders, mnist_loss, BasicOptim(model.parameters(), lr=1.), epochs=20)
weights = model.weight.detach().cpu().view(28, 28)

plot_style()
fig, axs = plt.subplots(1, 4, figsize=(9, 2.5), width_ratios=[1, 1, 1, 1.45])
for ax, digit in zip(axs, (3, 7)): ax.imshow(mean_image(load_digit(path, digit)))
axs[2].imshow(weights, cmap="RdBu_r", vmin=-weights.abs().max(), vmax=weights.abs().max())
for ax, title in zip(axs, ("the average 3", "the average 7", "weights, learned")):
    ax.set_title(title, loc="center")
    ax.set_axis_off()
axs[3].plot(range(1, 21), accuracies)
axs[3].set(title="accuracy, epoch by epoch", xticks=[1, 10, 20])
fig.savefig(Path(__file__).parents[1]/"nbs/images/cover.png", dpi=110)
