// On a page there is no kernel: this hands each figure of the page a model like anywidget's, which only remembers.
// It follows course_dl/figures.js in one inline module, so that a page works from a file, too.
class Model {
  constructor(values) { Object.assign(this, {values, listeners: {}}); }
  get(name) { return this.values[name]; }
  set(name, value) {
    this.values[name] = value;
    for (const listener of this.listeners[`change:${name}`] ?? []) listener();
  }
  on(event, listener) { (this.listeners[event] ??= []).push(listener); }
  off(event, listener) { this.listeners[event] = this.listeners[event]?.filter(o => o !== listener); }
  save_changes() {}
}

function view(text) { return new DataView(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer); }

for (const figure of document.querySelectorAll("figure[data-figure]")) {
  const {kind, state, weights} = JSON.parse(figure.querySelector("script").textContent);
  const used = Object.fromEntries(Object.entries(weights).map(([name, text]) => [name, view(text)]));
  const el = document.createElement("div");
  figure.model = new Model({kind, state, weights: used});
  try { allFigures.render({model: figure.model, el}); }
  catch (error) { console.error(error); continue; }  // the still stays
  figure.querySelector("img").replaceWith(el);
}
