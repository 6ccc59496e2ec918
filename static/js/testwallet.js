// A wallet for development: it announces itself as extensions do, and the server signs with a key of its own.
(() => {
  "use strict";

  const icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 28 28'%3E%3Crect width='28' height='28' fill='%23FFD54A'/%3E%3Cpath d='M7 9h14M14 9v12' stroke='%2315161A' stroke-width='3.4'/%3E%3C/svg%3E";
  const info = Object.freeze({ uuid: "5f1d2c3a-7b64-4e0b-9a51-8c2f6e7d9b10", name: "Test wallet", icon, rdns: "dev.xsynesis.testwallet" });

  async function request({ method, params = [] }) {
    const answer = await fetch("/dev/wallet", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ method, params }),
    });
    const { result, error } = await answer.json();
    if (error) throw Object.assign(new Error(error.message), { code: error.code });
    return result;
  }

  const detail = Object.freeze({ info, provider: Object.freeze({ request, on() {}, removeListener() {} }) });
  const announce = () => window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  window.addEventListener("eip6963:requestProvider", announce);
  announce();
})();
