package handlers_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const callbackSecret = "what facilitators sign with"

func callbackSignature(body string) string {
	mac := hmac.New(sha256.New, []byte(callbackSecret))
	_, _ = mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// callbacks is how many are kept that came so many times.
func callbacks(a *apiWorld, times int) (n int) {
	require.NoError(a.t, a.pool.QueryRow(a.t.Context(), `SELECT count(*) FROM facilitator_callbacks WHERE times = $1`, times).Scan(&n))
	return n
}

func TestCallbacksAreSigned(t *testing.T) {
	t.Parallel()
	const path = "/api/facilitator/webhook"
	const body = `{ "payment_attempt_id":"pa_1111111111111111111111", "success":true, "more":[1] }`
	good := callbackSignature(body)
	for name, tt := range map[string]struct {
		headers []with
		body    string
		status  int
	}{
		"none":                      {nil, body, 401},
		"empty":                     {[]with{header("X-Signature", "")}, body, 401},
		"wrong":                     {[]with{header("X-Signature", callbackSignature(body+" "))}, body, 401},
		"under another name":        {[]with{header("X-Webhook-Signature", good)}, body, 401},
		"half":                      {[]with{header("X-Signature", good[:32])}, body, 401},
		"no hex":                    {[]with{header("X-Signature", strings.Repeat("z", 64))}, body, 401},
		"another algorithm":         {[]with{header("X-Signature", "sha1="+good)}, body, 401},
		"of the re-serialised body": {[]with{header("X-Signature", callbackSignature(`{"payment_attempt_id":"pa_1111111111111111111111","success":true,"more":[1]}`))}, body, 401},
		"good":                      {[]with{header("X-Facilitator-Signature", good)}, body, 200},
		"good, in the second":       {[]with{header("X-Signature", good)}, body, 200},
		"good, in the third":        {[]with{header("X-Hub-Signature-256", "sha256="+good)}, body, 200},
		"good, in capitals":         {[]with{header("X-Signature", "SHA256="+strings.ToUpper(good))}, body, 200},
		"good beside a wrong one":   {[]with{header("X-Signature", "00"), header("X-Hub-Signature-256", good)}, body, 200},
		"good, of no JSON":          {[]with{header("X-Signature", callbackSignature("no JSON \x00\xff"))}, "no JSON \x00\xff", 200},
		"good, of nothing":          {[]with{header("X-Signature", callbackSignature(""))}, "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newWorld(t)
			r := a.do("POST", path, strings.NewReader(tt.body), tt.headers...)
			require.Equal(t, tt.status, r.status, string(r.body))
			kept := callbacks(a, 1)
			require.Equal(t, tt.status == 200, kept == 1, "kept %d", kept)
			if tt.status != 200 {
				require.Equal(t, "signature_refused", r.errorCode())
				return
			}
			again := a.do("POST", path, strings.NewReader(tt.body), tt.headers...)
			require.Equal(t, 200, again.status)
			require.Equal(t, 1, callbacks(a, 2))
		})
	}
}

func TestTheGatewayAsAFacilitatorAnswersInTheProtocolsWords(t *testing.T) {
	t.Parallel()
	a := newWorld(t)
	supported := a.get("/facilitator/supported")
	require.Equal(t, 200, supported.status)
	require.JSONEq(t, `{"kinds":[],"extensions":[],"signers":{}}`, string(supported.body))
	for name, body := range map[string]string{"nothing": "", "no JSON": "{", "no payment": `{"x402Version":2}`, "another version": `{"x402Version":9,"paymentPayload":{},"paymentRequirements":{}}`} {
		verify := a.do("POST", "/facilitator/verify", strings.NewReader(body))
		require.Contains(t, string(verify.body), `"isValid":false`, name)
		require.Contains(t, []int{200, 400}, verify.status, name)
		settle := a.do("POST", "/facilitator/settle", strings.NewReader(body))
		require.Contains(t, string(settle.body), `"success":false`, name)
		require.Contains(t, string(settle.body), `"transaction":""`, name)
	}
}
