package x402_test

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"xsynesis/x402"
)

// stranger is nobody in particular.
var stranger = common.HexToAddress("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")

// wrapped is the price again, to who looks at the last 64 bits only.
var wrapped = new(big.Int).Add(big.NewInt(10_000), new(big.Int).Lsh(big.NewInt(1), 64))

func TestCheckRefusesWhatIsSigned(t *testing.T) {
	t.Parallel()
	huge, _ := new(big.Int).SetString(max256, 10)
	at := func(d time.Duration) *big.Int { return big.NewInt(now.Add(d).Unix()) }
	for _, tt := range []struct {
		name string
		kind x402.Kind // "" is a good payment
		edit func(a *x402.Authorization)
	}{
		{"wrong payee", x402.Recipient, func(a *x402.Authorization) { a.To = stranger }},
		{"nothing", x402.Amount, func(a *x402.Authorization) { a.Value = big.NewInt(0) }},
		{"a unit too little", x402.Amount, func(a *x402.Authorization) { a.Value = big.NewInt(9_999) }},
		{"a unit too much", x402.Amount, func(a *x402.Authorization) { a.Value = big.NewInt(10_001) }},
		{"2^256-1", x402.Amount, func(a *x402.Authorization) { a.Value = huge }},
		{"the price and 2^64", x402.Amount, func(a *x402.Authorization) { a.Value = wrapped }},
		{"expired", x402.Expired, func(a *x402.Authorization) { a.ValidBefore = at(-time.Second) }},
		{"expired at 0", x402.Expired, func(a *x402.Authorization) { a.ValidBefore = big.NewInt(0) }},
		{"nine seconds left", x402.Expired, func(a *x402.Authorization) { a.ValidBefore = at(9 * time.Second) }},
		{"ten seconds left", "", func(a *x402.Authorization) { a.ValidBefore = at(10 * time.Second) }},
		{"an hour left", "", func(a *x402.Authorization) { a.ValidBefore = at(time.Hour) }},
		{"more than an hour left", x402.TooLong, func(a *x402.Authorization) { a.ValidBefore = at(time.Hour + time.Second) }},
		{"never expires", x402.TooLong, func(a *x402.Authorization) { a.ValidBefore = huge }},
		{"not yet valid", x402.NotYetValid, func(a *x402.Authorization) { a.ValidAfter = at(time.Second) }},
		{"never valid", x402.NotYetValid, func(a *x402.Authorization) { a.ValidAfter = huge }},
		{"valid from now", "", func(a *x402.Authorization) { a.ValidAfter = at(0) }},
		{"always valid", "", func(a *x402.Authorization) { a.ValidAfter = big.NewInt(0) }},
	} {
		for version := 1; version <= 2; version++ {
			t.Run(fmt.Sprintf("v%d %s", version, tt.name), func(t *testing.T) {
				t.Parallel()
				a := known
				tt.edit(&a)
				err := signed(t, version, a).Verify(weather, now)
				if tt.kind == "" {
					require.NoError(t, err)
					return
				}
				requireInvalid(t, tt.kind, err)
			})
		}
	}
}

func TestFractionsOfASecondCount(t *testing.T) {
	t.Parallel()
	a := known
	a.ValidBefore = big.NewInt(now.Unix() + 10)
	requireInvalid(t, x402.Expired, signed(t, 1, a).Check(weather, now.Add(time.Nanosecond)))
	a.ValidBefore = big.NewInt(now.Unix() + 11)
	require.NoError(t, signed(t, 1, a).Check(weather, now.Add(time.Second)))
	a.ValidBefore = big.NewInt(now.Unix() + 3601)
	requireInvalid(t, x402.TooLong, signed(t, 1, a).Check(weather, now.Add(time.Second-1)))
}

func TestNothingIsEverFree(t *testing.T) {
	t.Parallel()
	free, a := weather, known
	free.Amount, a.Value = 0, big.NewInt(0)
	signature, err := x402.Sign(a, sepolia, key(t))
	require.NoError(t, err)
	requireInvalid(t, x402.Amount, free.Payment(2, a, signature).Verify(free, now))
}

func TestVersion1MatchesByNetwork(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"base", "Base-Sepolia", "eip155:84532", ""} {
		p := paid(1)
		p.Network = network
		requireInvalid(t, x402.Network, p.Check(weather, now))
	}
	unnamed := weather
	unnamed.Token.NetworkV1 = ""
	requireInvalid(t, x402.Network, unnamed.Payment(1, known, nil).Check(unnamed, now))
}

