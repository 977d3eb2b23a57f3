// A film shows its last frame; its link plays it there from the first one.
for (const play of document.querySelectorAll(".film .play")) {
  play.role = "button";
  play.addEventListener("click", event => {
    event.preventDefault();
    play.closest(".film").querySelector("img").src = `${play.href}?${Date.now()}`;  // a new address starts it anew
    play.textContent = "↻ Play again";
  });
}
