"""Data, from outside: a miniature mirror on localhost misbehaves in every way a mirror can, and files mean harm."""
import functools, gzip, hashlib, os, pickle, shutil, socket, subprocess, sys, tempfile, time
from pathlib import Path

import numpy as np, pooch, pytest, requests  # pooch and requests here, so that no test pays for their import
from course_dl import data
from course_dl.data import DataError, fetch_data, mnist, mnist_sample, read_idx, read_mnist_pickle
from mirror import Host, faults, idx, send, tar

real_mirror, patience = os.environ.get("COURSE_DL_DATA"), data._patience
embedded_line = "Data: embedded sample (1,797 digits); figures differ from the text\n"
load_digits = functools.cache(data._digits)

def cases(names, **table): return pytest.mark.parametrize(names, table.values(), ids=table)
def sha(raw): return hashlib.sha256(raw).hexdigest()

noise = np.random.default_rng(0).integers(0, 256, 25*784, np.uint8).tobytes()
contents = [idx((20, 28, 28), noise[:20*784]), idx((20,), bytes(range(10))*2), idx((5, 28, 28), noise[20*784:]), idx((5,), bytes(5))]
members = {f"mnist_sample/{split}/{digit}/1.png": noise[:2000] for split in ("train", "valid") for digit in "37"}
images, labels = [file.name for file in data._datasets["mnist"].files][:2]

def patch(monkeypatch, name, **fields): monkeypatch.setitem(data._datasets, name, data._datasets[name]._replace(**fields))

@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    "An empty cache. After each test, all it holds under a final name must be right, and nothing may be left over."
    for name in ("NO_PROXY", "no_proxy"): monkeypatch.setenv(name, "127.0.0.1,never.invalid")
    monkeypatch.delenv("COURSE_DL_DATA", raising=False)
    monkeypatch.setenv("COURSE_DL_CACHE", str(tmp_path/"cache"))
    monkeypatch.setattr(data, "_temporary_cache", None)
    monkeypatch.setattr(data, "_digits", load_digits)
    yield tmp_path/"cache"
    for path, file in [(tmp_path/"cache"/o.folder/f.name, f) for o in data._datasets.values() for f in o.files]:
        raw = path.read_bytes() if path.exists() else None
        assert raw is None or sha(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw) == file.sha256
    for folder in (tmp_path/"cache").glob("unpacked-*"):
        assert {o.relative_to(folder).as_posix(): o.read_bytes() for o in folder.rglob("*") if o.is_file()} == members
    assert not [o for o in (tmp_path/"cache").rglob("*") if o.name.startswith((".unfinished", "tmp"))]

@pytest.fixture
def hosts(monkeypatch):
    "Two hosts with miniatures of all data sets, of which the first answers first, and little patience."
    files, sample = [data._File(f.name, sha(c)) for f, c in zip(data._datasets["mnist"].files, contents)], tar(*members.items())
    served = {f.name: gzip.compress(c) for f, c in zip(files, contents)} | {"mnist_sample.tgz": gzip.compress(sample)}
    pair = [Host(served), Host(served, delay=0.1)]
    for name in data._datasets: patch(monkeypatch, name, files=files, system=None, mirrors=[f"http://{host.name}/{name}/" for host in pair])
    patch(monkeypatch, "mnist_sample", files=[data._File("mnist_sample.tgz", sha(sample))])
    for name in ("_patience", "_stall"): monkeypatch.setattr(data, name, 0.8)
    yield pair
    for host in pair: host.stop()

# The download path

def test_download_then_cache(hosts, capsys):
    "The first call fetches, the second finds; both say so and give the same images."
    first, second = mnist(), mnist()
    assert first.source in {host.name for host in hosts} and second.source == "cache"
    assert first.x_train.numpy().tobytes() == second.x_train.numpy().tobytes() == noise[:20*784]
    assert (first.y_train.tolist(), first.x_test.shape, first.y_test.tolist()) == ([*range(10)]*2, (5, 28, 28), [0]*5)
    assert capsys.readouterr().out == f"Data: MNIST (real, from {first.source})\nData: MNIST (real, from cache)\n"
    path = mnist_sample()
    assert data.is_real(path) and sorted(o.relative_to(path.parent).as_posix() for o in path.rglob("*.png")) == sorted(members)
    assert [o["source"] for o in data.data_status()] == ["cache", "cache", None]
    with pytest.raises(ValueError, match="mnist_sample, mnist, fashion_mnist, got 'cifar'"): fetch_data("cifar")

