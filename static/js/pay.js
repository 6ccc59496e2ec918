// Pays x402 servers from any page with the visitor's wallet: docs/sdk.md.

// A token is known by this, not by what an offer says of it.
const tokens = [
  ["eip155:8453", "base", 8453, "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "USD Coin"],
  ["eip155:84532", "base-sepolia", 84532, "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "USDC"],
];
const fields = (...all) => all.map((each) => each.split(" ")).map(([type, name]) => ({ type, name }));
const types = {
  EIP712Domain: fields("string name", "string version", "uint256 chainId", "address verifyingContract"),
  TransferWithAuthorization:
    fields("address from", "address to", "uint256 value", "uint256 validAfter", "uint256 validBefore", "bytes32 nonce"),
};

export class PayError extends Error {
  constructor(code, message, cause) {
    super(message, { cause });
    this.code = code;
  }
}

const open = new Map(); // payments whose outcome nobody told, by what they pay for

export async function payAndFetch(url, { provider = globalThis.ethereum, max = "0.10", wait = 30000, ...options } = {}) {
  const request = new Request(url, options);
  const key = [request.method, request.url, new Uint8Array(await request.clone().arrayBuffer())].join(" ");
  let payment = open.get(key);
  open.delete(key); // two calls at once are two payments
  if (!(payment?.ends > Date.now() + 11000)) {
    const answer = await fetch(request.clone());
    const offer = answer.status === 402 && await read(answer);
    if (!offer) return answer;
    payment = await sign(offer, provider, units(max));
  }
  return send(request, payment, key, Date.now() + wait);
}

function units(text) {
  const [, whole, part = ""] = /^(\d+)(?:\.(\d{1,6}))?$/.exec(text) ?? [];
  return BigInt(whole + part.padEnd(6, "0"));
}

const decode = (text) => JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(text), (c) => c.charCodeAt(0))));
const encode = (value) => btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value))));

// The first choice of an offer, of either version, that can be paid.
async function read(answer) {
  let offer;
  try {
    const header = answer.headers.get("PAYMENT-REQUIRED");
    offer = header ? decode(header) : await answer.clone().json();
  } catch { return null; }
  const v1 = offer?.x402Version === 1;
  if (!Array.isArray(offer?.accepts) || !v1 && offer.x402Version !== 2) return null;
  for (const choice of offer.accepts) {
    const token = tokens.find((each) => choice.network === each[v1 ? 1 : 0] && RegExp(`^${each[3]}$`, "i").test(choice.asset));
    const { assetTransferMethod: method = "eip3009", paymentFlow: flow = "upfront" } = choice.extra ?? {};
    const amount = v1 ? choice.maxAmountRequired : choice.amount;
    const known = choice.scheme === "exact" && method === "eip3009" && /^(authorization|upfront)$/.test(flow);
    if (token && known && /^\d{1,18}$/.test(amount)) return { v1, offer, choice, token, amount };
  }
  throw new PayError("no_way", "Not payable with USDC on Base.");
}

async function sign({ v1, offer, choice, token, amount }, provider, max) {
  const [, , chain, verifyingContract, name] = token;
  const { payTo: to } = choice;
  if (BigInt(amount) > max) throw new PayError("too_much", "The price is above max.");
  if (!provider) throw new PayError("no_wallet", "No wallet.");
  const ask = (method, params, code = "no_wallet") => provider.request({ method, params }).catch((cause) => {
    throw new PayError(cause?.code === 4001 ? "declined" : code, cause?.message, cause);
  });
  const [from] = await ask("eth_requestAccounts");
  if (Number(await ask("eth_chainId")) !== chain) {
    await ask("wallet_switchEthereumChain", [{ chainId: `0x${chain.toString(16)}` }], "wrong_network");
  }
  const now = Math.floor(Date.now() / 1000);
  const ends = now + Math.min(Number(choice.maxTimeoutSeconds) || 60, 3600);
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  const nonce = bytes.reduce((hex, byte) => hex + byte.toString(16).padStart(2, "0"), "0x");
  const authorization = { from, to, value: amount, validAfter: `${now - 600}`, validBefore: `${ends}`, nonce };
  const domain = { name, version: "2", chainId: chain, verifyingContract };
  const typed = JSON.stringify({ types, domain, primaryType: "TransferWithAuthorization", message: authorization });
  const payload = { signature: await ask("eth_signTypedData_v4", [from, typed]), authorization };
  const { resource, extensions } = offer;
  const value = v1 ? { x402Version: 1, scheme: "exact", network: choice.network, payload }
    : { x402Version: 2, payload, extensions, resource, accepted: choice };
  return { amount, to, ends: ends * 1000, header: v1 ? "X-PAYMENT" : "PAYMENT-SIGNATURE", value: encode(value) };
}

// A payment is sent until it is answered; one whose outcome is open is kept for the same request.
async function send(request, payment, key, until) {
  for (;;) {
    const paid = new Request(request.clone(), { redirect: "error" }); // a payment goes to nobody else
    paid.headers.set(payment.header, payment.value);
    const answer = await fetch(paid).catch((cause) => {
      open.set(key, payment);
      throw new PayError("unknown", "No answer came. Call again: the same payment is sent.", cause);
    });
    const { status, headers } = answer;
    const receipt = headers.get("PAYMENT-RESPONSE") ?? headers.get("X-PAYMENT-RESPONSE");
    answer.receipt = receipt && decode(receipt);
    const next = status === 402 && await read(answer).catch(() => null);
    const waiting = status === 202 || status === 503;
    const changed = next && (next.amount !== payment.amount || next.choice.payTo !== payment.to);
    if (answer.receipt?.success || answer.ok && !waiting || status === 409 || changed) return answer;
    const pause = parseInt(headers.get("Retry-After")) * 1000;
    if (!waiting || !(Date.now() + pause <= until)) {
      open.set(key, payment);
      return answer;
    }
    await new Promise((done) => setTimeout(done, pause));
  }
}
