package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

const signInApp = "cm0shop00000000000000"

// signIns is the sign-in service Privy, as far as its tokens go.
type signIns struct {
	key *ecdsa.PrivateKey
	pem string
}

func newSignIns(t *testing.T) signIns {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	return signIns{key, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
}

// token lets one of its users in for an hour.
func (s signIns) token(t *testing.T, user string) string {
	t.Helper()
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "privy.io", "aud": signInApp, "sub": "did:privy:" + user, "sid": "s1", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}).SignedString(s.key)
	require.NoError(t, err)
	return token
}

// hires lets somebody who signs in elsewhere work in the café, and returns what he is a bearer of.
func (w *world) hires(t *testing.T, s signIns, user, role string) string {
	t.Helper()
	owner, token := w.ownerCookie(t), s.token(t, user)
	invited := w.sends(t, "/dashboard/staff/invites", url.Values{"name": {"Freja Lind"}, "role": {role}}, owner)
	invitation := invited.found(t, `(/invite/[\w-]{43})`)
	body, err := json.Marshal(object{"token": token, "name": "Freja Lind", "invite": strings.TrimPrefix(invitation, "/invite/")})
	require.NoError(t, err)
	in := w.do(t, http.MethodPost, "/api/auth/privy", string(body), "Content-Type", "application/json", "Origin", w.BaseURL)
	require.Equal(t, http.StatusOK, in.Status, in.Body)
	require.Equal(t, http.StatusSeeOther, w.sends(t, invitation, nil, in.cookie(t, "sid")).Status)
	return token
}

// available is what the café may have paid out, in base units.
func (w *world) available(t *testing.T) int64 {
	t.Helper()
	a := w.get(t, "/api/balance", "Authorization", "Bearer "+w.APIKey)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var list struct {
		Data []struct{ Network, Available string }
	}
	require.NoError(t, json.Unmarshal([]byte(a.Body), &list), a.Body)
	require.Len(t, list.Data, 1)
	require.Equal(t, w.Network, list.Data[0].Network)
	units, err := strconv.ParseInt(list.Data[0].Available, 10, 64)
	require.NoError(t, err)
	return units
}

// TestFromASignInToAPayout is a shop's whole business, by separate processes for web, worker and webhooks: somebody signs in
// with a token of another service, makes a link and reads its code, registers a webhook; a buyer pays in a browser; the
// seller's server hears and verifies it; the balance is that much higher, and is paid out, of which the server hears as well.
func TestFromASignInToAPayout(t *testing.T) {
	t.Parallel()
	people := newSignIns(t)
	w := startChainAndDatabase(t, "PRIVY_APP_ID="+signInApp, "PRIVY_VERIFICATION_KEY="+people.pem)
	w.seed(t)
	w.startProcess(t, w.Env, "xsynesis", "serve")
	w.startProcess(t, w.with("RELAYER_KEY="+w.RelayerKey), "xsynesis", "worker")
	w.startProcess(t, w.Env, "xsynesis", "webhook-dispatcher")
	w.awaitReady(t)

	freja := *w
	freja.APIKey = people.token(t, "freja0000000000000000")
	require.Equal(t, http.StatusUnauthorized, freja.get(t, "/api/payment_links/list", "Authorization", "Bearer "+freja.APIKey).Status, "nobody knows her yet")
	freja.APIKey = w.hires(t, people, "freja0000000000000000", "manager")
	l := freja.newLink(t, "Cinnamon roll", "0.10")
	require.Equal(t, l.URL, freja.readQR(t, l.Token))
	s := freja.registerWebhook(t, "payment.completed", "settlement.confirmed", "payout.created")
	server := w.startReceiver(t, s.port, s.Secret, strangersSecret)

	before := w.available(t)
	for _, h := range server.hears(t, w.buysWithBrowser(t, l)) {
		require.Equal(t, []verdict{{Plain: true, Standard: true}, {}}, h.Verdicts, h.Type)
	}
	require.Equal(t, before+100_000, w.available(t))

	forbidden := freja.do(t, http.MethodPost, "/api/payouts/create", `{"amount":"100000","destination_wallet":"`+w.OwnerAddress+`"}`,
		"Authorization", "Bearer "+freja.APIKey, "Content-Type", "application/json")
	require.Equal(t, http.StatusForbidden, forbidden.Status, forbidden.Body)
	had := w.balance(t, w.OwnerAddress)
	var made struct {
		PayoutID    string `json:"payout_id"`
		Status      string `json:"status"`
		Amount      string `json:"amount"`
		Destination string `json:"destination_wallet"`
	}
	w.call(t, "/api/payouts/create", object{"amount_cents": 10, "destination_wallet": w.OwnerAddress}, &made)
	require.Contains(t, []string{"queued", "processing"}, made.Status, "as far as a worker has come when it is read")
	require.Equal(t, "100000", made.Amount)
	server.hearsOfPayout(t, w, made.PayoutID)
	require.Equal(t, before, w.available(t))
	require.Eventually(t, func() bool { return w.balance(t, w.OwnerAddress) == had+100_000 }, hearTimeout, 100*time.Millisecond)
	require.Eventually(t, func() bool { return w.payoutIs(t, made.PayoutID) == "completed" }, hearTimeout, 100*time.Millisecond)
	require.NoError(t, server.stop())
	require.NoError(t, w.audit())
}

// hearsOfPayout waits for the event of a payout and checks what it says.
func (r receiver) hearsOfPayout(t *testing.T, w *world, payout string) {
	t.Helper()
	var told heard
	require.Eventually(t, func() bool {
		for _, h := range r.all(t) {
			if h.Type == "payout.created" {
				told = h
			}
		}
		return told.ID != ""
	}, hearTimeout, 50*time.Millisecond, "the seller's server has not heard of %s", payout)
	require.Equal(t, []verdict{{Plain: true, Standard: true}, {}}, told.Verdicts)
	var b struct {
		Type         string `json:"event_type"`
		SellerID     string `json:"seller_id"`
		ResourceType string `json:"resource_type"`
		ResourceID   string `json:"resource_id"`
		Sequence     int    `json:"sequence"`
		Payload      struct {
			PayoutID    string `json:"payout_id"`
			AmountCents int    `json:"amount_cents"`
			Amount      string `json:"amount"`
			Destination string `json:"destination_wallet"`
			Status      string `json:"status"`
		} `json:"payload"`
	}
	require.NoError(t, json.Unmarshal([]byte(told.Body), &b), told.Body)
	require.Equal(t, []any{"payout.created", w.SellerID, "payout", payout, 1}, []any{b.Type, b.SellerID, b.ResourceType, b.ResourceID, b.Sequence})
	p := b.Payload
	require.Equal(t, []any{payout, 10, "100000", "queued"}, []any{p.PayoutID, p.AmountCents, p.Amount, p.Status})
	require.True(t, strings.EqualFold(w.OwnerAddress, p.Destination), p.Destination)
}

// payoutIs is where a payout stands, by the list of them.
func (w *world) payoutIs(t *testing.T, payout string) string {
	t.Helper()
	a := w.get(t, "/api/payouts/list", "Authorization", "Bearer "+w.APIKey)
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	var list struct {
		Data []struct {
			PayoutID string `json:"payout_id"`
			Status   string `json:"status"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(a.Body), &list), a.Body)
	for _, p := range list.Data {
		if p.PayoutID == payout {
			return p.Status
		}
	}
	return ""
}
