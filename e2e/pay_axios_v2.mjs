// Pays the URL of the first argument with the axios client of version 2 as it comes, and prints what went over the wire.
import { wrapAxiosWithPayment, x402Client } from "@x402/axios";
import { registerExactEvmScheme } from "@x402/evm/exact/client";
import axios from "axios";
import { privateKeyToAccount } from "viem/accounts";

const sent = [];
const plain = axios.create({ validateStatus: (status) => status !== 402 });
plain.interceptors.request.use((request) => {
  sent.push(request.headers["PAYMENT-SIGNATURE"] ?? null);
  return request;
});
const client = new x402Client();
registerExactEvmScheme(client, { signer: privateKeyToAccount(process.env.BUYER_KEY) });
const answer = await wrapAxiosWithPayment(plain, client).get(process.argv[2]);
console.log(JSON.stringify({
  status: answer.status,
  sent,
  receipt: answer.headers["payment-response"] ?? null,
  other_receipt: answer.headers["x-payment-response"] ?? null,
  body: JSON.stringify(answer.data),
}));
