// Reads what a shop has from four places that know nothing of each other: its balance, its journal, its sales, and the token.
// usage: money.mjs BASE_URL RPC_URL TOKEN OWNER, with a key of the API in API_KEY and a session in COOKIE.
// Prints sums in base units.
import { createPublicClient, http, parseAbi } from "viem";

const [base, rpc, token, owner] = process.argv.slice(2);
const { API_KEY, COOKIE } = process.env;

async function get(path, headers) {
  const answer = await fetch(base + path, { headers });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

// A table of RFC 4180, as objects.
function table(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/g)) {
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === "\r\n") rows.push([]);
    else if (end === "") break;
  }
  const [names, ...records] = rows.filter((row) => row.length > 1);
  return records.map((record) => Object.fromEntries(names.map((name, i) => [name, record[i]])));
}

const sum = (rows, column) => rows.reduce((total, row) => total + BigInt(row[column]), 0n);
const byKey = { Authorization: `Bearer ${API_KEY}` };

const [balance, journalText, salesAnswer] = await Promise.all([
  get("/api/balance", byKey).then((a) => a.json()),
  get("/dashboard/ledger/journal.csv", { Cookie: COOKIE }).then((a) => a.text()),
  get("/api/sales.csv", byKey),
]);
const [held] = balance.data;
const entries = table(journalText).filter((entry) => entry.asset === token.toLowerCase());
const sales = table(await salesAnswer.text());
const accounts = {};
for (const { account, amount } of entries) accounts[account] = (accounts[account] ?? 0n) + BigInt(amount);

const client = createPublicClient({ transport: http(rpc) });
const holds = (address) => client.readContract({
  address: token, functionName: "balanceOf", args: [address],
  abi: parseAbi(["function balanceOf(address owner) view returns (uint256)"]),
});

const text = (key, value) => (typeof value === "bigint" ? String(value) : value);
console.log(JSON.stringify({
  api: held, accounts, postings: sum(entries, "amount"),
  sales: { rows: sales.length, amount: sum(sales, "amount"), fee: sum(sales, "fee"), net: sum(sales, "net"), refunded: sum(sales, "refunded") },
  control: { rows: salesAnswer.headers.get("X-Row-Count"), amount: salesAnswer.headers.get("X-Control-Total") },
  chain: { deposit: await holds(held.deposit_address), owner: await holds(owner) },
}, text));
