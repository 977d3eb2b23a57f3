"A network that left home: its file, its server seen by a client, and the lesson with mistakes planted in it."
import base64
import io
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
import safetensors.torch
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell
from PIL import Image

from course_dl import figures
from course_dl.cnn import FashionCNN
from course_dl.core import seed_everything
from course_dl.data import fashion_mnist
from course_dl.deeper import small_net
from course_dl.export import Predictor, fold_norms, load_predictor, make_server, save_predictor
from helpers import LESSONS, module_name, read
from test_figures import IN_PAGE, MODULE

CLASSES = [f"class {i}" for i in range(10)]
DEADLINE = 1.5


@pytest.fixture(scope="module")
def predict(tmp_path_factory):
    seed_everything(0)
    net = small_net()
    with torch.no_grad():
        for _ in range(3): net(torch.randn(32, 1, 28, 28))  # running averages of its own
    path = tmp_path_factory.mktemp("weights")/"net.safetensors"
    return load_predictor(save_predictor(path, net, "small_net", 0.25, 0.5, CLASSES))


class Running:
    "A server in a thread, its address, and how to ask it."
    def __init__(self, predict, **options):
        self.server = make_server(predict, port=0, deadline=DEADLINE, **options)
        threading.Thread(target=self.server.run, daemon=True).start()
        while not self.server.started: time.sleep(0.01)
        self.address = self.server.servers[0].sockets[0].getsockname()
        self.url = "http://{}:{}".format(*self.address)

    def post(self, body, kind="image/png", session=requests):
        return session.post(f"{self.url}/predict", data=body, headers={"Content-Type": kind}, timeout=60)

    def send(self, text):
        connection = socket.create_connection(self.address, timeout=30)
        connection.sendall(text.encode())
        return connection


@pytest.fixture(scope="module")
def running(predict):
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    running = Running(predict)
    yield running
    running.server.should_exit = True


def picture(kind="PNG", size=(28, 28), mode="L", seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, kind)
    return out.getvalue()


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name+content))


def png(width, height, *more):
    "A PNG whose head promises a size, with the chunks that follow."
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_file_tells_all_that_an_answer_needs(predict, tmp_path):
    pixels = torch.randint(0, 256, (5, 28, 28), dtype=torch.uint8)
    with torch.no_grad(): by_hand = predict.model((pixels[:, None].float()/255 - 0.25)/0.5)
    assert torch.equal(predict.logits(pixels), by_hand)
    named = predict(pixels[0])
    assert list(named) == [CLASSES[i] for i in by_hand[0].argsort(descending=True)]
    assert sum(named.values()) == pytest.approx(1, abs=1e-5)
    earlier = save_predictor(tmp_path/"net.safetensors", FashionCNN(), "FashionCNN", 0.3, 0.4, CLASSES)
    content = earlier.read_bytes()
    with pytest.raises(ValueError, match="tensors of small_net"):
        save_predictor(earlier, FashionCNN(), "small_net", 0.3, 0.4, CLASSES)
    assert earlier.read_bytes() == content and isinstance(load_predictor(earlier).model, FashionCNN)


def test_folding_changes_no_answer(predict):
    x = torch.randn(64, 1, 28, 28)
    with torch.no_grad(): logits, folded = predict.model(x), fold_norms(predict.model)(x)
    assert (logits - folded).abs().max() < 1e-4 and (logits - logits[0]).abs().max() > 1e-2
    assert not any("running_mean" in name for name in fold_norms(predict.model).state_dict())


@pytest.mark.parametrize("kind, mode, size", [
    ("PNG", "L", (28, 28)), ("PNG", "RGBA", (100, 40)), ("PNG", "P", (28, 28)), ("PNG", "1", (8, 8)),
    ("JPEG", "L", (28, 28)), ("JPEG", "RGB", (640, 480))])
def test_an_image_gets_names_and_probabilities(running, kind, mode, size):
    reply = running.post(picture(kind, size, mode), f"image/{kind.lower()}")
    assert reply.status_code == 200 and set(reply.json()) == set(CLASSES)
    assert list(reply.json().values()) == sorted(reply.json().values(), reverse=True)


def test_the_answer_is_that_of_the_network(running, predict):
    pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(picture()))))
    assert running.post(picture()).json() == predict(pixels)
    about = requests.get(running.url, timeout=60).json()
    assert about["classes"] == CLASSES and about["network"] == "small_net"


BOMB = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000)))  # 195 kB that unpack into 200 MB of text


