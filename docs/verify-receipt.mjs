// Proves a receipt from the chain alone: who paid whom how much, and, where the cart is bound, for what.
// usage: RPC_URL=https://… node verify-receipt.mjs receipt.json     (needs the package viem)
import { readFileSync } from "node:fs";
import { concat, createPublicClient, http, keccak256, parseAbi, parseEventLogs, stringToHex } from "viem";

const tokens = { // USDC, by chain
  8453: "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913", // Base
  84532: "0x036cbd53842c5426634e7929541ec2318f3dcf7e", // Base Sepolia
};
const events = parseAbi([
  "event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)",
  "event Transfer(address indexed from, address indexed to, uint256 value)",
]);
const must = (ok, why) => { if (!ok) { console.error(`not proven: ${why}`); process.exit(1); } };
const same = (a, b) => String(a).toLowerCase() === String(b).toLowerCase();
const canonical = (v) => Array.isArray(v) ? `[${v.map(canonical)}]` : v === null || typeof v !== "object" ? JSON.stringify(v)
  : `{${Object.keys(v).sort().map((k) => `${JSON.stringify(k)}:${canonical(v[k])}`)}}`; // RFC 8785

const read = JSON.parse(readFileSync(process.argv[2], "utf8"));
const receipt = read.receipt ?? read, { cart } = receipt, token = tokens[receipt.network.split(":")[1]];
must(same(receipt.asset, token), "the asset is not USDC");

const hash = keccak256(stringToHex(canonical(cart)));
must(same(hash, receipt.cart_hash), "the cart is not the one that its hash names");
must(["network", "asset", "pay_to", "amount"].every((k) => same(cart[k], receipt[k])), "the cart is about another payment");
const bound = !!receipt.cart_salt && same(receipt.nonce, keccak256(concat([stringToHex("xsynesis:cart:v1"), receipt.cart_salt, hash])));
must(bound === receipt.cart_bound, "the nonce does not say of the cart what the receipt says");

const chain = createPublicClient({ transport: http(process.env.RPC_URL) });
must(receipt.network === `eip155:${await chain.getChainId()}`, "RPC_URL is a node of another network");
const mined = await chain.getTransactionReceipt({ hash: receipt.transaction }).catch((e) => must(false, e.shortMessage ?? e.message));
const logs = parseEventLogs({ abi: events, logs: mined.logs.filter((l) => same(l.address, token)) });
const used = logs.findIndex((l) => l.eventName === "AuthorizationUsed" && same(l.args.authorizer, receipt.payer) && same(l.args.nonce, receipt.nonce));
const paid = used < 0 ? undefined : logs[used + 1];
must(mined.status === "success" && paid?.eventName === "Transfer" && same(paid.args.from, receipt.payer) && same(paid.args.to, receipt.pay_to)
  && paid.args.value.toString() === receipt.amount, "the chain shows no such payment");
console.log(`proven: ${receipt.payer} paid ${receipt.amount} base units of USDC to ${receipt.pay_to} in ${receipt.transaction}`);
console.log(bound ? `the payer signed for ${cart.lines.map((l) => `${l.qty} x ${l.title}`)}` : "the cart is not bound: what was bought is the shop's word");
