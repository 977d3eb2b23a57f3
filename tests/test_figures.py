"The figures: what their module computes is what PyTorch computes, and what a reader moves is what Python reads."
import base64
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from matplotlib.colors import to_hex
from matplotlib.lines import AxLine
from torch import nn

import moves
from course_dl import figures
from course_dl.core import plot_style, seed_everything
from course_dl.data import fashion_mnist, mnist_sample
from course_dl.deeper import Shortcut, small_net
from course_dl.export import fold_norms
from course_dl.learner import OneCycle, TinyLearner
from course_dl.recipes import deep_net, threes_and_sevens
from course_dl.thermometer import thermometer_data
from helpers import CHECKS, NOTEBOOKS, ROOT, read, violations, watch

MODULE = figures.figures_file.read_text(encoding="utf-8")
PAGE = ROOT/"nbs"/"35_figures.ipynb"
FILES = ("three-seven", "three-seven-deep", "fashion")
BYTES = "const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));"
IN_PAGE = """([text, body, given]) => import(URL.createObjectURL(new Blob([text], {type: "text/javascript"})))
    .then(module => eval(body)(module, given))"""
IN_NODE = """
import {readFileSync} from "node:fs";
const [text, body, given] = JSON.parse(readFileSync(0, "utf-8"));
const module = await import("data:text/javascript;base64," + Buffer.from(text).toString("base64"));
process.stdout.write(JSON.stringify(eval(body)(module, given)));
"""


@pytest.fixture(params=["chromium", "node"])
def js(request):
    "Calls a function (module, given) => result with the module of the figures, in a page and in Node."
    if request.param == "chromium":
        tab = request.getfixturevalue("tab")
        return lambda body, given=None, module=MODULE: tab.evaluate(IN_PAGE, [module, body, given])
    if not shutil.which("node"): pytest.skip("no Node")
    def call(body, given=None, module=MODULE):
        done = subprocess.run(["node", "--input-type=module", "-e", IN_NODE], input=json.dumps([module, body, given]),
                              capture_output=True, text=True, check=True, encoding="utf-8", timeout=60)
        return json.loads(done.stdout)
    return call


def close(a, b, eps): return np.abs(np.asarray(a) - np.asarray(b)).max() <= eps


def steps_agree(js, **module):
    "A step on each curve, from sixty places, against autograd."
    for name, loss in figures._curves.items():
        places = [(a, lr) for a in np.linspace(-1, 6.2, 20) for lr in (0.01, 0.1, 0.45)]
        a = torch.tensor([a for a, _ in places], dtype=torch.float64, requires_grad=True)
        loss(a).sum().backward()
        expected = a.detach() - a.grad*torch.tensor([lr for _, lr in places], dtype=torch.float64)
        found = js("(m, [name, places]) => places.map(([a, lr]) => m.oneStep(name, a, lr))", [name, places], **module)
        assert close(found, expected, 1e-6)
        losses = js("(m, [name, places]) => places.map(([a]) => m.curves[name].loss(a))", [name, places], **module)
        assert close(losses, loss(a).detach(), 1e-6)


def test_a_step_on_a_curve_is_autograds(js): steps_agree(js)


@pytest.mark.parametrize("momentum", [0., 0.9])
@pytest.mark.parametrize("size", [10, 2])
def test_the_walk_of_a_line_is_that_of_torch(js, momentum, size):
    points, params = figures._points, torch.tensor([-1., 0.5], dtype=torch.float64, requires_grad=True)
    order = np.random.default_rng(0)
    batches = [order.permutation(10)[:size].tolist() for _ in range(20)]
    x, y = torch.tensor(points, dtype=torch.float64).T
    opt, walk = torch.optim.SGD([params], lr=0.3, momentum=momentum), [params.tolist()]
    for batch in batches:
        opt.zero_grad()
        F.mse_loss(params[0]*x[batch] + params[1], y[batch]).backward()
        opt.step()
        walk.append(params.tolist())
    found = js("(m, [points, momentum, batches]) => m.walkLine(points, [-1, 0.5], 0.3, momentum, batches)",
               [points, momentum, batches])
    assert len(found) == 21 and close(found, walk, 1e-6)


def test_the_bowl_is_least_squares_and_its_curvatures(js):
    for points in (figures._points, figures._readings, [[0.2, 1.], [0.7, -1.]]):
        x, y = np.array(points).T
        columns = np.stack([x, np.ones_like(x)], 1)
        best, curvatures = np.linalg.lstsq(columns, y, rcond=None)[0], np.linalg.eigvalsh(2*columns.T@columns/len(x))
        found = js("(m, points) => m.bowl(points)", points)
        assert close(found["best"], best, 1e-6) and close(np.array(found["curvatures"])/curvatures, [1, 1], 1e-6)
        stiff = np.array([np.cos(found["angle"]), np.sin(found["angle"])])
        assert np.isclose(stiff@(2*columns.T@columns/len(x))@stiff, curvatures[1])
    assert js("(m) => m.bowl([[0.5, 1], [0.5, 3]]).low", None) == pytest.approx(1)  # points above each other


