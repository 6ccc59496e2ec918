package checkout_test

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"xsynesis/checkout"
	"xsynesis/money"
)

func TestFiftyWaitingPaymentsNeedThreeTransactions(t *testing.T) {
	t.Parallel()
	s := newShopWith(t, plan{quiet: true})
	var attempts []checkout.Attempt
	for range 50 {
		a, _ := s.claimed(t)
		attempts = append(attempts, a)
	}
	s.start(t, role{settles: true, works: true})
	transactions := map[string]int{}
	for _, a := range attempts {
		transactions[s.awaitStatus(t, a.ID, checkout.Settled).Settlement.Transaction]++
	}
	t.Logf("50 payments in %v", transactions)
	require.LessOrEqual(t, len(transactions), 3)
	require.Equal(t, 50*price, s.received(t))
	require.Equal(t, 50*price, balanceOf(t, s.payee))
	require.Equal(t, 50, s.count(t, `SELECT count(*) FROM sales`))

	var cost money.USDC // wei, in the books of the network's own coin
	for hash := range transactions {
		receipt, err := world.dev().Client().TransactionReceipt(t.Context(), common.HexToHash(hash))
		require.NoError(t, err)
		cost += money.USDC(receipt.GasUsed) * money.USDC(receipt.EffectiveGasPrice.Int64())
	}
	require.EqualValues(t, cost, s.count(t, `SELECT sum(gas) FROM settlements`))
	require.EqualValues(t, cost, s.count(t, `SELECT sum(amount) FROM entries WHERE account = 'gas'`))
}
