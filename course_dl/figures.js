// Figures that a reader takes in hand, for notebooks (anywidget runs this) and the site. No imports. First what
// computes, exported for tests; then what draws; then the figures, functions of a `Desk` that return how to draw.

// ---- Numbers ----

const sum = list => list.reduce((a, b) => a + b, 0);
const mapped = (o, f) => Object.fromEntries(Object.entries(o).map(([key, value]) => [key, f(value, key)]));
const mean = list => sum(list)/list.length;
const times = (n, f) => Array.from({length: n}, (_, i) => f(i));
const clamp = (v, low, high) => Math.min(Math.max(v, low), high);
const snap = (v, grid) => +(Math.round(v/grid)*grid).toFixed(6);

// A sentence for the reader, with a value for each {}. The site puts it into the language of its page beforehand.
const tell = (text, ...values) => text.replace(/\{\}/g, o => values.shift() ?? o);
const language = tell("en");  // of numbers

export const curves = {  // of one knob: loss and slope, and where to show the loss after each step
  bowl: {name: tell("the lesson's bowl"), loss: a => ((a-3)**2 + (2*a-5)**2)/2, slope: a => 5*a - 13, log: [0.05, 5e3]},
  valleys: {name: tell("two valleys"), loss: a => ((a-1)*(a-5))**2/6 + (7-a)/2,
            slope: a => 2*(a-1)*(a-5)*(a-3)/3 - 1/2, log: [0.5, 5e3]},
};

export function oneStep(curve, a, lr) { return a - lr*curves[curve].slope(a); }

// A line w·x + b and its mean squared error on points [x, y].
export function lineLoss(points, [w, b]) { return mean(points.map(([x, y]) => (w*x + b - y)**2)); }

export function lineGradient(points, [w, b]) {
  return [2*mean(points.map(([x, y]) => (w*x + b - y)*x)), 2*mean(points.map(([x, y]) => w*x + b - y))];
}

// The walk of SGD, as torch.optim.SGD takes it: a [learning rate, momentum] for each step, and the slope of that step.
export function sgd(at, rates, slopeOf) {
  const walk = [at];
  let speed = at.map(() => 0);
  rates.every(([lr, momentum], k) => {
    const slope = slopeOf(at, k);
    speed = speed.map((v, i) => momentum*v + slope[i]);
    at = at.map((p, i) => p - lr*speed[i]);
    walk.push(at);
    return at.every(v => Math.abs(v) < 1e9);
  });
  return walk;
}

export function walkLine(points, start, lr, momentum, batches) {  // one list of indices is one batch
  return sgd(start, batches.map(() => [lr, momentum]), (at, k) => lineGradient(batches[k].map(i => points[i]), at));
}

// One cycle, as the lesson's: learning rate and momentum of each step, along half a cosine up, then along one down.
export function oneCycle(start, peak, warm, steps) {
  const bent = (pos, from, middle, to) => {
    const [done, a, b] = pos < warm ? [pos/warm, from, middle] : [(pos-warm)/(1-warm), middle, to];
    return a + (b-a)*(1 - Math.cos(Math.PI*done))/2;
  };
  return times(steps, k => [bent(k/steps, start, peak, peak/1e5), bent(k/steps, 0.95, 0.85, 0.95)]);
}

// Where the loss is lowest, and its two curvatures with their directions: the soft one, then the stiff one.
export function bowl(points) {
  const xx = 2*mean(points.map(([x]) => x*x)), x1 = 2*mean(points.map(([x]) => x)), det = 2*xx - x1*x1;
  const slope = lineGradient(points, [0, 0]);
  const best = det > 1e-9 ? [(x1*slope[1] - 2*slope[0])/det, (x1*slope[0] - xx*slope[1])/det] : [0, -slope[1]/2];
  const half = (xx + 2)/2, off = Math.hypot((xx-2)/2, x1), stiff = half + off, soft = Math.max(det/stiff, 1e-9);
  const angle = Math.atan2(x1, (xx-2)/2)/2;  // of the stiff direction
  return {best, low: lineLoss(points, best), curvatures: [soft, stiff], angle};
}

// Seeded random numbers, the same on every machine.
export function dice(seed) {
  return () => {
    seed = (seed + 0x6D2B79F5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0)/2**32;
  };
}

