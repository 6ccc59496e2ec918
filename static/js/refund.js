// Sends a refund from the shop's own wallet, and reports its transaction. The server proves it by the chain.
(() => {
  "use strict";

  const find = (selector, root = document) => root.querySelector(selector);
  const wallets = new Map(); // rdns → provider

  window.addEventListener("eip6963:announceProvider", ({ detail }) => {
    if (detail?.info?.rdns && detail.provider) wallets.set(detail.info.rdns, detail.provider);
  });
  window.dispatchEvent(new Event("eip6963:requestProvider"));

  const same = (a, b) => String(a).toLowerCase() === String(b).toLowerCase();

  // The wallet that holds the shop's account; another one cannot send this.
  async function holder(from) {
    const all = wallets.size ? [...wallets.values()] : [window.ethereum].filter(Boolean);
    if (!all.length) throw new Error("There is no wallet in this browser. Send it from yours, and name the transaction below.");
    for (const provider of all) {
      const accounts = await provider.request({ method: "eth_requestAccounts" });
      if (accounts?.some((account) => same(account, from))) return provider;
    }
    throw new Error(`Choose the account ${from} in your wallet, and try again.`);
  }

  async function matchNetwork(provider, wanted) {
    const matches = async () => Number(await provider.request({ method: "eth_chainId" })) === wanted;
    if (await matches()) return;
    await provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId: `0x${wanted.toString(16)}` }] });
    if (!(await matches())) throw new Error("Switch your wallet to the network of this refund.");
  }

  function say(text) {
    const line = find("#refund-problem");
    if (!line) return;
    line.textContent = text;
    line.hidden = !text;
  }

  // The transaction outlives this page until the server has it: a wallet that sent must not be asked again.
  const key = () => `refund ${location.pathname}`;
  const memory = {
    get() { try { return sessionStorage.getItem(key()); } catch { return null; } },
    set(hash) { try { sessionStorage.setItem(key(), hash); } catch { /* not remembered */ } },
  };

  // The page may have changed since: also where the refund was called off, there is a place for it.
  function report(hash) {
    const form = find('form[action$="/transaction"]');
    if (!form) return location.reload();
    find("[name=transaction]", form).value = hash;
    form.requestSubmit();
  }

  let busy = false;
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest?.("[data-send-refund]");
    if (!button || busy) return;
    busy = true;
    button.setAttribute("aria-disabled", "true");
    say("");
    try {
      const { chain, from, token, call } = find("#refund-sending").dataset;
      const provider = await holder(from);
      await matchNetwork(provider, Number(chain));
      const hash = await provider.request({ method: "eth_sendTransaction", params: [{ from, to: token, data: call, value: "0x0" }] });
      memory.set(hash);
      report(hash);
    } catch (problem) {
      say(problem?.code === 4001 ? "Nothing was sent." : String(problem?.message ?? problem));
    } finally {
      busy = false;
      button.removeAttribute("aria-disabled");
    }
  });

  // It is offered as the page's own text: what nobody has typed does not keep the page from changing.
  function offer() {
    const sent = memory.get();
    const field = find("[name=transaction]");
    if (!sent || !field || field.value) return;
    field.defaultValue = sent;
    field.closest("details").open = true;
  }
  document.addEventListener("htmx:afterSettle", offer);
  offer();
})();
