package access_test

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"xsynesis/access"
	"xsynesis/evm/devchain"
)

func TestAWalletSignsIn(t *testing.T) {
	t.Parallel()
	h, key := newHouse(t), newKey(t)
	in, s := h.enters(t, key)
	require.Equal(t, access.ByWallet, s.Method)
	require.True(t, s.SteppedUp, "it signed just now")
	require.Empty(t, s.Merchant)
	require.Empty(t, s.Role)
	require.Equal(t, address(key)[:6]+"…"+address(key)[38:], in.Name)

	again, _ := h.enters(t, key)
	require.Equal(t, in.Person, again.Person)
	require.NotEqual(t, in.Secret, again.Secret)
	other, _ := h.enters(t, newKey(t))
	require.NotEqual(t, in.Person, other.Person)
}

func TestAContractSignsIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	asked, err := h.AskWallet(t.Context(), access.ForSignIn, "", contractWallet.Hex(), devchain.ChainID)
	require.NoError(t, err)
	_, err = h.SignInByWallet(t.Context(), access.Signed{Message: asked.Message, Signature: sign(t, newKey(t), asked.Message)}, access.Newcomer{}, phone)
	require.ErrorIs(t, err, access.ErrSignature, "somebody else's signature")

	asked, err = h.AskWallet(t.Context(), access.ForSignIn, "", contractWallet.Hex(), devchain.ChainID)
	require.NoError(t, err)
	_, err = h.SignInByWallet(t.Context(), access.Signed{Message: asked.Message, Signature: sign(t, contractOwner, asked.Message)}, access.Newcomer{}, phone)
	require.NoError(t, err)
}

func TestASignedMessageCountsOnce(t *testing.T) {
	t.Parallel()
	h, key := newHouse(t), newKey(t)
	s := h.asks(t, access.ForSignIn, access.Session{}, key)
	results := make([]error, 6)
	var group errgroup.Group
	for i := range results {
		group.Go(func() error {
			_, results[i] = h.SignInByWallet(t.Context(), s, access.Newcomer{}, phone)
			return nil
		})
	}
	require.NoError(t, group.Wait())
	var in int
	for _, err := range results {
		if err == nil {
			in++
		} else {
			require.ErrorIs(t, err, access.ErrChallenge)
		}
	}
	require.Equal(t, 1, in)
	require.Equal(t, 1, h.count(t, "sessions"))
}

func TestAWrongSignatureUsesTheNonceUp(t *testing.T) {
	t.Parallel()
	h, key := newHouse(t), newKey(t)
	good := h.asks(t, access.ForSignIn, access.Session{}, key)
	bad := access.Signed{Message: good.Message, Signature: sign(t, newKey(t), good.Message)}
	_, err := h.SignInByWallet(t.Context(), bad, access.Newcomer{}, phone)
	require.ErrorIs(t, err, access.ErrSignature)
	_, err = h.SignInByWallet(t.Context(), good, access.Newcomer{}, phone)
	require.ErrorIs(t, err, access.ErrChallenge)
}