function shuffled(n, random) {
  const order = [...Array(n).keys()];
  for (let i = n-1; i > 0; i--) {
    const j = Math.floor(random()*(i+1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

// A drawing is a list of strokes, a stroke a list of points [x, y] in pixels of an image of 28 by 28.
export const pen = 1;  // where ink is full, in pixels from the middle of a stroke; half a pixel further there is half
export const brush = 2;  // the same on garments

function distance(x, y, [ax, ay], [bx, by]) {
  const dx = bx-ax, dy = by-ay, length = dx*dx + dy*dy;
  const t = length > 0 ? clamp(((x-ax)*dx + (y-ay)*dy)/length, 0, 1) : 0;
  return Math.hypot(x - ax - t*dx, y - ay - t*dy);
}

export function rasterize(strokes, size = pen) {
  const image = new Float64Array(784);
  for (const stroke of strokes) {
    stroke.forEach((b, i) => {
      const a = stroke[Math.max(i-1, 0)], reach = size + 1;
      const [[left, right], [top, bottom]] = [0, 1].map(k => [
        Math.max(Math.floor(Math.min(a[k], b[k]) - reach), 0), Math.min(Math.max(a[k], b[k]) + reach, 28)]);
      for (let r = top; r < bottom; r++) {
        for (let c = left; c < right; c++) {
          const ink = clamp(reach - distance(c+0.5, r+0.5, a, b), 0, 1);
          image[28*r+c] = Math.max(image[28*r+c], ink);
        }
      }
    });
  }
  return image;
}

const moved = (strokes, dx, dy) => strokes.map(stroke => stroke.map(([x, y]) => [x + dx, y + dy]));

// As MNIST was made: scaled into a box of 20 by 20, then the middle of its ink put into the middle of pixel (14, 14).
export function center(strokes) {
  const points = strokes.flat(), ends = [0, 1].map(k => points.map(p => p[k]));
  const [x, y] = ends.map(v => [Math.min(...v), Math.max(...v)]);
  const scale = (20 - 2*pen - 1)/Math.max(x[1]-x[0], y[1]-y[0], 4);
  const boxed = strokes.map(stroke => stroke.map(
    p => [14 + (p[0] - (x[0]+x[1])/2)*scale, 14 + (p[1] - (y[0]+y[1])/2)*scale]));
  const image = rasterize(boxed), ink = sum(image);
  const middle = [i => i%28, i => Math.floor(i/28)].map(at => sum(image.map((v, i) => v*(at(i)+0.5)))/ink);
  return moved(boxed, 14.5 - middle[0], 14.5 - middle[1]);
}

// Weights as the lessons store them, {name: {shape, values}}, from the bytes of a safetensors file.
export function readWeights(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = Number(view.getBigUint64(0, true)), text = new Uint8Array(bytes.buffer, bytes.byteOffset + 8, size);
  const {__metadata__: about, ...header} = JSON.parse(new TextDecoder().decode(text));
  const read = {F32: at => view.getFloat32(at, true), F16: at => half(view.getUint16(at, true)),
                U8: at => view.getUint8(at)};
  const found = about?.network ? {network: JSON.parse(about.network)} : {};
  return Object.assign(found, mapped(header, ({dtype, shape, data_offsets: [from, to]}) => {
    const values = new Float32Array(shape.reduce((a, b) => a*b, 1)), width = (to-from)/values.length;
    const number = read[dtype];
    for (let i = 0; i < values.length; i++) values[i] = number(8 + size + from + i*width);
    return {shape, values};
  }));
}

function half(bits) {
  const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, part = bits & 1023;
  if (exponent === 0) return sign*part*2**-24;
  return exponent === 31 ? (part ? NaN : sign*Infinity) : sign*(1 + part/1024)*2**(exponent-15);
}

// A network is a list of layers {kind, …}, with weights under their names; what flows is {shape, values}.
const layerKinds = {
  linear({values: x}, {name}, weights) {
    const {shape: [rows, columns], values} = weights[`${name}.weight`];
    const out = Float64Array.from(weights[`${name}.bias`].values), inked = Array.from(x.keys()).filter(c => x[c]);
    for (let r = 0; r < rows; r++) for (const c of inked) out[r] += values[r*columns+c]*x[c];
    return {shape: [rows], values: out};
  },
  conv({shape: [n, height, width], values: x}, {name, stride = 1, padding = 0}, weights) {
    const {shape: [maps, , k, l], values} = weights[`${name}.weight`], bias = weights[`${name}.bias`]?.values ?? [];
    const [rows, columns] = [height-k, width-l].map(v => Math.floor((v + 2*padding)/stride) + 1);
    const out = new Float64Array(maps*rows*columns);
    let at = 0;
    for (let map = 0; map < maps; map++) {
      out.fill(bias[map] ?? 0, map*rows*columns, (map+1)*rows*columns);
      for (let from = 0; from < n; from++) for (let dy = 0; dy < k; dy++) for (let dx = 0; dx < l; dx++) {
        const weight = values[at++], start = Math.max(Math.ceil((padding-dx)/stride), 0);
        const end = Math.min(Math.floor((width-1 + padding-dx)/stride) + 1, columns);
        for (let r = 0; r < rows; r++) {
          const y = r*stride + dy - padding, left = (from*height+y)*width + dx - padding, to = (map*rows+r)*columns;
          if (y >= 0 && y < height) for (let c = start; c < end; c++) out[to+c] += weight*x[left+c*stride];
        }
      }
    }
    return {shape: [maps, rows, columns], values: out};
  },
  relu: ({shape, values}) => ({shape, values: values.map(v => Math.max(v, 0))}),
  maxpool({shape: [maps, height, width], values: x}, {size, stride}) {
    const [rows, columns] = [height, width].map(v => Math.floor((v-size)/stride) + 1);
    const out = new Float64Array(maps*rows*columns).fill(-Infinity);
    out.forEach((_, i) => {
      const corner = (Math.floor(i/columns/rows)*height + Math.floor(i/columns)%rows*stride)*width + i%columns*stride;
      for (let d = 0; d < size*size; d++) out[i] = Math.max(out[i], x[corner + Math.floor(d/size)*width + d%size]);
    });
    return {shape: [maps, rows, columns], values: out};
  },
  mean({shape: [maps], values: x}) {
    const area = x.length/maps;
    return {shape: [maps, 1, 1], values: times(maps, i => mean(x.slice(i*area, (i+1)*area)))};
  },
  flatten: ({values}) => ({shape: [values.length], values}),
  shortcut(x, {layers}, weights) {
    const {shape, values} = runLayers(layers, weights, x).at(-1);
    return layerKinds.relu({shape, values: values.map((v, i) => v + x.values[i])});
  },
};

// What each layer makes; the logits come last.
export function runLayers(layers, weights, x) {
  return layers.map(layer => x = layerKinds[layer.kind].call(null, x, layer, weights));
}

// For one image all that follows "flatten" is one linear function: what each place adds to a logit, all maps together.
export function shares(layers, weights, outputs, label) {
  const first = layers.findIndex(layer => layer.kind === "flatten"), {shape: [n], values} = outputs[first-1];
  let slope = Array.from(outputs.at(-1).values, (_, i) => +(i === label));
  for (let k = layers.length-1; k > first; k--) {
    if (layers[k].kind === "relu") slope = slope.map((v, i) => outputs[k-1].values[i] > 0 ? v : 0);
    else {
      const {shape: [, columns], values: weight} = weights[`${layers[k].name}.weight`];
      const back = Array(columns).fill(0);
      slope.forEach((v, r) => { if (v) for (let c = 0; c < columns; c++) back[c] += v*weight[r*columns+c]; });
      slope = back;
    }
  }
  const parts = Array(values.length/n).fill(0);
  slope.forEach((v, i) => { parts[i%parts.length] += v*values[i]; });
  return parts;
}

// Linear layers "NAME.0.weight", "NAME.2.weight", …, with ReLU between them.
export function forward(weights, name, x) {
  const parts = Object.keys(weights).filter(key => key.startsWith(name + ".") && key.endsWith(".weight")).sort();
  const layers = parts.flatMap(key => [{kind: "linear", name: key.slice(0, -7)}, {kind: "relu"}]).slice(0, -1);
  return runLayers(layers, weights, {shape: [x.length], values: x}).at(-1).values;
}

// A garment of `images`, 784 bytes each: erased and drawn on, stroke after stroke, then mirrored, then moved.
export function wear(images, {garment, strokes, inks, shift, mirror}) {
  const image = Float64Array.from({length: 784}, (_, i) => garment < 0 ? 0 : images[784*garment+i]/255);
  strokes.forEach((stroke, k) => rasterize([stroke], brush).forEach(
    (v, i) => { image[i] += v*((inks[k] ?? 0) - image[i]); }));
  return image.map((_, i) => {
    const [x, y] = [i%28, Math.floor(i/28)].map((v, k) => v - Math.round(shift[k]));
    return x >= 0 && x < 28 && y >= 0 && y < 28 ? image[28*y + (mirror ? 27-x : x)] : 0;
  });
}

export function l1(image, values) { return sum(image.map((v, i) => Math.abs(v - values[i])))/image.length; }

// A network for points in the plane, with any number of hidden ReLU units and one logit; with none, a perceptron.
// Its parameters are one list: for each unit two weights and a bias, then the output's weights and its bias.
export function netStart(hidden, seed) {
  const random = dice(seed), spread = (n, size) => times(n, () => (2*random()-1)*size);
  return hidden ? [...spread(3*hidden, Math.SQRT1_2), ...spread(hidden+1, 1/Math.sqrt(hidden))] : spread(3, 0.7);
}

export function netLogit(net, hidden, x, y) {
  if (!hidden) return net[0]*x + net[1]*y + net[2];
  let logit = net[4*hidden];
  for (let k = 0; k < hidden; k++) logit += net[3*hidden+k]*Math.max(net[3*k]*x + net[3*k+1]*y + net[3*k+2], 0);
  return logit;
}

// Mean binary cross-entropy over points [x, y, class], and its slope along each parameter.
export function netGradient(net, hidden, points) {
  const slope = net.map(() => 0);
  let loss = 0;
  for (const [x, y, label] of points) {
    const logit = netLogit(net, hidden, x, y), d = (1/(1 + Math.exp(-logit)) - label)/points.length;
    loss += (Math.max(logit, 0) - label*logit + Math.log1p(Math.exp(-Math.abs(logit))))/points.length;
    if (!hidden) [x, y, 1].forEach((v, i) => { slope[i] += d*v; });
    for (let k = 0; k < hidden; k++) {
      const z = net[3*k]*x + net[3*k+1]*y + net[3*k+2], back = z > 0 ? d*net[3*hidden+k] : 0;
      [x, y, 1].forEach((v, i) => { slope[3*k+i] += back*v; });
      slope[3*hidden+k] += d*Math.max(z, 0);
    }
    if (hidden) slope[4*hidden] += d;
  }
  return {loss, slope};
}

// One step of Adam, as torch.optim.Adam takes it; `memory` is {} at the start.
export function adam(net, slope, lr, memory) {
  memory.t = (memory.t ?? 0) + 1;
  memory.m = slope.map((g, i) => 0.9*(memory.m?.[i] ?? 0) + 0.1*g);
  memory.v = slope.map((g, i) => 0.999*(memory.v?.[i] ?? 0) + 0.001*g*g);
  return net.map((p, i) => p - lr*memory.m[i]/(1 - 0.9**memory.t)
    /(Math.sqrt(memory.v[i]/(1 - 0.999**memory.t)) + 1e-8));
}

// ---- Drawing ----

const colors = ["#0072B2", "#D55E00", "currentColor"];  // of the course's plots; their black is that of the text
const look = `
.cdl { container-type: inline-size; --edge: 1px solid color-mix(in srgb, currentColor 45%, transparent);
  color: var(--jp-content-font-color1, var(--vscode-foreground, inherit));
  font: 15px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
.cdl :is(.panels, .controls) { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; align-items: center; }
.cdl .panels { align-items: flex-start; }
.cdl .panel { flex: 1 1 0; max-width: 400px; min-width: 0; }
@container (max-width: 640px) { .cdl .panel { flex: 0 0 min(100%, 340px); } }
.cdl svg { display: block; width: 100%; overflow: hidden; user-select: none; -webkit-user-select: none; }
.cdl svg text { fill: currentColor; font-size: 12px; }
.cdl :is(.frame, .grid, .faint) { fill: none; stroke: currentColor; opacity: .4; }
.cdl .frame { opacity: .6; }
.cdl .grid { opacity: .13; }
.cdl .handle { cursor: grab; outline: none; }
.cdl .handle .reach { fill: transparent; }
.cdl .handle .knob { stroke: #fff; stroke-width: 1.5; }
.cdl .handle:focus-visible .reach { stroke: currentColor; stroke-width: 2; }
.cdl .controls { margin: .4rem 0; }
.cdl label { display: inline-flex; gap: .4rem; align-items: center; margin: 0; }
.cdl input[type=range] { width: 9rem; accent-color: ${colors[0]}; }
.cdl :is(input, select, button, textarea) { font: inherit; margin: 0; }
.cdl :is(button, select) { min-height: 30px; padding: .1rem .7rem; color: inherit; border-radius: 4px; cursor: pointer;
  background: color-mix(in srgb, currentColor 7%, transparent); border: var(--edge); }
.cdl option { color: #000; background: #fff; }
.cdl button:hover { background: color-mix(in srgb, currentColor 16%, transparent); }
.cdl :is(button, select, input, textarea, canvas, summary):focus-visible { outline: 2px solid ${colors[0]};
  outline-offset: 2px; }
.cdl .number { min-width: 3.2em; }
.cdl .say { margin: .2rem 0 0; min-height: 4.2em; max-width: 52rem; }
.cdl canvas { display: block; width: 100%; image-rendering: pixelated; background: #fff; border-radius: 3px;
  border: var(--edge); box-sizing: border-box; }
.cdl canvas.pad { cursor: crosshair; touch-action: none; }
.cdl :is(.pictures, .maps) { display: grid; gap: .3rem; font-size: 13px; line-height: 1.3; }
.cdl .pictures { grid-template-columns: repeat(3, 1fr); gap: .5rem; }
.cdl .strip { display: flex; gap: 3px; }
.cdl .strip > canvas { flex: 1 1 0; min-width: 0; }
.cdl .strip > div { flex: 0 0 35%; }
.cdl table { width: 100%; border-collapse: collapse; margin: .5rem 0 0; }
.cdl :is(th, td) { text-align: left; padding: .2rem .4rem .2rem 0; font-weight: 400; background: none; border: 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
.cdl td:last-child { font-weight: 700; }
.cdl textarea { width: 100%; box-sizing: border-box; color: inherit; background: none; border: var(--edge); }`;

const fill = (node, attributes, parts = []) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...parts);
  return node;
};
const h = (tag, attributes = {}, ...parts) => fill(document.createElement(tag), attributes, parts);
const s = (tag, attributes = {}, ...parts) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, parts);
const fixed = (v, digits = 2) => {
  const text = Math.abs(v) >= 1e6 ? v.toExponential(1).replace("e+", "e") : v.toLocaleString(language, {
    minimumFractionDigits: digits, maximumFractionDigits: digits});
  return (/[1-9]/.test(text) ? text : text.replace("-", "")).replace("-", "−");
};
const digits = v => fixed(v, Math.abs(v) >= 100 ? 0 : Math.abs(v) >= 10 ? 1 : 2);

// Axes in an SVG of 360 by 300: `X`, `Y` from data to pixels, `at` back; what is drawn goes into `layer`, cut off.
let plots = 0;
function plot({x, y, xlabel, ylabel, label, logY = false, ticks = [5, 5]}) {
  const box = {left: 46, right: 346, top: 10, bottom: 258}, id = `cdl-${++plots}`, back = s("g"), layer = s("g");
  const svg = s("svg", {viewBox: "0 0 360 300", role: "group", "aria-label": label},
    s("defs", {}, s("clipPath", {id}, s("rect", {x: box.left, y: box.top, width: 300, height: 248}))), back,
    s("g", {"clip-path": `url(#${id})`}, layer));
  const front = s("g");
  svg.append(front);
  const self = {svg, layer, front, box, x, y};
  const level = v => logY ? Math.log10(Math.max(v, 1e-300)) : v;
  self.X = v => box.left + (v-self.x[0])/(self.x[1]-self.x[0])*300;
  self.Y = v => box.bottom - (level(v)-level(self.y[0]))/(level(self.y[1])-level(self.y[0]))*248;
  self.at = event => {
    const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [self.x[0] + (p.x-box.left)/300*(self.x[1]-self.x[0]),
            self.y[0] + (box.bottom-p.y)/248*(self.y[1]-self.y[0])];
  };
  self.path = points => points.map(([px, py], i) => `${i ? "L" : "M"}${self.X(px).toFixed(1)} ${self.Y(py).toFixed(1)}`)
    .join("");
  self.dot = ([px, py], r, opacity = 1) => s("circle", {cx: self.X(px), cy: self.Y(py), r, opacity, fill: colors[1]});
  self.line = (points, color, width = 2) => s("path", {d: self.path(points), fill: "none", stroke: color,
                                                       "stroke-width": width});
  self.axes = () => {
    const marks = logY ? logTicks(self.y) : ticks[1] ? niceTicks(self.y, ticks[1]) : [];
    back.replaceChildren(
      ...niceTicks(self.x, ticks[0]).flatMap(v => [
        s("line", {class: "grid", x1: self.X(v), x2: self.X(v), y1: box.top, y2: box.bottom}),
        s("text", {x: self.X(v), y: 273, "text-anchor": "middle"}, tickText(v))]),
      ...marks.flatMap(v => [
        s("line", {class: "grid", y1: self.Y(v), y2: self.Y(v), x1: box.left, x2: box.right}),
        s("text", {x: 41, y: self.Y(v) + 4, "text-anchor": "end"}, tickText(v))]),
      s("path", {class: "frame", d: `M${box.left} ${box.top}V${box.bottom}H${box.right}`}),
      s("text", {x: 196, y: 293, "text-anchor": "middle"}, xlabel),
      s("text", {transform: "translate(10 134) rotate(-90)", "text-anchor": "middle"}, ylabel));
  };
  self.axes();
  return self;
}

function niceTicks([low, high], n) {
  const raw = (high-low)/n, power = 10**Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find(k => k*power >= raw*0.999)*power, found = [];
  for (let v = Math.ceil(low/step - 1e-9)*step; v <= high + step*1e-6; v += step) found.push(+v.toFixed(9));
  return found;
}

const logTicks = ([low, high]) => times(20, k => +`1e${k-10}`).filter(v => v >= low && v <= high);

const tickText = v => (Math.abs(v) >= 1e4 || v > 0 && v < 0.01 ? v.toExponential(0).replace("e+", "e") :
  (+v.toPrecision(6)).toLocaleString(language, {useGrouping: false, maximumFractionDigits: 6})).replace("-", "−");

// A knob on a plot, for mouse, touch and keys; to a screen reader a slider.
function handle(space, {name, at, move, say, grid, color = colors[1], keys = "xy", size = 7, square = false}) {
  const mark = {class: "knob", fill: color};
  const knob = s("g", {class: "handle", tabindex: 0, role: "slider", "aria-label": name},
    s("circle", {class: "reach", r: Math.min(16, 2*size + 2)}), square ?
    s("rect", {...mark, x: -size, y: -size, width: 2*size, height: 2*size}) : s("circle", {...mark, r: size}));
  const [first] = keys, [low, high] = space[first];
  let offset = null, last = null;
  const go = values => move(values.map((v, k) => clamp(snap(v, grid[k]), ...[space.x, space.y][k])));
  const follow = event => {
    if (!offset || (event.clientX === last.clientX && event.clientY === last.clientY)) return;
    last = event;
    go(space.at(event).map((v, k) => v + offset[k]));
  };
  knob.addEventListener("touchstart", event => event.preventDefault(), {passive: false});  // the page stays
  fill(knob, {
    onpointerdown(event) {
      const from = space.at(event), here = at();
      [offset, last] = [[here[0]-from[0], here[1]-from[1]], event];
      knob.setPointerCapture(event.pointerId);
      knob.focus({preventScroll: true});
      event.preventDefault();
      event.stopPropagation();
    },
    onpointermove: follow,
    onpointerup(event) { follow(event); offset = null; },
    onpointercancel() { offset = null; },
    onkeydown(event) {
      const step = event.shiftKey ? 10 : 1, here = at();
      const [dx, dy] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
                        PageUp: [10, 0], PageDown: [-10, 0]}[event.key] ?? [0, 0];
      const along = keys === "x" ? [dx+dy, 0] : keys === "y" ? [0, dx+dy] : [dx, dy];
      if (!along.some(Boolean)) return;
      go(along.map((d, k) => here[k] + step*d*grid[k]));
      event.preventDefault();
    },
  });
  space.front.append(knob);
  return {knob, draw() {
    const here = at(), now = here[first === "x" ? 0 : 1], {box} = space;
    const [px, py] = [space.X(here[0]), space.Y(here[1])];
    const x = clamp(px, box.left, box.right), y = clamp(py, box.top, box.bottom);
    fill(knob, {transform: `translate(${x} ${y})`, opacity: Math.hypot(x-px, y-py) < 1.5 ? 1 : 0.45,
      "aria-valuemin": Math.min(low, now), "aria-valuemax": Math.max(high, now), "aria-valuenow": now,
      "aria-valuetext": say()});
  }};
}