func TestVersion2MatchesByTheWholeOffer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		kind x402.Kind
		edit func(p *x402.Payment)
	}{
		{"nothing accepted", x402.NoMatch, func(p *x402.Payment) { p.Accepted = nil }},
		{"wrong chain", x402.Network, func(p *x402.Payment) { p.Network, p.Accepted.Network = "eip155:8453", "eip155:8453" }},
		{"two chains", x402.Network, func(p *x402.Payment) { p.Accepted.Network = "eip155:8453" }},
		{"version 1's name of the chain", x402.Network, func(p *x402.Payment) { p.Network = "base-sepolia" }},
		{"wrong payee", x402.NoMatch, func(p *x402.Payment) { p.Accepted.PayTo = stranger }},
		{"wrong asset", x402.NoMatch, func(p *x402.Payment) { p.Accepted.Asset = stranger }},
		{"less", x402.NoMatch, func(p *x402.Payment) { p.Accepted.Amount = big.NewInt(9_999) }},
		{"more", x402.NoMatch, func(p *x402.Payment) { p.Accepted.Amount = big.NewInt(10_001) }},
		{"the price and 2^64", x402.NoMatch, func(p *x402.Payment) { p.Accepted.Amount = wrapped }},
		{"wrong token name", x402.TokenName, func(p *x402.Payment) { p.Accepted.Name = "USD Coin" }},
		{"wrong token version", x402.TokenVersion, func(p *x402.Payment) { p.Accepted.Version = "1" }},
		{"no token name", x402.TokenDomain, func(p *x402.Payment) { p.Accepted.Name = "" }},
		{"no token version", x402.TokenDomain, func(p *x402.Payment) { p.Accepted.Version = "" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := paid(2)
			tt.edit(&p)
			requireInvalid(t, tt.kind, p.Verify(weather, now))
		})
	}
	t.Run("another timeout and resource match", func(t *testing.T) {
		t.Parallel()
		p := paid(2)
		p.Accepted.MaxTimeoutSeconds, p.ResourceURL = 5, ""
		require.NoError(t, p.Verify(weather, now))
	})
}

func TestOurTokenIsWhatMustBeSigned(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(token *x402.Token){
		"wrong chain":   func(token *x402.Token) { token.ChainID = 8453 },
		"wrong asset":   func(token *x402.Token) { token.Address = stranger },
		"wrong name":    func(token *x402.Token) { token.Name = "USD Coin" },
		"wrong version": func(token *x402.Token) { token.Version = "1" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := sepolia
			edit(&other)
			signature, err := x402.Sign(known, other, key(t))
			require.NoError(t, err)
			for version := 1; version <= 2; version++ {
				requireInvalid(t, x402.Signature, weather.Payment(version, known, signature).Verify(weather, now))
			}
		})
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(signature []byte) []byte
	}{
		{"none", func([]byte) []byte { return nil }},
		{"64 bytes", func(s []byte) []byte { return s[:64] }},
		{"66 bytes", func(s []byte) []byte { return append(s, 0) }},
		{"high s", func(s []byte) []byte { return flipped(s) }},
		{"v 2", func(s []byte) []byte { s[64] = 2; return s }},
		{"v 26", func(s []byte) []byte { s[64] = 26; return s }},
		{"v 29", func(s []byte) []byte { s[64] = 29; return s }},
		{"v 54", func(s []byte) []byte { s[64] = 54; return s }},
		{"v 255", func(s []byte) []byte { s[64] = 255; return s }},
		{"the other v", func(s []byte) []byte { s[64] ^= 27 ^ 28; return s }},
		{"all zero", func([]byte) []byte { return make([]byte, 65) }},
		{"r zero", func(s []byte) []byte { clear(s[:32]); return s }},
		{"s zero", func(s []byte) []byte { clear(s[32:64]); return s }},
		{"r of the order", func(s []byte) []byte { copy(s, crypto.S256().Params().N.Bytes()); return s }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := paid(1)
			p.Signature = tt.edit(p.Signature)
			before := string(p.Signature)
			requireInvalid(t, x402.Signature, p.CheckSignature(sepolia))
			requireInvalid(t, x402.Signature, p.Verify(weather, now))
			require.Equal(t, before, string(p.Signature), "a contract must get the bytes as they came")
		})
	}
	t.Run("v of 0 or 1 becomes 27 or 28", func(t *testing.T) {
		t.Parallel()
		p := paid(1)
		p.Signature[64] -= 27
		require.NoError(t, p.CheckSignature(sepolia))
		require.Equal(t, paid(1).Signature, p.Signature)
	})
	t.Run("somebody else's signature is refused", func(t *testing.T) {
		t.Parallel()
		a := known
		a.From = stranger
		requireInvalid(t, x402.Signature, signed(t, 2, a).Verify(weather, now))
	})
}

// flipped is the second signature that anyone can make of one: s becomes order − s, and v changes.
func flipped(signature []byte) []byte {
	s := new(big.Int).SetBytes(signature[32:64])
	s.Sub(crypto.S256().Params().N, s).FillBytes(signature[32:64])
	signature[64] ^= 27 ^ 28
	return signature
}

func TestOnlyTheSignersOwnAuthorizationPasses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		a := drawAuthorization(rt)
		a.From = known.From
		p := signed(t, 1, a)
		require.NoError(rt, p.CheckSignature(sepolia))
		p.Signature[rapid.IntRange(0, 63).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		requireInvalid(rt, x402.Signature, p.CheckSignature(sepolia))
	})
}
