"""Data, from outside: a miniature mirror on localhost misbehaves in every way a mirror can, and files mean harm.

All goes through what a lesson calls and the `COURSE_DL_` variables. The one thing replaced inside is the table of data
sets, `_datasets`: miniatures with hashes of their own, and hosts on this machine."""
import gzip
import hashlib
import os
import pickle
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests

from course_dl import data
from course_dl.data import (
    DataError,
    cache_folder,
    data_status,
    fashion_mnist,
    fetch_data,
    mnist,
    mnist_sample,
    read_idx,
    read_mnist_pickle,
)
from mirror import Host, faults, idx, png, send, tar

real_mirror = os.environ.get("COURSE_DL_DATA")


def cases(names, **table): return pytest.mark.parametrize(names, table.values(), ids=table)


def sha(raw): return hashlib.sha256(raw).hexdigest()


noise = np.random.default_rng(0).integers(0, 256, 25*784, np.uint8).tobytes()
contents = [idx((20, 28, 28), noise[:20*784]), idx((20,), bytes(range(10))*2),
            idx((5, 28, 28), noise[20*784:]), idx((5,), bytes(5))]
members = {f"mnist_sample/{split}/{digit}/1.png": png(noise[i*784:][:784])
           for i, (split, digit) in enumerate((s, d) for s in ("train", "valid") for d in "37")}
files = list(data._datasets["mnist"].files)
images, labels = files[:2]


def patch(monkeypatch, name, **fields):
    monkeypatch.setitem(data._datasets, name, data._datasets[name]._replace(**fields))


def is_miniature(found):
    return (found.x_train.numpy().tobytes() == noise[:20*784] and found.y_train.tolist() == [*range(10)]*2
            and found.x_test.numpy().tobytes() == noise[20*784:] and found.y_test.tolist() == [0]*5)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    "An empty cache. After each test, what it holds under a final name must be right, and nothing may be left over."
    for name in ("NO_PROXY", "no_proxy"): monkeypatch.setenv(name, "127.0.0.1,never.invalid")
    for name in ("COURSE_DL_DATA", "COURSE_DL_OFFLINE"): monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_DL_CACHE", str(tmp_path/"cache"))
    yield tmp_path/"cache"
    for dataset in data._datasets.values():
        for name, expected in dataset.files.items():
            for path in (tmp_path/"cache"/dataset.folder/name, tmp_path/"cache"/dataset.folder/Path(name).stem):
                raw = path.read_bytes() if path.is_file() else None
                assert raw is None or sha(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw) == expected
    for folder in (tmp_path/"cache").glob("sample-*/mnist_sample"):
        assert {f"{split}/{digit}" for split in ("train", "valid") for digit in "37"} <= {
            path.parent.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert not [path for path in (*tmp_path.glob("cache/*"), *tmp_path.glob("cache/MNIST/raw/*"))
                if path.name.startswith((".unfinished", "tmp"))]


@pytest.fixture
def hosts(monkeypatch):
    "Two hosts with miniatures of all datasets, and less patience with them than the course has."
    sample = tar(*members.items())
    served = {name: gzip.compress(raw) for name, raw in zip(files, contents)}
    pair = [Host(served | {"mnist_sample.tgz": gzip.compress(sample)}) for _ in range(2)]
    for name in data._datasets:
        patch(monkeypatch, name, files=dict(zip(files, map(sha, contents))), system="",
              mirrors=[f"http://{host.name}/{name}/" for host in pair])
    patch(monkeypatch, "mnist_sample", files={"mnist_sample.tgz": sha(sample)})
    def impatient(url, timeout, get=requests.get, **options):
        assert timeout == (4, 6)
        return get(url, timeout=0.8, **options)
    monkeypatch.setattr(requests, "get", impatient)
    pooch.get_logger().setLevel("WARNING")
    yield pair
    for host in pair: host.stop()


# The download path


def test_download_then_cache(hosts, capsys):
    "The first call fetches, the second finds; both give the same images and say where they come from."
    first, second = mnist(), mnist()
    assert is_miniature(first) and is_miniature(second) and first.real and second.real
    assert (first.source, second.source) == (hosts[0].name, "cache") and not hosts[1].asked
    assert repr(first) == f"Data: MNIST (real, from {hosts[0].name})"
    assert second._repr_mimebundle_() == {"text/plain": "Data: MNIST (real, from cache)",
        "application/vnd.course-dl+json": dict(kind="Data", text="MNIST (real, from cache)", real=True, origin="cache")}
    sample = mnist_sample()
    assert sample.real and sample.source == hosts[0].name and mnist_sample().source == "cache"
    assert {f"mnist_sample/{path.relative_to(sample.path).as_posix()}": path.read_bytes()
            for path in sample.path.rglob("*.png")} == members
    assert [line["source"] for line in data_status()] == ["cache", "cache", None]
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="mnist_sample, mnist, fashion_mnist, got 'cifar'"): fetch_data("cifar")