// Controls of a part of the state; each is drawn again with every state.
function slider(desk, name, key, {min, max, step, text, get = () => desk.state[key], put = v => ({[key]: v})}) {
  const input = h("input", {type: "range", min, max, step, oninput: () => desk.move(put(+input.value))});
  const number = h("span", {class: "number"});
  desk.controls.push(() => {
    input.value = get();
    number.textContent = text(get());
    input.setAttribute("aria-valuetext", text(get()));
  });
  return h("label", {}, name, input, number);
}

function choice(desk, name, key, options, more = {}) {  // without a key it only chooses
  const select = h("select", {onchange: () => {
    if (key) desk.move({...more, [key]: desk.state[key].toFixed ? +select.value : select.value});
  }}, ...Object.entries(options).map(([value, text]) => h("option", {value}, text.name ?? text)));
  if (key) desk.controls.push(() => { select.value = desk.state[key]; });
  return h("label", {}, name, select);
}

function tick(desk, name, key) {
  const box = h("input", {type: "checkbox", onchange: () => desk.move({[key]: box.checked})});
  desk.controls.push(() => { box.checked = desk.state[key]; });
  return h("label", {}, box, name);
}

const button = (text, onclick) => h("button", {type: "button", onclick}, text);

// The map of all lines: ellipses of equal loss around a star (light is low), and a walk.
function drawMap(space, {best, curvatures, angle}, levels, walk) {
  const turn = [[-Math.sin(angle), Math.cos(angle)], [Math.cos(angle), Math.sin(angle)]];  // soft, then stiff
  const rings = levels.map(level => {
    const ring = times(121, i => {
      const t = i*Math.PI/60, reach = curvatures.map((k, j) => Math.sqrt(2*level/k)*(j ? Math.sin(t) : Math.cos(t)));
      return [0, 1].map(k => best[k] + reach[0]*turn[0][k] + reach[1]*turn[1][k]);
    });
    return s("path", {d: space.path(ring) + "ZM-9 -9V309H369V-9Z", fill: colors[0], "fill-opacity": 0.07,
                      "fill-rule": "evenodd", stroke: colors[0], "stroke-opacity": 0.45});
  });
  const star = times(10, i => {
    const r = i%2 ? 3.2 : 8, t = i*Math.PI/5;
    return `${i ? "L" : "M"}${(r*Math.sin(t)).toFixed(1)} ${(-r*Math.cos(t)).toFixed(1)}`;
  });
  space.layer.replaceChildren(...rings, s("path", {d: star.join("") + "Z", fill: colors[2],
    transform: `translate(${space.X(best[0])} ${space.Y(best[1])})`}), space.line(walk, colors[1], 1.5),
    ...walk.slice(0, -1).map(at => space.dot(at, 2.2)));
}

