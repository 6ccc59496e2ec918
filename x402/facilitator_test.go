package x402_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/x402"
)

// facilitatorAt is a client of a server that answers as the test says.
func facilitatorAt(t *testing.T, o x402.RemoteOptions, answer http.HandlerFunc) *x402.Remote {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	remote, err := x402.NewRemote(server.URL+"/base/", o)
	require.NoError(t, err)
	return remote
}

func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestAFacilitatorIsAskedInTheVersionOfThePayment(t *testing.T) {
	t.Parallel()
	for _, version := range []int{1, 2} {
		p, want := paid(version), weather
		var path string
		var body []byte
		f := facilitatorAt(t, x402.RemoteOptions{}, func(w http.ResponseWriter, r *http.Request) {
			path = r.Method + " " + r.URL.Path
			body, _ = io.ReadAll(r.Body)
			_, _ = io.WriteString(w, `{"isValid":true,"payer":"0xabc","invalidReason":null}`)
		})
		verdict, err := f.Verify(t.Context(), p, want)
		require.NoError(t, err)
		require.Equal(t, x402.Verdict{Valid: true, Payer: "0xabc"}, verdict)
		require.Equal(t, "POST /base/verify", path)

		asked, err := x402.DecodeAsked(body)
		require.NoError(t, err, "what we ask is what we understand")
		require.Equal(t, p.JSON(), asked.Payment.JSON())
		same, err := asked.Requirement.For(want.Token, version)
		require.NoError(t, err)
		same.Resource = want.Resource
		require.Equal(t, want, same)
		var wire struct {
			PaymentRequirements map[string]any `json:"paymentRequirements"`
		}
		require.NoError(t, json.Unmarshal(body, &wire))
		_, one := wire.PaymentRequirements["maxAmountRequired"]
		require.Equal(t, version == 1, one)
	}
}

func TestAFacilitatorsAnswerCountsWhateverItsStatus(t *testing.T) {
	t.Parallel()
	p, want := paid(2), weather
	for _, status := range []int{200, 400, 402, 403, 429, 500} {
		f := facilitatorAt(t, x402.RemoteOptions{}, answering(status, `{"success":false,"errorReason":"insufficient_funds","transaction":"","network":"eip155:84532","isValid":false,"invalidReason":"invalid_payload"}`))
		settled, err := f.Settle(t.Context(), p, want)
		require.NoError(t, err, status)
		require.Equal(t, x402.Settled{Reason: "insufficient_funds", Network: "eip155:84532"}, settled)
		verdict, err := f.Verify(t.Context(), p, want)
		require.NoError(t, err, status)
		require.Equal(t, x402.Verdict{Reason: "invalid_payload"}, verdict)
	}
}

