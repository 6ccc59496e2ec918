// A server of version 1 as the packages make one: /weather for one cent, to PAY_TO, by the facilitator of FACILITATOR.
// It prints "ready" with its port; /calls says how often its work was done.
import express from "express";
import { paymentMiddleware } from "x402-express";

let calls = 0;
const app = express();
app.get("/calls", (q, a) => a.json(calls));
app.use(paymentMiddleware(process.env.PAY_TO, { "GET /weather": { price: "$0.01", network: "base-sepolia", config: { description: "Weather" } } },
  { url: process.env.FACILITATOR }));
app.get("/weather", (q, a) => { calls++; a.json({ weather: "sunny" }); });
const server = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => console.log(`ready ${server.address().port}`));