@pytest.mark.parametrize("hidden", [0, 1, 3, 8])
def test_training_a_network_of_points_is_that_of_torch(js, hidden):
    net = torch.tensor(js("(m, hidden) => m.netStart(hidden, 3)", hidden), dtype=torch.float64, requires_grad=True)
    points = torch.tensor(figures._clouds, dtype=torch.float64)
    def logits():
        if not hidden: return points[:, :2]@net[:2] + net[2]
        first = net[:3*hidden].view(hidden, 3)
        return (points[:, :2]@first[:, :2].T + first[:, 2]).relu()@net[3*hidden:4*hidden] + net[4*hidden]
    start, opt, losses = net.tolist(), torch.optim.Adam([net], lr=0.05), []
    for _ in range(20):
        opt.zero_grad()
        loss = F.binary_cross_entropy_with_logits(logits(), points[:, 2])
        loss.backward()
        losses.append(loss.item())
        opt.step()
    found = js("""(m, [net, hidden, points]) => {
        const memory = {}, losses = [];
        for (let i = 0; i < 20; i++) {
            const {loss, slope} = m.netGradient(net, hidden, points);
            losses.push(loss);
            net = m.adam(net, slope, 0.05, memory);
        }
        return {net, losses, logits: points.map(([x, y]) => m.netLogit(net, hidden, x, y))}; }""",
               [start, hidden, figures._clouds])
    assert close(found["net"], net.detach(), 1e-6) and close(found["losses"], losses, 1e-6)
    assert close(found["logits"], logits().detach(), 1e-5)


def base(name): return base64.b64encode(figures._bytes_of(name)).decode()


def tensors():
    "Of both files of digits, as float32."
    found = [safetensors.torch.load(figures._bytes_of(name)) for name in FILES[:2]]
    return {key: value.float() for part in found for key, value in part.items()}


def logits_agree(js, **module):
    "Of the linear model and the deep network, and distances to the averages, on a hundred digits."
    digits = threes_and_sevens(mnist_sample().path, "valid")[0].cpu()
    digits = digits[torch.linspace(0, len(digits)-1, 100).long()]
    weights, net = tensors(), deep_net()
    net.load_state_dict({key.removeprefix("deep."): value for key, value in weights.items() if key.startswith("deep.")})
    expected = {name: (digits - weights[name].flatten()).abs().mean(1) for name in ("mean3", "mean7")}
    expected["linear"] = F.linear(digits, weights["linear.0.weight"], weights["linear.0.bias"])[:, 0]
    with torch.no_grad(): expected["deep"] = net(digits)[:, 0]
    found = js("(m, [files, digits]) => {" + BYTES + """
        const weights = Object.assign({}, ...files.map(text => m.readWeights(bytes(text))));
        const of = f => digits.map(f);
        return {linear: of(x => m.forward(weights, "linear", x)[0]), deep: of(x => m.forward(weights, "deep", x)[0]),
                mean3: of(x => m.l1(x, weights.mean3.values)), mean7: of(x => m.l1(x, weights.mean7.values))}; }""",
               [[base(name) for name in FILES[:2]], digits.tolist()], **module)
    for name, values in expected.items():
        assert close(found[name], values, 1e-4), name
    for name in ("linear", "deep"): assert ((np.array(found[name]) > 0) == (expected[name] > 0).numpy()).all()


def test_networks_say_what_pytorch_says(js): logits_agree(js)


def garments_agree(js, **module):
    "Logits of the network of garments on a hundred images, and what each place adds to one of them, against autograd."
    model, tensors, _ = figures._garment_net()
    mean, std = tensors["scale"].tolist()
    images = (fashion_mnist().x_test[:100].float()/255 - mean)/std
    labels = [-1 if i%2 else i//2%10 for i in range(100)]
    logits, places = zip(*(figures._places(model, *pair) for pair in zip(images, labels, strict=True)))
    found = js("(m, [file, images, labels]) => {" + BYTES + """
        const weights = m.readWeights(bytes(file)), {layers} = weights.network;
        return images.map((image, i) => {
            const outputs = m.runLayers(layers, weights, {shape: [1, 28, 28], values: Float64Array.from(image)});
            const logits = [...outputs.at(-1).values], most = logits.indexOf(Math.max(...logits));
            return [logits, m.shares(layers, weights, outputs, labels[i] < 0 ? most : labels[i])]; }); }""",
               [base("fashion"), images.flatten(1).tolist(), labels], **module)
    for i, (a, b) in enumerate(found):
        assert close(a, logits[i], 1e-4) and np.argmax(a) == logits[i].argmax(), i
        assert close(b, places[i].ravel(), 1e-4), i


def test_the_network_of_garments_says_what_pytorch_says(js): garments_agree(js)


def layers_agree(js, **module):
    "Networks given as data: every kind of layer, and the better network, whose batch normalizations are folded."
    seed_everything(0)
    odd = nn.Sequential(nn.Conv2d(2, 3, (3, 2), stride=2, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(3, 2),
                        Shortcut(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1))), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2))
    net, x = small_net(), torch.randn(64, 1, 28, 28)
    net(x)  # statistics of their own
    for model, xs, answered in ((odd, torch.randn(5, 2, 17, 19), odd), (fold_norms(net.eval()), x[:3], net)):
        with torch.no_grad(): expected = answered(xs)
        weights = {key: dict(shape=list(value.shape), values=value.flatten().tolist())
                   for key, value in model.state_dict().items()}
        found = js("""(m, [layers, weights, shape, all]) => all.map(values => [...m.runLayers(layers, weights,
                   {shape, values: Float64Array.from(values)}).at(-1).values])""",
                   [figures.layers_of(model), weights, list(xs.shape[1:]), xs.flatten(1).tolist()], **module)
        assert close(found, expected, 1e-4)


