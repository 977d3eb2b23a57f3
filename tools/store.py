"""Run notebooks, slow cells too, and store their outputs, if they come from real data: tools/store.py [PAGE ...]

With the outputs goes what they were made with; the site shows it at the foot of the page."""
import base64
import os
import re
import sys
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import nbformat
from PIL import Image

from course_dl.core import _write_whole, made_with
from course_dl.runner import folded, lesson_files, run_lesson, run_lessons

WIDGET = "application/vnd.jupyter.widget-view+json"


def fold_cells(nb):
    """Fold the code of cells tagged `proof`, `setup` or `plot` in JupyterLab and Colab, and unfold that of all others.

    JupyterLab shows the first line of what is folded: rather a title than a directive for nbdev or a long `fig-alt`."""
    for cell in nb.cells:
        for key in ("jupyter", "cellView"): cell.metadata.pop(key, None)
        cell.source = re.sub(r'^#\| code-summary: ".*"\n', "", cell.source)
        for tag in folded.keys() & set(cell.metadata.get("tags", [])):
            cell.metadata.update(jupyter={"source_hidden": True}, cellView="form")
            if re.match(r"#\| (?!export)", cell.source):  # an export would carry it into the package
                cell.source = f'#| code-summary: "{folded[tag]}"\n{cell.source}'


def drop_widgets(nb):
    "Take out of the outputs what only a running kernel can show."
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        for output in cell.get("outputs", []): output.get("data", {}).pop(WIDGET, None)


def shrink_plots(nb):
    "Keep plots, the pictures that come with a size, in at most 256 colors, so that notebooks stay small."
    for output in (output for cell in nb.cells for output in cell.get("outputs", [])):
        if "image/png" not in output.get("metadata", {}): continue
        picture, kept = Image.open(BytesIO(base64.b64decode(output.data["image/png"]))), BytesIO()
        picture.convert("RGB").quantize(256).save(kept, "PNG", optimize=True)
        output.data["image/png"] = base64.b64encode(kept.getvalue()).decode()


def run_and_store(path:Path, *how) -> dict:
    "Run a notebook; write what came out into it, unless it failed or did not see the real data."
    done = run_lesson(path, *how)
    nb = done["notebook"]
    if done["error"]: return done
    if not done["real"]: return done | {"error": "outputs are stored from real data only; see `course_dl data`"}
    nb.metadata["last_run"] = made_with() | {"fastai": version("fastai"), "data": done["data"]}
    fold_cells(nb)
    drop_widgets(nb)
    shrink_plots(nb)
    _write_whole(path, f"{nbformat.writes(nb)}\n".encode())
    return done


def main():
    jobs = min(os.cpu_count(), 4)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, os.cpu_count()//jobs)))  # here as in the kernels: `made_with`
    try: files = lesson_files(sys.argv[1:], checks=True)
    except ValueError as e: sys.exit(str(e))
    errors = run_lessons(files, slow=True, again=True, jobs=jobs, run=run_and_store)
    sys.exit("\n".join(f"{name}:\n{error}" for name, error in errors.items()) or None)


if __name__ == "__main__": main()
