// A facilitator of version 2 and 1 as the packages make one, on the chain of RPC_URL, paid for by GAS_KEY.
// It prints "ready" with its port. FREEZE stops it "before" or "after" it sends, which it prints as well.
import { x402Facilitator } from "@x402/core/facilitator";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { registerExactEvmScheme } from "@x402/evm/exact/facilitator";
import express from "express";
import { createWalletClient, http, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { baseSepolia } from "viem/chains";

const account = privateKeyToAccount(process.env.GAS_KEY);
const client = createWalletClient({ account, chain: baseSepolia, transport: http(process.env.RPC_URL) }).extend(publicActions);
const freeze = async (when) => {
  if (process.env.FREEZE !== when) return;
  console.log(`frozen ${when}`);
  await new Promise(() => {});
};
const send = async (q) => {
  await freeze("before");
  const hash = await client.writeContract(q);
  await freeze("after");
  return hash;
};
const signer = toFacilitatorEvmSigner({
  address: account.address,
  getCode: (q) => client.getCode(q),
  readContract: (q) => client.readContract(q),
  verifyTypedData: (q) => client.verifyTypedData(q),
  writeContract: send,
  sendTransaction: (q) => client.sendTransaction(q),
  waitForTransactionReceipt: (q) => client.waitForTransactionReceipt({ ...q, pollingInterval: 200 }),
});
const facilitator = new x402Facilitator();
registerExactEvmScheme(facilitator, { signer, networks: "eip155:84532" });

const app = express().use(express.json());
const answers = (call) => async (q, a) => {
  try { a.json(await call(q.body)); } catch (problem) { a.status(500).json({ error: String(problem?.message ?? problem) }); }
};
app.get("/supported", answers(() => facilitator.getSupported()));
app.post("/verify", answers((q) => facilitator.verify(q.paymentPayload, q.paymentRequirements)));
app.post("/settle", answers((q) => facilitator.settle(q.paymentPayload, q.paymentRequirements)));
const server = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => console.log(`ready ${server.address().port}`));
