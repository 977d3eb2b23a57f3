// A film shows its last frame; its link plays it there from the first one.
for (const play of document.querySelectorAll(".film .play")) {
  play.role = "button";
  play.addEventListener("click", async event => {
    event.preventDefault();
    const film = await (await fetch(play.href)).blob();
    play.closest(".film").querySelector("img").src = URL.createObjectURL(film);  // a new address starts it anew
    play.textContent = play.dataset.again;
  });
}

// A formula that is wider than its column scrolls sideways, by key too.
const sizes = new ResizeObserver(seen => {
  for (const {target} of seen) target.tabIndex = target.scrollWidth > target.clientWidth ? 0 : -1;
});
for (const formula of document.querySelectorAll("math[display=block]")) sizes.observe(formula);