function paint(canvas, values, color) {  // `color` writes red, green, blue and opacity
  const context = canvas.getContext("2d"), picture = context.createImageData(canvas.width, canvas.height);
  values.forEach((v, i) => color(v, picture.data, 4*i));
  context.putImageData(picture, 0, 0);
}

const inkColor = (v, out, at) => {
  out[at] = out[at+1] = out[at+2] = 255*(1-v);
  out[at+3] = 255;
};
const red = [178, 24, 43], blue = [33, 102, 172];
const signedColor = (v, out, at) => {  // red speaks for, blue against
  const t = Math.min(Math.abs(v), 1), end = v > 0 ? red : blue;
  for (let k = 0; k < 3; k++) out[at+k] = 255 + (end[k]-255)*t;
  out[at+3] = 255;
};

// What a figure works with: its state, where to draw, and a clock that stops when told or when motion is unwelcome.
class Desk {
  constructor(model, root) {
    Object.assign(this, {model, root, timer: null, controls: []});
    this.say = h("p", {class: "say", "aria-live": "polite"});
  }
  get state() { return this.model.get("state"); }
  get line() { return [this.state.w, this.state.b]; }
  put(patch) {
    this.model.set("state", {...this.state, ...patch});
    this.model.save_changes();  // at once: the echo of an older state would take back what is not sent yet
  }
  move(patch) { this.stop(); this.put(patch); }
  show(panels, controls) {
    this.root.append(h("div", {class: "panels"}, ...panels.map(o => h("div", {class: "panel"}, o))),
                     h("div", {class: "controls"}, ...controls), this.say);
  }
  stop() { clearTimeout(this.timer); this.timer = null; }
  play(step, pause) {  // `step` answers whether to go on
    this.stop();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) { while (step()); return; }
    const next = () => { this.timer = step() ? setTimeout(next, pause) : null; };
    next();
  }
  roll(found, skip, pause) {  // down a map, along the steps that were found
    let k = 0;
    this.play(() => {
      k = Math.min(k + (k < 20 ? 1 : skip), found.length-1);
      this.put({walk: found.slice(0, k+1), w: found[k][0], b: found[k][1]});
      return k+1 < found.length;
    }, pause);
  }
}

// ---- Figures ----

function oneKnob(desk) {
  const left = plot({x: [-1, 6.2], y: [0, 33], xlabel: "a", ylabel: tell("loss"),
                     label: tell("The loss over one knob")});
  const right = plot({x: [-0.5, 20.5], y: [0.05, 5e3], logY: true, xlabel: tell("step"), ylabel: tell("loss"),
                      label: tell("The loss after each step")});
  const step = () => {
    const {curve, a, lr, trail} = desk.state, next = oneStep(curve, a, lr);
    if (trail.length >= 20 || Math.abs(next) > 1e12) return false;
    desk.put({trail: [...trail, a], a: next});
    return trail.length < 19;
  };
  const again = () => desk.move({a: desk.state.trail[0] ?? desk.state.a, trail: []});
  const ball = handle(left, {
    name: tell("The knob a"), keys: "x", grid: [0.05, 1],
    at: () => [desk.state.a, curves[desk.state.curve].loss(desk.state.a)],
    move: ([a]) => desk.move({a, trail: []}),
    say: () => tell("a {}, loss {}", fixed(desk.state.a), digits(curves[desk.state.curve].loss(desk.state.a)))});
  const rate = slider(desk, tell("Learning rate"), "lr", {min: 0.01, max: 0.46, step: 0.01, text: v => fixed(v)});
  desk.show([left.svg, right.svg], [rate, button(tell("Step"), () => { desk.stop(); step(); }),
    button(tell("20 steps"), () => { again(); desk.play(step, 110); }),
    button(tell("Start again"), again), choice(desk, tell("Loss"), "curve", curves, {trail: []})]);
  return () => {
    const {curve: name, a, lr, trail} = desk.state, {loss, slope, log} = curves[name], next = oneStep(name, a, lr);
    Object.assign(right, {y: log});
    right.axes();
    const line = times(145, i => [-1 + i/20, loss(-1 + i/20)]), seen = [...trail, a];
    const reach = 1.6/Math.hypot(1, slope(a)*7.2/33), ends = [a-reach, a+reach].map(v => [v, loss(a) + slope(a)*(v-a)]);
    const [from, to] = [left.X(clamp(a, -9, 15)), left.X(clamp(next, -9, 15))], tip = Math.sign(to-from)*6;
    left.layer.replaceChildren(
      left.line(line, colors[0]), left.line(ends, colors[1]),
      ...trail.map(v => left.dot([v, loss(v)], 4, 0.45)),
      s("path", {class: "faint", "stroke-dasharray": "3 3",
                 d: `M${from} ${left.Y(loss(a))}V250M${to} ${left.Y(loss(next))}V250`}),
      s("path", {stroke: colors[1], "stroke-width": 2, fill: "none",
                 d: `M${from} 250H${to}` + (Math.abs(to-from) > 8 ? `m${-tip} -4l${tip} 4l${-tip} 4` : "")}),
      s("circle", {cx: left.X(next), cy: left.Y(loss(next)), r: 6, fill: "none", stroke: colors[1],
                   "stroke-width": 2}));
    const shown = seen.map((v, i) => [i, clamp(loss(v), log[0], log[1])]);
    right.layer.replaceChildren(right.line(shown, colors[1], 1.6),
      ...shown.map(xy => right.dot(xy, 3.5)));
    ball.draw();
    const change = -lr*slope(a), gone = Math.abs(a-2.6) > 3.6 ? " " + tell("The knob has left the picture.") : "";
    let more = "";
    if (name === "bowl") {
      const factor = 1 - 5*lr, size = Math.abs(factor);
      more = " " + tell("A step multiplies the distance from the bottom by 1 − 5·lr = {}: {}", fixed(factor),
        size > 1 ? tell("it grows, and the knob flies away.") :
        size > 0.995 ? tell("it jumps from side to side for ever.") :
        factor < 0 ? tell("from side to side, nearer each time.") : tell("nearer each time."));
    }
    const signed = (change > 0 ? "+" : "") + digits(change);
    desk.say.textContent = tell("Slope {}. Step −lr·slope = {}: a goes from {} to {}, the loss from {} to {}.",
      digits(slope(a)), signed, digits(a), digits(next), digits(loss(a)), digits(loss(next))) + more + gone;
  };
}

