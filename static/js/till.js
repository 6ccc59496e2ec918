// What the till does beyond forms and links. Every screen works without this file.
(() => {
  "use strict";

  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => root.querySelectorAll(selector);
  const till = () => document.getElementById("till");

  /* Keys */

  // The keys of the PIN pad type into its field; without scripts the field has the device's own keyboard.
  function offerPad() {
    for (const pad of all("[data-pin]")) pad.hidden = false;
  }

  function typePin(field, key) {
    if (key === "clear") field.value = "";
    else if (key === "back") field.value = field.value.slice(0, -1);
    else if (field.value.length < field.maxLength) field.value += key;
  }

  // What is typed at the register moves in from the right, as at every till: 4, 2, 0 is 4.20.
  const entry = () => find("#entry-field[data-decimals]");
  const mostDigits = { 0: 3, 2: 9 };

  function written(digits, decimals) {
    if (!decimals || !digits) return digits;
    const padded = digits.padStart(decimals + 1, "0");
    return `${padded.slice(0, -decimals)}.${padded.slice(-decimals)}`;
  }

  function typeEntry(key) {
    const field = entry();
    if (!field) return;
    const decimals = Number(field.dataset.decimals);
    let digits = field.value.replace(/\D/g, "").replace(/^0+/, "");
    if (key === "clear") digits = "";
    else if (key === "back") digits = digits.slice(0, -1);
    else if (digits.length + key.length <= mostDigits[decimals]) digits = (digits + key).replace(/^0+/, "");
    field.value = written(digits, decimals);
    field.removeAttribute("aria-invalid");
  }

  document.addEventListener("click", (event) => {
    const key = event.target.closest("[data-key]");
    if (!key) return;
    event.preventDefault();
    navigator.vibrate?.(8);
    const pad = key.closest("[data-pin]");
    if (pad) typePin(document.getElementById(pad.dataset.pin), key.dataset.key);
    else typeEntry(key.dataset.key);
  });

  // The screen's keys take the place of the device's keyboard.
  function offerEntry() {
    const field = entry();
    if (field) field.inputMode = "none";
    find(".till-entry .words[autofocus]")?.focus();
  }

  /* The scanner, and real keyboards */

  // A scanner is a keyboard that types too fast for a hand, and ends with Enter. It may come wherever the cursor is.
  const handGap = 45; // milliseconds; hands are slower
  let burst = null; // {text, at, field, before, typed}

  const isTyping = (element) => element?.matches?.("input:not([type=radio], [data-decimals]), textarea, select");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !find("#scan")) return;
    if (event.key === "Enter") return enter(event);
    if (event.key.length > 1) {
      if (event.key === "Backspace" && !isTyping(event.target)) typeEntry("back");
      return;
    }
    follow(event);
    if (isTyping(event.target) || !/^\d$/.test(event.key)) {
      if (event.target === entry() && event.key !== "\t") event.preventDefault();
      return;
    }
    event.preventDefault();
    if (!event.repeat) typeEntry(event.key); // holding a key does nothing
  });

  function follow(event) {
    if (!burst || event.timeStamp - burst.at > handGap) {
      const field = isTyping(event.target) ? event.target : entry();
      burst = { text: "", field, before: field?.value };
    }
    burst.text += event.key;
    burst.at = event.timeStamp;
  }

  function enter(event) {
    const scanned = burst && burst.text.length >= 4 && event.timeStamp - burst.at <= handGap ? burst : null;
    burst = null;
    if (scanned) {
      event.preventDefault();
      if (scanned.field) scanned.field.value = scanned.before;
      return scan(scanned.text);
    }
    if (event.target.closest("a, button, summary, input, textarea") && event.target !== entry()) return;
    event.preventDefault();
    if (entry()?.value) document.getElementById("entry").requestSubmit();
  }

  function scan(code) {
    const form = document.getElementById("scan");
    form.elements.code.value = code;
    form.requestSubmit();
  }

  document.addEventListener("focusin", ({ target }) => {
    if (target.matches(".stepper input")) target.select();
  });

  /* Asking the server */

  // Taps that change the sale are sent one after the other, so that none is lost and the ticket shown is the newest: a
  // quick hand is faster than the shop's network.
  let queue = Promise.resolve();
  const queued = (task) => (queue = queue.then(task, task));
  const last = new Map(); // by part: what has not changed is left alone, with what is open and typed in it

  // ask brings one part of the screen, or whatever stands in its place by now. It tells whether the server agreed.
  const turns = new Map(); // by part: an answer that was overtaken by a later question is old

  async function ask(part, path, body) {
    const turn = (turns.get(part) ?? 0) + 1;
    turns.set(part, turn);
    const headers = { "HX-Request": "true", "HX-Target": part, Accept: "text/html" };
    let answer, text;
    try {
      answer = await fetch(path, { method: body ? "POST" : "GET", headers, body, cache: "no-store" });
      text = await answer.text();
    } catch {
      offline();
      return false;
    }
    online();
    const elsewhere = answer.headers.get("HX-Redirect");
    if (elsewhere) location.assign(elsewhere);
    // A refusal is a part of the screen too, with its sentence. A whole page is not: then this tablet is unknown.
    else if (/<html/i.test(text)) [401, 403, 404].includes(answer.status) && location.reload();
    else if (body || turns.get(part) === turn) {
      // What was asked of the screen, or of this part of it, before this is old.
      if (body) for (const old of part === "till" ? [...turns.keys()] : [part]) turns.set(old, turns.get(old) + 1);
      swap(text, !body);
    }
    return answer.ok && !elsewhere;
  }

  function swap(text, looked) {
    const box = document.createElement("template");
    box.innerHTML = text;
    const fresh = box.content.firstElementChild;
    const old = fresh && document.getElementById(fresh.id);
    if (!old || (looked && last.get(fresh.id) === text)) return;
    if (looked) last.set(fresh.id, text);
    else last.delete(fresh.id);
    const focused = old.contains(document.activeElement) && document.activeElement.id;
    const menu = looked && find(".till-menu[open] > summary", old)?.getAttribute("aria-label");
    old.replaceWith(fresh);
    // News do not close a menu under somebody's finger.
    for (const summary of all(".till-menu > summary", fresh)) if (summary.getAttribute("aria-label") === menu) summary.parentElement.open = true;
    if (focused) document.getElementById(focused)?.focus();
    shown(fresh);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    const part = link?.closest("[data-part]")?.dataset.part;
    if (!part || link.dataset.key || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    ask(part, link.getAttribute("href"));
  });

  document.addEventListener("submit", async (event) => {
    const { target: form, submitter } = event;
    const part = form.closest("[data-part]")?.dataset.part;
    if (!part) return;
    event.preventDefault();
    const path = form.getAttribute("action");
    const body = new URLSearchParams(new FormData(form, submitter));
    if (form.method === "get") return ask(part, `${path}?${body}`);
    if (part === "ticket") return queued(async () => (await ask(part, path, body)) && form.id === "entry" && entered(form));
    if (form.dataset.sent) return; // a second tap
    form.dataset.sent = "yes";
    const word = submitter?.textContent;
    if (submitter?.dataset.busy) submitter.textContent = submitter.dataset.busy;
    await queue;
    await ask(part, path, body);
    delete form.dataset.sent;
    if (submitter?.dataset.busy) submitter.textContent = word;
  });

  // After an amount was added the keys start anew; after a discount, a note or an item's price they type amounts again.
  function entered(form) {
    if (!("once" in form.dataset)) return typeEntry("clear");
    pane("items");
    return ask("entry", "/pos");
  }

  // On a phone one part of the register is shown at a time.
  function pane(name) {
    const choice = find(`[name=pane][value=${name}]`);
    if (choice) choice.checked = true;
  }

  // A search is asked for while it is typed.
  let searching = 0;
  document.addEventListener("input", ({ target }) => {
    if (target.id !== "shelf-search") return;
    clearTimeout(searching);
    searching = setTimeout(() => target.form.requestSubmit(), 120);
  });

  /* What is shown */

  let state = "";

  // shown brings in line what the server did not draw: badges, sound, address, timers.
  function shown(part) {
    offerPad();
    offerEntry();
    count();
    tick();
    localTimes();
    if (part?.id === "ticket") say(part.dataset.said);
    if (part?.matches?.("#entry[data-once]")) pane("keys");
    const screen = till();
    if (!screen || screen.dataset.state === state) return;
    const before = state;
    state = screen.dataset.state;
    if (!before) return;
    if (screen.dataset.path && screen.dataset.path !== location.pathname + location.search) history.replaceState(null, "", screen.dataset.path);
    document.title = screen.dataset.title;
    last.clear();
    scrollTo(0, 0);
    const heading = find("h1", screen);
    if (state !== "register") say(heading?.textContent);
    if (state === "settled") chime();
    if (state === "settled" || state === "paid_after_cancel") navigator.vibrate?.([60, 40, 60]);
  }

  function say(words) {
    const line = document.getElementById("till-said");
    if (line && words) line.textContent = words;
  }

  // A tap on a tile brings back the ticket alone, so the tiles' badges are painted from it.
  function count() {
    const counts = new Map();
    for (const line of all("#ticket [data-item]")) {
      const { item, quantity } = line.dataset;
      if (item) counts.set(item, (counts.get(item) ?? 0) + Number(quantity));
    }
    for (const tile of all("[data-tile]")) {
      const n = counts.get(tile.dataset.tile) ?? 0;
      let badge = find(".count", tile);
      tile.classList.toggle("chosen", n > 0);
      if (!n) badge?.remove();
      else {
        if (!badge) tile.append(badge = Object.assign(document.createElement("b"), { className: "count" }));
        badge.textContent = n;
      }
    }
  }

  /* News */

  // The stream says only "changed". Many changes at once end in one look, and one more for what came in between.
  let looked = 0;
  let later = 0;

  function look() {
    const wait = looked + 300 - performance.now();
    if (wait > 0) {
      later ||= setTimeout(() => { later = 0; look(); }, wait); // which may come a little early
      return;
    }
    looked = performance.now();
    for (const part of all("[data-live]")) {
      if (part.id === "ticket") queued(lookAtTicket);
      else ask(part.id, part.dataset.live);
    }
  }

  // What was refused stays to be read.
  async function lookAtTicket() {
    const problem = find("#ticket .till-problem");
    await ask("ticket", "/pos");
    if (problem && !problem.isConnected) document.getElementById("ticket")?.prepend(problem);
  }

  // A hidden screen listens to nothing: tablets kill the stream anyway. One that comes back asks at once.
  let stream = null;
  let poll = 0;

  function listen() {
    const address = find("[data-stream]")?.dataset.stream;
    if (!address || document.hidden) return hush();
    if (stream && stream.readyState !== EventSource.CLOSED) return;
    stream = new EventSource(address);
    stream.addEventListener("changed", look);
    stream.onopen = () => {
      clearInterval(poll);
      poll = 0;
      look(); // what happened before the stream was open
    };
    stream.onerror = () => { poll ||= setInterval(() => { look(); listen(); }, 3000); };
  }

  function hush() {
    stream?.close();
    stream = null;
    clearInterval(poll);
    poll = 0;
  }

  document.addEventListener("visibilitychange", () => {
    listen();
    if (!document.hidden) look();
  });
  window.addEventListener("pagehide", hush);
  window.addEventListener("pageshow", listen);

  /* The network */

  let since = null;

  function offline() {
    const line = document.getElementById("till-offline");
    if (since || !line) return;
    since = new Date();
    find("time", line).textContent = clock(since);
    line.hidden = false;
    document.documentElement.dataset.offline = "";
    poll ||= setInterval(() => { look(); listen(); }, 3000);
  }

  function online() {
    const line = document.getElementById("till-offline");
    if (!since || !line) return;
    since = null;
    line.hidden = true;
    delete document.documentElement.dataset.offline;
  }

  window.addEventListener("offline", offline);
  window.addEventListener("online", () => { look(); listen(); });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) window.print();
    if (event.target.closest("[data-retry]")) {
      event.preventDefault();
      location.reload();
    }
    // A menu closes as soon as something else is touched.
    for (const menu of all(".till-menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  // The page for no network leaves by itself. HEAD goes past the worker, to the server.
  async function leave() {
    try {
      await fetch("/pos/offline", { method: "HEAD", cache: "no-store" });
      location.reload();
    } catch { /* still none */ }
  }
  if (find(".is-offline")) {
    window.addEventListener("online", leave);
    setInterval(leave, 3000);
  }

  /* Clocks */

  const clock = (time) => time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

  function tick() {
    for (const time of all("[data-clock]")) time.textContent = clock(new Date());
    for (const watch of all("[data-since]")) {
      const seconds = Math.max(0, Math.round((Date.now() - Date.parse(watch.dataset.since)) / 1000));
      watch.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    }
  }
  setInterval(tick, 1000);

  // The server writes times with their zone; the tablet stands in the shop, so its clock is the shop's.
  const toMinute = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const toSecond = { ...toMinute, second: "2-digit" };
  const formats = {
    minute: toMinute,
    second: toSecond,
    day: { day: "numeric", month: "short", ...toMinute },
    moment: { day: "numeric", month: "short", year: "numeric", ...toSecond },
  };

  function localTimes() {
    for (const time of all("time[data-local]")) {
      time.textContent = new Intl.DateTimeFormat("en-GB", formats[time.dataset.local]).format(new Date(time.dateTime));
      delete time.dataset.local;
    }
  }

  /* Sound and screen */

  // Sound is only allowed after a touch; it is made here, so there is no file to load.
  let audio = null;
  for (const gesture of ["pointerdown", "keydown"]) {
    document.addEventListener(gesture, () => {
      audio ??= window.AudioContext && new AudioContext();
      if (audio?.state === "suspended") audio.resume();
    });
  }

  function chime() {
    if (audio?.state !== "running") return;
    for (const [tone, at] of [[784, 0], [1175, 0.12]]) {
      const start = audio.currentTime + at;
      const voice = new OscillatorNode(audio, { frequency: tone });
      const volume = new GainNode(audio, { gain: 0.2 });
      volume.gain.exponentialRampToValueAtTime(0.001, start + 0.35);
      voice.connect(volume).connect(audio.destination);
      voice.start(start);
      voice.stop(start + 0.4);
    }
  }

  // The screen stays on while the till is looked at.
  async function stayAwake() {
    if (document.hidden || !till()) return;
    try {
      await navigator.wakeLock?.request("screen");
    } catch { /* low battery, or not allowed: the device decides */ }
  }
  document.addEventListener("visibilitychange", stayAwake);

  /* Beginning */

  function begin() {
    shown();
    listen();
    stayAwake();
    // The worker keeps the program's files and one page that says that the network is gone; it never keeps an answer.
    if (find("link[rel=manifest]")) navigator.serviceWorker?.register("/pos/worker.js", { scope: "/pos" }).catch(() => {});
  }
  begin();
})();
