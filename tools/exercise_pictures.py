"Draw the pictures that open exercises are compared with: what the solved copies of the lessons draw, from real data."
import base64
import io
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

from course_dl.runner import lesson_files
from course_dl.student import lesson_exercises, student_copy

IMAGES = Path(__file__).parents[1]/"nbs/images"


def solved_copy(nb):
    "A lesson with its solutions, after a run."
    run = student_copy(nb, solved=True)
    run.cells = [cell for cell in run.cells if "slow" not in cell.metadata.get("tags", [])]
    with tempfile.TemporaryDirectory() as folder:
        resources = dict(metadata=dict(path=folder))
        NotebookClient(run, timeout=1800, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in run.cells for output in cell.get("outputs", [])]
    said = [output.get("data", {}).get("application/vnd.course-dl+json", {}) for output in outputs]
    if not all(what.get("real", True) for what in said):
        sys.exit("The pictures are drawn from real data only; see `course_dl data`.")
    return run


def draw(path:Path)->list:  # names of the pictures
    "Run the solved copy of a lesson and keep what its open exercises draw."
    nb, wanted = nbformat.read(path, as_version=4), {}
    for exercise in lesson_exercises(nb):
        task = nb.cells[exercise["stub"]-1].source
        if picture := re.search(r"\]\(images/(exercise_\w+\.png)\)", task):
            wanted[f"check.{exercise['name']}("] = picture[1]
    if not wanted: return []
    run = solved_copy(nb)
    for before, cell in zip(run.cells, run.cells[1:]):
        for call, name in wanted.items():
            if not cell.source.startswith(call): continue
            *_, shown = [output for output in before.outputs if "image/png" in output.get("data", {})]
            with Image.open(io.BytesIO(base64.b64decode(shown.data["image/png"]))) as picture:
                size = shown.metadata["image/png"]  # Markdown has no size, so a pixel for a pixel
                picture.convert("RGB").resize((size["width"], size["height"])).save(IMAGES/name)
    return list(wanted.values())


if __name__ == "__main__":
    for path in lesson_files(sys.argv[1:]): print(path.stem, *draw(path))
