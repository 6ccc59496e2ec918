// Signs in as a shop's page and a wallet do it: the message is made by the packages siwe or viem, and signed by viem.
// usage: sign_in.mjs BASE_URL siwe|viem, with the wallet's key in KEY. Prints what was answered.
import { SiweMessage } from "siwe";
import { createSiweMessage } from "viem/siwe";
import { privateKeyToAccount } from "viem/accounts";

const [base, maker] = process.argv.slice(2);
const account = privateKeyToAccount(process.env.KEY);
const { host, origin } = new URL(base);

async function post(path, body) {
  const answer = await fetch(base + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return { status: answer.status, cookie: answer.headers.get("set-cookie"), body: await answer.json() };
}

const drawn = await post("/api/auth/siwe/nonce", {});
const fields = { domain: host, address: account.address, uri: origin, version: "1", chainId: 84532, nonce: drawn.body.nonce };
const now = new Date();
const expires = new Date(now.getTime() + 60_000);
const message = maker === "siwe"
  ? new SiweMessage({ ...fields, statement: "Sign in to the shop.", issuedAt: now.toISOString(), expirationTime: expires.toISOString(), resources: [`${origin}/docs`] }).prepareMessage()
  : createSiweMessage({ ...fields, issuedAt: now, expirationTime: expires });
const signature = await account.signMessage({ message });
const first = await post("/api/auth/siwe/verify", { message, signature });
const replayed = await post("/api/auth/siwe/verify", { message, signature });
console.log(JSON.stringify({ drawn, message, first, replayed }));
