"The installed package, seen from outside."
import ast
import platform
import subprocess
import sys
from importlib.metadata import metadata
from importlib.util import find_spec

import pytest
from packaging.requirements import Requirement

from helpers import ROOT, SETTINGS, run_python


def test_early_lessons_load_neither_fastai_nor_torchvision():
    names = "('fastai', 'torchvision', 'sklearn', 'pandas')"
    lessons = ", ".join(f"course_dl.{name}" for name in ("similarity", "thermometer", "sgd"))
    assert run_python(f"import sys, {lessons}; print([o for o in {names} if o in sys.modules])") == "[]"


def test_core_loads_nothing_that_takes_long():
    names = "('torch', 'numpy', 'matplotlib', 'IPython', 'packaging', 'torchvision')"
    assert run_python(f"import sys, course_dl.core; print([o for o in {names} if o in sys.modules])") == "[]"


VISION = """
from course_dl.core import *
from {} import *
import torchvision
print(torchvision.__version__ and resnet18().fc.out_features)"""
DOES_NOT_LOAD = """
import torch
def fails(path): raise OSError("does not load")
torch.ops.load_library = fails
"""
DECLARED_BEFORE = """
library = torch.library.Library("torchvision", "DEF")
for op in ("nms", "qnms"): library.define(f"{op}(Tensor a, Tensor b, float c) -> Tensor")
"""


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
@pytest.mark.parametrize("before, first", [
    ("", "fastai.vision.all"), (DOES_NOT_LOAD, "torchvision.models"),
    (DOES_NOT_LOAD + DECLARED_BEFORE, "torchvision.models")],
    ids=["as installed", "library does not load", "declared by somebody else"])
def test_core_makes_any_torch_and_torchvision_pair_work_together(before, first):
    assert run_python(before + VISION.format(first), timeout=300, PYTHONWARNINGS="ignore") == "1000"


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_operators_are_declared_only_where_they_are_missing():
    declare = "define = torch.library.define; torch.library.define = lambda *op: define(*op) or print(op[0])\n"
    stub = "import sys, types; sys.modules['torchvision.extension'] = types.SimpleNamespace({})\n"
    ask = "from course_dl.core import _MendTorchvision as mend\nfor _ in range(2): mend.find_spec('torchvision.ops')"
    loading, loaded = stub.format(""), stub.format("_has_ops=None")
    assert run_python("import torch\n" + declare + loading + ask) == ""
    assert run_python("import torch" + DECLARED_BEFORE + declare + loaded + ask) == ""
    assert run_python("import torch\n" + declare + loaded + ask).split() == ["torchvision::nms", "torchvision::qnms"]


def report(core): return {line["name"]: line for line in core.doctor()}


def test_doctor_notes_a_mismatched_pair_and_its_fix(monkeypatch):
    from course_dl import core
    pytest.importorskip("torchvision")
    old = core._version
    monkeypatch.setattr(core, "_version", lambda package: "3.1.0+cu140" if package == "torch" else old(package))
    def fails(path): raise OSError("does not load")
    monkeypatch.setattr("torch.ops.load_library", fails)
    line = core._torchvision_line()
    assert line["state"] == "note" and "do not load beside torch 3.1.0+cu140" in line["found"]
    assert '"torch==3.1.0" torchvision' in line["fix"] and line["fix"].endswith("/cu140")
    monkeypatch.setattr("torch.ops.load_library", lambda path: None)
    assert core._torchvision_line() | {"found": ""} == {"name": "torchvision", "found": "", "state": "ok", "fix": ""}


def test_doctor_names_what_is_old_or_missing(monkeypatch):
    from course_dl import core
    versions = {"fastai": "2.7.19", "torch": None}
    monkeypatch.setattr(core, "_version", lambda package: versions.get(package, "99.0"))
    seen = report(core)
    assert (seen["fastai"]["state"], seen["fastai"]["fix"]) == ("bad", 'pip install "fastai>=2.8.7"')
    assert (seen["torch"]["state"], seen["torch"]["found"]) == ("bad", "missing")
    assert (seen["python"]["state"], seen["python"]["found"]) == ("ok", platform.python_version())
    assert (seen["pandas"]["state"], seen["pandas"]["fix"]) == ("ok", "")


def test_doctor_asks_for_all_that_settings_asks_for(monkeypatch):
    from course_dl import core
    monkeypatch.setattr(core, "_version", lambda package: None)
    for state, names in ("bad", ["requirements"]), ("note", ["export_requirements", "serve_requirements"]):
        asked = [line["fix"] for line in core.doctor() if line["state"] == state]
        needs = [Requirement(need) for name in names for need in SETTINGS[name].split()]
        assert asked == [f'pip install "{need.name}{need.specifier}"' for need in needs]


def test_a_python_that_is_too_old_cannot_load_the_course():
    "So `doctor` need not look at it: pip refuses it, and X|Y in the core's own annotations begins with Python 3.10."
    assert metadata("course_dl")["Requires-Python"] == f">={SETTINGS['min_python']}" == ">=3.10"
    code = (ROOT/"course_dl/core.py").read_text(encoding="utf-8")
    parameters = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.arg)]
    assert any(isinstance(node.annotation, ast.BinOp) for node in parameters) and "__future__" not in code


def test_doctor_notes_what_an_extra_would_add(monkeypatch):
    "A page can do without it, so it is a note."
    from course_dl import core
    monkeypatch.setattr(core, "requires", lambda name: ["torch>=2.6", 'onnx>=1.18; extra == "export"',
                                                        'uvicorn>=0.34; extra == "serve"', 'ruff; extra == "dev"'])
    monkeypatch.setattr(core, "_version", lambda package: None if package == "onnx" else "99.0")
    seen = report(core)
    assert (seen["onnx"]["state"], seen["onnx"]["fix"]) == ("note", 'pip install "onnx>=1.18"')
    assert seen["uvicorn"]["state"] == seen["torch"]["state"] == "ok" and "ruff" not in seen


def test_doctor_says_so_where_the_course_is_not_installed(monkeypatch):
    from course_dl import core
    def requires(name): raise core.PackageNotFoundError(name)
    monkeypatch.setattr(core, "requires", requires)
    assert [line["state"] for line in core.doctor()] == ["bad"]


def test_python_m_is_the_command(tmp_path):
    def run(*args):
        return subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    module, command = run("-m", "course_dl", "--help"), run("-c", "from course_dl.cli import main; main()", "--help")
    assert module.returncode == 0 and module.stdout == command.stdout
    bad = run("-m", "course_dl", "run", "trees")
    assert bad.returncode == 1 and "no lesson called trees; there are" in bad.stderr and "Traceback" not in bad.stderr