// TestOnlyWhatSurelyDidNothingIsBefore tells the failures after which another facilitator may be asked from those after
// which nobody may.
func TestOnlyWhatSurelyDidNothingIsBefore(t *testing.T) {
	t.Parallel()
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := closed.Addr().String()
	require.NoError(t, closed.Close())
	hang := func(http.ResponseWriter, *http.Request) { time.Sleep(400 * time.Millisecond) }
	cut := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"success":`)
	}
	elsewhere := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		class  string
		before bool
	}{
		"nobody listens":            {nil, "connect", true},
		"401":                       {answering(401, "who?"), "refused", true},
		"404":                       {answering(404, "<html>"), "refused", true},
		"429":                       {answering(429, "slow down"), "limited", true},
		"a redirect to a page":      {elsewhere, "refused", true},
		"303, see what was done":    {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/done", http.StatusSeeOther) }, "answer", false},
		"it hangs":                  {hang, "timeout", false},
		"it hangs up":               {cut, "reset", false},
		"half an answer":            {half, "reset", false},
		"200 with garbage":          {answering(200, "OK!"), "answer", false},
		"200 without what happened": {answering(200, `{"transaction":"0x1"}`), "answer", false},
		"400 without what happened": {answering(400, `{"error":"Invalid request"}`), "answer", false},
		"402 without what happened": {answering(402, `{}`), "answer", false},
		"500":                       {answering(500, "oops"), "answer", false},
		"503":                       {answering(503, "busy"), "answer", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, want := paid(2), weather
			f, err := x402.NewRemote("http://"+nobody, x402.RemoteOptions{})
			require.NoError(t, err)
			if tt.answer != nil {
				f = facilitatorAt(t, x402.RemoteOptions{Timeout: 200 * time.Millisecond}, tt.answer)
			}
			_, err = f.Settle(t.Context(), p, want)
			var failed *x402.FacilitatorError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, tt.before, failed.Before, err)
			require.Equal(t, tt.class, failed.Class, err)
			_, err = f.Verify(t.Context(), p, want)
			require.ErrorAs(t, err, &failed)
			require.True(t, failed.Before, "nothing moves by looking")
		})
	}
}

func TestAFacilitatorIsAskedAgainWhenItSaid(t *testing.T) {
	t.Parallel()
	asked := 0
	f := facilitatorAt(t, x402.RemoteOptions{}, func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = io.WriteString(w, `{"kinds":[{"x402Version":1,"scheme":"exact","network":"base-sepolia"},{"x402Version":2,"scheme":"upto","network":"eip155:84532","extra":{"a":1}}]}`)
	})
	began := time.Now()
	s, err := f.Supported(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(began), 2*time.Second)
	version, ok := s.Version(x402.BaseSepolia)
	require.True(t, ok)
	require.Equal(t, 1, version)
	_, ok = s.Version(x402.Base)
	require.False(t, ok)
}

func TestCredentialsAreMadeForEachCall(t *testing.T) {
	t.Parallel()
	p, want := paid(2), weather
	var sent []string
	f := facilitatorAt(t, x402.RemoteOptions{Headers: func(method string, u *url.URL) (http.Header, error) {
		if u.Path == "/base/settle" {
			return nil, errors.New("no key")
		}
		return http.Header{"Authorization": {method + " " + u.Path}}, nil
	}}, func(_ http.ResponseWriter, r *http.Request) { sent = append(sent, r.Header.Get("Authorization")) })
	_, _ = f.Supported(t.Context())
	_, _ = f.Verify(t.Context(), p, want)
	require.Equal(t, []string{"GET /base/supported", "POST /base/verify"}, sent)
	_, err := f.Settle(t.Context(), p, want)
	var failed *x402.FacilitatorError
	require.ErrorAs(t, err, &failed)
	require.True(t, failed.Before)
	require.Len(t, sent, 2)
}

func TestAnAddressOfAFacilitatorIsOne(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "x402.org", "ftp://a", "http://", "https://user:secret@a", "https://a?b=c", "https://a#b"} {
		_, err := x402.NewRemote(address, x402.RemoteOptions{})
		require.Error(t, err, address)
	}
}

func TestAFacilitatorsReasonsAreOurs(t *testing.T) {
	t.Parallel()
	for reason, kind := range map[string]x402.Kind{
		"insufficient_funds": x402.Funds, "invalid_exact_evm_insufficient_balance": x402.Funds, "invalid_exact_evm_payload_signature": x402.Signature,
		"invalid_payload": x402.Malformed, "invalid_exact_evm_payload_authorization_valid_before": x402.Expired,
		"invalid_transaction_state": x402.Simulation, "": x402.Declined, "invalid_exact_evm_payload_from_address_kyt": x402.Declined,
	} {
		require.Equal(t, kind, x402.ReasonInvalid(reason).Kind, reason)
	}
}

func TestWhatAFacilitatorIsAskedMayBeAnything(t *testing.T) {
	t.Parallel()
	p, want := paid(1), weather
	requirement, err := json.Marshal(want.V1())
	require.NoError(t, err)
	good := func(version, payload string) []byte {
		return []byte(`{"x402Version":` + version + `,` + payload + `,"paymentRequirements":` + string(requirement) + `}`)
	}
	_, err = x402.DecodeAsked(good("1", `"paymentPayload":`+string(p.JSON())))
	require.NoError(t, err)
	_, header := p.Encode()
	asked, err := x402.DecodeAsked(good("1", `"paymentHeader":"`+header+`"`))
	require.NoError(t, err, "the first form of version 1")
	require.Equal(t, p.JSON(), asked.Payment.JSON())
	for name, body := range map[string][]byte{
		"nothing": nil, "no JSON": []byte("x"), "a list": []byte("[]"), "null": []byte("null"), "empty": []byte("{}"),
		"another version": good("3", `"paymentPayload":`+string(p.JSON())), "a version in quotes": good(`"1"`, `"paymentPayload":`+string(p.JSON())),
		"two versions": good("2", `"paymentPayload":`+string(p.JSON())), "no payment": good("1", `"paymentPayload":null`),
		"two payments in one name": good("1", `"paymentPayload":{},"paymentPayload":`+string(p.JSON())),
		"no requirement":           []byte(`{"x402Version":1,"paymentPayload":` + string(p.JSON()) + `,"paymentRequirements":null}`),
		"a requirement in a list":  []byte(`{"x402Version":1,"paymentPayload":` + string(p.JSON()) + `,"paymentRequirements":[` + string(requirement) + `]}`),
		"deep":                     bytes.Repeat([]byte("["), 10_000),
	} {
		_, err := x402.DecodeAsked(body)
		var invalid *x402.Invalid
		require.ErrorAs(t, err, &invalid, name)
	}
}
