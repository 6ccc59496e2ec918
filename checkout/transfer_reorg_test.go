package checkout_test

import (
	"crypto/ecdsa"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/evm"
	"xsynesis/evm/devchain"
	"xsynesis/money"
)

// transferOf is a wallet's transfer, which may be sent more than once.
func transferOf(t *testing.T, dev *devchain.Chain, key *ecdsa.PrivateKey, to common.Address, amount money.USDC) *types.Transaction {
	t.Helper()
	nonce, err := dev.Client().PendingNonceAt(t.Context(), addressOf(key))
	require.NoError(t, err)
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(devchain.ChainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(devchain.ChainID), Nonce: nonce, To: &devchain.USDC, Value: new(big.Int), Data: evm.SendData(to, amount), Gas: 100_000,
		GasTipCap: big.NewInt(5e9), GasFeeCap: big.NewInt(1e11),
	})
	require.NoError(t, err)
	return tx
}

// mine sends a transaction, once more if it must, and returns its block.
func mine(t *testing.T, dev *devchain.Chain, tx *types.Transaction) int64 {
	t.Helper()
	require.NoError(t, dev.Client().SendTransaction(t.Context(), tx))
	var block int64
	require.Eventually(t, func() bool {
		receipt, err := dev.Client().TransactionReceipt(t.Context(), tx.Hash())
		if err != nil || receipt.Status != types.ReceiptStatusSuccessful {
			return false
		}
		block = receipt.BlockNumber.Int64()
		return true
	}, 20*time.Second, 20*time.Millisecond, "it is not mined")
	return block
}

// watchAgain is two looks, of which the second also looks behind.
func (s *testShop) watchAgain(t *testing.T) {
	t.Helper()
	s.watch(t)
	s.clock.advance(31 * time.Second)
	s.watch(t)
}

func TestATransferThatAnotherBlockHoldsIsTheSame(t *testing.T) {
	t.Parallel()
	for _, depth := range []uint64{1, 3, 20} {
		t.Run(fmt.Sprintf("%d deep", depth), func(t *testing.T) {
			t.Parallel()
			dev := ownChain(t, 64)
			s := newShopWith(t, plan{chain: dev, quiet: true})
			a, m := s.open(t)
			key, other := newGas(t), newGas(t)
			require.NoError(t, dev.Mint(t.Context(), addressOf(key), 10*money.One))
			require.NoError(t, dev.Mint(t.Context(), addressOf(other), 10*money.One))
			paying, listed := transferOf(t, dev, key, a.PayTo, m.Amount), transferOf(t, dev, other, a.PayTo, 50_000)
			block := mine(t, dev, paying)
			mine(t, dev, listed)
			s.watch(t)
			require.Equal(t, checkout.Settled, s.status(t, a.ID))
			require.Equal(t, 1, s.listed(t, "unmatched"))
			first := s.blockOf(t, a)
			grow(t, dev, depth-1)
			s.watch(t)

			lose(t, dev, block)
			mine(t, dev, listed) // before the other, this time
			mine(t, dev, paying)
			s.watchAgain(t)
			require.NotEqual(t, first, s.blockOf(t, a))
			require.Equal(t, checkout.Settled, s.status(t, a.ID))
			require.Equal(t, m.Amount, s.received(t))
			require.Equal(t, 1, s.count(t, `SELECT count(*) FROM sales`))
			require.Equal(t, 1, s.count(t, `SELECT count(*) FROM exceptions`), "nothing is listed twice")
			require.Equal(t, 2, s.count(t, `SELECT count(*) FROM transfers`))
		})
	}
}

func TestATransferThatIsGoneForGoodIsStruck(t *testing.T) {
	t.Parallel()
	dev := ownChain(t, 4)
	s := newShopWith(t, plan{chain: dev, quiet: true})
	a, m := s.open(t)
	key := newGas(t)
	require.NoError(t, dev.Mint(t.Context(), addressOf(key), 10*money.One))
	block := mine(t, dev, transferOf(t, dev, key, a.PayTo, m.Amount-1))
	s.watch(t)
	require.Equal(t, 1, s.listed(t, "underpaid"))
	lose(t, dev, block)
	s.watchAgain(t)
	require.Equal(t, 1, s.listed(t, "underpaid"), "it may come back")
	grow(t, dev, 8)
	s.watchAgain(t)
	require.Zero(t, s.listed(t, "underpaid"))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM transfers WHERE state = 'gone'`))

	mine(t, dev, transferOf(t, dev, key, a.PayTo, m.Amount))
	s.watch(t)
	require.Equal(t, checkout.Settled, s.status(t, a.ID))
}

// keepsAt has the shop's money kept at an address.
func (s *testShop) keepsAt(t *testing.T, kept common.Address) {
	t.Helper()
	s.exec(t, `INSERT INTO deposit_addresses (network, address, sealed, merchant_id, created_at, assigned_at)
		VALUES ($1, lower($2), '\x00', $3, now() - interval '1 minute', now() - interval '1 minute')`, sepolia, kept.Hex(), s.merchant)
	s.exec(t, `UPDATE payees SET collects = true`)
}

func TestATransferToAKeptAddressIsInTheBooks(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	kept := addressOf(newKey())
	s.keepsAt(t, kept)
	a, m := s.open(t)
	require.Equal(t, kept, a.PayTo)
	payer := newSpender(t, 10*money.One)
	sends(t, payer, kept, m.Amount)
	sends(t, payer, kept, 70_000)
	sends(t, payer, kept, 7)
	s.watch(t)
	require.Equal(t, checkout.Settled, s.status(t, a.ID))
	balance := func(account string) int {
		return s.count(t, `SELECT coalesce(sum(amount), 0)::bigint FROM balances WHERE account = $1`, account)
	}
	require.EqualValues(t, balanceOf(t, kept), balance("deposit"), "the books have what lies there")
	require.EqualValues(t, -m.Amount, balance("available"), "what was sold is owed to the shop")
	require.Equal(t, -70_007, balance("exceptions"), "and what nobody understands is not")
}
