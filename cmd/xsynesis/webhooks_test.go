package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"xsynesis/cmd/process"
	"xsynesis/webhook"
)

// command runs xsynesis as the shell would.
func command(args ...string) (code int, stdout, stderr string) {
	var out, problems bytes.Buffer
	code = process.Run(&cli{}, "xsynesis", "", args, &out, &problems)
	return code, out.String(), problems.String()
}

func TestWebhookCommandsThatMakeNoSenseAreMistakesOfUsage(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"no key":              {"listen", "--forward-to", "http://localhost:1"},
		"no target":           {"listen", "--key", "sk_test_x"},
		"a target elsewhere":  {"listen", "--key", "sk_test_x", "--forward-to", "ftp://localhost/x"},
		"an unknown event":    {"listen", "--key", "sk_test_x", "--forward-to", "http://localhost:1", "--events", "payment.maybe"},
		"a made-up event":     {"trigger", "--key", "sk_test_x", "payment.completed"},
		"an event unheard of": {"trigger", "--key", "sk_test_x", "payment.maybe", "--forward-to", "http://localhost:1"},
		"a gateway elsewhere": {"trigger", "--key", "sk_test_x", "--url", "localhost:8402"},
		"nothing to replay":   {"replay", "--key", "sk_test_x"},
		"two things":          {"replay", "--key", "sk_test_x", "dlv_1", "--failed-since", "2h"},
		"no time":             {"replay", "--key", "sk_test_x", "--failed-since", "yesterday"},
		"no command":          {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := command(append([]string{"webhooks"}, args...)...)
			require.Equal(t, 2, code, stderr)
			require.Empty(t, stdout)
			require.Contains(t, stderr, "--help")
		})
	}
}

func TestWebhookCommandsSayWhatTheyDo(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"listen", "trigger", "replay"} {
		code, stdout, stderr := command("webhooks", name, "--help")
		require.Zero(t, code)
		require.Contains(t, stdout, "$XSYNESIS_API_KEY", name)
		require.Empty(t, stderr)
	}
}

func TestAGatewayThatIsAwayOrRefusesFailsTheCommand(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := command("webhooks", "trigger", "--key", "sk_test_secret", "--url", "http://127.0.0.1:1")
	require.Equal(t, 1, code)
	require.Empty(t, stdout)
	require.NotContains(t, stderr, "sk_test_secret")

	elsewhere := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/steal", http.StatusTemporaryRedirect))
	t.Cleanup(elsewhere.Close)
	code, _, stderr = command("webhooks", "trigger", "--key", "sk_test_secret", "--url", elsewhere.URL)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "the gateway answered 307")
}

func TestReadTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"36h": now.Add(-36 * time.Hour), "90m": now.Add(-90 * time.Minute),
		"2026-01-01T00:00:00Z": time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "2026-01-01T00:00:00+02:00": time.Date(2025, 12, 31, 22, 0, 0, 0, time.UTC),
	} {
		got, err := readTime(text, now)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "-3h", "2026-01-01", "0"} {
		_, err := readTime(text, now)
		require.Error(t, err, text)
	}
}

func TestOnlyRefusalsThatLastEndTheWaiting(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{401: true, 403: true, 404: true, 421: true, 429: false, 500: false, 503: false} {
		require.Equal(t, want, lasting(refusal(status, nil)), status)
	}
}

func TestMadeUpEventsFitTheirSchema(t *testing.T) {
	t.Parallel()
	for _, kind := range webhook.Types {
		e, err := madeUp(kind, time.Now())
		require.NoError(t, err)
		require.NotEmpty(t, e.ResourceID, kind)
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(kind.Schema()))
		require.NoError(t, err)
		c := jsonschema.NewCompiler()
		require.NoError(t, c.AddResource("event.json", schema))
		compiled, err := c.Compile("event.json")
		require.NoError(t, err)
		body, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.body))
		require.NoError(t, err)
		require.NoError(t, compiled.Validate(body), kind)
	}
}

func TestAMadeUpEventIsSignedAndItsAnswerCounts(t *testing.T) {
	t.Parallel()
	secret, status := webhook.NewSecret(), http.StatusNoContent
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		hexed, _ := webhook.Sign(secret, "", time.Time{}, body)
		if r.Header.Get(webhook.HeaderSignature) != hexed {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	trigger := func(secret string) (int, string, string) {
		return command("webhooks", "trigger", "payment.completed", "--forward-to", server.URL, "--secret", secret)
	}
	code, stdout, stderr := trigger(secret)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "payment.completed → 204")
	code, _, stderr = trigger(webhook.NewSecret())
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "answered 401")
}