@pytest.mark.parametrize("file", [images, labels])
@pytest.mark.parametrize("fault", faults)
def test_second_host_steps_in(hosts, fault, file):
    "Whatever the first host does wrong, in the first file or a later one, the data come from the second."
    hosts[0].faults[file], start = faults[fault], time.monotonic()
    assert fetch_data("mnist") == hosts[1].name and data._find_local("mnist") == ("cache", contents)
    assert images in hosts[0].asked and time.monotonic() - start < 8

@pytest.mark.parametrize("fault", faults)
def test_all_hosts_bad(hosts, fault, capsys):
    "If no host is any good, `mnist` says why and gives the embedded sample, and `fetch_data` raises one clear error."
    for host in hosts: host.faults[images] = faults[fault]
    start = time.monotonic()
    assert mnist().source == "embedded"
    printed = capsys.readouterr().out
    with pytest.raises(DataError, match="MNIST") as error: fetch_data("mnist")
    assert all(host.name in str(error.value) for host in hosts) and printed.endswith(embedded_line) and time.monotonic() - start < 16
    reason = dict(not_found="404", server_error="500", wrong_checksum="wrong checksum", truncated_at_the_source="truncated or damaged").get(fault, "")
    assert reason in printed and reason in str(error.value)

def test_host_that_compresses_on_the_way(hosts):
    "A host may say that the gzip is its own; the content counts."
    for host in hosts: host.faults[images] = lambda o, body: send(o, body, Content_Encoding="gzip")
    assert "127.0.0.1" in fetch_data("mnist") and data._find_local("mnist") == ("cache", contents)

def test_unreachable_is_cheap_and_remembered(hosts, monkeypatch, cache):
    "No network costs 5 seconds once; for an hour nobody asks again, except `fetch_data`."
    def slow_names(name, *args, ask=socket.getaddrinfo):
        if name == "never.invalid" and not hosts[0].over.wait(20): raise socket.gaierror("no such name")
        return ask(name, *args)
    monkeypatch.setattr(socket, "getaddrinfo", slow_names)
    monkeypatch.setattr(data, "_patience", patience)
    hosts[0].faults[images] = faults["stalls_before_headers"]
    patch(monkeypatch, "mnist", mirrors=[f"http://{hosts[0].name}/", "http://127.0.0.1:1/", "http://never.invalid/"])
    load_digits()  # scikit-learn's import is not the network's fault
    start = time.monotonic()
    assert mnist().source == "embedded" and 3.5 < time.monotonic() - start < 5
    start = time.monotonic()
    assert mnist().source == "embedded" and time.monotonic() - start < 0.5 and hosts[0].asked == [images]
    monkeypatch.setattr(data, "_patience", 0.3)
    with pytest.raises(DataError, match="could be reached"): fetch_data("mnist")
    assert mnist().source == "embedded" and hosts[0].asked == [images]*2
    hosts[0].faults.clear()
    os.utime(cache/"unreachable-mnist", (time.time() - 3601,)*2)
    assert mnist().source == hosts[0].name

def test_half_finished_download_is_replaced(hosts, cache):
    "A truncated file under the final name, and what a process that died has left over, do no harm."
    left_over = [cache/"MNIST/raw"/f".unfinished-{os.getpid()}-{images}", cache/".unfinished-x"/images]
    for path in (cache/"MNIST/raw"/images, *left_over):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    assert mnist().source in {host.name for host in hosts} and data._find_local("mnist") == ("cache", contents)
    assert [path.read_bytes() for path in left_over] == [b"half"]*2
    left_over[0].unlink()
    shutil.rmtree(cache/".unfinished-x")

def test_failed_download_leaves_good_files(hosts, cache):
    "Files that are right already are neither fetched again nor touched."
    for host in hosts: host.faults = {images: faults["wrong_checksum"], labels: faults["truncated"]}
    (cache/"MNIST/raw").mkdir(parents=True)
    (cache/"MNIST/raw"/images).write_bytes(gzip.compress(contents[0], 1))
    before = (cache/"MNIST/raw"/images).stat()
    with pytest.raises(DataError, match="could not be downloaded"): fetch_data("mnist")
    after = (cache/"MNIST/raw"/images).stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino) and os.listdir(cache/"MNIST/raw") == [images]