@pytest.mark.parametrize("body, kind, status, said", [
    (picture(), "text/plain", 415, "got text/plain"), (picture(), "", 415, "got nothing"),
    (bytes(1_000_001), "image/png", 413, "at most 1,000,000 bytes"),
    (bytes(20_000_000), "image/png", 413, "at most 1,000,000 bytes"),
    ((bytes(50_000) for _ in range(40)), "image/png", 413, "at most 1,000,000 bytes"),  # of a length not told
    (b"", "image/png", 422, "whole PNG or JPEG"), (b"#!/bin/sh", "image/jpeg", 422, "whole PNG or JPEG"),
    (picture("GIF"), "image/png", 422, "whole PNG or JPEG"), (picture()[:300], "image/png", 422, "whole PNG or JPEG"),
    (picture("JPEG")[:300], "image/jpeg", 422, "whole PNG or JPEG"),
    (picture(size=(2001, 2000)), "image/png", 413, "bytes"), (png(60_000, 60_000), "image/png", 422, ""),
    (png(9000, 9000), "image/png", 422, "got 81,000,000"), (png(28, 28, BOMB), "image/png", 422, ""),
    (picture(mode="I;16"), "image/png", 422, "8 bits a channel")], ids=range(15))
def test_what_cannot_be_answered_gets_a_number_and_a_sentence(running, body, kind, status, said):
    reply = running.post(body, kind)
    assert (reply.status_code, said in reply.json()["detail"]) == (status, True), reply.text
    assert len(reply.text) < 300 and running.post(picture()).status_code == 200


def test_other_doors_are_closed(running):
    assert requests.get(f"{running.url}/predict", timeout=60).status_code == 405
    assert requests.get(f"{running.url}/weights", timeout=60).status_code == 404


def test_only_this_machine_may_ask_unless_told(running, predict):
    assert running.address[0] == "127.0.0.1" and make_server(predict, "0.0.0.0").config.host == "0.0.0.0"


def test_fifty_at_once_are_all_answered(running, predict):
    bodies = [picture(seed=i) for i in range(50)]
    with ThreadPoolExecutor(50) as pool: replies = list(pool.map(running.post, bodies))
    assert Counter(reply.status_code for reply in replies) == {200: 50}
    for body, reply in zip(bodies, replies):  # to each its own
        assert reply.json() == predict(torch.from_numpy(np.array(Image.open(io.BytesIO(body)))))


def test_a_slow_body_is_cut_off_and_keeps_nobody_waiting(running):
    head = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 5000\r\n\r\n"
    start, slow = time.monotonic(), [running.send(head + "x") for _ in range(20)]
    assert running.post(picture()).status_code == 200 and time.monotonic() - start < DEADLINE
    for connection in slow:
        reply = connection.recv(1000).decode()
        assert reply.startswith("HTTP/1.1 408") and "send the body in 1.5 s" in reply
    assert DEADLINE - 0.1 < time.monotonic() - start < DEADLINE + 20


@pytest.mark.parametrize("text", ["", "POST /predict HTTP/1.1\r\nHost: "], ids=["silent", "half a head"])
def test_who_sends_no_whole_head_is_hung_up_on(running, text):
    connection, start = running.send(text), time.monotonic()
    def drip():
        try:
            while True:
                time.sleep(0.2)
                connection.sendall(b"a" if text else b"")
        except OSError: return
    threading.Thread(target=drip, daemon=True).start()
    try: assert connection.recv(1000) == b""
    except ConnectionError: pass
    assert time.monotonic() - start < 3*DEADLINE + 20


def test_a_second_request_on_one_connection_is_answered(running):
    with requests.Session() as session:
        for wait in (0, 0.8*DEADLINE, 0.8*DEADLINE, 0):
            time.sleep(wait)
            assert running.post(picture(), session=session).status_code == 200


def test_who_hangs_up_halfway_disturbs_nobody(running):
    head = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 5000\r\n\r\n"
    for _ in range(20): running.send(head + "half").close()
    assert running.post(picture()).status_code == 200


def test_too_many_guests_are_told_to_come_back(predict):
    pytest.importorskip("fastapi")
    running = Running(predict, guests=5)
    held = [running.send("GET / HTTP/1.1\r\n") for _ in range(6)]
    time.sleep(0.3)
    assert running.post(picture()).status_code == 503
    end = time.monotonic() + 30
    while running.post(picture()).status_code == 503 and time.monotonic() < end: time.sleep(0.2)
    assert running.post(picture()).status_code == 200, "who waits is served when the idle ones are gone"
    for connection in held: connection.close()
    running.server.should_exit = True


