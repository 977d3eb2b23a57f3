// Films show their last frame; a button plays them from the first one.
for (const film of document.querySelectorAll(".film")) {
  const [image, button] = film.children;
  button.hidden = false;
  button.addEventListener("click", () => {
    image.src = `${image.dataset.film}?${Date.now()}`;  // a new address starts it anew
    button.textContent = "↻ Play again";
  });
}
