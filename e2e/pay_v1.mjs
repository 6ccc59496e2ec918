// Pays the URL of the first argument with the x402 client of version 1 as it comes, and prints what went over the wire.
import { privateKeyToAccount } from "viem/accounts";
import { wrapFetchWithPayment } from "x402-fetch";

const sent = [];
const recorded = (input, init) => {
  const request = new Request(input, init);
  sent.push(request.headers.get("x-payment"));
  return fetch(request);
};

const pay = wrapFetchWithPayment(recorded, privateKeyToAccount(process.env.BUYER_KEY));
const answer = await pay(process.argv[2], {});
console.log(JSON.stringify({
  status: answer.status,
  sent,
  receipt: answer.headers.get("x-payment-response"),
  other_receipt: answer.headers.get("payment-response"),
  body: await answer.text(),
}));
