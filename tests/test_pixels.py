"Pixels kept in the cache: whatever happens to the files or to what was kept, `load_digit` gives what the files hold."
import os
import time

import numpy as np
import pytest
from course_dl import data
from course_dl.similarity import load_digit
from PIL import Image


@pytest.fixture
def path(tmp_path, monkeypatch):
    "Six images of noise, old enough to be kept, and an empty cache."
    monkeypatch.setenv("COURSE_DL_CACHE", str(tmp_path/"cache"))
    monkeypatch.setattr(data, "_temporary_cache", None)
    (tmp_path/"train/3").mkdir(parents=True)
    for i in range(6): draw(tmp_path, i, i)
    time.sleep(0.15)  # what has just changed is not kept
    return tmp_path


def draw(path, i, seed): Image.fromarray(np.random.default_rng(seed).integers(0, 256, (28, 28), np.uint8)).save(path/f"train/3/{i}.png")


def stored(path): return np.stack([np.asarray(Image.open(o)) for o in sorted((path/"train/3").glob("*.png"))])


def kept(path): return sorted((path/"cache").glob("pixels-*"))


def right(path):
    "Whether two readings in a row give what the files hold."
    expected = (stored(path)/np.float32(255)).astype(np.float32)
    return all(np.array_equal(load_digit(path, 3).numpy(), expected) for reading in range(2))


def test_pixels_are_kept_and_not_read_again(path, monkeypatch):
    assert right(path) and len(kept(path)) == 1
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile", None)  # reading would fail
    assert right(path)


def change(path): draw(path, 2, 7)
def change_and_hide_it(path):
    before = os.stat(path/"train/3/2.png")
    draw(path, 2, 7)
    os.utime(path/"train/3/2.png", ns=(before.st_atime_ns, before.st_mtime_ns))
def add(path): draw(path, 9, 9)
def remove(path): (path/"train/3/2.png").unlink()
def rename(path): os.rename(path/"train/3/2.png", path/"train/3/9.png")
def swap(path):
    for old, new in (("1", "x"), ("4", "1"), ("x", "4")): os.rename(path/f"train/3/{old}.png", path/f"train/3/{new}.png")


@pytest.mark.parametrize("event", [change, change_and_hide_it, add, remove, rename, swap], ids=lambda o: o.__name__)
def test_change_of_the_files_is_seen(path, event):
    assert right(path)
    event(path)
    assert right(path)


@pytest.mark.parametrize("damage", [lambda raw: b"", lambda raw: raw[:-1], lambda raw: raw[:200] + b"\0\1" + raw[202:], lambda raw: b"\0"*32 + raw[32:], lambda raw: raw + b"\0"],
                         ids=["empty", "short", "other pixels", "other hash", "long"])
def test_damaged_copy_is_made_anew(path, damage):
    assert right(path)
    good = kept(path)[0].read_bytes()
    kept(path)[0].write_bytes(damage(good))
    assert right(path) and kept(path)[0].read_bytes() == good


def test_cache_that_cannot_be_written_is_no_error(path, monkeypatch):
    (path/"cache").write_text("a file where the folder should be")
    assert right(path)
    monkeypatch.setattr(data, "cache_folder", lambda: path/"no"/"such"/"folder")
    assert right(path)


def test_files_that_have_just_changed_are_not_kept(path, monkeypatch):
    change(path)
    changed = os.stat(path/"train/3/2.png").st_mtime
    monkeypatch.setattr(time, "time", lambda: changed + 0.05)  # however long this machine takes
    load_digit(path, 3)
    assert not kept(path)


def test_images_of_several_sizes_are_refused(path):
    Image.new("L", (20, 20)).save(path/"train/3/7.png")
    with pytest.raises(ValueError, match="same shape"): load_digit(path, 3)