def test_networks_given_as_data_are_those_of_torch(js): layers_agree(js)


def cycles_agree(js, **module):
    "Rates and momenta of the lesson's callback; then the run, against torch.optim.SGD, step by step."
    for peak, warm, start in ((0.2, 0.25, 0.008), (0.1, 0.1, 0.1), (0.05, 0.9, 0.002)):
        given = dict(points=figures._points, peak=peak, warm=warm, start=start, seed=3)
        found = js("(m, given) => m.cycleRun(given)", given, **module)
        x, y = torch.tensor(figures._points, dtype=torch.float64).T
        batches = np.array(found["order"][:200]).reshape(100, 2).tolist()
        assert all(sorted(sum(batches[i:i+5], [])) == list(range(10)) for i in range(0, 100, 5))
        model, cycle = nn.Linear(1, 1).double(), OneCycle(peak, warm)
        dl = [(x[batch, None], y[batch, None]) for batch in batches]
        opt = torch.optim.SGD(model.parameters(), lr=peak, momentum=0.9)
        TinyLearner(model, dl, dl[:1], F.mse_loss, opt, cbs=[cycle]).fit(1)
        if start == peak/25: assert close(found["rates"], np.stack([cycle.lrs, cycle.moms], 1), 1e-9)
        for rates, walked in zip((found["rates"], [[peak, 0.9]]*100), found["walks"], strict=True):
            params, walk = torch.tensor([-1., 0.], dtype=torch.float64, requires_grad=True), [[-1., 0.]]
            opt = torch.optim.SGD([params], lr=1, momentum=0.9)
            for (lr, momentum), batch in zip(rates, batches, strict=True):
                opt.param_groups[0].update(lr=lr, momentum=momentum)
                opt.zero_grad()
                F.mse_loss(params[0]*x[batch] + params[1], y[batch]).backward()
                opt.step()
                walk.append(params.tolist())
            assert len(walked) == 101 and close(walked, walk, 1e-6)


def test_one_cycle_and_its_run_are_those_of_the_lesson_and_of_torch(js): cycles_agree(js)


def drawings():
    "Strokes of all kinds: curves, dots, points twice, long ones that leave the image."
    dice = np.random.default_rng(0)
    some = [[(dice.uniform(4, 24, 2) + dice.normal(0, 3, (n, 2)).cumsum(0)).round(1).tolist() for n in sizes]
            for sizes in [(12,), (3, 7), (1,), (2, 1, 5), (30,)]*6]
    return [*some, [[[5, 5]]], [[[5, 5], [5, 5]]], [[[-40, 14], [70, 14]]], [figures._three]]


def strokes_agree(js, **module):
    given = drawings()
    plain, centered = js("(m, all) => [all.map(o => [...m.rasterize(o)]), all.map(o => [...m.rasterize(m.center(o))])]",
                         given, **module)
    for strokes, a, b in zip(given, plain, centered, strict=True):
        assert close(a, figures.rasterize(strokes).ravel(), 1/255)
        assert close(b, figures.rasterize(figures.center_strokes(strokes)).ravel(), 1/255)


def test_strokes_make_the_same_pixels_in_both_languages(js): strokes_agree(js)


def wearing_agrees(js, **module):
    images, dice = safetensors.torch.load(figures._bytes_of("fashion"))["images"].numpy(), np.random.default_rng(1)
    states = []
    for i, strokes in enumerate(drawings()):
        shift = dice.uniform(-40, 40, 2).round(1) if i%4 == 0 else dice.integers(-8, 9, 2)
        inks = dice.choice([0, 0.5, 1], len(strokes) - i%2)
        states.append(dict(garment=i%21 - 1, strokes=strokes, inks=inks.tolist(), mirror=bool(i%3),
                           shift=shift.tolist()))
    found = js("(m, [images, states]) => states.map(state => [...m.wear(images, state)])",
               [images.ravel().tolist(), states], **module)
    for state, values in zip(states, found, strict=True):
        assert close(values, figures.wear(images, state).ravel(), 1/255), state


def test_a_garment_is_worn_alike_in_both_languages(js): wearing_agrees(js)


def test_numbers_that_stand_in_both_languages_are_the_same(js):
    x, y = thermometer_data()
    assert close(figures._readings, torch.stack([x, y], 1), 1e-5)
    found = js("m => ({readings: m.readings, three: m.samples.three, clouds: m.clouds(true), pens: [m.pen, m.brush]})")
    assert found == dict(readings=figures._readings, three=[figures._three], clouds=figures._clouds,
                         pens=[figures.pen, figures.brush])


