"Draw the pictures that open exercises are compared with: what the solved copies of the lessons draw, from real data."
import base64
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from course_dl.cli import lesson_files
from course_dl.exercises import lesson_exercises, student_copy
from nbclient import NotebookClient


def draw(path:Path)->list: # names of the pictures
    "Run the solved copy of a lesson and keep what its open exercises draw."
    nb, wanted = nbformat.read(path, as_version=4), {}
    for o in lesson_exercises(nb):
        if picture := re.search(r"\]\(images/(exercise_\w+\.png)\)", nb.cells[o["stub"]-1].source): wanted[f"check.{o['name']}("] = picture[1]
    if not wanted: return []
    run = student_copy(nb, solved=True)
    run.cells = [o for o in run.cells if "slow" not in o.metadata.get("tags", [])]
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(run, timeout=1800, kernel_name="python3", resources=dict(metadata=dict(path=folder))).execute()
    said = [o.get("data", {}).get("application/vnd.course-dl+json", {}) for c in run.cells for o in c.get("outputs", [])]
    if not all(o.get("real", True) for o in said): sys.exit("The pictures are drawn from real data only; see `course_dl data`.")
    for before, cell in zip(run.cells, run.cells[1:]):
        for call, name in wanted.items():
            if cell.source.startswith(call): (Path(__file__).parents[1]/"nbs/images"/name).write_bytes(base64.b64decode([o.data["image/png"] for o in before.outputs if "image/png" in o.get("data", {})][-1]))
    return list(wanted.values())


if __name__ == "__main__":
    for path in lesson_files(sys.argv[1:]): print(path.stem, *draw(path))