function lineMap(desk) {
  const plane = plot({x: [0, 1], y: [-3.2, 0.8], xlabel: "x", ylabel: "y", label: "Points and a line"});
  const map = plot({x: [-2.5, 3.5], y: [-3.6, 1.4], xlabel: "slope w", ylabel: "offset b",
                    label: "The map of all lines"});
  const words = () => `slope ${fixed(desk.state.w)}, offset ${fixed(desk.state.b)}, loss `
    + fixed(lineLoss(desk.state.points, desk.line), 3);
  const place = (w, b) => desk.move({w: snap(clamp(w, -2.5, 3.5), 1e-4), b: snap(clamp(b, -3.6, 1.4), 1e-4), walk: []});
  const dots = desk.state.points.map((_, i) => handle(plane, {
    name: `Point ${i+1}`, grid: [0.02, 0.05], color: colors[0], size: 5, at: () => desk.state.points[i] ?? [0, 0],
    move: xy => desk.move({walk: [], points: desk.state.points.map((p, k) => k === i ? xy : p)}),
    say: () => `x ${fixed(desk.state.points[i][0])}, y ${fixed(desk.state.points[i][1])}`}));
  const ends = [0, 1].map(end => handle(plane, {
    name: `${end ? "Right" : "Left"} end of the line`, keys: "y", grid: [1, 0.05], size: 6,
    at: () => [end, desk.state.b + end*desk.state.w], say: words,
    move: ([, y]) => end ? place(y - desk.state.b, desk.state.b) : place(desk.state.b + desk.state.w - y, y)}));
  const ball = handle(map, {name: "The line, as a place on the map", grid: [0.05, 0.05], say: words,
    at: () => desk.line, move: ([w, b]) => place(w, b)});
  const rate = slider(desk, "Learning rate", "lr", {min: 0.02, max: 1.1, step: 0.02, text: v => fixed(v)});
  const method = choice(desk, "Steps by", "method", {all: "all points", momentum: "all points, with momentum 0.9",
    batches: "batches of 2 points"});
  const release = () => {
    const {points, w, b, lr, method: how, walk} = desk.state, all = [...points.keys()], random = dice(1), batches = [];
    while (batches.length < 100) {
      const order = shuffled(all.length, random);
      if (how !== "batches") batches.push(all);
      else for (let i = 0; i < order.length; i += 2) batches.push(order.slice(i, i+2));
    }
    const found = walkLine(points, walk[0] ?? [w, b], lr, how === "momentum" ? 0.9 : 0, batches.slice(0, 100));
    desk.roll(found, 1, 45);
  };
  desk.show([plane.svg, map.svg], [rate, method, button("Release", release),
    button("Put back", () => place(...(desk.state.walk[0] ?? [1, -0.5])))]);
  return () => {
    const {w, b, points, lr, method: how, walk} = desk.state, shape = bowl(points), loss = lineLoss(points, [w, b]);
    plane.layer.replaceChildren(
      ...points.map(([x, y]) => s("path", {d: plane.path([[x, y], [x, w*x + b]]), stroke: colors[1], opacity: 0.55})),
      plane.line([[0, b], [1, w+b]], colors[1]));
    const low = Math.max(shape.low, 0.01);
    drawMap(map, shape, times(13, i => low*2**(i-3)), walk);
    for (const o of [...dots, ...ends, ball]) o.draw();
    const limit = 2/shape.curvatures[1], fast = lr > limit && how !== "momentum";
    desk.say.textContent = `Slope ${digits(w)}, offset ${digits(b)}: the mean squared error is ${digits(loss)}, `
      + `at the star ${fixed(shape.low, 3)}. ` + (walk.length > 1 ? `${walk.length-1} steps. ` : "")
      + `Across the valley the curvature is ${fixed(shape.curvatures[1])}, so steps by all points need a learning rate `
      + `below ${fixed(limit)}` + (fast ? ": this one is above." : ".");
  };
}

export const readings = [[35.7, 0.5], [55.9, 14], [58.2, 15], [81.9, 28], [56.3, 11], [48.9, 8], [33.9, 3], [21.8, -4],
                         [48.4, 6], [60.4, 13], [68.4, 21]];

function twoScales(desk) {
  const x = readings.map(p => p[0]), middle = mean(x), spread = Math.sqrt(sum(x.map(v => (v-middle)**2))/(x.length-1));
  const scales = {
    raw: {name: "as they are", change: v => v, x: [0, 1.2], y: [-25, 8], grid: [0.01, 0.5]},
    tens: {name: "in tens", change: v => v/10, x: [0, 9], y: [-25, 8], grid: [0.1, 0.5]},
    standardized: {name: "standardized", change: v => (v-middle)/spread, x: [-4, 20], y: [-4, 20], grid: [0.25, 0.25]}};
  const points = mapped(scales, ({change}) => readings.map(([v, y]) => [change(v), y])), shapes = mapped(points, bowl);
  const map = plot({x: [0, 1.2], y: [-25, 8], xlabel: "slope w", ylabel: "offset b",
                    label: "The loss over both knobs"});
  const bars = plot({x: [-1.6, 1.6], y: [0, 2], xlabel: "factor of a step, 1 − curvature·lr", ylabel: "",
                     ticks: [6, 0], label: "What a step does to the distance along each direction"});
  const rateOf = ({inputs, part}) => part*2/shapes[inputs].curvatures[1];
  const grid = [1, 1];
  const ball = handle(map, {name: "The ball", grid, at: () => desk.line,
    move: ([w, b]) => desk.move({w, b, walk: []}),
    say: () => `w ${fixed(desk.state.w)}, b ${fixed(desk.state.b)}, loss `
      + digits(lineLoss(points[desk.state.inputs], desk.line))});
  const inputs = choice(desk, "Readings", "inputs", scales, {w: 1, b: 0, walk: []});
  const part = slider(desk, "Learning rate, of the limit", "part", {min: 0.02, max: 1.1, step: 0.02,
    text: v => `${Math.round(100*v)} %`});
  const release = () => {
    const {inputs: key, w, b, walk} = desk.state, all = [...readings.keys()];
    const found = walkLine(points[key], walk[0] ?? [w, b], rateOf(desk.state), 0, Array(200).fill(all));
    desk.roll(found, 4, 60);
  };
  desk.show([map.svg, bars.svg], [inputs, part, button("Release", release),
    button("Put back", () => desk.move({w: 1, b: 0, walk: []}))]);
  return () => {
    const {inputs: key, part: share, w, b, walk} = desk.state, scale = scales[key], shape = shapes[key];
    if (map.x !== scale.x) {
      Object.assign(map, {x: scale.x, y: scale.y});
      grid.splice(0, 2, ...scale.grid);
      map.axes();
    }
    const lr = rateOf(desk.state), factors = shape.curvatures.map(k => 1 - k*lr), loss = lineLoss(points[key], [w, b]);
    drawMap(map, shape, times(12, i => 0.5*3**i), walk);
    bars.layer.replaceChildren(
      s("rect", {x: bars.X(-1), y: 10, width: bars.X(1)-bars.X(-1), height: 248, fill: colors[2], opacity: 0.13}),
      s("path", {class: "grid", d: `M${bars.X(0)} 10V258`}),
      ...factors.flatMap((factor, i) => {
        const y = bars.Y(1.45 - 0.9*i), to = bars.X(clamp(factor, -1.6, 1.6)), zero = bars.X(0);
        return [s("rect", {x: Math.min(zero, to), y: y-14, width: Math.max(Math.abs(to-zero), 1), height: 28,
                           fill: Math.abs(factor) > 1 ? colors[1] : colors[0], opacity: 0.75}),
          s("text", {x: 52, y: y-22}, `${i ? "stiff" : "soft"}: curvature ${shape.curvatures[i].toPrecision(4)}, `
            + `factor ${factor.toFixed(Math.abs(1-Math.abs(factor)) < 0.005 ? 5 : 2).replace("-", "−")}`)];
      }));
    ball.draw();
    const steps = Math.log(0.5)/Math.log(Math.abs(factors[0])), slow = Math.abs(factors[0]) < 1 ?
      steps < 1.5 ? "one step or less" : `${fixed(steps, 0)} steps` : "no number of steps";
    desk.say.textContent = `Learning rate ${lr.toPrecision(3)}. w ${digits(w)}, b ${digits(b)}: loss ${digits(loss)}, `
      + `at the star ${fixed(shape.low)}. ` + (walk.length > 1 ? `${walk.length-1} steps. ` : "")
      + (share > 1 ? "Along the stiff direction every step overshoots by more than it mends." :
         `Along the soft direction ${slow} halve${steps < 1.5 ? "s" : ""} the distance.`);
  };
}

