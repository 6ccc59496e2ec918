// The keys of the PIN pad type into its field; without scripts the field has the device's own keyboard.
document.addEventListener("DOMContentLoaded", () => {
  for (const pad of document.querySelectorAll("[data-pin]")) {
    const field = document.getElementById(pad.dataset.pin);
    pad.hidden = false;
    pad.addEventListener("click", (event) => {
      const key = event.target.closest("[data-key]")?.dataset.key;
      if (!key) return;
      if (key === "clear") field.value = "";
      else if (key === "back") field.value = field.value.slice(0, -1);
      else if (field.value.length < field.maxLength) field.value += key;
    });
  }
});