def test_classes_are_named(hosts):
    assert mnist().classes == list("0123456789")
    assert (fashion_mnist().classes[0], fashion_mnist().classes[9]) == ("T-shirt", "ankle boot")


@pytest.mark.parametrize("file", [images, labels])
@pytest.mark.parametrize("fault", faults)
def test_second_host_steps_in(hosts, fault, file):
    "Whatever the first host does wrong, in the first file or a later one, what is missing comes from the second."
    hosts[0].faults[file] = faults[fault]
    assert fetch_data("mnist") == hosts[1].name and is_miniature(mnist())
    assert file in hosts[0].asked and hosts[1].asked == files[files.index(file):]


@pytest.mark.parametrize("fault", faults)
def test_all_hosts_bad(hosts, fault):
    "If no host is any good, `mnist` says why and gives the embedded sample, and `fetch_data` raises one clear error."
    for host in hosts: host.faults[images] = faults[fault]
    with pytest.warns(UserWarning, match="MNIST could not be downloaded") as warned: found = mnist()
    with pytest.raises(DataError, match="MNIST could not be downloaded") as error: fetch_data("mnist")
    assert found.source == "embedded" and len(warned) == 1
    reason = dict(not_found="404", server_error="500", wrong_checksum="does not match",
                  truncated_at_the_source="truncated or damaged").get(fault, "")
    for text in (str(warned[0].message), str(error.value)):
        assert all(host.name in text for host in hosts) and reason in text


def test_host_that_compresses_on_the_way(hosts):
    "A host may say that the gzip is its own; the content counts."
    for host in hosts: host.faults[images] = lambda o, body: send(o, body, Content_Encoding="gzip")
    assert fetch_data("mnist") == hosts[0].name and is_miniature(mnist())


def test_failure_is_remembered_for_an_hour(hosts, monkeypatch, cache):
    "Without a network nobody asks again for an hour, except `fetch_data`."
    def no_names(name, *args, ask=socket.getaddrinfo):
        if name == "never.invalid": raise socket.gaierror("no such name")
        return ask(name, *args)
    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    hosts[0].faults[images] = faults["stalls_before_headers"]
    patch(monkeypatch, "mnist", mirrors=[f"http://{hosts[0].name}/", "http://127.0.0.1:1/", "http://never.invalid/"])
    with pytest.warns(UserWarning, match="is used for an hour; fetch_data\\('mnist'\\) asks again"): mnist()
    assert mnist().source == "embedded" and hosts[0].asked == [images]
    with pytest.raises(DataError, match="never.invalid"): fetch_data("mnist")
    assert mnist().source == "embedded" and hosts[0].asked == [images]*2
    hosts[0].faults.clear()
    memory, = cache.glob("unreachable*")
    now = memory.stat().st_mtime
    os.utime(memory, (now - 3500,)*2)
    assert mnist().source == "embedded" and hosts[0].asked == [images]*2
    os.utime(memory, (now - 3700,)*2)
    assert mnist().source == hosts[0].name


