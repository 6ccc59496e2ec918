// What the pages of items, orders and links do beyond forms and links. Every page works without this file.
(() => {
  "use strict";

  // A chosen picture is shown before it is sent: from the file itself, as the page may load nothing else.
  for (const input of document.querySelectorAll("#image[type=file]")) {
    const shown = input.form.querySelector("[data-shows-picture]");
    input.addEventListener("change", () => {
      const [file] = input.files;
      if (!file?.type.startsWith("image/")) return;
      const reader = new FileReader();
      reader.onload = () => {
        shown.src = reader.result;
        shown.hidden = false;
      };
      reader.readAsDataURL(file);
    });
  }

  // Enter means the form, save in the field that looks for items.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.id !== "find") return;
    event.preventDefault();
    event.target.form.querySelector("[name=do][value=find]").click();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-prints]")) window.print();
  });
})();