// Two or four clouds of points [x, y, class], as the lesson draws them.
export function clouds(four) {
  const random = dice(four ? 5 : 6), noise = () => Math.sqrt(-2*Math.log(1-random()))*Math.cos(2*Math.PI*random());
  const centers = four ? [[-3, -3, 0], [-3, 3, 1], [3, 3, 0], [3, -3, 1]] : [[-1.5, -2, 0], [1.5, 2, 1]];
  return times(24, i => centers[i%centers.length]).map(
    ([x, y, label]) => [snap(clamp(x + noise(), -4.8, 4.8), 0.1), snap(clamp(y + noise(), -4.8, 4.8), 0.1), label]);
}

function movePoints(desk) {
  const plane = plot({x: [-5, 5], y: [-5, 5], xlabel: "x₁", ylabel: "x₂", label: "Points of two classes"});
  const curve = plot({x: [0, 300], y: [0, 1], xlabel: "step", ylabel: "loss", label: "The loss while it trains"});
  const shade = h("canvas", {width: 50, height: 40}), picture = s("image", {x: 46, y: 10, width: 300, height: 248,
    preserveAspectRatio: "none"});
  const netOf = ({net, hidden, seed}) => net.length === (hidden ? 4*hidden + 1 : 3) ? net : netStart(hidden, seed);
  const restart = {net: [], losses: []};
  const setPoints = (points, more = {}) => desk.move({points, losses: [], ...more});
  let dots = [];
  const makeDots = points => {
    const kept = points.map(p => p[2]).join();
    if (dots.kept === kept) return;
    for (const o of dots) o.knob.remove();
    dots = points.map((point, i) => handle(plane, {
      name: `Point ${i+1}, class ${point[2]}`, grid: [0.1, 0.1], color: colors[point[2]], size: 5,
      square: point[2] === 1, at: () => desk.state.points[i],
      move: xy => setPoints(desk.state.points.map((p, k) => k === i ? [...xy, p[2]] : p)),
      say: () => desk.state.points[i].slice(0, 2).map(v => fixed(v, 1)).join(", ")}));
    dots.forEach(({knob}, i) => {
      const take = () => setPoints(desk.state.points.filter((_, k) => k !== i));
      fill(knob, {onkeydown(event) { if (["Delete", "Backspace"].includes(event.key)) take(); },
                  onpointerdown() { if (chosen.value === "away") take(); }});
    });
    dots.kept = kept;
  };
  const label = choice(desk, "A click", null, {0: "adds ● of class 0", 1: "adds ■ of class 1",
    away: "takes a point away", off: "does nothing"});
  const chosen = label.querySelector("select"), add = (x, y) => setPoints(
    [...desk.state.points, [snap(clamp(x, -5, 5), 0.1), snap(clamp(y, -5, 5), 0.1), +chosen.value]]);
  plane.svg.addEventListener("pointerdown", event => {
    const [x, y] = plane.at(event);
    if (chosen.value in [0, 1] && Math.abs(x) <= 5 && Math.abs(y) <= 5) add(x, y);
  });
  const units = slider(desk, "Hidden units", "hidden", {min: 0, max: 8, step: 1, text: String,
    put: hidden => ({hidden, ...restart})});
  const train = () => {
    const {hidden, points} = desk.state, memory = {};
    let net = netOf(desk.state), losses = [], step = 0;
    if (!points.length) return;
    desk.play(() => {
      for (let k = 0; k < 5; k++, step++) {
        const {loss, slope} = netGradient(net, hidden, points);
        if (step%5 === 0) losses = [...losses, +loss.toFixed(4)];
        net = adam(net, slope, 0.05, memory);
      }
      desk.put({net, losses});
      return step < 300;
    }, 25);
  };
  const text = h("textarea", {rows: 4, "aria-label": "Points, one a line: x, y and class", onchange: () => {
    const points = text.value.split("\n").map(line => line.trim().split(/[\s,;]+/).map(Number)).filter(
      p => p.length === 3 && p.every(Number.isFinite) && p[2] in [0, 1]);
    setPoints(points.map(([x, y, kind]) => [clamp(x, -5, 5), clamp(y, -5, 5), kind]), restart);
  }});
  desk.show([plane.svg, curve.svg], [units, button("Train", train),
    button("Other start", () => desk.move({seed: desk.state.seed + 1, ...restart})),
    button("Four clouds", () => setPoints(clouds(true), restart)),
    button("Two clouds", () => setPoints(clouds(false), restart)),
    button("No points", () => setPoints([], restart)), label]);
  desk.root.append(h("details", {}, h("summary", {}, "The points as text, to copy or replace"), text));
  return () => {
    const {points, hidden, losses} = desk.state, net = netOf(desk.state), context = shade.getContext("2d");
    const pixels = context.createImageData(50, 40);
    for (let i = 0; i < 2000; i++) {
      const sure = 1/(1 + Math.exp(-netLogit(net, hidden, -5 + (i%50 + 0.5)/5, 5 - (Math.floor(i/50) + 0.5)/4)));
      pixels.data.set(sure < 0.5 ? [0, 114, 178] : [213, 94, 0], 4*i);
      pixels.data[4*i+3] = 150*Math.abs(2*sure-1);
    }
    context.putImageData(pixels, 0, 0);
    picture.setAttribute("href", shade.toDataURL());
    const edges = times(hidden || 1, k => {
      const [a, b, c] = net.slice(3*k, 3*k+3), size = Math.hypot(a, b) || 1;
      const foot = [-a*c/size**2, -b*c/size**2], way = [-b/size*20, a/size*20];
      return s("path", {class: "faint", "stroke-dasharray": hidden ? "4 4" : "none",
                        d: plane.path([-1, 1].map(side => [foot[0] + side*way[0], foot[1] + side*way[1]]))});
    });
    plane.layer.replaceChildren(picture, ...edges);
    makeDots(points);
    for (const o of dots) o.draw();
    curve.layer.replaceChildren(curve.line(losses.map((v, i) => [5*i, Math.min(v, 1)]), colors[0]));
    if (document.activeElement !== text) text.value = points.map(p => p.join(" ")).join("\n");
    const right = points.filter(([x, y, kind]) => (netLogit(net, hidden, x, y) > 0 ? 1 : 0) === kind).length;
    const units_ = hidden ? `${hidden} hidden unit${hidden > 1 ? "s, a dashed line for each" : ", the dashed line"}` :
      "No hidden unit: one straight line";
    desk.say.textContent = points.length ? `${units_}. ${right} of ${points.length} points are on their side; `
      + `the loss is ${fixed(netGradient(net, hidden, points).loss, 3)}.` : `${units_}. Click to add points.`;
  };
}

