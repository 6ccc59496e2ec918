package x402

import (
	"bytes"
	"math"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
)

const (
	// settleTime must be left before an authorization ends: it has to be mined by then.
	settleTime = 10 * time.Second
	// longest is how far ahead an authorization may end: until then its outcome may stay open.
	longest = time.Hour
)

// Verify is [Payment.Check] and [Payment.CheckSignature].
func (p Payment) Verify(r Requirement, now time.Time) error {
	if err := p.Check(r, now); err != nil {
		return err
	}
	return p.CheckSignature(r.Token)
}

// Check compares the payment with the requirement and the clock: everything but the signature and the chain.
// Errors are *[Invalid].
func (p Payment) Check(r Requirement, now time.Time) error {
	if problem := p.match(r); problem != nil {
		return problem
	}
	a := p.Authorization
	before, after := unix(a.ValidBefore), unix(a.ValidAfter)
	// The clock has fractions of a second and the authorization has none: round against the buyer.
	earliest, latest := now.Add(settleTime+time.Second-1).Unix(), now.Add(longest).Unix()
	switch {
	case a.To != r.PayTo:
		return invalid(Recipient, "pays %s and not %s", a.To, r.PayTo)
	case before < earliest:
		return invalid(Expired, "valid before %d, needed until %d", before, earliest)
	case before > latest:
		return invalid(TooLong, "valid before %d, allowed until %d", before, latest)
	case after > now.Unix():
		return invalid(NotYetValid, "valid after %d, now %d", after, now.Unix())
	case r.Amount <= 0 || !a.Value.IsInt64() || a.Value.Int64() != int64(r.Amount):
		return invalid(Amount, "authorizes %s and not %s", a.Value, r.Amount.Units())
	}
	return nil
}

// match compares what the payment says about the offer. Version 1 says only the network; version 2 sends the whole
// requirement back. Spelling is free: addresses are bytes, amounts are numbers, and other extras are the client's.
func (p Payment) match(r Requirement) *Invalid {
	want := r.Token.NetworkName(p.Version)
	if want == "" || p.Network != want {
		return invalid(Network, "network is %.40q and not %q", p.Network, want)
	}
	if p.Version == 1 {
		return nil
	}
	got := p.Accepted
	switch {
	case got == nil:
		return invalid(NoMatch, "accepted is missing")
	case got.Network != want:
		return invalid(Network, "accepts network %.40q and not %q", got.Network, want)
	case got.Asset != r.Token.Address:
		return invalid(NoMatch, "accepts asset %s and not %s", got.Asset, r.Token.Address)
	case got.PayTo != r.PayTo:
		return invalid(NoMatch, "accepts payee %s and not %s", got.PayTo, r.PayTo)
	case !got.Amount.IsInt64() || got.Amount.Int64() != int64(r.Amount):
		return invalid(NoMatch, "accepts amount %s and not %s", got.Amount, r.Amount.Units())
	case got.Name == "" || got.Version == "":
		return invalid(TokenDomain, "accepts without the token's name and version")
	case got.Name != r.Token.Name:
		return invalid(TokenName, "accepts token name %.40q and not %q", got.Name, r.Token.Name)
	case got.Version != r.Token.Version:
		return invalid(TokenVersion, "accepts token version %.40q and not %q", got.Version, r.Token.Version)
	}
	return nil
}

// unix is the time in seconds, or one that never comes.
func unix(n *big.Int) int64 {
	if n.IsInt64() {
		return n.Int64()
	}
	return math.MaxInt64
}

// halfOrder is half the order of secp256k1. Tokens refuse a larger s, since anyone can turn a
// signature with s into a second one with order − s.
var halfOrder = hexutil.MustDecode("0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0")

// Wrapped tells whether a signature is that of a contract which has to be put on the chain before it can say yes
// (ERC-6492). We put nobody's contracts there: what we would have to call is the payer's choice.
func Wrapped(signature []byte) bool { return bytes.HasSuffix(signature, wrapping) }

var wrapping = bytes.Repeat([]byte{0x64, 0x92}, 16)

// CheckSignature tells whether the payer's own key signed the authorization for this token; a payer that is a
// contract fails here and is asked on its chain. A v of 0 or 1, which some wallets send and tokens refuse, becomes
// 27 or 28 in p.Signature; a signature that fails is left as it came. Errors are *[Invalid] with Kind Signature
// or Undeployed.
func (p Payment) CheckSignature(t Token) error {
	if Wrapped(p.Signature) {
		return invalid(Undeployed, "the wallet is not on the chain yet (ERC-6492): deploy it and sign again")
	}
	if len(p.Signature) != 65 {
		return invalid(Signature, "%d bytes and not 65", len(p.Signature))
	}
	if bytes.Compare(p.Signature[32:64], halfOrder) > 0 {
		return invalid(Signature, "s is in the upper half")
	}
	signature := [65]byte(p.Signature)
	if signature[64] >= 27 {
		signature[64] -= 27
	}
	if signature[64] > 1 {
		return invalid(Signature, "v is %d", p.Signature[64])
	}
	digest := p.Authorization.Digest(t)
	key, err := crypto.Ecrecover(digest[:], signature[:])
	if err != nil {
		return invalid(Signature, "no key: %v", err)
	}
	hash := crypto.Keccak256Hash(key[1:])
	if signer := common.BytesToAddress(hash[12:]); signer != p.Authorization.From {
		return invalid(Signature, "signed by %s and not by %s", signer, p.Authorization.From)
	}
	if p.Signature[64] < 27 {
		p.Signature[64] += 27
	}
	return nil
}