@pytest.mark.parametrize("check, line, planted", [
    (steps_agree, "return a - lr*curves", "return a + lr*curves"),
    (logits_agree, "values[r*columns+c]*x[c]", "values[(c*rows+r)%values.length]*x[c]"),
    (garments_agree, "for (let dy = 0; dy < k; dy++) for (let dx = 0; dx < l; dx++)",
     "for (let dx = 0; dx < l; dx++) for (let dy = 0; dy < k; dy++)"),
    (garments_agree, "v*weight[r*columns+c]", "v*weight[(c*slope.length+r)%weight.length]"),
    (garments_agree, "values[i] > 0 ? v : 0)", "values[i] < 0 ? v : 0)"),
    (layers_agree, "*width + dx - padding", "*width + dx + padding"),
    (layers_agree, "(v, i) => v + x.values[i]", "(v, i) => v - x.values[i]"),
    (cycles_agree, "momentum*v + slope[i]", "momentum*v - slope[i]"),
    (cycles_agree, "bent(k/steps, 0.95, 0.85, 0.95)", "bent(k/steps, 0.85, 0.95, 0.85)"),
    (wearing_agrees, "mirror ? 27-x : x", "mirror ? 28-x : x"),
    (strokes_agree, "moved(boxed, 14.5 - middle[0]", "moved(boxed, 14 - middle[0]")],
    ids=["wrong sign", "transposed weight", "transposed kernel", "transposed slope", "wrong mask", "wrong rim",
         "wrong shortcut", "wrong step", "wrong momentum", "wrong mirror", "shifted by half a pixel"])
def test_a_planted_mistake_is_found(js, check, line, planted):
    assert MODULE.count(line) == 1
    with pytest.raises(AssertionError): check(js, module=MODULE.replace(line, planted))


def stored(path):
    "The figures that a notebook stores."
    outputs = [output for cell in read(path).cells for output in cell.get("outputs", []) if "data" in output]
    return [output.data for output in outputs if figures.figure_type in output.data]


def stale():
    "Files whose networks have other code by now, and notebooks whose figures were stored with other weights."
    yield from (name for name in FILES if figures.about_weights(name)["code"] != figures._code_of(name))
    for path in [*NOTEBOOKS, *CHECKS]:
        for data in stored(path):
            weights = data[figures.figure_type]["weights"]
            if any(figures._hash_of(name) != kept for name, kept in weights.items()): yield path.name


def test_weights_and_stored_figures_are_fresh():
    assert not list(stale()), "run `make notebooks`"


def test_stale_weights_are_found(tmp_path, monkeypatch):
    folder = tmp_path/"weights"
    shutil.copytree(figures.weights_folder, folder)
    monkeypatch.setattr(figures, "weights_folder", folder)
    path = folder/f"{FILES[0]}.safetensors"
    before = path.read_bytes()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))  # one bit of one weight
    assert PAGE.name in list(stale())
    path.write_bytes(before)
    assert not list(stale())
    monkeypatch.setitem(figures._networks, FILES[1], ["deep_net", "bce_loss"])  # other code
    assert list(stale()) == [FILES[1]]


def test_weights_say_what_they_are_and_are_small():
    for name in FILES:
        about = figures.about_weights(name)
        assert {"code", "seed", "data", "date", "torch", "device"} <= set(about) and "real" in about["data"]
        enough = 0.895 if name == "fashion" else 0.95
        assert any(float(value) > enough for key, value in about.items() if key.startswith("accuracy"))
    assert sum(path.stat().st_size for path in figures.weights_folder.iterdir()) < 600_000
    assert safetensors.torch.load(figures._bytes_of("fashion"))["images"].shape == (20, 28, 28)  # at most a hundred


def test_weights_are_made_where_they_are_missing_and_when_asked(tmp_path, monkeypatch):
    data, digits = mnist_sample(), ["three-seven", "three-seven-deep"]
    data.real = True
    monkeypatch.setattr("course_dl.data.mnist_sample", lambda: data)
    shapes = {name: {key: value.shape for key, value in safetensors.torch.load(figures._bytes_of(name)).items()}
              for name in digits}
    monkeypatch.setattr(figures, "weights_folder", tmp_path)
    monkeypatch.setattr(figures, "_networks", {name: figures._networks[name] for name in digits})
    assert [figures.make_weights(fresh) for fresh in (False, False, True)] == [digits, [], digits]
    for name in digits:
        made = safetensors.torch.load(figures._bytes_of(name))
        assert {key: value.shape for key, value in made.items()} == shapes[name]
        said = figures.about_weights(name)
        assert all(float(value) > .9 for key, value in said.items() if key.startswith("accuracy")), said


def test_the_weights_of_garments_come_with_two_pictures_of_each():
    data, names = fashion_mnist(), ("x_train", "y_train", "x_test", "y_test")
    few = replace(data, **{name: getattr(data, name)[:600] for name in names})
    made, _, network = figures._trained_on_garments(0, few)
    shipped = safetensors.torch.load(figures._bytes_of("fashion"))
    assert {key: value.shape for key, value in made.items()} == {key: value.shape for key, value in shipped.items()}
    assert made["labels"].tolist() == shipped["labels"].tolist() == sorted([*range(10)]*2)
    assert json.loads(network)["layers"] == json.loads(figures.about_weights("fashion")["network"])["layers"]
    for image, label in zip(made["images"], made["labels"]):
        assert (few.x_test[few.y_test == label][:2] == image).flatten(1).all(1).any()


