"`course_dl` in a terminal: what it loads, how it ends, what it remembers."
import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

RUN = """
import signal
import sys
from pathlib import Path
from course_dl import cli, runner
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
folder = Path(sys.argv.pop(1))
runner.lessons_folder = lambda: folder
cli.main()
"""


def write(folder, name, *sources):
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), folder/f"{name}.ipynb")


def environment(folder): return os.environ | {"COURSE_DL_CACHE": str(folder/"cache"), "COURSE_DL_OFFLINE": "1"}


def course_dl(folder, *words):
    "Run the command on the notebooks of a folder; exit code, and the lines it printed."
    done = subprocess.run([sys.executable, "-c", RUN, folder, *words], capture_output=True, text=True, timeout=240,
                          env=environment(folder))
    assert "Traceback" not in done.stderr.partition("course_dl run")[0] or "FAILED" in done.stdout, done.stderr
    return done.returncode, done.stdout.splitlines(), done.stderr


SLOW = {"torch", "fastai", "pandas", "nbclient", "matplotlib", "hypothesis"}
WORDS = [["--help"], ["rnu"], ["data"], ["results"], ["run", "trees"], ["run", "two"], ["progress", "."]]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_small_commands_load_nothing_that_takes_long(tmp_path, words):
    "Neither do they when lessons have not changed."
    from course_dl import runner
    write(tmp_path, "02_two", "1+1")
    if words == ["run", "two"]:
        with pytest.MonkeyPatch.context() as patch:
            for key, value in environment(tmp_path).items(): patch.setenv(key, value)
            patch.setattr(runner, "lessons_folder", lambda: tmp_path)
            runner._remember("two", runner._state(tmp_path/"02_two.ipynb", False, runner._surroundings()), "fine")
    ask = f"import atexit, sys\natexit.register(lambda: print(sorted({SLOW} & set(sys.modules)))){RUN}"
    done = subprocess.run([sys.executable, "-c", ask, tmp_path, *words], capture_output=True, text=True, timeout=120,
                          env=environment(tmp_path), cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
    if words == ["run", "two"]: assert re.match(r"two +unchanged +fine", done.stdout)


def test_run_tells_what_it_is_at_and_remembers_what_went_well(tmp_path):
    write(tmp_path, "01_good", "from course_dl.core import *\nresult('42')")
    write(tmp_path, "02_bad", "1/0")
    code, lines, errors = course_dl(tmp_path, "run", "--jobs", "1")
    assert code == 1 and "ZeroDivisionError" in errors
    assert lines[0] == "[1/2] good ..." and re.match(r"good +\d+\.\d s  42$", lines[1])
    assert lines[2] == "[2/2] bad ..." and re.match(r"bad +\d+\.\d s  FAILED$", lines[3])
    code, lines, errors = course_dl(tmp_path, "run")
    assert code == 1 and "ZeroDivisionError" in errors
    assert re.match(r"good +unchanged +42$", lines[0]) and lines[1] == "[1/1] bad ..."
    write(tmp_path, "02_bad", "1")
    code, lines, errors = course_dl(tmp_path, "run", "--again")
    assert code == 0 and not errors and sorted(lines)[:2] == ["[1/2] good ...", "[2/2] bad ..."]


def test_lessons_run_side_by_side(tmp_path):
    "Each waits for the file of the other, with its share of the cores."
    for mine, other in ("a", "b"), ("b", "a"):
        write(tmp_path, mine, f"""
import os, time
from pathlib import Path
from course_dl.core import result
(Path({str(tmp_path)!r})/"{mine}.here").touch()
end = time.time() + 120
while not (Path({str(tmp_path)!r})/"{other}.here").exists():
    assert time.time() < end
    time.sleep(.1)
result(os.environ["OMP_NUM_THREADS"] + " " + os.environ["OMP_WAIT_POLICY"])""")
    env = {key: value for key, value in environment(tmp_path).items() if not key.startswith("OMP_")}
    done = subprocess.run([sys.executable, "-c", RUN, tmp_path, "run", "--jobs", "2"], capture_output=True, text=True,
                          env=env, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(f" {max(1, os.cpu_count()//2)} passive") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_ctrl_c_ends_in_a_sentence_and_leaves_no_process(tmp_path):
    "Neither kernels nor what they have started stay behind, not even in a session of its own."
    child = "[sys.executable, '-c', 'import time; time.sleep(300)']"
    for name in "01_one", "02_two", "03_three":
        write(tmp_path, name, f"""
import os, subprocess, sys, time
from pathlib import Path
child = subprocess.Popen({child}, start_new_session=True)
Path({str(tmp_path)!r}, f"{name}.pids").write_text(f"{{os.getpid()}} {{child.pid}}")
time.sleep(300)""")
    run = subprocess.Popen([sys.executable, "-c", RUN, tmp_path, "run", "--jobs", "2"], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(tmp_path))
    end = time.time() + 200
    while len(pids := [int(pid) for o in tmp_path.glob("*.pids") for pid in o.read_text().split()]) < 4:
        assert time.time() < end and run.poll() is None
        time.sleep(.1)
    run.send_signal(signal.SIGINT)
    out, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert errors.strip() == "Stopped. What went well is remembered, and the rest runs next time."
    assert out.splitlines() == ["[1/3] one ...", "[2/3] two ..."]
    assert len(pids) == 4 and not [pid for pid in pids if psutil.pid_exists(pid)
                                   and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
    assert not (tmp_path/"cache/runs.json").exists()


def test_a_lesson_edited_while_it_runs_counts_as_changed(tmp_path):
    path = tmp_path/"01_one.ipynb"
    other = nbformat.writes(new_notebook(cells=[new_code_cell("1/0")]))
    write(tmp_path, "01_one", f"from pathlib import Path\nPath({str(path)!r}).write_text({other!r})")
    assert course_dl(tmp_path, "run")[0] == 0
    assert course_dl(tmp_path, "run")[0] == 1


def test_what_slow_cells_did_is_not_what_others_did(tmp_path):
    write(tmp_path, "01_one", "1", "#| slow\n1/0")
    assert course_dl(tmp_path, "run")[0] == 0
    assert course_dl(tmp_path, "run", "--slow")[0] == 1
    assert "unchanged" in course_dl(tmp_path, "run")[1][0]


def test_a_memory_that_cannot_be_read_is_none(tmp_path):
    write(tmp_path, "01_one", "1")
    (tmp_path/"cache").mkdir()
    (tmp_path/"cache/runs.json").write_text("{")
    code, lines, _ = course_dl(tmp_path, "run")
    assert code == 0 and lines[0] == "[1/1] one ..."
    assert list(json.loads((tmp_path/"cache/runs.json").read_text())) == ["one"]
