"The launch line of the lesson on more than one device, from outside: real processes, and an end to every run."
import re
import subprocess
import time
from contextlib import suppress

import psutil
import pytest

from course_dl.distributed import launch, main

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
    child = "import time; time.sleep(60)"
    parent = (f"import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', {child!r}]); "
              "open(sys.argv[1], 'w').write(str(child.pid)); time.sleep(1000)")
    (tmp_path/"parent.py").write_text(parent)
    with pytest.raises(subprocess.TimeoutExpired): launch("python", tmp_path/"parent.py", tmp_path/"child", timeout=3)
    end = time.monotonic() + 10
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(int((tmp_path/"child").read_text()))
        while process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < end, "the child runs on"
            time.sleep(0.1)


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


def test_help_says_what_the_program_and_each_option_do(capsys):
    with pytest.raises(SystemExit): main(["--help"])
    told, options = capsys.readouterr().out.split("options:")
    assert "\n\n" in told.strip()  # a sentence below the usage
    said = re.findall(r"^  (?:-h, )?(--\w+)(?: [A-Z]+)?\s+(.*)", options, re.M)
    assert len(said) >= 7 and all(len(words.split("(default")[0].split()) > 1 for _, words in said), said


@pytest.mark.parametrize("line", ["rm -r folder", "torchrunner x", "accelerate test", ""])
def test_launch_refuses_other_programs(line):
    with pytest.raises(ValueError, match="line must begin with"): launch(line)