def test_offline_asks_no_host(hosts, monkeypatch, recwarn, cache):
    "With COURSE_DL_OFFLINE set, nobody is asked and nothing is remembered."
    monkeypatch.setenv("COURSE_DL_OFFLINE", "1")
    assert mnist().source == "embedded"
    with pytest.raises(DataError, match="MNIST is not on this machine, and COURSE_DL_OFFLINE is set"):
        fetch_data("mnist")
    assert hosts[0].asked == hosts[1].asked == [] and not recwarn.list and not cache.exists()
    for word in ("0", ""):
        monkeypatch.setenv("COURSE_DL_OFFLINE", word)
        assert mnist().real
        shutil.rmtree(cache)
    fetch_data("mnist")
    monkeypatch.setenv("COURSE_DL_OFFLINE", "1")
    assert mnist().source == fetch_data("mnist") == "cache"


def test_half_finished_download_is_replaced(hosts, cache):
    "A truncated file under a final name, and what a process that died has left over, do no harm."
    left_over = [cache/"MNIST/raw"/f"tmp-{images}", cache/".unfinished-x"/images]
    for path in (cache/"MNIST/raw"/Path(images).stem, *left_over):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    assert mnist().source == hosts[0].name and is_miniature(mnist())
    assert [path.read_bytes() for path in left_over] == [b"half"]*2
    for path in left_over: path.unlink()
    left_over[1].parent.rmdir()


def test_failed_download_leaves_good_files(hosts, cache):
    "Files that are right already are neither fetched again nor touched."
    fetch_data("mnist")
    paths = [cache/"MNIST/raw"/Path(name).stem for name in files]
    paths[1].unlink()
    before = [(path.stat().st_mtime_ns, path.stat().st_ino) for path in (paths[0], *paths[2:])]
    for host in hosts: host.asked, host.faults = [], {images: faults["wrong_checksum"], labels: faults["truncated"]}
    with pytest.raises(DataError, match="could not be downloaded"): fetch_data("mnist")
    assert before == [(path.stat().st_mtime_ns, path.stat().st_ino) for path in (paths[0], *paths[2:])]
    assert hosts[0].asked == hosts[1].asked == [labels] and len(os.listdir(cache/"MNIST/raw")) == 3


@pytest.mark.skipif(not real_mirror, reason="COURSE_DL_DATA names no mirror")
def test_real_files_through_the_whole_path(monkeypatch):
    "MNIST itself, served from the mirror folder, arrives with 60,000 and 10,000 images."
    host = Host({path.name: path.read_bytes() for path in Path(real_mirror, "MNIST/raw").glob("*.gz")})
    patch(monkeypatch, "mnist", mirrors=[f"http://{host.name}/"])
    found = mnist()
    host.stop()
    assert (found.source, len(found.x_train), len(found.x_test)) == (host.name, 60000, 10000)
    assert mnist().source == "cache"


# The cache: not made by looking, not writable, full, shared


def test_looking_writes_nothing(hosts, tmp_path, monkeypatch, cache, capsys):
    "The folder of the cache is made where something is written, not by those who ask for it."
    fill(tmp_path/"mirror/MNIST/raw")
    monkeypatch.setenv("COURSE_DL_DATA", str(tmp_path/"mirror"))
    assert cache_folder() == cache and [line["source"] for line in data_status()] == [None, "COURSE_DL_DATA", None]
    assert is_miniature(mnist()) and not cache.exists() and capsys.readouterr() == ("", "")


def test_cache_that_cannot_be_written(hosts, tmp_path, monkeypatch):
    "Images that need no folder are given nevertheless; where a folder is needed, the error says what to do."
    (tmp_path/"file").write_text("")
    monkeypatch.setenv("COURSE_DL_CACHE", str(tmp_path/"file"/"cache"))
    advice = r"cannot write .* \(Not a directory\); set COURSE_DL_CACHE to a folder that can be written and has space"
    with pytest.warns(UserWarning, match=rf"{advice}\n  The embedded sample is used\.$"):
        assert mnist().source == "embedded"  # nor can it be remembered that nobody answered
    with pytest.raises(DataError, match=advice), pytest.warns(UserWarning): mnist_sample()
    with pytest.raises(DataError, match=advice): fetch_data("mnist")
    fill(tmp_path/"mirror/MNIST/raw")
    monkeypatch.setenv("COURSE_DL_DATA", str(tmp_path/"mirror"))
    assert is_miniature(mnist())


