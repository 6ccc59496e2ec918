// A server of version 2 as the packages make one: /weather for one cent, to PAY_TO, by the facilitator of FACILITATOR.
// It prints "ready" with its port; /calls says how often its work was done.
import { HTTPFacilitatorClient } from "@x402/core/server";
import { ExactEvmScheme } from "@x402/evm/exact/server";
import { paymentMiddleware, x402ResourceServer } from "@x402/express";
import express from "express";

const facilitator = new HTTPFacilitatorClient({ url: process.env.FACILITATOR });
const resources = new x402ResourceServer(facilitator).register("eip155:84532", new ExactEvmScheme());
const accepts = { scheme: "exact", price: "$0.01", network: "eip155:84532", payTo: process.env.PAY_TO };

let calls = 0;
const app = express();
app.get("/calls", (q, a) => a.json(calls));
app.use(paymentMiddleware({ "GET /weather": { accepts, description: "Weather", mimeType: "application/json" } }, resources));
app.get("/weather", (q, a) => { calls++; a.json({ weather: "sunny" }); });
const server = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => console.log(`ready ${server.address().port}`));
