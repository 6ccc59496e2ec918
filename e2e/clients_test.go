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

// scriptFolder is where a script finds the packages of e2e/npm/<packages>, as any program would.
func scriptFolder(t testing.TB, packages, script string) string {
	t.Helper()
	text, err := os.ReadFile(script)
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(npmFolder(t, packages), "node_modules"), filepath.Join(dir, "node_modules")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(script)), text, 0o600))
	return dir
}

// runNPM runs a script among the packages of e2e/npm/<packages> to its end, and reads the JSON that it prints.
func runNPM(t testing.TB, out any, packages, script string, env []string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", append([]string{script}, args...)...)
	node.Dir, node.Env = scriptFolder(t, packages, script), append(cleanEnv(), env...)
	var stderr strings.Builder
	node.Stderr = &stderr
	printed, err := node.Output()
	require.NoError(t, err, stderr.String())
	require.NoError(t, json.Unmarshal(printed, out), string(printed))
}

// npmServer is a running server of npm packages.
type npmServer struct {
	*child
	url string
}

// serveNPM starts a server of the packages of e2e/npm/<packages>. It ends with the test.
func serveNPM(t testing.TB, packages, script string, env ...string) npmServer {
	t.Helper()
	node, err := exec.LookPath("node")
	require.NoError(t, err)
	c := startWith(t, append(cleanEnv(), env...), scriptFolder(t, packages, script), node, script)
	port, err := c.await("ready ", readyTimeout)
	require.NoError(t, err)
	return npmServer{c, "http://127.0.0.1:" + port}
}

// startWith starts a program that ends with the test.
func startWith(t testing.TB, env []string, dir, path string, args ...string) *child {
	t.Helper()
	c, err := startProgram(env, dir, path, args...)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s %s wrote:\n%s", path, strings.Join(args, " "), c.log())
		}
		c.kill()
	})
	return c
}

// runClient pays with the unmodified client of a version.
func (w *world) runClient(t testing.TB, version int, url string) clientAnswer {
	t.Helper()
	return w.runPayer(t, fmt.Sprintf("v%d", version), fmt.Sprintf("pay_v%d.mjs", version), url)
}

// runPayer pays with an unmodified client.
func (w *world) runPayer(t testing.TB, packages, script, url string) (a clientAnswer) {
	t.Helper()
	runNPM(t, &a, packages, script, []string{"BUYER_KEY=" + w.BuyerKey}, url)
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

			w.requireTransfer(t, r.Transaction, w.BuyerAddress, w.payTo(t), demoUnits)
			sales := w.sales(t, "payment_attempt_id", r.PaymentAttempt)
			require.Len(t, sales, 1)
			require.Equal(t, demoTitle, sales[0]["item_title"])
			require.Equal(t, r.Transaction, sales[0]["transaction"])
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
	require.Len(t, w.sales(t, "payment_attempt_id", r.PaymentAttempt), 1)
	require.Empty(t, w.sales(t, "item_title", other.Title))
}

// report prints a figure where every run shows it.
func report(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Logf(format, args...)
	fmt.Printf("%s: %s\n", t.Name(), fmt.Sprintf(format, args...)) //nolint:forbidigo // figures belong on stdout
}
