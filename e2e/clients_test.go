package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The demo's first link, as the world is made.
const (
	demoTitle = "Flat white"
	demoUnits = 50_000
)

// cache is where the tests find what is installed outside the tree.
func cache(variable string, below ...string) string {
	if dir := os.Getenv(variable); dir != "" {
		return filepath.Join(append([]string{dir}, below[1:]...)...)
	}
	dir := os.Getenv("XDG_CACHE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".cache")
	}
	return filepath.Join(append([]string{dir, "xsynesis"}, below...)...)
}

// npmFolder is where the packages of e2e/npm/<name> are installed.
func npmFolder(t testing.TB, name string) string {
	t.Helper()
	dir := cache("XSYNESIS_NPM", "npm", name)
	_, err := os.Stat(filepath.Join(dir, "node_modules"))
	require.NoError(t, err, "The npm packages of e2e/npm/%s are missing: `make test` installs them.", name)
	return dir
}

// clientAnswer is what a client script prints.
type clientAnswer struct {
	Status       int       `json:"status"`
	Sent         []*string `json:"sent"`
	Receipt      string    `json:"receipt"`
	OtherReceipt *string   `json:"other_receipt"`
	Body         string    `json:"body"`
}

// runClient pays with an unmodified client: the script is put where it finds the packages, as any program would.
func (w *world) runClient(t testing.TB, version int, url string) clientAnswer {
	t.Helper()
	script, err := os.ReadFile(fmt.Sprintf("pay_v%d.mjs", version))
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(npmFolder(t, fmt.Sprintf("v%d", version)), "node_modules"), filepath.Join(dir, "node_modules")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pay.mjs"), script, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", "pay.mjs", url)
	node.Dir, node.Env = dir, append(cleanEnv(), "BUYER_KEY="+w.BuyerKey)
	var stderr strings.Builder
	node.Stderr = &stderr
	out, err := node.Output()
	require.NoError(t, err, stderr.String())
	var a clientAnswer
	require.NoError(t, json.Unmarshal(out, &a), string(out))
	return a
}

func TestUnmodifiedClientPaysThePrintedLink(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for version, network := range map[int]string{1: "base-sepolia", 2: "eip155:84532"} {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			paid := w.runClient(t, version, w.PayURL)
			report(t, "client v%d: %.1f s from start of node to receipt", version, time.Since(began).Seconds())

			require.Equal(t, 200, paid.Status, paid.Body)
			require.Nil(t, paid.OtherReceipt, "a receipt of the other version")
			var header receiptHeader
			decodeHeader(t, paid.Receipt, &header)
			require.True(t, header.Success)
			require.Equal(t, network, header.Network)
			require.True(t, strings.EqualFold(w.BuyerAddress, header.Payer), header.Payer)
			var r receipt
			require.NoError(t, json.Unmarshal([]byte(paid.Body), &r))
			require.Equal(t, header.Transaction, r.Transaction)
			require.Equal(t, "settled", r.Status)
			require.Equal(t, demoTitle, r.Title)

			w.requireTransfer(t, r.Transaction, w.BuyerAddress, w.OwnerAddress, demoUnits)
			sales := w.sales(t, "transaction", r.Transaction)
			require.Len(t, sales, 1)
			require.Equal(t, demoTitle, sales[0]["item_title"])
			require.Equal(t, r.PaymentAttempt, sales[0]["payment_attempt_id"])
			w.requireReplayIsTheStoredAnswer(t, version, paid, r)
		})
	}
}

// requireReplayIsTheStoredAnswer sends a client's own payment again, to the same request and to others.
func (w *world) requireReplayIsTheStoredAnswer(t *testing.T, version int, paid clientAnswer, r receipt) {
	t.Helper()
	require.Len(t, paid.Sent, 2, "one request without a payment, one with it")
	require.Nil(t, paid.Sent[0])
	name, receiptName := "X-PAYMENT", "X-PAYMENT-RESPONSE"
	if version == 2 {
		name, receiptName = "PAYMENT-SIGNATURE", "PAYMENT-RESPONSE"
	}
	again := w.get(t, w.PayURL, name, *paid.Sent[1])
	require.Equal(t, paid.Status, again.Status)
	require.JSONEq(t, paid.Body, again.Body)
	require.Equal(t, paid.Body, again.Body)
	require.Equal(t, paid.Receipt, again.Header.Get(receiptName))

	other := w.newLink(t, "Another coffee", "0.05")
	for _, elsewhere := range []string{w.PayURL + "?table=4", other.URL} {
		refused := w.get(t, elsewhere, name, *paid.Sent[1])
		require.Equal(t, 409, refused.Status, refused.Body)
		require.Equal(t, "payment_already_used", refused.errorCode(t))
	}
	require.Len(t, w.sales(t, "transaction", r.Transaction), 1)
	require.Empty(t, w.sales(t, "item_title", other.Title))
}

// report prints a figure where every run shows it.
func report(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Logf(format, args...)
	fmt.Printf("%s: %s\n", t.Name(), fmt.Sprintf(format, args...)) //nolint:forbidigo // figures belong on stdout
}