IN_BROWSER = """(m, [layers, file, pixels, mean, std]) => {
    const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const weights = m.readWeights(bytes(file)), all = bytes(pixels);
    return Array.from({length: all.length/784}, (_, i) => {
        const values = Float64Array.from(all.subarray(784*i, 784*i + 784), v => (v/255 - mean)/std);
        return [...m.runLayers(layers, weights, {shape: [1, 28, 28], values}).at(-1).values]; }); }"""


def asked_in_browser(tab, predict, pixels):
    "Logits that the module of the figures computes in a page, from the bytes of a safetensors file."
    model = fold_norms(predict.model)
    file = safetensors.torch.save({name: value.contiguous() for name, value in model.state_dict().items()})
    found = []
    for part in pixels.split(500):
        given = [figures.layers_of(model), *(base64.b64encode(o).decode() for o in (file, part.numpy().tobytes())),
                 predict.about["mean"], predict.about["std"]]
        found += tab.evaluate(IN_PAGE, [MODULE, IN_BROWSER, given])
    return torch.tensor(found)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("network, n", [("FashionCNN", None), ("small_net", 500)])
def test_the_browser_gives_the_same_answers(tab, predict, network, n):
    "FashionCNN with the figure's weights on every test image, `small_net` on some."
    pixels = fashion_mnist().x_test[:n]
    if network == "FashionCNN":
        model, tensors, classes = figures._garment_net()
        mean, std = tensors["scale"].tolist()
        predict = Predictor(model, dict(mean=mean, std=std, classes=classes))
    logits, found = predict.logits(pixels), asked_in_browser(tab, predict, pixels)
    assert (logits - found).abs().max() <= 1e-4 and torch.equal(logits.argmax(1), found.argmax(1))
    assert (logits.roll(1, 0) - found).abs().max() > 1e-2, "the comparison can fail"


LESSON, = (path for path in LESSONS if module_name(path) == "export")
EXTRAS = ["onnx", "onnxscript", "onnxruntime", "fastapi", "uvicorn"]


def run_lesson(tmp_path, monkeypatch, *changes, blocked=()):
    "What a run on the embedded sample prints, with lines of the lesson changed and packages out of reach."
    monkeypatch.setenv("COURSE_DL_OFFLINE", "1")
    monkeypatch.delenv("COURSE_DL_DATA", raising=False)
    nb, left = read(LESSON), list(changes)
    nb.cells = [cell for cell in nb.cells if "#| slow" not in cell.source]
    for cell in nb.cells:
        for change in [change for change in left if change[0] in cell.source]:
            cell.source = cell.source.replace(*change)
            left.remove(change)
    assert not left, "the lesson has changed: plant these mistakes elsewhere"
    nb.cells.insert(0, new_code_cell(f"import sys\nfor name in {list(blocked)}: sys.modules[name] = None"))
    NotebookClient(nb, timeout=280, kernel_name="python3", resources=dict(metadata=dict(path=tmp_path))).execute()
    return "".join(output.get("text", "") for cell in nb.cells for output in cell.get("outputs", []))


@pytest.mark.slow
def test_without_the_extras_the_lesson_says_so_and_passes(tmp_path, monkeypatch):
    said = run_lesson(tmp_path, monkeypatch, blocked=EXTRAS)
    assert said.count('pip install "course_dl[export]"') == said.count('pip install "course_dl[serve]"') == 1


@pytest.mark.slow
@pytest.mark.parametrize("right, wrong", [
    ("nn.Parameter(conv.weight*scale.view(-1, 1, 1, 1))", "nn.Parameter((conv.weight*scale.view(-1, 1, 1, 1)).mT)"),
    ("return self.model((gray - self.about[\"mean\"])/self.about[\"std\"])", "return self.model(gray)"),
    ("self.model, self.about = model.eval(), about", "self.model, self.about = model.train(), about"),
    ("def dequantize(q, scale, zero): return (q - zero)*scale",
     "def dequantize(q, scale, zero): return (q - zero + 1)*scale"),
    ("self.zero = round(-low/self.scale)", "self.zero = round(-low/self.scale) + 5"),
], ids=["a layer transposed", "not standardized", "training mode", "zero point read wrong", "zero point laid wrong"])
def test_the_lesson_fails_with_a_planted_mistake(tmp_path, monkeypatch, right, wrong):
    with pytest.raises(CellExecutionError, match="AssertionError"):
        run_lesson(tmp_path, monkeypatch, (right, wrong), blocked=EXTRAS)
