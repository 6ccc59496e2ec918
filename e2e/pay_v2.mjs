// Pays the URL of the first argument with the x402 client of version 2 as it comes, and prints what went over the wire.
import { registerExactEvmScheme } from "@x402/evm/exact/client";
import { wrapFetchWithPayment, x402Client } from "@x402/fetch";
import { privateKeyToAccount } from "viem/accounts";

const sent = [];
const recorded = (input, init) => {
  const request = new Request(input, init);
  sent.push(request.headers.get("payment-signature"));
  return fetch(request);
};

const client = new x402Client();
registerExactEvmScheme(client, { signer: privateKeyToAccount(process.env.BUYER_KEY) });
const answer = await wrapFetchWithPayment(recorded, client)(process.argv[2]);
console.log(JSON.stringify({
  status: answer.status,
  sent,
  receipt: answer.headers.get("payment-response"),
  other_receipt: answer.headers.get("x-payment-response"),
  body: await answer.text(),
}));
