// Asks the facilitator of FACILITATOR to verify and settle what stands in ASKED, signed in as the packages sign in at
// Coinbase's, and prints the headers that they make.
import { createCdpAuthHeaders } from "@coinbase/x402";
import { HTTPFacilitatorClient } from "@x402/core/server";

const headers = createCdpAuthHeaders(process.env.CDP_API_KEY_ID, process.env.CDP_API_KEY_SECRET);
const asked = JSON.parse(process.env.ASKED);
const client = new HTTPFacilitatorClient({ url: process.env.FACILITATOR, createAuthHeaders: headers });
await client.verify(asked.paymentPayload, asked.paymentRequirements);
await client.settle(asked.paymentPayload, asked.paymentRequirements);
console.log(JSON.stringify(await headers()));