func TestSignaturesThatAreNone(t *testing.T) {
	t.Parallel()
	h, key := newHouse(t), newKey(t)
	whole := func(text string) []byte { return hexutil.MustDecode(sign(t, key, text)) }
	highS := func(sig []byte) []byte {
		s := new(big.Int).Sub(crypto.S256().Params().N, new(big.Int).SetBytes(sig[32:64]))
		out := append([]byte{}, sig...)
		s.FillBytes(out[32:64])
		out[64] ^= 1
		if out[64] < 27 {
			out[64] += 2
		}
		return out
	}
	for name, change := range map[string]func(sig []byte) string{
		"0 bytes":        func([]byte) string { return "0x" },
		"nothing":        func([]byte) string { return "" },
		"1 byte":         func(sig []byte) string { return hexutil.Encode(sig[:1]) },
		"64 bytes":       func(sig []byte) string { return hexutil.Encode(sig[:64]) },
		"66 bytes":       func(sig []byte) string { return hexutil.Encode(append(sig, 0)) },
		"no hexadecimal": func([]byte) string { return "0xzz" },
		"no prefix":      func(sig []byte) string { return hexutil.Encode(sig)[2:] },
		"5000 bytes":     func([]byte) string { return hexutil.Encode(make([]byte, 5000)) },
		"zeros":          func([]byte) string { return hexutil.Encode(make([]byte, 65)) },
		"a high s":       func(sig []byte) string { return hexutil.Encode(highS(sig)) },
		"v of 29":        func(sig []byte) string { sig[64] = 29; return hexutil.Encode(sig) },
		"v of 54":        func(sig []byte) string { sig[64] += 27; return hexutil.Encode(sig) },
		"another v":      func(sig []byte) string { sig[64] ^= 7; return hexutil.Encode(sig) },
	} {
		asked, err := h.AskWallet(t.Context(), access.ForSignIn, "", address(key), devchain.ChainID)
		require.NoError(t, err)
		_, err = h.SignInByWallet(t.Context(), access.Signed{Message: asked.Message, Signature: change(whole(asked.Message))}, access.Newcomer{}, phone)
		require.ErrorIs(t, err, access.ErrSignature, name)
	}
	for _, v := range []byte{0, 27} { // both ways to write the same
		asked, err := h.AskWallet(t.Context(), access.ForSignIn, "", address(key), devchain.ChainID)
		require.NoError(t, err)
		sig := whole(asked.Message)
		sig[64] = sig[64] - 27 + v
		_, err = h.SignInByWallet(t.Context(), access.Signed{Message: asked.Message, Signature: hexutil.Encode(sig)}, access.Newcomer{}, phone)
		require.NoError(t, err)
	}
	require.Equal(t, 1, h.count(t, "persons"))
}

func TestMessagesThatAreNotForThisSite(t *testing.T) {
	t.Parallel()
	h, key := newHouse(t), newKey(t)
	stamp := func(d time.Duration) string { return h.door.now().Add(d).Format(time.RFC3339Nano) }
	for name, change := range map[string]func(m string) string{
		"another domain": func(m string) string { return strings.Replace(m, "shop.example wants", "evil.example wants", 1) },
		"a domain below": func(m string) string {
			return strings.Replace(m, "shop.example wants", "shop.example.evil.example wants", 1)
		},
		"another scheme":         func(m string) string { return "http://" + m },
		"another port":           func(m string) string { return strings.Replace(m, "shop.example wants", "shop.example:8443 wants", 1) },
		"another URI":            func(m string) string { return strings.Replace(m, "URI: "+site, "URI: https://evil.example", 1) },
		"a URI with a user":      func(m string) string { return strings.Replace(m, "URI: https://", "URI: https://shop.example@", 1) },
		"another chain":          func(m string) string { return strings.Replace(m, "Chain ID: 84532", "Chain ID: 1", 1) },
		"a known chain, no node": func(m string) string { return strings.Replace(m, "Chain ID: 84532", "Chain ID: 8453", 1) },
		"another version":        func(m string) string { return strings.Replace(m, "Version: 1", "Version: 2", 1) },
		"issued six minutes ago": func(m string) string {
			at := strings.Index(m, "Issued At: ")
			return m[:at] + "Issued At: " + stamp(-6*time.Minute)
		},
		"issued in a minute": func(m string) string {
			at := strings.Index(m, "Issued At: ")
			return m[:at] + "Issued At: " + stamp(time.Minute)
		},
		"expired":       func(m string) string { return m + "\nExpiration Time: " + stamp(-time.Second) },
		"not yet valid": func(m string) string { return m + "\nNot Before: " + stamp(time.Minute) },
		"a nonce of nobody's": func(m string) string {
			at := strings.Index(m, "Nonce: ") + len("Nonce: ")
			return m[:at] + "AAAAAAAA" + m[at+8:]
		},
		"a short nonce": func(m string) string {
			at, end := strings.Index(m, "Nonce: ")+len("Nonce: "), strings.Index(m, "\nIssued At")
			return m[:at] + "AAAAAAA" + m[end:]
		},
		"a lower-case address": func(m string) string { return strings.Replace(m, address(key), strings.ToLower(address(key)), 1) },
		"Windows line ends":    func(m string) string { return strings.ReplaceAll(m, "\n", "\r\n") },
		"text after the end":   func(m string) string { return m + "\nand so on" },
		"a last empty line":    func(m string) string { return m + "\n" },
		"a line missing":       func(m string) string { return strings.Replace(m, "Version: 1\n", "", 1) },
		"a line twice":         func(m string) string { return strings.Replace(m, "Version: 1\n", "Version: 1\nVersion: 1\n", 1) },
		"a statement of lines": func(m string) string { return strings.Replace(m, "Sign in.", "Sign in.\nAnd more.", 1) },
		"hidden direction":     func(m string) string { return strings.Replace(m, "Sign in.", "Sign in.\u202e", 1) },
		"letters that look so": func(m string) string { return strings.Replace(m, "shop.example wants", "shоp.example wants", 1) },
		"much text":            func(m string) string { return m + "\nRequest ID: " + strings.Repeat("x", 5000) },
		"nothing":              func(string) string { return "" },
	} {
		asked, err := h.AskWallet(t.Context(), access.ForSignIn, "", address(key), devchain.ChainID)
		require.NoError(t, err)
		text := change(asked.Message)
		_, err = h.SignInByWallet(t.Context(), access.Signed{Message: text, Signature: sign(t, key, text)}, access.Newcomer{}, phone)
		if name == "a nonce of nobody's" {
			require.ErrorIs(t, err, access.ErrChallenge, name)
			continue
		}
		require.ErrorIs(t, err, access.ErrMessage, name)
	}
	require.Zero(t, h.count(t, "sessions"))
}