def test_home_that_cannot_be_written(tmp_path, monkeypatch, recwarn):
    "A folder that the user names must do; in place of the system's own, a temporary one keeps the data."
    monkeypatch.setenv("COURSE_DL_OFFLINE", "1")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path/"home/.cache"/name)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path/"temporary"))
    assert cache_folder() == tmp_path/"cache"
    monkeypatch.delenv("COURSE_DL_CACHE")
    assert cache_folder() == tmp_path/"home/.cache/course_dl"
    (tmp_path/"home").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path/"home" or mode != os.W_OK)
    assert cache_folder() == tmp_path/"temporary"/f"course_dl-{Path.home().name}"
    assert not (tmp_path/"temporary").exists() and mnist_sample().path.is_relative_to(cache_folder())
    assert not any((tmp_path/"home").iterdir()) and not recwarn.list


def child(tmp_path, code):
    "Another Python with the same miniature datasets; it says ready and waits for a line."
    (tmp_path/"state").write_bytes(pickle.dumps(data._datasets))
    head = ("import os, pickle, resource; from course_dl import data\n"
            f"data._datasets = pickle.load(open({str(tmp_path/'state')!r}, 'rb'))\n"
            "print('ready', flush=True); input()\n")
    return subprocess.Popen([sys.executable, "-c", head + code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def test_full_disk(hosts, cache, tmp_path):
    "No space: downloading, unpacking and writing the embedded sample end in a clear error and leave nothing behind."
    fetch_data("mnist_sample")
    printed, errors = child(tmp_path, """
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
def attempt(f, *args):
    try: print("gave", f(*args))
    except data.DataError as e: print("DataError", e)
attempt(data.fetch_data, "mnist")
attempt(lambda: data.mnist().source)
attempt(data.mnist_sample)
os.remove(os.environ["COURSE_DL_CACHE"] + "/mnist_sample")
attempt(data.mnist_sample)""").communicate("\n", timeout=300)
    outcome = [line.split(" to ")[0] for line in printed.splitlines() if line.startswith(("gave", "DataError"))]
    assert outcome == ["DataError cannot write MNIST", "gave embedded",
                       *["DataError cannot write the images of 3s and 7s"]*2], errors
    assert "Traceback" not in errors
    assert {path.name for path in cache.rglob("*")} == {"MNIST", "raw", "unreachable-mnist", "unreachable-mnist_sample"}


def test_two_processes_at_once(hosts, cache, tmp_path):
    "Two processes fetch and unpack the same data at the same moment; both succeed."
    other = child(tmp_path, "print(data.fetch_data('mnist'), len(data.mnist().x_train), "
                            "len(list(data.mnist_sample().path.rglob('*.png'))))")
    assert other.stdout.readline() == "ready\n"
    print(file=other.stdin, flush=True)
    assert (fetch_data("mnist"), is_miniature(mnist()), len(list(mnist_sample().path.rglob("*.png"))))[1:] == (True, 4)
    printed, errors = other.communicate(timeout=300)
    assert printed.endswith(" 20 4\n") and "embedded" not in printed, errors
    assert len(os.listdir(cache/"MNIST/raw")) == 4 and len(list(cache.glob("sample-*"))) == 1


def test_another_process_unpacks_faster(hosts, cache, monkeypatch):
    "While this process unpacks, another finishes: its folder is taken."
    def slow(archive, *args, extract=tarfile.TarFile.extractall, **options):
        monkeypatch.setattr(tarfile.TarFile, "extractall", extract)
        assert mnist_sample().path.is_dir()
        extract(archive, *args, **options)
    monkeypatch.setattr(tarfile.TarFile, "extractall", slow)
    assert len(list(mnist_sample().path.rglob("*.png"))) == 4 and len(list(cache.glob("*sample-*"))) == 1


# Files that mean harm


def put_archive(monkeypatch, cache, raw):
    "An archive of which the table of datasets says that it is the right one."
    patch(monkeypatch, "mnist_sample", files={"mnist_sample.tgz": sha(raw)})
    cache.mkdir()
    (cache/"mnist_sample.tgz").write_bytes(raw)


def tree(folder): return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python unpacks what the hash vouches for")
@cases("name, content, refused", up=("../out", b"x", True), down_and_up=("sample/../../out", b"x", True),
       absolute=("/OUT", b"x", False), drive=("C:\\out", b"x", False), backslash=("a\\..\\..\\out", b"x", False),
       symlink=("link", 2, False), hardlink=("hard", 1, False), device=("device", 3, True), block=("block", 4, True),
       pipe=("pipe", 6, True))
def test_unsafe_archive(monkeypatch, tmp_path, cache, name, content, refused):
    "A bad member is refused with the whole archive, or lands inside, even if the checksum is the one expected."
    good = [("sample/good", b"good"), *members.items()]
    put_archive(monkeypatch, cache, tar(*good, (name.replace("/OUT", str(tmp_path/"out")), content)))
    if refused:
        with pytest.raises(DataError, match="mnist_sample.tgz: unsafe"): mnist_sample()
        assert tree(tmp_path) == {"cache", "cache/mnist_sample.tgz"}
    else:
        assert len(list(mnist_sample().path.rglob("*.png"))) == 4
        inside = {f"cache/{path}" for path in tree(cache) if path.startswith("sample-")}
        assert tree(tmp_path) == {"cache", "cache/mnist_sample.tgz"} | inside


@cases("raw", empty=b"", no_tar=b"no tar", truncated=tar(*members.items())[:1200])
def test_broken_archive(monkeypatch, tmp_path, cache, raw):
    "What is no tar archive, or only half of one, is called that, and nothing of it stays."
    put_archive(monkeypatch, cache, raw)
    with pytest.raises(DataError, match="mnist_sample.tgz: unsafe or unreadable archive"): mnist_sample()
    assert tree(tmp_path) == {"cache", "cache/mnist_sample.tgz"}


class Call:
    "Pickles as a call of a function."
    def __init__(self, *call): self.call = call
    def __reduce__(self): return self.call[0], self.call[1:]


x, y = np.zeros((3, 784), np.float32), np.arange(3)
x.setflags(write=False)
refused, unreadable = "{}; only NumPy arrays are accepted", "no pickle of three pairs"


@cases("raw, message",
    system=(pickle.dumps(Call(os.system, "touch marker")), refused.format("system")),
    eval=(pickle.dumps(Call(eval, "open('marker', 'w')"), 2), refused.format("eval")),
    eval_in_array=(pickle.dumps(((np.array([Call(eval, "open('marker', 'w')")]), y),)*3), refused.format("eval")),
    runstring=(b"cnumpy.testing._private.utils\nrunstring\n(S'open(\"marker\", \"w\")'\n}tR.",
               refused.format("runstring")),
    method=(b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", refused.format("ndarray.tofile")),
    object_array=(pickle.dumps(((np.array([[None]*784]*3, object), y),)*3), unreadable),
    no_pairs=(pickle.dumps([(x, y, y)]*3), unreadable), no_arrays=(pickle.dumps([(1, 2)]*3), unreadable),
    two_pairs=(pickle.dumps(((x, y),)*2), unreadable), number=(pickle.dumps(3), unreadable),
    odd_numbers=(pickle.dumps(((x.astype(np.float16), y),)*3), unreadable),
    odd_labels=(pickle.dumps(((x, y.astype(np.uint8)),)*3), unreadable),
    one_label=(pickle.dumps(((x, y[:1]),)*3), unreadable), odd_width=(pickle.dumps(((x[:, 1:], y),)*3), unreadable),
    huge=(pickle.dumps(Call(np.ndarray, (2**60,))), unreadable),
    nested=(b"("*10**4 + b"t"*10**4 + b".", unreadable),
    truncated=(pickle.dumps(((x, y),)*3)[:-100], unreadable), empty=(b"", unreadable))
def test_pickle_runs_nothing(tmp_path, monkeypatch, raw, message):
    "A pickle that asks for anything but number arrays is refused, and nothing of it is run."
    monkeypatch.chdir(tmp_path)
    Path("file.pkl").write_bytes(raw)
    with pytest.raises(DataError, match=f"file.pkl: .*({message})"): read_mnist_pickle("file.pkl")
    assert os.listdir() == ["file.pkl"]


@pytest.mark.parametrize("protocol", range(6))
def test_good_pickle(tmp_path, protocol, recwarn):
    "Arrays come back the same from every pickle protocol, read-only ones too, without a warning."
    (tmp_path/"file.pkl.gz").write_bytes(gzip.compress(pickle.dumps(((x, y),)*3, protocol)))
    parts = read_mnist_pickle(tmp_path/"file.pkl.gz")
    assert [(a.shape, b.tolist()) for a, b in parts] == [((3, 784), [0, 1, 2])]*3 and not recwarn.list


no_idx, no_array, bad_gzip = "not an IDX file", "no array can have shape", "gzip file is truncated or damaged"


@cases("raw, message", empty=(b"", f"{no_idx}: it starts with nothing"), wrong_magic=(b"\0\1\x08\1\0\0\0\1x", no_idx),
    wrong_type=(idx((1,), b"x", 7), no_idx), short_header=(idx((2, 3), b"")[:-1], "header of 12 bytes"),
    short=(idx((2, 3), b"12345"), "needs 6 bytes, the file has 5"),
    long=(idx((2, 3), b"1234567"), "needs 6 bytes, the file has 7"),
    absurd_lengths=(idx((2**32-1,)*255, b"x", 14), "bytes, the file has 1"),
    too_many_axes=(idx((1,)*255, b"x"), no_array), empty_and_absurd=(idx((0,) + (2**32-1,)*3, b""), no_array),
    truncated=(gzip.compress(contents[0])[:-9], bad_gzip), two_bytes=(b"\x1f\x8b", bad_gzip),
    garbage_behind=(gzip.compress(contents[1]) + b"garbage", bad_gzip),
    flipped_bits=(gzip.compress(bytes(999))[:14] + b"\xff" + gzip.compress(bytes(999))[15:], bad_gzip),
    bomb=(gzip.compress(bytes(2**24))*17, "more than 268,435,456 bytes"))
def test_broken_idx(tmp_path, raw, message):
    "Each kind of damage gets its own word, and none comes from inside a library."
    (tmp_path/"file.gz").write_bytes(raw)
    with pytest.raises(DataError, match=f"file.gz.*{message}"): read_idx(tmp_path/"file.gz")


@cases("kind, dtype", uint8=(8, ">u1"), int8=(9, ">i1"), int16=(11, ">i2"), int32=(12, ">i4"), float32=(13, ">f4"),
       float64=(14, ">f8"))
def test_every_type_of_idx(tmp_path, kind, dtype):
    "The numbers come back in the type that the file names."
    numbers = np.array([[0, 1, 2], [100, 101, 102]], dtype)
    (tmp_path/"file").write_bytes(idx((2, 3), numbers.tobytes(), kind))
    found = read_idx(tmp_path/"file").numpy()
    assert found.tolist() == numbers.tolist() and found.dtype == numbers.dtype.newbyteorder("=")


# Folders on this machine, and the embedded sample


def fill(folder):
    "Put miniature MNIST into a folder, one of its files uncompressed."
    folder.mkdir(parents=True)
    for name, content in zip([images, Path(labels).stem, *files[2:]], contents):
        (folder/name).write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)


@cases("spoil, word, seen", missing=(lambda folder, file: shutil.rmtree(folder), "not a folder", True),
    a_file=(lambda folder, file: (shutil.rmtree(folder), folder.write_text("")), "not a folder", True),
    partial=(lambda folder, file: file.unlink(), "without train-images-idx3-ubyte.gz", True),
    damaged=(lambda folder, file: file.write_bytes(gzip.compress(b"else")), "checksum", False),
    truncated=(lambda folder, file: file.write_bytes(file.read_bytes()[:-3]), "truncated", False),
    unreadable=(lambda folder, file: (file.unlink(), file.symlink_to("/proc/self/mem")),  # which even root cannot read
                "cannot be read|without", False))
def test_bad_mirror_folder(hosts, tmp_path, monkeypatch, spoil, word, seen):
    "A mirror the user named must be right; if not, the error names it, and no host is asked in its place."
    fill(tmp_path/"mirror/MNIST/raw")
    spoil(tmp_path/"mirror", tmp_path/"mirror/MNIST/raw"/images)
    monkeypatch.setenv("COURSE_DL_DATA", str(tmp_path/"mirror"))
    for ask in (mnist, lambda: fetch_data("mnist"), *[data_status]*seen):
        with pytest.raises(DataError, match=f"COURSE_DL_DATA names .*mirror.*({word})"): ask()
    if word in ("checksum", "truncated"): assert data_status()[1]["source"] == "COURSE_DL_DATA"
    assert hosts[0].asked == hosts[1].asked == []


def test_mirror_without_the_data_set(hosts, tmp_path, monkeypatch):
    "A mirror need not hold every dataset; the search goes on."
    monkeypatch.setenv("COURSE_DL_DATA", str(tmp_path))
    assert fetch_data("mnist") == hosts[0].name


@pytest.mark.parametrize("source", ["COURSE_DL_DATA", "cache", "system"])
def test_folder_of_this_machine(hosts, tmp_path, monkeypatch, cache, source):
    "Each is used where it has the files, packed by whomever or not at all, and no host is asked."
    folder = cache/"MNIST/raw" if source == "cache" else tmp_path/"here/MNIST/raw"
    fill(folder)
    if source == "system": patch(monkeypatch, "mnist", system=str(folder))
    if source == "COURSE_DL_DATA": monkeypatch.setenv(source, str(tmp_path/"here"))
    assert is_miniature(mnist()) and mnist().source == fetch_data("mnist") == data_status()[1]["source"] == source
    assert hosts[0].asked == hosts[1].asked == []
    if source != "COURSE_DL_DATA":  # nobody named this folder: if it is damaged, look further
        (folder/Path(labels).stem).write_bytes(b"damaged")
        assert data_status()[1]["source"] == source and fetch_data("mnist") == hosts[0].name


def test_nearest_place_wins(hosts, tmp_path, monkeypatch, cache):
    "First the mirror, then the cache, then the system."
    for folder in (tmp_path/"here/MNIST/raw", cache/"MNIST/raw", tmp_path/"system"): fill(folder)
    patch(monkeypatch, "mnist", system=str(tmp_path/"system"))
    monkeypatch.setenv("COURSE_DL_DATA", str(tmp_path/"here"))
    assert mnist().source == "COURSE_DL_DATA"
    shutil.rmtree(tmp_path/"here/MNIST")
    assert mnist().source == "cache"
    shutil.rmtree(cache)
    assert mnist().source == "system"


def test_embedded_sample(monkeypatch, tmp_path):
    "fastai's layout, each image once in labels.csv with 0 for 3 and 1 for 7, and the same bytes each time."
    monkeypatch.setenv("COURSE_DL_OFFLINE", "1")
    sums = []
    for folder in ("cache", "cache2"):
        monkeypatch.setenv("COURSE_DL_CACHE", str(tmp_path/folder))
        sample = mnist_sample()
        sums.append({path.relative_to(sample.path).as_posix(): sha(path.read_bytes())
                     for path in sample.path.rglob("*") if path.is_file()})
    assert sums[0] == sums[1] and not sample.real and sample.source == "embedded"
    assert repr(sample) == repr(mnist()) == "Data: embedded sample (1,797 digits); figures differ from the text"
    assert sample._repr_mimebundle_()["application/vnd.course-dl+json"]["real"] is False
    head, *lines = (sample.path/"labels.csv").read_text().splitlines()
    assert head == "name,label" and sorted(o.split(",")[0] for o in lines) == sorted(set(sums[0]) - {"labels.csv"})
    assert {(o.rsplit("/", 1)[0], o[-1]) for o in lines} == {
        (f"{split}/{digit}", label) for split in ("train", "valid") for digit, label in ("30", "71")}
