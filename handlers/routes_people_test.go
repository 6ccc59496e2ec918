package handlers_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"xsynesis/access"
	"xsynesis/checkout"
	"xsynesis/handlers"
	"xsynesis/id"
	"xsynesis/shop"
)

// accessWorld is a site with two shops, and somebody of every kind.
type accessWorld struct {
	*apiWorld
	signer      *ecdsa.PrivateKey // of access tokens
	shop, other id.Merchant
	boss        somebody // owns the shop, and stays
	operators   *access.Operator
	hub         *checkout.Hub
	shops       *shop.Service
	asked       int
	weighty     bool // people and forms are about managers
}

func newAccessWorld(t *testing.T, change ...func(*handlers.Options)) *accessWorld {
	t.Helper()
	signer, privy := privySigner(t)
	gate := withGate(t, func(o *access.GateOptions) {
		closed(o)
		privy(o)
		o.Chains = silentChains()
	})
	w := &accessWorld{signer: signer}
	keep := func(o *handlers.Options) { w.operators, w.hub = o.Operator, o.Hub }
	w.apiWorld = newWorld(t, append(change, gate, keep)...)
	w.shop, w.other = w.cafe, w.books
	w.boss = w.somebody(w.shop, access.Owner)
	w.somebody(w.other, access.Owner)
	w.shops = shop.New(w.pool, w.networks, w.hooks, time.Now)
	w.watch()
	return w
}

// somebody is a person who is signed in, with everything that one can have.
type somebody struct {
	id              id.Person
	did             string // at the other sign-in service
	wallet, passkey string
	secret          string
	session         access.Session
}

// somebody makes a person, with a part in a shop unless that is empty.
func (w *accessWorld) somebody(merchant id.Merchant, role access.Role) somebody {
	w.t.Helper()
	var random [20]byte
	_, _ = rand.Read(random[:])
	p := somebody{
		id: id.New[id.Person](time.Now()), did: "did:privy:" + id.NewToken(), wallet: "0x" + hex.EncodeToString(random[:]),
		passkey: base64.RawURLEncoding.EncodeToString(random[:]),
	}
	w.exec(`INSERT INTO persons (id, name, created_at) VALUES ($1, 'Sam', now())`, p.id)
	w.exec(`INSERT INTO privy_users (did, person_id, created_at) VALUES ($1, $2, now())`, p.did, p.id)
	w.exec(`INSERT INTO wallets (address, person_id, created_at) VALUES ($1, $2, now())`, p.wallet, p.id)
	w.exec(`INSERT INTO passkeys (id, person_id, name, credential, created_at) VALUES ($1, $2, 'Phone', '{}', now())`, random[:], p.id)
	if merchant != "" {
		w.exec(`INSERT INTO members (merchant_id, person_id, role, created_at) VALUES ($1, $2, $3, now())`, merchant, p.id, role)
	}
	p.secret = w.begin(access.Entrance{Person: p.id, Merchant: merchant, Method: access.ByPasskey})
	var err error
	p.session, err = w.access.Session(w.t.Context(), p.secret)
	require.NoError(w.t, err)
	return p
}

func (w *accessWorld) begin(e access.Entrance) (secret string) {
	w.t.Helper()
	secret, err := w.access.Begin(w.t.Context(), e)
	require.NoError(w.t, err)
	return secret
}

func (w *accessWorld) exec(sql string, arguments ...any) {
	w.t.Helper()
	_, err := w.pool.Exec(w.t.Context(), sql, arguments...)
	require.NoError(w.t, err)
}

// cookies are what a browser sends: the names without what binds them to the host, and their values.
func cookies(pairs ...string) with {
	return func(r *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			r.AddCookie(&http.Cookie{Name: "__Host-" + pairs[i], Value: pairs[i+1]})
		}
	}
}

// by is what somebody sends: his browser's cookie, and to the API his access token.
func (w *accessWorld) by(p somebody) with {
	w.t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "privy.io", "aud": "app", "sub": p.did, "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(w.signer)
	require.NoError(w.t, err)
	return func(r *http.Request) {
		cookies("sid", p.secret)(r)
		as(token)(r)
	}
}

// as is somebody fresh of a column, and what he sends.
func (w *accessWorld) as(column string) (somebody, with) {
	w.t.Helper()
	switch column {
	case "nobody":
		return w.boss, func(*http.Request) {}
	case "operator":
		return w.boss, cookies("oid", w.operator())
	case "till":
		return w.boss, w.till(w.shop)
	case "newcomer":
		return w.boss, w.by(w.somebody("", ""))
	case "other":
		return w.boss, w.by(w.somebody(w.other, access.Owner))
	default:
		p := w.somebody(w.shop, access.Role(column))
		return p, w.by(p)
	}
}

func (w *accessWorld) operator() (secret string) {
	w.t.Helper()
	secret, err := w.operators.SignIn(w.t.Context(), operatorToken)
	require.NoError(w.t, err)
	return secret
}

// till is a tablet that an owner unlocked, and who tries what his session opens elsewhere.
func (w *accessWorld) till(merchant id.Merchant) with {
	w.t.Helper()
	device, secret := w.device(merchant)
	owner := w.boss
	if merchant != w.shop {
		owner = w.somebody(merchant, access.Owner)
	}
	session := w.begin(access.Entrance{Person: owner.id, Merchant: merchant, Method: access.ByPIN, Device: device})
	return cookies("device", secret, "till", session, "sid", session)
}

func (w *accessWorld) device(merchant id.Merchant) (device id.Device, secret string) {
	w.t.Helper()
	device, secret = id.New[id.Device](time.Now()), id.NewToken()
	sum := sha256.Sum256([]byte(secret))
	w.exec(`INSERT INTO devices (id, merchant_id, name, hash, paired_by, created_at, seen_at) VALUES ($1, $2, 'Counter', $3, $4, now(), now())`,
		device, merchant, sum[:], w.boss.id)
	return device, secret
}
