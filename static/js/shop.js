// What a shop's pages do beyond forms and links: numbers with buttons at their sides, and a total that follows what is
// chosen. The server reckons every price itself; without this file it says the total one page later.
(() => {
  "use strict";

  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  /* Quantities */

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-step]");
    if (!button) return;
    const input = button.parentElement.querySelector("input");
    const now = Number.parseInt(input.value, 10) || 1;
    input.value = String(Math.max(1, now + Number(button.dataset.step)));
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-sends]")) event.target.form.requestSubmit();
  });

  /* The total, in base units of six decimals: never in floats */

  function units(text) {
    const match = /^(\d{1,8})(?:\.(\d{0,6}))?$/.exec(text.trim());
    return match ? BigInt(match[1] + (match[2] ?? "").padEnd(6, "0")) : null;
  }

  // As the server writes amounts: two decimals or as many as there are, commas between thousands.
  function amount(sum) {
    const digits = String(sum).padStart(7, "0");
    const whole = digits.slice(0, -6).replace(/\B(?=(\d{3})+$)/g, ",");
    return `${whole}.${digits.slice(-6).replace(/0+$/, "").padEnd(2, "0")}`;
  }

  // What a question is answered with, in base units; null for what is no amount yet.
  function answer(form, name, otherwise) {
    const field = form.elements[name];
    if (!field) return otherwise;
    if (field.value === "other") return units(form.elements[`${name}_other`].value);
    if (field.value === "") return name === "tip" ? 0n : null;
    return units(field.value);
  }

  function total(form) {
    const asks = form.querySelector("[data-sum]");
    const each = answer(form, "amount", BigInt(asks.dataset.sum));
    const tip = answer(form, "tip", 0n);
    const typed = form.elements.qty?.value.trim() ?? "1";
    const quantity = /^[1-9]\d{0,4}$/.test(typed) ? BigInt(typed) : null;
    return each === null || tip === null || quantity === null ? null : { sum: each * quantity + tip, quantity };
  }

  function reckon(form) {
    const button = form.querySelector("[data-pays]");
    if (!button || button.dataset.word) return;
    const now = total(form);
    if (!now) return; // what is shown stays until it can be read
    const text = amount(now.sum);
    button.textContent = now.sum === 0n ? "Get it" : `Pay ${text}\u00a0USDC`;
    for (const money of all(".cart .price .money")) money.firstChild.data = text;
    for (const cell of all(".facts .total dd")) cell.textContent = `${text}\u00a0USDC`;
    for (const cell of all("[data-quantity]")) cell.textContent = String(now.quantity);
  }

  for (const asks of all("[data-sum]")) {
    const { form } = asks.querySelector("input, select, textarea") ?? {};
    if (!form) continue;
    form.addEventListener("input", () => reckon(form));
    reckon(form); // a page that was gone back to keeps what was chosen
  }

  /* Taps */

  // A payment link's own script says so itself.
  if (document.getElementById("begin")) return;
  document.addEventListener("submit", (event) => {
    const button = event.target.querySelector("[data-busy]");
    if (!button) return;
    if (button.dataset.word) return event.preventDefault();
    button.dataset.word = button.textContent;
    button.textContent = button.dataset.busy;
    button.setAttribute("aria-disabled", "true");
  });
  window.addEventListener("pageshow", () => {
    for (const button of all("[data-word]")) {
      button.textContent = button.dataset.word;
      delete button.dataset.word;
      button.removeAttribute("aria-disabled");
    }
  });
})();