def test_module_is_small_and_needs_nothing():
    assert len(MODULE.encode()) <= 60_000
    assert not re.search(r"^import |\bimport\(|https?://(?!www\.w3\.org)", MODULE, re.M)


def test_no_style_of_the_site_reaches_into_a_figure():
    styles = files("pydata_sphinx_theme")/"theme/pydata_sphinx_theme/static/styles/pydata-sphinx-theme.css"
    theirs = set(re.findall(r"\.([a-z][\w-]*)", styles.read_text(encoding="utf-8")))
    ours = set(re.findall(r'class: "([\w-]+)"', MODULE))
    assert len(theirs) > 1000 and len(ours) > 10 and not ours & theirs


def test_notebooks_store_stills_and_no_widgets():
    for path in [*NOTEBOOKS, *CHECKS]:
        nb = read(path)
        shown = [output.data for cell in nb.cells for output in cell.get("outputs", []) if "data" in output]
        assert "widgets" not in nb.metadata and not any("widget-view" in kind for data in shown for kind in data), path
        for data in stored(path):
            kept = data[figures.figure_type]
            assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG"), path
            assert figures._checked(kept["kind"], figures._kinds[kept["kind"]].start, kept["state"]), path


def test_without_anywidget_there_is_the_still_and_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    for kind in figures._kinds:
        shown = figures.figure(kind)._repr_mimebundle_()
        assert set(shown) == {"text/plain", "image/png", figures.figure_type}
        assert capsys.readouterr().out == "This figure stands still. To move it: pip install anywidget\n"


# In a page: every figure, as the site shows it.

@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return moves.figures_page(tmp_path_factory.mktemp("figures"))


def opened(browser, page):
    "A wide page with every figure, and a touch screen; nothing moves by itself."
    size = {"width": 800, "height": 900}
    with browser.new_context(viewport=size, has_touch=True, reduced_motion="reduce") as context:
        tab = context.new_page()
        seen = watch(tab, "file://")
        tab.goto(page.as_uri())
        yield tab
        assert not seen


wide = pytest.fixture(opened)  # for a hand that draws and moves
shared = pytest.fixture(opened, scope="module")  # for states


def state(tab, kind): return tab.locator(f"[data-figure={kind}]").evaluate("figure => figure.model.get('state')")


def put(tab, kind, **change):
    tab.locator(f"[data-figure={kind}]").evaluate(
        "({model}, change) => { model.set('state', {...model.get('state'), ...change}) }", change)


def said(tab, kind): return tab.locator(f"[data-figure={kind}] .say").text_content()


def test_every_figure_takes_the_place_of_its_still_and_no_more(browser, page):
    "At any width, so that nothing on the page moves; without JavaScript the still stays."
    heights = {False: {}, True: {}}
    for script, found_heights in heights.items():
        with browser.new_context(java_script_enabled=script) as context:
            tab = context.new_page()
            tab.goto(page.as_uri())
            found = tab.locator("figure[data-figure]").all()
            assert [o.get_attribute("data-figure") for o in found] == list(figures._kinds)
            assert all(o.locator("> div > img").count() == (not script) for o in found)
            assert all(o.locator(".cdl").count() == script for o in found)
            for width in (360, 390, 620, 680, 800, 1000):
                tab.set_viewport_size({"width": width, "height": 800})
                found_heights[width] = [o.bounding_box()["height"] for o in found]
                if script and width in (390, 680, 800):
                    used = [o.locator(".cdl").bounding_box()["height"] for o in found]
                    assert max(a-b for a, b in zip(found_heights[width], used)) < 30, width
    assert heights[False] == heights[True]


# Where something is drawn, by color and as a part of its panel: to the right, and up.
DRAWN = """figure => [...figure.querySelectorAll(".panel svg")].map(svg => {
    const box = svg.querySelector(".frame").getBoundingClientRect(), found = {};
    for (const o of svg.querySelectorAll("g[clip-path] :is(path, circle, rect), .knob")) {
        const length = o.getTotalLength(), {x, y, width, height} = o.getBBox();
        const line = o.tagName === "path" && !o.getAttribute("fill")?.startsWith("#");
        const points = [[x + width/2, y + height/2], ...Array.from({length: line*500}, (_, i) => {
            const at = o.getPointAtLength(i/499*length);
            return [at.x, at.y];
        })];
        const color = (o.getAttribute("stroke") ?? o.getAttribute("fill") ?? "").replace("currentColor", "#000000");
        const to = o.getScreenCTM();
        (found[color.toLowerCase()] ??= []).push(...points.map(at => new DOMPoint(...at).matrixTransform(to)).map(
            ({x, y}) => [(x-box.left)/box.width, (box.bottom-y)/box.height]));
    }
    return {found, labels: [...svg.querySelectorAll(".frame ~ text")].map(o => o.textContent)};
})"""
WALKED = [("one-step", dict(a=1.2, lr=.3, trail=[.5, 5, 2.4])),
          ("line-map", dict(w=.8, b=-1.2, walk=[[-1, 0], [1.5, -2]])),
          ("two-scales", dict(w=.6, b=-8., walk=[[1, 0], [.3, -2]])), ("one-cycle", dict(warm=.4, peak=.8, start=.1)),
          ("points", dict(losses=[.7, .5, .3, .25])), ("points", dict(losses=[.7], net=[1, 1, -2, 1, -1, 1, 1, 1, -1]))]


