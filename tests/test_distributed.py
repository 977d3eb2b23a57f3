"The launch line of lesson 11, from outside: real processes, and an end to every run."
import json
import re
import subprocess
import time

import pytest
import torch

from course_dl.distributed import launch

LAUNCH = "accelerate launch --cpu --num_processes {} -m course_dl.distributed --epochs 2 --seed 7"


def run(line, out):
    done = launch(line, "--out", out)
    assert done.returncode == 0, done.stdout
    assert len(re.findall("^Data:", done.stdout, re.M)) == 1, done.stdout
    return json.loads(out.read_text())


@pytest.mark.timeout(300)
def test_two_processes_equal_one_with_the_doubled_batch(tmp_path):
    two = run(LAUNCH.format(2) + " --bs 32", tmp_path/"two.json")
    one = run("python -m course_dl.distributed --epochs 2 --seed 7 --bs 64", tmp_path/"one.json")
    assert (two["processes"], one["processes"]) == (2, 1)
    assert two["validated"] == one["validated"]
    assert torch.allclose(torch.tensor(two["params"]), torch.tensor(one["params"]), rtol=0, atol=1e-5)
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-5)
    assert one["accuracies"][-1] > .85
    half = run("python -m course_dl.distributed --epochs 2 --seed 7 --bs 32", tmp_path/"half.json")
    assert (torch.tensor(half["params"]) - torch.tensor(two["params"])).abs().max() > 1e-2  # the comparison can fail


@pytest.mark.timeout(300)
def test_a_process_that_dies_ends_the_run():
    start = time.monotonic()
    done = launch(LAUNCH.format(2) + " --die-at-step 5", timeout=100)
    assert done.returncode != 0
    assert re.search(r"^Error: .*process 1 ended with exit code 9.*; the run was stopped\.$", done.stdout, re.M), done.stdout
    assert time.monotonic() - start < 100


def test_a_run_out_of_time_is_stopped():
    with pytest.raises(subprocess.TimeoutExpired): launch("python -c 'import time; time.sleep(1000)'", timeout=2)


@pytest.mark.parametrize("option, message", [("--epochs 0", "epochs must be 1 or more, got 0"), ("--bs 0", "bs must be 1 or more, got 0"),
                                             ("--lr -1", "lr must be above 0, got -1"), ("--bogus", "unrecognized arguments: --bogus")])
def test_wrong_options_are_refused(option, message, capsys):
    from course_dl.distributed import main
    with pytest.raises(SystemExit) as e: main(option.split())
    assert e.value.code == 2
    assert message in capsys.readouterr().err


def test_launch_refuses_other_programs():
    with pytest.raises(ValueError, match="line must begin with"): launch("rm -r folder")