@pytest.mark.skipif(not real_mirror, reason="COURSE_DL_DATA names no mirror")
def test_real_files_through_the_whole_path(monkeypatch):
    "MNIST itself, served from the mirror folder, arrives with 60,000 and 10,000 images."
    host = Host({o.name: o.read_bytes() for o in Path(real_mirror, "MNIST/raw").glob("*.gz")})
    patch(monkeypatch, "mnist", mirrors=[f"http://{host.name}/"])
    found = mnist()
    host.stop()
    assert (found.source, len(found.x_train), len(found.x_test)) == (host.name, 60000, 10000) and mnist().source == "cache"

# The cache: not writable, full, shared

def test_cache_that_cannot_be_written(hosts, tmp_path, monkeypatch, capsys):
    "A temporary folder takes its place, with a word; with no temporary folder either, the error is clear."
    (tmp_path/"file").write_text("")
    monkeypatch.setenv("COURSE_DL_CACHE", str(tmp_path/"file"/"cache"))
    path = mnist_sample()
    assert "cannot be written (Not a directory)" in capsys.readouterr().out and sorted(o.name for o in path.iterdir()) == ["train", "valid"]
    monkeypatch.setattr(data, "_temporary_cache", None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path/"file"))
    with pytest.raises(DataError, match="set COURSE_DL_CACHE to a folder with free space"): mnist_sample()