@pytest.fixture
def drawn_still():
    "Draws a state with matplotlib and returns its axes."
    with plt.rc_context():
        plot_style()
        def draw(kind, state):
            fig, axs = plt.subplots(1, figures._kinds[kind].panels)
            figures._kinds[kind].still(axs, state)
            return axs
        yield draw
        plt.close()


@pytest.mark.parametrize("kind, change", WALKED)
def test_a_still_draws_where_the_figure_does(shared, drawn_still, kind, change):
    put(shared, kind, **change)
    panels = shared.locator(f"[data-figure={kind}]").evaluate(DRAWN)
    for ax, drawn in zip(drawn_still(kind, state(shared, kind)), panels):
        if ax.get_ylabel() == "momentum": continue  # the figure shows a run there
        labels = [re.sub(r"\$x_(.)\$", lambda o: "x" + "₀₁₂"[int(o[1])], o) for o in (ax.get_xlabel(), ax.get_ylabel())]
        assert labels == drawn["labels"]
        colors = [line.get_color() for line in ax.lines] + [bar.get_facecolor() for bar in ax.patches]
        colors += ["C0"]*bool(ax.collections)  # a map
        assert {to_hex(f"C{i}") for i in (0, 1)} & drawn["found"].keys() <= set(map(to_hex, colors))
        for line in ax.lines:
            if isinstance(line, AxLine): continue  # it has no ends
            at = ax.transAxes.inverted().transform(ax.transData.transform(line.get_xydata()))
            at = at[((at >= 0) & (at <= 1)).all(1)]
            there = np.array(drawn["found"][to_hex(line.get_color())])
            assert len(at) and np.linalg.norm(at[:, None] - there, axis=-1).min(1).max() < .01


@pytest.mark.parametrize("kind, at", [("two-scales", 1), ("garment", 2)])
def test_bars_of_a_still_are_those_of_the_figure(shared, drawn_still, kind, at):
    "From the top down: the first two words, and the curvature."
    texts = shared.locator(f"[data-figure={kind}] .panel svg").last.locator("text").all_text_contents()
    ax = drawn_still(kind, state(shared, kind))[at]
    ax.figure.canvas.draw()
    ticks = sorted(ax.yaxis.get_major_ticks(), key=lambda tick: -ax.transData.transform((0, tick.get_loc()))[1])
    names = [" ".join(tick.label1.get_text().split()) for tick in ticks]
    assert len(names) == {"two-scales": 2, "garment": 10}[kind]
    found = [text.replace(":", "").split(",")[0] for text in texts]
    assert [text for text in found if text in names] == names


def drag(tab, handle, dx, dy):
    "With the mouse, by CSS pixels."
    box = handle.bounding_box()
    x, y = box["x"] + box["width"]/2, box["y"] + box["height"]/2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + dx/2, y + dy/3)
    tab.mouse.move(x + dx, y + dy)
    tab.mouse.up()


def touch(tab, handle, dx, dy):
    box, client = handle.bounding_box(), tab.context.new_cdp_session(tab)
    x, y = box["x"] + box["width"]/2, box["y"] + box["height"]/2
    for kind, at in [("Start", (0, 0)), ("Move", (dx/2, dy/3)), ("Move", (dx, dy)), ("End", None)]:
        points = [{"x": x + at[0], "y": y + at[1]}] if at else []
        client.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})


@pytest.mark.parametrize("kind, name, keys, part", [
    ("one-step", "The knob a", {"ArrowRight": 24}, "a"),
    ("line-map", "The line, as a place on the map", {"ArrowRight": 20, "ArrowDown": 12}, "wb"),
    ("two-scales", "The ball", {"ArrowLeft": 20, "ArrowDown": 10}, "wb"),
    ("one-cycle", "The peak", {"ArrowRight": 20, "ArrowUp": 30}, ("warm", "peak")),
    ("one-cycle", "The start", {"ArrowUp": 40}, ("start",)),
    ("points", "Point 1, class 0", {"ArrowRight": 15, "ArrowUp": 9}, "points")])
def test_mouse_touch_and_keys_end_in_the_same_state(wide, kind, name, keys, part):
    handle = wide.locator(f"[data-figure={kind}]").get_by_role("slider", name=name, exact=True)
    handle.scroll_into_view_if_needed()
    def values(): return [value for key, value in state(wide, kind).items() if key in part]
    def middle(box): return box["x"] + box["width"]/2, box["y"] + box["height"]/2
    start, before = values(), middle(handle.bounding_box())
    handle.focus()
    for key, times in keys.items():
        for _ in range(times): wide.keyboard.press(key)
    ends, after = [values()], middle(handle.bounding_box())
    assert ends[0] != start and handle.get_attribute("aria-valuetext")
    way = [b - a for a, b in zip(before, after)]
    for pull in (drag, touch):
        put(wide, kind, **{key: value for key, value in figures._kinds[kind].start.items()})
        assert values() == start
        pull(wide, handle, *way)
        ends.append(values())
    assert ends[1] == ends[0] and ends[2] == ends[0]