func TestAMessageMayHaveWhatTheStandardAllows(t *testing.T) {
	t.Parallel()
	h, key := newHouse(t), newKey(t)
	in := func(d time.Duration) *time.Time { at := h.door.now().Add(d); return &at }
	for name, change := range map[string]func(m *access.Message){
		"no statement": func(m *access.Message) { m.Statement = "" },
		"a scheme":     func(m *access.Message) { m.Scheme = "https" },
		"a path":       func(m *access.Message) { m.URI = site + "/login" },
		"a zone":       func(m *access.Message) { m.IssuedAt = m.IssuedAt.In(time.FixedZone("", 5*3600)) },
		"every field": func(m *access.Message) {
			m.Expiration, m.NotBefore, m.RequestID, m.Resources = in(time.Minute), in(-time.Minute), "some-id", []string{"ipfs://x", site + "/terms"}
		},
		"a clock 20 s ahead": func(m *access.Message) { m.IssuedAt = *in(20 * time.Second) },
	} {
		asked, err := h.AskWallet(t.Context(), access.ForSignIn, "", address(key), devchain.ChainID)
		require.NoError(t, err)
		m, err := access.ParseMessage(asked.Message)
		require.NoError(t, err)
		require.Equal(t, asked.Message, m.String())
		change(&m)
		again, err := access.ParseMessage(m.String())
		require.NoError(t, err, name)
		require.Equal(t, m.String(), again.String())
		_, err = h.SignInByWallet(t.Context(), access.Signed{Message: m.String(), Signature: sign(t, key, m.String())}, access.Newcomer{}, phone)
		require.NoError(t, err, name)
	}
}

func TestANonceEndsAfterFiveMinutes(t *testing.T) {
	t.Parallel()
	h, key := newHouse(t), newKey(t)
	s := h.asks(t, access.ForSignIn, access.Session{}, key)
	h.door.offset.Add(int64(5*time.Minute + time.Second))
	_, err := h.SignInByWallet(t.Context(), s, access.Newcomer{}, phone)
	require.ErrorIs(t, err, access.ErrChallenge)
	h.door.offset.Store(0)
	_, err = h.SignInByWallet(t.Context(), s, access.Newcomer{}, phone)
	require.ErrorIs(t, err, access.ErrChallenge, "asking late used it up")
}