export const samples = {
  three: [[[8.5, 7], [11, 5], [14.5, 4.6], [17.5, 6], [18, 8.6], [16.5, 11.2], [13, 12.6], [16.5, 13.6], [19, 16],
           [19, 19], [17, 21.8], [13.5, 23], [10, 22.4], [8, 20.6]]],
  seven: [[[8, 6.4], [12, 6], [16, 6], [20, 6], [18, 10], [16, 14], [14, 18.5], [12.6, 23]]],
};

// A canvas for strokes, with mouse, finger or keys; `inside` turns a place on it into one of the drawing.
function drawingPad(desk, inside, begun = () => ({})) {
  const pad = h("canvas", {width: 280, height: 280, class: "pad", tabindex: 0, role: "application", "aria-label":
    tell("Drawing pad. Arrow keys move the pen, the space bar puts it down and lifts it.")});
  let cursor = null, down = false, drawing = false;  // `cursor` of the pen that keys move
  const place = xy => inside(xy).map(v => snap(v, 0.1));
  const where = event => {
    const box = pad.getBoundingClientRect();
    return place([(event.clientX-box.left)/box.width*28, (event.clientY-box.top)/box.height*28]);
  };
  const begin = point => desk.move({strokes: [...desk.state.strokes, [point]], ...begun()});
  const extend = point => {
    const strokes = desk.state.strokes, last = strokes.at(-1).at(-1);
    if (Math.hypot(point[0]-last[0], point[1]-last[1]) < 0.4) return;
    desk.put({strokes: [...strokes.slice(0, -1), [...strokes.at(-1), point]]});
  };
  const lift = () => { drawing = false; };
  fill(pad, {
    onpointerdown(event) {
      pad.setPointerCapture(event.pointerId);
      [drawing, cursor] = [true, null];
      begin(where(event));
    },
    onpointermove(event) { if (drawing) extend(where(event)); },
    onpointerup: lift,
    onpointercancel: lift,
    onkeydown(event) {
      const way = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
      if (!way && event.key !== " ") return;
      event.preventDefault();
      cursor ??= [14, 14];
      if (event.key === " ") { down = !down; if (down) return begin(place(cursor)); }
      else cursor = cursor.map((v, k) => clamp(v + way[k], 1, 27));
      if (way && down) extend(place(cursor));
      desk.draw();
    },
    onblur() { down = false; cursor = null; desk.draw(); },
  });
  return {pad, context: pad.getContext("2d"), pen() {
    if (!cursor) return;
    const context = pad.getContext("2d");
    context.beginPath();
    context.arc(10*cursor[0], 10*cursor[1], 9, 0, 7);
    Object.assign(context, {lineWidth: 3, strokeStyle: colors[1]});
    context.stroke();
  }};
}

const picture = (size, label) => h("canvas", {width: size, height: size, role: "img", "aria-label": label});

const shifts = desk => [tell("Move right"), tell("Move down")].map((name, k) => slider(desk, name, "shift", {
  min: -8, max: 8, step: 1, text: v => fixed(v, 0), get: () => desk.state.shift[k],
  put: v => ({shift: desk.state.shift.map((old, i) => i === k ? v : old)})}));

function drawDigit(desk) {
  const weights = Object.assign({}, ...Object.values(desk.model.get("weights")).map(readWeights)), {state} = desk;
  const deep = "deep.0.weight" in weights, ideals = ["mean3", "mean7"].map(name => weights[name].values);
  const line = weights["linear.0.weight"].values, strongest = Math.max(...line.map(Math.abs));
  const names = {seen: tell("What the models see"), ideal: tell("What it differs from the nearer average"),
                 votes: tell("Weights times ink")};
  const pictures = mapped(names, name => picture(28, name)), captions = mapped(names, () => h("div"));
  const rows = {averages: tell("nearer average"), linear: tell("linear model"),
                ...(deep ? {deep: tell("deep network")} : {})};
  const verdicts = {averages: tell("the nearer average says {}"), linear: tell("the linear model says {}"),
                    deep: tell("the deep network says {}")};
  const cells = mapped(rows, () => [h("td"), h("td")]);
  const side = h("div", {}, h("div", {class: "pictures"}, ...Object.keys(pictures).map(
    key => h("div", {}, pictures[key], captions[key]))),
    h("table", {}, ...Object.entries(rows).map(
      ([key, name]) => h("tr", {}, h("th", {scope: "row"}, name), ...cells[key]))));
  const {pad, context, pen} = drawingPad(desk, xy => xy.map((v, k) => v - desk.state.shift[k]));
  const use = strokes => desk.move({strokes});
  desk.show([pad, side], [button(tell("Clear"), () => desk.move({strokes: [], shift: [0, 0]})),
    button(tell("A 3"), () => use(samples.three)), button(tell("A 7"), () => use(samples.seven)),
    tick(desk, tell("center it, as MNIST does"), "centered"), ...shifts(desk)]);
  pad.style.imageRendering = "auto";
  desk.say.style.minHeight = "2.8em";  // two lines, at most

  return () => {
    const {strokes, centered, shift} = desk.state;
    context.fillStyle = "#fff";
    context.fillRect(0, 0, 280, 280);
    Object.assign(context, {lineWidth: 22, lineCap: "round", lineJoin: "round", strokeStyle: "#222"});
    for (const stroke of moved(strokes, ...shift)) {
      context.beginPath();
      stroke.forEach(([px, py]) => context.lineTo(10*px, 10*py + 0.01));
      if (stroke.length === 1) context.lineTo(10*stroke[0][0] + 0.1, 10*stroke[0][1]);
      context.stroke();
    }
    pen();
    const judged = judge(weights, strokes, centered, shift);
    if (!judged) {
      for (const canvas of Object.values(pictures)) paint(canvas, Array(784).fill(0), inkColor);
      for (const node of [...Object.values(captions), ...Object.values(cells).flat()]) node.textContent = "";
      desk.say.textContent = tell("Draw a 3 or a 7 on the left, with mouse, finger or arrow keys.");
      return;
    }
    const {image, far, logits} = judged, near = far[0] < far[1] ? 0 : 1;
    paint(pictures.seen, image, inkColor);
    paint(pictures.ideal, image.map((v, i) => v - ideals[near][i]), signedColor);
    paint(pictures.votes, image.map((v, i) => 1.5*v*line[i]/strongest), signedColor);
    captions.seen.textContent = tell("what the models see");
    captions.ideal.textContent = tell("minus the average {}", near ? 7 : 3);
    captions.votes.textContent = tell("weights × ink: red for 3, blue for 7");
    const says = {averages: far[0] < far[1] ? 3 : 7};
    cells.averages[0].textContent = tell("{} from the 3, {} from the 7", fixed(far[0], 3), fixed(far[1], 3));
    for (const [key, logit] of Object.entries(logits)) {
      says[key] = logit > 0 ? 3 : 7;
      const sure = fixed(100/(1 + Math.exp(-logit)), 0);
      cells[key][0].textContent = tell("logit {}: {} % sure of a 3", fixed(logit), sure);
    }
    for (const key of Object.keys(rows)) cells[key][1].textContent = says[key];
    const [first, ...others] = Object.values(says);
    desk.say.textContent = others.some(v => v !== first) ?
      tell("They disagree: {}.", Object.keys(rows).map(key => tell(verdicts[key], says[key])).join(", ")) :
      others.length > 1 ? tell("All say {}.", first) : tell("Both say {}.", first);
  };
}

// What the models make of a drawing: the image they see, its distance from both averages, and logits of a 3.
export function judge(weights, strokes, centered, shift) {
  if (!strokes.flat().length) return null;
  const image = rasterize(centered ? center(strokes) : moved(strokes, ...shift));
  if (!image.some(v => v > 0)) return null;
  const logits = Object.fromEntries(["linear", "deep"].filter(name => `${name}.0.weight` in weights)
    .map(name => [name, forward(weights, name, image)[0]]));
  return {image, far: ["mean3", "mean7"].map(name => l1(image, weights[name].values)), logits};
}

