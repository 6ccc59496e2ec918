// Pays the URL of the first argument with the axios client of version 1 as it comes, and prints what went over the wire.
import axios from "axios";
import { privateKeyToAccount } from "viem/accounts";
import { withPaymentInterceptor } from "x402-axios";

const sent = [];
const client = axios.create({ validateStatus: (status) => status !== 402 });
client.interceptors.request.use((request) => {
  sent.push(request.headers["X-PAYMENT"] ?? null);
  return request;
});
const answer = await withPaymentInterceptor(client, privateKeyToAccount(process.env.BUYER_KEY)).get(process.argv[2]);
console.log(JSON.stringify({
  status: answer.status,
  sent,
  receipt: answer.headers["x-payment-response"] ?? null,
  other_receipt: answer.headers["payment-response"] ?? null,
  body: JSON.stringify(answer.data),
}));