def test_one_knob_steps_and_flies_away_past_the_limit(wide):
    figure = wide.locator("[data-figure=one-step]")
    figure.get_by_role("button", name="Step", exact=True).click()
    assert state(wide, "one-step")["a"] == pytest.approx(1.3) and state(wide, "one-step")["trail"] == [0]
    figure.get_by_role("button", name="20 steps").click()
    assert abs(state(wide, "one-step")["a"] - 2.6) < 0.05 and len(state(wide, "one-step")["trail"]) == 20
    put(wide, "one-step", lr=0.44, a=2.5, trail=[])
    assert "flies away" in said(wide, "one-step")
    figure.get_by_role("button", name="20 steps").click()
    assert abs(state(wide, "one-step")["a"] - 2.6) > 3 and "left the picture" in said(wide, "one-step")
    figure.get_by_role("button", name="Start again").click()
    assert state(wide, "one-step")["a"] == 2.5


def test_a_line_walks_to_the_star_and_a_moved_point_moves_it(wide):
    figure = wide.locator("[data-figure=line-map]")
    figure.get_by_role("button", name="Release").click()
    after = state(wide, "line-map")
    x, y = np.array(figures._points).T
    assert len(after["walk"]) == 101 and close([after["w"], after["b"]], np.polyfit(x, y, 1), 0.05)
    put(wide, "line-map", method="batches", walk=[], w=-1, b=0)
    figure.get_by_role("button", name="Release").click()
    assert len(state(wide, "line-map")["walk"]) == 101 and state(wide, "line-map")["walk"][-1] != after["walk"][-1]
    figure.get_by_role("slider", name="Point 10").focus()
    before = said(wide, "line-map")
    for _ in range(5): wide.keyboard.press("ArrowUp")
    assert state(wide, "line-map")["points"][9][1] == pytest.approx(-0.85) and said(wide, "line-map") != before


def test_scaled_readings_let_the_ball_arrive(wide):
    figure, lost = wide.locator("[data-figure=two-scales]"), {}
    for inputs in ("raw", "tens", "standardized"):
        put(wide, "two-scales", inputs=inputs, part=0.5, w=1, b=0, walk=[])
        figure.get_by_role("button", name="Release").click()
        lost[inputs] = float(re.search(r"loss ([\d.,]+),", said(wide, "two-scales"))[1].replace(",", ""))
    assert lost["raw"] > 25 and lost["raw"] > lost["tens"] > 3 and lost["standardized"] == 2.93
    put(wide, "two-scales", inputs="raw", part=1.06, w=1, b=0, walk=[])
    assert "overshoots" in said(wide, "two-scales")


def test_a_digit_drawn_with_the_mouse_is_read_and_a_moved_one_is_not(wide):
    figure = wide.locator("[data-figure=draw]")
    figure.get_by_role("button", name="Clear").click()
    assert "Draw a 3 or a 7" in said(wide, "draw")
    box = figure.locator("canvas.pad").bounding_box()
    for i, (x, y) in enumerate([(0.3, 0.25), (0.5, 0.24), (0.7, 0.25), (0.6, 0.5), (0.5, 0.8)]):
        wide.mouse.move(box["x"] + x*box["width"], box["y"] + y*box["height"], steps=5)
        if not i: wide.mouse.down()
    wide.mouse.up()
    assert said(wide, "draw") == "All say 7." and len(state(wide, "draw")["strokes"]) == 1
    figure.get_by_role("button", name="A 3").click()
    assert said(wide, "draw") == "All say 3."
    figure.get_by_label("Move right").fill("7")
    assert said(wide, "draw") == "All say 3."  # centered
    figure.get_by_label("center it").uncheck()
    assert said(wide, "draw") != "All say 3."


def test_a_digit_is_drawn_with_keys(wide):
    figure = wide.locator("[data-figure=draw]")
    figure.get_by_role("button", name="Clear").click()
    figure.locator("canvas.pad").focus()
    start, stem = ["ArrowLeft", "ArrowUp"]*6, ["ArrowDown", "ArrowLeft", "ArrowDown"]*6
    for key in (*start, " ", *["ArrowRight"]*11, *stem): wide.keyboard.press(key)
    assert said(wide, "draw") == "All say 7."


def choose(tab, kind, **names):
    figure = tab.locator(f"[data-figure={kind}]")
    for name, label in names.items(): figure.get_by_role("combobox", name=name).select_option(label=label)


def test_a_mirrored_boot_becomes_a_bag_and_each_class_says_why(wide):
    figure = wide.locator("[data-figure=garment]")
    assert said(wide, "garment").startswith("It says ankle boot, 100 % sure")
    figure.get_by_label("mirror it").check()
    assert said(wide, "garment").startswith("It says bag") and "untouched, ankle boot" in said(wide, "garment")
    logits = {}
    for name in ("bag", "ankle boot"):
        choose(wide, "garment", Why=name)
        found = re.search(rf"add up to (\S+): with (\S+) from biases that is the logit of {name}, (\S+)\.$",
                          said(wide, "garment"))
        a, b, logits[name] = (float(value.replace("−", "-")) for value in found.groups())
        assert abs(a + b - logits[name]) < 0.02
    assert logits["bag"] > logits["ankle boot"]
    figure.get_by_role("button", name="Put back").click()
    assert state(wide, "garment")["mirror"] is False and said(wide, "garment").startswith("It says ankle boot")
    figure.get_by_label("Move down").fill("8")
    assert state(wide, "garment")["shift"] == [0, 8]


