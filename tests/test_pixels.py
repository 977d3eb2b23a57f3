"Pixels kept when the sample is unpacked: whatever happens to the files or to what was kept, all is read right."
import gzip
import hashlib
import shutil

import numpy as np
import pytest
from PIL import Image

from course_dl import data
from course_dl.data import mnist_sample, read_images
from course_dl.similarity import load_digit
from mirror import png, tar

parts = [(split, digit) for split in ("train", "valid") for digit in (3, 7)]


def noise(*seed): return np.random.default_rng(seed).integers(0, 256, (28, 28), np.uint8)


@pytest.fixture
def path(tmp_path, monkeypatch):
    "A miniature of the sample, six images for each digit, unpacked from an archive in the cache."
    archive = tar(*((f"mnist_sample/{split}/{digit}/{i}.png", png(noise(len(split), digit, i).tobytes()))
                    for split, digit in parts for i in range(6)))
    monkeypatch.delenv("COURSE_DL_DATA", raising=False)
    monkeypatch.setenv("COURSE_DL_CACHE", str(tmp_path/"cache"))
    files = {"mnist_sample.tgz": hashlib.sha256(archive).hexdigest()}
    monkeypatch.setitem(data._datasets, "mnist_sample", data._datasets["mnist_sample"]._replace(files=files))
    (tmp_path/"cache").mkdir()
    (tmp_path/"cache/mnist_sample.tgz").write_bytes(gzip.compress(archive))
    return mnist_sample().path


def stored(folder): return np.stack([np.asarray(Image.open(o)) for o in sorted(folder.glob("*.png"))])


def right(path):
    "Whether every digit comes as the files hold it."
    return all(np.array_equal(load_digit(path, digit, split).numpy(), stored(path/split/str(digit))/np.float32(255))
               for split, digit in parts)


def test_pixels_are_kept_and_no_file_is_opened(path, monkeypatch):
    expected = [stored(path/split/str(digit)) for split, digit in parts]
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile", None)  # reading would fail
    for (split, digit), pixels in zip(parts, expected):
        assert np.array_equal((load_digit(path, digit, split)*255).round().byte().numpy(), pixels)
        monkeypatch.chdir(path/split)  # a folder may be told from where one stands
        assert np.array_equal(data.digit_images(str(digit)), pixels)


def test_what_is_read_is_the_readers_own(path):
    load_digit(path, 3).zero_()
    data.digit_images(path/"train"/"3").zero_()
    assert right(path)


@pytest.mark.parametrize("damage", [lambda raw: b"", lambda raw: raw[:-1], lambda raw: raw[:200] + b"\0\1" + raw[202:],
                                    lambda raw: raw + b"\0", lambda raw: raw[::-1]],
                         ids=["empty", "short", "other pixels", "long", "turned round"])
def test_damaged_copy_is_not_believed(path, damage):
    kept = [o for o in path.parent.iterdir() if o != path]
    assert len(kept) == 4
    for o in kept: o.write_bytes(damage(o.read_bytes()))
    assert right(path)
    for o in kept: o.unlink()
    assert right(path)


def change(folder): Image.fromarray(noise(7)).save(folder/"2.png")
def add(folder): Image.fromarray(noise(9)).save(folder/"9.png")
def remove(folder): (folder/"2.png").unlink()
def rename(folder): (folder/"2.png").rename(folder/"9.png")


@pytest.mark.parametrize("event", [change, add, remove, rename], ids=lambda o: o.__name__)
def test_change_of_the_files_is_seen(path, tmp_path, event):
    "By `read_images` everywhere, by `load_digit` in every folder but the one that was unpacked."
    copied = tmp_path/"mnist_sample"
    shutil.copytree(path, copied)
    for folder in (copied/"train"/"3", path/"train"/"3"):
        event(folder)
        assert np.array_equal(read_images(folder).numpy(), stored(folder))
    assert right(copied)


def test_images_of_several_sizes_are_refused(path, tmp_path):
    shutil.copytree(path, tmp_path/"copied")
    Image.new("L", (20, 20)).save(tmp_path/"copied/train/3/7.png")
    with pytest.raises(ValueError, match="same shape"): load_digit(tmp_path/"copied", 3)


def test_color_and_empty_folders(tmp_path):
    Image.fromarray(np.stack([noise(i) for i in range(3)], -1)).save(tmp_path/"1.png")
    found = read_images(tmp_path)
    assert np.array_equal(found.numpy(), stored(tmp_path)) and found.shape == (1, 28, 28, 3)
    (tmp_path/"none").mkdir()
    with pytest.raises(FileNotFoundError, match="must hold PNG images, got .*none, which has none"):
        read_images(tmp_path/"none")
