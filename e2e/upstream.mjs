// A seller's own server, as sellers write them: it knows nothing of payments, and counts what it is asked for.
// It prints "ready" with its port.
import express from "express";

const app = express();
const asked = {};
let last = {};
app.use(express.json());
app.use((request, response, next) => {
  if (request.path !== "/asked") {
    asked[request.path] = (asked[request.path] ?? 0) + 1;
    last = { method: request.method, url: request.originalUrl, headers: request.headers, body: request.body ?? null };
  }
  next();
});
app.get("/asked", (_, response) => response.json({ asked, last }));
app.all("/v1/weather/:place", (request, response) => {
  response.set("Set-Cookie", "a=b").set("X-Weather", "dry").set("X-Accel-Redirect", "/private");
  response.json({ place: request.params.place, rain: false, body: request.body ?? null });
});
app.all("/v1/broken", (_, response) => response.status(500).json({ error: "it is broken" }));
app.all("/v1/moved", (_, response) => response.redirect("http://169.254.169.254/latest/meta-data/"));
app.all("/v1/large", (_, response) => response.send(Buffer.alloc(5 << 20, "x")));
app.all("/v1/stalled", () => {});
app.all("/v1/broken-off", (_, response) => {
  response.set("Content-Length", "100").write("half");
  setTimeout(() => response.destroy(), 50);
});
const server = app.listen(0, "127.0.0.1", () => console.log(`ready ${server.address().port}`));
