#!/usr/bin/env bash
# Tries the webhooks of a running gateway from end to end: starts a receiver on this machine, registers it, sends test
# events, verifies what arrives, and takes everything away again. Needs curl and Node.
#
#   BASE_URL, API_KEY  the gateway and a key of the shop; without them dev.json in DATA_DIR (.data) says both
#   RECEIVER_URL       where the gateway reaches the receiver, if not at http://127.0.0.1:<port>/hooks
#   RECEIVER_PORT      where the receiver listens; any free port if not set
#
# Prints PASS or FAIL for each step. Exits with 0 if all passed, with 1 if one failed, with 2 if it could not begin.
set -euo pipefail

dev="${DATA_DIR:-.data}/dev.json"
work="$(mktemp -d)"
receiver="" webhook="" failed=0

usage() { echo "$*" >&2; exit 2; }
pass() { echo "PASS $*"; }
fail() { echo "FAIL $*"; failed=1; }

# check DESCRIPTION COMMAND… passes if the command does.
check() {
  local what="$1"
  shift
  if "$@" >"$work/said" 2>&1; then pass "$what"; else fail "$what: $(tail -n 1 "$work/said")"; fi
}

# field NAME FILE prints a member of a JSON object, by its path.
field() {
  node -e 'let v = JSON.parse(fs.readFileSync(process.argv[2])); for (const p of process.argv[1].split(".")) v = v?.[p]; console.log(v ?? "")' "$1" "$2"
}

# api METHOD PATH [BODY] writes the answer to $work/answer, and fails if it is none that one hopes for.
api() {
  local status
  status="$(curl -sS -o "$work/answer" -w '%{http_code}' -X "$1" "$BASE_URL$2" --max-time 30 \
    -H "Authorization: Bearer $API_KEY" -H 'Content-Type: application/json' ${3+--data "$3"})"
  if [ "${status:0:1}" != 2 ]; then
    echo "$2 answered $status: $(cat "$work/answer")" >&2
    return 1
  fi
}

end() {
  local status=$?
  if [ -n "$webhook" ]; then api POST /api/webhooks/unregister "{\"id\":\"$webhook\"}" || true; fi
  if [ -n "$receiver" ]; then kill "$receiver" 2>/dev/null || true; fi
  rm -rf "$work"
  exit "$status"
}
trap end EXIT

command -v curl >/dev/null || usage "curl is missing."
command -v node >/dev/null || usage "Node is missing."
if [ -z "${BASE_URL:-}" ] || [ -z "${API_KEY:-}" ]; then
  [ -r "$dev" ] || usage "Set BASE_URL and API_KEY, or DATA_DIR to the folder of a running demo world."
  BASE_URL="${BASE_URL:-$(field base_url "$dev")}"
  API_KEY="${API_KEY:-$(field api_key "$dev")}"
fi

# The receiver keeps each request in a file of its own, and answers 204.
cat >"$work/receiver.mjs" <<'JS'
import { createServer } from "node:http";
import { writeFileSync } from "node:fs";
const [dir, port] = process.argv.slice(2);
let n = 0;
const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const kept = { headers: request.headers, body: Buffer.concat(parts).toString("base64") };
  writeFileSync(`${dir}/request-${++n}.json`, JSON.stringify(kept));
  response.writeHead(204).end();
});
server.listen(Number(port), () => writeFileSync(`${dir}/port`, String(server.address().port)));
JS

# What a shop's server should check, done by hand: verify FILE hex|standard HEADER SECRET [changed]
cat >"$work/verify.mjs" <<'JS'
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
const [file, way, header, secret, changed] = process.argv.slice(2);
const kept = JSON.parse(readFileSync(file));
const body = Buffer.from(kept.body, "base64");
if (changed) body[body.length - 2] ^= 1;
const given = kept.headers[header] ?? "";
let wanted, signatures;
if (way === "hex") {
  wanted = createHmac("sha256", secret).update(body).digest("hex");
  signatures = [given];
} else {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const signed = Buffer.concat([Buffer.from(`${kept.headers["webhook-id"]}.${kept.headers["webhook-timestamp"]}.`), body]);
  wanted = "v1," + createHmac("sha256", key).update(signed).digest("base64");
  signatures = given.split(" ");
  const age = Math.abs(Date.now() / 1000 - Number(kept.headers["webhook-timestamp"]));
  if (!(age < 300)) throw new Error(`webhook-timestamp is ${age} s away from now`);
}
const same = (s) => s.length === wanted.length && timingSafeEqual(Buffer.from(s), Buffer.from(wanted));
if (!signatures.some(same)) throw new Error(`${header} ${JSON.stringify(given)} does not fit`);
JS

