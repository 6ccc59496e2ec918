// Counts what came to an address, with eth_getLogs: count_transfers.mjs <RPC URL> <token> <payee>.
import { createPublicClient, http, parseAbi, parseAbiItem } from "viem";

const [url, token, payee] = process.argv.slice(2);
const client = createPublicClient({ transport: http(url) });
const logs = await client.getLogs({
  address: token, args: { to: payee }, fromBlock: 0n, toBlock: "latest",
  event: parseAbiItem("event Transfer(address indexed from, address indexed to, uint256 value)"),
});
const balance = await client.readContract({
  address: token, functionName: "balanceOf", args: [payee],
  abi: parseAbi(["function balanceOf(address owner) view returns (uint256)"]),
});
console.log(JSON.stringify({
  transfers: logs.length,
  transactions: new Set(logs.map((l) => l.transactionHash)).size,
  value: String(logs.reduce((sum, l) => sum + l.args.value, 0n)),
  balance: String(balance),
}));
