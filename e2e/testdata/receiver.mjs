// A seller's server. It takes webhooks and prints of each one what its signatures are worth, by every secret that it was
// given: by the plain HMAC of the body, and by a library that knows nothing of us.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const [port, ...secrets] = process.argv.slice(2);

const equal = (a, b) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

function plain(secret, rawBody, header) {
  const expected = createHmac('sha256', secret).update(rawBody).digest('hex');
  return equal(expected, header ?? "");
}

function standard(secret, rawBody, headers) {
  try {
    return new Webhook(secret).verify(rawBody, headers) !== undefined;
  } catch {
    return false;
  }
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const rawBody = Buffer.concat(chunks);
    const verdicts = secrets.map((secret) => ({
      plain: plain(secret, rawBody, request.headers["x-webhook-signature"]),
      next: plain(secret, rawBody, request.headers["x-webhook-signature-next"]),
      standard: standard(secret, rawBody.toString("utf8"), request.headers),
    }));
    console.log("webhook " + JSON.stringify({ id: request.headers["webhook-id"], type: request.headers["x-webhook-event"],
      attempt: request.headers["x-webhook-attempt"], body: rawBody.toString("utf8"), verdicts }));
    response.writeHead(verdicts.some((v) => v.plain || v.next) ? 204 : 401).end();
  });
});
server.listen(Number(port), "127.0.0.1", () => console.log("listening " + port));
process.on("SIGTERM", () => server.close(() => process.exit(0)) && server.closeAllConnections());