def child(tmp_path, code):
    "Another Python with the same miniature data sets; it says ready and waits for a line."
    (tmp_path/"state").write_bytes(pickle.dumps((data._datasets, load_digits())))
    head = f"import os, pickle, resource; from course_dl import data\ndata._datasets, digits = pickle.load(open({str(tmp_path/'state')!r}, 'rb'))\n"
    return subprocess.Popen([sys.executable, "-c", head + "data._digits = lambda: digits\nprint('ready', flush=True); input()\n" + code],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

def test_full_disk(hosts, cache, tmp_path):
    "No space: downloading, unpacking and writing the embedded sample each end in a clear error and leave nothing behind."
    fetch_data("mnist_sample")
    printed, errors = child(tmp_path, """
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
def attempt(f, *args):
    try: print("gave", f(*args))
    except data.DataError as e: print("DataError", e)
attempt(data.fetch_data, "mnist")
attempt(lambda: data.mnist().source)
attempt(data.mnist_sample)
os.remove(os.environ["COURSE_DL_CACHE"] + "/mnist_sample.tgz")
data._temporary_cache = None
attempt(data.mnist_sample)""").communicate("\n", timeout=100)
    outcome = [line.split(" to ")[0] for line in printed.splitlines() if line.startswith(("gave", "DataError"))]
    unpacked = f"unpacked-{data._datasets['mnist_sample'].files[0].sha256[:8]}"
    assert outcome == ["DataError cannot write MNIST", "gave embedded", f"DataError cannot write {unpacked}", "DataError cannot write embedded-1"], errors
    assert "Traceback" not in errors and {o.name for o in cache.iterdir()} == {"unreachable-mnist", "unreachable-mnist_sample"}

def test_two_processes_at_once(hosts, cache, tmp_path):
    "Two processes fetch and unpack the same data at the same moment; both succeed."
    other = child(tmp_path, "print(data.fetch_data('mnist'), len(data.mnist().x_train), len(list(data.mnist_sample().rglob('*.png'))))")
    assert other.stdout.readline() == "ready\n"
    print(file=other.stdin, flush=True)
    assert (fetch_data("mnist"), len(mnist().x_train), len(list(mnist_sample().rglob("*.png"))))[1:] == (20, 4)
    printed, errors = other.communicate(timeout=100)
    assert printed.endswith(" 20 4\n") and "embedded" not in printed, errors
    assert len(list(cache.rglob("*.gz"))) == 4 and len(list(cache.glob("unpacked-*"))) == 1
    twin = lambda folder: (shutil.copytree(cache/"MNIST", folder), shutil.copytree(cache/"MNIST", cache/"new"))
    assert data._build_folder("new", twin) == cache/"new" and len(list(cache.rglob("*.gz"))) == 8

# Files that mean harm

@cases("name, content", up=("../out", b"x"), down_and_up=("sample/../../out", b"x"), absolute=("/OUT", b"x"), drive=("C:\\out", b"x"),
    backslash=("a\\..\\..\\out", b"x"), symlink=("link", 2), hardlink=("hard", 1), device=("device", 3), block=("block", 4), pipe=("pipe", 6))
def test_unsafe_archive(monkeypatch, tmp_path, cache, name, content):
    "One bad member, and nothing of the archive is written, inside or outside; even if its checksum is the one expected."
    archive = tar(("sample/good", b"good"), (name.replace("/OUT", str(tmp_path/"out")), content))
    patch(monkeypatch, "mnist_sample", files=[data._File("mnist_sample.tgz", sha(archive))])
    cache.mkdir()
    (cache/"mnist_sample.tgz").write_bytes(archive)
    with pytest.raises(DataError, match="unsafe member"): mnist_sample()
    assert sorted(o.name for o in tmp_path.rglob("*")) == ["cache", "mnist_sample.tgz"]

@cases("raw", empty=b"", no_tar=b"no tar", truncated=tar(*members.items())[:2000])
def test_broken_archive(tmp_path, raw):
    "What is no tar archive, or only half of one, is called that."
    with pytest.raises(DataError, match="archive.tgz: not a readable tar archive"): data._unpack(raw, tmp_path/"new", "archive.tgz")

class Call:
    "Pickles as a call of a function."
    def __init__(self, *call): self.call = call
    def __reduce__(self): return self.call[0], self.call[1:]

x, y = np.zeros((3, 784), np.float32), np.arange(3)
x.setflags(write=False)
refused, strange, unreadable = "{}; only NumPy arrays are accepted", "expected three pairs", "not a readable pickle"
@cases("raw, message",
    system=(pickle.dumps(Call(os.system, "touch marker")), refused.format("system")),
    eval=(pickle.dumps(Call(eval, "open('marker', 'w')"), 2), refused.format("eval")),
    eval_in_array=(pickle.dumps(((np.array([Call(eval, "open('marker', 'w')")]), y),)*3), refused.format("eval")),
    runstring=(b"cnumpy.testing._private.utils\nrunstring\n(S'open(\"marker\", \"w\")'\n}tR.", refused.format("runstring")),
    method=(b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", refused.format("ndarray.tofile")),
    object_array=(pickle.dumps(((np.array([[None]*784]*3, object), y),)*3), strange), two_pairs=(pickle.dumps(((x, y),)*2), strange),
    odd_numbers=(pickle.dumps(((x.astype(np.longdouble), y),)*3), strange), odd_width=(pickle.dumps(((x[:, 1:], y),)*3), strange),
    huge=(pickle.dumps(Call(np.ndarray, (2**60,))), unreadable), nested=(b"("*10**4 + b"t"*10**4 + b".", f"{strange}|{unreadable}"),
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
    assert [(a.shape, b.tolist()) for a, b in read_mnist_pickle(tmp_path/"file.pkl.gz")] == [((3, 784), [0, 1, 2])]*3 and not recwarn.list

no_idx, no_array, bad_gzip = "not an IDX file", "no array can have shape", "gzip file is truncated or damaged"
@cases("raw, message", empty=(b"", f"{no_idx}: it starts with nothing"), wrong_magic=(b"\0\1\x08\1\0\0\0\1x", no_idx), wrong_type=(idx((1,), b"x", 7), no_idx),
    short_header=(idx((2, 3), b"")[:-1], "header of 12 bytes"), short=(idx((2, 3), b"12345"), "needs 6 bytes, the file has 5"),
    long=(idx((2, 3), b"1234567"), "needs 6 bytes, the file has 7"), absurd_lengths=(idx((2**32-1,)*255, b"x", 14), "bytes, the file has 1"),
    too_many_axes=(idx((1,)*255, b"x"), no_array), empty_and_absurd=(idx((0,) + (2**32-1,)*3, b""), no_array),
    truncated=(gzip.compress(contents[0])[:-9], bad_gzip), two_bytes=(b"\x1f\x8b", bad_gzip), garbage_behind=(gzip.compress(contents[1]) + b"garbage", bad_gzip),
    flipped_bits=(gzip.compress(bytes(999))[:14] + b"\xff" + gzip.compress(bytes(999))[15:], bad_gzip), bomb=(gzip.compress(bytes(10**6))[:-9], "more than 100,000 bytes"))
def test_broken_idx(tmp_path, monkeypatch, raw, message):
    "Each kind of damage gets its own word, and none comes from inside a library."
    monkeypatch.setattr(data, "_largest", 10**5)
    (tmp_path/"file.gz").write_bytes(raw)
    with pytest.raises(DataError, match=f"file.gz.*{message}"): read_idx(tmp_path/"file.gz")

# Folders on this machine, and the embedded sample

def fill(folder):
    "Put miniature MNIST into a folder, one of its files uncompressed."
    folder.mkdir(parents=True)
    for name, content in zip([images, labels[:-3], *[o.name for o in data._datasets["mnist"].files[2:]]], contents):
        (folder/name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

@cases("spoil, word", missing=(lambda folder, file: shutil.rmtree(folder), "not a folder"),
    a_file=(lambda folder, file: (shutil.rmtree(folder), folder.write_text("")), "not a folder"), partial=(lambda folder, file: file.unlink(), "only in part"),
    damaged=(lambda folder, file: file.write_bytes(gzip.compress(b"else")), "checksum"), truncated=(lambda folder, file: file.write_bytes(file.read_bytes()[:-3]), "truncated"),
    unreadable=(lambda folder, file: (file.unlink(), file.symlink_to("/proc/self/mem")), "cannot be read|only in part"))  # which even root cannot read
def test_bad_mirror_folder(hosts, tmp_path, monkeypatch, spoil, word):
    "A mirror the user named must be right; if not, the error names it, and no host is asked in its place."
    fill(tmp_path/"mirror/MNIST/raw")
    spoil(tmp_path/"mirror", tmp_path/"mirror/MNIST/raw"/images)
    monkeypatch.setenv("COURSE_DL_DATA", str(tmp_path/"mirror"))
    for ask in (mnist, lambda: fetch_data("mnist")):
        with pytest.raises(DataError, match=f"mirror.*({word})"): ask()
    with pytest.raises(DataError, match="mirror"): data.data_status()
    assert hosts[0].asked == hosts[1].asked == []

def test_mirror_without_the_data_set(hosts, tmp_path, monkeypatch):
    "A mirror need not hold every data set; the search goes on."
    monkeypatch.setenv("COURSE_DL_DATA", str(tmp_path))
    assert fetch_data("mnist") in {host.name for host in hosts}

@pytest.mark.parametrize("source", ["COURSE_DL_DATA", "system"])
def test_folder_of_this_machine(hosts, tmp_path, monkeypatch, capsys, source):
    "The mirror and the system's folder are used where they have the files, compressed or not, and no host is asked."
    fill(tmp_path/"here/MNIST/raw")
    if source == "system": patch(monkeypatch, "mnist", system=str(tmp_path/"here/MNIST/raw"))
    else: monkeypatch.setenv(source, str(tmp_path/"here"))
    assert mnist().source == fetch_data("mnist") == source and hosts[0].asked == hosts[1].asked == []
    assert capsys.readouterr().out == f"Data: MNIST (real, from {source})\n"
    if source == "system":
        (tmp_path/"here/MNIST/raw"/images).write_bytes(b"damaged; but nobody named this folder, so look further")
        assert fetch_data("mnist") in {host.name for host in hosts}

def test_embedded_sample(monkeypatch, tmp_path, capsys):
    "fastai's layout, each image once in labels.csv with 0 for 3 and 1 for 7, and the same bytes each time."
    patch(monkeypatch, "mnist_sample", mirrors=[])
    sums = []
    for folder in ("cache", "cache2"):
        monkeypatch.setenv("COURSE_DL_CACHE", str(tmp_path/folder))
        path = mnist_sample()
        sums.append({o.relative_to(path).as_posix(): sha(o.read_bytes()) for o in path.rglob("*") if o.is_file()})
    assert sums[0] == sums[1] and not data.is_real(path) and capsys.readouterr().out == embedded_line*2
    head, *lines = (path/"labels.csv").read_text().splitlines()
    assert head == "name,label" and sorted(o.split(",")[0] for o in lines) == sorted(set(sums[0]) - {"labels.csv"})
    assert {(o.rsplit("/", 1)[0], o[-1]) for o in lines} == {(f"{split}/{digit}", label) for split in ("train", "valid") for digit, label in ("30", "71")}
