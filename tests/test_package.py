"The installed package, seen from outside."
import subprocess
import sys
from importlib.util import find_spec

import pytest
from conftest import run_python


@pytest.mark.parametrize("module", ["similarity", "thermometer", "sgd"])
def test_lesson_loads_neither_fastai_nor_torchvision(module):
    code = f"import sys, course_dl.{module}; print([o for o in ('fastai', 'torchvision', 'sklearn', 'pandas') if o in sys.modules])"
    assert run_python(code) == "[]"


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_core_makes_any_torch_and_torchvision_pair_work_together():
    code = "from course_dl.core import *; from fastai.vision.all import *; import torchvision; print(torchvision.__version__ and resnet18().fc.out_features)"
    assert run_python(code, PYTHONWARNINGS="ignore") == "1000"


def test_torchvision_operators_are_declared_only_where_they_are_missing():
    code = """
import torch
def fails(path): raise OSError("does not load")
torch.ops.load_library = fails
lib = torch.library.Library("torchvision", "DEF")
lib.define("nms(Tensor a, Tensor b, float c) -> Tensor")
import course_dl.core as core
print(core.torchvision_state)"""
    assert run_python(code) == ("declared" if find_spec("torchvision") else "absent")


def test_doctor_names_a_mismatched_pair_and_its_fix(monkeypatch):
    from course_dl import core
    monkeypatch.setattr(core, "torchvision_state", "declared")
    monkeypatch.setattr(core.torch, "__version__", "2.13.0+cu130")
    line = core._torchvision_report()
    assert "does not fit torch 2.13.0+cu130" in line["found"]
    assert "torchvision==0.28.*" in line["fix"] and line["fix"].endswith("/cu130")


def test_doctor_names_an_old_package(monkeypatch):
    from course_dl import core
    monkeypatch.setattr(core, "_version", lambda package: {"fastai": "2.7.19", "torch": None}.get(package, "99.0"))
    report = {o["name"]: o for o in core.doctor()}
    assert not report["fastai"]["ok"] and report["fastai"]["fix"] == 'pip install "fastai>=2.8.7"'
    assert not report["torch"]["ok"] and report["torch"]["found"] == "missing"
    assert report["pandas"]["ok"] and not report["pandas"]["fix"]


def test_doctor_asks_for_the_same_versions_as_settings():
    from conftest import SETTINGS
    from course_dl import core
    asked = dict(o.split(">=") for o in SETTINGS["requirements"].split() if ">=" in o)
    assert all(asked[package] == least for package, least in core._needs.items())


def test_python_m_is_the_command(tmp_path):
    def run(*args): return subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    module, command = run("-m", "course_dl", "--help"), run("-c", "from course_dl.cli import main; main()", "--help")
    assert module.returncode == 0 and module.stdout == command.stdout
    bad = run("-m", "course_dl", "run", "trees")
    assert bad.returncode == 1 and "no lesson called trees; there are 00_core" in bad.stderr and "Traceback" not in bad.stderr
