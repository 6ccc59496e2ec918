// The buyer's pages. The server's state is the truth: this script asks the wallet for one approval, posts it,
// and otherwise only shows what the server says. Without it the pages still work from a wallet app's browser.
(() => {
  "use strict";

  const find = (selector, root = document) => root.querySelector(selector);
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const purchase = () => document.getElementById("purchase");

  // Private windows may refuse storage; then nothing is remembered and the buyer chooses again.
  const memory = {
    get(store, key) { try { return window[store].getItem(key); } catch { return null; } },
    set(store, key, value) { try { window[store].setItem(key, value); } catch { /* not remembered */ } },
    take(store, key) {
      const value = memory.get(store, key);
      try { window[store].removeItem(key); } catch { /* was not there */ }
      return value;
    },
  };

  /* Wallets */

  const wallets = new Map(); // rdns → {key, name, icon, provider}

  window.addEventListener("eip6963:announceProvider", ({ detail }) => {
    if (!detail?.info?.rdns || !detail.provider) return;
    const { rdns, name, icon } = detail.info;
    const known = wallets.has(rdns);
    wallets.set(rdns, { key: rdns, name: String(name), icon: String(icon), provider: detail.provider });
    if (!known && discovered) offerWallets();
  });

  let discovered = false;
  async function discover() {
    window.dispatchEvent(new Event("eip6963:requestProvider"));
    await wait(200);
    discovered = true;
    if (!wallets.size && window.ethereum) {
      wallets.set("injected", { key: "injected", name: "your wallet", icon: "", provider: window.ethereum });
    }
    offerWallets();
  }

  // A phone's own browser has no wallet; there, on a link's page, the choice is among apps.
  function choices() {
    if (wallets.size || !matchMedia("(pointer: coarse)").matches) return [...wallets.values()];
    const apps = find("#wallet-apps")?.content.children ?? [];
    return [...apps].map((app) => ({ key: `app:${app.dataset.app}`, name: app.dataset.name, icon: "", app: app.dataset.app }));
  }

  function chosen() {
    const all = choices();
    const key = find(".wallets input:checked")?.value ?? memory.get("localStorage", "wallet");
    return all.find((wallet) => wallet.key === key) ?? all[0];
  }

  function offerWallets() {
    const box = find(".wallets");
    const card = find("#wallet-card");
    if (!box || !card || !discovered) return;
    const preferred = chosen();
    const all = choices();
    find("div", box).replaceChildren(...all.map((wallet) => walletCard(card, wallet, wallet.key === preferred.key)));
    box.hidden = all.length < 2;
    nameWallet();
  }

  function walletCard(card, wallet, checked) {
    const label = card.content.firstElementChild.cloneNode(true);
    const input = find("input", label);
    input.value = wallet.key;
    input.checked = checked;
    input.addEventListener("change", nameWallet);
    find(".name", label).textContent = wallet.name;
    const face = find(".face", label);
    face.textContent = wallet.name.slice(0, 1).toUpperCase();
    // Icons come from the wallet: an image in the page's own address, never a request to a stranger.
    if (wallet.icon.startsWith("data:image/")) {
      const icon = new Image(28, 28);
      icon.alt = "";
      icon.src = wallet.icon;
      face.replaceChildren(icon);
    }
    return label;
  }

  function nameWallet() {
    const line = find("[data-opens]");
    const wallet = chosen();
    if (line && wallet) line.textContent = line.dataset.opens.replace("{wallet}", wallet.name);
  }

  /* Paying */

  let asked = null; // one approval at a time: a double tap asks and posts once
  let signed = null; // kept until answered, so that the same payment can be sent again, and no other

  async function pay() {
    const wallet = chosen();
    if (asked || purchase()?.dataset.status !== "open") return;
    if (!wallet) return show(matchMedia("(pointer: coarse)").matches ? "apps" : "no_wallet");
    const mine = asked = {};
    memory.set("localStorage", "wallet", wallet.key);
    try {
      show("waiting");
      const approval = await approve((method, params) => wallet.provider.request({ method, params }));
      if (mine !== asked) return; // the buyer went on to another wallet: this approval is dropped unsent
      signed = approval;
      await send();
    } catch (problem) {
      if (mine === asked) show(screenOf(problem));
    } finally {
      if (mine === asked) asked = null;
    }
  }

  async function approve(ask) {
    const data = JSON.parse(find("#typed-data").textContent);
    const accounts = await ask("eth_requestAccounts");
    if (!accounts?.[0]) throw { code: 4100 };
    await matchNetwork(ask, Number(data.domain.chainId));
    data.message.from = accounts[0];
    const signature = await ask("eth_signTypedData_v4", [accounts[0], JSON.stringify(data)]);
    return JSON.stringify({ signature, authorization: data.message });
  }

  /* Sending the money oneself */

  // The amount names the purchase: the number of the transaction only saves waiting for it.
  async function transfer() {
    const wallet = chosen();
    const call = JSON.parse(find("#transfer-call")?.textContent ?? "null");
    if (asked || !call || purchase()?.dataset.status !== "open") return;
    if (!wallet?.provider) return show("no_wallet");
    const mine = asked = {};
    const ask = (method, params) => wallet.provider.request({ method, params });
    try {
      const accounts = await ask("eth_requestAccounts");
      if (!accounts?.[0]) throw { code: 4100 };
      await matchNetwork(ask, call.chainId);
      const hash = await ask("eth_sendTransaction", [{ from: accounts[0], to: call.to, data: call.data, value: "0x0" }]);
      show("sent");
      await tell(String(hash));
    } catch (problem) {
      const name = screenOf(problem);
      show(name === "incapable" ? "unsendable" : name);
    } finally {
      if (mine === asked) asked = null;
    }
  }

  async function tell(hash) {
    const form = find("#transfer-hash")?.form;
    if (!form) return;
    const body = new URLSearchParams(new FormData(form));
    body.set("hash", hash);
    await fetch(form.action, { method: "POST", headers: { Accept: "text/html" }, body }).catch(() => { /* it is seen without it */ });
  }

  // A signature of the wallet that sent some money says what it was for.
  async function claim(button) {
    const wallet = chosen();
    const problem = find("[data-problem]", button.form);
    if (!wallet?.provider) return void (problem.textContent = button.dataset.none);
    if (asked) return;
    const mine = asked = {};
    let failed = button.dataset.declined;
    problem.textContent = "";
    try {
      const ask = (method, params) => wallet.provider.request({ method, params });
      const [account] = await ask("eth_requestAccounts");
      const bytes = Array.from(new TextEncoder().encode(button.dataset.text), (byte) => byte.toString(16).padStart(2, "0"));
      const body = new URLSearchParams(new FormData(button.form));
      body.set("signature", await ask("personal_sign", [`0x${bytes.join("")}`, account]));
      failed = button.dataset.unsent;
      const answer = await fetch(button.form.action, { method: "POST", headers: { Accept: "application/json" }, body, redirect: "manual" });
      if (answer.type === "opaqueredirect") return await refresh();
      problem.textContent = (await answer.json()).error.message;
    } catch {
      problem.textContent = failed;
    } finally {
      if (mine === asked) asked = null;
    }
  }

  async function matchNetwork(ask, wanted) {
    const matches = async () => Number(await ask("eth_chainId")) === wanted;
    if (await matches()) return;
    const id = { chainId: `0x${wanted.toString(16)}` };
    try {
      await ask("wallet_switchEthereumChain", [id]);
    } catch (problem) {
      const details = find("#add-network");
      if (codeOf(problem) !== 4902 || !details) throw { screen: "wrong_network" };
      await ask("wallet_addEthereumChain", [{ ...id, ...JSON.parse(details.textContent) }]);
    }
    if (!(await matches())) throw { screen: "wrong_network" };
  }

  // Some wallets wrap the code that says what went wrong.
  const codeOf = (problem) => problem?.data?.originalError?.code ?? problem?.code;

  function screenOf(problem) {
    if (problem?.screen) return problem.screen;
    const screens = { 4001: "rejected", 4100: "locked", 4900: "offline", 4901: "offline", 4902: "wrong_network", "-32002": "pending" };
    return screens[codeOf(problem)] ?? "incapable";
  }

  async function send() {
    show("sending");
    const answer = await post(purchase().dataset.pay, signed);
    if (!answer) return show("unsent");
    const reply = await answer.json().catch(() => null);
    if (answer.ok) return refresh();
    // An answer that is not the shop's own tells nothing about the payment.
    if (!reply?.error) return (await refresh()) === "open" && show("unsent");
    if ((await refresh()) !== "open") return;
    signed = null;
    const reason = String(reply.error.code ?? reply.error);
    const sentence = reply.error.message;
    show(/insufficient_(funds|balance)/.test(reason) ? "insufficient" : "refused", sentence);
  }

  // Sending the same payment again is safe: the server knows it by what was signed.
  async function post(url, body) {
    for (const pause of [0, 1000, 3000]) {
      await wait(pause);
      try {
        return await fetch(url, { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body });
      } catch { /* no connection: once more */ }
    }
    return null;
  }

  // Back to the choice of wallets.
  function choose() {
    asked = null;
    memory.take("localStorage", "wallet");
    fill(find("#pay-box"), "");
    return discover();
  }

  function show(name, sentence) {
    const box = fill(find(`#screen-${name}`), name);
    if (box && sentence) find(".notice p", box).textContent = sentence;
    if (box) find("[tabindex]", box)?.focus();
  }

  function fill(template, name) {
    const box = find("#act");
    if (!box || !template) return null;
    box.replaceChildren(template.content.cloneNode(true));
    box.dataset.screen = name;
    return box;
  }

  /* The server's state */

  let fetching = null;
  let again = false;

  // Many reasons to look at once end in one look, and one more for what came in between.
  function refresh() {
    if (fetching) {
      again = true;
      return fetching;
    }
    fetching = look().finally(() => { fetching = null; });
    return fetching;
  }

  async function look() {
    do {
      again = false;
      try {
        const answer = await fetch(location.href, { headers: { "HX-Request": "true", Accept: "text/html" }, cache: "no-store" });
        swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
      } catch { /* no connection: what is shown stays, and is asked again */ }
    } while (again);
    return purchase()?.dataset.status;
  }

  function swap(page) {
    const old = purchase();
    const fresh = page.getElementById("purchase");
    if (!old || !fresh) return;
    const { status } = fresh.dataset;
    // An open purchase may be in the middle of an approval, and an ended one may be unfolded: both stay.
    const same = fresh.dataset.pay === old.dataset.pay; // at a till, another with a tip may have taken its place
    if (same && status === old.dataset.status && (status === "open" || !fresh.dataset.events)) return swapTransfer(old, fresh);
    if (!same) asked = signed = null;
    const held = old.contains(document.activeElement);
    const changed = status !== old.dataset.status;
    old.replaceWith(document.adoptNode(fresh));
    document.title = fresh.dataset.title;
    begin();
    if (!changed) return;
    const heading = find("h1", fresh);
    find("#live").textContent = heading.textContent;
    if (held) heading.focus();
    if (status !== "open") scrollTo(0, 0);
  }

  // What is said of the buyer's own transfer changes while the purchase stays open.
  function swapTransfer(old, fresh) {
    const was = find("#transfer", old);
    const is = find("#transfer", fresh);
    if (!was || !is || was.dataset.state === is.dataset.state) return;
    was.replaceWith(document.adoptNode(is));
    localTimes();
    const told = find("[data-came] h2", is);
    if (told) find("#live").textContent = told.textContent;
  }

  let stream = null;
  let poll = 0;

  function listen() {
    const url = purchase()?.dataset.events;
    if (document.hidden || !url) return hush();
    if (stream && stream.readyState !== EventSource.CLOSED) return;
    stream = new EventSource(url);
    stream.onmessage = refresh;
    stream.addEventListener("changed", refresh);
    stream.onopen = () => {
      clearInterval(poll);
      poll = 0;
      refresh(); // what happened before the stream was open
    };
    stream.onerror = () => { poll ||= setInterval(() => { refresh(); listen(); }, 3000); };
  }

  function hush() {
    stream?.close();
    stream = null;
    clearInterval(poll);
    poll = 0;
  }

  function wake() {
    if (document.hidden) return hush();
    if (!purchase()) return;
    refresh();
    listen();
  }

  document.addEventListener("visibilitychange", wake);
  window.addEventListener("online", wake);
  window.addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    document.querySelectorAll("[data-word]").forEach(idle);
    wake();
  });
  window.addEventListener("pagehide", hush);

  /* Taps */

  function busy(button) {
    button.dataset.word = button.textContent;
    button.textContent = button.dataset.busy ?? button.textContent;
    button.setAttribute("aria-disabled", "true");
  }

  function idle(button) {
    button.textContent = button.dataset.word;
    delete button.dataset.word;
    button.removeAttribute("aria-disabled");
  }

  document.addEventListener("submit", (event) => {
    const button = find("button.primary", event.target);
    if (!button || (event.submitter ?? button) !== button) return;
    if (button.dataset.word) return event.preventDefault();
    busy(button);
    const wallet = chosen();
    if (wallet?.app) {
      event.preventDefault();
      return beginInApp(event.target, wallet);
    }
    memory.set("sessionStorage", "pay-now", "1");
    if (wallet) memory.set("localStorage", "wallet", wallet.key);
  });

  // The purchase begins here, and the app opens its page. Coming back, this page is that purchase too.
  async function beginInApp(form, wallet) {
    memory.set("localStorage", "wallet", wallet.key);
    try {
      const answer = await fetch(form.action, { method: "POST", headers: { Accept: "text/html" }, body: new URLSearchParams(new FormData(form)) });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const app = find(`[data-app="${wallet.app}"][href]`, page);
      document.title = page.title;
      find("main").replaceWith(document.adoptNode(find("main", page)));
      if (!app) return begin();
      history.replaceState(null, "", answer.url);
      begin();
      show("apps");
      location.assign(app.href);
    } catch {
      form.submit();
    }
  }

  const tasks = {
    pay,
    choose,
    transfer,
    claim,
    check: refresh,
    resend: () => (signed ? send() : refresh()),
    print: () => window.print(),
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-do], [data-copy]");
    if (!button) return;
    event.preventDefault();
    if (button.dataset.copy) return copy(button);
    if (button.dataset.word) return;
    if (button.dataset.busy) busy(button);
    await tasks[button.dataset.do](button);
    if (button.dataset.word && button.isConnected) idle(button);
  });

  async function copy(button) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.classList.add("done");
      find("#live").textContent = "Copied";
    } catch { /* the text can still be selected */ }
  }

  /* Beginning */

  const second = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const formats = {
    second,
    minute: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    day: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    moment: { day: "numeric", month: "short", year: "numeric", ...second },
  };

  // The server writes times with their zone; here they become the reader's own.
  function localTimes() {
    for (const time of document.querySelectorAll("time[data-local]")) {
      const format = new Intl.DateTimeFormat("en-GB", formats[time.dataset.local]);
      time.textContent = format.format(new Date(time.dateTime));
      delete time.dataset.local;
    }
  }

  let opened = "";

  function begin() {
    // The till that shows the code hears that its customer has come this far.
    const opening = purchase()?.dataset.opening ?? "";
    if (opening && opening !== opened) navigator.sendBeacon?.(opening);
    opened = opening;
    localTimes();
    offerWallets();
    hush();
    listen();
  }

  // Two ways lead here with the tap on Pay already made: from the link's page, and through a wallet app.
  async function start() {
    begin();
    const address = new URL(location.href);
    const tapped = memory.take("sessionStorage", "pay-now") || address.searchParams.has("via");
    if (address.searchParams.has("via")) {
      address.searchParams.delete("via"); // a reload must not ask again
      history.replaceState(null, "", address);
    }
    await discover();
    if (tapped && purchase()) await pay();
  }

  start();
})();
