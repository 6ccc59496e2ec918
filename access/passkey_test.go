package access_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/access"
)

// Bits of what an authenticator says.
const (
	userPresent  = 0x01
	userVerified = 0x04
	hasKey       = 0x40
)

// authenticator holds one passkey, and does what it is told to do wrong.
type authenticator struct {
	key     *ecdsa.PrivateKey
	id      []byte
	user    []byte
	counter uint32
	origin  string
	rpID    string
	flags   byte
}

func newAuthenticator(t *testing.T) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a := &authenticator{key: key, id: make([]byte, 16), origin: site, rpID: "shop.example", flags: userPresent | userVerified}
	_, _ = rand.Read(a.id)
	return a
}

var b64 = base64.RawURLEncoding

// asked is what a page is told.
type asked struct {
	Challenge string
	RP        struct{ ID string }
	RPID      string `json:"rpId"`
	User      struct{ ID, Name string }
	Exclude   []struct{ ID string } `json:"excludeCredentials"`

	UserVerification string
	Selection        struct{ ResidentKey, UserVerification string } `json:"authenticatorSelection"`
}

func (a *authenticator) clientData(t *testing.T, kind, challenge string) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	require.NoError(t, err)
	return text
}

func (a *authenticator) data(flags byte) []byte {
	rp := sha256.Sum256([]byte(a.rpID))
	return binary.BigEndian.AppendUint32(append(rp[:], flags), a.counter)
}

