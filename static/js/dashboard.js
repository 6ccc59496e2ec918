// What the dashboard does beyond forms and links. Every page works without this file.
"use strict";

// Our content security policy allows neither inline styles nor eval; money does not belong in local storage.
Object.assign(htmx.config, { includeIndicatorStyles: false, allowEval: false, historyCacheSize: 0 });

const all = (selector, root = document) => root.querySelectorAll(selector);

// A hidden page listens to nothing: phones kill the stream anyway, and servers count them.
// A page that comes back asks at once for what it missed. A page that is left lets go first: otherwise the
// stream that breaks with it would be reported as an error.
(() => {
  let waiting = null;
  function rest() {
    const stream = document.getElementById("live-updates");
    if (!stream) return;
    waiting = { copy: stream.cloneNode(), parent: stream.parentNode };
    htmx.trigger(stream, "htmx:beforeCleanupElement"); // removing alone would leave the stream open
    stream.remove();
  }
  function wake() {
    if (!waiting || document.hidden) return;
    const { copy, parent } = waiting;
    waiting = null;
    parent.append(copy);
    htmx.process(copy);
    htmx.trigger(copy, "sse:changed");
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : wake()));
  addEventListener("pagehide", rest);
  addEventListener("pageshow", wake);
})();

// A page that fetches itself while something is under way does so only while it is looked at, and leaves what has not
// changed alone: scrolled and selected text stays as it is. What somebody is about to write there stays, too.
(() => {
  let last = "";
  let missed = false;
  const isWritten = (field) =>
    field === document.activeElement || field.value !== field.defaultValue || field.checked !== field.defaultChecked;
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, requestConfig, serverResponse } = event.detail;
    if (target.id !== "live") return;
    if (requestConfig.verb === "get" && serverResponse === last) event.detail.shouldSwap = false;
    last = requestConfig.verb === "get" ? serverResponse : "";
    if (requestConfig.verb === "get" && [...all("input, textarea", target)].some(isWritten)) {
      event.detail.shouldSwap = false;
      last = "";
      missed = true;
    }
  });
  // What was left alone is asked for once nothing is being written any more: nobody tells of the same change twice.
  function catchUp() {
    const live = document.getElementById("live");
    if (!missed || !live || [...all("input, textarea", live)].some(isWritten)) return;
    missed = false;
    htmx.trigger("#live-updates", "sse:changed");
  }
  document.addEventListener("htmx:afterSettle", catchUp);
  document.addEventListener("focusout", () => setTimeout(catchUp));
})();

// Folds that the seller opened stay open when the fragment around them is fetched again.
(() => {
  let open = [];
  document.addEventListener("htmx:beforeSwap", () => {
    open = [...all("details[id][open]")].map((fold) => fold.id);
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  });
})();

// Copy buttons are hidden where nothing could be copied.
function offerCopying() {
  if (!navigator.clipboard) return;
  for (const button of all("[data-copies]")) button.hidden = false;
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copies]");
  if (!button) return;
  const word = button.querySelector("span");
  const before = word.textContent;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent.trim());
  word.textContent = "Copied";
  setTimeout(() => { word.textContent = before; }, 2000);
});
document.addEventListener("DOMContentLoaded", offerCopying);
document.addEventListener("htmx:afterSettle", offerCopying);

// A filter is sent as soon as it is chosen; days and words are sent by their button or Enter. The next page has the focus where
// it was, so that a keyboard goes on choosing.
for (const form of all("[data-send-on-change]")) {
  const chosen = sessionStorage.getItem("chosen");
  sessionStorage.removeItem("chosen");
  form.querySelector(`select[name="${chosen}"], [name="${chosen}"]:checked`)?.focus();
  form.addEventListener("change", (event) => {
    const custom = event.target.value === "custom";
    if (!event.target.matches("[type=radio], select") || custom) return;
    sessionStorage.setItem("chosen", event.target.name);
    form.requestSubmit();
  });
}

// A form is posted once: its button says so, and is back when the page is shown again.
document.addEventListener("submit", (event) => {
  const button = event.target.querySelector("[data-busy]");
  if (!button) return;
  if (button.getAttribute("aria-disabled") === "true") return event.preventDefault();
  button.dataset.verb = button.textContent;
  button.setAttribute("aria-disabled", "true");
  button.textContent = button.dataset.busy;
});
addEventListener("pageshow", () => {
  for (const button of all("[data-verb]")) {
    button.removeAttribute("aria-disabled");
    button.textContent = button.dataset.verb;
  }
});

// The preview of a link follows its form.
const written = {
  // As the server writes amounts: two decimals or as many as there are, commas between thousands.
  price(text) {
    const match = /^(\d{1,12})(?:\.(\d{0,6}))?$/.exec(text);
    if (!match) return "";
    const whole = match[1].replace(/^0+(?=\d)/, "").replace(/\B(?=(\d{3})+$)/g, ",");
    return `${whole}.${(match[2] ?? "").replace(/0+$/, "").padEnd(2, "0")}`;
  },
};
for (const control of all("[data-shows]")) {
  const name = control.dataset.shows;
  control.addEventListener("input", () => {
    const text = control.value.trim();
    const shown = written[name] ? written[name](text) : text;
    for (const place of all(`[data-shown="${name}"]`)) place.textContent = shown || place.dataset.empty;
  });
}
