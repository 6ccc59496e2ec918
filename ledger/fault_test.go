package ledger_test

import (
	"crypto/ecdsa"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"xsynesis/evm/devchain"
	"xsynesis/ledger"
	"xsynesis/money"
	"xsynesis/vault"
)

func TestAPayoutWaitsForGasMoney(t *testing.T) {
	t.Parallel()
	x := keepOn(t, chain, 10*money.One, 0)
	p := x.ask(t, 4*money.One)
	require.Eventually(t, func() bool {
		require.Error(t, x.Send(t.Context(), string(p.ID)))
		now, err := x.Payout(t.Context(), x.merchant, false, p.ID)
		require.NoError(t, err)
		require.NotContains(t, []ledger.PayoutStatus{ledger.PayoutArrived, ledger.PayoutReturned}, now.Status)
		return now.LastError == "Waits until the fees of the network can be paid."
	}, 20*time.Second, 100*time.Millisecond)
	require.Equal(t, 4*money.One, x.holding(t).InPayout)
	require.Zero(t, x.holds(t, x.own))

	x.fuel(t, 1)
	require.Equal(t, ledger.PayoutArrived, x.send(t, p.ID).Status)
	require.Equal(t, 4*money.One, x.holds(t, x.own))
}

func TestAPayoutFillsAGapInTheRelayersNonces(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	require.Equal(t, ledger.PayoutArrived, x.send(t, x.ask(t, money.One).ID).Status)
	_, err := x.pool.Exec(t.Context(), `UPDATE relayers SET next_nonce = next_nonce + 3`)
	require.NoError(t, err)
	require.Equal(t, ledger.PayoutArrived, x.send(t, x.ask(t, 2*money.One).ID).Status)
	require.Equal(t, 3*money.One, x.holds(t, x.own))
}

func TestAPayoutGoesToWhereItWasAskedFor(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	to, other := address(t), address(t)
	require.NoError(t, x.TrustDestination(t.Context(), x.merchant, sepolia, to))
	form := ledger.PayoutForm{Amount: 4 * money.One, Destination: to.Hex(), By: by}
	p, err := x.web.CreatePayout(t.Context(), x.merchant, false, form)
	require.NoError(t, err)
	// The address is taken away, and the shop is paid elsewhere, while the payout is under way.
	require.NoError(t, x.web.RemoveDestination(t.Context(), x.merchant, sepolia, to, by))
	_, err = x.pool.Exec(t.Context(), `UPDATE payees SET address = lower($1), proven_at = $2`, other.Hex(), x.now())
	require.NoError(t, err)
	require.Equal(t, ledger.PayoutArrived, x.send(t, p.ID).Status)
	require.Equal(t, 4*money.One, x.holds(t, to))
	require.Zero(t, x.holds(t, other))

	for _, each := range []common.Address{to, other, x.own} { // the second counts tomorrow, and the others no more
		form.Destination = each.Hex()
		_, err = x.web.CreatePayout(t.Context(), x.merchant, false, form)
		var unknown *ledger.NewDestinationError
		require.ErrorAs(t, err, &unknown)
	}
}

// refusing is a contract that reverts whatever it is asked.
func refusing(t *testing.T) common.Address {
	t.Helper()
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	from := crypto.PubkeyToAddress(key.PublicKey)
	require.NoError(t, chain.FundGas(t.Context(), from, big.NewInt(1e18)))
	// It stores PUSH1 0 DUP1 REVERT, and returns these four bytes as the code of the contract.
	deploy(t, key, common.FromHex("0x63600080fd6000526004601cf3"))
	return crypto.CreateAddress(from, 0)
}

func deploy(t *testing.T, key *ecdsa.PrivateKey, code []byte) {
	t.Helper()
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(devchain.ChainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(devchain.ChainID), Value: new(big.Int), Data: code, Gas: 200_000, GasTipCap: big.NewInt(5e9), GasFeeCap: big.NewInt(1e11),
	})
	require.NoError(t, err)
	require.NoError(t, chain.Client().SendTransaction(t.Context(), tx))
	require.Eventually(t, func() bool {
		receipt, err := chain.Client().TransactionReceipt(t.Context(), tx.Hash())
		return err == nil && receipt.Status == types.ReceiptStatusSuccessful
	}, 20*time.Second, 50*time.Millisecond)
}

func TestAPayoutToAContractThatRevertsArrives(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	to := refusing(t)
	code, err := chain.Client().CodeAt(t.Context(), to, nil)
	require.NoError(t, err)
	require.Len(t, code, 4)
	require.NoError(t, x.TrustDestination(t.Context(), x.merchant, sepolia, to))
	p, err := x.web.CreatePayout(t.Context(), x.merchant, false, ledger.PayoutForm{Amount: money.One, Destination: to.Hex(), By: by})
	require.NoError(t, err)
	require.Equal(t, ledger.PayoutArrived, x.send(t, p.ID).Status, "a token asks nobody whether he wants its money")
	require.Equal(t, money.One, x.holds(t, to))
}

func TestAPayoutToWhomTheTokenRefusesComesBack(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	p := x.ask(t, 4*money.One)
	// By now the token refuses the address, as it refuses those that it has blocked.
	for _, sql := range []string{`UPDATE sendings SET pay_to = $1`, `UPDATE payouts SET destination = $1`} {
		_, err := x.pool.Exec(t.Context(), sql, common.Address{}.Hex())
		require.NoError(t, err)
	}
	p = x.send(t, p.ID)
	require.Equal(t, ledger.PayoutReturned, p.Status)
	require.Equal(t, "USDC does not pay this address.", p.LastError)
	require.Equal(t, 10*money.One, x.holding(t).Available)
	require.Equal(t, 10*money.One, x.holds(t, x.deposit))
}

func TestAnotherCustodyKeyTakesOver(t *testing.T) {
	t.Parallel()
	x := keep(t, 10*money.One)
	former, fresh := make([]byte, 32), []byte("another key of thirty-two bytes.")
	reseal := func(keys ...[]byte) (int, error) {
		v, err := vault.New(keys...)
		require.NoError(t, err)
		return ledger.NewCustody(x.pool, nil, ledger.CustodyOptions{Vault: v, Now: x.now}).Reseal(t.Context())
	}
	_, err := reseal(fresh)
	require.ErrorIs(t, err, vault.ErrSealed, "it opens none of them")
	n, err := reseal(fresh, former)
	require.NoError(t, err)
	require.Equal(t, 20, n, "those that wait for a shop as well")
	n, err = reseal(fresh, former)
	require.NoError(t, err)
	require.Zero(t, n)

	p := x.ask(t, money.One)
	require.Error(t, x.Send(t.Context(), string(p.ID)), "the former key opens nothing any more")
	x.Custody = x.worker(fresh)
	require.Equal(t, ledger.PayoutArrived, x.send(t, p.ID).Status)
}