// create answers what navigator.credentials.create was asked.
func (a *authenticator) create(t *testing.T, options json.RawMessage) []byte {
	t.Helper()
	var o asked
	require.NoError(t, json.Unmarshal(options, &o))
	require.Equal(t, "shop.example", o.RP.ID)
	require.Equal(t, "required", o.Selection.ResidentKey)
	require.Equal(t, "required", o.Selection.UserVerification)
	var err error
	a.user, err = b64.DecodeString(o.User.ID)
	require.NoError(t, err)
	point, err := a.key.PublicKey.Bytes()
	require.NoError(t, err)
	data := append(a.data(a.flags|hasKey), make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(data, a.id...)
	data = append(data, 0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20) // COSE: EC2, ES256, P-256, x
	data = append(append(append(data, point[1:33]...), 0x22, 0x58, 0x20), point[33:]...)
	var cbor bytes.Buffer
	cbor.WriteString("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58")
	cbor.WriteByte(byte(len(data)))
	cbor.Write(data)
	return answerOf(t, a.id, map[string]string{
		"clientDataJSON": b64.EncodeToString(a.clientData(t, "webauthn.create", o.Challenge)), "attestationObject": b64.EncodeToString(cbor.Bytes()),
	})
}

// get answers what navigator.credentials.get was asked.
func (a *authenticator) get(t *testing.T, options json.RawMessage) []byte {
	t.Helper()
	var o asked
	require.NoError(t, json.Unmarshal(options, &o))
	require.Equal(t, "required", o.UserVerification)
	require.Equal(t, "shop.example", o.RPID)
	a.counter++
	data, client := a.data(a.flags), a.clientData(t, "webauthn.get", o.Challenge)
	sum := sha256.Sum256(client)
	digest := sha256.Sum256(append(bytes.Clone(data), sum[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	require.NoError(t, err)
	return answerOf(t, a.id, map[string]string{
		"clientDataJSON": b64.EncodeToString(client), "authenticatorData": b64.EncodeToString(data),
		"signature": b64.EncodeToString(signature), "userHandle": b64.EncodeToString(a.user),
	})
}

func answerOf(t *testing.T, id []byte, response map[string]string) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"id": b64.EncodeToString(id), "rawId": b64.EncodeToString(id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{},
	})
	require.NoError(t, err)
	return text
}

// joins makes a person with this passkey.
func (h house) joins(t *testing.T, a *authenticator, name string) (access.Entered, access.Session) {
	t.Helper()
	options, err := h.AskFirstPasskey(t.Context(), access.Newcomer{Name: name})
	require.NoError(t, err)
	in, err := h.JoinByPasskey(t.Context(), a.create(t, options), phone)
	require.NoError(t, err)
	return in, h.session(t, in.Secret)
}

func (h house) signsIn(t *testing.T, a *authenticator) (access.Entered, error) {
	t.Helper()
	options, err := h.AskPasskey(t.Context())
	require.NoError(t, err)
	return h.SignInByPasskey(t.Context(), a.get(t, options), phone)
}

func TestAPasskeyMakesAPersonAndSignsIn(t *testing.T) {
	t.Parallel()
	h, a := newHouse(t), newAuthenticator(t)
	in, s := h.joins(t, a, "Ada")
	require.Equal(t, access.ByPasskey, s.Method)
	require.True(t, s.SteppedUp)
	require.Equal(t, "Ada", in.Name)
	again, err := h.signsIn(t, a)
	require.NoError(t, err)
	require.Equal(t, in.Person, again.Person)
	require.NotEqual(t, in.Secret, again.Secret)
	keys, err := h.Passkeys(t.Context(), in.Person)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.Equal(t, "iPhone", keys[0].Name)
	require.NotNil(t, keys[0].Used)
}

func TestAnAnswerOfAPasskeyCountsOnce(t *testing.T) {
	t.Parallel()
	h, a := newHouse(t), newAuthenticator(t)
	options, err := h.AskFirstPasskey(t.Context(), access.Newcomer{Name: "Ada"})
	require.NoError(t, err)
	made := a.create(t, options)
	_, err = h.JoinByPasskey(t.Context(), made, phone)
	require.NoError(t, err)
	_, err = h.JoinByPasskey(t.Context(), made, phone)
	require.ErrorIs(t, err, access.ErrChallenge)
	options, err = h.AskPasskey(t.Context())
	require.NoError(t, err)
	used := a.get(t, options)
	_, err = h.SignInByPasskey(t.Context(), used, phone)
	require.NoError(t, err)
	_, err = h.SignInByPasskey(t.Context(), used, phone)
	require.ErrorIs(t, err, access.ErrChallenge)
	options, err = h.AskPasskey(t.Context())
	require.NoError(t, err)
	h.door.offset.Add(int64(5*time.Minute + time.Second))
	_, err = h.SignInByPasskey(t.Context(), a.get(t, options), phone)
	require.ErrorIs(t, err, access.ErrChallenge, "too late")
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	h, a := newHouse(t), newAuthenticator(t)
	h.joins(t, a, "Ada")
	stranger := newAuthenticator(t)
	stranger.user = a.user
	for name, change := range map[string]func() *authenticator{
		"another site":            func() *authenticator { b := *a; b.origin = "https://evil.example"; return &b },
		"another site's key":      func() *authenticator { b := *a; b.rpID = "evil.example"; return &b },
		"the same without TLS":    func() *authenticator { b := *a; b.origin = "http://shop.example"; return &b },
		"nobody was verified":     func() *authenticator { b := *a; b.flags = userPresent; return &b },
		"nobody was there":        func() *authenticator { b := *a; b.flags = userVerified; return &b },
		"a key that nobody has":   func() *authenticator { return stranger },
		"another key's signature": func() *authenticator { b := *a; b.key = stranger.key; return &b },
		"another person's handle": func() *authenticator { b := *a; b.user = []byte("usr_1ChHQgZvF7Y4JLiQa34ooR"); return &b },
		"no handle":               func() *authenticator { b := *a; b.user = nil; return &b },
	} {
		_, err := h.signsIn(t, change())
		require.ErrorIs(t, err, access.ErrSignature, name)
	}
	for _, text := range []string{"", "{}", "null", `{"response":{"clientDataJSON":"e30"}}`, `{"response":{"clientDataJSON":"!"}}`} {
		_, err := h.SignInByPasskey(t.Context(), []byte(text), phone)
		require.ErrorIs(t, err, access.ErrSignature, text)
	}
	_, err := h.signsIn(t, a)
	require.NoError(t, err)
	for name, change := range map[string]func(b *authenticator){
		"another site": func(b *authenticator) { b.origin = "https://evil.example" }, "nobody was verified": func(b *authenticator) { b.flags = userPresent },
	} {
		options, err := h.AskFirstPasskey(t.Context(), access.Newcomer{Name: "Eve"})
		require.NoError(t, err)
		b := newAuthenticator(t)
		change(b)
		_, err = h.JoinByPasskey(t.Context(), b.create(t, options), phone)
		require.ErrorIs(t, err, access.ErrSignature, name)
	}
	require.Equal(t, 1, h.count(t, "persons"))
}

func TestACopiedPasskeyIsRefused(t *testing.T) {
	t.Parallel()
	h, a := newHouse(t), newAuthenticator(t)
	h.joins(t, a, "Ada")
	copied := *a
	for range 3 {
		_, err := h.signsIn(t, a)
		require.NoError(t, err)
	}
	_, err := h.signsIn(t, &copied)
	require.ErrorIs(t, err, access.ErrSignature, "its counter is behind")
	_, err = h.signsIn(t, a)
	require.NoError(t, err, "the refused one changed nothing")
}

func TestAPersonHasSeveralPasskeys(t *testing.T) {
	t.Parallel()
	h, first, second := newHouse(t), newAuthenticator(t), newAuthenticator(t)
	_, ada := h.joins(t, first, "Ada")
	_, eve := h.joins(t, newAuthenticator(t), "Eve")
	ask := func(s access.Session) json.RawMessage {
		options, err := h.AskNewPasskey(t.Context(), s)
		require.NoError(t, err)
		return options
	}
	var o asked
	require.NoError(t, json.Unmarshal(ask(ada), &o))
	require.Len(t, o.Exclude, 1, "the device does not make a second one")
	made := second.create(t, ask(ada))
	require.ErrorIs(t, h.AddPasskey(t.Context(), eve, "Mine", made, phone), access.ErrChallenge, "asked of another person")
	_, err := h.JoinByPasskey(t.Context(), second.create(t, ask(ada)), phone)
	require.ErrorIs(t, err, access.ErrChallenge, "it makes no person")
	require.NoError(t, h.AddPasskey(t.Context(), ada, " Laptop ", second.create(t, ask(ada)), phone))
	require.ErrorIs(t, h.AddPasskey(t.Context(), eve, "", second.create(t, ask(eve)), phone), access.ErrTaken)
	in, err := h.signsIn(t, withUser(second, ada))
	require.NoError(t, err)
	require.Equal(t, ada.Person, in.Person)

	keys, err := h.Passkeys(t.Context(), ada.Person)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	require.Equal(t, "Laptop", keys[1].Name)
	require.NoError(t, h.RenamePasskey(t.Context(), ada, keys[1].ID, "Work", phone))
	require.ErrorIs(t, h.RenamePasskey(t.Context(), eve, keys[1].ID, "Mine", phone), access.ErrNotFound)
	require.ErrorIs(t, h.RenamePasskey(t.Context(), ada, keys[1].ID, " ", phone), access.ErrPerson)
	require.ErrorIs(t, h.RemovePasskey(t.Context(), eve, keys[1].ID, phone), access.ErrNotFound)
	require.ErrorIs(t, h.RemovePasskey(t.Context(), ada, "!", phone), access.ErrNotFound)
	require.NoError(t, h.RemovePasskey(t.Context(), ada, keys[0].ID, phone))
	_, err = h.signsIn(t, first)
	require.ErrorIs(t, err, access.ErrSignature)
	require.ErrorIs(t, h.RemovePasskey(t.Context(), ada, keys[1].ID, phone), access.ErrLastWayIn)
}

func withUser(a *authenticator, s access.Session) *authenticator {
	a.user = []byte(s.Person)
	return a
}

func TestAPasskeyStepsUp(t *testing.T) {
	t.Parallel()
	h, a, b := newHouse(t), newAuthenticator(t), newAuthenticator(t)
	in, _ := h.joins(t, a, "Ada")
	h.joins(t, b, "Eve")
	h.door.offset.Add(int64(6 * time.Minute))
	s := h.session(t, in.Secret)
	require.False(t, s.SteppedUp)
	_, err := h.AskNewPasskey(t.Context(), s)
	require.ErrorIs(t, err, access.ErrStepUp)
	confirm := func(by *authenticator, ask func(context.Context) (json.RawMessage, error)) (string, error) {
		options, err := ask(t.Context())
		require.NoError(t, err)
		return h.ConfirmByPasskey(t.Context(), s, in.Secret, by.get(t, options))
	}
	stepUp := func(ctx context.Context) (json.RawMessage, error) { return h.AskStepUp(ctx, s) }
	_, err = confirm(b, stepUp)
	require.ErrorIs(t, err, access.ErrSignature, "another person's")
	_, err = confirm(a, h.AskPasskey)
	require.ErrorIs(t, err, access.ErrChallenge, "a sign-in is no step-up")
	secret, err := confirm(a, stepUp)
	require.NoError(t, err)
	require.True(t, h.session(t, secret).SteppedUp)
	_, err = h.Session(t.Context(), in.Secret)
	require.ErrorIs(t, err, access.ErrDenied)
}

func TestTheFirstPersonComesByPasskey(t *testing.T) {
	t.Parallel()
	h, a := newHouse(t, closed), newAuthenticator(t)
	_, err := h.AskFirstPasskey(t.Context(), access.Newcomer{Name: "Eve"})
	require.ErrorIs(t, err, access.ErrSignupsClosed)
	n := access.Newcomer{Pass: h.FirstRunToken(), Name: "Ada", Shop: "Kaffe Nord"}
	early, err := h.AskFirstPasskey(t.Context(), n)
	require.NoError(t, err)
	options, err := h.AskFirstPasskey(t.Context(), n)
	require.NoError(t, err)
	in, err := h.JoinByPasskey(t.Context(), a.create(t, options), phone)
	require.NoError(t, err)
	require.Len(t, in.Shops, 1)
	require.Equal(t, "Kaffe Nord", in.Shops[0].Shop)
	_, err = h.JoinByPasskey(t.Context(), newAuthenticator(t).create(t, early), phone)
	require.ErrorIs(t, err, access.ErrSignupsClosed, "who was asked before came too late")
	require.Equal(t, 1, h.count(t, "persons"))
}
