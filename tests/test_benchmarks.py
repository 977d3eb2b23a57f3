"The benchmarks run, and all ways of a row give the same numbers. No time is asserted: machines differ."
import os
import re

import pytest
import torch

import growth
import rows
import run
import runner
from course_dl.datasets import TensorLoader
from helpers import ROOT


@pytest.fixture(scope="module")
def data():
    gen = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (2000, 28, 28), generator=gen, dtype=torch.uint8)
    y = torch.randint(0, 10, (2000,), generator=gen)
    return type("Data", (), dict(x_train=x, y_train=y))


def made(name, data, tmp_path):
    if name == "cnn": return list(rows.cnn_rows(data, 2000))
    if name == "logistic": return list(rows.logistic_rows(data, 200))
    if name == "step": return [rows.step_row(compiled=False, n=8)]
    if name == "moved": return [rows.moved_row(n=8)]
    if name == "map": return [rows.map_row()]
    if name == "toy": return [rows.toy_row()]
    for i, (split, digit) in enumerate((s, d) for s in ("train", "valid") for d in "37"):
        (tmp_path/split/digit).mkdir(parents=True)
        rows.Image.fromarray(data.x_train[i].numpy()).save(tmp_path/split/digit/"1.png")
    return list(rows.picture_rows(tmp_path))


@pytest.mark.parametrize("name", ["cnn", "step", "moved", "logistic", "map", "toy", "pictures"])
def test_all_ways_give_the_same_numbers(name, data, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DL_CACHE", str(tmp_path/"cache"))
    for row in made(name, data, tmp_path):
        first, *others = [way() for way in row.ways.values()]
        assert {"this course", row.against} <= row.ways.keys() and others
        assert all(row.same(first, other) for other in others), row.what


def test_rounds_take_turns_and_ratios_are_medians(monkeypatch):
    calls, clock = [], iter([0, 1, 1, 3, 10, 12, 12, 13, 20, 23, 23, 33])  # 1 and 2, 2 and 1, 3 and 10 seconds
    ways = {name: lambda name=name: calls.append(name) for name in ("this course", "loop")}
    row = runner.Row("count", ways, "loop", 0.5, clock=lambda: next(clock), same=lambda a, b: True)
    runner.measure(row, 3)
    assert calls == ["this course", "loop"]*4 and row.seconds == {"this course": [1, 2, 3], "loop": [2, 1, 10]}
    assert runner.ratio(row, "this course", "loop") == 0.5 and runner.reached(row)
    assert runner.table([row]).splitlines()[-1] == "| count | 2× | yes | ≥ 2× as fast as *loop* |"
    row.at_most = None
    assert runner.table([row]).splitlines()[-1] == "| count | 0.5 | – | none; times the time of *loop* |"
    assert runner.times([row]).splitlines()[-1] == "| count | 2.00 s | loop 2.00 s |"


def test_process_of_its_own_reports_seconds_or_its_error():
    assert runner.in_python("import os; print('A line'); print(os.environ['A'])", A="1.5") == 1.5
    with pytest.raises(RuntimeError, match="ZeroDivisionError"): runner.in_python("1/0")


def test_growth_measures_and_draws(tmp_path):
    (n, seconds, megabytes), = growth.growth([500], 1)
    assert n == 500 and 0 < seconds < 300 and 50 < megabytes < 10_000
    growth.draw([(1000, 1, 200), (2000, 2, 220)], tmp_path/"growth.png")
    assert (tmp_path/"growth.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="no way to let the system forget a file")
def test_images_on_disk_are_measured_beside_those_in_memory():
    lines = growth.from_disk(1_000, 1)
    assert [line[0] for line in lines] == ["in memory", "mapped, shuffled", "mapped, in order"]
    assert all(len(numbers) == 4 and min(numbers) > 0 for _, *numbers in lines)


def test_batches_of_mapped_images_are_those_in_memory(data, tmp_path):
    data.x_train.numpy().tofile(tmp_path/"images")
    mapped = torch.from_file(str(tmp_path/"images"), size=data.x_train.numel(), dtype=torch.uint8).view(-1, 28, 28)
    loaders = [TensorLoader(x, bs=64, shuffle=True, generator=torch.Generator().manual_seed(1))
               for x in (data.x_train, mapped)]
    assert all(torch.equal(a, b) for (a,), (b,) in zip(*loaders, strict=True))


def test_results_replace_older_ones(tmp_path):
    page = tmp_path/"page.md"
    page.write_text((ROOT/"benchmarks/README.md").read_text(encoding="utf-8"), encoding="utf-8")
    for text in (r"first \1", "second"): run.write(page, text)
    found = page.read_text(encoding="utf-8")
    before, results, after = re.split("<!-- (?:end of )?results -->", found)
    assert results == "\n\nsecond\n\n" and re.search("^## ", after, re.M)