function wearGarment(desk) {
  const weights = readWeights(desk.model.get("weights").fashion), {layers, classes} = weights.network;
  const {images: {values: images}, labels: {values: labels}, scale: {values: [middle, spread]}} = weights;
  const answer = state => {
    const values = wear(images, state).map(v => (v-middle)/spread);
    const outputs = runLayers(layers, weights, {shape: [1, 28, 28], values}), logits = [...outputs.at(-1).values];
    const powers = logits.map(v => Math.exp(v - Math.max(...logits))), order = [...logits.keys()];
    return {outputs, logits, sure: powers.map(v => v/sum(powers)), order: order.sort((a, b) => logits[b]-logits[a])};
  };
  const untouched = {strokes: [], inks: [], shift: [0, 0], mirror: false}, plain = {};
  const stages = answer({...desk.state, ...untouched}).outputs.flatMap(({shape: [maps, size]}, at) =>
    layers[at].kind === "relu" && size ? [{at, area: size*size,
      canvases: times(maps, i => picture(size, `Map ${i+1}`))}] : []);
  const why = picture(28, "Where the logit comes from"), caption = h("div"), bars = s("svg", {viewBox: "0 0 260 192",
    role: "img", "aria-label": "How sure of each class"});
  const side = h("div", {class: "maps"}, ...stages.flatMap(({canvases}, i) => [
    h("div", {}, `${canvases.length} maps of layer ${i+1}`), h("div", {class: "strip"}, ...canvases)]),
    h("div", {class: "strip"}, h("div", {}, why, caption), bars));
  const blank = picture(28, "");
  const names = [...labels].map((k, i) => `${classes[k]} ${i%2 + 1}`);  // there are two of each
  const ink = choice(desk, "Pen", null, {0: "erases", 0.5: "draws gray", 1: "draws black"});
  const {pad, context, pen} = drawingPad(desk, ([x, y]) => {
    const {shift, mirror} = desk.state;
    return [mirror ? 28 - x + shift[0] : x - shift[0], y - shift[1]];
  }, () => ({inks: [...desk.state.inks, +ink.querySelector("select").value]}));
  desk.show([pad, side], [choice(desk, "Garment", "garment", {"-1": "none, to draw one", ...names}, untouched), ink,
    button("Put back", () => desk.move(untouched)), tick(desk, "mirror it", "mirror"), ...shifts(desk),
    choice(desk, "Why", "why", {"-1": "its answer", ...classes})]);
  return () => {
    const {state} = desk, {outputs, logits, sure, order: [first, second]} = answer(state), image = wear(images, state);
    paint(blank, image, inkColor);
    context.imageSmoothingEnabled = false;
    context.drawImage(blank, 0, 0, 280, 280);
    pen();
    for (const {at, area, canvases} of stages) {
      const {values} = outputs[at], most = Math.max(...values) || 1;
      canvases.forEach((o, i) => paint(o, values.slice(i*area, (i+1)*area).map(v => v/most), inkColor));
    }
    // A place of the map stands in the middle of the 16 by 16 pixels that it has seen, 4 from its neighbors.
    const label = state.why < 0 ? first : state.why, parts = shares(layers, weights, outputs, label);
    const most = Math.max(...parts.map(Math.abs)) || 1;
    paint(why, image.map((_, i) => i), (i, out, at) => {
      const [x, y] = [i%28, Math.floor(i/28)].map(v => Math.floor((v-6)/4));
      signedColor(x in [0, 1, 2, 3] ? (parts[4*y+x] ?? 0)/most : 0, out, at);
      for (let k = 0; k < 3; k++) out[at+k] *= 1 - 0.6*image[i];
    });
    caption.textContent = `what speaks for ${classes[label]} (red), and against`;
    bars.replaceChildren(...classes.flatMap((name, k) => [
      s("text", {x: 82, y: 15 + 19*k, "text-anchor": "end"}, name),
      s("rect", {x: 88, y: 4 + 19*k, width: 1 + 124*sure[k], height: 14, fill: colors[+(k === first)]}),
      s("text", {x: 94 + 124*sure[k], y: 15 + 19*k}, `${fixed(100*sure[k], 0)} %`)]));
    const before = plain[state.garment] ??= answer({...state, ...untouched}).order[0], all = sum(parts);
    desk.say.textContent = `It says ${classes[first]}, ${fixed(100*sure[first], 0)} % sure, then ${classes[second]}. `
      + (state.garment < 0 ? "" : `The label is ${classes[labels[state.garment]]}; untouched, ${classes[before]}. `)
      + `The squares add up to ${fixed(all)}: with ${fixed(logits[label]-all)} from biases that is the logit of `
      + `${classes[label]}, ${fixed(logits[label])}.`;
  };
}

// A hundred steps of SGD on a line, by batches of 2: with one cycle, and at a constant rate.
export function cycleRun({points, start, peak, warm, seed}) {
  const random = dice(seed), order = [], rates = oneCycle(start, peak, warm, 100);
  while (order.length < 200) order.push(...shuffled(points.length, random));
  const slope = (at, k) => lineGradient(order.slice(2*k, 2*k+2).map(i => points[i]), at);
  return {order, rates, walks: [rates, rates.map(() => [peak, 0.9])].map(o => sgd([-1, 0], o, slope))};
}

function bendCycle(desk) {
  const left = plot({x: [0, 100], y: [0, 1], xlabel: "step", ylabel: "learning rate", label: "The schedule"});
  const right = plot({x: [0, 100], y: [1e-5, 1e3], logY: true, xlabel: "step", ylabel: "loss − lowest",
                      label: "The run that obeys it"});
  const knobs = [handle(left, {name: "The start", keys: "y", grid: [1, 0.005], size: 6, at: () => [0, desk.state.start],
    move: ([, start]) => desk.move({start}), say: () => `rate ${fixed(desk.state.start, 3)}`}),
  handle(left, {name: "The peak", grid: [1, 0.01], at: () => [100*desk.state.warm, desk.state.peak],
    move: ([x, y]) => desk.move({warm: clamp(x, 1, 99)/100, peak: Math.max(y, 0.01)}),
    say: () => `step ${fixed(100*desk.state.warm, 0)}, rate ${fixed(desk.state.peak)}`})];
  desk.show([left.svg, right.svg], [
    button("As in the lesson", () => desk.move({warm: 0.25, start: desk.state.peak/25})),
    button("Other batches", () => desk.move({seed: desk.state.seed + 1}))]);
  return () => {
    const {points, start, peak, warm} = desk.state, {rates, walks} = cycleRun(desk.state), {low} = bowl(points);
    const losses = walks.map(walk => walk.map((at, k) => [k, clamp(lineLoss(points, at) - low, 1e-9, 1e9)]));
    const momentum = left.line(rates.map(([, v], k) => [k, 5*v - 4]), colors[2]);
    momentum.setAttribute("stroke-dasharray", "5 3");
    left.layer.replaceChildren(momentum, left.line(rates.map(([lr], k) => [k, lr]), colors[0]),
      ...[[1, 0.95, "momentum 0.95"], [clamp(100*warm - 4, 1, 92), 0.85, "0.85"]].map(
        ([step, v, text]) => s("text", {x: left.X(step), y: left.Y(5*v - 4) - 8}, text)));
    right.layer.replaceChildren(right.line(losses[1], colors[1]), right.line(losses[0], colors[0]));
    for (const o of knobs) o.draw();
    const [bent, flat] = losses.map(o => o.at(-1)[1] < 1e3 ? `ends ${fixed(o.at(-1)[1], 4)} above the lowest loss` :
      "flies away");
    desk.say.textContent = `The rate goes from ${fixed(start, 3)} to ${fixed(peak)} at step ${fixed(100*warm, 0)}, `
      + `then to almost 0; the momentum (dashed) down and up. The run, blue, ${bent}. At a constant `
      + `rate of ${fixed(peak)}, orange, it ${flat}.`;
  };
}

const allFigures = {
  render({model, el}) {
    const figure = {"one-step": oneKnob, "line-map": lineMap, "two-scales": twoScales, "draw": drawDigit,
                    "points": movePoints, "garment": wearGarment, "one-cycle": bendCycle}[model.get("kind")];
    const root = h("div", {class: "cdl"}), desk = new Desk(model, root);
    el.replaceChildren(h("style", {}, look), root);
    const show = figure(desk), draw = desk.draw = () => { for (const o of desk.controls) o(); show(); };
    model.on("change:state", draw);
    draw();
    return () => { desk.stop(); model.off("change:state", draw); };
  },
};

export default allFigures;
