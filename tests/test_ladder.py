"The ladder: what is published was measured by the code that stands there, and can be taken up where it stopped."
import json
import re

import numpy as np
import pytest
import torch

import ladder
from course_dl.ladder import gain, read_ladder
from helpers import ROOT, module_name, read

PAGE = next(path for path in (ROOT/"nbs").glob("*.ipynb") if module_name(path) == "ladder")
T = {3: 4.303, 5: 2.776, 6: 2.571, 12: 2.262}  # 97.5 % quantile of Student's t for so many runs; for 12, that of 10


def test_what_is_kept_was_measured_by_this_code():
    "`described` takes over only runs whose hash is still that of the code."
    assert ladder.described(ladder.LADDERS, ladder.FILE) == read_ladder()


def test_every_rung_has_its_seeds_and_the_test_images_saw_only_what_is_published():
    assert ladder.climb(ladder.LADDERS, dry=True) == 0
    for kept, one in zip(read_ladder(), ladder.LADDERS):
        assert kept["rungs"][-1]["published"] or any(rung["published"] for rung in kept["rungs"])
        for rung in kept["rungs"]:
            assert [run["seed"] for run in rung["test"]] == list(range(one.tests*rung["published"])), rung["name"]
            assert one.tests >= 3 and len(rung["valid"]) >= 3*rung["compared"] and rung["made"]["torch"]


def effects():
    "Names and effects by a way of their own."
    for kept in read_ladder():
        below = None
        for rung in kept["rungs"]:
            if not rung["compared"]: continue
            accuracy = np.array([run["accuracy"] for run in rung["valid"]])
            if below is not None:
                more = accuracy - below
                sure = abs(more.mean()) > T[len(more)]*more.std(ddof=1)/len(more)**.5
                yield rung, ("helps" if more.mean() > 0 else "hurts") if sure else "noise"
            if rung["kept"]: below = accuracy


def test_marks_follow_from_the_numbers():
    "In the stored tables of the page, and in what is said of their rungs; and what costs accuracy is not kept."
    found, outputs = list(effects()), [output for cell in read(PAGE).cells for output in cell.get("outputs", [])]
    tables = "\n".join(output.data.get("text/plain", "") for output in outputs if "data" in output)
    printed = "".join(output.get("text", "") for output in outputs)
    line = r"^ *\d+ (.+?)  +[\d.]+%  +[+-][\d.]+ ± [\d.]+  +(helps|noise|hurts) "
    assert re.findall(line, tables, re.M) == [(rung["name"], effect) for rung, effect in found]
    reasons = [(rung["name"], "kept" if rung["kept"] else "not kept", rung["why"]) for rung, _ in found]
    assert re.findall(r"^\d+ (.+?) \(((?:not )?kept): (.+)\)$", printed, re.M) == reasons
    for rung, effect in found:
        assert not (effect == "hurts" and rung["kept"]), rung["name"]
        said = set(re.findall("helps|noise|hurts", rung["why"]))
        assert said <= {effect} and rung["why"], rung["name"]


def test_the_recipe_on_the_page_is_the_highest_rung():
    rungs = [rung for rung in read_ladder()[0]["rungs"] if rung["kept"]]
    source = "\n".join(cell.source for cell in read(PAGE).cells if cell.cell_type == "code")
    lines = rungs[-1]["program"].splitlines()
    assert not [line for line in lines if line not in source]
    for kept in read_ladder(): assert max(len(rung["program"].splitlines()) for rung in kept["rungs"]) <= 60


def tiny(rungs):
    def data(split, seed):
        x = torch.rand(200, 1, 28, 28, generator=torch.Generator().manual_seed(seed))
        y = (x.mean((1, 2, 3)) > .5).long()
        return x, y, x, y
    return ladder.Ladder("tiny", "tiny", data, 2, ladder.START | dict(epochs="epochs, lr = 2, 1e-2"), rungs, tests=1)


def test_a_run_that_is_done_is_kept_when_the_next_is_interrupted(tmp_path, monkeypatch):
    file, measure, calls = tmp_path/"ladder.json", ladder.measure, []
    def counted(*args):
        if len(calls) == 1: raise KeyboardInterrupt
        calls.append(args[2:])
        return measure(*args)
    first, second = ladder.Rung("start", {}, published=True), ladder.Rung("rate", dict(epochs="epochs, lr = 2, 2e-2"))
    monkeypatch.setattr(ladder, "measure", counted)
    monkeypatch.setattr(ladder, "code_hash", lambda ladder, program: str(hash(program)))
    with pytest.raises(KeyboardInterrupt): ladder.climb([tiny([first, second])], file)
    assert [run["seed"] for run in json.loads(file.read_text())[0]["rungs"][0]["valid"]] == [0]

    calls[:] = [None, None]  # go on
    assert ladder.climb([tiny([first, second])], file) == 0
    assert calls[2:] == [("valid", 1), ("test", 0), ("valid", 0), ("valid", 1)]
    assert ladder.climb([tiny([first, second])], file) == 0 and len(calls) == 6

    second.change = dict(epochs="epochs, lr = 3, 2e-2")  # other code is measured again, the rest is not
    assert ladder.climb([tiny([first, second])], file, dry=True) == 2
    assert ladder.climb([tiny([first, second])], file, names=["start"], seeds=3) == 0
    assert calls[6:] == [("valid", 2)]


def test_hash_sees_the_program_the_course_and_the_data(monkeypatch):
    one = ladder.LADDERS[0]
    program = ladder.programs(one)[0][1]
    seen = ladder.code_hash(one, program)
    assert seen == ladder.code_hash(one, program.replace(" = ", "  =  "))  # layout does not matter
    assert seen != ladder.code_hash(one, program.replace("bs=125", "bs=126"))
    assert seen != ladder.code_hash(ladder.LADDERS[1], program)
    monkeypatch.setattr(ladder, "_code_behind", lambda module, name, found: found.update({name: module}))
    assert seen != ladder.code_hash(one, program)


def test_rungs_build_on_those_that_are_kept():
    a, b = (ladder.Rung(str(bs), dict(dl=f"bs = {bs}"), kept=bs == 1) for bs in (1, 2))
    (_, first), (_, second), (_, third) = ladder.programs(tiny([a, b, ladder.Rung("more", dict(answer="answer"))]))
    assert "bs = 1" in first and "bs = 2" in second
    assert third == f"{first}\nanswer"
    with pytest.raises(ValueError, match="got no_step"): ladder.programs(tiny([ladder.Rung("a", dict(no_step="1"))]))


@pytest.mark.parametrize("one", ladder.LADDERS, ids=lambda one: one.key)
def test_held_out_images_are_no_test_images_and_train_nothing(one):
    x, y, x_new, y_new = one.data("valid", 1)
    everything, labels, x_test, _ = one.data("test", 1)
    assert len(x) + len(x_new) == len(everything) == len(labels) and len(x) == len(y) and len(x_new) == len(y_new)
    assert x.shape[1:] == x_new.shape[1:] == x_test.shape[1:] == (1, 28, 28)
    def rows(images): return {hash(image.cpu().numpy().tobytes()) for image in images}
    assert rows(x) | rows(x_new) == rows(everything)


def test_gain_is_the_mean_of_differences():
    def rung(*values): return dict(valid=[dict(seed=seed, accuracy=o) for seed, o in enumerate(values)])
    assert gain(rung(.9, .9, .9), rung(.8, .8, .8))[::2] == (pytest.approx(.1), "helps")
    assert gain(rung(.9, .7), rung(.8, .8, .1))[2] == "noise"
