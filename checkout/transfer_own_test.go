package checkout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"xsynesis/ledger"
)

func TestAPayoutToAShopsOwnWalletIsNoPayment(t *testing.T) {
	t.Parallel()
	s := collecting(t, plan{})
	s.pays(t)
	s.clock.advance(25 * time.Hour) // the wallet is known for a day
	p, err := s.web.custody.CreatePayout(t.Context(), s.merchant, false, ledger.PayoutForm{Amount: price, Destination: s.payee.Hex(), By: ada})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return balanceOf(t, s.payee) == price }, 30*time.Second, 50*time.Millisecond, "it does not arrive")
	s.watch(t)
	require.NoError(t, s.worker.checkout.ReconcileChains(t.Context()))
	require.Zero(t, s.count(t, `SELECT count(*) FROM exceptions`))
	require.Zero(t, s.count(t, `SELECT count(*) FROM transfers`))
	require.Eventually(t, func() bool {
		now, err := s.web.custody.Payout(t.Context(), s.merchant, false, p.ID)
		return err == nil && now.Status == ledger.PayoutArrived
	}, 30*time.Second, 50*time.Millisecond)
}