func TestASignatureIsGoodForOnePurposeAndOnePerson(t *testing.T) {
	t.Parallel()
	h, key, spare := newHouse(t), newKey(t), newKey(t)
	_, ada := h.enters(t, key)
	_, eve := h.enters(t, newKey(t))
	signIn := h.asks(t, access.ForSignIn, access.Session{}, spare)
	require.ErrorIs(t, h.AddWallet(t.Context(), ada, signIn, phone), access.ErrChallenge, "a sign-in adds no wallet")
	add := h.asks(t, access.ForWallet, ada, spare)
	_, err := h.SignInByWallet(t.Context(), add, access.Newcomer{}, phone)
	require.ErrorIs(t, err, access.ErrChallenge, "adding a wallet signs nobody in")
	add = h.asks(t, access.ForWallet, ada, spare)
	require.ErrorIs(t, h.AddWallet(t.Context(), eve, add, phone), access.ErrChallenge, "another person's question")

	require.NoError(t, h.AddWallet(t.Context(), ada, h.asks(t, access.ForWallet, ada, spare), phone))
	in, _ := h.enters(t, spare)
	require.Equal(t, ada.Person, in.Person)
	require.ErrorIs(t, h.AddWallet(t.Context(), eve, h.asks(t, access.ForWallet, eve, spare), phone), access.ErrTaken)
}

func TestTheLastWayInStays(t *testing.T) {
	t.Parallel()
	h, key, spare := newHouse(t), newKey(t), newKey(t)
	_, ada := h.enters(t, key)
	_, eve := h.enters(t, newKey(t))
	one, two := crypto.PubkeyToAddress(key.PublicKey), crypto.PubkeyToAddress(spare.PublicKey)
	_, err := h.MakeCodes(t.Context(), ada, phone)
	require.NoError(t, err)
	require.ErrorIs(t, h.RemoveWallet(t.Context(), ada, one, phone), access.ErrLastWayIn, "codes are for emergencies")
	require.NoError(t, h.AddWallet(t.Context(), ada, h.asks(t, access.ForWallet, ada, spare), phone))
	require.ErrorIs(t, h.RemoveWallet(t.Context(), eve, one, phone), access.ErrNotFound, "somebody else's")
	// Both at the same moment: one of them stays.
	var group errgroup.Group
	results := make([]error, 2)
	group.Go(func() error { results[0] = h.RemoveWallet(t.Context(), ada, one, phone); return nil })
	group.Go(func() error { results[1] = h.RemoveWallet(t.Context(), ada, two, phone); return nil })
	require.NoError(t, group.Wait())
	require.NotEqual(t, results[0] == nil, results[1] == nil, "%v", results)
	left, err := h.Wallets(t.Context(), ada.Person)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestWhatSignsInIsChangedOnlyAfterAStepUp(t *testing.T) {
	t.Parallel()
	h, key := newHouse(t), newKey(t)
	in, fresh := h.enters(t, key)
	h.door.offset.Add(int64(5*time.Minute + time.Second))
	old := h.session(t, in.Secret)
	require.True(t, fresh.SteppedUp)
	require.False(t, old.SteppedUp)
	require.ErrorIs(t, h.AddWallet(t.Context(), old, h.asks(t, access.ForWallet, old, newKey(t)), phone), access.ErrStepUp)
	require.ErrorIs(t, h.RemoveWallet(t.Context(), old, crypto.PubkeyToAddress(key.PublicKey), phone), access.ErrStepUp)
	_, err := h.MakeCodes(t.Context(), old, phone)
	require.ErrorIs(t, err, access.ErrStepUp)

	_, err = h.ConfirmByWallet(t.Context(), old, in.Secret, h.asks(t, access.ForStepUp, old, newKey(t)))
	require.ErrorIs(t, err, access.ErrSignature, "a wallet that is not his")
	_, err = h.ConfirmByWallet(t.Context(), old, in.Secret, h.asks(t, access.ForSignIn, access.Session{}, key))
	require.ErrorIs(t, err, access.ErrChallenge, "another question")
	secret, err := h.ConfirmByWallet(t.Context(), old, in.Secret, h.asks(t, access.ForStepUp, old, key))
	require.NoError(t, err)
	_, err = h.Session(t.Context(), in.Secret)
	require.ErrorIs(t, err, access.ErrDenied, "the secret before counts no more")
	now := h.session(t, secret)
	require.True(t, now.SteppedUp)
	require.Equal(t, old.ID, now.ID)
	_, err = h.MakeCodes(t.Context(), now, phone)
	require.NoError(t, err)
}