refuses() { ! node "$work/verify.mjs" "$@"; }

# arrives N waits for the receiver's Nth request.
arrives() {
  local i
  for i in $(seq 1 150); do
    if [ -s "$work/request-$1.json" ]; then return; fi
    sleep 0.1
  done
  echo "nothing arrived in 15 s" >&2
  return 1
}

# delivered waits until the log says that the webhook's newest delivery succeeded.
delivered() {
  local i
  for i in $(seq 1 50); do
    api GET "/api/webhooks/deliveries?webhook_subscription_id=$webhook&limit=1"
    if [ "$(field data.0.status "$work/answer")" = delivered ]; then return; fi
    sleep 0.1
  done
  echo "the log says: $(cat "$work/answer")" >&2
  return 1
}

is() { [ "$1" = "$2" ] || { echo "$1 is not $2" >&2; return 1; }; }

node "$work/receiver.mjs" "$work" "${RECEIVER_PORT:-0}" &
receiver=$!
for _ in $(seq 1 100); do
  if [ -s "$work/port" ]; then break; fi
  kill -0 "$receiver" 2>/dev/null || usage "The receiver does not start."
  sleep 0.1
done
url="${RECEIVER_URL:-http://127.0.0.1:$(cat "$work/port")/hooks}"

api POST /api/webhooks/register "{\"url\":\"$url\",\"events\":[\"webhook.test\"],\"active\":true,\"description\":\"scripts/test-webhooks.sh\"}" ||
  { fail "register $url"; exit 1; }
webhook="$(field webhook_subscription_id "$work/answer")" secret="$(field secret "$work/answer")"
pass "registered $webhook for $url"

if ! api POST /api/webhooks/test "{\"id\":\"$webhook\"}" || ! arrives 1; then
  fail "a test event arrives"
  exit 1
fi
pass "a test event arrives"
first="$work/request-1.json"
check "X-Webhook-Signature fits the raw body" node "$work/verify.mjs" "$first" hex x-webhook-signature "$secret"
check "webhook-signature fits id, time and body" node "$work/verify.mjs" "$first" standard webhook-signature "$secret"
check "a changed body does not fit" refuses "$first" hex x-webhook-signature "$secret" changed
check "another secret does not fit" refuses "$first" standard webhook-signature whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
node -e 'fs.writeFileSync(process.argv[2], Buffer.from(JSON.parse(fs.readFileSync(process.argv[1])).body, "base64"))' "$first" "$work/event.json"
check "the event is webhook.test" is "$(field event_type "$work/event.json")" webhook.test
check "webhook-id is the event's id" is "$(field headers.webhook-id "$first")" "$(field id "$work/event.json")"
check "the log says that it was delivered" delivered

api POST /api/webhooks/rotate_secret "{\"id\":\"$webhook\"}" || { fail "rotate the secret"; exit 1; }
next="$(field secret "$work/answer")"
if ! api POST /api/webhooks/test "{\"id\":\"$webhook\"}" || ! arrives 2; then
  fail "a test event arrives during the rotation"
  exit 1
fi
pass "a test event arrives during the rotation"
second="$work/request-2.json"
check "X-Webhook-Signature fits the old secret" node "$work/verify.mjs" "$second" hex x-webhook-signature "$secret"
check "X-Webhook-Signature-Next fits the new secret" node "$work/verify.mjs" "$second" hex x-webhook-signature-next "$next"
check "webhook-signature fits the old secret" node "$work/verify.mjs" "$second" standard webhook-signature "$secret"
check "webhook-signature fits the new secret" node "$work/verify.mjs" "$second" standard webhook-signature "$next"

api POST /api/webhooks/unregister "{\"id\":\"$webhook\"}" && webhook="" && pass "unregistered" || fail "unregister"
exit "$failed"