def test_a_garment_is_erased_and_drawn_with_the_mouse_and_with_keys(wide):
    figure, pad = wide.locator("[data-figure=garment]"), wide.locator("[data-figure=garment] canvas.pad")
    before = said(wide, "garment")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    for i in range(12):  # all of it
        wide.mouse.move(box["x"] + 2, box["y"] + (i + 0.5)/12*box["height"])
        wide.mouse.down()
        wide.mouse.move(box["x"] + box["width"] - 2, box["y"] + (i + 0.5)/12*box["height"], steps=4)
        wide.mouse.up()
    after = state(wide, "garment")
    assert len(after["strokes"]) == len(after["inks"]) == 12 and set(after["inks"]) == {0}
    touch(wide, pad, 60, 30)
    assert len(state(wide, "garment")["strokes"][12]) > 1 and len(state(wide, "garment")["inks"]) == 13
    images = safetensors.torch.load(figures._bytes_of("fashion"))["images"].numpy()
    assert figures.wear(images, after).max() < 0.01 and said(wide, "garment") != before
    choose(wide, "garment", Pen="draws black")
    figure.get_by_label("mirror it").check()
    pad.focus()
    for key in ("ArrowLeft", "ArrowLeft", " ", "ArrowDown", "ArrowDown"): wide.keyboard.press(key)
    after = state(wide, "garment")
    assert after["strokes"][-1] == [[16, 14], [16, 15], [16, 16]] and after["inks"][-1] == 1  # left, seen in a mirror
    choose(wide, "garment", Garment="shirt 2")
    assert state(wide, "garment") == dict(figures._kinds["garment"].start, garment=13)


def test_one_cycle_settles_and_a_constant_rate_does_not(wide):
    def ends(): return [float(o) for o in re.findall(r"ends (\S+) above", said(wide, "one-cycle"))]
    found = {}
    for warm in (0.25, 0.01):  # as it is, and with the peak at the left edge
        for seed in range(15):
            put(wide, "one-cycle", seed=seed, warm=warm)
            found.setdefault(warm, []).append(ends())
    bent, flat = np.median(found[0.25], 0)
    assert bent < flat/5 and np.median(found[0.01], 0)[0] < flat/5
    for seed in range(15):
        put(wide, "one-cycle", peak=1, warm=0.25, seed=seed)
        assert "blue, ends" in said(wide, "one-cycle")
    put(wide, "one-cycle", peak=1.0, start=0.04, seed=1)
    assert "orange, it flies away" in said(wide, "one-cycle")
    wide.locator("[data-figure=one-cycle]").get_by_role("button", name="As in the lesson").click()
    assert state(wide, "one-cycle")["start"] == 0.04


def test_points_are_trained_added_taken_away_and_pasted(wide):
    figure = wide.locator("[data-figure=points]")
    figure.get_by_label("Hidden units").fill("0")
    figure.get_by_role("button", name="Train").click()
    assert "24 of 24" not in said(wide, "points") and len(state(wide, "points")["losses"]) == 60
    figure.get_by_label("Hidden units").fill("8")
    figure.get_by_role("button", name="Train").click()
    assert "24 of 24" in said(wide, "points")
    plane = figure.locator("svg").first.bounding_box()
    wide.mouse.click(plane["x"] + plane["width"]*0.55, plane["y"] + plane["height"]*0.45)
    assert len(state(wide, "points")["points"]) == 25
    figure.get_by_role("slider", name="Point 25").focus()
    wide.keyboard.press("Delete")
    assert len(state(wide, "points")["points"]) == 24
    figure.locator("summary").click()
    figure.locator("textarea").fill("1 2 0\n-1, -2, 1\nnonsense\n3 3 7")
    figure.locator("textarea").blur()
    assert state(wide, "points")["points"] == [[1, 2, 0], [-1, -2, 1]]


def test_a_state_from_python_moves_every_figure(wide):
    for kind, change in [("one-step", dict(a=4.)), ("line-map", dict(w=1.5)), ("two-scales", dict(b=-10.)),
                         ("draw", dict(strokes=[])), ("points", dict(hidden=5)), ("one-cycle", dict(peak=0.6)),
                         ("garment", dict(garment=2, why=4))]:
        before = said(wide, kind)
        put(wide, kind, **change)
        assert said(wide, kind) != before, kind


def test_figures_are_accessible_in_light_and_dark(wide):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    assert not violations(axe, wide)
    wide.evaluate("document.body.style.cssText = 'background: #14181e; color: #ced6dd'")
    assert not violations(axe, wide, runOnly=["color-contrast"])


@pytest.mark.parametrize("kind", moves.MOVED)
def test_a_move_is_drawn_within_a_frame(shared, kind):
    "All that the page's thread does for it, in seconds of CPU: a neighbor on the machine does not count."
    assert moves.MOVED.keys() == figures._kinds.keys()
    assert moves.seconds_a_move(shared, kind, 20) < moves.FRAME
