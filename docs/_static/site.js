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
