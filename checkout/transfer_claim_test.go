package checkout_test

import (
	"crypto/ecdsa"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/evm/devchain"
	"xsynesis/money"
	"xsynesis/shop"
	"xsynesis/x402"
)

// claims signs that a transfer was for a purchase, and says so.
func (s *testShop) claims(t *testing.T, a checkout.Attempt, hash common.Hash, key *ecdsa.PrivateKey) error {
	t.Helper()
	return s.checkout.Claim(t.Context(), a.ID, hash, s.claimSigned(t, a, hash, key))
}

func (s *testShop) claimSigned(t *testing.T, a checkout.Attempt, hash common.Hash, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	signature, err := crypto.Sign(accounts.TextHash([]byte(s.checkout.ClaimText(a, hash))), key)
	require.NoError(t, err)
	signature[64] += 27
	return signature
}

func TestWhoeverSentAnotherAmountPaysWithHisSignature(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a, _ := s.open(t)
	other, _ := s.open(t)
	payer := newSpender(t, 10*money.One)
	hash := sends(t, payer, a.PayTo, a.Amount) // the price, without what is above it
	require.ErrorIs(t, s.claims(t, a, hash, payer), checkout.ErrNothingCame, "nobody has seen it")
	s.watch(t)
	require.Equal(t, checkout.Open, s.status(t, a.ID))

	require.ErrorIs(t, s.claims(t, a, hash, newKey()), checkout.ErrNotSender)
	require.ErrorIs(t, s.checkout.Claim(t.Context(), other.ID, hash, s.claimSigned(t, a, hash, payer)), checkout.ErrNotSender, "it is for the purchase that it names")
	require.ErrorIs(t, s.checkout.Claim(t.Context(), a.ID, hash, nil), checkout.ErrNotSender)
	require.Equal(t, checkout.Open, s.status(t, a.ID))

	require.NoError(t, s.claims(t, a, hash, payer))
	p, err := s.checkout.Purchase(t.Context(), a.ID)
	require.NoError(t, err)
	require.Equal(t, checkout.Settled, p.Status)
	require.Equal(t, a.Amount, p.AmountReceived)
	require.Equal(t, "transfer", p.Settlement.Facilitator)
	require.Equal(t, hash.Hex(), p.Settlement.Transaction)
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM exceptions WHERE resolution = 'attached' AND resolved_by = $1`, "wallet "+addressOf(payer).Hex()))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM audit_rows WHERE action = 'exception.attached'`))

	require.ErrorIs(t, s.claims(t, a, hash, payer), checkout.ErrNothingCame, "it pays once")
	require.ErrorIs(t, s.claims(t, other, hash, payer), checkout.ErrNothingCame)
	require.Equal(t, checkout.Open, s.status(t, other.ID))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM sales`))
	require.Equal(t, a.Amount, s.received(t))
}

func TestASenderWhoSignsIsBelievedAndNotWhoNamedItFirst(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	mine, _ := s.open(t)
	thief, _ := s.open(t)
	payer := newSpender(t, 10*money.One)
	hash := sends(t, payer, mine.PayTo, 5*money.One)
	s.watch(t)
	require.NoError(t, s.checkout.Tell(t.Context(), thief.ID, hash))
	require.NoError(t, s.checkout.Tell(t.Context(), mine.ID, hash))
	m, err := s.checkout.ManualOf(t.Context(), mine.ID)
	require.NoError(t, err)
	require.Len(t, m.Came, 1, "he is shown what he named, whoever else did")
	require.True(t, m.Came[0].Named)
	require.ErrorIs(t, s.claims(t, thief, hash, newKey()), checkout.ErrNotSender)
	require.NoError(t, s.claims(t, mine, hash, payer))
	require.Equal(t, checkout.Settled, s.status(t, mine.ID))
	require.Equal(t, checkout.Open, s.status(t, thief.ID))
	require.Equal(t, 5*money.One, s.received(t))
}

func TestASignatureMakesNoPriceOfLess(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a, _ := s.open(t)
	payer := newSpender(t, 10*money.One)
	hash := sends(t, payer, a.PayTo, a.Amount-1)
	s.watch(t)
	require.NoError(t, s.claims(t, a, hash, payer))
	require.Equal(t, checkout.Open, s.status(t, a.ID))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM exceptions WHERE kind = 'underpaid' AND attempt_id = $1 AND resolved_at IS NULL`, a.ID))
	require.Zero(t, s.received(t))
}

func TestASignatureTakesNothingThatCameBeforeThePurchaseOrWasDecidedOn(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	payer := newSpender(t, 10*money.One)
	before := sends(t, payer, s.payee, 3*money.One)
	s.watch(t)
	a, _ := s.open(t)
	s.exec(t, `UPDATE attempts SET created_at = created_at + interval '5 minutes' WHERE id = $1`, a.ID)
	require.ErrorIs(t, s.claims(t, a, before, payer), checkout.ErrNothingCame)

	b, _ := s.open(t)
	hash := sends(t, payer, s.payee, 4*money.One)
	s.watch(t)
	all, err := s.checkout.UnresolvedList(t.Context(), s.merchant, false, false, shop.Page{Limit: 50})
	require.NoError(t, err)
	for _, u := range all {
		require.NoError(t, s.checkout.Ignore(t.Context(), s.merchant, false, u.ID, "It is a gift.", ada))
	}
	require.ErrorIs(t, s.claims(t, b, hash, payer), checkout.ErrNothingCame)
	require.Equal(t, checkout.Open, s.status(t, b.ID))
}

func TestAContractIsAskedWhetherItSentATransfer(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	a, _ := s.open(t)
	authorization := x402.Authorization{
		From: walletAddress, To: a.PayTo, Value: big.NewInt(int64(a.Amount)), ValidAfter: new(big.Int),
		ValidBefore: big.NewInt(a.ExpiresAt.Unix()), Nonce: randomHash(),
	}
	p := signed(t, 1, s.checkout.Requirement(a), authorization, walletOwner)
	data := selector("transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)")
	for _, w := range [][]byte{walletAddress[:], a.PayTo[:], authorization.Value.Bytes(), nil, authorization.ValidBefore.Bytes(), authorization.Nonce[:], {7 * 32}, {65}} {
		data = append(data, word(w)...)
	}
	data = append(append(data, p.Signature...), make([]byte, 31)...)
	hash := mines(t, newGas(t), &devchain.USDC, data)
	s.watch(t)
	require.Equal(t, checkout.Open, s.status(t, a.ID), "no amount and no nonce of ours")

	require.ErrorIs(t, s.claims(t, a, hash, newKey()), checkout.ErrNotSender)
	require.NoError(t, s.claims(t, a, hash, walletOwner))
	require.Equal(t, checkout.Settled, s.status(t, a.ID))
}
