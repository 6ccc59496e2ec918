// Passkeys and wallets. The server asks, this browser or one of its wallets signs, the answer is posted, and the server
// says where to go. Buttons name where to ask (data-ask) and where to send the answer (data-send); the fields of the
// form around them go along.
(() => {
  "use strict";

  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => root.querySelectorAll(selector);

  /* What went wrong, for a person */

  class Told extends Error {}
  class Leaving extends Error {}

  const sentences = {
    NotAllowedError: "No passkey was used. Try again, or choose another way.",
    InvalidStateError: "This device has a passkey for this account already.",
    SecurityError: "Passkeys work only under the address that this gateway is published at.",
    4001: "You did not approve it in the wallet.",
    "-32002": "The wallet is waiting for you. Open it and approve there.",
  };

  function show(problem) {
    const box = find("#signing-problem");
    find("span", box).textContent = problem;
    box.hidden = !problem;
    if (problem) box.scrollIntoView({ block: "nearest" });
  }

  function sentence(problem) {
    if (problem instanceof Told) return problem.message;
    const code = problem?.data?.originalError?.code ?? problem?.code;
    return sentences[problem?.name] ?? sentences[code] ?? "This did not work here. Try again, or choose another way.";
  }

  /* Talking to the server */

  async function post(path, body) {
    let answer;
    try {
      answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body) });
    } catch {
      throw new Told("There is no connection to the server. Try again.");
    }
    const reply = await answer.json().catch(() => ({}));
    if (answer.ok) return reply;
    const elsewhere = { step_up_required: "/account/confirm", unauthorized: "/login" }[reply.error?.code];
    if (elsewhere) {
      location.assign(`${elsewhere}?return=${encodeURIComponent(location.pathname + location.search)}`);
      throw new Leaving();
    }
    throw new Told(reply.error?.message ?? "The server could not answer. Try again.");
  }

  // The fields of the form around a button. A form that is not filled in says so itself.
  function fields(button) {
    const form = button.closest("form");
    if (form && !form.reportValidity()) throw new Leaving();
    const found = form ? Object.fromEntries(new FormData(form)) : {};
    delete found.return;
    const invite = button.closest("[data-invite]")?.dataset.invite;
    return invite ? { ...found, invite } : found;
  }

  function leave(button, reply) {
    location.assign(button.closest("[data-done]")?.dataset.done || reply.location);
  }

  /* Passkeys: what is bytes for the browser is base64 in JSON */

  const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const toText = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  function readable(options) {
    const keys = (list) => list?.map((key) => ({ ...key, id: toBytes(key.id) }));
    const out = { ...options, challenge: toBytes(options.challenge) };
    if (options.user) out.user = { ...options.user, id: toBytes(options.user.id) };
    if (options.excludeCredentials) out.excludeCredentials = keys(options.excludeCredentials);
    if (options.allowCredentials) out.allowCredentials = keys(options.allowCredentials);
    return out;
  }

  function answerOf(credential) {
    const { response } = credential;
    const out = {
      id: credential.id, rawId: toText(credential.rawId), type: credential.type,
      clientExtensionResults: credential.getClientExtensionResults(),
      response: { clientDataJSON: toText(response.clientDataJSON) },
    };
    if (credential.authenticatorAttachment) out.authenticatorAttachment = credential.authenticatorAttachment;
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (response[name]) out.response[name] = toText(response[name]);
    }
    if (response.getTransports) out.response.transports = response.getTransports();
    return out;
  }

  async function passkey(button) {
    const sent = fields(button);
    const { options } = await post(button.dataset.ask, sent);
    const credential = await navigator.credentials[button.dataset.passkey]({ publicKey: readable(options) });
    leave(button, await post(button.dataset.send, { ...sent, answer: answerOf(credential) }));
  }

  /* Wallets, as they announce themselves (EIP-6963) */

  const wallets = new Map(); // rdns → {name, icon, provider}

  window.addEventListener("eip6963:announceProvider", ({ detail }) => {
    if (!detail?.info?.rdns || !detail.provider || wallets.has(detail.info.rdns)) return;
    const { rdns, name, icon } = detail.info;
    wallets.set(rdns, { name: String(name), icon: String(icon), provider: detail.provider });
    if (discovered) offer(rdns);
  });

  let discovered = false;
  async function discover() {
    if (!find("[data-wallets]")) return;
    window.dispatchEvent(new Event("eip6963:requestProvider"));
    await new Promise((done) => setTimeout(done, 200));
    discovered = true;
    if (!wallets.size && window.ethereum) wallets.set("injected", { name: "your wallet", icon: "", provider: window.ethereum });
    wallets.forEach((_, key) => offer(key));
    for (const hint of all("[data-none]")) hint.hidden = wallets.size > 0;
  }

  function offer(key) {
    const wallet = wallets.get(key);
    for (const box of all("[data-wallets]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "btn medium";
      button.dataset.wallet = key;
      button.textContent = box.dataset.word.replace("{wallet}", wallet.name);
      // Icons come from the wallet: an image in the page's own address, never a request to a stranger.
      if (wallet.icon.startsWith("data:image/")) {
        const icon = new Image(24, 24);
        icon.alt = "";
        icon.src = wallet.icon;
        button.prepend(icon);
      }
      find("[data-none]", box).hidden = true;
      box.append(button);
    }
  }

  async function sign(button) {
    const sent = fields(button);
    const { ask, send } = button.closest("[data-wallets]").dataset;
    const { provider } = wallets.get(button.dataset.wallet);
    const [address] = await provider.request({ method: "eth_requestAccounts" });
    const chain = Number(await provider.request({ method: "eth_chainId" }));
    const { message } = await post(ask, { address, chain_id: chain });
    const hex = `0x${Array.from(new TextEncoder().encode(message), (b) => b.toString(16).padStart(2, "0")).join("")}`;
    const signature = await provider.request({ method: "personal_sign", params: [hex, address] });
    leave(button, await post(send, { ...sent, message, signature }));
  }

  /* One at a time */

  let busy = false;

  document.addEventListener("click", async ({ target }) => {
    const button = target.closest("[data-passkey], [data-wallet]");
    if (!button || busy) return;
    busy = true;
    button.setAttribute("aria-disabled", "true");
    show("");
    try {
      await (button.dataset.wallet ? sign(button) : passkey(button));
    } catch (problem) {
      if (!(problem instanceof Leaving)) show(sentence(problem));
    } finally {
      busy = false;
      button.removeAttribute("aria-disabled");
    }
  });

  if (!window.PublicKeyCredential) {
    for (const button of all("[data-passkey]")) button.hidden = true;
  }
  discover();
})();
