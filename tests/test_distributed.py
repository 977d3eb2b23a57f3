"The launch line of the lesson on more than one device, from outside: real processes, and an end to every run."
import json
import re
import subprocess
import time

import pytest
import torch

from course_dl.distributed import launch, main

PROGRAM = "-m course_dl.distributed --epochs 2 --seed 7"
TWO = "torchrun --standalone --nproc_per_node 2"

# Process 1 does something bad in step 5, in place of the loss.
MISFORTUNE = """
import itertools, os, time, torch
from torch import nn
from course_dl.distributed import train_distributed
from course_dl.classifier import bce_loss

steps = itertools.count(1)
def loss(logits, targets):
    if next(steps) == 5 and os.environ["RANK"] == "1": {misfortune}
    return bce_loss(logits, targets)

samples = torch.rand(640, 784), (torch.arange(640)%2.)[:, None]
train_distributed(nn.Linear(784, 1), samples, samples, bs=32, loss_fn=loss)
"""


def run(line, out):
    done = launch(line, "--out", out)
    assert done.returncode == 0, done.stdout
    assert len(re.findall("^Data:", done.stdout, re.M)) == 1, done.stdout
    assert len(re.findall("^processes", done.stdout, re.M)) == 1, done.stdout
    return json.loads(out.read_text())


@pytest.mark.timeout(300)
def test_two_processes_equal_one_with_the_doubled_batch(tmp_path):
    two = run(f"{TWO} {PROGRAM} --bs 32", tmp_path/"two.json")
    one = run(f"python {PROGRAM} --bs 64", tmp_path/"one.json")
    assert (two["processes"], one["processes"]) == (2, 1)
    assert two["validated"] == one["validated"]
    assert torch.allclose(torch.tensor(two["params"]), torch.tensor(one["params"]), rtol=0, atol=1e-5)
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-5)
    assert one["accuracies"][-1] > .85
    half = run(f"python {PROGRAM} --bs 32", tmp_path/"half.json")
    assert (torch.tensor(half["params"]) - torch.tensor(two["params"])).abs().max() > 1e-2  # the comparison can fail


@pytest.mark.timeout(300)
def test_a_process_that_dies_ends_the_run(tmp_path):
    misfortune = "print('died at', time.time(), flush=True) or os._exit(9)"
    (tmp_path/"dies.py").write_text(MISFORTUNE.format(misfortune=misfortune))
    done = launch(TWO, tmp_path/"dies.py", timeout=100)
    seconds = time.time() - float(re.search("died at ([0-9.]+)", done.stdout)[1])
    assert done.returncode != 0
    assert re.search(r"rank\s+: 1 .*\n\s+exitcode\s+: 9 ", done.stdout), done.stdout
    assert seconds < 30


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_process_that_hangs_is_given_up_after_a_minute(tmp_path):
    misfortune = "print('hangs at', time.time(), flush=True) or time.sleep(1000)"
    (tmp_path/"hangs.py").write_text(MISFORTUNE.format(misfortune=misfortune))
    done = launch(TWO, tmp_path/"hangs.py", timeout=200)
    seconds = time.time() - float(re.search("hangs at ([0-9.]+)", done.stdout)[1])
    assert done.returncode != 0
    assert 50 < seconds < 120


def test_a_run_out_of_time_is_stopped_with_all_its_processes(tmp_path):
    late = tmp_path/"late"
    child = f"import time; time.sleep(8); open({str(late)!r}, 'w')"
    parent = ("import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); "
              f"open({str(tmp_path/'early')!r}, 'w'); time.sleep(1000)")
    (tmp_path/"parent.py").write_text(parent)
    with pytest.raises(subprocess.TimeoutExpired): launch("python", tmp_path/"parent.py", child, timeout=4)
    assert (tmp_path/"early").exists()
    time.sleep(6)
    assert not late.exists()


def test_options_and_surroundings_reach_the_program(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    names = "os.environ[\"OMP_WAIT_POLICY\"], os.environ[\"FIRST\"]"
    program = f"python -c 'import os, sys; print(*sys.argv[1:], {names}, sep=\"|\")'"
    assert launch(program, "a b", 3, FIRST=1).stdout.strip() == "a b|3|active|1"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    assert launch(program, FIRST=2).stdout.strip() == "passive|2"


@pytest.mark.parametrize("option, message", [
    ("--epochs 0", "epochs must be 1 or more, got 0"), ("--bs 0", "bs must be 1 or more, got 0"),
    ("--lr -1", "lr must be above 0, got -1"), ("--lr inf", "lr must be above 0, got inf"),
    ("--lr nan", "lr must be above 0, got nan"), ("--bogus", "unrecognized arguments: --bogus")])
def test_wrong_options_are_refused(option, message, capsys):
    with pytest.raises(SystemExit) as e: main(option.split())
    assert e.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("line", ["rm -r folder", "torchrunner x", "accelerate test", ""])
def test_launch_refuses_other_programs(line):
    with pytest.raises(ValueError, match="line must begin with"): launch(line)
